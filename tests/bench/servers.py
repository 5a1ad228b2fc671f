"""The contenders: how each is set up, started, and ended.

Every server is one httpd with the same MPM settings, two child processes of `Shape.httpd_threads` threads, no access log;
uWSGI and gunicorn have a process of their own behind it. What an administrator would write for each is in `_lines` and `_backend`.
"""
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import machine


@dataclasses.dataclass(frozen=True)
class Shape:
    """What all contenders of a round have alike."""
    threads: int = 15
    processes: int = 1
    httpd_threads: int = 64
    frameworks: bool = False
    extra: str = ""


@dataclasses.dataclass(frozen=True)
class Contender:
    key: str
    label: str


CONTENDERS = {each.key: each for each in (
    Contender("c", "C handler"),
    Contender("static", "static file (EnableSendfile On, EnableMMAP Off)"),
    Contender("static-mmap", "static file (EnableSendfile Off, EnableMMAP On)"),
    Contender("embedded", "ours, embedded"),
    Contender("peer-embedded", "C mod_wsgi, embedded"),
    Contender("daemon", "ours, daemon"),
    Contender("peer-daemon", "C mod_wsgi, daemon"),
    Contender("uwsgi", "uWSGI, mod_proxy_uwsgi"),
    Contender("gunicorn", "gunicorn, mod_proxy_http"),
)}

# A graceful end first; what is left after it is killed and named.
PATIENCE = 10


class Setting:
    """What the contenders need of the outside: our module, the C handlers, the files that are served."""

    def __init__(self, folder, module):
        self.folder = folder
        self.module = os.path.abspath(module)
        self.application_folder = os.path.join(machine.HERE, "apps")
        self.environment = dict(os.environ)
        self._handler = None

    def handler(self):
        if not self._handler:
            build = os.path.join(self.folder, "c")
            os.mkdir(build)
            self._handler = machine.c_handler(build)
        return self._handler


class Processes:
    """Programs that were started, and all that descend from them; what they print is in output.log of the folder."""

    def __init__(self, label, folder):
        self.label, self.folder = label, folder
        self.roots, self.seen = [], {}
        os.makedirs(folder)
        os.chmod(folder, 0o755)
        self.log = open(os.path.join(folder, "output.log"), "w+")

    def start(self, command, environment=None):
        self.roots.append(subprocess.Popen(
            command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True))

    def wait(self, ready, what):
        deadline = time.monotonic() + 60
        while not ready():
            if any(root.poll() is not None for root in self.roots) or time.monotonic() > deadline:
                sys.exit(f"{self.label} does not serve {what}:\n{self.logged()}")
            time.sleep(0.02)

    def logged(self):
        lines = []
        for name in ("output.log", "error.log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    lines += file.readlines()[-30:]
        return "".join(lines)

    def processes(self):
        """All of them: httpd's, daemons, supervisor, uWSGI's, gunicorn's."""
        now = {}
        for root in self.roots:
            now.update(machine.family(root.pid))
        self.seen.update(now)
        return now

    def stop(self):
        """Ends every process that this server had, and says which had to be killed."""
        self.processes()
        for root in reversed(self.roots):
            if root.poll() is None:
                root.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        for root in reversed(self.roots):
            try:
                root.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            print(f"{self.label}: process {pid} had to be killed", file=sys.stderr)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for root in self.roots:
            root.wait()
        self.log.close()

    def _left(self):
        return [pid for pid, start in self.seen.items() if machine.is_alive(pid, start)]


class Server(Processes):
    """One contender that runs, with all its processes."""

    def __init__(self, setting, contender, folder, work, shape):
        super().__init__(contender.label, folder)
        self.contender, self.port = contender, free_port()
        self.path = work.file if contender.key.startswith("static") else work.path
        if machine.user():
            # uWSGI binds its socket as the user that it runs as.
            shutil.chown(folder, machine.user())
        try:
            backend = _backend(contender.key, setting, folder, work, shape)
            if backend:
                self.start(backend, setting.environment)
                self.wait(lambda: os.path.exists(os.path.join(folder, "app.sock")), self.path)
            with open(os.path.join(folder, "httpd.conf"), "w") as file:
                file.write(_configuration(contender.key, setting, folder, self.port, work, shape))
            self.start([machine.httpd(), "-d", folder, "-f", "httpd.conf", "-D", "FOREGROUND"], setting.environment)
            self.wait(self._answers, self.path)
        except BaseException:
            self.stop()
            raise

    def complaints(self):
        """The error log in one line; httpd's notices do not count. A client that goes in mid-answer, as wrk at its end, is one."""
        with open(os.path.join(self.folder, "error.log"), errors="replace") as file:
            lines = [line for line in file if ":notice]" not in line]
        return f"{len(lines)} lines in the error log, the first: {lines[0].strip()}" if lines else ""

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as client:
                client.sendall(f"GET {self.path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
                first = client.makefile("rb").readline()
        except OSError:
            return False
        return b" 200 " in first

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"

    def processor_seconds(self):
        return machine.processor_seconds(self.processes())

    def memory(self):
        return machine.memory(self.processes())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _configuration(key, setting, folder, port, work, shape):
    user = machine.user()
    modules = machine.load("mpm_event", "unixd", "authz_core")
    identity = f"User {user}\nGroup {user}\n" if user else ""
    return f"""{modules}{identity}ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
LogLevel warn
ServerName localhost
Listen 127.0.0.1:{port}
DocumentRoot {setting.folder}/files
StartServers 2
ServerLimit 2
ThreadLimit {shape.httpd_threads}
ThreadsPerChild {shape.httpd_threads}
MinSpareThreads 1
MaxSpareThreads {shape.httpd_threads * 2}
MaxRequestWorkers {shape.httpd_threads * 2}
AsyncRequestWorkerFactor 16
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LimitRequestFields 200
<Directory />
  Options FollowSymLinks
  AllowOverride None
</Directory>
<Location />
  Require all granted
</Location>
{shape.extra}
{_lines(key, setting, folder, work, shape)}
"""


def _lines(key, setting, folder, work, shape):
    """What makes httpd this contender."""
    application = os.path.join(setting.application_folder, work.app + ".py")
    wsgi = f"LoadModule wsgi_module {machine.peer_module() if key.startswith('peer') else setting.module}\n"
    if shape.frameworks and key in ("embedded", "peer-embedded"):
        wsgi += f"WSGIPythonHome {machine.FRAMEWORKS}\n"
    mount = f"WSGIApplicationGroup %{{GLOBAL}}\nWSGIScriptAlias / {application}\n"
    home = f" python-home={machine.FRAMEWORKS}" if shape.frameworks else ""
    return {
        "c": lambda: f"LoadModule c_handler_module {setting.handler()}\n<Location />\n  SetHandler {work.c_handler}\n</Location>",
        "static": lambda: "EnableSendfile On\nEnableMMAP Off",
        "static-mmap": lambda: "EnableSendfile Off\nEnableMMAP On",
        "embedded": lambda: wsgi + mount,
        "daemon": lambda: f"""{wsgi}{mount}WSGISocketPrefix {folder}/wsgi
WSGIDaemonProcess bench processes={shape.processes} threads={shape.threads}{home}
WSGIProcessGroup bench""",
        # uWSGI's protocol has no kept connections.
        "uwsgi": lambda: machine.load("proxy", "proxy_uwsgi") + f'ProxyPass / "unix:{folder}/app.sock|uwsgi://localhost/"',
        # Kept connections, which httpd gives up before gunicorn does.
        "gunicorn": lambda: machine.load("proxy", "proxy_http")
        + f'ProxyPass / "unix:{folder}/app.sock|http://localhost/" enablereuse=on ttl=60',
    }[key.removeprefix("peer-")]()


def _backend(key, setting, folder, work, shape):
    """The command of what stands behind httpd; None where nothing does."""
    user, application = machine.user(), os.path.join(setting.application_folder, work.app + ".py")
    if key == "uwsgi":
        command = [
            machine.peer("uwsgi"), "--master", "--socket", f"{folder}/app.sock", "--chmod-socket=666", "--wsgi-file", application,
            "--processes", str(shape.processes), "--threads", str(shape.threads), "--enable-threads", "--single-interpreter",
            "--need-app", "--die-on-term", "--disable-logging", "--thunder-lock", "--buffer-size", "65535", "--listen", "128"]
        if user:
            command += ["--uid", user, "--gid", user]
        return command + (["--virtualenv", machine.FRAMEWORKS] if shape.frameworks else [])
    if key == "gunicorn":
        paths = [setting.application_folder] + ([machine.site_packages()] if shape.frameworks else [])
        command = [
            machine.peer("gunicorn"), "--bind", f"unix:{folder}/app.sock", "--worker-class", "gthread", "--workers",
            str(shape.processes), "--threads", str(shape.threads), "--keep-alive", "75", "--pythonpath", ",".join(paths),
            "--worker-tmp-dir", "/dev/shm", "--no-control-socket", "--limit-request-fields", "200", "--log-level", "warning"]
        return command + (["--user", user, "--group", user] if user else []) + [f"{work.app}:application"]
    return None
