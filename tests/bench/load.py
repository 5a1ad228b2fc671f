"""The clients: wrk, and by hand what wrk can't do (clients that wait, clients that read slowly)."""
import json
import os
import resource
import socket
import subprocess
import sys
import time

import machine

SCRIPT = os.path.join(machine.HERE, "wrk.lua")


class Wrk:
    """One run of wrk, with one thread; `result` waits for its end."""

    def __init__(self, url, seconds, clients, post=0, headers=0):
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}", "--timeout", "10s", "-s", SCRIPT, url, "--", str(post), str(headers)]
        self.command = " ".join(command)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self):
        text = self.process.communicate()[0]
        if self.process.returncode or not text.strip().endswith("}"):
            sys.exit(f"{self.command} ended with {self.process.returncode}:\n{text}")
        return json.loads(text.strip().splitlines()[-1])


def warm_up(server, work):
    """A second of the row's load."""
    Wrk(server.url, 1, work.clients, post=work.post, headers=work.headers).result()
    settle(server)


def settle(server):
    """Until what its clients left unanswered is done, which nobody's round shall pay for."""
    deadline, last = time.monotonic() + 5, -1
    while (now := server.processor_seconds()) != last and time.monotonic() < deadline:
        last = now
        time.sleep(0.05)


def measure(server, seconds, clients, **options):
    """One round: what the clients saw, and what the server's processes cost meanwhile."""
    before = server.processor_seconds()
    seen = Wrk(server.url, seconds, clients, **options).result()
    spent = server.processor_seconds() - before
    return figures(server, seen, spent, seen["requests"])


def figures(server, seen, spent, requests):
    return {
        "rate": seen["requests"] / seen["seconds"],
        "cpu": spent / requests * 1e6 if requests else float("inf"),
        "p50": seen["p50"],
        "p99": seen["p99"],
        "errors": seen["errors"],
        "received": seen["bytes"] / seen["seconds"],
        "memory": server.memory(),
    }


def mixed(server, seconds, clients):
    """Half the clients ask for what waits, half for hello; the figures are those of the waiting half, hello's rate beside."""
    before = server.processor_seconds()
    hello = Wrk(server.url, seconds, clients // 2)
    waits = Wrk(server.url + "waits", seconds, clients - clients // 2).result()
    hello = hello.result()
    spent = server.processor_seconds() - before
    found = figures(server, waits, spent, waits["requests"] + hello["requests"])
    found["errors"] += hello["errors"]
    found["other"] = hello["requests"] / hello["seconds"]
    return found


class Crowd:
    """`idle` clients with a kept connection that say nothing, and `slow` ones that asked for so many bytes and do not read."""

    def __init__(self, server, idle, slow, size):
        self.clients = []
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], min(limit[1], 4 * (idle + slow))), limit[1]))
        try:
            for _ in range(idle):
                client = self._connect(server)
                client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if not client.recv(4096):
                    sys.exit("an idle client was sent away")
            for _ in range(slow):
                client = self._connect(server, buffer=2048)
                client.sendall(f"GET /answer?{size} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        except OSError as cause:
            self.close()
            sys.exit(f"{server.contender.label} does not bear the crowd: {cause}")

    def _connect(self, server, buffer=None):
        client = socket.socket()
        self.clients.append(client)
        client.settimeout(10)
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect(("127.0.0.1", server.port))
        return client

    def close(self):
        for client in self.clients:
            client.close()


def held(server, threads, patience=2):
    """How many application threads have an answer that is not closed; all of them where nobody is left to tell."""
    deadline = time.monotonic() + patience
    number = threads
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", server.port), 1) as client:
                client.sendall(b"GET /held HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                text = client.makefile("rb").read()
        except OSError:
            continue
        if b" 200 " in text[:20]:
            number = min(threads, int(text.rsplit(b"\r\n", 1)[1]))
            if number == 0:
                break
        time.sleep(0.05)
    return number


def crowded(server, seconds, work):
    """Hello from others while the crowd waits; `other` is how many application threads the slow readers hold."""
    crowd = Crowd(server, *work.crowd)
    try:
        number = held(server, work.shape.threads)
        found = measure(server, seconds, work.clients)
    finally:
        crowd.close()
    found["other"] = number
    # The next round begins without this one's.
    held(server, work.shape.threads, patience=10)
    return found


def ask(server, times):
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            client.sendall(f"GET {server.path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            client.makefile("rb").read()


def idle(server):
    """Memory when nothing happens: two readings alike, half a second apart."""
    ask(server, 30)
    deadline, last = time.monotonic() + 10, 0
    while abs((now := server.memory()) - last) > 0.05 and time.monotonic() < deadline:
        last = now
        time.sleep(0.5)
    return {"memory": now, "other": len(server.processes())}
