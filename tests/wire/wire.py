"""What the wire tests are written in: a proxy, a scripted Engine and a client that speaks bytes.

A test holds all three ends in one function and reads top to bottom: the client sends bytes, the
Engine says what reached it and responds in bytes, the client says what it got. Nothing here retries
or forgives: every read has a deadline, and whatever reaches the Engine is held against the one
spelling in which the proxy may forward a request (`read_head`), in every test there is.
"""

from __future__ import annotations

import errno
import json
import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from machine import free_port, public_program

# A slow machine raises this; nothing ever waits this long when all is well. Less than the longest
# deadlines of the proxy itself (30 s), which must not be what ends a wait.
PATIENCE = float(os.environ.get("DSP_TEST_PATIENCE", "25"))

# How long something forbidden is given to happen. Only used to prove that nothing comes.
SILENCE = 0.15

CRLF = b"\r\n"
HEAD_END = b"\r\n\r\n"
API_KEY = "wire-test-key"

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.1")
HEADER_LINE = re.compile(
    rb"(" + TOKEN + rb"): ((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)"
)
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]+")
STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?")

# RFC 9110 §7.6.1, and the older names that mean the same. Connection and Upgrade are told apart
# below.
HOP_BY_HOP = (
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "http2-settings",
)


class WireError(AssertionError):
    """A peer did something the test did not allow; the text holds the bytes."""


class EndOfStream(WireError):
    """The other side ended, or reset, the connection before what was waited for."""


def show(data: bytes, limit: int = 600) -> str:
    """Bytes as a reader wants to see them in a failure."""
    text = repr(bytes(data[:limit]))
    return text if len(data) <= limit else f"{text}… ({len(data)} bytes)"


def eventually(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> object:
    """Wait for a state that has no event to wait for (a file in /proc); the value of
    `condition`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise WireError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.01)


# What the proxy asks each Engine now and then, if there are several.
PINGS = re.compile(rb"(?:GET /_ping HTTP/1\.1\r\n(?:[^\r]+\r\n)*\r\n)*")


def nothing_reached(*engines: Engine) -> None:
    """No request of a client has reached them."""
    for engine in engines:
        assert PINGS.fullmatch(engine.received())


def ready(sockets: Iterable[socket.socket], seconds: float = 0) -> list[socket.socket]:
    """Those that have something to read, or have ended, waiting for the first that long. Not
    select(2), which ends at descriptor 1023."""
    poll = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poll.poll(max(0, seconds) * 1000)]


class Background:
    """One end of a conversation that has to go on while the test does something else."""

    def __init__(self, work: Callable[[], object]):
        self._result: object = None
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # handed to the test in result()
            self._error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self, timeout: float = PATIENCE) -> object:
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise WireError(f"still busy after {timeout:g} s: {self._work}")
        if self._error is not None:
            raise self._error
        return self._result


# ---------------------------------------------------------------------------------------------
# Bytes


class Stream:
    """A connected socket with a read buffer, where every read has a deadline."""

    def __init__(self, sock: socket.socket, name: str):
        self.sock = sock
        self.name = name
        self.buffer = bytearray()
        sock.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # sending

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_through(self, data: bytes) -> bool:
        """All of it, even to a peer that may hang up in the middle; False when it did."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send_until_stuck(self, data: bytes) -> int:
        """`data` over and over, until nobody on the way takes any more; how many bytes that was."""
        sent = 0
        self.sock.setblocking(False)
        while select.select([], [self.sock], [], 2 * SILENCE)[1]:
            sent += self.sock.send(data[sent % len(data) :])
        self.sock.settimeout(PATIENCE)
        return sent

    def finish_sending(self) -> None:
        """Half-close: FIN, while we go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close with RST (TCP), as a killed client does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # reading

    def _fill(self, deadline: float) -> bool:
        """One more piece into the buffer; False at the end of the stream."""
        self.sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            piece = self.sock.recv(65536)
        except TimeoutError:
            raise WireError(f"{self.name}: nothing came; so far {show(self.buffer)}") from None
        except ConnectionResetError:
            raise EndOfStream(
                f"{self.name}: connection reset; so far {show(self.buffer)}"
            ) from None
        finally:
            if self.sock.fileno() >= 0:
                self.sock.settimeout(PATIENCE)
        self.buffer += piece
        return bool(piece)

    def take(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read(self, count: int, timeout: float = PATIENCE) -> bytes:
        """Exactly `count` bytes."""
        deadline = time.monotonic() + timeout
        while len(self.buffer) < count:
            if not self._fill(deadline):
                raise EndOfStream(
                    f"{self.name}: ended after {show(self.buffer)}, wanted {count} bytes"
                )
        return self.take(count)

    def read_until(self, end: bytes, timeout: float = PATIENCE) -> bytes:
        """Everything up to and with `end`."""
        deadline = time.monotonic() + timeout
        searched = 0
        while (at := self.buffer.find(end, max(0, searched - len(end)))) < 0:
            searched = len(self.buffer)
            if not self._fill(deadline):
                raise EndOfStream(f"{self.name}: ended before {end!r}: {show(self.buffer)}")
        return self.take(at + len(end))

    def read_to_end(self, timeout: float = PATIENCE) -> bytes:
        """Everything, up to a clean end of the stream (a reset is a failure)."""
        deadline = time.monotonic() + timeout
        while self._fill(deadline):
            pass
        return self.take(len(self.buffer))

    def expect(self, data: bytes, timeout: float = PATIENCE) -> None:
        got = self.read(len(data), timeout)
        if got != data:
            raise WireError(f"{self.name}: got {show(got)}, wanted {show(data)}")

    def expect_end(self, timeout: float = PATIENCE) -> None:
        """The other side has sent all it had, and that was nothing more."""
        rest = self.read_to_end(timeout)
        if rest:
            raise WireError(f"{self.name}: {show(rest)} where the stream should have ended")

    def expect_gone(self, timeout: float = PATIENCE) -> None:
        """The other side has left: end or reset, whatever came before."""
        deadline = time.monotonic() + timeout
        try:
            while self._fill(deadline):
                pass
        except EndOfStream:
            pass

    def expect_silence(self, seconds: float = SILENCE) -> None:
        """Nothing may come, and the connection stays open."""
        if self.buffer:
            raise WireError(f"{self.name}: unexpected {show(self.buffer)}")
        if ready([self.sock], seconds):
            piece = self.sock.recv(65536)
            what = show(piece) if piece else "the end of the stream"
            raise WireError(f"{self.name}: unexpected {what}")

    def readable(self) -> bool:
        return bool(self.buffer) or bool(ready([self.sock]))


# ---------------------------------------------------------------------------------------------
# Messages


class Headers(list):
    """Header lines in the order in which they came: (name, value) pairs."""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """The value, None when absent; a repeated header is a failure."""
        values = self.all(name)
        if len(values) > 1:
            raise WireError(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None


def split_headers(lines: Iterable[bytes], where: str) -> Headers:
    headers = Headers()
    for line in lines:
        match = HEADER_LINE.fullmatch(line)
        if not match:
            raise WireError(f"{where}: header line {show(line)}")
        headers.append((match[1].decode("latin-1"), match[2].decode("latin-1")))
    return headers


@dataclass
class Request:
    """A request as the Engine got it."""

    line: str
    method: str
    target: str
    headers: Headers
    conn: EngineConn
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return self.headers.one(name)

    def respond(self, *args, **kwargs) -> None:
        self.conn.respond(*args, **kwargs)


@dataclass
class Response:
    """A response as the client got it. `framing` says what ended the body: length, chunked, close,
    none."""

    version: str
    status: int
    reason: str
    headers: Headers
    body: bytes = b""
    framing: str = "none"
    informational: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return self.headers.one(name)

    def message(self) -> str:
        """The reason in the form that every Docker client prints; a failure if it is not that
        form."""
        media = (self.header("Content-Type") or "").split(";")[0].strip()
        if media != "application/json":
            raise WireError(f"{self.status} with Content-Type {media!r}, wanted application/json")
        try:
            document = json.loads(self.body)
        except ValueError:
            raise WireError(f"{self.status} body is not JSON: {show(self.body)}") from None
        if not isinstance(document, dict) or not isinstance(document.get("message"), str):
            raise WireError(f"{self.status} body has no message: {show(self.body)}")
        if not document["message"].strip():
            raise WireError(f"{self.status} has an empty message")
        return document["message"]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
RAW_STREAM = "application/vnd.docker.raw-stream"


# ---------------------------------------------------------------------------------------------
# The Engine


class EngineConn(Stream):
    """One connection that the proxy opened to the Engine."""

    def __init__(self, sock: socket.socket, engine: Engine):
        super().__init__(sock, "engine")
        self.engine = engine
        self.idle = True  # may carry another request

    def read_head(self, timeout: float = PATIENCE) -> Request:
        """A request head, in the only spelling in which the proxy may write one."""
        self.idle = False
        raw = self.read_until(HEAD_END, timeout)
        lines = raw[: -len(HEAD_END)].split(CRLF)
        match = REQUEST_LINE.fullmatch(lines[0])
        if not match:
            raise WireError(f"forwarded request line {show(lines[0])}")
        headers = split_headers(lines[1:], "forwarded head")
        request = Request(lines[0].decode(), match[1].decode(), match[2].decode(), headers, self)
        check_forwarded(request, self.engine.api_key)
        return request

    def read_body(self, request: Request, timeout: float = PATIENCE) -> bytes:
        """The body; chunk framing must be plain: sizes alone, no extension, no trailer."""
        if request.header("Transfer-Encoding"):
            parts = []
            while piece := self.read_chunk(timeout):
                parts.append(piece)
            return b"".join(parts)
        return self.read(int(request.header("Content-Length") or 0), timeout)

    def read_chunk(self, timeout: float = PATIENCE) -> bytes:
        """One forwarded chunk; empty at the last one, whose end is read as well."""
        line = self.read_until(CRLF, timeout)[:-2]
        if not CHUNK_SIZE.fullmatch(line):
            raise WireError(f"forwarded chunk size {show(line)}")
        data = self.read(int(line, 16), timeout)
        self.expect(CRLF, timeout)
        return data

    def read_request(self, timeout: float = PATIENCE) -> Request:
        request = self.read_head(timeout)
        request.body = self.read_body(request, timeout)
        return request

    def respond(
        self,
        status: int = 200,
        body: bytes = b"ok",
        headers: Iterable[str] = (),
        reason: str = "OK",
    ) -> None:
        """An ordinary complete response; the connection can carry the next request."""
        lines = [f"HTTP/1.1 {status} {reason}", *headers, f"Content-Length: {len(body)}"]
        self.send("\r\n".join(lines).encode("latin-1") + HEAD_END + body)
        self.idle = True

    def retire(self) -> None:
        """Close as an Engine closes an idle connection, and wait until the proxy has let go of
        it."""
        try:
            self.finish_sending()
            self.expect_gone()
        finally:
            self.close()

    def close(self) -> None:
        super().close()
        if self in self.engine.conns:
            self.engine.conns.remove(self)


def check_path(path: str, where: str) -> None:
    """One spelling: nothing that a reader behind us decodes or cleans into another path."""
    if path == "*":
        return
    decoded = urllib.parse.unquote_to_bytes(path)
    if path != urllib.parse.quote(decoded, safe="/!$&'()*+,;=:@[]"):
        raise WireError(where + "the path is not in its canonical spelling")
    if {b".", b".."} & set(decoded.split(b"/")) or b"//" in decoded or not path.startswith("/"):
        raise WireError(where + "the path is not clean")


def check_forwarded(request: Request, api_key: str | None) -> None:
    """What holds for every forwarded request: one Host, one framing, nothing hop by hop, our
    key."""
    headers = request.headers
    where = f"forwarded {request.line!r}: "
    check_path(request.line.split(" ")[1].partition("?")[0], where)
    if headers.all("Host") != ["localhost"]:
        raise WireError(where + f"Host {headers.all('Host')}, wanted one 'localhost'")
    if api_key is not None and headers.all("x-api-key") != [api_key]:
        raise WireError(where + f"x-api-key {headers.all('x-api-key')}, wanted one {api_key!r}")
    lengths, codings = headers.all("Content-Length"), headers.all("Transfer-Encoding")
    if len(lengths) + len(codings) > 1:
        raise WireError(where + f"framed twice: length {lengths}, coding {codings}")
    if lengths and not re.fullmatch(r"0|[1-9][0-9]*", lengths[0]):
        raise WireError(where + f"Content-Length {lengths[0]!r} is not its shortest spelling")
    if codings not in ([], ["chunked"]):
        raise WireError(where + f"Transfer-Encoding {codings}")
    leaked = [name for name, _ in headers if name.lower() in HOP_BY_HOP]
    if leaked:
        raise WireError(where + f"hop-by-hop headers {leaked}")
    connection, upgrade = headers.one("Connection"), headers.one("Upgrade")
    if connection is not None and connection.lower() not in ("upgrade", "keep-alive"):
        raise WireError(where + f"Connection: {connection}")
    if (connection or "").lower() == "upgrade" and upgrade is None:
        raise WireError(where + "Connection: Upgrade without Upgrade")


class Engine:
    """The scripted Engine: a unix socket whose every response is written by the test."""

    def __init__(self, path: str, api_key: str | None = API_KEY):
        self.path = path
        self.api_key = api_key
        # The version that it responds to the proxy's own GET /version; None: the test does.
        self.release: str | None = None
        # Whether it responds to the proxy's own GET /_ping, by which that knows one of several Engines.
        self.pings = False
        self.listener: socket.socket | None = None
        self.conns: list[EngineConn] = []

    def start(self, backlog: int = 1024, mode: int = 0o666) -> Engine:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        os.chmod(self.path, mode)
        self.listener.listen(backlog)
        return self

    def hang_up(self) -> None:
        """Every connection ends."""
        for conn in list(self.conns):
            conn.close()

    def stop(self) -> None:
        """As an Engine that was stopped: every connection ends, the socket file is gone."""
        self.hang_up()
        if self.listener:
            self.listener.close()
            self.listener = None
            os.unlink(self.path)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def accept(self, timeout: float = PATIENCE) -> EngineConn:
        """The next connection of the proxy, whether or not it says anything."""
        self.listener.settimeout(timeout)
        try:
            sock, _ = self.listener.accept()
        except TimeoutError:
            raise WireError("the proxy did not connect to the Engine") from None
        conn = EngineConn(sock, self)
        self.conns.append(conn)
        return conn

    def head(self, timeout: float = PATIENCE) -> Request:
        """The head of the next request, on a new or a kept connection, as soon as it is
        complete."""
        while True:
            request = self.next_head(timeout)
            if self.pings and request.target == "/_ping":
                request.respond(body=b"OK")
                continue
            of_the_proxy = request.target == "/version" and request.header("Host") == "localhost"
            if self.release is None or not of_the_proxy:
                return request
            body = json.dumps({"Version": self.release, "ApiVersion": "1.41"}).encode()
            request.conn.respond(body=body)

    def next_head(self, timeout: float) -> Request:
        deadline = time.monotonic() + timeout
        while True:
            idle = {conn.sock: conn for conn in self.conns if conn.idle}
            for conn in idle.values():
                if conn.buffer:
                    return conn.read_head(timeout)
            speaking = ready([self.listener, *idle], deadline - time.monotonic())
            if not speaking:
                raise WireError("no request reached the Engine")
            for sock in speaking:
                if sock is self.listener:
                    self.accept()
                    continue
                if sock.recv(1, socket.MSG_PEEK):
                    return idle[sock].read_head(timeout)
                idle[sock].close()

    def request(self, timeout: float = PATIENCE) -> Request:
        """The next request with its whole body."""
        request = self.head(timeout)
        request.body = request.conn.read_body(request, timeout)
        return request

    def accept_waiting(self) -> None:
        """Every connection that the proxy has opened by now."""
        while ready([self.listener]):
            self.accept()

    def received(self) -> bytes:
        """Whatever has come that no test has read: nothing, after a refused request."""
        self.accept_waiting()
        rest = b""
        for conn in list(self.conns):
            rest += conn.buffer
            while ready([conn.sock]):
                try:
                    piece = conn.sock.recv(65536)
                except ConnectionResetError:  # it let go with bytes of ours unread
                    piece = b""
                rest += piece
                if not piece:
                    conn.close()
                    break
        return rest

    def forget(self) -> None:
        """Between two tests: let go of every connection, and see the proxy let go as well."""
        self.received()
        for conn in list(self.conns):
            conn.retire()

    @contextmanager
    def responding(self, respond: Callable[[Request], None] | None = None) -> Iterator[None]:
        """Serve everyone in the background with `respond` (default: 200 ok), for tests about
        numbers."""
        stop_read, stop_write = os.pipe()

        def serve() -> None:
            poll = select.epoll()
            poll.register(stop_read, select.EPOLLIN)
            poll.register(self.listener, select.EPOLLIN)
            # Those that are open already may be used again.
            by_fd = {conn.sock.fileno(): conn for conn in self.conns if conn.sock.fileno() >= 0}
            for fd in by_fd:
                poll.register(fd, select.EPOLLIN)
            while True:
                for fd, _ in poll.poll():
                    if fd == stop_read:
                        return
                    if fd == self.listener.fileno():
                        conn = self.accept()
                        by_fd[conn.sock.fileno()] = conn
                        poll.register(conn.sock, select.EPOLLIN)
                        continue
                    conn = by_fd[fd]
                    try:
                        ended = not conn.sock.recv(1, socket.MSG_PEEK)
                    except ConnectionResetError:  # it let go with bytes of ours unread
                        ended = True
                    if ended:
                        poll.unregister(fd)
                        del by_fd[fd]
                        conn.close()
                        continue
                    request = conn.read_request()
                    (respond or Request.respond)(request)

        worker = Background(serve)
        try:
            yield
        finally:
            os.write(stop_write, b"x")
            worker.result()
            os.close(stop_read)
            os.close(stop_write)


# ---------------------------------------------------------------------------------------------
# The client


class Client(Stream):
    """A client's connection to the proxy."""

    def __init__(self, sock: socket.socket):
        super().__init__(sock, "client")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def port(self) -> int:
        return self.sock.getsockname()[1]

    def send_slowly(self, data: bytes, step: int = 1) -> None:
        """Piece by piece, each taken by the proxy before the next; stops once the proxy has
        responded."""
        waiting = True
        for at in range(0, len(data), step):
            if self.readable() or not self.send_through(data[at : at + step]):
                return
            waiting = waiting and self._taken()

    def _taken(self, limit: float = 0.05) -> bool:
        """Wait until the proxy has read what we sent; False when it does not want to read yet."""
        deadline = time.monotonic() + limit
        while unread(self.sock):
            if time.monotonic() > deadline:
                return False
            os.sched_yield()
        return True

    def get(self, target: str, version: str = "1.1", headers: Iterable[str] = ()) -> None:
        lines = [f"GET {target} HTTP/{version}", "Host: docker", *headers]
        self.send("\r\n".join(lines).encode("latin-1") + HEAD_END)

    def post(self, target: str, body: bytes = b"", headers: Iterable[str] = ()) -> None:
        lines = [
            f"POST {target} HTTP/1.1",
            "Host: docker",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        self.send("\r\n".join(lines).encode("latin-1") + HEAD_END + body)

    def read_response_head(self, timeout: float = PATIENCE) -> Response:
        raw = self.read_until(HEAD_END, timeout)
        lines = raw[: -len(HEAD_END)].split(CRLF)
        match = STATUS_LINE.fullmatch(lines[0])
        if not match:
            raise WireError(f"client: status line {show(lines[0])}")
        headers = split_headers(lines[1:], "response")
        return Response(
            match[1].decode(), int(match[2]), (match[3] or b"").decode("latin-1"), headers
        )

    def response(self, method: str = "GET", timeout: float = PATIENCE) -> Response:
        """The next final response with its whole body (RFC 9112 §6.3)."""
        informational = []
        response = self.read_response_head(timeout)
        while 100 <= response.status < 200 and response.status != 101:
            informational.append(response.status)
            response = self.read_response_head(timeout)
        response.informational = informational
        coding, length = response.header("Transfer-Encoding"), response.header("Content-Length")
        if coding is not None and length is not None:
            raise WireError(f"response framed twice: {response.headers}")
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if coding == "chunked":
            response.framing, response.body = "chunked", self.read_chunks(timeout)
        elif length is not None:
            response.framing, response.body = "length", self.read(int(length), timeout)
        else:
            response.framing, response.body = "close", self.read_to_end(timeout)
        return response

    def read_chunks(self, timeout: float = PATIENCE) -> bytes:
        """The data of all chunks, to the last."""
        parts = []
        while True:
            size = int(self.read_until(CRLF, timeout)[:-2].split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.read(size, timeout))
            self.expect(CRLF, timeout)
        while self.read_until(CRLF, timeout) != CRLF:
            pass
        return b"".join(parts)

    def expect_refusal(
        self, status: int, timeout: float = PATIENCE, *, to_head: bool = False
    ) -> str:
        """An error in Docker's form and then a clean end, so that any client prints the reason; to
        HEAD the same without the body."""
        response = self.response("HEAD" if to_head else "GET", timeout)
        if response.status != status:
            raise WireError(f"refused with {response.status} {response.body!r}, wanted {status}")
        message = "" if to_head else response.message()
        self.expect_end(timeout)
        return message


def open_stream(
    client: Client,
    engine: Engine,
    target: str = "/events",
    sent: bytes = b"",
    headers: Iterable[str] = (),
) -> EngineConn:
    """The Engine's end of a response that goes on, of which the client has what was sent."""
    client.get(target, headers=headers)
    conn = engine.request().conn
    conn.send(STREAM_HEAD + sent)
    assert client.read_response_head().status == 200
    client.expect(sent)
    return conn


def ping_passes(client: Client, engine: Engine) -> None:
    """The connection still works, and this is the first thing the Engine hears."""
    client.get("/_ping")
    request = engine.request()
    assert request.line == "GET /_ping HTTP/1.1"
    request.respond(200, b"OK")
    assert client.response().body == b"OK"


def unread(sock: socket.socket) -> int:
    """How many bytes the other end of this loopback connection has not read yet (sock_diag(7)).

    0 as well where the kernel does not tell: then a slow sender is merely less slow.
    """
    here, there = sock.getsockname(), sock.getpeername()
    family = sock.family

    def address(text: str) -> bytes:
        return socket.inet_pton(family, text).ljust(16, b"\0")

    identity = struct.pack("!HH", there[1], here[1]) + address(there[0]) + address(here[0])
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
    request += identity + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    header = struct.pack("=IHHII", 16 + len(request), 20, 1, 0, 0)
    try:
        netlink = _netlink()
        netlink.send(header + request)
        reply = netlink.recv(4096)
    except OSError:
        return 0
    if struct.unpack_from("=H", reply, 4)[0] != 20:
        return 0  # gone, or an error
    return struct.unpack_from("=I", reply, 72)[0]


def _netlink(cache: list[socket.socket] = []) -> socket.socket:  # noqa: B006 (one socket is enough)
    if not cache:
        cache.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4))
        cache[0].settimeout(PATIENCE)
    return cache[0]


# ---------------------------------------------------------------------------------------------
# The proxy

BINARY = public_program(
    os.path.abspath(
        os.environ.get("DSP_BINARY")
        or pathlib.Path(__file__).parents[2] / "build" / "docker-socket-proxy"
    )
)
SANITIZER_REPORT = re.compile(
    r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:"
    r"|\bASSERT|assertion .*fail"
    r"|sandbox: refused",  # a system call that src/sandbox/calls.def lacks
    re.IGNORECASE,
)


def sanitized(*by: str) -> bool:
    """Whether the binary is built with a sanitizer (one of these), under which memory figures mean nothing."""
    program = pathlib.Path(BINARY).read_bytes()
    return any(f"__{name}_init".encode() in program for name in by or ("asan", "tsan"))


def clean_environment(**settings: str) -> dict[str, str]:
    """The caller's environment without anything the program itself would read."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR") or "SAN_OPTIONS" in name
    }
    return kept | settings


def run_binary(
    *args: str, program: str = "", given: str = "", timeout: float = PATIENCE, **env: str
) -> subprocess.CompletedProcess:
    """One run that is expected to end by itself; `given` is its standard input. `program` is
    another name of the binary."""
    return subprocess.run(
        [program or BINARY, *args],
        env=clean_environment(**env),
        timeout=timeout,
        capture_output=True,
        text=True,
        input=given,
    )


class Proxy:
    """The program under test, running."""

    def __init__(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        port: int | None = None,
        prefix: Iterable[str] = (),
        **popen,
    ):
        self.port = port or free_port()
        settings = {"PORT": str(self.port)} | (env or {})
        self.lines: list[str] = []
        self._changed = threading.Condition()
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(
            [*prefix, BINARY, *args],
            env=clean_environment(**settings),
            stdin=subprocess.DEVNULL,
            **(streams | popen),
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        for line in self.process.stdout or ():  # a test may read its log itself
            with self._changed:
                self.lines.append(line.decode("latin-1").rstrip("\n"))
                self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_ready(self) -> Proxy:
        """Until it accepts connections."""

        def accepts() -> bool:
            if self.process.poll() is not None:
                self._reader.join(PATIENCE)
                raise WireError(f"the proxy ended with {self.process.returncode}:\n{self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return True
            except ConnectionRefusedError:
                return False

        eventually(accepts, "the proxy to listen")
        return self

    def connect(self, host: str = "127.0.0.1") -> Client:
        return Client(socket.create_connection((host, self.port), PATIENCE))

    def wait_log(
        self,
        wanted: Callable[[str], bool],
        since: int = 0,
        what: str = "",
        timeout: float = PATIENCE,
    ) -> str:
        """The first line after `since` (a length of `lines`) for which `wanted` holds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self.lines[since:]:
                    if wanted(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise WireError(
                        f"no log line {what}; the log since:\n" + "\n".join(self.lines[since:])
                    )

    def status(self, name: str) -> str:
        """A line of /proc/PID/status."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()
        raise WireError(f"/proc has no {name}")

    def resident_kib(self) -> int:
        return int(self.status("VmRSS").split()[0])

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> list[int]:
        return [int(task) for task in os.listdir(f"/proc/{self.pid}/task")]

    def links(self, thread: int | None = None) -> list[str]:
        """What its descriptors are, or those of a thread; one may be closed, or the thread end meanwhile."""
        folder = f"/proc/{self.pid}/task/{thread or self.pid}/fd"
        found = []
        with suppress(FileNotFoundError):
            for fd in os.listdir(folder):
                with suppress(FileNotFoundError):
                    found.append(os.readlink(f"{folder}/{fd}"))
        return found

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def complaint(self) -> str | None:
        """Why the run is a failure whatever the test saw: it died, or a sanitizer spoke."""
        code = self.process.poll()
        if code is not None and code != 0:
            self._reader.join(PATIENCE)
            return f"the proxy ended with {code}"
        if SANITIZER_REPORT.search(self.log()):
            return "a sanitizer or an assertion reported"
        return None

    def terminate(self) -> None:
        self.process.terminate()

    def wait_exit(self, timeout: float = PATIENCE) -> int:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise WireError(f"the proxy still runs after {timeout:g} s") from None
        self._reader.join(PATIENCE)
        return code

    def stop(self, hang_up: Callable[[], None] | None = None) -> None:
        """End it as an operator does; anything but exit 0 and silence is a failure. `hang_up` ends its streams, so that
        nobody waits for the end of the grace."""
        if self.process.poll() is None:
            self.terminate()
            if hang_up:
                hang_up()
            try:
                self.wait_exit()
            except WireError:
                self.process.kill()
                self.process.wait()
                raise
        complaint = self.complaint()
        if complaint:
            raise WireError(f"{complaint}; its log:\n{self.log()}")


def refuses_connection(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        return False
    except OSError as error:
        return error.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
