"""/keep remembers what belongs to a request; /use tries it after that request has ended."""
import json

kept = {}


def attempt(call):
    try:
        call()
    except Exception as cause:
        return type(cause).__name__
    return "nothing raised"


def application(environ, start_response):
    answer = {}
    if environ["PATH_INFO"] == "/use":
        stream, errors, begin, write = kept["input"], kept["errors"], kept["start_response"], kept["write"]
        answer = {
            "read": attempt(stream.read),
            "readline": attempt(stream.readline),
            "readlines": attempt(stream.readlines),
            "next": attempt(lambda: next(stream)),
            "errors": attempt(lambda: errors.write("too late\n")),
            "start_response": attempt(lambda: begin("200 OK", [])),
            "write": attempt(lambda: write(b"too late")),
        }
    body = json.dumps(answer).encode()
    write = start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    if environ["PATH_INFO"] == "/keep":
        kept.update(input=environ["wsgi.input"], errors=environ["wsgi.errors"])
        kept.update(start_response=start_response, write=write)
    return [body]
