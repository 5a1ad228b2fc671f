"""Tries to install a signal handler and answers what that gave."""
import signal


def handler(number, frame):
    raise RuntimeError("must never run")


def application(environ, start_response):
    try:
        result = signal.signal(signal.SIGTERM, handler)
        body = b"handler" if result is handler else repr(result).encode()
    except Exception as cause:
        body = type(cause).__name__.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
