"""Knows how many requests it is in: /answer?SIZE answers so many bytes, /held how many answers are not closed yet."""
import threading

lock = threading.Lock()
held = 0


def change(by):
    global held
    with lock:
        held += by


class Answer(list):
    def close(self):
        change(-1)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/answer":
        change(1)
        answer = Answer([b"x" * int(environ["QUERY_STRING"])])
    elif environ["PATH_INFO"] == "/held":
        answer = [b"%d\n" % held]
    else:
        answer = [b"Hello World!\n"]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer[0])))])
    return answer
