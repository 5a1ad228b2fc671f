"""What an application must not do, one path each."""
import sys


class NotBytes:
    pass


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/no-start-response":
        return [b"x"]
    if path == "/no-start-response-empty":
        return []
    if path == "/write-before":
        return start_response.__self__.write(b"x")
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-Mine", "1")])
    if path == "/none":
        return None
    if path == "/not-iterable":
        return 42
    if path == "/str-item":
        return ["text"]
    if path == "/str-result":
        return "text"
    if path == "/bytearray-item":
        return [bytearray(b"x")]
    if path == "/object-item":
        return [NotBytes()]
    if path == "/write-str":
        write("text")
    if path == "/write-bytearray":
        write(bytearray(b"x"))
    if path == "/bad-length":
        start_response("200 OK", [("Content-Length", "ten")])
        return [b"x"]
    if path == "/negative-length":
        start_response("200 OK", [("Content-Length", "-1")])
        return [b"x"]
    if path == "/exit":
        sys.exit(3)
    if path == "/interrupt":
        raise KeyboardInterrupt("from the application")
    return [b"fine"]
