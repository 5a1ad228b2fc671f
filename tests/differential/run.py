"""The same requests to C mod_wsgi and to this module: every difference is an expected one, or the run fails.

Run by `make differential`, and by `make test`. Each setting (embedded and daemon mode; main interpreter, sub-interpreters,
restricted streams) has two servers. Expected differences stand in expected.py, with the rows of docs/differences.md that explain
them; they are those of Python 3.11.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import os
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "bench"), os.path.join(HERE, "apps")]
sys.dont_write_bytecode = True

import cases  # noqa: E402
import expected  # noqa: E402
import machine  # noqa: E402
import pair  # noqa: E402


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--module", required=True, help="our mod_wsgi.so")
    options.add_argument("--case", action="append", metavar="PATTERN", help="only these; may be repeated")
    options.add_argument(
        "--setting", action="append", choices=[each.name for each in pair.SETTINGS], help="only this; may be repeated")
    options.add_argument("--show", action="store_true", help="expected differences, too, and what was equal")
    options = options.parse_args()
    begun = time.monotonic()
    # A kill of ours ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    wanted = {name: request for name, request in cases.all_of_them().items()
              if not options.case or any(fnmatch.fnmatchcase(name, each) for each in options.case)}
    settings = [each for each in pair.SETTINGS if not options.setting or each.name in options.setting]
    modules = {pair.C: machine.peer_module(), pair.OURS: os.path.abspath(options.module)}
    folder = tempfile.mkdtemp(prefix="wsgi-differential-")
    os.chmod(folder, 0o755)
    try:
        sides = [(setting, side) for setting in settings for side in pair.SIDES]
        with concurrent.futures.ThreadPoolExecutor(len(sides)) as pool:
            work = {each: pool.submit(observed, *each, folder, modules[each[1]], wanted) for each in sides}
            results = {each: done.result() for each, done in work.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    whole = not options.case and not options.setting
    failures = judged(settings, wanted, results, whole, options.show)
    print(f"{len(wanted)} requests in {len(settings)} settings, {failures} unexpected, {time.monotonic() - begun:.0f} s")
    sys.exit(failures > 0)


def observed(setting, side, folder, module, wanted):
    """All cases on one server, one after the other."""
    server = pair.Server(setting, side, folder, module)
    try:
        return {name: server.ask(request) for name, request in wanted.items() if setting.has(name)}
    finally:
        server.stop()


def judged(settings, wanted, results, whole, show):
    """Prints what was not expected, and counts it."""
    failures, used = 0, set()
    for name in wanted:
        # What differs in the same way in several settings is one report.
        differing = {}
        for setting in filter(lambda setting: setting.has(name), settings):
            there, here = (results[setting, side][name] for side in pair.SIDES)
            if show:
                print(f"--- {name}, {setting.name}: {here}")
            for part in sorted(there.keys() | here.keys()):
                values = there.get(part), here.get(part)
                if part.startswith("log"):
                    values = apart(*values)
                # With different answers there is little to compare.
                if values[0] != values[1] and (
                    part.startswith(("status", "log", "process")) or there.get("status") == here.get("status")):
                    differing.setdefault((part, *values), []).append(setting.name)
        for (part, *values), where in differing.items():
            reasons = [next((each for each in expected.DIFFERENCES if each.fits(name, one, part, *values)), None)
                for one in where]
            used.update(reasons)
            unexpected = [one for one, reason in zip(where, reasons) if not reason]
            failures += bool(unexpected)
            if unexpected or show:
                print(f"{'UNEXPECTED' if unexpected else 'expected'}: {name}, {' '.join(unexpected or where)}: {part}")
                for side, value in zip(pair.SIDES, values):
                    print(f"  {side:5}", "nothing" if value is None else value.replace("\n", "\n        "))
    with open(os.path.join(machine.TREE, "docs", "differences.md")) as file:
        page = file.read()
    for each in expected.DIFFERENCES:
        if each.row not in page:
            failures += 1
            print(f"UNEXPLAINED: no such words in docs/differences.md: {each.row}")
        if whole and each not in used and sys.version_info[:2] == (3, 11):
            failures += 1
            print(f"GONE: this difference no longer occurs: {each}")
    return failures


def apart(there, here):
    """Of two texts the lines that the other one does not have."""
    there, here = (collections.Counter(text.splitlines()) for text in (there, here))
    return tuple("\n".join(sorted(lines.elements())) for lines in (there - here, here - there))


if __name__ == "__main__":
    main()
