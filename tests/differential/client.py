"""Requests as bytes on a raw socket, so that malformed ones can be sent too, and what comes back, as it came."""
import dataclasses
import re
import socket
import time

# For a whole exchange. C mod_wsgi may hang where this module does not: that is a result, not an error of the harness.
PATIENCE = 30


@dataclasses.dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/"
    headers: tuple = ()
    body: bytes = b""
    # Pieces of a chunked body, in place of `body`.
    chunks: tuple = ()
    host: str = "localhost"
    version: str = "HTTP/1.1"
    # The body is sent when `100 Continue` has come, or never.
    expect: bool = False
    # The connection's writing side is closed at the end of the request, before its promised length.
    close: bool = False
    # Everything that is sent, in place of all of the above.
    raw: bytes = b""

    def head(self):
        lines = [f"{self.method} {self.path} {self.version}"]
        lines += [f"Host: {self.host}"] if self.host else []
        lines += [f"{name}: {value}" for name, value in self.headers]
        given = {name.lower() for name, _ in self.headers}
        if self.chunks:
            lines.append("Transfer-Encoding: chunked")
        elif self.body and "content-length" not in given:
            lines.append(f"Content-Length: {len(self.body)}")
        if self.expect:
            lines.append("Expect: 100-continue")
        if "connection" not in given:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def payload(self):
        if not self.chunks:
            return self.body
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in self.chunks) + b"0\r\n\r\n"


@dataclasses.dataclass
class Answer:
    status: str = ""
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    framing: str = ""
    end: str = ""


def exchange(port, request):
    """All answers on one connection, interim ones too; the last one may be none at all."""
    until = time.monotonic() + PATIENCE
    data, how = b"", "closed"
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            if request.raw or not request.expect:
                _send(client, request.raw or request.head() + request.payload())
            else:
                _send(client, request.head())
                while b"\r\n\r\n" not in data and (more := _receive(client, until)):
                    data += more
                if data.startswith(b"HTTP/1.1 100"):
                    _send(client, request.payload())
            if request.close:
                client.shutdown(socket.SHUT_WR)
            while more := _receive(client, until):
                data += more
    except TimeoutError:
        how = f"nothing more within {PATIENCE} s"
    except ConnectionError:
        how = "reset"
    answers, head = [], request.method == "HEAD" or request.raw.startswith(b"HEAD")
    while data:
        answer, data = _parse(data, head)
        answers.append(answer)
    if how.startswith("nothing") or not answers:
        answers.append(Answer(status="none", end=how))
    return answers


def _send(client, data):
    # A server that refuses the request may close before it has all of it.
    try:
        client.sendall(data)
    except ConnectionError:
        pass


def _receive(client, until):
    client.settimeout(max(0.01, until - time.monotonic()))
    return client.recv(65536)


def _parse(data, head):
    """The first answer in `data`, and what follows it."""
    top, found, rest = data.partition(b"\r\n\r\n")
    line, *lines = top.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (.*)", line)
    if not match:
        return Answer(status="no HTTP", body=data, framing="none", end="closed"), b""
    answer = Answer(match.group(1), [tuple(each.split(": ", 1)) if ": " in each else (each, "") for each in lines])
    if not found:
        answer.end = "cut off in the head"
        return answer, b""
    fields = {name.lower(): value for name, value in answer.headers}
    if head or re.match("1..|204|304", answer.status):
        answer.framing, answer.end = "no body", "complete"
        return answer, rest
    if fields.get("transfer-encoding", "").lower() == "chunked":
        answer.framing = "chunked"
        answer.body, answer.end, rest = _dechunked(rest)
        return answer, rest
    if "content-length" in fields:
        length = int(fields["content-length"])
        answer.framing, answer.body = "length", rest[:length]
        answer.end = "complete" if len(answer.body) == length else "cut off"
        return answer, rest[length:]
    answer.framing, answer.body, answer.end = "until close", rest, "complete"
    return answer, b""


def _dechunked(data):
    body = b""
    while True:
        size, found, rest = data.partition(b"\r\n")
        if not found or not re.fullmatch(rb"[0-9a-fA-F]+", size):
            return body, "cut off", b""
        size = int(size, 16)
        if size == 0:
            return body, "complete" if rest.startswith(b"\r\n") else "cut off", rest[2:]
        body += rest[:size]
        if rest[size:size + 2] != b"\r\n":
            return body, "cut off", b""
        data = rest[size + 2:]
