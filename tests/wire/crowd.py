"""A crowd: thousands of connections of one host, in processes of their own, for one has too few descriptors.

Each member connects, sends the first bytes of a text at once, and the others one by one. Tests use Crowd;
`python3 crowd.py SETTINGS` is one of the processes. A line on its standard input asks how its members are,
and the end of the input ends it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections import Counter

CONNECTING_MAX = 256  # at the same time, so that none waits for a full queue of the listener
BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen by connect(), among those that are free for the target
PROCESSES = 2
DESCRIPTORS_KEPT = 64  # of a process, for itself


@dataclasses.dataclass
class Settings:
    port: int
    count: int
    text: str  # latin-1
    at_once: int  # bytes of the text
    drip: float  # seconds between the other bytes; 0: they are not sent
    reads: bool
    pause: float  # seconds until a member whose connection has ended comes again; 0: it does not
    host: str


class Members:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.text = settings.text.encode("latin-1")
        self.poll = select.epoll()
        self.connecting: dict[int, socket.socket] = {}
        self.open: dict[int, socket.socket] = {}
        self.sent: dict[int, int] = {}
        self.outside = [0.0] * settings.count  # when each may connect, the first first
        self.at = 0  # of `outside`: who is the next
        self.ended = 0
        self.statuses: Counter[str] = Counter()

    def connect_some(self) -> None:
        now = time.monotonic()
        while self.at < len(self.outside) and self.outside[self.at] <= now and len(self.connecting) < CONNECTING_MAX:
            self.at += 1
            sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self.settings.host, 0))
            if not self.settings.reads:  # the kernel takes little in its place
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            sock.connect_ex(("127.0.0.1", self.settings.port))
            self.connecting[sock.fileno()] = sock
            self.poll.register(sock, select.EPOLLOUT)

    def turn(self) -> None:
        self.connect_some()
        for fd, events in self.poll.poll(0.01, 1024):
            if fd in self.connecting and not events & (select.EPOLLERR | select.EPOLLHUP):
                self.begin(fd)
            elif events & select.EPOLLIN and not self.read(fd) or not events & (select.EPOLLIN | select.EPOLLOUT):
                self.end(fd)

    def begin(self, fd: int) -> None:
        sock = self.open[fd] = self.connecting.pop(fd)
        self.poll.modify(fd, select.EPOLLRDHUP | (select.EPOLLIN if self.settings.reads else 0))
        self.sent[fd] = 0
        self.send(sock, self.settings.at_once)

    def send(self, sock: socket.socket, count: int) -> None:
        at = self.sent[sock.fileno()]
        try:
            self.sent[sock.fileno()] = at + sock.send(self.text[at : at + count])
        except OSError:  # it has ended, or takes no more now
            pass

    def read(self, fd: int) -> bool:
        """False: the connection has ended."""
        try:
            data = self.open[fd].recv(4096)
        except OSError:
            return False
        if data:
            self.statuses[data[9:12].decode() if data.startswith(b"HTTP/1.") else "other"] += 1
        return bool(data)

    def end(self, fd: int) -> None:
        (self.open.pop(fd, None) or self.connecting.pop(fd)).close()
        self.sent.pop(fd, None)
        self.ended += 1
        if self.settings.pause:
            self.outside.append(time.monotonic() + self.settings.pause)

    def drip(self) -> None:
        for sock in self.open.values():
            self.send(sock, 1)

    def report(self) -> dict:
        return {"open": len(self.open), "ended": self.ended, **self.statuses}


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    members = Members(Settings(**json.loads(sys.argv[1])))
    asked = select.poll()
    asked.register(0, select.POLLIN)
    next_drip = time.monotonic() + members.settings.drip
    while True:
        members.turn()
        if members.settings.drip and time.monotonic() >= next_drip:
            next_drip = time.monotonic() + members.settings.drip
            members.drip()
        if asked.poll(0):
            if not os.read(0, 1):
                return
            print(json.dumps(members.report()), flush=True)


class Crowd:
    """`count` connections from `host`, which is one of 127.0.0.0/8."""

    def __init__(
        self, port: int, count: int, text: bytes, *, at_once: int | None = None, drip: float = 0,
        reads: bool = True, pause: float = 0, host: str = "127.0.0.2",
    ) -> None:
        self.count = count
        self.processes = []
        for number in range(PROCESSES):
            settings = Settings(
                port, (count + number) // PROCESSES, text.decode("latin-1"),
                len(text) if at_once is None else at_once, drip, reads, pause, host,
            )
            self.processes.append(subprocess.Popen(
                [sys.executable, __file__, json.dumps(dataclasses.asdict(settings))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            ))

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_) -> None:
        self.leave()

    def report(self) -> Counter[str]:
        """`open` connections, those that have `ended`, and responses by their status."""
        total: Counter[str] = Counter()
        for process in self.processes:
            process.stdin.write(b"?")
        for process in self.processes:
            total.update(json.loads(process.stdout.readline()))
        return total

    def leave(self) -> None:
        """All of them."""
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()
            process.stdout.close()


def largest_crowd() -> int:
    """As many as the processes have descriptors for."""
    return PROCESSES * (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_KEPT)


if __name__ == "__main__":
    main()
