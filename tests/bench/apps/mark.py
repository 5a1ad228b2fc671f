"""Hello, with a call of getpgid for instructions.py."""
import os


def application(environ, start_response):
    os.getpgid(0)
    body = b"Hello World!\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
