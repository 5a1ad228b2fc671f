"""Answers with the environ it was given, as JSON; what JSON can't hold is shown by repr()."""
import json
import os
import sys


def application(environ, start_response):
    plain = (str, int, float, bool, type(None), tuple)
    answer = {
        "environ": {key: value if isinstance(value, plain) else repr(value) for key, value in environ.items()},
        "types": {key: type(value).__name__ for key, value in environ.items()},
        "container": type(environ).__name__,
        "os_environ": dict(os.environ),
        "argv": sys.argv,
        "same_wrapper": environ["wsgi.file_wrapper"] is __import__("mod_wsgi").FileWrapper,
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        # For HEAD, whose answer has no body.
        ("X-Method", environ["REQUEST_METHOD"]),
    ])
    return [body]
