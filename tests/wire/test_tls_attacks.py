"""TLS from peers that want to harm: floods that need no request, hellos that nobody sends, in any pieces.

In each case the connection ends, somebody else is served meanwhile, and nothing is left in memory.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from machine import free_port
from records import (
    ALERT,
    DATA,
    EARLY_DATA,
    HANDSHAKE,
    HELLO_REQUEST,
    KEY_UPDATE,
    KEY_UPDATE_REQUESTED,
    USER_CANCELED,
    Sealer12,
    Sealer13,
    client_hello,
    log_keys,
    record,
    sealer,
    server_name,
)
from secure import Authority, TlsSocket, connect, context, is_refused
from test_memory import held_kib
from wire import Background, Client, Engine, Proxy, eventually, ping_passes, sanitized

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = [TLS12, TLS13]

# What a client waits at most while an attack goes on; measured are a few milliseconds. The machine
# of the test attacks, serves and measures at once.
SOON_S = 1.0

Sealer = Sealer12 | Sealer13


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    os.chmod(tmp_path, 0o755)
    return Authority(tmp_path)


@pytest.fixture
def serve(start: Callable[..., Proxy], authority: Authority, tmp_path: Path) -> Callable[..., Proxy]:
    """serve(tls) → a proxy of one worker that speaks TLS at its port, and plain HTTP at `plain`."""

    def serve_file(tls: str = "") -> Proxy:
        port, plain = free_port(), free_port()
        server = authority.server()
        path = tmp_path / "proxy.yaml"
        path.write_text(
            f"listeners:\n- {{address: 'tcp://127.0.0.1:{plain}', policy: open}}\n"
            f"- {{address: 'tls://127.0.0.1:{port}', policy: open, tls: {{cert: {server.path}, key: {server.key}{tls}}}}}\n"
        )
        proxy = start("-c", str(path), "--workers", "1", port=port)
        proxy.plain = plain
        return proxy

    return serve_file


@contextmanager
def others_are_served(port: int, engine: Engine) -> Iterator[list[float]]:
    """Somebody asks, again and again, for as long as this lasts; the seconds of each response."""
    waited: list[float] = []
    over = threading.Event()

    def ask() -> None:
        with Client(socket.create_connection(("127.0.0.1", port))) as client:
            while not over.is_set() or len(waited) < 3:
                began = time.monotonic()
                client.get("/_ping")
                assert client.response().status == 200
                waited.append(time.monotonic() - began)
                over.wait(0.005)

    with engine.responding():
        asking = Background(ask)
        try:
            yield waited
        finally:
            over.set()
            asking.result()
    assert max(waited) < SOON_S, f"somebody waited {max(waited):.3f} s"


def opened(proxy: Proxy, authority: Authority, version: ssl.TLSVersion, folder: Path) -> tuple[Client, Sealer]:
    """A client over TLS, and what seals its next records."""
    settings = context(authority, version=version)
    log_keys(settings, folder / "keys.log")
    client = connect(proxy, settings)
    return client, sealer(client.sock, folder / "keys.log")


def flood(sock: socket.socket, piece: Callable[[], bytes], most: int) -> int:
    """Send pieces until the peer ends the connection; how many bytes that were."""
    sent = 0
    sock.settimeout(20)
    try:
        while sent < most:
            data = piece()
            sock.sendall(data)
            sent += len(data)
    except (BrokenPipeError, ConnectionResetError):
        return sent
    raise AssertionError(f"the peer still takes all after {sent} bytes")


# ── Floods from clients ─────────────────────────────────────────────────────────────────────────

FLOODS: dict[str, tuple[ssl.TLSVersion, Callable[[Sealer], bytes]]] = {
    "updates": (TLS13, lambda seal: seal.update(KEY_UPDATE)),
    "updates-requested": (TLS13, lambda seal: seal.update(KEY_UPDATE_REQUESTED)),
    "empty": (TLS13, lambda seal: seal.seal(DATA, b"")),
    "padded": (TLS13, lambda seal: seal.seal(DATA, b"", padding=1000)),
    "alerts": (TLS13, lambda seal: seal.seal(ALERT, USER_CANCELED)),
    "empty-1.2": (TLS12, lambda seal: seal.seal(DATA, b"")),
    "alerts-1.2": (TLS12, lambda seal: seal.seal(ALERT, USER_CANCELED)),
    "renegotiations-1.2": (TLS12, lambda seal: seal.seal(HANDSHAKE, client_hello(version=0x0303))),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_without_data_ends_the_connection(
    serve, own_engine: Engine, authority: Authority, tmp_path: Path, name: str
) -> None:
    """The client never reads: what it is owed must not pile up."""
    version, piece = FLOODS[name]
    proxy = serve()
    with others_are_served(proxy.plain, own_engine):
        for _ in range(3):
            client, seal = opened(proxy, authority, version, tmp_path)
            with client:
                sent = flood(client.sock.sock, lambda: b"".join(piece(seal) for _ in range(500)), 32 << 20)
                assert sent < 8 << 20


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_in_the_middle_of_a_request_ends_it(
    serve, own_engine: Engine, authority: Authority, tmp_path: Path, name: str
) -> None:
    version, piece = FLOODS[name]
    proxy = serve()
    client, seal = opened(proxy, authority, version, tmp_path)
    with client:
        head = b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
        client.sock.sock.sendall(seal.seal(DATA, head))
        request = own_engine.head()
        request.conn.expect(b"half")
        flood(client.sock.sock, lambda: b"".join(piece(seal) for _ in range(500)), 32 << 20)
        request.conn.expect_gone()


@pytest.mark.skipif(sanitized(), reason="a sanitizer has its own memory")
def test_messages_that_never_end_leave_nothing_in_memory(serve, own_engine: Engine) -> None:
    """Their length is believed, and there is memory for as many as there may be handshakes."""
    proxy = serve()
    begun = record(HANDSHAKE, b"\1" + (130000).to_bytes(3, "big") + bytes(1000))
    ended = record(HANDSHAKE, b"\1" + (130000).to_bytes(3, "big") + b"\1")
    for _ in range(4):  # what is made once is there after the first ones
        with proxy.connect() as client:
            client.send(ended)
            client.finish_sending()
            client.expect_gone()
    idle = held_kib(proxy)
    clients = [proxy.connect() for _ in range(500)]
    for client in clients:
        client.send(begun)
    eventually(lambda: held_kib(proxy) - idle > 10 * 1024, "memory for the messages")
    assert held_kib(proxy) - idle < 160 * 1024
    for client in clients:
        client.close()
    eventually(lambda: held_kib(proxy) - idle <= 1024, "at most 1 MiB more than idle", 90)


def test_floods_leave_nothing_in_memory(serve, own_engine: Engine, authority: Authority, tmp_path: Path) -> None:
    if sanitized():
        pytest.skip("a sanitizer has its own memory")
    proxy = serve()
    open_files = None
    idle = None
    for _ in range(2):  # what is made once is there after the first time
        for version, piece in FLOODS.values():
            for _ in range(4):
                client, seal = opened(proxy, authority, version, tmp_path)
                with client:
                    flood(client.sock.sock, lambda: b"".join(piece(seal) for _ in range(500)), 32 << 20)
        if idle is None:
            eventually(lambda: "0" == proxy_connections(proxy), "connections to end")
            idle, open_files = held_kib(proxy), proxy.open_files()
    eventually(lambda: held_kib(proxy) - idle <= 512, f"memory as before: {idle} KiB")
    eventually(lambda: proxy.open_files() <= open_files, "descriptors as before")


def proxy_connections(proxy: Proxy) -> str:
    """How many connections its two ports have."""
    own = [f":{port:04X}" for port in (proxy.port, proxy.plain)]
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return str(sum(line.split()[1][-5:] in own and line.split()[3] == "01" for line in lines))


@pytest.mark.parametrize("requested", [KEY_UPDATE, KEY_UPDATE_REQUESTED], ids=["updates", "updates-requested"])
def test_updates_between_data_are_no_flood(
    serve, own_engine: Engine, authority: Authority, tmp_path: Path, requested: bytes
) -> None:
    """As many as there are records with data, and some before the first."""
    proxy = serve()
    client, seal = opened(proxy, authority, TLS13, tmp_path)
    body = os.urandom(3000)
    with client:
        raw = client.sock.sock
        raw.sendall(b"".join(seal.update(requested) for _ in range(20)))
        raw.sendall(seal.seal(DATA, f"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()))
        for at in range(0, len(body), 10):
            raw.sendall(seal.update(requested) + seal.seal(DATA, body[at : at + 10]))
        request = own_engine.request()
        assert request.body == body
        request.respond(200, body)
        assert client.response().body == body


# ── Floods from the Engine ──────────────────────────────────────────────────────────────────────

TICKET = bytes([4]) + (48).to_bytes(3, "big") + bytes(8) + b"\x08" + bytes(8) + (27).to_bytes(2, "big") + bytes(27) + bytes(2)

ENGINE_FLOODS: dict[str, tuple[ssl.TLSVersion, Callable[[Sealer], bytes]]] = {
    "tickets": (TLS13, lambda seal: seal.seal(HANDSHAKE, TICKET)),
    "updates-requested": (TLS13, lambda seal: seal.update(KEY_UPDATE_REQUESTED)),
    "empty": (TLS13, lambda seal: seal.seal(DATA, b"")),
    "alerts": (TLS13, lambda seal: seal.seal(ALERT, USER_CANCELED)),
    "renegotiations-1.2": (TLS12, lambda seal: seal.seal(HANDSHAKE, HELLO_REQUEST)),
}


class TlsEngine:
    """An Engine behind TLS; a request for /flood gets a flood in place of a response."""

    def __init__(self, authority: Authority, version: ssl.TLSVersion, piece: Callable[[Sealer], bytes], folder: Path):
        pair = authority.server("engine")
        self.settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.settings.load_cert_chain(pair.path, pair.key)
        self.settings.minimum_version = self.settings.maximum_version = version
        self.settings.num_tickets = 0  # which would be records that Sealer does not know of
        self.keys, self.piece = folder / "engine-keys.log", piece
        log_keys(self.settings, self.keys)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tls://127.0.0.1:{self.listener.getsockname()[1]}"
        self.flooded: list[Background] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(20)
            tls = TlsSocket(sock, self.settings, server=True).handshake()
            seal = sealer(tls, self.keys, "SERVER")
            threading.Thread(target=self._serve, args=(tls, seal), daemon=True).start()

    def _serve(self, tls: TlsSocket, seal: Sealer) -> None:
        try:
            while head := tls.recv(65536):
                if b" /flood" in head or b"/containers/flood/" in head:
                    self.flooded.append(Background(lambda: flood(tls.sock, lambda: b"".join(self.piece(seal) for _ in range(500)), 32 << 20)))
                    self.flooded[-1].result()
                    return
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (OSError, ssl.SSLError):
            pass


@pytest.mark.parametrize("name", ENGINE_FLOODS)
def test_a_flood_from_the_engine_becomes_a_502(start, authority: Authority, tmp_path: Path, name: str) -> None:
    engine = TlsEngine(authority, *ENGINE_FLOODS[name], tmp_path)
    file = tmp_path / "proxy.yaml"
    file.write_text(f"policy: open\nupstream: {{address: '{engine.address}', tls: {{ca: {authority.path}}}}}\n")
    proxy = start("-c", str(file), "--workers", "1", env={"SOCKET_PATH": ""})
    for _ in range(3):
        with proxy.connect() as client, proxy.connect() as other:
            client.get("/containers/flood/json")
            began = time.monotonic()
            other.get("/_ping")
            assert other.response().status == 200
            assert time.monotonic() - began < SOON_S
            assert client.response().status == 502
    assert all(flooded.result() < 8 << 20 for flooded in engine.flooded)
    engine.listener.close()


# ── Pieces ──────────────────────────────────────────────────────────────────────────────────────


def first_flight(settings: ssl.SSLContext) -> tuple[TlsSocket, bytes]:
    """A client that has sent nothing, and its ClientHello."""
    half = TlsSocket(socket.socket(), settings)
    with pytest.raises(ssl.SSLWantReadError):
        half.tls.do_handshake()
    return half, half.outgoing.read()


def test_a_hello_that_ends_anywhere(serve, own_engine: Engine, authority: Authority) -> None:
    proxy = serve()
    _, hello = first_flight(context(authority))
    with others_are_served(proxy.plain, own_engine):
        for count in range(len(hello)):
            with proxy.connect() as client:
                client.send(hello[:count])
                client.finish_sending()
                client.expect_gone()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_hello_of_which_each_byte_is_a_segment(
    serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    proxy = serve()
    with proxy.connect() as client:
        half, hello = first_flight(context(authority, version=version))
        client.send_slowly(hello)
        half.sock = client.sock
        with Client(half.handshake()) as whole:
            ping_passes(whole, own_engine)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 4, 64])
def test_a_hello_in_many_records(
    serve, own_engine: Engine, authority: Authority, size: int, version: ssl.TLSVersion
) -> None:
    proxy = serve()
    with proxy.connect() as client:
        half, hello = first_flight(context(authority, version=version))
        message = hello[5:]
        client.send(b"".join(record(HANDSHAKE, message[at : at + size]) for at in range(0, len(message), size)))
        half.sock = client.sock
        with Client(half.handshake()) as whole:
            ping_passes(whole, own_engine)


def test_a_message_of_thousands_of_records_ends(serve, own_engine: Engine) -> None:
    proxy = serve()
    start = b"\1" + (130000).to_bytes(3, "big")
    with others_are_served(proxy.plain, own_engine), proxy.connect() as client:
        client.send(b"".join(record(HANDSHAKE, bytes([byte])) for byte in start + bytes(2000)))
        client.expect_gone(5)
    proxy.wait_log(lambda line: "it sends record after record without data" in line)


def test_the_engine_sends_its_records_a_byte_at_a_time(start, authority: Authority, tmp_path: Path) -> None:
    engine = TlsEngine(authority, TLS13, lambda seal: b"", tmp_path)
    body = os.urandom(40000)
    file = tmp_path / "proxy.yaml"
    file.write_text(f"policy: open\nupstream: {{address: '{engine.address}', tls: {{ca: {authority.path}}}}}\n")
    proxy = start("-c", str(file), "--workers", "1", env={"SOCKET_PATH": ""})

    def trickle(tls: TlsSocket, seal: Sealer) -> None:
        tls.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls.step = 1
        while tls.recv(65536):
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    engine._serve = trickle
    with proxy.connect() as client:
        for _ in range(2):
            client.get("/images/x/get")
            assert client.response().body == body
    engine.listener.close()


# ── Hellos that nobody sends ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "hello",
    [
        record(HANDSHAKE, client_hello(version=0x0300), 0x0300),
        record(HANDSHAKE, client_hello(version=0x0301)),
        record(HANDSHAKE, client_hello(version=0x0302), 0x0302),
        b"\x80\x1c\x01\x00\x02\x00\x03\x00\x00\x00\x10\x01\x00\x80" + bytes(16),
    ],
    ids=["ssl3", "tls1.0", "tls1.1", "ssl2"],
)
def test_versions_of_the_past(serve, own_engine: Engine, hello: bytes) -> None:
    proxy = serve()
    with proxy.connect() as client:
        client.send(hello)
        answer = client.read_to_end()
        assert answer == b"" or answer[0] == ALERT and answer[-2] == 2, answer
    proxy.wait_log(lambda line: "no TLS with 127.0.0.1" in line)


@pytest.mark.parametrize("name", [b"localhost\0.example.org", b"\0", b"a" * 256, b"a" * 16000])
def test_names_that_no_host_has(serve, own_engine: Engine, name: bytes) -> None:
    proxy = serve()
    with proxy.connect() as client:
        client.send(record(HANDSHAKE, client_hello(server_name(name))))
        answer = client.read_to_end()
        assert answer[0] == ALERT and answer[-2] == 2, answer
    assert own_engine.received() == b""


def test_early_data_is_never_read(serve, own_engine: Engine) -> None:
    """Data before the handshake can be replayed. It is skipped, and there may not be much of it."""
    proxy = serve()
    request = record(DATA, b"POST /containers/x/stop HTTP/1.1\r\nHost: x\r\n\r\n".ljust(1000, b"x"), 0x0303)
    with proxy.connect() as client:
        client.send(record(HANDSHAKE, client_hello(EARLY_DATA)) + request)
        assert client.read(1)[0] == HANDSHAKE
        assert client.send_through(request * 64) in (True, False)
        client.expect_gone(5)
    with proxy.connect() as client:  # nor without saying so
        client.send(record(HANDSHAKE, client_hello()) + request)
        client.expect_gone(5)
    assert own_engine.received() == b""


@pytest.fixture
def chain(authority: Authority, tmp_path: Path) -> Callable[..., ssl.SSLContext]:
    """chain(count) → a client that sends so many certificates, of 400 bytes each, besides its own."""
    pair = authority.make("ops", "ops")
    other = Path(authority.make("ballast", "ballast").path).read_text()

    def make(count: int, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        path = tmp_path / f"chain-{count}.pem"
        path.write_text(Path(pair.path).read_text() + other * count)
        settings = context(authority, version=version)
        settings.load_cert_chain(path, pair.key)
        return settings

    return make


def test_certificates_of_a_hundred_kilobytes(serve, own_engine: Engine, authority: Authority, chain) -> None:
    proxy = serve(f", client_ca: {authority.path}")
    with connect(proxy, chain(70)) as client:
        ping_passes(client, own_engine)
    with others_are_served(proxy.plain, own_engine):
        for _ in range(20):
            assert is_refused(proxy, chain(300))
    proxy.wait_log(lambda line: "no TLS with 127.0.0.1" in line and "certificates" in line)


@pytest.mark.skipif(sanitized(), reason="a sanitizer has its own memory")
@pytest.mark.parametrize("version", VERSIONS)
def test_what_comes_with_a_certificate_is_not_kept(
    serve, own_engine: Engine, authority: Authority, chain, version: ssl.TLSVersion
) -> None:
    proxy = serve(f", client_ca: {authority.path}")
    settings = chain(70, version)
    clients: list[Client] = []

    def open_more(count: int) -> None:
        for _ in range(count):
            clients.append(connect(proxy, settings))
            ping_passes(clients[-1], own_engine)

    open_more(20)
    before = held_kib(proxy)
    open_more(100)
    used = (held_kib(proxy) - before) / 100
    for client in clients:
        client.close()
    assert used < 40, f"{used:.1f} KiB for each connection"
