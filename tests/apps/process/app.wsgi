"""Answers which process, thread and interpreter it runs in, and how that process was set up."""
import ctypes
import json
import locale
import os
import resource
import socket
import sys
import threading

import mod_wsgi

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters


def in_main_interpreter():
    def number(value):
        # A tuple from Python 3.13 on.
        return int(value[0] if isinstance(value, tuple) else value)
    return number(interpreters.get_current()) == number(interpreters.get_main())


def stack_size():
    """Of the thread that asks, as the C library knows it."""
    library, attributes, size = ctypes.CDLL(None), ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.pthread_self.restype = ctypes.c_void_p
    library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), attributes)
    library.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    return size.value


def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass  # The one of the listing itself.
    return found


def families(found):
    """Address families of the sockets among descriptors."""
    names = set()
    for number, link in found.items():
        if link.startswith("socket:"):
            with socket.socket(fileno=os.dup(int(number))) as copy:
                names.add(socket.AddressFamily(copy.family).name)
    return sorted(names)


def umask():
    value = os.umask(0)
    os.umask(value)
    return value


def application(environ, start_response):
    found = descriptors()
    answer = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": sorted(os.getgroups()),
        "umask": umask(),
        "cwd": os.getcwd(),
        "session": os.getsid(0),
        "path": sys.path,
        "environ": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "limits": {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in ("CPU", "DATA", "AS")},
        "stack": stack_size(),
        "switch_interval": sys.getswitchinterval(),
        "descriptors": found,
        "families": families(found),
        "main_interpreter": in_main_interpreter(),
        "process_group": environ["mod_wsgi.process_group"],
        "application_group": environ["mod_wsgi.application_group"],
        "group_of_module": mod_wsgi.application_group,
        "multithread": environ["wsgi.multithread"],
        "multiprocess": environ["wsgi.multiprocess"],
        "run_once": environ["wsgi.run_once"],
        "threads": threading.active_count(),
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
