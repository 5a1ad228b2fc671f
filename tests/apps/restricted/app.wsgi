"""Uses the standard streams and answers what that raised."""
import json
import sys


def attempt(call):
    try:
        call()
    except Exception as cause:
        return type(cause).__name__
    return None


def application(environ, start_response):
    answer = {
        "print": attempt(lambda: print("printed")),
        "stdin": attempt(lambda: sys.stdin.read()),
        "input": attempt(lambda: sys.stdin.fileno()),
        "stderr": attempt(lambda: print("to stderr", file=sys.stderr)),
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
