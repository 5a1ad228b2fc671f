"""Answers how this Python was set up."""
import json
import os
import sys


def marker():
    try:
        import marker
        return marker.WHERE
    except ImportError:
        return None


def application(environ, start_response):
    body = json.dumps({
        "prefix": sys.prefix,
        "executable": sys.executable,
        "path": sys.path,
        "optimize": sys.flags.optimize,
        "hash_randomization": sys.flags.hash_randomization,
        "hash": hash("a fixed text"),
        "warnings": sys.warnoptions,
        "dont_write_bytecode": sys.dont_write_bytecode,
        "switch_interval": sys.getswitchinterval(),
        "egg_cache": os.environ.get("PYTHON_EGG_CACHE"),
        "marker": marker(),
        "argv": sys.argv,
        "isolated": sys.flags.isolated,
        "utf8": sys.getfilesystemencoding(),
    }).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
