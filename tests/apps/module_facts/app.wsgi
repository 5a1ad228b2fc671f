"""Answers what this script's module looks like from inside."""
import json
import sys


def application(environ, start_response):
    body = json.dumps({
        "name": __name__,
        "file": __file__,
        "mtime": __mtime__,
        "registered": sys.modules[__name__].application is application,
        "main": sys.modules["__main__"].__name__,
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
