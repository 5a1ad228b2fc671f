"""/WORK/NUMBER/SIZE: notes the number and the process before all else, and answers so that every byte names the request.

Bodies, asked for and answered, are SIZE blocks of 64 KiB."""
import os
import time


def block(number, place):
    return b"%08d%07d\n" % (number, place) * 4096


def note(folder, number):
    # One write in append mode: lines of different processes never mix.
    file = os.open(os.path.join(folder, "begun"), os.O_WRONLY | os.O_APPEND)
    os.write(file, b"%d %d\n" % (number, os.getpid()))
    os.close(file)


def wait_for(path):
    end = time.monotonic() + 120
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.005)


def is_whole(body, number, size):
    try:
        return all(body.read(65536) == block(number, place) for place in range(size)) and not body.read(1)
    except OSError:
        return False  # The client is gone.


def echo(body):
    try:
        yield from iter(lambda: body.read(65536), b"")
    except OSError:
        pass


def application(environ, start_response):
    _, work, number, size = environ["PATH_INFO"].split("/")
    number, size, folder, body = int(number), int(size), environ["demo.var"], environ["wsgi.input"]
    note(folder, number)
    headers = [("Content-Type", "application/octet-stream"), ("X-Number", str(number))]
    if work == "up":
        answer = [b"%d whole" % number if is_whole(body, number, size) else b"%d broken" % number]
    elif work == "echo":
        answer = echo(body)
    elif work == "down":
        answer = (block(number, place) for place in range(size))
    elif work == "large":
        answer = [b"".join(block(number, place) for place in range(size))]
        headers.append(("Content-Length", str(size * 65536)))
    elif work == "file":
        answer = environ["wsgi.file_wrapper"](open(os.path.join(folder, "file"), "rb"))
    elif work == "hold":
        wait_for(os.path.join(folder, "go"))
        answer = [b"%d" % number]
    else:
        time.sleep(size / 1000)
        answer = [b"%d" % number]
    start_response("200 OK", headers)
    return answer
