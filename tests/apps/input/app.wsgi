"""Does with wsgi.input what the query says, ?call=read(3)&call=readline(), and answers what each call gave."""
import json
from urllib.parse import parse_qs

ALLOWED = ("read(", "readline(", "readlines(", "list(", "next(", "close(")


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [plain(item) for item in value] if isinstance(value, list) else value


def application(environ, start_response):
    stream = environ["wsgi.input"]
    results = []
    for call in parse_qs(environ["QUERY_STRING"]).get("call", []):
        assert call.startswith(ALLOWED), call
        code = call if call.startswith(("list(", "next(")) else "stream." + call
        try:
            results.append(plain(eval(code, {"stream": stream})))
        except Exception as cause:
            results.append({"raised": type(cause).__name__})
    body = json.dumps(results).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
