"""The rows of the table: what is asked for, by how many clients, of whom."""
import dataclasses
import functools

import load
from servers import Shape

EMBEDDED = ("c", "static", "embedded", "peer-embedded")
DAEMONS = ("daemon", "peer-daemon", "uwsgi", "gunicorn")


@dataclasses.dataclass(frozen=True)
class Work:
    key: str
    title: str
    app: str
    contenders: tuple
    clients: int = 32
    post: int = 0
    headers: int = 0
    # Bytes of a request's or an answer's body, where GB/s say more than requests/s.
    body: int = 0
    path: str = "/"
    c_handler: str = "c-hello"
    file: str = "/hello.txt"
    # What all together can reach, in requests/s, where threads set a limit.
    possible: float = 0
    shape: Shape = Shape()
    # Name and form of the figure `other`.
    other: str = ""
    kind: str = "wrk"
    # For kind crowded: idle clients, clients that do not read, bytes of their answer.
    crowd: tuple = ()

    def measure(self, server, seconds):
        if self.kind == "mixed":
            return load.mixed(server, seconds, self.clients)
        if self.kind == "crowded":
            return load.crowded(server, seconds, self)
        if self.kind == "idle":
            return load.idle(server)
        found = load.measure(server, seconds, self.clients, post=self.post, headers=self.headers)
        if self.body:
            found["throughput"] = found["rate"] * self.body / 1e9
        return found


MIB = 1 << 20
FRAMEWORKS = Shape(frameworks=True)
# A slow reader far away: httpd's socket takes no more than this.
SLOW = Shape(httpd_threads=128, extra="SendBufferSize 16384")

WORKS = {each.key: each for each in (
    Work("hello-embedded", "hello, embedded", "hello", EMBEDDED),
    Work("hello", "hello, daemon, 1 process, 15 threads", "hello", ("c",) + DAEMONS),
    Work("body", "1 MiB body", "body", ("c", "static") + DAEMONS, body=MIB, c_handler="c-body", file="/1m.bin"),
    Work("generator", "generator of 100 x 10 KiB", "pieces", ("c",) + DAEMONS, body=1024000, c_handler="c-pieces"),
    Work("upload", "1 MiB upload, read in pieces of 64 KiB", "upload", ("c",) + DAEMONS, post=MIB, body=MIB,
         c_handler="c-upload"),
    Work("file", "10 MiB by wsgi.file_wrapper", "wrapper", ("static", "static-mmap") + DAEMONS, body=10 * MIB,
         file="/10m.bin"),
    Work("sleeps", "application sleeps 10 ms, 15 threads, 60 clients", "sleeps", DAEMONS, clients=60, possible=1500),
    Work("computes", "application computes 5 ms, 15 threads", "computes", DAEMONS),
    Work("mixed", "16 clients hello at saturation, 16 five waits of 1 ms (whose figures these are)", "mixed", DAEMONS,
         other="hello/s", kind="mixed"),
    Work("flask", "Flask hello, daemon", "flask_hello", ("c",) + DAEMONS, shape=FRAMEWORKS),
    Work("django", "Django hello, daemon", "django_hello", ("c",) + DAEMONS, shape=FRAMEWORKS),
    Work("memory", "idle server, each alone", "hello", ("c",) + DAEMONS, other="processes", kind="idle"),
    Work("crowd", "hello beside 1,000 idle clients and 64 that do not read their 64 KiB", "readers", DAEMONS, shape=SLOW,
         other="threads held", kind="crowded", crowd=(1000, 64, 65536)),
    Work("large-crowd", "hello beside 8 clients that do not read their 4 MiB", "readers", DAEMONS, shape=SLOW,
         other="threads held", kind="crowded", crowd=(0, 8, 4 * MIB)),
)}

# Where how processors are shared out changes most.
ONE_GROUP = {key: WORKS[key] for key in ("hello-embedded", "hello", "computes", "mixed", "flask", "django")}


@functools.cache
def scaling():
    """Ours beside C mod_wsgi, one thing changed at a time."""
    both, every = ("daemon", "peer-daemon"), ("embedded", "peer-embedded", "daemon", "peer-daemon")
    rows = [Work(f"threads-{number}", f"threads: {number}", "hello", both, shape=Shape(threads=number))
            for number in (1, 5, 15, 50)]
    rows += [Work(f"processes-{number}", f"processes of 15 threads: {number}", "hello", both, shape=Shape(processes=number))
             for number in (1, 2, 4)]
    # More clients than threads of httpd, and a busy event MPM closes kept connections: that is not what is asked here.
    rows += [Work(f"clients-{number}", f"clients: {number}", "hello", every, clients=number,
                  shape=Shape(httpd_threads=max(64, number)))
             for number in (1, 8, 32, 128, 512)]
    rows += [Work(f"headers-{number}", f"headers of a request: {number}", "hello", every, headers=number)
             for number in (20, 50, 100)]
    return {each.key: each for each in rows}
