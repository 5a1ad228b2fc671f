"""Sends until the client goes; notes in a file below var/ that close() ran and how often."""
import os


class Endless:
    def __init__(self, path):
        self.path = path
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        return b"x" * 65536

    def close(self):
        self.closed += 1
        with open(self.path + ".new", "w") as file:
            file.write("closed %d" % self.closed)
        os.rename(self.path + ".new", self.path)


def application(environ, start_response):
    path = os.path.join(environ["demo.var"], "end")
    write = start_response("200 OK", [("Content-Type", "application/octet-stream")])
    if environ["PATH_INFO"] != "/write":
        return Endless(path)
    try:
        while True:
            write(b"x" * 65536)
    except OSError:
        with open(path + ".new", "w") as file:
            file.write("OSError")
        os.rename(path + ".new", path)
    return []
