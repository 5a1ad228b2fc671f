"""Measures this module beside C mod_wsgi, uWSGI, gunicorn, a plain C handler and a static file, behind the same httpd.

Run by `make bench`; needs wrk, and installs the peers with pip. Rounds are interleaved, so that what else happens on the machine
hits all alike; tables show medians. With BLESS=1 they go into docs/performance.md, too, which says how to read them.
"""
import argparse
import contextlib
import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import load
import machine
import report
import servers
import work

TABLES, SCALING, ONE_GROUP = "measured", "measured-scaling", "measured-one-group"


def main():
    options = arguments()
    rows = work.scaling() if options.scaling else work.ONE_GROUP if options.one_group else work.WORKS
    if options.list:
        for row in rows.values():
            print(f"{row.key:16} {row.title}: {', '.join(row.contenders)}")
        return
    chosen = [pick(rows, key) for key in options.row or rows]
    if options.bless and (options.row or options.contender):
        sys.exit("the page is for whole tables: BLESS without --row and --contender")
    machine.need("wrk", "wrk")
    # A kill of ours ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    folder = tempfile.mkdtemp(prefix="wsgi-bench-")
    try:
        with machine.one_group() if options.one_group else contextlib.nullcontext():
            measured(chosen, prepare(folder, options.module), options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", required=True, help="our mod_wsgi.so")
    tables = parser.add_mutually_exclusive_group()
    tables.add_argument("--scaling", action="store_true", help="the other rows: how cost grows, ours beside C mod_wsgi")
    tables.add_argument("--one-group", action="store_true",
                        help="some rows without the kernel's groups by session, as services of systemd run; as root")
    parser.add_argument("--row", action="append", metavar="NAME", help="only this row; may be repeated")
    parser.add_argument("--contender", action="append", choices=servers.CONTENDERS, metavar="NAME",
                        help=f"only this contender, in any row; may be repeated: {', '.join(servers.CONTENDERS)}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=1, help="of each round")
    parser.add_argument("--list", action="store_true", help="names of the rows")
    parser.add_argument("--json", metavar="FILE", help="every round's figures")
    parser.add_argument("--bless", action="store_true", default=bool(os.environ.get("BLESS")), help="write docs/performance.md")
    return parser.parse_args()


def pick(rows, key):
    if key not in rows:
        sys.exit(f"no row {key}: {', '.join(rows)}")
    return rows[key]


def prepare(folder, module):
    """The files that are served, and what applications are told."""
    os.chmod(folder, 0o755)
    if not os.path.exists(module):
        sys.exit(f"{module} is not there: make")
    setting = servers.Setting(folder, module)
    # httpd's children are another user, who may not read a tree in somebody's home.
    setting.application_folder = os.path.join(folder, "apps")
    shutil.copytree(os.path.join(machine.HERE, "apps"), setting.application_folder, ignore=shutil.ignore_patterns("__pycache__"))
    files = os.path.join(folder, "files")
    os.mkdir(files)
    for name, bytes in (("hello.txt", b"Hello World!\n"), ("1m.bin", b"x" * work.MIB), ("10m.bin", b"x" * (10 * work.MIB))):
        with open(os.path.join(files, name), "wb") as file:
            file.write(bytes)
    setting.environment |= {
        "BENCH_FILE": os.path.join(files, "10m.bin"), "BENCH_STEPS": str(steps()), "PYTHONDONTWRITEBYTECODE": "1"}
    return setting


def steps():
    """How many steps of apps/computes.py take 5 ms here."""
    code = """
import time
def compute(steps):
    begin, total = time.thread_time(), 0
    for number in range(steps):
        total += number & 3
    return time.thread_time() - begin
print(int(100000 * 0.005 / min(compute(100000) for _ in range(20))))"""
    return int(machine.run(machine.PYTHON, "-c", code))


def measured(rows, setting, options):
    head = (f"{datetime.date.today()}: {machine.versions()}. {options.rounds} rounds of {options.seconds} s each, "
            "medians (lowest to highest).")
    print(head, flush=True)
    pages, everything, worse = [], {}, []
    for number, row in enumerate(rows):
        begin = time.monotonic()
        results = everything[row.key] = rounds(row, number, setting, options)
        labels = {key: servers.CONTENDERS[key].label for key in results}
        head_and_lines = report.table(row, results, labels)
        took = time.monotonic() - begin
        print(report.for_terminal(f"{row.title} [{row.key}, {took:.0f} s]", *head_and_lines), flush=True)
        pages.append(report.for_page(row.title, *head_and_lines))
        if options.scaling:
            worse += report.worse(row, results)
    if options.scaling:
        text = "Worse than C mod_wsgi:" if worse else "Nothing is worse than with C mod_wsgi."
        print("\n" + "\n".join([text, *worse]))
        pages.append("\n".join([text, *(["", *("* " + line for line in worse)] if worse else [])]))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"head": head, "rows": everything}, file, indent=1)
    if options.bless:
        report.write(SCALING if options.scaling else ONE_GROUP if options.one_group else TABLES, [head, *pages])


def rounds(row, number, setting, options):
    """All contenders of a row, in rounds, each in an order of its own."""
    keys = list(options.contender or row.contenders)
    folder = lambda key: os.path.join(setting.folder, f"{number}-{key}")
    results = {key: [] for key in keys}
    if row.kind == "idle":
        # One after the other: what two servers share would count half.
        for key in keys:
            server = servers.Server(setting, servers.CONTENDERS[key], folder(key), row, row.shape)
            try:
                results[key].append(row.measure(server, options.seconds))
            finally:
                server.stop()
        return results
    running = {}
    try:
        for key in keys:
            running[key] = servers.Server(setting, servers.CONTENDERS[key], folder(key), row, row.shape)
        for server in running.values():
            load.warm_up(server, row)
        for _ in range(options.rounds):
            # Who comes behind whom matters, and a noisy machine is so for seconds.
            random.shuffle(keys)
            for key in keys:
                results[key].append(row.measure(running[key], options.seconds))
                load.settle(running[key])
    finally:
        for server in running.values():
            server.stop()
            if text := server.complaints():
                print(f"{row.key}: {server.contender.label}: {text}", file=sys.stderr)
    return results


if __name__ == "__main__":
    main()
