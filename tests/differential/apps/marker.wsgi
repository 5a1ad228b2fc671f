# Says that all was logged that is logged before it, on both ways that a record can take: with a request, and without one.
import os
import sys
import threading


def application(environ, start_response):
    text = "marker " + environ["QUERY_STRING"]
    print(text, "of the request", file=environ["wsgi.errors"], flush=True)
    thread = threading.Thread(target=print, args=(text, "of the process"), kwargs={"file": sys.stderr, "flush": True})
    thread.start()
    thread.join()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
