"""The wire between clients and the program under test: TCP, TLS or a unix socket (DSP_WAY=tcp, tls or unix).

A test with a client is the same over each of them. What a client cannot do over one of them stands in CANNOT.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import ssl
import subprocess
from functools import cache
from pathlib import Path

from machine import public_folder
from tls_socket import TlsSocket

WAY = os.environ.get("DSP_WAY", "tcp")
assert WAY in ("tcp", "tls", "unix"), f"DSP_WAY={WAY}"

# What `@pytest.mark.cannot(NAME)` on a test means: the wires, and why it is skipped there.
CANNOT = {
    "docker-py-select": (("tls",), "docker-py waits for the socket with poll() while TLS holds the rest of a frame"),
    "docker-py-half-close": (("tls",), "docker-py ends one direction of TLS by ending TCP's"),
    "node-fetch": (("tls", "unix"), "fetch() of Node.js shows no certificate and opens no unix socket"),
}
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


def why_not(name: str) -> str | None:
    """Why a client cannot do what CANNOT calls by this name; None if it can, over this wire."""
    wires, reason = CANNOT[name]
    return reason if WAY in wires else None


def settings(binary: Path, port: int) -> dict[str, str]:
    """The variables with which the proxy listens this way, PORT apart."""
    if WAY == "unix":
        return {"LISTEN": f"unix://{binary.parent}/{port}.sock"}
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
    if host not in _tls_hosts:
        return sock
    folder = _tls_hosts[host]
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return TlsSocket(sock, context, name="127.0.0.1").handshake()
