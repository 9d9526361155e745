"""Every kind of listener at once: none is reachable without what its configuration asks for, each with it."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from machine import free_port
from secure import Authority, context
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

    def ask(self, listener: str, headers: tuple[str, ...] = (), settings: ssl.SSLContext | None = None) -> int:
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
                client.get("/version", headers=headers)
                return client.response().status
        except (OSError, ssl.SSLError, AssertionError):
            sock.close()
            return 0


@pytest.fixture
def doors(start: Callable[..., Proxy], own_engine: Engine, tmp_path: Path) -> Iterator[Doors]:
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
        + "clients:\n"
        f"- {{name: by-key, match: {{listener: [key, tls], key_sha256: {HASH}}}, policy: read-only}}\n"
        "- {name: by-network, match: {listener: network, cidr: 127.0.0.1}, policy: read-only}\n"
        "- {name: by-cert, match: {listener: optional, cert: {cn: ops}}, policy: read-only}\n"
        f"- {{name: by-user, match: {{listener: user, uid: {os.getuid()}}}, policy: read-only}}\n"
    )
    start("-c", str(tmp_path / "proxy.yaml"), port=ports["plain"])
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
        ("user", (), None), ("user", SHOWS_KEY, None),
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
        assert listener not in ("plain", "closed")
        assert listener != "key" or (headers == SHOWS_KEY and settings is None)
        assert listener != "tls" or (headers == SHOWS_KEY and settings is not None)
        assert listener != "required" or settings in (everybody[2], everybody[3])
        assert listener != "optional" or settings is everybody[2]
        assert listener not in ("network", "user") or settings is None
