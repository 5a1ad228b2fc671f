"""Calls start_response once more when the head is out, with the exc_info in the request body (a Python expression)."""
import sys


def application(environ, start_response):
    expression = environ["wsgi.input"].read().decode()
    start_response("200 OK", [("Content-Type", "text/plain")])(b"")
    try:
        try:
            raise LookupError("application")
        except LookupError:
            start_response("500 Failed", [], eval(expression))
    except Exception as cause:
        text = type(cause).__name__ + (" " + str(cause) if isinstance(cause, LookupError) and "sys" in expression else "")
        return [text.encode()]
    return [b"nothing"]
