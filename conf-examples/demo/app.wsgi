"""A page that shows that the module works: versions, where the application runs, and its environ."""
import html
import os
import sys
import threading


def application(environ, start_response):
    if environ["PATH_INFO"] not in ("", "/"):
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"Only the front page is here.\n"]
    group = environ["mod_wsgi.process_group"]
    facts = [
        ("Python", sys.version.split()[0]),
        ("httpd", environ["SERVER_SOFTWARE"]),
        ("mode", "daemon group %s" % group if group else "embedded"),
        ("application group", environ["mod_wsgi.application_group"] or "the main interpreter"),
        ("process", "%d, multiprocess %s" % (os.getpid(), environ["wsgi.multiprocess"])),
        ("thread", "%s, multithread %s" % (threading.get_ident(), environ["wsgi.multithread"])),
    ]
    rows = "".join("<tr><th>%s<td>%s" % (html.escape(name), html.escape(value)) for name, value in facts)
    keys = "".join(
        "<tr><th>%s<td>%s" % (html.escape(name), html.escape(repr(environ[name]))) for name in sorted(environ))
    page = (
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>It works</title>"
        "<style>body{font:16px sans-serif;margin:2em}th{text-align:left;padding-right:2em;vertical-align:top}"
        "td{font-family:monospace;word-break:break-all}</style>"
        "<h1>mod_wsgi works</h1><table>%s</table><h2>environ</h2><table>%s</table></html>" % (rows, keys)).encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
    return [page]
