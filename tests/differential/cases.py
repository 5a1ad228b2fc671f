"""The requests: those that applications bring along, and those for which the request itself is what matters."""
import base64
import importlib.machinery
import importlib.util
import os
import sys
import types

from client import Request

# Only a server has these; the functions that use them do not run here.
for name in ("apache", "mod_wsgi"):
    sys.modules[name] = types.ModuleType(name)

HERE = os.path.dirname(os.path.abspath(__file__))
# Scripts whose applications bring their requests.
SCRIPTS = ("response", "iterables", "input", "objects")


def all_of_them():
    """Each request by its name."""
    found = {}
    for script in SCRIPTS:
        for name, words in _applications(script).requests.items():
            words = dict(words)
            path = f"/app/{script}.wsgi/{name}" + words.pop("path", "")
            found[f"{script} {name}"] = Request(path=path, **words)
    for group, rows in GROUPS.items():
        for name, request in rows.items():
            found[f"{group} {name}"] = request
    return found


def _applications(script):
    path = os.path.join(HERE, "apps", script + ".wsgi")
    loader = importlib.machinery.SourceFileLoader(script, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(script, loader))
    loader.exec_module(module)
    return module.application


ENVIRON = "/app/environ.wsgi"


def at(path, **words):
    return Request(path=path, **words)


def basic(name, user, password):
    return at(
        "/c/" + name,
        headers=(("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode("latin-1")).decode()),))


def sent(what, header="X-A: b", body=b""):
    """A request, and another one on the same connection that is sent without waiting for the first one's answer."""
    first = f"{what} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode() + body
    return Request(raw=first + b"GET /two/2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


# In "script" the first request finds the script not loaded, and `reload_required` is asked from the second or third on.
GROUPS = {
    "path": {path: at(path)
        for path in (
            ENVIRON, ENVIRON + "/", ENVIRON + "/a/b", ENVIRON + "//a///b//", ENVIRON + "/a/../b", ENVIRON + "/a/./b",
            ENVIRON + "/%61%20b", ENVIRON + "/%e4%ff", ENVIRON + "/%c3%a4", ENVIRON + "/a%2Fb", ENVIRON + "/%00",
            ENVIRON + "/a;p=1", ENVIRON + "/a%3Fb?c", ENVIRON + "/%2e%2e/x", ENVIRON + "/a%25b", ENVIRON + "/a+b",
            "/app//environ.wsgi/x", "//app/environ.wsgi/x", "/app/./environ.wsgi", "/app/sub/../environ.wsgi", "/app", "/app/",
            "/application", "/one/", "/one/a", "/one", "/two", "/two/", "/two/a/b", "/twofold", "/deep/er/mount/a",
            "/deep//er/mount//a", "/deep/er", "/match/environ/x", "/match/environ/x/y/z", "/match/environ/y", "/match/none/x",
            "/whole/of/it", "/missing.wsgi", "/missing.wsgi/x", "/directory", "/directory/environ.wsgi", "/app/folder.wsgi",
            "/app/folder.wsgi/x", "/app/tools.py", "/static.txt", "/nothing")},
    "root": {f"{host} {path}": at(path, host=host)
        for host in (
            "root.example", "other.example", "ROOT.example",
            "root.example:99") for path in ("/", "/a", "//a//b", "/a/../b", "/app/environ.wsgi")},
    "slashes": {path: at(path, host="slashes.example")
        for path in (
            "/mount", "/mount/", "//mount//a", "/mount//a///b/", "/mount/a%2Fb", "/mount/%2F", "/mount%2Fa", "/mount/a%2fb//c")},
    "method": {method: at("/two/a?q", method=method)
        for method in (
            "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE", "CONNECT", "get", "ODD", "X-ODD", "M_Y",
            "A" * 300)},
    "query": {query: at("/two" + query)
        for query in (
            "?", "?a=b", "?a=b&a=c", "?%00", "?%e4", "?a?b", "?a#b", "?a%20b+c", "?" + "x" * 7000, "?\xe4", "?'\"<>", "?;",
            "??")},
    "version": {version: at("/two", version=version)
        for version in ("HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1", "XTTP/1.1")},
    "host": {host or "empty": at("/two", host=host)
        for host in (
            "", "elsewhere", "localhost:99", "LOCALHOST", "localhost.", "a,b", "a b", "<b>", "\xe4", "[::1]", "[::1]:80",
            "127.0.0.1", "x" * 300, ":80")},
    "target": {target: Request(path=target)
        for target in (
            "http://localhost/two", "http://elsewhere/two", "https://localhost/two", "*", "two", "http://localhost", "/two\xe4",
            "/two%", "/two%zz", "/two/\x7f", "/two/'\"<>{}|\\^`")},
    "header": {
        name: at("/two", headers=headers) for name, headers in {
            "plain": (("X-A", "b"),), "twice": (("X-A", "b"), ("X-A", "c")), "cased": (("x-a", "b"), ("X-A", "c")),
            "underscore": (("X_A", "b"),), "both": (("X-A", "b"), ("X_A", "c")), "dot": (("X.A", "b"),),
            "empty": (("X-A", ""),), "spaces": (("X-A", "  b  "),), "tab": (("X-A", "a\tb"),), "latin": (("X-A", "\xe4"),),
            "utf-8": (("X-A", "\xc3\xa4"),), "huge": (("X-A", "x" * 60000),), "too-huge": (("X-A", "x" * 90000),),
            "many": tuple((f"X-{number}", "v") for number in range(250)),
            "too-many": tuple((f"X-{number}", "v") for number in range(350)), "digits": (("1-2", "b"),),
            "name-latin": (("X-\xe4", "b"),), "name-odd": (("X!A", "b"),), "name-space": (("X A", "b"),),
            "name-empty": (("", "b"),), "colon": (("X-A", "b: c"),), "control": (("X-A", "a\x01b"),),
            "del": (("X-A", "a\x7fb"),), "proxy": (("Proxy", "http://evil/"),),
            "authorization": (("Authorization", "Basic YTpi"),),
            "proxy-authorization": (("Proxy-Authorization", "Basic YTpi"),), "cookie": (("Cookie", "a=b; c=d"),),
            "cookies": (("Cookie", "a=b"), ("Cookie", "c=d")), "type": (("Content-Type", "text/x"),),
            "type-empty": (("Content-Type", ""),), "type-twice": (("Content-Type", "a/b"), ("Content-Type", "c/d")),
            "content-md5": (("Content-MD5", "x"),), "te": (("TE", "trailers"),),
            "upgrade": (("Upgrade", "websocket"), ("Connection", "Upgrade, close")), "expect-odd": (("Expect", "odd"),),
            "range": (("Range", "bytes=0-3"),), "if-modified": (("If-Modified-Since", "Fri, 01 Jan 2038 00:00:00 GMT"),),
            "if-none-match": (("If-None-Match", "*"),), "encoding": (("Accept-Encoding", "gzip"),),
            "folded": (("X-A", "b\r\n c"),), "connection-names": (("Connection", "close, X-A"), ("X-A", "b")),
            "https": (("HTTPS", "on"),), "script-name": (("Script-Name", "/x"),), "wsgi": (("wsgi.version", "x"),),
            "keep-alive": (("Keep-Alive", "5"),), "forwarded": (("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Host", "evil")),
            "referer": (("Referer", "http://a/"),), "method-override": (("X-HTTP-Method-Override", "PUT"),)}.items()},
    "length": {
        name: at("/two", method="POST", headers=headers, body=b"12345") for name, headers in {
            "exact": (("Content-Length", "5"),), "short": (("Content-Length", "3"),), "zero": (("Content-Length", "0"),),
            "plus": (("Content-Length", "+5"),), "minus": (("Content-Length", "-5"),), "words": (("Content-Length", "five"),),
            "empty": (("Content-Length", ""),), "zeros": (("Content-Length", "005"),), "spaces": (("Content-Length", " 5 "),),
            "twice": (("Content-Length", "5"), ("Content-Length", "5")), "hex": (("Content-Length", "0x5"),),
            "twice-differing": (("Content-Length", "5"), ("Content-Length", "3")), "list": (("Content-Length", "5, 5"),),
            "huge": (("Content-Length", "99999999999999999999"),), "float": (("Content-Length", "5.0"),)}.items()},
    "transfer": {
        name: at("/two", method="POST", headers=headers, body=b"5\r\n12345\r\n0\r\n\r\n") for name, headers in {
            "chunked": (("Transfer-Encoding", "chunked"),), "cased": (("Transfer-Encoding", "Chunked"),),
            "gzip": (("Transfer-Encoding", "gzip"),), "identity": (("Transfer-Encoding", "identity"),),
            "gzip-chunked": (("Transfer-Encoding", "gzip, chunked"),),
            "with-length": (("Transfer-Encoding", "chunked"), ("Content-Length", "15")),
            "twice": (("Transfer-Encoding", "chunked"),) * 2, "empty": (("Transfer-Encoding", ""),),
            "odd": (("Transfer-Encoding", "xchunked"),)}.items()},
    "raw": {
        "nothing": Request(raw=b"\r\n\r\n"),
        "bare-newlines": Request(raw=b"GET /two HTTP/1.0\nX-A: b\n\n"),
        "trailers": sent("POST /two", "Transfer-Encoding: chunked", b"1\r\nx\r\n0\r\nX-Trailer: t\r\n\r\n"),
        "extension": sent("POST /two", "Transfer-Encoding: chunked", b"1;a=b\r\nx\r\n0\r\n\r\n"),
        "pipelined": sent("GET /two/1"),
        "unread-then-next": sent("POST /app/input.wsgi/not-at-all", "Content-Length: 5", b"12345"),
        "error-then-next": sent("GET /app/iterables.wsgi/raises-at-once-value-error"),
        "no-length-then-next": sent("GET /app/iterables.wsgi/generator"),
        "empty-then-next": sent("GET /app/response.wsgi/sends-204-no-content")},
    "script": {f"{name} {time}": at(f"/app/{name}.wsgi/x")
        for name in (
            "locked", "nul", "latin", "syntax", "indented", "empty", "crlf", "mark", "cookie", "tabs", "bad-cookie", "imports",
            "raises", "exits", "interrupts", "no-callable", "none", "number", "class", "prints", "reloads", "reload-raises",
            "getattr", "missing") for time in ("first", "second", "third")},
    "setting": {
        name: request for name, request in {
            "authorization": at("/c/authorization", headers=(("Authorization", "Basic YTpi"),)), "not-head": at("/c/head-on"),
            "proxy-authorization": at("/c/authorization", headers=(("Proxy-Authorization", "Basic YTpi"),)),
            "cgi-authorization": at("/c/cgi-authorization", headers=(("Authorization", "Basic YTpi"),)),
            "passed": at("/passed", headers=(("Authorization", "Basic YTpi"),)), "options": at("/options/a"),
            "chunked-off": at("/c/chunked-off", method="POST", chunks=(b"x",)),
            "limited": at("/c/limited", method="POST", body=b"x" * 11),
            "limited-chunked": at("/c/limited", method="POST", chunks=(b"x" * 6, b"y" * 6)),
            "not-limited": at("/c/limited", method="POST", body=b"x" * 10),
            "both-lengths": at("/c/both-lengths", method="POST", chunks=(b"x",)),
            "odd-length": at("/c/odd-length", method="POST", body=b"x"), "coding": at("/c/coding", method="POST", body=b"x"),
            "variables": at("/c/variables", headers=(("X-Case", "1"),)),
            "group-host-other": at("/c/group-host", host="elsewhere:99"),
            "group-host-none": at("/c/group-host", host="", version="HTTP/1.0"),
            **{"head" + name: at("/c/head" + name, method="HEAD") for name in ("-on", "-off", "-deflate", "")},
            "deflated": at("/c/head-deflate", headers=(("Accept-Encoding", "identity"),)),
            **{name: at("/c/" + name + "/a")
                for name in (
                    "path-info-off", "callable", "callable-missing", "callable-env", "callable-odd", "group-server",
                    "group-host", "group-resource", "group-global", "group-named", "group-env", "group-env-unset",
                    "group-env-nested", "group-odd", "process-missing", "process-several", "process-global",
                    "process-restricted", "https-off", "https-1", "request-uri", "request-rec")},
            "rewritten": at("/rewritten/x?y"), "rewritten-away": at("/gone"),
            "rewritten-request-uri": at("/rewritten/c/request-uri")}.items()},
    "trusted": {
        f"{where} {name}": at("/c/" + where + "/a", headers=headers) for where in ("trusted", "untrusted", "anyone") for name, headers in {
            "for": (("X-Forwarded-For", "1.2.3.4"),), "for-several": (("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 10.0.0.1"),),
            "for-all-trusted": (("X-Forwarded-For", "10.0.0.3, 10.0.0.2"),), "for-empty": (("X-Forwarded-For", ""),),
            "for-commas": (("X-Forwarded-For", ", 1.1.1.1,,"),), "for-odd": (("X-Forwarded-For", "1.1.1.1, <script>"),),
            "for-six": (("X-Forwarded-For", "::1, fe80::2"),), "for-port": (("X-Forwarded-For", "1.1.1.1:80"),),
            "for-brackets": (("X-Forwarded-For", "[::1]:80"),),
            "for-twice": (("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")), "real": (("X-Real-IP", "1.2.3.4"),),
            "client": (("X-Client-IP", "1.2.3.4"),), "real-and-for": (("X-Real-IP", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")),
            "host": (("X-Forwarded-Host", "there"),), "host-both": (("X-Forwarded-Host", "there"), ("X-Host", "here")),
            "server": (("X-Forwarded-Server", "there"),), "proto": (("X-Forwarded-Proto", "https"),),
            "proto-cased": (("X-Forwarded-Proto", "HTTPS"),), "proto-odd": (("X-Forwarded-Proto", "ftp"),),
            "ssl": (("X-Forwarded-SSL", "on"),), "ssl-off": (("X-Forwarded-SSL", "Off"),), "ssl-odd": (("X-HTTPS", "yes"),),
            "https": (("X-HTTPS", "1"),), "port": (("X-Forwarded-Port", "443"),), "script": (("X-Script-Name", "/mount"),),
            "script-slash": (("X-Script-Name", "/mount/"),), "script-other": (("X-Forwarded-Script-Name", "/mount"),),
            "underscore": (("X_Forwarded_For", "6.6.6.6"),), "scheme": (("X-Scheme", "https"),)}.items()},
    "access": {
        **{answer: at("/c/access", headers=(("X-Answer", answer),))
            for answer in ("True", "False", "None", "1", "0", "'x'", "b'x'", "[]", "raise", "exit", "dump", "print")},
        **{name: at("/c/" + name) for name in ("access-missing", "access-without", "access-raises")}},
    "basic": {
        **{f"answers {answer}": basic("basic", "user", answer)
            for answer in (
                "True", "False", "None", "1", "0", "'other'", "''", "b'other'", "'\\xe4'", "'\\u20ac'", "'a\\0b'", "raise",
                "exit", "[]")},
        "dump": basic("basic", "dump", "p\xe4ss"), "none": at("/c/basic"),
        "odd": at("/c/basic", headers=(("Authorization", "Basic !"),)),
        "other-type": at("/c/basic", headers=(("Authorization", "Bearer x"),)), "empty-user": basic("basic", "", "True"),
        **{name: basic(name, "plain", "x") for name in ("basic-missing", "basic-without", "basic-unset")}},
    "digest": {"none": at("/c/digest"), "odd": at("/c/digest", headers=(("Authorization", "Digest x"),))},
    "groups": {
        **{f"answers {answer}": at("/c/groups", headers=(*basic("groups", "plain", "x").headers, ("X-Answer", answer)))
            for answer in (
                "['staff']", "('staff',)", "{'staff'}", "['STAFF']", "[b'staff']", "['other people']", "['other']", "[]",
                "None", "5", "'staff'", "b'staff'", "[5]", "['staff', 5]", "['\\u20ac']", "['staff\\0']", "raise", "exit",
                "lazy('staff')", "late('staff')", "[None]", "{'staff': 1}")},
        "in": basic("groups", "in-staff", "x"), "out": basic("groups", "in-others", "x"),
        "unset": basic("groups-unset", "plain", "x"), "missing": basic("groups-missing", "plain", "x"), "none": at("/c/groups")},
    "dispatch": {
        **{f"{what} {answer}": at(f"/c/dispatch?{what}=", headers=(("X-Answer", answer),))
            for what in ("process", "application", "callable") for answer in (
                "None", "'named'", "b'named'", "''", "'%{GLOBAL}'", "'%{SERVER}'", "'other'", "b'other'", "5", "[]", "raise",
                "exit", "'\\u20ac'", "'%{ODD}'")},
        **{f"{name} to": at("/c/" + name) for name in ("dispatch-missing", "dispatch-raises", "dispatch-empty")},
        "dump": at("/c/dispatch?dump")},
    "page": {f"{where} {name}": at(f"/{where}/{name}")
        for where in ("page", "documented") for name in (
            "sends-404-not-found", "sends-500-internal", "do-status-503", "sends-401-unauthorized", "sends-300-choices",
            "do-status-bytes", "do-headers-challenges", "sends-599-odd", "do-status-404")},
    "handler": {path: at(path)
        for path in (
            "/handled/static.txt", "/handled/static.txt/x", "/handled/missing", "/handled", "/handled/",
            "/unhandled/static.txt", "/plain/environ.wsgi", "/plain/environ.wsgi/x", "/plain/missing.wsgi", "/plain/",
            "/plain/folder.wsgi", "/forbidden/environ.wsgi", "/typed/environ.wsgi/x", "/typed/tools.py")},}
