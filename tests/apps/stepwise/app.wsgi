"""Yields one piece and waits until the client has told it, by a file below var/, that the piece arrived."""
import os
import time


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    go = os.path.join(environ["demo.var"], "go")
    end = time.monotonic() + 60
    yield b"first"
    while not os.path.exists(go) and time.monotonic() < end:
        time.sleep(0.002)
    yield b"second" if os.path.exists(go) else b"never told"
