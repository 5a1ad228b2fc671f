"""Restarts, changed scripts and deaths under load: what clients see of them here and with C mod_wsgi, in the same httpd.

Run by `make scenarios`. 16 clients, a connection for each request, two daemon processes of ten threads, event MPM. Each row
starts a server of its own for each side. A whole run writes the table into docs/restarts.md.
"""
import argparse
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from machine import TREE, apxs, c_handler, peer_module, run
from servers import free_port

CLIENTS = 16
OURS, PEER, C = "here", "C mod_wsgi", "C handler"
PAGE = os.path.join(TREE, "docs", "restarts.md")
BEGIN, END = "<!-- scenarios: begin -->\n", "<!-- scenarios: end -->\n"

APP = """import atexit, ctypes, os, signal, time
VAR, VERSION = @VAR@, @VERSION@
DATA = os.urandom(1 << 20) * @MEGABYTES@
time.sleep(@IMPORT@)

def note(name, text):
    file = os.open(os.path.join(VAR, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, text.encode())
    os.close(file)

atexit.register(note, "atexit", "%d\\n" % os.getpid())

def pieces(end):
    yield b"x" * 1000
    time.sleep(0.2)
    if end == "exception":
        raise ValueError("in mid-body")
    os.kill(os.getpid(), signal.SIGKILL)

def application(environ, start_response):
    path, value = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/sleep":
        seconds, _, number = value.partition("&")
        if number:
            note("begun", "%s %d\\n" % (number, os.getpid()))
        time.sleep(float(seconds))
    elif path == "/crash":
        note("crashed", str(os.getpid()))
        ctypes.string_at(0)
    elif path == "/cut":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces(value)
    body = b"version %d" % VERSION
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class Answer:
    """What came for one request; `ok` if it is a whole answer with status 200."""

    def __init__(self, port, path, timeout=90):
        self.sent, self.status, self.body, self.complete = time.monotonic(), 0, b"", False
        try:
            with socket.create_connection(("127.0.0.1", port), timeout) as client:
                client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
                data = []
                try:
                    data.extend(iter(lambda: client.recv(65536), b""))
                except ConnectionResetError:
                    pass
                self.parse(b"".join(data))
        except OSError:
            pass
        self.ended = time.monotonic()
        self.seconds = self.ended - self.sent
        self.ok = self.status == 200 and self.complete

    def parse(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1.1 (\d+)", head)
        if not match:
            return
        self.status = int(match.group(1))
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if length:
            self.body, self.complete = body, len(body) == int(length.group(1))
            return
        while body:
            size, _, rest = body.partition(b"\r\n")
            size = int(size or b"0", 16)
            self.body += rest[:size]
            self.complete = size == 0 and rest == b"\r\n"
            body = rest[size + 2:] if size else b""


class Load:
    """Clients that ask for one thing after the other, between `with` and its end."""

    def __init__(self, server, path):
        self.server, self.path, self.done, self.answers, self.lock = server, path, False, [], threading.Lock()
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]
        self.numbers = 0

    def ask(self):
        while not self.done:
            with self.lock:
                self.numbers += 1
                number = self.numbers
            answer = Answer(self.server.port, self.path.replace("@", str(number)))
            answer.number = number
            with self.lock:
                self.answers.append(answer)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done = True
        for thread in self.threads:
            thread.join()
        if not self.answers:
            sys.exit("no request was answered or lost: the load did not run")

    def lost(self):
        return sum(not answer.ok for answer in self.answers)

    def of(self):
        return f"{self.lost():,} of {len(self.answers):,} lost"

    def slowest(self):
        slow = f"{max(answer.seconds for answer in self.answers):.1f} s"
        return slow + (f" ({self.lost()} lost)" if self.lost() else "")


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def descendants_of(pid):
    found = children_of(pid)
    for other in found:
        found.extend(children_of(other))
    return found


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def lives(pid):
    status = read(f"/proc/{pid}/status")
    return bool(status) and "State:\tZ" not in status


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain for " + what)
        time.sleep(0.005)


class Server:
    """One httpd of one side, with the application in two processes of ten threads."""

    def __init__(self, side, options="", seconds=0, megabytes=0):
        self.folder = tempfile.mkdtemp(prefix="wsgi-scenario-")
        os.chmod(self.folder, 0o755)
        self.var = os.path.join(self.folder, "var")
        os.mkdir(self.var)
        os.chmod(self.var, 0o777)
        self.port, self.seconds, self.megabytes, self.version = free_port(), seconds, megabytes, 0
        self.change()
        modules, program = apxs("LIBEXECDIR"), os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))
        built_in = run(program, "-l")
        load = "".join(
            "LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name)
            for name in ("mpm_event", "unixd", "authz_core") if "mod_%s.c" % name not in built_in)
        user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
        with open(os.path.join(self.folder, "httpd.conf"), "w") as file:
            file.write(f"""{load}{user}ServerRoot {self.folder}
DefaultRuntimeDir {self.folder}
PidFile {self.folder}/httpd.pid
ErrorLog {self.folder}/error.log
ServerName localhost
Listen 127.0.0.1:{self.port}
StartServers 2
ServerLimit 16
ThreadsPerChild 25
MaxRequestWorkers 100
<Location />
  Require all granted
</Location>
{self.lines(side, options)}""")
        self.process = subprocess.Popen(
            [program, "-d", self.folder, "-f", "httpd.conf", "-D", "FOREGROUND"], process_group=0)
        path = "/" if side == C else "/version"
        until("httpd to serve:\n" + self.log(), lambda: Answer(self.port, path).ok)
        if side != C:
            until("its processes", lambda: len(self.workers()) == 2)

    def lines(self, side, options):
        if side == C:
            return f"LoadModule c_handler_module {MODULES[C]}\n<Location />\n  SetHandler c-sleep\n</Location>\n"
        return (f"LoadModule wsgi_module {MODULES[side]}\n"
                f"WSGIDaemonProcess shop processes=2 threads=10 display-name=%{{GROUP}} {options}\n"
                "WSGIProcessGroup shop\nWSGIApplicationGroup %{GLOBAL}\n"
                f"WSGIScriptAlias / {self.folder}/app.wsgi process-group=shop application-group=%{{GLOBAL}}\n")

    def change(self):
        """Puts a new version of the script in the old one's place."""
        self.version += 1
        text = APP.replace("@VAR@", repr(self.var)).replace("@VERSION@", str(self.version))
        text = text.replace("@IMPORT@", str(self.seconds)).replace("@MEGABYTES@", str(self.megabytes))
        path = os.path.join(self.folder, "app.wsgi")
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def signal(self, number):
        self.process.send_signal(number)

    def log(self):
        return read(os.path.join(self.folder, "error.log"))

    def note(self, name):
        return read(os.path.join(self.var, name))

    def workers(self):
        return [pid for pid in descendants_of(self.process.pid) if "(wsgi:" in read(f"/proc/{pid}/cmdline")]

    def supervisor(self):
        names = [pid for pid in children_of(self.process.pid) if "supervisor" in read(f"/proc/{pid}/comm")]
        named = [pid for pid in children_of(self.process.pid) if "mod_wsgi-supervisor" in read(f"/proc/{pid}/cmdline")]
        return (names + named)[0]

    def restart(self, number, pause=0.0):
        """graceful or restart, and waits until the new configuration serves."""
        before = self.log().count("resuming normal operations")
        self.signal(number)
        until("the restart", lambda: self.log().count("resuming normal operations") > before)
        time.sleep(pause)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Ends everything. What the parent leaves has become our own child: see `adopt_orphans`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in left():
            os.kill(pid, signal.SIGKILL)
        reap()
        shutil.rmtree(self.folder, ignore_errors=True)


def adopt_orphans():
    """Processes whose parent dies become children of this one, which can find and end them."""
    if ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) != 0:  # PR_SET_CHILD_SUBREAPER
        sys.exit("prctl: can't become a subreaper")


def left():
    """What still runs of all that was started here."""
    return [pid for pid in descendants_of(os.getpid()) if lives(pid)]


def reap():
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


# ---- The rows. Each takes a side and answers what happened.


def graceful(side, every, seconds, request):
    with Server(side) as server:
        with Load(server, f"/sleep?{request}") as load:
            begun = time.monotonic()
            while time.monotonic() - begun < seconds:
                time.sleep(every)
                server.signal(signal.SIGUSR1)
            time.sleep(every)
        return load.of()


def graceful_10_ms(side):
    return graceful(side, 1, 10, 0.01)


def graceful_1_s(side):
    return graceful(side, 2, 12, 1)


def graceful_9_s(side):
    return graceful(side, 4, 18, 9)


def graceful_slow_import(side):
    with Server(side, seconds=2) as server:
        with Load(server, "/sleep?0.01") as load:
            for _ in range(3):
                time.sleep(2)
                server.restart(signal.SIGUSR1, 3)
        return load.slowest()


def touched_slow_import(side):
    with Server(side, seconds=2) as server:
        with Load(server, "/sleep?0.01") as load:
            for _ in range(2):
                time.sleep(2)
                server.change()
                time.sleep(5)
        old = 0
        for version in range(2, server.version + 1):
            text = b"version %d" % version
            first = min((answer.ended for answer in load.answers if answer.ok and answer.body == text), default=None)
            if first is None:
                return f"version {version} was never answered"
            old += sum(answer.ok and answer.sent > first and int(answer.body.split()[1]) < version
                       for answer in load.answers)
        return f"{load.slowest()}; {old} old answers after the first new one"


def touched_quick_import(side):
    with Server(side) as server:
        fresh = 0
        for _ in range(20):
            server.change()
            fresh += Answer(server.port, "/version").body == b"version %d" % server.version
        return f"next answer new: {fresh} of 20"


def recycling(side):
    with Server(side, "maximum-requests=300", seconds=2) as server:
        with Load(server, "/sleep?0.01") as load:
            time.sleep(12)
        return load.slowest()


def cut_off(side):
    found = []
    with Server(side) as server:
        for end in ("exception", "SIGKILL"):
            answer = Answer(server.port, "/cut?" + end)
            if len(answer.body) != 1000:
                return f"{end}: {len(answer.body)} bytes with status {answer.status}"
            found.append(f"{end}: " + ("looks complete" if answer.complete else "seen as cut off"))
    return "; ".join(found)


def segfault(side):
    with Server(side) as server:
        with Load(server, "/sleep?0.3&@") as load:
            time.sleep(2)
            Answer(server.port, "/crash")
            time.sleep(2)
        crashed = server.note("crashed").strip()
        runs = dict(line.split() for line in server.note("begun").splitlines())
        others = sum(not answer.ok and runs.get(str(answer.number)) != crashed for answer in load.answers)
        lines = [line for line in server.log().splitlines() if crashed and crashed in line
                 and re.search(r"SIGSEGV|Segmentation|exit signal|signal 11", line)]
        said = "log: " + (re.sub(r"^(\[[^\]]*\] )*", "", lines[0]).replace("|", "/") if lines else "nothing")
        return f"{load.lost()} of its own requests lost, {others} of others; {said[:160]}" if not others else \
            f"{load.lost()} lost, {others} of them not its own; {said[:160]}"


def in_flight(server):
    threading.Thread(target=Answer, args=(server.port, "/sleep?60&1"), daemon=True).start()
    until("the request to be begun", lambda: server.note("begun"))
    return int(server.note("begun").split()[1])


def told(seconds, server, worker):
    return f"{seconds:.1f} s, atexit " + ("ran" if f"{worker}\n" in server.note("atexit") else "did not run")


def stop(side):
    with Server(side) as server:
        worker = in_flight(server)
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        server.process.wait(60)
        until("all to end", lambda: not left())
        return told(time.monotonic() - begun, server, worker)


def hard_restart(side):
    with Server(side) as server:
        worker = in_flight(server)
        begun = time.monotonic()
        server.restart(signal.SIGHUP)
        until("the old process to end", lambda: not lives(worker))
        until("an answer", lambda: Answer(server.port, "/version").ok)
        return told(time.monotonic() - begun, server, worker)


def parent_killed(side):
    with Server(side) as server:
        workers = server.workers()
        if side == OURS:
            workers.append(server.supervisor())
        begun = time.monotonic()
        server.process.kill()
        server.process.wait()
        try:
            until("the workers to end", lambda: not set(workers) & set(left()), 10)
        except TimeoutError:
            return f"{len(set(workers) & set(left()))} of {len(workers)} still there after 10 s"
        return f"all gone after {time.monotonic() - begun:.1f} s"


def supervisor_killed(side):
    if side == PEER:
        return "–"
    with Server(side) as server:
        with Load(server, "/sleep?0.01") as load:
            for _ in range(3):
                time.sleep(1.5)
                old = server.supervisor()
                os.kill(old, signal.SIGKILL)
                until("another supervisor", lambda: [pid for pid in children_of(server.process.pid)
                                                     if pid != old and "supervisor" in read(f"/proc/{pid}/comm")])
            time.sleep(1.5)
        return load.of()


def memory(server):
    """Proportional memory of all processes in MiB: shared pages count once."""
    texts = (read(f"/proc/{pid}/smaps_rollup") for pid in [server.process.pid, *descendants_of(server.process.pid)])
    return sum(int(number) for text in texts for number in re.findall(r"^Pss: +(\d+) kB", text, re.M)) / 1024


def peak_memory(side):
    with Server(side, seconds=1, megabytes=32) as server:
        with Load(server, "/sleep?0.01"):
            time.sleep(2)
            before = memory(server)
            peak, end = before, time.monotonic() + 6
            server.restart(signal.SIGUSR1)
            while time.monotonic() < end:
                peak = max(peak, memory(server))
        return f"{before:.0f} MiB, at most {peak:.0f} MiB"


ROWS = {
    "graceful-10ms": ("graceful restart each second for 10 s, requests of 10 ms", graceful_10_ms),
    "graceful-1s": ("graceful restart each 2 s for 12 s, requests of 1 s", graceful_1_s),
    "graceful-9s": ("graceful restart each 4 s for 18 s, requests of 9 s", graceful_9_s),
    "graceful-import": ("three graceful restarts, application takes 2 s to import: slowest answer", graceful_slow_import),
    "touch-import": ("script changed twice under load, 2 s to import: slowest answer", touched_slow_import),
    "touch-quick": ("script changed, quick import", touched_quick_import),
    "recycling": ("`maximum-requests=300` under load, 2 s to import: slowest answer", recycling),
    "cut-off": ("a chunked response ends in its middle", cut_off),
    "segfault": ("a process crashes under load (segmentation fault)", segfault),
    "stop": ("stop with a request of 60 s in flight", stop),
    "restart": ("hard restart with a request of 60 s in flight", hard_restart),
    "parent": ("`kill -9` of httpd's parent: daemon processes", parent_killed),
    "supervisor": ("three times `kill -9` of the supervisor under load", supervisor_killed),
    "memory": ("memory of all processes, before and during a graceful restart; application of 32 MiB", peak_memory),
}
# The same pattern with a C handler that sleeps for 10 ms: what is httpd's share.
WITH_C = {"graceful-import"}
MODULES = {}


def write(table):
    text = read(PAGE)
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(PAGE + " has no place for the table")
    with open(PAGE, "w") as file:
        file.write(text[:text.index(BEGIN) + len(BEGIN)] + "\n" + table + "\n" + text[text.index(END):])


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--module", required=True, help="our mod_wsgi.so")
    options.add_argument("--row", action="append", choices=ROWS, help="only this one; may be repeated")
    options.add_argument("--side", choices=["here", "peer"], help="only this one")
    options = options.parse_args()
    adopt_orphans()
    MODULES[OURS] = os.path.abspath(options.module)
    sides = [PEER, OURS]
    if options.side:
        sides = [{"here": OURS, "peer": PEER}[options.side]]
    if PEER in sides:
        MODULES[PEER] = peer_module()
    build = tempfile.mkdtemp(prefix="wsgi-scenario-c-")
    try:
        os.chmod(build, 0o755)
        MODULES[C] = c_handler(build)
        lines = ["| scenario | " + " | ".join("C mod_wsgi 6.1.1" if side == PEER else side for side in sides) + " |",
                 "|---" * (len(sides) + 1) + "|"]
        print("\n".join(lines), flush=True)
        for name in options.row or ROWS:
            title, work = ROWS[name]
            cells = [work(side) for side in sides]
            if name in WITH_C:
                title += f" (a C handler under the same pattern: {work(C)})"
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
        if not options.row and not options.side:
            write("\n".join(lines) + "\n")
    finally:
        shutil.rmtree(build, ignore_errors=True)


if __name__ == "__main__":
    main()
