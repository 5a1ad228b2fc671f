"""What every interpreter gets of ours before any code of the application's.

Executed once per interpreter by native.rs, in a module of its own that is not in sys.modules, and api.py after it in the same one.
`emit(level, line)` writes one record to the log of the request that this thread serves, else to the server's.
"""

import atexit
import io
import os
import sys
import threading
from _frozen_importlib_external import ExtensionFileLoader, SourceFileLoader, spec_from_file_location
from _operator import index
from _thread import get_ident
from types import BuiltinMethodType, ModuleType

OURS = "<mod_wsgi>"
ERROR, WARNING, INFO = 3, 4, 6

emit = None

# Unfinished lines on the standard streams, by stream and thread; native.rs looks whether it is empty after each request.
UNFINISHED = {}

# Beside the unfinished lines of a wsgi.errors: it may not be as it was made, and serves no other request.
FLUSHED = object()

# In place of what a FileWrapper wraps.
CLOSED = object()

# Whose read() gives what is behind their descriptor.
PLAIN_FILES = io.FileIO, io.BufferedReader, io.BufferedRandom


class Log:
    """The binary end of sys.stderr, sys.stdout and wsgi.errors: one record per line, a line per thread at a time."""

    __slots__ = ("name", "target", "pending")
    closed = False
    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name, pending):
        self.name = name
        # Writes a record for the request that the stream belongs to; without one, it is the request that the thread serves.
        self.target = None
        self.pending = pending

    def write(self, data):
        if isinstance(data, str):
            import warnings

            warnings.warn("bytes are expected by this stream, not str", DeprecationWarning, stacklevel=2)
            data = data.encode("utf-8", "replace")
        data = bytes(data)
        place = self.name, get_ident()
        *lines, rest = (self.pending.pop(place, b"") + data).split(b"\n")
        for line in lines:
            self._record(line)
        if rest:
            self.pending[place] = rest
        return len(data)

    def flush(self):
        rest = self.pending.pop((self.name, get_ident()), b"")
        if rest:
            self._record(rest)
        if self.pending is not UNFINISHED:
            # Perhaps by detach() or reconfigure(), which begin like that.
            self.pending[FLUSHED] = True

    def _record(self, line):
        if self.target is None:
            emit(ERROR, line)
        else:
            self.target(line)

    def flush_all(self):
        """The request has ended: what any thread wrote without a newline is a line, too. Whether the stream may serve another one."""
        flushed = self.pending.pop(FLUSHED, False)
        while self.pending:
            self._record(self.pending.popitem()[1])
        return not flushed

    def close(self):
        self.flush()

    def isatty(self):
        return False

    def readable(self):
        return False

    def seekable(self):
        return False

    def writable(self):
        return True

    def fileno(self):
        raise OSError(f"{self.name} goes to the web server's error log and has no file descriptor")


def stream(name, pending=UNFINISHED):
    return io.TextIOWrapper(Log(name, pending), encoding="utf-8", errors="replace", write_through=True)


def errors_stream():
    """A wsgi.errors, its binary end, where that keeps unfinished lines, and its attributes; given to one request after the other."""
    pending = {}
    wrapper = stream("<wsgi.errors>", pending)
    return wrapper, wrapper.buffer, pending, wrapper.__dict__


class Restricted:
    """Stands for a stream that the administrator has forbidden."""

    __module__ = "mod_wsgi"

    def __init__(self, name, directive):
        object.__setattr__(self, "_why", f"{name} access is restricted by mod_wsgi ({directive} On)")

    def __getattribute__(self, attribute):
        raise OSError(object.__getattribute__(self, "_why"))


class FileWrapper:
    """wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling")."""

    __slots__ = ("_filelike", "_blksize")

    def __init__(self, filelike, blksize=8192):
        blksize = index(blksize)
        if blksize < 0:
            raise ValueError("blksize must not be negative")
        self._filelike = filelike
        self._blksize = blksize

    @property
    def filelike(self):
        if self._filelike is CLOSED:
            raise ValueError("the file wrapper is closed")
        return self._filelike

    @property
    def blksize(self):
        return self._blksize

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self._blksize)
        if not isinstance(data, bytes):
            raise TypeError(f"the file-like object's read() must return bytes, not {type(data).__name__}")
        if not data:
            raise StopIteration
        return data

    def close(self):
        filelike, self._filelike = self._filelike, CLOSED
        close = getattr(filelike, "close", None)
        if close is not None:
            try:
                close()
            except Exception:
                pass


class RequestTimeout(BaseException):
    """Raised in a request that takes longer than request-timeout, where interrupt-timeout is set."""


def regular_file(wrapper):
    """Descriptor, offset and remaining length of the regular file behind a FileWrapper; None for anything else.

    PEP 3333: "Apart from the handling of close(), the semantics of returning a file wrapper from the application should be the same
    as if the application had returned iter(filelike.read, '')".
    """
    import stat

    try:
        filelike = wrapper.filelike
        if not is_plain(filelike):
            return None
        descriptor = filelike.fileno()
        info = os.fstat(descriptor)
        # Files of /proc have no size, but contents.
        if not stat.S_ISREG(info.st_mode) or info.st_size == 0:
            return None
        offset = filelike.tell()
    except Exception:
        return None
    if not isinstance(offset, int) or offset < 0:
        return None
    return descriptor, offset, max(0, info.st_size - offset)


def is_plain(filelike):
    """Whether read() gives what is behind the descriptor: not where bytes are unpacked, decoded or counted on the way."""
    read = filelike.read
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None and type(filelike) is tempfile._TemporaryFileWrapper:
        # A function around the file's own.
        read = read.__wrapped__
    if type(read) is not BuiltinMethodType or read.__name__ != "read" or not isinstance(read.__self__, PLAIN_FILES):
        return False
    raw = getattr(read.__self__, "raw", read.__self__)
    return isinstance(raw, io.FileIO) and type(raw).readinto is io.FileIO.readinto


def prepare(settings, emitter, functions):
    """Called on the interpreter's home thread."""
    global emit
    emit = emitter
    sys.argv = ["mod_wsgi"]
    sys.stderr = stream("<stderr>")
    if not settings["single_process"]:
        sys.stdout = stream("<stdout>")
        if settings["restrict_stdin"]:
            sys.stdin = Restricted("sys.stdin", "WSGIRestrictStdin")
        if settings["restrict_stdout"]:
            sys.stdout = Restricted("sys.stdout", "WSGIRestrictStdout")
    if settings["service"] and not settings["application_group"]:
        end_service_on_sigterm()
    if settings["restrict_signal"]:
        restrict_signal()
    if settings["eggs"] is not None:
        os.environ["PYTHON_EGG_CACHE"] = settings["eggs"]
    if settings["switch_interval"] is not None:
        sys.setswitchinterval(settings["switch_interval"])
    for paths in settings["paths"]:
        add_paths(paths)
    if settings["front"] is not None:
        sys.path.insert(0, settings["front"])
    install(settings, functions)


def package_path(name):
    """Where an installed package of our name has its sub-modules, which stay importable."""
    spec = package_found(name)
    return None if spec is None else spec.submodule_search_locations


def package_found(name):
    from importlib.machinery import PathFinder

    try:
        return PathFinder.find_spec(name)
    except Exception:
        return None


def end_service_on_sigterm():
    """A script that is the whole purpose of its process ends with the process, and may clean up."""
    import signal

    def end(signalnum, frame):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)


def restrict_signal():
    import signal

    real, process = signal.signal, os.getpid()

    def intercepted(signalnum, handler):
        if os.getpid() != process:
            return real(signalnum, handler)
        import traceback

        emit(INFO, f"signal.signal({signalnum!s}, ...) has no effect: signals are httpd's (WSGIRestrictSignal)".encode())
        for line in "".join(traceback.format_stack()[:-1]).splitlines():
            emit(INFO, line.encode("utf-8", "replace"))
        return handler

    signal.signal = intercepted


def add_paths(paths):
    """Puts these in front of sys.path, in their order, each followed by what its .pth files add."""
    import site

    front = []
    for path in paths:
        known = set(sys.path)
        try:
            if not os.path.isdir(path):
                os.stat(path)
        except OSError as failure:
            text = f"WSGI0091: {path!r}, of python-path or WSGIPythonPath, can't be read, and no module is found there: {failure}"
            emit(WARNING, text.encode("utf-8", "replace"))
        try:
            site.addsitedir(path)
        except Exception as failure:
            text = f"WSGI0091: {path!r} can't be added to sys.path, nor what follows it in python-path or WSGIPythonPath: {failure}"
            emit(ERROR, text.encode("utf-8", "replace"))
            break
        added = [entry for entry in sys.path if entry not in known]
        front += [os.path.abspath(path)] + [entry for entry in added if entry != os.path.abspath(path)]
    front = list(dict.fromkeys(front))
    sys.path[:] = front + [entry for entry in sys.path if entry not in front]


def load_script(name, path, stamp):
    """Executes a script file as a fresh module; it is in sys.modules while it runs, and stays if it succeeds."""
    sys.modules.pop(name, None)
    module = ModuleType(name)
    # As an import would set them: Flask looks for its instance folder by the spec, inspect for sources by the loader.
    loader = SourceFileLoader(name, path)
    module.__file__, module.__cached__, module.__loader__ = path, None, loader
    module.__spec__ = spec_from_file_location(name, path, loader=loader)
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    # Last: a module without it is still being executed, and no request may have it.
    module.__mtime__ = stamp
    return module


def extensions():
    """The extension modules from files of their own, but those of the standard library: name, file, module."""
    standard = os.path.join(os.path.dirname(os.__file__), "lib-dynload")
    found = []
    for name, module in list(sys.modules.items()):
        # Of the class itself: those that are loaded when somebody looks at them stay as they are.
        if type(module) is not ModuleType:
            continue
        spec = module.__dict__.get("__spec__")
        if isinstance(getattr(spec, "loader", None), ExtensionFileLoader) and isinstance(name, str):
            file = spec.origin
            if isinstance(file, str) and os.path.dirname(file) != standard:
                found.append((name, os.fsencode(file), module))
    return found


def describe(exception):
    """The lines of an exception with its traceback, without frames of ours at its start."""
    import traceback

    if not isinstance(exception, BaseException):
        return ["the failure left no exception"]
    frames = exception.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == OURS:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(exception), exception, frames)).splitlines()


def stacks(wanted):
    """Logs where the threads of this interpreter are, or where one of them is."""
    import traceback

    names = {thread.ident: thread.name for thread in list(threading._active.values())}
    for thread, frame in sys._current_frames().items():
        if thread == get_ident() or wanted not in (None, thread):
            continue
        lines = [f"thread {thread} ({names.get(thread, 'not made by Python')}) is here:"]
        lines += "".join(traceback.format_stack(frame)).splitlines()
        for line in lines:
            emit(INFO, line.encode("utf-8", "replace"))


def flush_thread():
    """A request has ended on this thread: a line that it left unfinished on a standard stream belongs to it."""
    thread = get_ident()
    for place in [place for place in UNFINISHED if place[1] == thread]:
        emit(ERROR, UNFINISHED.pop(place, b""))


def shut_down():
    """What CPython does before it ends an interpreter, bounded by whoever waits for it."""
    process_stopping("")
    for step in (threading._shutdown, atexit._run_exitfuncs, flush_thread):
        try:
            step()
        except BaseException as failure:
            for line in describe(failure):
                emit(ERROR, line.encode("utf-8", "replace"))
    # CPython flushes these when it ends the interpreter, which a restricted stream answers with an exception.
    for name in ("stdin", "stdout"):
        if type(getattr(sys, name)) is Restricted:
            setattr(sys, name, None)
