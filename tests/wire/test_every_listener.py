"""Every kind of listener at once: none is reachable without what its configuration asks for, each with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from machine import free_port
from secure import Authority, context
from test_passed import passing
from tls_socket import TlsSocket
from wire import Client, Engine, Proxy

KEY = "correct-horse-battery-staple"
HASH = hashlib.sha256(KEY.encode()).hexdigest()
SHOWS_KEY = (f"X-Api-Key: {KEY}",)
WRONG_KEY = (f"X-Api-Key: {KEY}x",)


@dataclass
class Doors:
    """Where the listeners are, and who knocks."""

    authority: Authority
    other: Authority
    ports: dict[str, int]
    sockets: dict[str, Path]

    def ask(
        self, listener: str, headers: tuple[str, ...] = (), settings: ssl.SSLContext | None = None, target: str = "/version"
    ) -> int:
        """The status of a request to the listener; 0 if there is no response."""
        if listener in self.sockets:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(self.sockets[listener]))
        else:
            sock = socket.create_connection(("127.0.0.1", self.ports[listener]))
        sock.settimeout(20)
        try:
            if settings is not None:
                sock = TlsSocket(sock, settings).handshake()
            with Client(sock) as client:
                client.get(target, headers=headers)
                return client.response().status
        except (OSError, ssl.SSLError, AssertionError):
            sock.close()
            return 0


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[dict[str, socket.socket]]:
    """Sockets that a service manager has opened, by their names."""
    with contextlib.ExitStack() as stack:
        found = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in ("fd-plain", "fd-key", "fd-tls")}
        for name in ("fd-closed", "fd-user"):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(str(tmp_path / f"{name}.sock"))
            os.chmod(tmp_path / f"{name}.sock", 0o666)
            sock.listen()
            found[name] = sock
        yield found


@pytest.fixture
def doors(
    start: Callable[..., Proxy], own_engine: Engine, tmp_path: Path, passed: dict[str, socket.socket]
) -> Iterator[Doors]:
    os.chmod(tmp_path, 0o755)
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    server = authority.server()
    tls = f"cert: {server.path}, key: {server.key}"
    ports = {name: free_port() for name in ("plain", "key", "network", "tls", "required", "optional")}
    sockets = {name: tmp_path / f"{name}.sock" for name in ("closed", "user")}
    (tmp_path / "proxy.yaml").write_text(
        "listeners:\n"
        + "".join(f"- {{address: 'tcp://127.0.0.1:{ports[name]}', name: {name}, policy: deny}}\n"
                  for name in ("plain", "key", "network"))
        + "".join(f"- {{address: 'tls://127.0.0.1:{ports[name]}', name: {name}, policy: {policy}, tls: {{{tls}{more}}}}}\n"
                  for name, policy, more in (
                      ("tls", "deny", ""),
                      ("required", "read-only", f", client_ca: {authority.path}"),
                      ("optional", "deny", f", client_ca: {authority.path}, client_cert: optional")))
        + "".join(f"- {{address: 'unix://{path}', name: {name}, mode: '0666', policy: deny}}\n"
                  for name, path in sockets.items())
        + "".join(f"- {{address: 'fd://{name}', name: {name}, policy: deny{more}}}\n"
                  for name, more in ((name, f", tls: {{{tls}}}" if name == "fd-tls" else "") for name in passed))
        + "clients:\n"
        f"- {{name: by-key, match: {{listener: [key, tls, fd-key, fd-tls], key_sha256: {HASH}}}, policy: read-only}}\n"
        "- {name: by-network, match: {listener: network, cidr: 127.0.0.1}, policy: read-only}\n"
        "- {name: by-cert, match: {listener: optional, cert: {cn: ops}}, policy: read-only}\n"
        f"- {{name: by-user, match: {{listener: [user, fd-user], uid: {os.getuid()}}}, policy: read-only}}\n"
    )
    start("-c", str(tmp_path / "proxy.yaml"), port=ports["plain"], **passing([*passed.values()], LISTEN_FDNAMES=":".join(passed)))
    for name, sock in passed.items():
        if sock.family == socket.AF_UNIX:
            sockets[name] = Path(sock.getsockname())
        else:
            ports[name] = sock.getsockname()[1]
    with own_engine.responding():
        yield Doors(authority, other, ports, sockets)


def test_every_listener(doors: Doors) -> None:
    ops = doors.authority.make("ops", "ops")
    guest = doors.authority.make("guest", "guest")
    stranger = doors.other.make("stranger", "ops")
    nobody = context(doors.authority)
    everybody = [None, nobody, context(doors.authority, ops), context(doors.authority, guest), context(doors.authority, stranger)]
    fits = {  # listener: the headers and the certificate that its configuration asks for
        ("key", SHOWS_KEY, None), ("network", (), None), ("network", SHOWS_KEY, None), ("tls", SHOWS_KEY, nobody),
        ("user", (), None), ("user", SHOWS_KEY, None), ("fd-user", (), None),
        ("fd-key", SHOWS_KEY, None), ("fd-tls", SHOWS_KEY, nobody),
        ("required", (), everybody[2]), ("required", (), everybody[3]),
        ("optional", (), everybody[2]), ("optional", SHOWS_KEY, everybody[2]),
    }
    reached = {
        (listener, headers, settings)
        for listener in [*doors.ports, *doors.sockets]
        for headers in ((), SHOWS_KEY, WRONG_KEY)
        for settings in everybody
        if doors.ask(listener, headers, settings) == 200
    }
    assert fits <= reached, fits - reached
    # What else may be shown does not matter; what is asked for must be there.
    for listener, headers, settings in reached:
        assert listener not in ("plain", "closed", "fd-plain", "fd-closed")
        assert listener not in ("key", "fd-key") or (headers == SHOWS_KEY and settings is None)
        assert listener not in ("tls", "fd-tls") or (headers == SHOWS_KEY and settings is not None)
        assert listener != "required" or settings in (everybody[2], everybody[3])
        assert listener != "optional" or settings is everybody[2]
        assert listener not in ("network", "user", "fd-user") or settings is None


# ── Operators ───────────────────────────────────────────────────────────────

ROUTES = re.findall(
    r'^ROUTE\(\w+, "(\S+)", (true|false), (GET|POST)\)',
    (Path(__file__).parents[2] / "src/admin/routes.def").read_text(), re.MULTILINE)
# Asks for /api/state at the path of a socket.
ASK = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(b"GET /api/state HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
sys.stdout.write(sock.recv(12).decode())
"""


@pytest.mark.parametrize("kind", ["unix", "tcp without a key", "tcp", "tls with a key", "tls", "tls, optional"])
def test_every_admin_listener(start: Callable[..., Proxy], tmp_path: Path, kind: str) -> None:
    os.chmod(tmp_path, 0o755)
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    server = authority.server()
    port, place, path = free_port(), free_port(), tmp_path / "admin.sock"
    tls = f"cert: {server.path}, key: {server.key}"
    key = f"key_sha256: {HASH}"
    admin = {
        "unix": f"address: 'unix://{path}'",
        "tcp without a key": f"address: 'tcp://127.0.0.1:{place}'",
        "tcp": f"address: 'tcp://127.0.0.1:{place}', {key}",
        "tls with a key": f"address: 'tls://127.0.0.1:{place}', {key}, tls: {{{tls}}}",
        "tls": f"address: 'tls://127.0.0.1:{place}', tls: {{{tls}, client_ca: {authority.path}}}",
        "tls, optional": f"address: 'tls://127.0.0.1:{place}', {key}, tls: {{{tls}, client_ca: {authority.path}, client_cert: optional}}",
    }[kind]
    (tmp_path / "proxy.yaml").write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\nadmin: {{{admin}}}\n")
    start("-c", str(tmp_path / "proxy.yaml"), port=port)
    doors = Doors(authority, other, {"admin": place} if kind != "unix" else {}, {"admin": path} if kind == "unix" else {})
    nobody, ops = context(authority), context(authority, authority.make("ops", "ops"))
    stranger = context(authority, other.make("stranger", "ops"))
    shown = [(headers, settings) for headers in ((), SHOWS_KEY, WRONG_KEY) for settings in (None, nobody, ops, stranger)]
    fits = {
        "unix": {(headers, settings) for headers, settings in shown if settings is None},
        "tcp without a key": set(),
        "tcp": {(SHOWS_KEY, None)},
        "tls with a key": {(SHOWS_KEY, nobody), (SHOWS_KEY, ops), (SHOWS_KEY, stranger)},
        "tls": {((), ops), (SHOWS_KEY, ops), (WRONG_KEY, ops)},
        "tls, optional": {((), ops), (SHOWS_KEY, ops), (WRONG_KEY, ops), (SHOWS_KEY, nobody)},
    }[kind]
    reached = {who for who in shown if doors.ask("admin", *who, "/api/state") == 200}
    assert reached == fits
    assert len(ROUTES) > 6
    for target, is_open, method in ROUTES:  # whoever shows nothing gets what is said to be open, and nothing else
        if method == "GET" and target != "/api/events":
            serves = kind == "unix" or (is_open == "true" and kind != "tls")
            assert (doors.ask("admin", (), nobody if kind.startswith("tls") else None, target) == 200) == serves, target
    if kind == "unix" and os.geteuid() == 0:  # the file says who
        asks = [sys.executable, "-c", ASK, str(path)]
        assert subprocess.run(asks, capture_output=True, text=True).stdout == "HTTP/1.1 200"
        asked = subprocess.run(asks, capture_output=True, text=True, user=12345, group=12345, extra_groups=[])
        assert "PermissionError" in asked.stderr and not asked.stdout
