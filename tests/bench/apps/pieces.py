"""A generator of 100 pieces of 10 KiB."""
PIECE = b"x" * 10240


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(100):
        yield PIECE
