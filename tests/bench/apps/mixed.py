"""/waits has five waits of 1 ms with a little Python between; everything else answers at once."""
import time


def application(environ, start_response):
    if environ["PATH_INFO"] == "/waits":
        for _ in range(5):
            time.sleep(0.001)
    body = b"Hello World!\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
