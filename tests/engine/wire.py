"""HTTP/1.1 with raw bytes, for tests that care about each of them.

A client library hides what is proved here: when a byte arrives, who closes, what an upgrade is
followed by.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_SECONDS = 60
READ_BYTES = 1 << 16
Headers = dict[str, str]


class Closed(Exception):
    """The other side closed before the message was complete."""


@dataclass
class Response:
    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of a header; a header sent twice is a fault in itself."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} sent {len(values)} times: {values}"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def comparable(self) -> tuple:
        """All that must be the same through the proxy: everything but the time of day, the words
        for how long ago a listed container ended, and the order of a list, for the Engine lists
        networks and volumes as Go walks a map."""
        stable = sorted((k.lower(), v) for k, v in self.headers if k.lower() != "date")
        body = self.body
        if body.startswith(b"["):
            entries = json.loads(body)
            body = sorted(json.dumps({k: v for k, v in e.items() if k != "Status"}) for e in entries)
        return self.version, self.status, self.reason, stable, body


@dataclass
class Connection:
    """One client connection. Reads wait at most TIMEOUT_SECONDS."""

    sock: socket.socket
    pending: bytearray = field(default_factory=bytearray)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def request(
        self,
        method: str,
        target: str,
        headers: Headers | None = None,
        body: bytes | None = None,
        version: str = "1.1",
    ) -> None:
        """Send one request, head and body in one write."""
        self.send(request_bytes(method, target, headers, body, version))

    def roundtrip(
        self,
        method: str,
        target: str,
        headers: Headers | None = None,
        body: bytes | None = None,
        version: str = "1.1",
    ) -> Response:
        self.request(method, target, headers, body, version)
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Read a whole response, by whichever framing it has."""
        response = self.head()
        response.body = b"".join(self.body(response, method))
        return response

    def head(self) -> Response:
        while b"\r\n\r\n" not in self.pending:
            self.fill()
        head, _, rest = bytes(self.pending).partition(b"\r\n\r\n")
        self.pending = bytearray(rest)
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        return Response(version, int(status), reason, headers)

    def body(self, response: Response, method: str) -> Iterator[bytes]:
        """The pieces of a body as they come: chunks, or one piece."""
        if method == "HEAD" or response.status in (204, 304):
            return
        if response.header("Transfer-Encoding") == "chunked":
            yield from self.chunks()
        elif response.header("Content-Length") is not None:
            yield self.exactly(int(response.header("Content-Length")))
        else:
            yield self.until_close()

    def chunks(self) -> Iterator[bytes]:
        while piece := self.chunk():
            yield piece

    def chunk(self) -> bytes:
        """One chunk; empty at the last."""
        size = int(self.line(), 16)
        piece = self.exactly(size)
        assert self.exactly(2) == b"\r\n", "a chunk does not end in CRLF"
        return piece

    def line(self) -> bytes:
        while b"\r\n" not in self.pending:
            self.fill()
        line, _, rest = bytes(self.pending).partition(b"\r\n")
        self.pending = bytearray(rest)
        return line

    def exactly(self, count: int) -> bytes:
        while len(self.pending) < count:
            self.fill()
        data = bytes(self.pending[:count])
        del self.pending[:count]
        return data

    def until(self, mark: bytes) -> bytes:
        """Read up to and including the mark."""
        while mark not in self.pending:
            self.fill()
        return self.exactly(self.pending.index(mark) + len(mark))

    def until_close(self) -> bytes:
        try:
            while True:
                self.fill()
        except (Closed, ConnectionResetError):
            data = bytes(self.pending)
            self.pending.clear()
            return data

    def fill(self) -> None:
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise Closed(f"closed after {bytes(self.pending[-200:])!r}")
        self.pending += data

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """The Engine's frames of a container's output: (stream, bytes), until it closes."""
        while True:
            try:
                header = self.exactly(8)
            except Closed:
                assert not self.pending, f"cut inside a frame header: {bytes(self.pending)!r}"
                return
            yield header[0], self.exactly(int.from_bytes(header[4:8], "big"))

    def output(self) -> dict[int, bytes]:
        """All output until the close, per stream."""
        streams: dict[int, bytes] = {}
        for stream, data in self.frames():
            streams[stream] = streams.get(stream, b"") + data
        return streams


def request_bytes(
    method: str,
    target: str,
    headers: Headers | None = None,
    body: bytes | None = None,
    version: str = "1.1",
) -> bytes:
    fields = {"Host": "localhost", **(headers or {})}
    if body is not None and "Transfer-Encoding" not in fields:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/{version}", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def chunk_bytes(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def connect_unix(path: Path) -> Connection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT_SECONDS)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return Connection(sock)


def connect_tcp(port: int, host: str = "127.0.0.1") -> Connection:
    sock = socket.create_connection((host, port), timeout=TIMEOUT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(sock)
