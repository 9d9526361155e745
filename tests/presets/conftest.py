"""What the tests of presets ask the program, and what they read from the tree.

apps/NAME.yaml says for each preset, in three lists: `grants`, all operations it allows, so that a
change of what a preset opens shows here; `sends`, what the app really asks; `refuses`, requests
close to these that must not pass. A library's also has `interface`: what each of its public methods asks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import catalogue  # noqa: E402
from bodies import body_of  # noqa: E402
from machine import free_port, public_folder  # noqa: E402

PATIENCE = 60
ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DSP_BINARY") or ROOT / "build" / "docker-socket-proxy")
FOLDER = ROOT / "presets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
CATALOGUE = catalogue.rows()
OPERATIONS = {row.operation: row for row in CATALOGUE}


def preset(name: str) -> dict:
    """A preset as its file has it."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def expected(name: str) -> dict[str, list[str]]:
    """What tests/presets/apps says of a preset."""
    return yaml.safe_load((Path(__file__).parent / "apps" / f"{name}.yaml").read_text())


@dataclass(frozen=True)
class Decision:
    """What `explain` said of one request."""

    request: str
    status: int
    text: str

    @property
    def allowed(self) -> bool:
        """Exit status and first line, which must agree."""
        says_allow = self.text.startswith("allow ")
        assert says_allow == (self.status == 0), f"{self.request}: status {self.status}: {self.text}"
        return says_allow


def explain(name: str, request: str, *more: str) -> Decision:
    """What the policy `name` makes of a request."""
    done = subprocess.run([BINARY, "explain", "--policy", name, *more, request], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
                          env={})
    assert done.returncode in (0, 1, 2), done
    return Decision(request, done.returncode, done.stdout)


def explain_all(name: str, requests: list[str], folder: Path) -> list[Decision]:
    """The same for many requests, side by side, with their bodies."""
    def one(number: int) -> Decision:
        body, file = body_of(requests[number]), folder / f"body-{number}"
        if body is None:
            return explain(name, requests[number])
        file.write_bytes(body)
        return explain(name, requests[number], "--body", str(file))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, range(len(requests))))


class Content(socketserver.StreamRequestHandler):
    """An Engine that is content with everything it is asked, and whose objects are those of one owner."""

    owner = "nobody"

    def description(self, line: bytes) -> bytes:
        """What a scope looks for, of an object of any kind."""
        label = "docker-socket-proxy.owner"
        image = line.startswith(b"GET /images/")
        labels = {f"image.{label}": self.owner, label: ""} if image else {label: self.owner}
        number = "0123456789abcdef" * 4
        return json.dumps({"Id": number, "ID": number, "ContainerID": number, "Name": "web", "Labels": labels,
                           "Config": {"Labels": labels}}).encode()

    def handle(self) -> None:
        while line := self.rfile.readline().strip():
            body = self.description(line) if line.startswith(b"GET ") else b""
            length = 0
            while line := self.rfile.readline().strip().lower():
                length = int(line.removeprefix(b"content-length:")) if line.startswith(b"content-length:") else length
            self.rfile.read(length)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)


@pytest.fixture(scope="session", name="engine")
def content_engine() -> Iterator[Path]:
    """The socket of that Engine, which a proxy that has given up root can reach."""
    folder = Path(public_folder("dsp-tests-presets-"))
    with socketserver.ThreadingUnixStreamServer(str(folder / "engine"), Content) as server:
        server.daemon_threads = True
        (folder / "engine").chmod(0o666)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder / "engine"
        server.shutdown()
    shutil.rmtree(folder)


class Serving:
    """A proxy that was started with POLICY=name, and a connection to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: socket.socket | None = None

    def connect(self) -> socket.socket:
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return self.connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, request: str) -> int:
        """The status of the response to one request."""
        connection = self.connect()
        body = body_of(request)
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        connection.sendall(f"{request} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode() + (body or b""))
        response = b""
        while b"\r\n\r\n" not in response:
            response += connection.recv(65536) or pytest.fail(f"{request}: closed after {response!r}")
        head, _, body = response.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        while not request.startswith("HEAD") and length and len(body) < int(length[1]):
            body += connection.recv(65536) or pytest.fail(f"{request}: closed in the body {body!r}")
        if re.search(rb"(?i)\r\nconnection: close", head):
            self.close()
        return int(head.split(b" ", 2)[1])

    def ask_all(self, requests: list[str]) -> dict[str, int]:
        """The status of each."""
        return {request: self.ask(request) for request in requests}


@contextmanager
def serving(name: str, engine: Path) -> Iterator[Serving]:
    """A proxy that serves with the policy `name`."""
    port = free_port()
    Content.owner = name
    settings = {"POLICY": name, "SOCKET_PATH": str(engine), "LOG_LEVEL": "err", "WORKERS": "1",
                "LISTEN": f"tcp://127.0.0.1:{port}"}
    with subprocess.Popen([BINARY], env=settings, stdin=subprocess.DEVNULL) as process:
        running = Serving(port)
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    running.connect()
                    break
                except ConnectionRefusedError:
                    assert process.poll() is None and time.monotonic() < deadline, "it does not start"
                    time.sleep(0.01)
            yield running
            running.close()
        finally:
            process.terminate()
    assert process.returncode == 0


def pytest_configure() -> None:
    """Without the program there is nothing to test."""
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"no binary at {BINARY}: build first (make), or set DSP_BINARY")
