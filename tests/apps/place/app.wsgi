"""Answers with where it runs, and what it knows of handlers; "record" uses apache.request_rec as C extensions do."""
import ctypes
import json

KEPT = []
pointer = ctypes.pythonapi.PyCapsule_GetPointer
pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def answer(environ, start_response, **more):
    body = json.dumps({
        **more,
        **{key: value for key, value in environ.items() if isinstance(value, str)},
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def application(environ, start_response):
    return answer(environ, start_response, called="application")


def other(environ, start_response):
    return answer(environ, start_response, called="other")


def handle_request(environ, start_response):
    return answer(environ, start_response, called="handle_request")


def record(environ, start_response):
    before = None
    if KEPT:
        try:
            before = pointer(KEPT.pop(), None)
        except ValueError as failure:
            before = f"ValueError: {failure}"
    capsule = environ.get("apache.request_rec")
    if capsule is not None:
        KEPT.append(capsule)
    # The first field of a request_rec is its pool, so some address; and it is the same record in all of the request.
    address = None if capsule is None else bool(ctypes.c_void_p.from_address(pointer(capsule, None)).value)
    return answer(environ, start_response, record=address, before=before)
