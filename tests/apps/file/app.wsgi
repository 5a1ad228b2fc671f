"""Serves files through wsgi.file_wrapper in the ways an application may, one path each; counts what it closed."""
import io
import os
import tempfile
from urllib.parse import parse_qs

closed = []


class Reader:
    """Has read() and close() only, no descriptor."""
    def __init__(self, data):
        self.stream = io.BytesIO(data)

    def read(self, size):
        return self.stream.read(size)

    def close(self):
        closed.append("reader")


class Noting:
    """A real file that notes its close()."""
    def __init__(self, path):
        self.file = open(path, "rb")
        self.read, self.tell, self.fileno, self.seek = (
            self.file.read, self.file.tell, self.file.fileno, self.file.seek)

    def close(self):
        closed.append("file")
        self.file.close()


def application(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    path = os.path.join(environ["demo.var"], query.get("name", "data"))
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    kind = environ["PATH_INFO"]
    write = start_response("200 OK", headers)
    if kind == "/closed":
        return [" ".join(closed).encode()]
    if kind == "/reader":
        return wrapper(Reader(b"0123456789" * 1000), int(query.get("block", 8192)))
    if kind == "/pipe":
        end, start = os.pipe()
        os.write(start, b"through a pipe")
        os.close(start)
        return wrapper(os.fdopen(end, "rb"))
    if kind == "/text":
        return wrapper(io.StringIO("text, not bytes"))
    if kind == "/temporary":
        with tempfile.TemporaryFile() as file:
            file.write(b"short lived")
            file.seek(0)
            return wrapper(os.fdopen(os.dup(file.fileno()), "rb"))
    if kind == "/subclass":
        class Mine(wrapper):
            pass
        return Mine(open(path, "rb"))
    if kind == "/after-write":
        write(b"before ")
        return wrapper(open(path, "rb"))
    if kind == "/iterated":
        return (piece for piece in wrapper(open(path, "rb"), 3))
    file = Noting(path)
    if "offset" in query:
        file.seek(int(query["offset"]))
    return wrapper(file)
