"""Counts calls of close() on its results; /count tells. The other paths end their response in different ways."""
closed = []


class Result:
    def __init__(self, path):
        self.path = path
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        if self.path == "/raise-first":
            raise ValueError("failed at the first item")
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        if self.path == "/raise-later" and self.left == 0:
            raise ValueError("failed at a later item")
        return b"item "

    def close(self):
        closed.append(self.path)
        if self.path == "/raise-in-close":
            raise ValueError("failed in close")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/count":
        body = " ".join(closed).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    if path != "/no-start-response":
        start_response("200 OK", [("Content-Type", "text/plain")])
    result = Result(path)
    if path == "/wrapped":
        class Body:
            def read(self, size):
                return next(result, b"")
            close = result.close
        return environ["wsgi.file_wrapper"](Body())
    return result
