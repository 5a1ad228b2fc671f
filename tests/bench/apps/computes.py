"""Computes for about 5 ms in Python code: the same number of steps for everybody, found before the first round."""
import os

STEPS = int(os.environ["BENCH_STEPS"])


def application(environ, start_response):
    total = 0
    for number in range(STEPS):
        total += number & 3
    body = b"%d\n" % total
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
