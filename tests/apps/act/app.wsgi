"""Does to its process what the path says; /path?value. Answers its process id.

A held request notes its process id in var/held-NAME and waits for var/go-NAME."""
import atexit
import ctypes
import os
import signal
import sys
import time

kept = []


def note(folder, name, text=""):
    path = os.path.join(folder, name)
    with open(path + ".new", "w") as file:
        file.write(text or str(os.getpid()))
    os.rename(path + ".new", path)


def hold_on(folder, name):
    note(folder, "held-" + name)
    end = time.monotonic() + 120
    while not os.path.exists(os.path.join(folder, "go-" + name)) and time.monotonic() < end:
        time.sleep(0.002)


def end_slowly(folder):
    note(folder, "ending-%d" % os.getpid())
    time.sleep(60)
    note(folder, "ended-%d" % os.getpid())


def application(environ, start_response):
    path, value = environ["PATH_INFO"], environ["QUERY_STRING"]
    folder = environ["demo.var"]
    headers = [("Content-Type", "text/plain")]
    if path == "/begun":
        def pieces():
            yield b"%d " % os.getpid()
            hold_on(folder, value)
            yield b"whole"
        start_response("200 OK", headers)
        return pieces()
    if path == "/stream":
        # Leaves the request body unread.
        start_response("200 OK", headers)
        return (b"x" * 50000 for _ in range(int(value) // 50000))
    if path == "/header":
        headers.append(("X-Long", "x" * int(value)))
    elif path == "/hold":
        hold_on(folder, value)
    elif path == "/clean-up":
        try:
            hold_on(folder, value)
        except BaseException as cause:
            note(folder, "raised-" + value, type(cause).__name__)
            raise
    elif path == "/kill":
        os.kill(os.getpid(), int(value))
        time.sleep(60)
    elif path.startswith("/exit"):
        os._exit(int(value))
    elif path == "/crash":
        ctypes.string_at(0)
    elif path == "/keep-the-gil":
        note(folder, "held-" + value)
        ctypes.PyDLL(None).sleep(120)
    elif path == "/compute":
        while time.process_time() < float(value):
            pass
    elif path == "/allocate":
        try:
            bytearray(int(value))
        except MemoryError:
            start_response("507 Insufficient Storage", headers)
            return [b"MemoryError"]
    elif path == "/keep":
        kept.append(b"x" * int(value))
    elif path == "/sleep":
        time.sleep(float(value))
    elif path == "/atexit":
        atexit.register(note, folder, "atexit-%d" % os.getpid())
    elif path == "/end-slowly":
        atexit.register(end_slowly, folder)
    elif path == "/print":
        print(value, file=sys.stderr)
    elif path == "/handler":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    body = b"%d" % os.getpid()
    start_response("200 OK", headers + [("Content-Length", str(len(body)))])
    return [body]
