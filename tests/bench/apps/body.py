"""1 MiB in one piece."""
BODY = b"x" * (1 << 20)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
