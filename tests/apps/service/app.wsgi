"""A service, not an application: runs until var/stop-service is there, or until it is told to end."""
import os
import time

folder = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "var")


def note(name, text):
    path = os.path.join(folder, name)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


try:
    # From here on it may be told.
    note("service", str(os.getpid()))
    while not os.path.exists(os.path.join(folder, "stop-service")):
        time.sleep(0.002)
    os.remove(os.path.join(folder, "stop-service"))
except SystemExit:
    note("service-told", str(os.getpid()))
    raise
