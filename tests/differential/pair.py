"""The two sides of a setting: an httpd with C mod_wsgi and one with this module, with the same lines and the same scripts."""
import dataclasses
import itertools
import os
import re
import shutil
import time

import client
import machine
import observe
import servers

HERE = os.path.dirname(os.path.abspath(__file__))
C, OURS = "C", "here"
SIDES = (C, OURS)
MODULES = (
    "mpm_event", "unixd", "authz_core", "authn_core", "authz_user", "authz_host", "auth_basic", "auth_digest", "alias", "env",
    "setenvif", "rewrite", "headers", "mime", "dir", "filter", "deflate")
# Until all records of a request are in the log.
PATIENCE = 60


@dataclasses.dataclass(frozen=True)
class Setting:
    """Where applications run, and whether with less than usual."""
    daemon: bool
    main: bool
    restricted: bool = False

    @property
    def name(self):
        mode = "daemon" if self.daemon else "embedded"
        return mode + ("-restricted" if self.restricted else "-main" if self.main else "-sub")

    def has(self, case):
        """Restrictions concern the interpreter's own things."""
        return not self.restricted or case.startswith("objects ")


SETTINGS = [Setting(daemon, *rest) for daemon in (False, True) for rest in ((False,), (True,), (True, True))]


class Server(servers.Processes):
    """One httpd. Its folder's name is as long as the other side's, so that lengths are the same."""

    def __init__(self, setting, side, folder, module):
        folder = os.path.join(folder, f"{setting.name}-{SIDES.index(side)}")
        super().__init__(f"{side}, {setting.name}", folder)
        self.port, self.numbers, self.place = _port(), itertools.count(1), 0
        for name in ("apps", "files"):
            shutil.copytree(os.path.join(HERE, name), os.path.join(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        prepare(folder)
        user = machine.user()
        defined = {"FOLDER": folder, "PORT": self.port, "MODULE": module}
        with open(os.path.join(folder, "httpd.conf"), "w") as file:
            file.write("".join(f'Define {name} "{value}"\n' for name, value in defined.items()))
            for name, given in (("DAEMON", setting.daemon), ("MAIN", setting.main), ("RESTRICTED", setting.restricted)):
                file.write(f"Define {name}\n" * given)
            file.write(machine.load(*MODULES) + (f"User {user}\nGroup {user}\n" if user else ""))
            with open(os.path.join(HERE, "httpd.conf")) as lines:
                file.write(lines.read())
        try:
            self.start([machine.httpd(), "-d", folder, "-f", "httpd.conf", "-D", "FOREGROUND"], {"PATH": os.environ["PATH"]})
            self.wait(lambda: self._mark() is not None, "its marker")
        except BaseException:
            self.stop()
            raise
        self.process, _ = self._settled()

    def ask(self, request):
        """What an outsider can know of the request."""
        answers = client.exchange(self.port, request)
        before = self.process
        self.process, records = self._settled()
        return observe.parts(answers, records, self.process == before, self.folder, self.port)

    def _mark(self, number=0):
        """The process that answers. It logs the number."""
        try:
            answer = client.exchange(self.port, client.Request(path=f"/app/marker.wsgi?{number}"))[-1]
        except OSError:
            return None
        return int(answer.body) if answer.status == "200 OK" else None

    def _settled(self):
        """The process, and what was logged since the last time, when that is known to be all."""
        number, deadline, process = next(self.numbers), time.monotonic() + PATIENCE, None
        while not process:
            process = self._mark(number)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.label} serves no more:\n{self.logged()}")
        while True:
            with open(os.path.join(self.folder, "error.log"), errors="replace") as file:
                file.seek(self.place)
                text = file.read()
            if text.count(f"marker {number} of the") >= 2 and text.endswith("\n"):
                self.place += len(text.encode(errors="replace"))
                return process, [line for line in text.splitlines() if not re.search(r"marker \d+ of the", line)]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.label} does not log the marker {number}:\n{self.logged()}")
            time.sleep(0.002)


def prepare(folder):
    """Scripts that can't be files of a source tree."""
    apps = os.path.join(folder, "apps")
    os.mkdir(os.path.join(apps, "folder.wsgi"))
    application = b"def application(environ, start_response):\n    start_response('200 OK', [])\n    return iter([b'here'])\n"
    for name, content in {
            "locked.wsgi": application,
            "nul.wsgi": application + b"\0\n",
            "latin.wsgi": b"NAME = '\xe4'\n" + application,
            "cookie.wsgi": b"# coding: latin-1\nNAME = '\xe4'\n" + application,
            "bad-cookie.wsgi": b"# coding: no-such\n" + application,
            "syntax.wsgi": b"def application(environ, start_response)\n    pass\n",
            "indented.wsgi": b"if True:\n        a = 1\n    b = 2\n",
            "tabs.wsgi": b"if True:\n\tx = 1\n        y = 2\n",
            "empty.wsgi": b"",
            "crlf.wsgi": application.replace(b"\n", b"\r\n"),
            "mark.wsgi": b"\xef\xbb\xbf" + application,
    }.items():
        with open(os.path.join(apps, name), "wb") as file:
            file.write(content)
    os.chmod(os.path.join(apps, "locked.wsgi"), 0)


def _port():
    """Of five digits: its length may be part of a response's."""
    while True:
        port = servers.free_port()
        if port > 9999:
            return port
