"""Calls start_response with the arguments in the request body (a Python expression) and answers what that gave."""
import json


class MyList(list):
    pass


def application(environ, start_response):
    arguments = environ["wsgi.input"].read().decode()
    answer = {"raised": None}
    try:
        write = eval("begin(%s)" % arguments, {"begin": start_response, "MyList": MyList})
        answer["callable"] = callable(write)
    except Exception as cause:
        answer = {"raised": type(cause).__name__, "text": str(cause)}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
