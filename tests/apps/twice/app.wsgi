"""Calls start_response a second time, before and after the head has gone, with and without exc_info."""
import sys


def application(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]

    def failing():
        try:
            raise ValueError("the first answer failed")
        except ValueError:
            return sys.exc_info()

    write = start_response("200 OK", text + [("X-First", "1")])
    if path == "/before-without":
        start_response("404 Not Found", text)
        return [b"second"]
    if path == "/before-with":
        start_response("503 Busy", text, failing())
        return [b"second"]
    if path == "/empty-items-first":
        def generate():
            yield b""
            start_response("404 Not Found", text)
            yield b"second"
        return generate()
    write(b"" if path == "/empty-write" else b"first ")
    try:
        if path == "/after-with":
            start_response("500 Oops", text, failing())
        else:
            start_response("404 Not Found", text)
    except Exception as cause:
        return [type(cause).__name__.encode()]
    return [b"nothing raised"]
