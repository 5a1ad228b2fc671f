"""A process that has no business at the sockets given as arguments. Tries each of them in several ways and prints, as
JSON, what came back: [[case, error or None, bytes received, whether the other end closed]]."""
import concurrent.futures
import json
import os
import socket
import struct
import sys


def frame(kind, payload, flags=0, length=None):
    return struct.pack("<BBHI", kind, flags, 0, len(payload) if length is None else length) + payload


# Of the frames: wire::VERSION.
VERSION = 2
HELLO = struct.pack("<H", VERSION) + b"\0" * 32 + struct.pack("<Q", 1)

CASES = {
    "silence": b"",
    "one byte": b"\x01",
    "junk": os.urandom(65536),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "wrong secret": frame(1, HELLO),
    "wrong secret and a request": frame(1, HELLO) + frame(2, b"\0" * 200),
    "other version": frame(1, struct.pack("<H", 65535) + HELLO[2:]),
    "half a greeting": frame(1, HELLO)[:20],
    "request first": frame(2, b"\0" * 200),
    "unknown kind": frame(99, b""),
    "unknown flags": frame(1, HELLO, flags=255),
    "huge length": frame(1, b"", length=0xFFFFFFFF),
}


def attempt(path, data):
    received = b""
    try:
        with socket.socket(socket.AF_UNIX) as guest:
            guest.settimeout(30)
            guest.connect(path)
            try:
                guest.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            while True:
                try:
                    piece = guest.recv(65536)
                except ConnectionResetError:
                    piece = b""
                if not piece:
                    return None, len(received), True
                received += piece
    except OSError as cause:
        return type(cause).__name__, len(received), False


def attempts(paths):
    pairs = [(path, name) for path in paths for name in CASES]
    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        results = pool.map(lambda pair: attempt(pair[0], CASES[pair[1]]), pairs)
        return json.dumps([[name, *result] for (_, name), result in zip(pairs, results)])


if __name__ == "__main__":
    print(attempts(sys.argv[1:]))
