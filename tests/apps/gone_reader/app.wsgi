"""Reads the whole body; notes in a file below var/ how that went, for when no client is left to ask."""
import os


def application(environ, start_response):
    raised = []
    for _ in range(2):
        try:
            environ["wsgi.input"].read()
            raised.append("nothing")
        except Exception as cause:
            raised.append(type(cause).__name__)
    path = os.path.join(environ["demo.var"], "gone")
    with open(path + ".new", "w") as file:
        file.write(" ".join(raised))
    os.rename(path + ".new", path)
    start_response("200 OK", [("Content-Length", "0")])
    return []
