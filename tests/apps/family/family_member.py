"""What processes run that an application starts."""
import os


def facts(_=None):
    """Signals that are blocked, and what descriptors stand for."""
    with open("/proc/self/status") as status:
        blocked = [line.split()[1] for line in status if line.startswith("SigBlk")][0]
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink("/proc/self/fd/" + name))
        except OSError:
            pass  # The one of the listing itself.
    return {"blocked": int(blocked, 16), "links": sorted(links), "pid": os.getpid()}
