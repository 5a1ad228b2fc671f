"""Yields one piece, after as many lines as the query says, and waits until the client has told it, by a file below var/, that
the piece arrived."""
import os
import time


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    go = os.path.join(environ["demo.var"], "go")
    end = time.monotonic() + 60
    for number in range(int(environ["QUERY_STRING"] or 0)):
        yield b"line %07d\n" % number
    yield b"first"
    while not os.path.exists(go) and time.monotonic() < end:
        time.sleep(0.002)
    yield b"second" if os.path.exists(go) else b"never told"
