"""Measures this module beside C mod_wsgi and a plain C handler: the same httpd, the same MPM settings, hello world.

Run by `make bench`; needs wrk. Rounds are interleaved, so that what else happens on the machine hits all alike; the table
shows medians. Processor time is that of all httpd processes, from /proc, per request answered.
"""
import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf("SC_CLK_TCK")

APP = """def application(environ, start_response):
    body = b"Hello World!\\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.strip()


def apxs(name):
    return run(os.environ.get("APXS", "apxs"), "-q", name)


def peer_module():
    """C mod_wsgi, built by pip into an environment of its own; its LoadModule path."""
    home = os.path.join(TREE, ".env", "peer")
    if not os.path.exists(os.path.join(home, "bin", "mod_wsgi-express")):
        print("building C mod_wsgi into", home)
        run(os.environ.get("PYO3_PYTHON", "/usr/bin/python3"), "-m", "venv", home)
        run(os.path.join(home, "bin", "pip"), "install", "--quiet", "mod_wsgi==6.1.1")
    line = run(os.path.join(home, "bin", "mod_wsgi-express"), "module-config").splitlines()[0]
    return line.split('"')[1]


def c_handler(folder):
    """The plain C handler, the ceiling of what any module can reach."""
    shutil.copy(os.path.join(HERE, "mod_c_hello.c"), folder)
    run(os.environ.get("APXS", "apxs"), "-c", "mod_c_hello.c", cwd=folder)
    return os.path.join(folder, ".libs", "mod_c_hello.so")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One httpd; everything but `lines` is the same for all."""

    def __init__(self, folder, lines, threads):
        self.port = free_port()
        os.makedirs(folder)
        os.chmod(folder, 0o755)
        modules, built_in = apxs("LIBEXECDIR"), run(os.path.join(apxs("SBINDIR"), apxs("PROGNAME")), "-l")
        load = "".join(
            "LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name)
            for name in ("mpm_event", "unixd", "authz_core") if "mod_%s.c" % name not in built_in)
        user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
        with open(os.path.join(folder, "app.wsgi"), "w") as file:
            file.write(APP)
        with open(os.path.join(folder, "httpd.conf"), "w") as file:
            file.write(f"""{load}{user}ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
ServerName localhost
Listen 127.0.0.1:{self.port}
StartServers 2
ServerLimit 2
ThreadsPerChild {threads}
ThreadLimit {threads}
MinSpareThreads 1
MaxSpareThreads {threads * 4}
MaxRequestWorkers {threads * 2}
MaxKeepAliveRequests 0
Require all granted
{lines.replace("@FOLDER@", folder)}
""".replace("\nRequire all granted", "\n<Location />\n  Require all granted\n</Location>"))
        self.folder = folder
        program = os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))
        self.process = subprocess.Popen(
            [program, "-d", folder, "-f", "httpd.conf", "-D", "FOREGROUND"], process_group=0)
        deadline = time.monotonic() + 30
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("httpd does not serve:\n" + open(os.path.join(folder, "error.log")).read())
            time.sleep(0.02)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"Hello World!" in b"".join(iter(lambda: client.recv(4096), b""))
        except OSError:
            return False

    def processes(self):
        parent = self.process.pid
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            return [parent] + [int(word) for word in file.read().split()]

    def seconds(self):
        """Processor time of the whole httpd so far."""
        total = 0
        for number in self.processes():
            with open(f"/proc/{number}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def measure(server, duration, clients):
    before = server.seconds()
    text = run("wrk", "-t1", f"-c{clients}", f"-d{duration}", "--latency", f"http://127.0.0.1:{server.port}/")
    spent = server.seconds() - before
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    errors = sum(int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "cpu": spent / requests * 1e6,
        "p50": milliseconds(re.search(r"50%\s+([\d.]+)(us|ms|s)", text)),
        "p99": milliseconds(re.search(r"99%\s+([\d.]+)(us|ms|s)", text)),
        "errors": errors + (int(other.group(1)) if other else 0),
    }


def milliseconds(match):
    return float(match.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[match.group(2)]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--module", required=True, help="our mod_wsgi.so")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5, help="of each round")
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--threads", type=int, default=32,
                         help="of each child process; fewer than clients, and a busy event MPM closes idle connections")
    options.add_argument("--group", default="%{GLOBAL}", help="application group")
    options.add_argument("--no-peer", action="store_true", help="leave C mod_wsgi out")
    options = options.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed (Debian: apt-get install wrk)")
    folder = tempfile.mkdtemp(prefix="wsgi-bench-")
    os.chmod(folder, 0o755)
    servers = {}
    try:
        wsgi = "LoadModule wsgi_module @MODULE@\nWSGIScriptAlias / @FOLDER@/app.wsgi\nWSGIApplicationGroup " + options.group
        subjects = {"ours, embedded": wsgi.replace("@MODULE@", os.path.abspath(options.module))}
        if not options.no_peer:
            subjects["C mod_wsgi, embedded"] = wsgi.replace("@MODULE@", peer_module())
        if os.path.exists(os.path.join(HERE, "mod_c_hello.c")):
            build = os.path.join(folder, "c")
            os.mkdir(build)
            subjects["a handler in C"] = (
                f"LoadModule c_hello_module {c_handler(build)}\n<Location />\n  SetHandler c-hello\n</Location>")
        for number, (name, lines) in enumerate(subjects.items()):
            servers[name] = Server(os.path.join(folder, f"site{number}"), lines, options.threads)
            measure(servers[name], 1, options.clients)
        results = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, server in servers.items():
                results[name].append(measure(server, options.seconds, options.clients))
        print(f"{options.rounds} rounds of {options.seconds} s, {options.clients} clients, medians (lowest to highest)")
        print(f"{'':24}{'requests/s':>28}{'CPU us/request':>18}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}")
        for name, rounds in results.items():
            middle = {key: statistics.median(each[key] for each in rounds) for key in ("rate", "cpu", "p50", "p99")}
            low, high = min(each["rate"] for each in rounds), max(each["rate"] for each in rounds)
            rate = f"{middle['rate']:.0f} ({low:.0f} to {high:.0f})"
            errors = sum(each["errors"] for each in rounds)
            print(f"{name:24}{rate:>28}{middle['cpu']:18.1f}{middle['p50']:9.2f}{middle['p99']:9.2f}{errors:8}")
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
