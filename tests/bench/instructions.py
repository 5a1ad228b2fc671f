"""Counts the instructions of one request with valgrind: a figure that does not depend on the machine's mood.

`make instructions` prints them by room; `make test` compares them with the bounds of instructions.toml (--check).

One process of the chain runs under callgrind, the others do not: httpd with the application in it, httpd handing requests to a
worker, or that worker. A request that calls getpgid makes callgrind write down what it has counted and begin anew, so there are
counts of few and of many requests, each with one such request. Their difference is requests and nothing else.
"""
import argparse
import glob
import os
import re
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import tomllib

import callgrind
import machine
import servers
from work import Work

BOUNDS = os.path.join(machine.HERE, "instructions.toml")
FEW, MANY = 100, 600
# The rows: the contender, and which of its processes is counted.
COUNTED = {
    "embedded": ("embedded", "httpd"),
    "daemon-child": ("daemon", "httpd"),
    "daemon-worker": ("daemon", "worker"),
}
# httpd finds the worker beside the module: this one stands there, and becomes the real one under valgrind.
WORKER = """#include <unistd.h>
extern char **environ;
int main(void)
{
    char *command[] = {%s, (char *)0};
    execve(command[0], command, environ);
    return 127;
}
"""


class Counted(servers.Server):
    """httpd in one process, with few threads, one of its processes under callgrind."""

    def __init__(self, setting, key, folder):
        self.contender_key, self.process = COUNTED[key]
        self.counts = folder + "-counts"
        os.mkdir(self.counts)
        os.chmod(self.counts, 0o777)
        shape = servers.Shape(threads=1, httpd_threads=4, extra=f"""LoadModule c_handler_module {setting.handler()}
WSGIScriptAlias /mark {setting.application_folder}/mark.py""" + ("" if self.process == "worker" else """
<Location /mark>
  SetHandler c-mark
</Location>"""))
        module = beside(setting, folder + "-module", self._valgrind()) if self.process == "worker" else setting.module
        own = servers.Setting(setting.folder, module)
        own.application_folder, own.environment = setting.application_folder, setting.environment
        super().__init__(own, servers.CONTENDERS[self.contender_key], folder, Work(key, key, "hello", ()), shape)

    def _valgrind(self):
        return [shutil.which("valgrind"), "--tool=callgrind", "--quiet", "--vgdb=no", "--compress-strings=no", "--compress-pos=no",
                "--dump-before=getpgid", f"--callgrind-out-file={self.counts}/out.%p"]

    def start(self, command, environment=None):
        # One process does all, so that no other child answers.
        command = command[:-2] + ["-X"]
        if self.process == "httpd":
            preload = os.path.join(self.folder, "preload.so")
            machine.run("cc", "-shared", "-fPIC", "-o", preload, os.path.join(machine.HERE, "preload.c"))
            path = os.path.join(self.folder, "pidfd.sock")
            serve_descriptors(path)
            environment = environment | {"PIDFD_SOCKET": path, "LD_PRELOAD": preload}
            command = self._valgrind() + command
        super().start(command, environment)

    def count(self):
        """What one request cost. A busy event MPM may close a kept connection: then all is counted again."""
        for attempt in (1, 2, 3):
            try:
                self._ask()
                break
            except ConnectionError as cause:
                if attempt == 3:
                    sys.exit(f"{cause}\n{self.logged()}")
        parts = sorted(glob.glob(f"{self.counts}/out.*.*"), key=lambda path: int(path.rsplit(".", 1)[1]))
        if len(parts) < 3:
            sys.exit(f"callgrind wrote {len(parts)} parts:\n{self.logged()}")
        few, many = callgrind.read(parts[-2]), callgrind.read(parts[-1])
        return many.minus(few, MANY - FEW)

    def _ask(self):
        with socket.create_connection(("127.0.0.1", self.port), 60) as client:
            answers = client.makefile("rb")
            for number in (FEW, FEW, MANY):
                ask(client, answers, "/", number)
                ask(client, answers, "/mark", 1)


def serve_descriptors(path):
    """Answers process ids with descriptors of the processes, for preload.c."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve():
        while True:
            client, _ = listener.accept()
            with client:
                number = os.pidfd_open(struct.unpack("i", client.recv(4))[0])
                socket.send_fds(client, [b"!"], [number])
                os.close(number)
    threading.Thread(target=serve, daemon=True).start()


def ask(client, answers, path, times):
    for _ in range(times):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status = answers.readline()
        if not status:
            raise ConnectionError(f"{path}: the connection was closed")
        if b" 200 " not in status:
            sys.exit(f"{path}: {status}")
        length = 0
        while (line := answers.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        answers.read(length)


def beside(setting, folder, valgrind):
    """The module in a folder where the worker is one under valgrind: the program, as there is no library for Python's own executable."""
    real = os.path.dirname(setting.module)
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    module = shutil.copy(setting.module, os.path.join(folder, "mod_wsgi.so"))
    shutil.copy(os.path.join(real, "mod_wsgi-supervisor"), folder)
    source = os.path.join(folder, "worker.c")
    words = ", ".join(f'"{word}"' for word in [*valgrind, os.path.join(real, "mod_wsgi-worker")])
    with open(source, "w") as file:
        file.write(WORKER % words)
    program = os.path.join(folder, "mod_wsgi-worker")
    machine.run("cc", "-o", program, source)
    # The module looks for the mark of its own build in the program.
    with open(os.path.join(real, "mod_wsgi-worker"), "rb") as file:
        mark = re.search(rb"mod_wsgi-rs speaks [^.]+\.", file.read()).group()
    with open(program, "ab") as file:
        file.write(mark)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", required=True, help="our mod_wsgi.so")
    parser.add_argument("--only", choices=COUNTED, action="append", help="may be repeated")
    parser.add_argument("--check", action="store_true", help="compare with instructions.toml")
    options = parser.parse_args()
    machine.need("valgrind", "valgrind")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    folder = tempfile.mkdtemp(prefix="wsgi-bench-")
    try:
        os.chmod(folder, 0o755)
        setting = servers.Setting(folder, options.module)
        setting.application_folder = shutil.copytree(
            setting.application_folder, os.path.join(folder, "apps"), ignore=shutil.ignore_patterns("__pycache__"))
        os.mkdir(os.path.join(folder, "files"))
        # Else dictionaries, and with them the counts, would differ from run to run.
        setting.environment |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        found = {}
        for key in options.only or COUNTED:
            server = Counted(setting, key, os.path.join(folder, key))
            try:
                found[key] = server.count()
            finally:
                server.stop()
            if not options.check:
                show(key, found[key])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.check:
        check(found)


def show(key, profile):
    print(f"\n{key}: {profile.total:,.0f} instructions a request")
    for name, cost in profile.rooms.most_common():
        if cost >= 1:
            print(f"  {cost:10,.0f}  {name}")
    print("  with all that they call, the most expensive of ours:")
    ours = [(name, cost) for name, cost in profile.inclusive.most_common() if "mod_wsgi::" in name]
    for name, cost in ours[:15]:
        print(f"  {cost:10,.0f}  {name}", flush=True)


def check(found):
    with open(BOUNDS, "rb") as file:
        bounds = tomllib.load(file)["bounds"]
    over = False
    for key, profile in found.items():
        over |= profile.total > bounds[key]
        text = "TOO MANY, " if profile.total > bounds[key] else ""
        print(f"{key}: {profile.total:,.0f} instructions a request ({text}bound {bounds[key]:,})")
    if over:
        sys.exit(f"Above the bound: `make instructions` shows by room where they are; {BOUNDS} says how to move it.")


if __name__ == "__main__":
    main()
