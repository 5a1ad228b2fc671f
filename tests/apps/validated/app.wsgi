"""Applications under wsgiref.validate, which raises where server or application leave PEP 3333."""
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]


def in_a_list(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"in ", b"a list"]


def generated(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"gener"
    yield b"ated"


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"writ")
    write(b"ten")
    return []


def echoed(environ, start_response):
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]


def lines(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"%d lines" % len(list(environ["wsgi.input"]))]


def chunks(environ, start_response):
    start_response("200 OK", TEXT)
    return iter(lambda: environ["wsgi.input"].read(3), b"")


def logged(environ, start_response):
    environ["wsgi.errors"].write("logged under validation\n")
    environ["wsgi.errors"].flush()
    start_response("200 OK", TEXT)
    return [b"logged"]


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


APPLICATIONS = {name: validator(value) for name, value in list(globals().items()) if getattr(value, "__module__", "") == __name__}


def application(environ, start_response):
    return APPLICATIONS[environ["PATH_INFO"].strip("/")](environ, start_response)
