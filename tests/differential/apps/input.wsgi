# wsgi.input, read in each way, for bodies sent in each way.
from tools import Apps, raised, reply

application = Apps()
app = application.app
BODY = b"first line\nsecond line\n\nlast"
LONG = b"".join(b"line %d\n" % number for number in range(20000))


class Index:
    def __index__(self):
        return 4


READS = {
    "read": [("read",)], "read-4": [("read", 4)] * 4, "read-0": [("read", 0), ("read",)],
    "read-minus": [("read", -1), ("read",)], "read-minus-5": [("read", -5)], "read-more": [("read", 1000), ("read", 1)],
    "read-none": [("read", None)], "read-str": [("read", "4")], "read-float": [("read", 4.0)],
    "read-index": [("read", Index())], "read-true": [("read", True)], "read-huge": [("read", 1 << 70)],
    "read-two": [("read", 1, 2)], "read-twice": [("read",), ("read",)], "line": [("readline",)] * 5,
    "line-3": [("readline", 3)] * 6, "line-0": [("readline", 0), ("readline",)], "line-minus": [("readline", -1)],
    "line-none": [("readline", None)], "line-str": [("readline", "x")], "line-more": [("readline", 1000)] * 2,
    "lines": [("readlines",)] * 2, "lines-5": [("readlines", 5)] * 3, "lines-0": [("readlines", 0)],
    "lines-minus": [("readlines", -1)], "lines-none": [("readlines", None)], "next": [("__next__",)] * 5,
    "mixed": [("read", 3), ("readline",), ("__next__",), ("read",)], "close": [("close",), ("read",)], "not-at-all": []}
SENT = {
    "": {"body": BODY}, "-chunked": {"chunks": (BODY[:7], BODY[7:])},
    "-nothing": {"method": "POST", "headers": (("Content-Length", "0"),)}, "-without": {"method": "POST"}}


def _reading(name, calls, **request):
    def answer(environ, start_response):
        found = [raised(getattr(environ["wsgi.input"], call[0]), *call[1:]) for call in calls]
        return reply(start_response, {f"{number} {call[0]}": each for number, (call, each) in enumerate(zip(calls, found))})
    application.add(name, answer, **{"method": "POST", **request})


for _name, _calls in READS.items():
    for _how, _words in SENT.items():
        if _how in ("", "-chunked") or _name in ("read", "read-4", "line", "lines", "next"):
            _reading(_name + _how, _calls, **_words)


def _summed(name, work, **request):
    def answer(environ, start_response):
        found = work(environ["wsgi.input"])
        return reply(start_response, {"length": len(found), "sum": sum(found), "rest": raised(environ["wsgi.input"].read, 3)})
    application.add(name, answer, **{"method": "POST", "body": LONG, **request})


WAYS = {
    "read": lambda input: input.read(), "pieces": lambda input: b"".join(iter(lambda: input.read(1000), b"")),
    "lines": lambda input: b"".join(input.readlines()), "iterated": lambda input: b"".join(input),
    "line-by-line": lambda input: b"".join(iter(input.readline, b"")), "partly": lambda input: input.read(10),
    "one-line": lambda input: input.readline(), "nothing": lambda input: b""}
for _name, _work in WAYS.items():
    _summed("long-" + _name, _work)
    _summed("long-chunked-" + _name, _work, body=b"", chunks=tuple(LONG[at:at + 7000] for at in range(0, len(LONG), 7000)))
    _summed("expect-" + _name, _work, expect=True)
    _summed("broken-off-" + _name, lambda input, work=_work: raised(work, input).encode(), body=b"not all",
            headers=(("Content-Length", "100"),), close=True)
_summed("no-newline", lambda input: input.readline(), body=b"x" * 50000)
_summed("get-with-body", lambda input: input.read(), method="GET", body=b"in a GET")
_summed("delete-with-body", lambda input: input.read(), method="DELETE", body=b"in a DELETE")
_summed(
    "broken-chunk", lambda input: raised(input.read).encode(), body=b"zz\r\nnot a chunk\r\n0\r\n\r\n",
    headers=(("Transfer-Encoding", "chunked"),))
_summed(
    "chunk-broken-off", lambda input: raised(input.read).encode(), body=b"20\r\nshort",
    headers=(("Transfer-Encoding", "chunked"),), close=True)


@app(method="POST", body=BODY)
def iterated(environ, start_response):
    return reply(start_response, {"lines": list(map(repr, environ["wsgi.input"]))})


@app(method="POST", body=BODY)
def after_response(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun "
    yield environ["wsgi.input"].read()


@app(method="POST", body=LONG)
def echoed(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(LONG)))])
    return iter(lambda: environ["wsgi.input"].read(5000), b"")


@app(method="POST", body=LONG, expect=True)
def refused_unread(environ, start_response):
    start_response("403 No", [("Content-Length", "2")])
    return iter([b"no"])


@app(method="POST", body=LONG)
def raises_unread(environ, start_response):
    raise ValueError("app: x")


KEPT = []


@app(method="POST", body=BODY)
def keeps(environ, start_response):
    KEPT[:] = [environ["wsgi.input"], environ["wsgi.errors"]]
    return reply(start_response, {"read": raised(KEPT[0].read, 2)})


@app
def uses_kept(environ, start_response):
    input, errors = KEPT
    found = {
        "read": raised(input.read), "readline": raised(input.readline), "readlines": raised(input.readlines),
        "next": raised(next, input), "close": raised(input.close), "write": raised(errors.write, "late\n"),
        "flush": raised(errors.flush)}
    return reply(start_response, found)
