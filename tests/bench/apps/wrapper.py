"""A file by wsgi.file_wrapper."""
import os

PATH = os.environ["BENCH_FILE"]


def application(environ, start_response):
    file = open(PATH, "rb")
    length = os.fstat(file.fileno()).st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    return environ["wsgi.file_wrapper"](file, 65536)
