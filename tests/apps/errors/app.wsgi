"""Writes to the error log in the ways Python has, one path each."""
import logging
import sys
import threading
import traceback
import warnings

logging.basicConfig(format="%(levelname)s:%(message)s")


def application(environ, start_response):
    errors = environ["wsgi.errors"]
    path = environ["PATH_INFO"]
    if path == "/wsgi-errors":
        errors.write("errors one\nerrors two\n")
        errors.writelines(["errors three\n", "errors four\n"])
        print("errors five", file=errors)
        errors.flush()
    elif path == "/stderr":
        print("from stderr", file=sys.stderr)
        sys.stderr.write("stderr in ")
        sys.stderr.write("two parts\n")
    elif path == "/stdout":
        print("from stdout")
    elif path == "/partial":
        errors.write("no newline at the end")
    elif path == "/partial-stderr":
        sys.stderr.write("stderr without newline")
    elif path == "/flushed":
        errors.write("flushed part")
        errors.flush()
    elif path == "/unicode":
        errors.write("caf\u00e9 \u20ac \U0001f40d \udc80 end\n")
    elif path == "/long":
        errors.write("A" * 20000 + " end of long\n")
    elif path == "/nul":
        errors.write("before\0after nul\n")
    elif path == "/empty-lines":
        errors.write("above\n\nbelow\n")
    elif path == "/logging":
        logging.getLogger("shop").error("from logging")
        logging.getLogger("shop").warning("two\nlines")
    elif path == "/warnings":
        warnings.warn("from warnings")
    elif path == "/traceback":
        try:
            raise ValueError("printed by the application")
        except ValueError:
            traceback.print_exc()
    elif path == "/thread":
        thread = threading.Thread(target=lambda: print("from a background thread", file=sys.stderr))
        thread.start()
        thread.join()
    elif path == "/raise":
        raise ValueError("not caught")
    elif path == "/attributes":
        body = repr([
            errors.encoding, errors.errors, errors.isatty(), errors.readable(), errors.writable(),
            errors.seekable(), errors.closed, sys.stderr.encoding, sys.stdout.encoding,
            type(errors).__module__ == type(sys.stderr).__module__,
        ]).encode()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]
    elif path == "/not-str":
        try:
            errors.write(b"bytes")
        except TypeError:
            errors.write("bytes are refused\n")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
