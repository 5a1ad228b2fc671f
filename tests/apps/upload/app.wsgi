"""Reads the whole body in pieces and answers its length and MD5."""
import hashlib
import json


def application(environ, start_response):
    size = int(environ["QUERY_STRING"] or 65536)
    digest, length = hashlib.md5(), 0
    for piece in iter(lambda: environ["wsgi.input"].read(size), b""):
        digest.update(piece)
        length += len(piece)
    answer = {"length": length, "md5": digest.hexdigest(), "declared": environ.get("CONTENT_LENGTH")}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
