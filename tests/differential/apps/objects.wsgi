# The objects an application is given, and the interpreter that it finds itself in.
import io
import os
import signal
import sys
import threading
import time

import apache
import mod_wsgi

from tools import Apps, attributes, described, raised, reply

application = Apps()
app = application.app


@app
def input_facts(environ, start_response):
    input = environ["wsgi.input"]
    found = attributes(input)
    found["type"] = type(input).__name__
    found["own iterator"] = iter(input) is input
    for name in ("seek", "tell", "fileno", "readinto", "readable", "closed", "detach", "name", "mode"):
        found["." + name] = raised(getattr, input, name)
    found["set"] = raised(setattr, input, "other", 1)
    found["with"] = raised(lambda: input.__enter__())
    found["truth"] = bool(input)
    found["keyword"] = raised(input.read, size=1)
    found["buffered"] = raised(io.BufferedReader, input)
    return reply(start_response, found)


@app
def errors_facts(environ, start_response):
    errors = environ["wsgi.errors"]
    found = attributes(errors) | {"type": described(type(errors)), "buffer type": type(errors.buffer).__name__}
    for name in ("encoding", "errors", "newlines", "line_buffering", "write_through", "name", "closed", "mode"):
        found["." + name] = raised(getattr, errors, name)
        found["buffer." + name] = raised(getattr, errors.buffer, name)
    for name in ("isatty", "readable", "seekable", "writable", "fileno", "tell", "read", "flush"):
        found["." + name + "()"] = raised(getattr(errors, name))
        found["buffer." + name + "()"] = raised(lambda: getattr(errors.buffer, name)())
    for value in ("", None, 5, b"bytes\n"):
        found[f"write {value!r}"] = raised(errors.write, value)
    found["buffer.write bytes"] = raised(errors.buffer.write, b"app: bytes\n")
    found["buffer.write bytearray"] = raised(errors.buffer.write, bytearray(b"app: bytearray\n"))
    found["buffer.write None"] = raised(errors.buffer.write, None)
    found["seek"] = raised(errors.seek, 0)
    found["truncate"] = raised(errors.truncate)
    found["sys.stderr"] = described(type(sys.stderr)) + " " + raised(getattr, sys.stderr, "name")
    found["sys.stdout"] = described(type(sys.stdout)) + " " + raised(getattr, sys.stdout, "name")
    return reply(start_response, found)


TEXTS = {
    "line": ["app: line\n"], "no-end": ["app: no end"], "two": ["app: one\napp: two\n"], "pieces": ["app: ", "in ", "pieces\n"],
    "empty-line": ["\n"], "empty-between": ["app: one\n\napp: two\n"], "cr": ["app: a\rb\n"], "crlf": ["app: a\r\napp: b\r\n"],
    "tab": ["app: a\tb\n"], "control": ["app: a\x01b\x1b[0m\n"], "latin": ["app: \xe4\n"], "wide": ["app: \u20ac \U0001f600\n"],
    "surrogate": ["app: \udcff\n"], "nul": ["app: a\0b\n"], "long": ["app: " + "x" * 9000 + "\n"],
    "percent": ["app: %s %d %\n"], "backslash": ["app: a\\nb\n"], "spaces": ["   app: spaces  \n"], "bracket": ["[app:x] y\n"]}


def _printing(name, texts):
    def by_errors(environ, start_response):
        for text in texts:
            environ["wsgi.errors"].write(text)
        return reply(start_response, {})

    def by_stderr(environ, start_response):
        for text in texts:
            sys.stderr.write(text)
        sys.stderr.flush()
        return reply(start_response, {})

    def by_print(environ, start_response):
        for text in texts:
            print(text, end="", flush=True)
        return reply(start_response, {})
    application.add("errors-" + name, by_errors)
    application.add("stderr-" + name, by_stderr)
    application.add("print-" + name, by_print)


for _name, _texts in TEXTS.items():
    _printing(_name, _texts)


@app
def writelines(environ, start_response):
    found = {
        "errors": raised(environ["wsgi.errors"].writelines, ["app: one\n", "app: two\n"]),
        "stderr": raised(sys.stderr.writelines, ["app: three\n"]),
        "generator": raised(environ["wsgi.errors"].writelines, (x for x in ("app: x\n",)))}
    return reply(start_response, found)


@app
def stdin_facts(environ, start_response):
    found = {
        "type": described(type(sys.stdin)), "read": raised(lambda: sys.stdin.read()),
        "fileno": raised(lambda: sys.stdin.fileno()), "isatty": raised(lambda: sys.stdin.isatty()), "input": raised(input),
        "__stdout__": described(type(sys.__stdout__)), "__stderr__": described(type(sys.__stderr__)),
        "__stdin__": described(type(sys.__stdin__))}
    return reply(start_response, found)


@app
def sys_facts(environ, start_response):
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if isinstance(getattr(sys.flags, name), (int, bool))}
    names = (
        "argv", "orig_argv", "prefix", "base_prefix", "exec_prefix", "executable", "byteorder", "dont_write_bytecode",
        "warnoptions", "_xoptions", "pycache_prefix", "platlibdir", "maxsize", "ps1", "implementation", "float_repr_style")
    found = {name: raised(getattr, sys, name) for name in names} | {"flag " + name: value for name, value in flags.items()}
    found |= {
        "path": sys.path, "switch": sys.getswitchinterval(), "recursion": sys.getrecursionlimit(),
        "encoding": sys.getdefaultencoding(), "file encoding": sys.getfilesystemencoding(),
        "file errors": sys.getfilesystemencodeerrors(), "meta": [described(each) for each in sys.meta_path],
        "hooks": len(sys.path_hooks), "excepthook": sys.excepthook is sys.__excepthook__,
        "displayhook": sys.displayhook is sys.__displayhook__}
    return reply(start_response, found)


@app
def module_facts(environ, start_response):
    module = sys.modules[application.app.__func__.__globals__["__name__"]]
    own = sys.modules[__name__]
    return reply(
        start_response,
        {
            "spec facts": {name: raised(getattr, __spec__, name)
                for name in ("name", "origin", "cached", "parent", "has_location", "submodule_search_locations", "loader_state")},
            "source": raised(lambda: __import__("inspect").getsource(_told)),
            "found": raised(__import__("importlib.util").util.find_spec, __name__),
            "loader facts": [
                raised(lambda: __loader__.path), raised(lambda: __loader__.name),
                raised(lambda: __loader__.get_data(__file__)[:9])],
            "cached": raised(lambda: __cached__), "name": __name__.startswith("_mod_wsgi_") and len(__name__), "file": __file__,
            "package": raised(lambda: __package__), "spec": raised(lambda: __spec__), "loader": raised(lambda: __loader__),
            "names": sorted(each for each in vars(own) if each.startswith("__")), "mtime": type(own.__mtime__).__name__,
            "tools": module.__file__, "main": attributes(sys.modules["__main__"]),
            "main file": raised(lambda: sys.modules["__main__"].__file__), "builtins": type(own.__builtins__).__name__})


@app
def threads(environ, start_response):
    own = threading.current_thread()
    found = {
        "main": threading.main_thread().name, "alive": own.is_alive(), "local": raised(setattr, threading.local(), "x", 1),
        "main alive": threading.main_thread().is_alive(), "stack": threading.stack_size(),
        "excepthook": threading.excepthook is threading.__excepthook__}
    # In a sub-interpreter of C mod_wsgi's, the thread that happens to load `threading` is the main one.
    if not environ["mod_wsgi.application_group"]:
        found |= {"main is current": threading.main_thread() is own, "current": type(own).__name__, "daemon": own.daemon}
    return reply(start_response, found)


@app
def thread_raises(environ, start_response):
    def work():
        raise ValueError("app: in a thread")
    thread = threading.Thread(target=work, name="app-thread")
    thread.start()
    thread.join()
    return reply(start_response, {"daemon": bool(environ["mod_wsgi.application_group"]) or thread.daemon})


@app
def thread_prints(environ, start_response):
    thread = threading.Thread(target=print, args=("app: of a thread",), kwargs={"file": environ["wsgi.errors"], "flush": True})
    thread.start()
    thread.join()
    other = threading.Thread(target=lambda: start_response("200 OK", [("X-Thread", "1")]))
    other.start()
    other.join()
    return iter([b"answered"])


@app
def process(environ, start_response):
    names = ("HOME", "USER", "LOGNAME", "USERNAME", "LANG", "LC_ALL", "PATH", "PYTHON_EGG_CACHE", "PYTHONPATH", "MOD_WSGI_X")
    found = {name: os.environ.get(name) for name in names}
    found |= {
        "umask": raised(lambda: os.umask(os.umask(0o22)) and 0), "uid": os.getuid() == os.geteuid(), "cwd": os.getcwd(),
        "names": sorted(os.environ), "nice": os.nice(0), "set": raised(os.environ.__setitem__, "MOD_WSGI_X", "1"),
        "locale": __import__("locale").setlocale(0)}
    return reply(start_response, found)


@app
def signals(environ, start_response):
    found = {
        "set": raised(signal.signal, signal.SIGUSR2, signal.SIG_DFL), "get": raised(signal.getsignal, signal.SIGINT),
        "after": raised(signal.getsignal, signal.SIGUSR2), "wrong": raised(signal.signal, 999, signal.SIG_DFL),
        "no arguments": raised(signal.signal), "handler": raised(signal.signal, signal.SIGTERM, len),
        "type": type(signal.signal).__name__, "wakeup": raised(signal.set_wakeup_fd, -1), "itimer": raised(signal.getitimer, 0),
        "ignore": raised(signal.signal, 10, signal.SIG_IGN), "default": str(signal.getsignal(signal.SIGINT)),
        "not callable": raised(signal.signal, signal.SIGUSR2, 5)}
    return reply(start_response, found)


def _module(module):
    found = {name: described(value) if not isinstance(value, (list, dict)) else type(value).__name__
             for name, value in vars(module).items() if not name.startswith("__")}
    return found | {
        "__name__": module.__name__, "__file__": raised(lambda: module.__file__), "__doc__": raised(lambda: module.__doc__)}


@app
def mod_wsgi_facts(environ, start_response):
    return reply(start_response, _module(mod_wsgi))


@app
def apache_facts(environ, start_response):
    return reply(start_response, _module(apache))


@app
def mod_wsgi_calls(environ, start_response):
    found = {}
    for name in (
        "subscribe_events", "subscribe_shutdown", "subscribe_signals", "request_data", "start_recording_metrics",
        "request_metrics", "process_metrics", "server_metrics"):
        function = getattr(mod_wsgi, name)
        found[name + " too many"] = raised(function, 1, 2, 3)
        found[name + " keyword"] = raised(function, callback=5)
    for name in ("request_data", "request_metrics", "process_metrics", "server_metrics"):
        found[name] = type(getattr(mod_wsgi, name)()).__name__
    for name in ("subscribe_events", "subscribe_shutdown"):
        found[name] = raised(getattr(mod_wsgi, name), None)
        found[name + " none"] = raised(getattr(mod_wsgi, name))
    found["callbacks"] = [mod_wsgi.event_callbacks, mod_wsgi.shutdown_callbacks, mod_wsgi.signal_callbacks]
    mod_wsgi.event_callbacks.clear()
    mod_wsgi.shutdown_callbacks.clear()
    found["active"] = [type(key).__name__ + type(value).__name__ for key, value in mod_wsgi.active_requests.items()]
    found["same data"] = mod_wsgi.active_requests[environ["mod_wsgi.request_id"]] is mod_wsgi.request_data()
    found["timeout"] = [each.__name__ for each in mod_wsgi.RequestTimeout.__mro__]
    found["handler"] = [each.__name__ for each in mod_wsgi.LogHandler.__mro__]
    found["wrapper"] = environ["wsgi.file_wrapper"] is mod_wsgi.FileWrapper
    found["set"] = raised(setattr, mod_wsgi, "own", 1)
    found["read-only"] = raised(setattr, mod_wsgi, "version", mod_wsgi.version)
    found["reload"] = raised(__import__("importlib").reload, mod_wsgi)
    return reply(start_response, found)


@app
def request_data_in_thread(environ, start_response):
    found = {}
    thread = threading.Thread(target=lambda: found.update(data=raised(mod_wsgi.request_data)))
    thread.start()
    thread.join()
    return reply(start_response, found)


@app
def metrics(environ, start_response):
    mod_wsgi.start_recording_metrics()
    mod_wsgi.request_metrics()
    found = {"request " + key: type(value).__name__ for key, value in mod_wsgi.request_metrics().items()}
    found |= {"process " + key: type(value).__name__ for key, value in mod_wsgi.process_metrics().items()}
    return reply(start_response, found)


@app
def log_handler(environ, start_response):
    logging = __import__("logging")
    logger = logging.Logger("app")
    logger.addHandler(mod_wsgi.LogHandler())
    for level in (5, 10, 20, 30, 40, 50, 60):
        logger.log(level, "app: at %d", level)
    logger.error("app: one\napp: two")
    logger.error("app: wrong %d", "x")
    try:
        1 / 0
    except ZeroDivisionError:
        logger.warning("app: with traceback", exc_info=True)
    return reply(start_response, {})


SEEN = []


def _watch(name, **payload):
    about = payload.get("request_data")
    if about is None or "watched" not in about:
        return
    error = payload.get("exception_info")
    frames = []
    if error:
        trace = error[2]
        while trace:
            frames.append(f"{trace.tb_frame.f_code.co_name} {trace.tb_lineno}")
            trace = trace.tb_next
    SEEN.append(
        {
            "event": name, "exception": error and described(error[0]), "frames": frames, "status": payload.get("status"),
            "response": str(payload.get("response_status")),
            "keys": sorted(key for key in payload if not key.startswith("cpu_"))})


def _watched(name, work):
    def answer(environ, start_response):
        if _watch not in mod_wsgi.event_callbacks:
            mod_wsgi.subscribe_events(_watch)
        SEEN.clear()
        mod_wsgi.request_data()["watched"] = True
        return work(environ, start_response)
    application.add("watched-" + name, answer)
    application.add("events-of-" + name, _told)


def _told(environ, start_response):
    return reply(start_response, {f"{number} {each['event']}": each for number, each in enumerate(SEEN)})


def _plain(environ, start_response):
    return reply(start_response, {})


def _raises(environ, start_response):
    raise ValueError("app: x")


def _raises_later(environ, start_response):
    start_response("200 OK", [])
    yield b"one"
    raise ValueError("app: x")


def _misuses(environ, start_response):
    start_response(5, [])


def _yields_str(environ, start_response):
    start_response("200 OK", [])
    yield "text"


def _returns_none(environ, start_response):
    start_response("200 OK", [])


class _Closing(list):
    def close(self):
        raise ValueError("app: in close")


def _close_raises(environ, start_response):
    start_response("200 OK", [])
    return _Closing([b"one"])


def _exits(environ, start_response):
    raise SystemExit


def _bad_length(environ, start_response):
    start_response("200 OK", [("Content-Length", "x")])
    return [b"one"]


for _name, _work in {
    "plain": _plain, "raises": _raises, "raises-later": _raises_later, "misuses": _misuses, "yields-str": _yields_str,
    "exits": _exits, "returns-none": _returns_none, "close-raises": _close_raises, "never-starts": lambda *_: [b"x"],
    "bad-length": _bad_length}.items():
    _watched(_name, _work)


@app
def event_callback_raises(environ, start_response):
    def callback(name, **payload):
        mod_wsgi.event_callbacks.remove(callback)
        raise ValueError("app: in a callback")
    mod_wsgi.subscribe_events(callback)
    return reply(start_response, {})


@app
def keeps_running(environ, start_response):
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    thread.start()
    return reply(start_response, {"alive": thread.is_alive() in (True, False)})


@app
def environ_facts(environ, start_response):
    found = {
        "type": type(environ).__name__, "keys": sorted({type(key).__name__ for key in environ}),
        "start": described(type(start_response)), "start attributes": attributes(start_response),
        "request": raised(lambda: environ["apache.request_rec"])}
    return reply(start_response, found)


@app
def forks(environ, start_response):
    child = os.fork()
    if not child:
        os._exit(7)
    return reply(start_response, {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})


@app
def imports_script(environ, start_response):
    return reply(
        start_response,
        {name: raised(__import__, name) for name in ("objects", "tools", "mod_wsgi", "apache", "mod_wsgi.server", "environ")})
