"""Answers in which interpreter, thread and process it runs, and how often this module was called there."""
import json
import os
import threading

calls = 0
# The group of the first request: every later one here must name the same.
home = None
local = threading.local()


def application(environ, start_response):
    global calls, home
    calls += 1
    home = environ["mod_wsgi.application_group"] if home is None else home
    local.calls = getattr(local, "calls", 0) + 1
    body = json.dumps({
        "group": environ["mod_wsgi.application_group"],
        "home": home,
        "calls": calls,
        "thread_calls": local.calls,
        "pid": os.getpid(),
        "thread": environ["mod_wsgi.thread_id"],
        "same_thread": threading.current_thread() is getattr(local, "thread", threading.current_thread()),
        "main": threading.current_thread() is threading.main_thread(),
    }).encode()
    local.thread = threading.current_thread()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
