"""Sends a request where its query says: /?process_group=shop&callable_object=other. Words that begin with ! are no names."""
import json
import os
from urllib.parse import parse_qsl

VAR = os.path.join(os.path.dirname(__file__), "..", "..", "var")
NOT_NAMES = {
    "!int": 1, "!true": True, "!list": ["a"], "!wide": "\u20ac", "!nul": "a\0", "!none": None, "!bytes": b"of_bytes", "!empty": "",
}


def answer(environ, what):
    how = dict(parse_qsl(environ["QUERY_STRING"])).get(what)
    if how == "!raise":
        raise ValueError("told to")
    if how == "!exit":
        raise SystemExit(3)
    if how == "!environ":
        plain = (str, int, float, bool, type(None), tuple)
        shown = {key: value if isinstance(value, plain) else type(value).__name__ for key, value in environ.items()}
        with open(os.path.join(VAR, "environ.json"), "w") as file:
            json.dump(shown, file)
        return None
    if how == "!change":
        environ["QUERY_STRING"] = environ["PATH_INFO"] = "changed"
        return None
    return NOT_NAMES.get(how, how)


def process_group(environ):
    return answer(environ, "process_group")


def application_group(environ):
    return answer(environ, "application_group")


def callable_object(environ):
    return answer(environ, "callable_object")
