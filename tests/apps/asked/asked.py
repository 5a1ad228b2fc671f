"""Answers what httpd asks a script, as it is told to: by the query, the password, or the user's name.

Each call is a line of var/calls; what a call with "environ" got, is var/environ.json.
"""
import hashlib
import json
import os

import mod_wsgi

VAR = os.path.join(os.path.dirname(__file__), "..", "..", "var")
KEPT = []


def several():
    yield "a"
    raise ValueError("in the middle")


class Odd:
    def __bool__(self):
        raise ValueError("neither")

    def __iter__(self):
        raise ValueError("not to be iterated over")


ANSWERS = {
    "true": lambda: True, "false": lambda: False, "none": lambda: None,
    "one": lambda: 1, "zero": lambda: 0, "odd": Odd,
    "name": lambda: "jane", "empty": lambda: "", "nul": lambda: "ja\0ne", "wide": lambda: "j\u20acne", "latin": lambda: "j\xe4ne",
    "surrogate": lambda: "j\udc80ne",
    "bytes": lambda: b"jane", "nobytes": lambda: b"",
    "hash": lambda: hashlib.md5(b"hash:area:pw").hexdigest(),
    "hashbytes": lambda: hashlib.md5(b"hashbytes:area:pw").hexdigest().encode(),
    "a": lambda: "a", "list": lambda: ["x", "a"], "upper": lambda: ["A"], "listbytes": lambda: [b"a"], "tuple": lambda: ("a",), "set": lambda: {"a"},
    "dict": lambda: {"a": 1}, "iterator": lambda: iter(["a"]), "spaced": lambda: ["b c"], "others": lambda: ["x", "y"], "nothing": lambda: [],
    "ints": lambda: ["a", 1], "wides": lambda: ["a", "\u20ac"], "nuls": lambda: ["a\0"], "several": several,
}


def answer(how, environ, *arguments):
    with open(os.path.join(VAR, "calls"), "a") as calls:
        calls.write(f"{how} {' '.join(map(ascii, arguments))}\n")
    if how == "raise":
        raise ValueError("told to")
    if how == "exit":
        raise SystemExit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "environ":
        seen(environ)
        return True
    return ANSWERS[how]()


def seen(environ):
    tls = {}
    if "mod_ssl.is_https" in environ:
        KEPT[:] = [environ["mod_ssl.is_https"], environ["mod_ssl.var_lookup"], environ["wsgi.errors"]]
        tls = {"is_https": KEPT[0](), "of_str": KEPT[1]("SSL_PROTOCOL"), "of_bytes": KEPT[1](b"SSL_PROTOCOL")}
        tls["wrong"] = raised(lambda: KEPT[1](1))
    plain = (str, int, float, bool, type(None), tuple)
    shown = {key: value if isinstance(value, plain) else type(value).__name__ for key, value in environ.items()}
    with open(os.path.join(VAR, "environ.json"), "w") as file:
        json.dump({"environ": shown, "tls": tls, "group": mod_wsgi.application_group}, file)


def raised(call):
    try:
        return repr(call())
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"


def after(environ):
    """What is left of what a call before was given."""
    left = [raised(KEPT[0]), raised(lambda: KEPT[1]("X")), raised(lambda: print("late", file=KEPT[2]))]
    with open(os.path.join(VAR, "after.json"), "w") as file:
        json.dump(left, file)
    return True


def allow_access(environ, host):
    if environ["QUERY_STRING"] == "after":
        return after(environ)
    return answer(environ["QUERY_STRING"] or "true", environ, host)


def check_password(environ, user, password):
    return answer(password, environ, user)


def get_realm_hash(environ, user, realm):
    return answer(user, environ, realm)


def groups_for_user(environ, user):
    return answer(environ["QUERY_STRING"] or "list", environ, user)
