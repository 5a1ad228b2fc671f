# start_response and write, used and misused.
import sys

from tools import Apps, raised, reply

application = Apps()
app = application.app
TEXT = [("Content-Type", "text/plain")]


def _start(name, *arguments, **named):
    """Two applications: one answers with what start_response did with these arguments, one lets it happen."""
    def tried(environ, start_response):
        result = raised(start_response, *arguments, **named)
        return reply(start_response, {"start_response": result.split(" at ")[0]})

    def done(environ, start_response):
        start_response(*arguments, **named)
        return iter([b"body"])
    application.add("try-" + name, tried)
    application.add("do-" + name, done)


class Text(str):
    pass


class Headers(list):
    pass


class Pair(tuple):
    pass


for _name, _status in {
    "plain": "200 OK", "bytes": b"200 OK", "none": None, "number": 200, "subclass": Text("200 OK"), "empty": "",
    "code-only": "200", "code-space": "200 ", "two-spaces": "200  OK", "short": "20 OK", "long": "2000 OK", "letters": "abc OK",
    "leading-space": " 200 OK", "tab": "200\tOK", "newline": "200 OK\n", "crlf": "200 OK\r\nX: y", "nul": "200 O\0K",
    "control": "200 O\x01K", "latin": "200 \xe4", "wide": "200 \u20ac", "fancy-digits": "\u0662\u0660\u0660 OK",
    "unknown": "299 Whatever", "999": "999 Big", "600": "600 Big", "000": "000 Zero", "minus": "-20 OK",
    "404": "404 Nothing here", "500": "500 Oh", "503": "503 Later", "200-error": "200 Error", "418": "418 I'm a teapot",
    "long-reason": "200 " + "x" * 3000, "colon": "200: OK", "del": "200 O\x7fK"}.items():
    _start("status-" + _name, _status, TEXT)

for _name, _headers in {
    "none": None, "tuple": (("X-A", "b"),), "dict": {"X-A": "b"}, "str": "X-A: b", "iterator": iter([("X-A", "b")]),
    "empty": [], "subclass": Headers([("X-A", "b")]), "item-list": [["X-A", "b"]], "item-str": ["ab"],
    "item-three": [("X-A", "b", "c")], "item-one": [("X-A",)], "item-none": [None], "item-subclass": [Pair(("X-A", "b"))],
    "name-bytes": [(b"X-A", "b")], "value-bytes": [("X-A", b"b")], "value-number": [("X-A", 5)], "value-none": [("X-A", None)],
    "name-empty": [("", "b")], "value-empty": [("X-A", "")], "name-space": [("X A", "b")], "name-colon": [("X:A", "b")],
    "name-tab": [("X\tA", "b")], "name-newline": [("X\nA", "b")], "name-nul": [("X\0A", "b")], "name-latin": [("X-\xe4", "b")],
    "name-wide": [("X-\u20ac", "b")], "name-odd": [("X(A)", "b")], "name-underscore": [("X_A", "b")],
    "name-del": [("X\x7fA", "b")], "value-newline": [("X-A", "b\nc")], "value-cr": [("X-A", "b\rc")],
    "value-crlf": [("X-A", "b\r\nX-C: d")], "value-folded": [("X-A", "b\r\n c")], "value-nul": [("X-A", "b\0c")],
    "value-control": [("X-A", "b\x01c")], "value-tab": [("X-A", "b\tc")], "value-latin": [("X-A", "\xe4")],
    "value-wide": [("X-A", "\u20ac")], "value-spaces": [("X-A", "  b  ")], "value-del": [("X-A", "b\x7fc")],
    "value-subclass": [("X-A", Text("b"))], "twice": [("X-A", "b"), ("X-A", "c")], "twice-cased": [("X-A", "b"), ("x-a", "c")],
    "cookies": [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")],
    "challenges": [("WWW-Authenticate", 'Basic realm="a"'), ("WWW-Authenticate", 'Basic realm="b"')],
    "connection": [("Connection", "keep-alive")], "keep-alive": [("Keep-Alive", "timeout=1")], "upgrade": [("Upgrade", "h2c")],
    "transfer-encoding": [("Transfer-Encoding", "identity")], "date": [("Date", "Thu, 01 Jan 1970 00:00:00 GMT")],
    "server": [("Server", "mine/1.0")], "status": [("Status", "404 Not Found")],
    "many": [(f"X-{number}", "v") for number in range(150)],
    "type-twice": [("Content-Type", "text/plain"), ("Content-Type", "text/html")],
    "type-odd": [("Content-Type", "Text/HTML; Charset=UTF-8 ")], "type-empty": [("Content-Type", "")],
    "modified": [("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")],
    "modified-future": [("Last-Modified", "Fri, 01 Jan 2038 00:00:00 GMT")], "modified-odd": [("Last-Modified", "yesterday")],
    "etag": [("ETag", '"abc"')], "expires": [("Expires", "0")], "vary": [("Vary", "A"), ("Vary", "B")],
    "location": [("Location", "http://elsewhere/x")], "range": [("Content-Range", "bytes 0-3/10")],
    "disposition": [("Content-Disposition", 'attachment; filename="\xe4.txt"')], "encoding": [("Content-Encoding", "identity")],
    "language": [("Content-Language", "de")]}.items():
    _start("headers-" + _name, "200 OK", _headers)
_start("headers-long", "200 OK", [("X-A", "v" * 20000)])

_start("no-arguments")
_start("one-argument", "200 OK")
_start("four-arguments", "200 OK", [], None, None)
_start("keywords", status="200 OK", headers=[])
_start("keyword-exc-info", "200 OK", [], exc_info=None)
for _name, _info in {"none": None, "empty": (), "list": [None, None, None], "two": (None, None), "nones": (None, None, None),
                     "number": 5, "exception": ValueError("app: x"), "string": "abc"}.items():
    _start("exc-info-" + _name, "200 OK", [], _info)


@app
def returns_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    return iter([type(write).__name__.encode(), b" ", str(callable(write)).encode()])


@app
def twice_before(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    start_response("201 Created", [("X-Second", "2")])
    return iter([b"body"])


@app
def twice_bad_second(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    return reply(start_response, {"second": raised(start_response, 5, [])})


@app
def twice_after(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    yield raised(start_response, "201 Created", []).encode()


@app
def exc_info_before(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("app: x")
    except ValueError:
        start_response("500 Own", [("X-Second", "2")], sys.exc_info())
    return iter([b"own page"])


@app
def exc_info_after(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    try:
        raise ValueError("app: x")
    except ValueError:
        yield raised(start_response, "500 Own", [], sys.exc_info()).encode()


@app
def exc_info_after_uncaught(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    try:
        raise ValueError("app: x")
    except ValueError:
        start_response("500 Own", [], sys.exc_info())


@app
def exc_info_short_after(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    # Not a tuple without an exception: C mod_wsgi may crash.
    for info in ((), (None, None), (ValueError, ValueError("app: x")), [ValueError, None, None], (ValueError, None, None, None),
                 (ValueError, None, None), (ValueError, ValueError("app: x"), None)):
        yield raised(start_response, "500 Own", [], info).encode() + b" "


@app
def exc_info_class_after(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    yield raised(start_response, "500 Own", [], (ValueError, "app: text", None)).encode()


@app
def never(environ, start_response):
    return [b"body"]


@app
def never_empty(environ, start_response):
    return []


@app
def in_iteration(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"late"


@app
def after_first_item(environ, start_response):
    yield b"early"
    start_response("200 OK", TEXT)


@app
def after_empty_item(environ, start_response):
    yield b""
    start_response("200 OK", TEXT)
    yield b"body"


KEPT = []


@app
def keeps_start_response(environ, start_response):
    KEPT[:] = [start_response, start_response("200 OK", TEXT)]
    return iter([b"kept"])


@app
def uses_kept(environ, start_response):
    return reply(start_response, {"start_response": raised(KEPT[0], "200 OK", []), "write": raised(KEPT[1], b"x"),
                                  "write nothing": raised(KEPT[1], b"")})


@app
def write_once(environ, start_response):
    start_response("200 OK", TEXT)(b"written")
    return []


@app
def write_and_list(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two ")
    return [b"three"]


@app
def write_nothing_then_start(environ, start_response):
    start_response("200 OK", TEXT)(b"")
    return reply(lambda *_: None, {"second": raised(start_response, "201 Created", [])})


@app
def write_wrong(environ, start_response):
    write = start_response("200 OK", TEXT)
    found = [raised(write, value) for value in ("text", None, 5, bytearray(b"x"), memoryview(b"x"), [b"x"])]
    found += [raised(write), raised(write, b"a", b"b"), raised(write, data=b"a")]
    return iter([" ".join(found).encode()])


@app
def write_result(environ, start_response):
    write = start_response("200 OK", TEXT)
    return iter([repr(write(b"x")).encode()])


@app
def write_then_raise(environ, start_response):
    start_response("200 OK", TEXT)(b"written")
    raise ValueError("app: after write")


@app
def write_in_iteration(environ, start_response):
    write = start_response("200 OK", TEXT)
    yield b"one "
    write(b"two ")
    yield b"three"


@app
def write_beyond_length(environ, start_response):
    write = start_response("200 OK", [("Content-Length", "5")])
    write(b"123")
    write(b"4567")
    return [b"89"]


class _Bytes(bytes):
    pass


@app
def write_subclass(environ, start_response):
    start_response("200 OK", TEXT)(_Bytes(b"sub"))
    return []


def _length(name, value, body=b"12345", **request):
    def answer(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", value)])
        return iter([body] if body else [])
    application.add("length-" + name, answer, **request)


for _name, _value in {
    "exact": "5", "short": "3", "long": "9", "zero": "0", "plus": "+5", "minus": "-5", "spaces": " 5 ", "hex": "0x5",
    "empty": "", "words": "five", "float": "5.0", "zeros": "0005", "list": "5, 5", "huge": "99999999999999999999",
    "trailing": "5x"}.items():
    _length(_name, _value)
_length("exact-head", "5", method="HEAD")
_length("long-head", "9", method="HEAD")
_length("exact-old", "5", version="HTTP/1.0")
_length("body-missing", "5", b"")


@app
def length_twice(environ, start_response):
    start_response("200 OK", [("Content-Length", "5"), ("Content-Length", "5")])
    return iter([b"12345"])


@app
def length_twice_differing(environ, start_response):
    start_response("200 OK", [("Content-Length", "3"), ("Content-Length", "5")])
    return iter([b"12345"])


@app
def length_lower_case(environ, start_response):
    start_response("200 OK", [("content-length", "5")])
    return iter([b"12345"])


def _status(status, body=b"body", headers=TEXT, **request):
    def answer(environ, start_response):
        start_response(status, list(headers))
        return iter([body])
    name = "sends-" + status.lower().replace(" ", "-") + "".join("-" + str(each).lower() for each in request.values())
    application.add(name, answer, **request)


for _each in (
    "204 No Content", "304 Not Modified", "205 Reset Content", "100 Continue", "101 Switching Protocols", "102 Processing",
    "103 Early Hints", "206 Partial Content", "300 Choices", "401 Unauthorized", "404 Not Found", "416 Range Not Satisfiable",
    "500 Internal", "502 Bad", "599 Odd"):
    _status(_each)
for _each in ("200 OK", "204 No Content", "304 Not Modified", "404 Not Found"):
    _status(_each, method="HEAD")
    _status(_each, version="HTTP/1.0")


def _location(name, status, location):
    def answer(environ, start_response):
        start_response(status, [("Location", location), ("Content-Type", "text/plain"), ("X-Mine", "1")])
        return iter([b"elsewhere"])
    application.add("location-" + name, answer)


for _name, (_code, _where) in {
    "302-absolute": ("302 Found", "http://elsewhere/x"), "302-local": ("302 Found", "/two/x"),
    "302-relative": ("302 Found", "x"), "200-local": ("200 OK", "/two/x?q=1"), "200-absolute": ("200 OK", "http://elsewhere/x"),
    "200-relative": ("200 OK", "x"), "200-static": ("200 OK", "/static.txt"), "200-nothing": ("200 OK", "/nothing"),
    "201-local": ("201 Created", "/two/x"), "200-slashes": ("200 OK", "//elsewhere/x"), "200-empty": ("200 OK", ""),
    "200-self": ("200 Fine", "/two")}.items():
    _location(_name, _code, _where)


@app(method="POST", body=b"posted")
def location_post(environ, start_response):
    start_response("200 OK", [("Location", "/two/x")])
    return iter([b"elsewhere"])


@app(method="HEAD")
def location_head(environ, start_response):
    start_response("200 OK", [("Location", "/static.txt")])
    return iter([b"elsewhere"])
