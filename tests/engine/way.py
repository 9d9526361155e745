"""The wire between clients and the program under test: TCP, TLS or a unix socket (DSP_WAY=tcp, tls or unix)."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import ssl
import subprocess
import threading
from functools import cache
from pathlib import Path

from machine import public_folder

WAY = os.environ.get("DSP_WAY", "tcp")
assert WAY in ("tcp", "tls", "unix"), f"DSP_WAY={WAY}"
_tls_hosts: dict[str, Path] = {}  # docker hosts that speak TLS, and the folder of a client's certificate


@cache
def certificates(binary: Path) -> Path:
    """An authority, a server and a client, as the program itself makes them."""
    folder = Path(public_folder("dsp-tests-certs-"))
    atexit.register(shutil.rmtree, folder)
    subprocess.run([binary, "certs", folder / "set", "--host", "127.0.0.1"], check=True, capture_output=True)
    for path in (folder / "set").iterdir():
        path.chmod(0o644)
    (folder / "set").chmod(0o755)
    return folder / "set"


def settings(binary: Path) -> dict[str, str]:
    """The variables with which the proxy listens this way, PORT apart."""
    if WAY == "unix":
        return {"LISTEN": f"unix://{Path(public_folder('dsp-tests-way-')) / 'proxy.sock'}"}
    if WAY == "tls":
        folder = certificates(binary)
        return {"TLS_CERT": f"{folder}/server-cert.pem", "TLS_KEY": f"{folder}/server-key.pem",
                "TLS_CLIENT_CA": f"{folder}/ca.pem"}
    return {}


def docker_host(binary: Path, variables: dict[str, str], port: int) -> str:
    """Where clients of a proxy with these variables connect to."""
    host = variables.get("LISTEN") or f"tcp://127.0.0.1:{port}"
    if "TLS_CERT" in variables:
        _tls_hosts[host] = certificates(binary)
    return host


def environment(host: str) -> dict[str, str]:
    """What a client needs besides DOCKER_HOST."""
    if host not in _tls_hosts:
        return {}
    return {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(_tls_hosts[host])}


def connect(host: str, address: str = "127.0.0.1") -> socket.socket | TlsSocket:
    """A socket to a docker host; `address` in place of the host's own."""
    if host.startswith("unix://"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(host.removeprefix("unix://"))
        return sock
    sock = socket.create_connection((address, int(host.rpartition(":")[2])))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return TlsSocket(sock, _tls_hosts[host]) if host in _tls_hosts else sock


class TlsSocket:
    """As much of a socket as the tests use, over TLS; shutdown() ends one direction, which ssl.SSLSocket cannot."""

    def __init__(self, sock: socket.socket, folder: Path) -> None:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.sock, self.lock = sock, threading.RLock()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self._until_done(self.tls.do_handshake)

    def __getattr__(self, name: str):
        return getattr(self.sock, name)

    def _flush(self) -> None:
        with self.lock:
            data = self.outgoing.read()
            if data:
                self.sock.sendall(data)

    def _until_done(self, act):
        while True:
            try:
                with self.lock:
                    result = act()
                    self._flush()
                    return result
            except ssl.SSLWantReadError:
                self._flush()
            data = self.sock.recv(1 << 16)
            with self.lock:
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def sendall(self, data: bytes) -> None:
        self._until_done(lambda: self.tls.write(data) if data else 0)

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def recv(self, count: int) -> bytes:
        try:
            return self._until_done(lambda: self.tls.read(count))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        with self.lock:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            self._flush()
