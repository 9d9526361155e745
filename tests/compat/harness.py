"""Running HAProxy and our proxy, and asking either of them many questions at once."""

from __future__ import annotations

import os
import pathlib
import re
import selectors
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("DSP_BINARY", str(ROOT / "build" / "docker-socket-proxy"))
PATIENCE = float(os.environ.get("DSP_TEST_PATIENCE", "60"))
HAPROXY = "/usr/sbin/haproxy"

# HAProxy 2.6 responds with 400 to a request that lies across the end of its buffer of 16 KiB.
PIPELINED_MAX = 50

STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])[ \r]")

class Program:
    """A process that listens on a unix socket, until the end of the `with` block."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], address: str):
        self.address = address
        self.process = subprocess.Popen(
            arguments,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class HAProxy(Program):
    """HAProxy with one of the configurations of peers.py."""

    def __init__(
        self, folder: str, name: str, text: str, listen: str, env: Mapping[str, str] | None = None
    ):
        path = f"{folder}/{name}.cfg"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        super().__init__([HAPROXY, "-db", "-f", path], env or {}, listen)
        wait_for_listener(self)


class Proxy(Program):
    """Our proxy."""

    def __init__(self, env: Mapping[str, str], listen: str, *arguments: str):
        super().__init__(
            [BINARY, "run", "--listen", f"unix://{listen}", "--workers", "1", *arguments],
            env,
            listen,
        )
        wait_for_listener(self)


    def __exit__(self, *_):
        self.process.terminate()
        said = self.process.communicate(timeout=PATIENCE)[0].decode(errors="replace")
        assert self.process.returncode == 0, said


def connect(address: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    client.connect(address)
    return client


def wait_for_listener(program: Program) -> None:
    """Until it accepts connections. It has no event that both programs would have in common."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connect(program.address).close()
            return
        except (FileNotFoundError, ConnectionRefusedError):
            if program.process.poll() is not None or time.monotonic() > deadline:
                said = program.process.stdout.read() if program.process.poll() is not None else b""
                raise AssertionError(f"it does not listen: {said.decode()}") from None
            time.sleep(0.001)


def encode(
    requests: Iterable[tuple[str, str, str]], env: Mapping[str, str] | None = None
) -> list[bytes]:
    """Requests (method, target, body) as bytes; `env` as header fields for peers.from_header."""
    fields = "".join(
        f"X-{name.replace('_', '-')}: {value}\r\n" for name, value in (env or {}).items()
    )
    heads = []
    for method, target, body in requests:
        length = "" if method in ("GET", "HEAD") else f"Content-Length: {len(body)}\r\n"
        heads.append(
            f"{method} {target} HTTP/1.1\r\nHost: docker\r\n{fields}{length}\r\n{body}"
        )
    return [head.encode("latin-1") for head in heads]


def ask_on_one_connection(address: str, requests: Sequence[bytes]) -> list[int]:
    """The statuses of all responses before the end of the connection; the requests are pipelined."""
    statuses: list[int] = []
    pending = memoryview(b"".join(requests))
    responses = bytearray()
    with connect(address) as client, selectors.DefaultSelector() as selector:
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while len(statuses) < len(requests):
            ready = selector.select(PATIENCE)
            assert ready, f"{address} sent {len(statuses)} of {len(requests)} responses and stopped"
            for _, events in ready:
                if events & selectors.EVENT_WRITE:
                    try:
                        pending = pending[client.send(pending) :]
                    except BrokenPipeError:
                        pending = pending[len(pending) :]
                    if not pending:
                        selector.modify(client, selectors.EVENT_READ)
                if events & selectors.EVENT_READ:
                    try:
                        piece = client.recv(1 << 16)
                    except ConnectionResetError:
                        piece = b""
                    if not piece:
                        return [int(status) for status in STATUS.findall(responses)]
                    responses += piece
                    # A head may be cut: what is behind the last empty line counts next time.
                    statuses = STATUS.findall(responses)
    return [int(status) for status in statuses]


def ask(address: str, requests: Sequence[bytes]) -> list[int]:
    """The status of each request, on as few connections as the other side allows."""
    statuses: list[int] = []
    while len(statuses) < len(requests):
        asked = requests[len(statuses) : len(statuses) + PIPELINED_MAX]
        more = ask_on_one_connection(address, asked)
        assert more, f"{address} does not respond to {asked[0]!r}"
        statuses += more
    return statuses
