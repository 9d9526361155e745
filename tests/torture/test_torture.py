"""What becomes of clients when one call of the program fails: memory, descriptors, every system call.

For each request of a mix, each kind of call and each N, the N-th call of that kind fails once while the
request is served. Then the client has what it asked for, or an error in the Engine's form, or the front
of what it asked for on a connection that ended; a line of the log says that something failed; and the
next client is served as if nothing had been. Likewise while the program starts: it then ends with a line
that says why, or serves without what failed. The program is built with sanitizers: it may not touch what
it has freed, and at the end nothing is lost.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from machine import free_port, public_folder
from wire import (
    LAST_CHUNK, RAW_STREAM, SANITIZER_REPORT, EndOfStream, Engine, EngineConn, Proxy, Request, WireError, chunk,
    eventually, show,
)

# As in torture.c.
KINDS = ["allocate", "descriptor", "accept", "connect", "watch", "wait", "read", "write", "splice",
         "option", "listen", "thread", "confine"]
KINDS_OF_REQUESTS = KINDS[:-3]
KINDS_OF_START = ["allocate", "descriptor", "connect", "watch", "option", "listen", "thread", "confine"]
HARMLESS = {"wait"}  # a signal came: nobody may notice
CALLS_MAX = 120  # of one kind within one request
STARTS_AT_ONCE = 4
STARTS_MAX = 1000  # of one kind
PATIENCE = 10.0
LONG = bytes(range(256)) * 1200
HEAD = "Host: docker\r\nConnection: close\r\n"


class Faults:
    """The page that the program shares with the test."""

    def __init__(self, path: Path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        self.file = path.open("r+b")
        self.page = mmap.mmap(self.file.fileno(), mmap.PAGESIZE)

    def arm(self, kind: str, nth: int) -> None:
        self.page[:16] = struct.pack("IIII", KINDS.index(kind) + 1, nth, 0, 0)

    def disarm(self) -> bool:
        """Whether the call was reached."""
        failed = struct.unpack("IIII", self.page[:16])[2]
        self.page[:16] = bytes(16)
        return failed > 0


# ---------------------------------------------------------------------------------------------
# The Engine


def respond(conn: EngineConn, request: Request) -> bool:
    """Whether the connection can carry another request."""
    path = request.target.partition("?")[0]
    if path.startswith("/exec/"):
        conn.send(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
                  % RAW_STREAM.encode())
        while piece := conn.buffer or conn.sock.recv(65536):
            conn.send(piece)
            conn.buffer = bytearray()
        conn.send(b"bye")
        return False
    if path == "/containers/json":
        conn.respond(200, LONG)
    elif path == "/images/json":
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(LONG), 32768):
            conn.send(chunk(LONG[at : at + 32768]))
        conn.send(LAST_CHUNK)
    elif path == "/info":
        conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LONG[:50000])
        return False
    elif path == "/build":
        conn.respond(200, hashlib.sha256(request.body).hexdigest().encode())
    else:
        conn.respond(200, b"OK")
    return True


class TolerantEngine:
    """Serves every connection in a thread of its own, and takes a request that ends too early for
    what it is; anything else that is wrong with what the proxy sends is kept in `faults`."""

    def __init__(self, folder: str):
        self.engine = Engine(f"{folder}/engine.sock", api_key=None)
        self.engine.start()
        self.faults: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.engine.listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        conn = EngineConn(sock, self.engine)
        try:
            # Idle connections wait for long.
            while sock.recv(1, socket.MSG_PEEK):
                if not respond(conn, conn.read_request()):
                    return
        except (EndOfStream, BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        except WireError as error:
            self.faults.append(str(error))
        finally:
            sock.close()


# ---------------------------------------------------------------------------------------------
# The mix


def post_chunks(target: str, body: bytes) -> bytes:
    head = f"POST {target} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [chunk(body[at : at + 32768]) for at in range(0, len(body), 32768)]
    return head + b"".join(pieces) + LAST_CHUNK


MIX = {
    "ping": f"GET /_ping HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "two": f"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\nGET /version HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "length": f"GET /containers/json HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "chunks": f"GET /images/json HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "until close": f"GET /info HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "upload": post_chunks("/build", LONG),
    "tunnel": b"POST /exec/abc/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
              b"Content-Length: 2\r\n\r\n{}",
    "denied": f"GET /secrets HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "unknown": f"GET /nothing HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "malformed": b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "health": f"GET /health HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "large head": f"GET /_ping HTTP/1.1\r\n{HEAD}X-Long: {'x' * 40000}\r\n\r\n".encode(),
}
POLICY = """
policies:
  mix:
    rules:
      - deny: {path: '/secrets/.*'}
      - allow: [system.*, container.list, image.list, image.build, exec.*]
listeners:
  - {address: 'tcp://127.0.0.1:PORT', policy: mix}
admin: {address: 'unix://FOLDER/admin.sock'}
audit: {path: 'FOLDER/audit.jsonl'}
"""


def send(sock: socket.socket, name: str) -> bytes:
    """The request, and for a tunnel what is said in it; what came meanwhile."""
    sock.sendall(MIX[name])
    if name != "tunnel":
        return b""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        if not piece:
            return got
        got += piece
    sock.sendall(b"through the tunnel")
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:  # ENOTCONN: reset already, which the next read says
        pass
    return got


def converse(port: int, name: str) -> tuple[bytes, bool]:
    """All that came back, and whether it ended in order (no reset)."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        try:
            got += send(sock, name)
            while piece := sock.recv(65536):
                got += piece
        except TimeoutError:
            raise WireError(f"{name}: nothing came for {PATIENCE:g} s, after {show(got)}") from None
        except (ConnectionResetError, BrokenPipeError):
            # What was sent before the reset may still be there.
            return got, False
    return got, True


def is_local_error(response: bytes) -> bool:
    head, _, body = response.partition(b"\r\n\r\n")
    status = head[:13]
    length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    whole = bool(length) and int(length[0].split(b":")[1]) == len(body)
    in_form = body.startswith(b'{"message":"') or body.startswith(b'{"status":"unhealthy"')
    return status in (b"HTTP/1.1 429 ", b"HTTP/1.1 502 ", b"HTTP/1.1 503 ", b"HTTP/1.1 504 ") and (
        (whole and in_form) or head.startswith(b"HTTP/1.1 429"))


def boundaries(wanted: bytes) -> list[int]:
    """Where a response begins, which another one may replace."""
    return [at for at in range(len(wanted)) if wanted.startswith(b"HTTP/1.1 ", at)]


def judge(name: str, got: bytes, in_order: bool, wanted: bytes) -> str | None:
    """What is wrong with it; None: nothing."""
    if got == wanted:
        return None
    if wanted.startswith(got):
        # A response that ends with the connection would look complete.
        if name == "until close" and in_order and b"\r\n\r\n" in got:
            return f"cut after {len(got)} of {len(wanted)} bytes without saying so"
        return None
    for at in boundaries(wanted):
        if got[:at] == wanted[:at] and is_local_error(got[at:]):
            return None
    return f"got {show(got)}, wanted {show(wanted)} or an error in the Engine's form"


# ---------------------------------------------------------------------------------------------
# Tests


def start(folder: str, socket_path: str, **popen) -> Proxy:
    """The proxy with the policy of the mix, and the page of faults in `folder`."""
    port = free_port()
    os.chmod(folder, 0o777)  # whoever it becomes writes its record there
    config = Path(folder) / "proxy.yaml"
    config.write_text(POLICY.replace("PORT", str(port)).replace("FOLDER", folder))
    return Proxy("-c", str(config), "--workers", "1", "--log-level", "debug", port=port,
                 env={"SOCKET_PATH": socket_path, "TORTURE": f"{folder}/faults"}, **popen)


class Bench:
    """The proxy under torture, its Engine, and what an untroubled client gets."""

    def __init__(self, folder: str):
        self.folder = folder
        self.engine = TolerantEngine(folder)
        self.faults = Faults(Path(folder) / "faults")
        self.proxy = start(folder, self.engine.engine.path)
        self.proxy.wait_ready()
        self.closed_at = 0.0  # when a connection was closed without a word
        self.wanted = {name: converse(self.proxy.port, name)[0] for name in MIX}

    def try_one(self, name: str, kind: str, nth: int) -> bool:
        """Whether the request came to an N-th call of that kind."""
        before = len(self.proxy.lines)
        self.faults.arm(kind, nth)
        try:
            got, in_order = converse(self.proxy.port, name)
        finally:
            reached = self.faults.disarm()
        where = f"{name}, {kind} number {nth}"
        wrong = judge(name, got, in_order, self.wanted[name])
        assert wrong is None, f"{where}: {wrong}"
        if got != self.wanted[name]:
            assert reached and kind not in HARMLESS, f"{where}: got {show(got)}"
            # A client that is reset before it has sent a request leaves nothing to speak of, and
            # connections that cannot be served are spoken of once a second.
            if got or (kind != "read" and time.monotonic() - self.closed_at > 1):
                self.proxy.wait_log(lambda line: kind != "allocate" or "memory" in line, before,
                                    f"that says what failed: {where}")
            self.closed_at = self.closed_at if got else time.monotonic()
        self.check(where)
        return reached

    def check(self, where: str) -> None:
        """The next client is served; the program lives, and no sanitizer spoke."""
        got, _ = converse(self.proxy.port, "ping")
        assert got == self.wanted["ping"], f"after {where}: {show(got)}"
        assert self.proxy.complaint() is None, f"after {where}: {self.proxy.log()}"
        assert not self.engine.faults, f"after {where}: the Engine got {self.engine.faults}"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    folder = public_folder("torture-")
    bench = Bench(folder)
    yield bench
    bench.proxy.stop()
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS_OF_REQUESTS)
def test_no_call_that_fails_harms_anybody(bench: Bench, kind: str) -> None:
    for name in MIX:
        nth = 1
        while nth <= CALLS_MAX and bench.try_one(name, kind, nth):
            nth += 1 if nth < 12 else 5  # the calls of a long body are alike


# ---------------------------------------------------------------------------------------------
# The start

START_FILE = """
listeners:
  - {address: 'tcp://127.0.0.1:PORT', policy: mix}
  - {address: 'unix://FOLDER/listen.sock', policy: 'dozzle,traefik', mode: '0660'}
policies:
  mix:
    extends: [other]
    rules:
      - deny: {path: '/secrets/.*'}
      - allow: {versioned_path: '/v1\\.4[0-9]/info'}
  other:
    scope: {owner: true}
    rules:
      - allow: [system.*, container.list]
clients:
  - {name: near, match: {cidr: 127.0.0.0/8, key_sha256: 9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f}, policy: mix}
  - {name: root, match: {uid: 0}, policy: other, until: 2099-01-01T00:00:00Z}
admin: {address: 'unix://FOLDER/admin.sock'}
audit: {path: 'FOLDER/audit.jsonl', chain: true}
"""
# Of each case, the workers.
STARTS = {"nothing": "1", "file": "2"}


def arguments_of(case: str, folder: str, port: int) -> list[str]:
    arguments = ["--workers", STARTS[case]]
    if case == "file":
        config = Path(folder) / "proxy.yaml"
        config.write_text(START_FILE.replace("PORT", str(port)).replace("FOLDER", folder))
        arguments += ["--config", str(config)]
    return arguments


def start_with(engine: str, case: str, kind: str, nth: int) -> bool:
    """Whether the start came to an N-th call of that kind."""
    folder = public_folder("start-")
    os.chmod(folder, 0o777)  # whoever it becomes can remove its socket
    port = free_port()
    faults = Faults(Path(folder) / "faults")
    faults.arm(kind, nth)
    proxy = Proxy(*arguments_of(case, folder, port), port=port,
                  env={"SOCKET_PATH": engine, "TORTURE": f"{folder}/faults"})
    try:
        eventually(lambda: "listening on" in proxy.log() or proxy.process.poll() is not None,
                   "the start to succeed or to fail")
        reached = faults.disarm()
        where = f"{case}, {kind} number {nth}"
        if proxy.process.poll() is None:
            assert converse(port, "ping")[0].endswith(b"OK"), f"{where}: {proxy.log()}"
            proxy.stop()
            return reached
        code = proxy.wait_exit()
        assert reached and code in (1, 2), f"{where}: exit {code}: {proxy.log()}"
        assert any(why in proxy.log() for why in ("cannot", "out of memory")), f"{where}: {proxy.log()}"
        assert not SANITIZER_REPORT.search(proxy.log()), f"{where}: {proxy.log()}"
        assert not os.path.exists(f"{folder}/listen.sock"), f"{where}: its socket is left"
        return True
    finally:
        if proxy.process.poll() is None:
            proxy.process.kill()
            proxy.process.wait()
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS_OF_START)
@pytest.mark.parametrize("case", STARTS)
def test_a_start_that_fails_says_why(bench: Bench, case: str, kind: str) -> None:
    engine = bench.engine.engine.path
    # Most calls fail one by one; tests/unit/test_memory.c fails each allocation.
    numbers = [*range(1, 25), *range(25, STARTS_MAX, 12)]
    reached = 0
    with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
        while numbers:
            batch, numbers = numbers[:STARTS_AT_ONCE], numbers[STARTS_AT_ONCE:]
            came = list(pool.map(lambda nth: start_with(engine, case, kind, nth), batch))
            reached += sum(came)
            if not all(came):
                break
    # Who is not root tries no socket; one worker is one thread.
    assert numbers and (reached > 0 or kind in ("connect", "thread"))
