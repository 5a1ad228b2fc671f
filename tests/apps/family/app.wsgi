"""Starts processes and threads in the ways that Python has, and answers what those say of themselves."""
import ctypes
import faulthandler
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import family_member

# Looks at itself as family_member does.
SHELL = "grep SigBlk /proc/self/status; for link in /proc/self/fd/*; do readlink $link; done; exit 3"


def by_subprocess():
    # All that may be inherited is.
    done = subprocess.run(["sh", "-c", SHELL], close_fds=False, stdout=subprocess.PIPE, text=True)
    first, *links = done.stdout.split("\n")
    return {"blocked": int(first.split()[1], 16), "links": links, "status": done.returncode}


def by_fork():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(family_member.facts()).encode())
        os._exit(3)
    os.close(write)
    with os.fdopen(read) as pipe:
        seen = json.load(pipe)
    return {**seen, "status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def by_multiprocessing(kind):
    with multiprocessing.get_context(kind).Pool(1) as pool:
        return {**pool.map(family_member.facts, [None])[0], "status": 3}


def later(folder):
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.002)
    open(os.path.join(folder, "outlived"), "w").close()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/crash":
        # sys.stderr is the error log and has no number.
        faulthandler.enable(file=2)
        ctypes.string_at(0)
    if path == "/thread":
        threading.Thread(target=later, args=(environ["demo.var"],)).start()
        seen = {}
    else:
        seen = {
            "/subprocess": by_subprocess,
            "/fork": by_fork,
            "/pool-fork": lambda: by_multiprocessing("fork"),
            "/pool-spawn": lambda: by_multiprocessing("spawn"),
        }[path]()
    body = json.dumps({**seen, "own": os.getpid()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
