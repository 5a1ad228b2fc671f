"""Sends early hints before and after it reads the body, as the path says; answers what became of them as JSON."""
import json


def application(environ, start_response):
    hint, path = environ["wsgi.early_hints"], environ["PATH_INFO"]
    said = []

    def tell(headers):
        try:
            said.append(hint(headers))
        except Exception as cause:
            said.append("%s: %s" % (type(cause).__name__, cause))

    if path == "/arguments":
        for text in environ["wsgi.input"].read().decode("latin-1").split("\n"):
            try:
                eval("hint(%s)" % text)
                said.append(None)
            except Exception as cause:
                said.append(type(cause).__name__)
    else:
        tell([("Link", "</style.css>; rel=preload; as=style"), ("Link", "</app.js>; rel=preload; as=script")])
        body = environ["wsgi.input"].read()
        tell((("X-Read", "%d" % len(body)),))
    if path == "/raise":
        raise ValueError("failed behind its hints")
    write = start_response("404 Odd" if path == "/odd" else "200 OK", [("Content-Type", "application/json"), ("X-Own", "1")])
    if path == "/late":
        write(b"")
        tell([("Link", "</late.css>")])
    return [json.dumps(said).encode()]
