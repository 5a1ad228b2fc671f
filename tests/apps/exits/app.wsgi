"""Notes in files below var/ what runs when its process ends; answers its process id."""
import atexit
import os
import threading
import time

started = {}


def note(folder, what):
    with open(os.path.join(folder, "%s-%d" % (what, os.getpid())), "w") as file:
        file.write(what)


def application(environ, start_response):
    folder, path = environ["demo.var"], environ["PATH_INFO"]
    if path not in started:
        started[path] = True
        if path == "/atexit":
            atexit.register(note, folder, "atexit")
        elif path == "/worker":
            # A thread takes "daemon" over from the one that makes it, and httpd's count as daemons: say it.
            atexit.register(note, folder, "atexit")
            done = threading.Event()
            threading._register_atexit(done.set)
            threading.Thread(target=lambda: (done.wait(), time.sleep(0.2), note(folder, "joined")), daemon=False).start()
        elif path == "/daemon":
            atexit.register(note, folder, "atexit")
            threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=True).start()
        elif path == "/stuck":
            threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=False).start()
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
