"""Serves files through wsgi.file_wrapper in the ways an application may, one path each; counts what it closed."""
import gzip
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


class Upper(io.FileIO):
    """A file whose bytes change on the way."""
    def readinto(self, room):
        count = super().readinto(room)
        room[:count] = bytes(room[:count]).upper()
        return count

    def read(self, size=-1):
        return super().read(size).upper()


class Proxy:
    """As Django's File: everything is the file's."""
    def __init__(self, file):
        self.file = file

    read = property(lambda self: self.file.read)

    def __getattr__(self, name):
        return getattr(self.file, name)


class Reading(Proxy):
    """Everything but read()."""
    def read(self, size):
        return self.file.read(size).upper()


def packed(data):
    file = tempfile.TemporaryFile()
    with gzip.GzipFile(fileobj=file, mode="wb") as archive:
        archive.write(data)
    file.seek(0)
    return gzip.GzipFile(fileobj=file)


def named(data):
    file = tempfile.NamedTemporaryFile()
    file.write(data)
    file.seek(0)
    return file


def anonymous(data):
    file = tempfile.TemporaryFile()
    file.write(data)
    file.seek(0)
    return file


def patched(path):
    file = open(path, "rb")
    read = file.read
    file.read = lambda size: read(size).upper()
    return file


# Those that are what their descriptor is.
PLAIN = {
    "/plain/open": lambda path: open(path, "rb"),
    "/plain/unbuffered": lambda path: open(path, "rb", buffering=0),
    "/plain/random": lambda path: anonymous(b"short lived"),
    "/plain/named": lambda path: named(b"short lived"),
    "/plain/proxy": lambda path: Proxy(open(path, "rb")),
}
# Those that only have one.
READ = {
    "/read/gzip": lambda path: packed(b"unpacked"),
    "/read/gzip-proxy": lambda path: Proxy(packed(b"unpacked")),
    "/read/text": lambda path: open(path),
    "/read/process": lambda path: open("/proc/self/cmdline", "rb"),
    "/read/raw": lambda path: Upper(path),
    "/read/buffered": lambda path: io.BufferedReader(Upper(path)),
    "/read/method": lambda path: Reading(open(path, "rb")),
    "/read/patched": lambda path: patched(path),
}


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
    if kind == "/overridden":
        class Mine(wrapper):
            def __next__(self):
                return super().__next__().upper()
        return Mine(open(path, "rb"))
    if kind in PLAIN:
        return wrapper(PLAIN[kind](path))
    if kind in READ:
        return wrapper(READ[kind](path))
    if kind == "/after-write":
        write(b"before ")
        return wrapper(open(path, "rb"))
    if kind == "/iterated":
        return (piece for piece in wrapper(open(path, "rb"), 3))
    file = Noting(path)
    if "offset" in query:
        file.seek(int(query["offset"]))
    return wrapper(file)
