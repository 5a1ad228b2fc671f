"""What this machine has (httpd, Python, the peers), and what its processes cost: processor time and memory, from /proc."""
import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.environ.get("PYO3_PYTHON", "/usr/bin/python3")
PEERS = os.path.join(TREE, ".env", "peer")
FRAMEWORKS = os.path.join(TREE, ".env", "tests")
# Fixed, so that figures of two days can be compared. By the programs that they bring.
PACKAGES = {"mod_wsgi-express": "mod_wsgi==6.1.1", "uwsgi": "uwsgi==2.0.31", "gunicorn": "gunicorn==27.0.1"}
TICK = os.sysconf("SC_CLK_TCK")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


@functools.cache
def apxs(name):
    return run(os.environ.get("APXS", "apxs"), "-q", name)


def httpd():
    return os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))


@functools.cache
def load(*names):
    """LoadModule lines of httpd's own modules, but for those compiled in."""
    built_in = run(httpd(), "-l")
    return "".join(
        f"LoadModule {name}_module {apxs('LIBEXECDIR')}/mod_{name}.so\n" for name in names if f"mod_{name}.c" not in built_in)


def user():
    """Whom httpd's children and the peers run as; None where we are nobody special ourselves."""
    if os.getuid() != 0:
        return None
    with open("/etc/passwd") as file:
        names = {line.split(":")[0] for line in file}
    return "www-data" if "www-data" in names else "apache"


def need(program, package):
    if not shutil.which(program):
        sys.exit(f"{program} is not there (Debian: apt-get install {package})")


def c_handler(folder):
    shutil.copy(os.path.join(HERE, "mod_c_handler.c"), folder)
    run(os.environ.get("APXS", "apxs"), "-c", "mod_c_handler.c", cwd=folder)
    return os.path.join(folder, ".libs", "mod_c_handler.so")


def peer(program):
    """A program of the peers' environment, to which its package is added when it is not there."""
    package = PACKAGES[program]
    mark = os.path.join(PEERS, "installed-" + package)
    if not os.path.exists(mark):
        print("installing", package, "into", PEERS, "(may take minutes)", flush=True)
        if not os.path.exists(os.path.join(PEERS, "bin", "pip")):
            run(PYTHON, "-m", "venv", PEERS)
        run(os.path.join(PEERS, "bin", "pip"), "install", "--quiet", package)
        open(mark, "w").close()
    return os.path.join(PEERS, "bin", program)


@functools.cache
def peer_module():
    """The file of C mod_wsgi."""
    return run(peer("mod_wsgi-express"), "module-location")


def site_packages():
    """Where Flask and Django are; `make env` makes it."""
    if not os.path.exists(os.path.join(FRAMEWORKS, "pyvenv.cfg")):
        sys.exit(f"{FRAMEWORKS} is not there: make env")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return run(os.path.join(FRAMEWORKS, "bin", "python"), "-c", code)


def versions():
    """One line for the table's head: numbers without them mean little."""
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    server = run(httpd(), "-v").splitlines()[0].split(":", 1)[1].strip()
    name = names[0] if names else os.uname().machine
    # What a distributor or a host calls its build says nothing here.
    linux = re.match(r"\d+\.\d+", os.uname().release).group()
    groups = "autogroup on" if _autogroup() == "1" else "autogroup off"
    return f"{os.cpu_count()} x {name}, Linux {linux} ({groups}), {server}, {run(PYTHON, '--version')}, " + ", ".join(PACKAGES.values())


AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled"


def _autogroup():
    """Whether processors are shared out by session, as far as no cgroup of the `cpu` controller says otherwise (sched(7))."""
    if not os.path.exists(AUTOGROUP):
        return "0"
    with open(AUTOGROUP) as file:
        return file.read().strip()


@contextlib.contextmanager
def one_group():
    """Has the kernel share processors out among all threads of the machine alike; afterwards as it was."""
    before = _autogroup()
    if before == "0":
        yield
        return
    try:
        with open(AUTOGROUP, "w") as file:
            file.write("0")
    except OSError as cause:
        sys.exit(f"{AUTOGROUP} can't be written: {cause}; run this as root")
    try:
        yield
    finally:
        with open(AUTOGROUP, "w") as file:
            file.write(before)


# --- what processes cost ---

def _fields(pid):
    """/proc/PID/stat from the state on; None when the process has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def family(root):
    """The process and all that descend from it, with their start times: a pid alone may be given again."""
    children, starts = {}, {}
    for name in os.listdir("/proc"):
        fields = _fields(name) if name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
            starts[int(name)] = fields[19]
    found, left = {}, [root]
    while left:
        pid = left.pop()
        if pid in starts:
            found[pid] = starts[pid]
            left += children.get(pid, [])
    return found


def is_alive(pid, start):
    fields = _fields(pid)
    return bool(fields) and fields[0] != "Z" and fields[19] == start


def processor_seconds(pids):
    """Including that of children that have ended and were waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in map(_fields, pids) if fields) / TICK


def memory(pids):
    """Proportional set size in MiB: a page that n processes share counts as 1/n in each."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return total / 1024
