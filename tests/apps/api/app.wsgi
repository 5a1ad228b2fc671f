"""Uses what the modules mod_wsgi and apache offer, and answers what it saw. With SUBSCRIBE in the environ of the process it follows events."""
import json
import logging
import os
import sys
import threading

import mod_wsgi

SEEN = []


def shown(value):
    """What JSON can hold of a value."""
    if isinstance(value, dict):
        return {str(key): shown(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def follow(name, **payload):
    if name == "process_signal" or name == "process_stopping":
        print(f"event {name} {json.dumps(payload)} on {threading.current_thread().name}", flush=True)
        return
    if name == "request_started":
        payload["request_data"]["path"] = payload["request_environ"]["PATH_INFO"]
        payload["same_environ"] = payload.pop("request_environ")["mod_wsgi.request_id"] == payload["request_id"]
    SEEN.append([name, {key: [type(value).__name__, shown(value)] for key, value in payload.items()}])


def wrap(name, **payload):
    if name == "request_started" and payload["request_environ"]["PATH_INFO"] == "/wrapped":
        inner = payload["application_object"]
        return {"application_object": lambda environ, start_response: [b"wrapped "] + inner(environ, start_response), 5: 6}


def last(name, **payload):
    if name == "request_started" and payload["request_environ"]["PATH_INFO"] == "/failing-callback":
        raise ValueError("the callback failed")
    if name == "request_started" and payload["request_environ"]["PATH_INFO"] == "/exiting-callback":
        sys.exit("the callback wants out")


if os.environ.get("SUBSCRIBE"):
    assert mod_wsgi.subscribe_events(follow) is follow
    mod_wsgi.subscribe_events(wrap)
    mod_wsgi.subscribe_events(last)
    mod_wsgi.subscribe_shutdown(lambda name, **payload: print(f"shutdown {name} {json.dumps(payload)}", flush=True))
    mod_wsgi.subscribe_signals(lambda name, **payload: print(f"signal {name} {json.dumps(payload)}", flush=True))

WAITING = threading.Event()
mod_wsgi.subscribe_shutdown(lambda name, **payload: WAITING.set())


class Closing:
    def __iter__(self):
        yield b"abc"

    def close(self):
        raise OSError("close() failed")


def attempt(function, *arguments, **named):
    try:
        return repr(function(*arguments, **named))
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"


def in_thread(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(attempt(function)))
    thread.start()
    thread.join()
    return answers[0]


def facts(environ):
    import apache

    mine = mod_wsgi.request_data()
    mine["mark"] = 1
    return {
        "names": [name for name in dir(mod_wsgi) if not name.startswith("_")],
        "types": {name: type(getattr(mod_wsgi, name)).__name__ for name in dir(mod_wsgi) if not name.startswith("_")},
        "pid": os.getpid(),
        "version": mod_wsgi.version,
        "process_group": mod_wsgi.process_group,
        "application_group": mod_wsgi.application_group,
        "maximum_processes": mod_wsgi.maximum_processes,
        "threads_per_process": mod_wsgi.threads_per_process,
        "apache": {name: getattr(apache, name) for name in dir(apache) if not name.startswith("_")},
        "same_data": mod_wsgi.request_data() is mine,
        "active": mod_wsgi.active_requests.get(environ["mod_wsgi.request_id"]) is mine,
        "active_count": len(mod_wsgi.active_requests),
        "outside": in_thread(mod_wsgi.request_data),
        "handler": [base.__name__ for base in mod_wsgi.LogHandler.__mro__],
        "handler_is_kept": mod_wsgi.LogHandler is mod_wsgi.LogHandler,
        "timeout": [base.__name__ for base in mod_wsgi.RequestTimeout.__mro__],
        "unknown": attempt(lambda: mod_wsgi.nothing),
        "keyword": attempt(mod_wsgi.subscribe_shutdown, callback=print).split(":")[0],
        "many": attempt(mod_wsgi.subscribe_events, 1, 2).split(":")[0],
        "arguments": attempt(mod_wsgi.request_data, 1).split(":")[0],
    }


def log(environ):
    logger = logging.getLogger("shop")
    logger.setLevel(1)
    logger.propagate = False
    logger.handlers = [mod_wsgi.LogHandler()]
    for level in (5, 10, 20, 30, 40, 50):
        logger.log(level, "level %d\nsecond line", level)

    class Counting:
        count = 0

        def __str__(self):
            Counting.count += 1
            return "counted"

    logger.debug("%s", Counting())
    logger.error("%d", "no number")
    return {"formatted": Counting.count}


def metrics(environ):
    return {
        "request": mod_wsgi.request_metrics(),
        "process": mod_wsgi.process_metrics(),
        "server": mod_wsgi.server_metrics(),
    }


def events(environ):
    answer = list(SEEN)
    SEEN.clear()
    return answer


ANSWERS = {"/facts": facts, "/log": log, "/metrics": metrics, "/events": events}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path in ANSWERS:
        body = json.dumps(ANSWERS[path](environ)).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]
    if path == "/start":
        first = [mod_wsgi.request_metrics(), mod_wsgi.process_metrics(), mod_wsgi.start_recording_metrics()]
        start_response("200 OK", [])
        return [json.dumps(first).encode()]
    if path == "/raise":
        raise KeyError("the application failed")
    if path == "/text":
        start_response("200 OK", [])
        return ["text"]
    if path == "/unstarted":
        return [b"abc"]
    if path == "/bad-status":
        answer = attempt(start_response, "bad", [])
        start_response("201 Created", [("X-Second", "yes")])
        return [answer.encode()]
    if path == "/close":
        start_response("200 OK", [])
        return Closing()
    if path == "/read":
        environ["wsgi.input"].read(4)
        environ["wsgi.input"].read()
        write = start_response("404 Not Found", [("Content-Length", "5")])
        write(b"ab")
        return iter([b"c", b"defgh"])
    if path == "/release":
        WAITING.set()
    if path == "/wait":
        start_response("200 OK", [])
        return [b"told" if WAITING.wait(20) else b"not told"]
    start_response("200 OK", [])
    return [b"plain"]
