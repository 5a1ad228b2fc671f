"""Answers how the wrapper type itself behaves."""
import io
import json


def attempt(call):
    try:
        return call()
    except Exception as cause:
        return type(cause).__name__


def application(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    source = io.BytesIO(b"0123456789")
    made = wrapper(source, 4)
    answer = {
        "blksize": made.blksize,
        "default": wrapper(source).blksize,
        "keywords": wrapper(filelike=source, blksize=7).blksize,
        "filelike": made.filelike is source,
        "negative": attempt(lambda: wrapper(source, -1)),
        "read_only": attempt(lambda: setattr(made, "blksize", 1)),
        "items": [item.decode() for item in made],
    }
    made.close()
    answer["closed"] = source.closed
    answer["after_close"] = attempt(lambda: made.filelike)
    answer["iterate_after_close"] = attempt(lambda: next(iter(made)).decode())
    answer["text"] = attempt(lambda: next(iter(wrapper(io.StringIO("x")))))
    answer["fraction"] = attempt(lambda: wrapper(source, 2.5))
    answer["other"] = attempt(lambda: setattr(made, "other", 1))
    answer["nothing"] = attempt(lambda: next(iter(wrapper(None))))
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
