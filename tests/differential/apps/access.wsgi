# What httpd asks scripts: hosts, users, groups and where requests run. The request says what to answer, in a header or the name.
import hashlib
import sys

from tools import described


def _answer(wanted):
    if wanted == "raise":
        raise ValueError("app: in a script")
    if wanted == "exit":
        raise SystemExit("app: in a script")
    if wanted == "print":
        print("app: printed")
        print("app: on stderr", file=sys.stderr)
        return True
    return eval(wanted, {"lazy": lambda *items: (item for item in items), "late": _late})


def _late(*items):
    yield from items
    raise ValueError("app: in a generator")


def _dump(environ):
    for key in sorted(environ):
        if key not in ("HTTP_X_ANSWER", "REMOTE_PORT"):
            print("app:", key, described(environ[key]), file=environ["wsgi.errors"])


def allow_access(environ, host):
    if environ.get("HTTP_X_ANSWER") == "dump":
        _dump(environ)
        print("app: host", described(host), file=environ["wsgi.errors"])
        return True
    return _answer(environ.get("HTTP_X_ANSWER", "None"))


def check_password(environ, user, password):
    if user == "dump":
        _dump(environ)
        print("app: user", described(user), described(password), file=environ["wsgi.errors"])
        return True
    return True if user == "plain" or user.startswith("in") else _answer(password)


def get_realm_hash(environ, user, realm):
    digest = hashlib.md5(f"{user}:{realm}:secret".encode()).hexdigest()
    return {
        "str": digest, "bytes": digest.encode(), "none": None, "empty": "", "number": 5, "other": "0" * 32,
        "wide": "\u20ac"}[user]


def groups_for_user(environ, user):
    if user.startswith("in-"):
        return [user[3:]]
    return _answer(environ.get("HTTP_X_ANSWER", "[]"))


def process_group(environ):
    if environ["QUERY_STRING"].startswith("process="):
        return _answer(environ["HTTP_X_ANSWER"])


def application_group(environ):
    if environ["QUERY_STRING"] == "dump":
        _dump(environ)
    if environ["QUERY_STRING"].startswith("application="):
        return _answer(environ["HTTP_X_ANSWER"])


def callable_object(environ):
    if environ["QUERY_STRING"].startswith("callable="):
        return _answer(environ["HTTP_X_ANSWER"])
