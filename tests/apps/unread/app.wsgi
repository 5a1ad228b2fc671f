"""Answers at once and leaves the request body alone; counts its calls."""
calls = 0


def application(environ, start_response):
    global calls
    calls += 1
    body = b"%d" % calls
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
