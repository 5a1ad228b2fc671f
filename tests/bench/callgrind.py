"""Reads what callgrind writes (the format is in valgrind's manual), and sums it up by room."""
import collections
import os
import re

import machine

# Python's, httpd's and ours by their files; the rest of the objects are libraries that they call.
OBJECTS = (
    (re.compile(r"libpython|/python3"), "Python"),
    (re.compile(r"apache2|httpd|/mod_(?!wsgi)\w+\.so|libapr"), "httpd and APR"),
    (re.compile(r"libc\.so|libpthread|ld-linux"), "C library"),
)


class Profile:
    """Instructions by function and room: `own` without what was called, `inclusive` with it."""

    def __init__(self):
        self.total = 0
        self.rooms = collections.Counter()
        self.inclusive = collections.Counter()

    def minus(self, other, requests):
        """This less the other one, for one request."""
        found = Profile()
        found.total = (self.total - other.total) / requests
        for name in ("rooms", "inclusive"):
            ours, theirs = getattr(self, name), getattr(other, name)
            getattr(found, name).update({key: (ours[key] - theirs[key]) / requests for key in ours})
        return found


def read(path):
    """Needs --compress-strings=no and --compress-pos=no."""
    found = Profile()
    thing = function = file = called = None
    with open(path, errors="replace") as lines:
        for line in lines:
            key, separator, value = line.rstrip("\n").partition("=")
            if line[0].isdigit() or line[0] in "+-*":
                cost = int(line.split()[-1])
                # The line after `calls=` has what the called function cost.
                if called is not None:
                    called = None
                else:
                    found.rooms[room(thing, function, file)] += cost
                    found.total += cost
                found.inclusive[function] += cost
            elif not separator:
                continue
            elif key == "ob":
                thing = value
            elif key == "fn":
                function = value
            elif key in ("fl", "fi", "fe"):
                file = value
            elif key == "calls":
                called = value
    return found


def room(thing, function, file):
    """Ours by the source file that the instruction comes from; where that is a library's, by the function it was compiled into."""
    if file and (match := re.match(r"(?:%s/)?src/(?:(\w+)/|(\w+)\.rs)" % re.escape(machine.TREE), file)):
        return f"our {match.group(1) or match.group(2)}"
    if match := re.search(r"\bmod_wsgi::(\w+)", function or ""):
        return f"our {match.group(1)}"
    for pattern, name in OBJECTS:
        if pattern.search(thing or ""):
            return name
    if "mod_wsgi" in os.path.basename(thing or ""):
        return "our Rust library and crates"
    return "other"
