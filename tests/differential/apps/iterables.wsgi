# What applications return and raise: iterables of all kinds, file wrappers, exceptions before, in and after them.
import array
import gzip
import io
import os
import tempfile

from tools import Apps, described, raised, reply

application = Apps()
app = application.app
TEXT = [("Content-Type", "text/plain")]


class _Bytes(bytes):
    pass


def _body(name, make, headers=TEXT, **request):
    def answer(environ, start_response):
        start_response("200 OK", list(headers))
        return make()
    application.add(name, answer, **request)


for _name, _make in {
    "list": lambda: [b"one", b"two"], "list-of-one": lambda: [b"one"], "list-empty": lambda: [],
    "list-of-nothing": lambda: [b""], "tuple": lambda: (b"one", b"two"), "bytes": lambda: b"ab", "bytes-empty": lambda: b"",
    "str": lambda: "ab", "str-empty": lambda: "", "str-item": lambda: ["ab"], "str-second": lambda: [b"one", "two"],
    "str-second-lazy": lambda: iter([b"one", "two"]), "none": lambda: None, "number": lambda: 5, "dict": lambda: {b"one": 1},
    "set": lambda: {b"one"}, "bytearray": lambda: bytearray(b"ab"), "bytearray-item": lambda: [bytearray(b"ab")],
    "memoryview-item": lambda: [memoryview(b"ab")], "number-item": lambda: [5], "none-item": lambda: [None],
    "list-item": lambda: [[b"ab"]], "subclass-item": lambda: [_Bytes(b"ab")], "iterator": lambda: iter([b"one", b"two"]),
    "generator": lambda: (each for each in (b"one", b"two")), "generator-empty": lambda: (each for each in ()),
    "generator-nothing": lambda: (each for each in (b"", b"")), "map": lambda: map(bytes.upper, [b"one"]),
    "array": lambda: array.array("b", b"ab"), "file": lambda: io.BytesIO(b"one\ntwo\n"),
    "text-file": lambda: io.StringIO("one"), "class": lambda: dict, "function": lambda: len, "big": lambda: [b"x" * 300000],
    "big-lazy": lambda: iter([b"x" * 300000]), "many": lambda: [b"x"] * 3000,
    "exception": lambda: ValueError("app: as a value"), "deque": lambda: __import__("collections").deque([b"one"]),
    "list-subclass": lambda: type("L", (list,), {})([b"one", b"two"]),
    "nothing-between": lambda: iter([b"one", b"", b"two"])}.items():
    _body(_name, _make)
for _name, _words in {"list-head": {"method": "HEAD"}, "list-old": {"version": "HTTP/1.0"}}.items():
    _body(_name, lambda: [b"one", b"two"], **_words)
for _name, _words in {"generator-head": {"method": "HEAD"}, "generator-old": {"version": "HTTP/1.0"}}.items():
    _body(_name, lambda: (each for each in (b"one", b"two")), **_words)

ERRORS = {
    "value-error": ValueError("app: x"), "no-text": ValueError(), "key-error": KeyError("app: x"),
    "os-error": OSError(5, "app: x"), "system-exit": SystemExit(3), "system-exit-text": SystemExit("app: leaving"),
    "keyboard": KeyboardInterrupt("app: x"), "generator-exit": GeneratorExit("app: x"),
    "stop-iteration": StopIteration("app: x"), "base": BaseException("app: x"), "memory": MemoryError("app: x"),
    "unicode": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "app: x"), "lines": ValueError("app: a\napp: b"),
    "latin": ValueError("app: \xe4\u20ac"), "nul": ValueError("app: a\0b"), "broken-pipe": BrokenPipeError(32, "app: x"),
    "group": ExceptionGroup("app: several", [ValueError("app: x"), TypeError("app: y")]),
    "long": ValueError("app: " + "x" * 9000), "recursion": RecursionError("app: x"), "import": ImportError("app: x"),
    "assertion": AssertionError("app: x")}


def _raising(name, error):
    def at_once(environ, start_response):
        raise error.with_traceback(None)

    def after_start(environ, start_response):
        start_response("200 OK", TEXT)
        raise error.with_traceback(None)

    def before_item(environ, start_response):
        start_response("200 OK", TEXT)
        if error:
            raise error.with_traceback(None)
        yield b"never"

    def after_item(environ, start_response):
        start_response("200 OK", TEXT)
        yield b"one item"
        raise error.with_traceback(None)

    def after_item_length(environ, start_response):
        start_response("200 OK", [("Content-Length", "30")])
        yield b"one item"
        raise error.with_traceback(None)
    application.add("raises-at-once-" + name, at_once)
    application.add("raises-after-start-" + name, after_start)
    application.add("raises-before-item-" + name, before_item)
    application.add("raises-after-item-" + name, after_item)
    if name in ("value-error", "system-exit", "keyboard"):
        application.add("raises-after-item-length-" + name, after_item_length)


for _name, _error in ERRORS.items():
    _raising(_name, _error)


class Broken(Exception):
    def __str__(self):
        raise ValueError("app: in __str__")


@app
def raises_unprintable(environ, start_response):
    raise Broken


@app
def raises_chained(environ, start_response):
    try:
        raise ValueError("app: first")
    except ValueError as error:
        raise TypeError("app: second") from error


@app
def raises_in_handling(environ, start_response):
    try:
        raise ValueError("app: first")
    except ValueError:
        raise TypeError("app: second")


@app
def raises_with_notes(environ, start_response):
    error = ValueError("app: x")
    error.add_note("app: a note")
    raise error


@app
def raises_deep(environ, start_response):
    def down(levels):
        return down(levels - 1) if levels else 1 / 0
    return down(20)


@app
def calls_exit(environ, start_response):
    __import__("sys").exit()


@app
def wrong_arguments(environ, start_response, more):
    pass


class Body:
    """An iterable with parts that fail, and notes of what was called."""

    def __init__(self, items=(b"one", b"two"), fail=(), errors=None):
        self.items, self.fail, self.errors, self.calls = iter(items), fail, errors, []

    def say(self, what):
        if self.errors:
            print("called:", what, file=self.errors)
        if what in self.fail:
            raise ValueError("app: in " + what)

    def __iter__(self):
        self.say("iter")
        return self

    def __next__(self):
        self.say("next")
        return next(self.items)

    def close(self):
        self.say("close")


def _closing(name, fail, **words):
    def answer(environ, start_response):
        start_response("200 OK", TEXT)
        return Body(fail=fail, errors=environ["wsgi.errors"], **words)
    application.add("close-" + name, answer)


_closing("plain", ())
_closing("raises", ("close",))
_closing("after-iter-raised", ("iter",))
_closing("after-next-raised", ("next",))
_closing("raises-too", ("next", "close"))
_closing("after-str", (), items=(b"one", "two"))
_closing("after-str-first", (), items=("one",))
_closing("after-nothing", (), items=())


@app
def close_without_start(environ, start_response):
    return Body(errors=environ["wsgi.errors"])


@app
def close_exits(environ, start_response):
    class Exits(Body):
        def close(self):
            raise SystemExit("app: in close")
    start_response("200 OK", TEXT)
    return Exits()


@app
def close_property_raises(environ, start_response):
    class Raises(list):
        @property
        def close(self):
            raise ValueError("app: in the property")
    start_response("200 OK", TEXT)
    return Raises([b"one"])


@app
def close_property_missing(environ, start_response):
    class Missing(list):
        @property
        def close(self):
            raise AttributeError("app: in the property")
    start_response("200 OK", TEXT)
    return Missing([b"one"])


@app
def close_not_callable(environ, start_response):
    class Odd(list):
        close = 5
    start_response("200 OK", TEXT)
    return Odd([b"one"])


@app
def close_with_arguments(environ, start_response):
    class Odd(list):
        def close(self, more):
            pass
    start_response("200 OK", TEXT)
    return Odd([b"one"])


@app
def close_starts_again(environ, start_response):
    class Starts(Body):
        def close(self):
            print("in close:", raised(start_response, "200 OK", []), file=environ["wsgi.errors"])
    start_response("200 OK", TEXT)
    return Starts()


@app
def close_writes(environ, start_response):
    write = start_response("200 OK", TEXT)

    class Writes(Body):
        def close(self):
            print("in close:", raised(write, b"x"), raised(environ["wsgi.input"].read), file=environ["wsgi.errors"])
    return Writes()


@app
def iter_odd(environ, start_response):
    class Odd:
        def __iter__(self):
            return 5
    start_response("200 OK", TEXT)
    return Odd()


@app
def getitem_only(environ, start_response):
    class Old:
        def __getitem__(self, index):
            return (b"one", b"two")[index]
    start_response("200 OK", TEXT)
    return Old()


@app
def length_lies(environ, start_response):
    class Lies(list):
        def __len__(self):
            return 1
    start_response("200 OK", TEXT)
    return Lies([b"one", b"two"])


# --- wsgi.file_wrapper ---

def _wrapped(name, make, headers=TEXT, size=(), before=None, **request):
    def answer(environ, start_response):
        write = start_response("200 OK", list(headers))
        if before:
            write(before)
        return environ["wsgi.file_wrapper"](make(), *size)
    application.add("wrapper-" + name, answer, **request)


def _file(content=b"0123456789" * 1000, at=0, mode="w+b"):
    file = tempfile.TemporaryFile(mode)
    file.write(content)
    file.flush()
    file.seek(at)
    return file


def _pipe():
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    return os.fdopen(reading, "rb")


class Reads:
    def __init__(self, items=(b"one", b"two")):
        self.items = list(items)

    def read(self, size=-1):
        return self.items.pop(0) if self.items else b""


class Closes(Reads):
    def close(self):
        raise ValueError("app: in close")


class Pretends(Reads):
    def fileno(self):
        raise OSError("app: no descriptor")


class Tells(Reads):
    def __init__(self):
        super().__init__()
        self.file = _file(b"of the file")

    def fileno(self):
        return self.file.fileno()

    def tell(self):
        return "nowhere"


class Closed(Tells):
    def fileno(self):
        return 999

    def tell(self):
        return 0


class Delegates(Reads):
    """A read() of its own, everything else is the file's."""
    def __init__(self):
        super().__init__()
        self.file = _file(b"of the file")

    def __getattr__(self, name):
        return getattr(self.file, name)


def _packed():
    file = tempfile.TemporaryFile()
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as archive:
        archive.write(b"unpacked")
    file.seek(0)
    return gzip.GzipFile(fileobj=file)


for _name, _make in {
    "packed": _packed, "delegates": Delegates, "process": lambda: open("/proc/sys/kernel/ostype", "rb"), "file": _file, "file-at": lambda: _file(at=9990), "file-at-end": lambda: _file(at=10000),
    "file-beyond": lambda: _file(at=20000), "file-empty": lambda: _file(b""), "memory": lambda: io.BytesIO(b"in memory"),
    "text": lambda: io.StringIO("text"), "text-file": lambda: _file("text", mode="w+"), "pipe": _pipe, "reads": Reads,
    "reads-str": lambda: Reads(["text"]), "reads-none": lambda: Reads([None]), "pretends": Pretends, "tells-odd": Tells,
    "closed-descriptor": Closed, "close-raises": Closes, "nothing": object, "none": lambda: None, "list": lambda: [b"x"],
    "device": lambda: open("/dev/null", "rb"), "unbuffered": lambda: os.fdopen(os.dup(_file().fileno()), "rb", 0)}.items():
    _wrapped(_name, _make)
_wrapped("head", _file, method="HEAD")
_wrapped("old", _file, version="HTTP/1.0")
_wrapped("range", _file, headers=(("Range", "bytes=0-3"),))
_wrapped("asked-range", _file)
for _name, _value in {"shorter": "10", "exact": "10000", "longer": "20000", "zero": "0", "odd": "x"}.items():
    _wrapped("length-" + _name, _file, headers=[("Content-Length", _value)])
    _wrapped("memory-length-" + _name, lambda: io.BytesIO(b"0123456789" * 1000), headers=[("Content-Length", _value)])
_wrapped("size", lambda: io.BytesIO(b"in memory"), size=(2,))
_wrapped("size-zero", lambda: io.BytesIO(b"in memory"), size=(0,))
_wrapped("after-write", _file, before=b"first ")


@app
def wrapper_not_started(environ, start_response):
    return environ["wsgi.file_wrapper"](_file())


@app
def wrapper_facts(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    file = io.BytesIO(b"abcdef")
    one = wrapper(file, 2)
    # Not what is refused: C mod_wsgi may crash when it gives an unfinished wrapper back.
    found = {
        "type": described(wrapper), "keywords": raised(wrapper, filelike=file, blksize=3), "default": wrapper(file).blksize,
        "size": one.blksize, "file": one.filelike is file, "next": raised(next, iter(one)), "own iterator": iter(one) is one,
        "set": raised(setattr, one, "blksize", 5), "set other": raised(setattr, one, "other", 5),
        "subclass": raised(type, "W", (wrapper,), {}), "close": raised(one.close), "closed": file.closed,
        "after": raised(lambda: one.filelike), "next after": raised(lambda: next(iter(one))), "again": raised(one.close)}
    return reply(start_response, found)


@app
def wrapper_subclass(environ, start_response):
    class Mine(environ["wsgi.file_wrapper"]):
        def close(self):
            print("closing", file=environ["wsgi.errors"])
            super().close()
    start_response("200 OK", TEXT)
    return Mine(_file())


@app
def wrapper_overridden(environ, start_response):
    class Mine(environ["wsgi.file_wrapper"]):
        def __next__(self):
            raise StopIteration
    start_response("200 OK", TEXT)
    return Mine(_file())


@app
def wrapper_iterated(environ, start_response):
    start_response("200 OK", TEXT)
    return iter(environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"), 4))


@app
def wrapper_closed_before(environ, start_response):
    start_response("200 OK", TEXT)
    file = _file()
    wrapper = environ["wsgi.file_wrapper"](file)
    file.close()
    return wrapper


@app
def wrapper_moved(environ, start_response):
    start_response("200 OK", TEXT)
    file = _file()
    wrapper = environ["wsgi.file_wrapper"](file)
    file.read(9990)
    return wrapper
