"""What TLS of the kernel does, by which docs/architecture.md says why the proxy does not use it.

These tests need a kernel with the module tls: `make test STAGES=kernel` starts one. A test that
fails here says that a reason is gone.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from pathlib import Path

import pytest

from records import KEY_UPDATE_REQUESTED, log_keys, sealer
from secure import Authority, context
from tls_socket import TlsSocket
from wire import Background

# linux/tls.h, linux/tcp.h, and SSL_OP_ENABLE_KTLS of OpenSSL 3.0, of which Python knows no names.
TCP_ULP, SOL_TLS, TLS_TX, CIPHER_AES_GCM_128 = 31, 282, 1, 51
ENABLE_KTLS = 1 << 3
RECORD = 16 * 1024
CLOSES = 30


def sealed_by_the_kernel() -> int:
    """How many directions the kernel has sealed since it started."""
    lines = Path("/proc/net/tls_stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("TlsTxSw"))


def pair_of_sockets(receive_buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(20)
        client.connect(listener.getsockname())
        return listener.accept()[0], client


def start_kernel_tls(sock: socket.socket, version: int) -> None:
    """Sealing with a known key, without a handshake."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    iv, key, salt, number = bytes(8), bytes(16), bytes(4), bytes(8)
    sock.setsockopt(SOL_TLS, TLS_TX, struct.pack("HH", version, CIPHER_AES_GCM_128) + iv + key + salt + number)


@pytest.fixture(scope="module", autouse=True)
def module_tls() -> None:
    """The first use loads it."""
    server, client = pair_of_sockets()
    with server, client:
        start_kernel_tls(server, 0x0304)


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("in_kernel", [False, True], ids=["openssl", "kernel"])
def test_only_openssl_can_change_its_keys(tmp_path: Path, in_kernel: bool) -> None:
    """A client may ask for new keys at any time (RFC 8446 section 4.6.3). OpenSSL says that it has
    changed its keys, and the kernel goes on with the old ones."""
    authority = Authority(tmp_path)
    pair = authority.server()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(pair.path, pair.key)
    served.minimum_version = ssl.TLSVersion.TLSv1_3
    served.num_tickets = 0
    served.options |= ENABLE_KTLS if in_kernel else 0
    settings = context(authority)
    log_keys(settings, tmp_path / "keys.log")

    raw, sock = pair_of_sockets()
    sealed = sealed_by_the_kernel()
    accepting = Background(lambda: served.wrap_socket(raw, server_side=True))
    client = TlsSocket(sock, settings).handshake()
    server = accepting.result()
    assert sealed_by_the_kernel() - sealed == in_kernel
    with sock, server:
        server.sendall(b"before")
        assert client.recv(100) == b"before"
        seal = sealer(client, tmp_path / "keys.log")
        sock.sendall(seal.update(KEY_UPDATE_REQUESTED) + seal.seal(23, b"new keys?"))
        assert server.recv(100) == b"new keys?"
        server.sendall(b"after")
        if in_kernel:
            with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
                client.recv(100)
        else:
            assert client.recv(100) == b"after"


# ── The end ─────────────────────────────────────────────────────────────────────────────────────


def fill_and_close(sock: socket.socket, piece: int) -> int:
    """Write until the kernel takes no more, and close; how many bytes it took."""
    sock.setblocking(False)
    taken = 0
    with sock, contextlib.suppress(BlockingIOError):
        while count := sock.send(bytes(piece)):
            taken += count
    return taken


def received(sock: socket.socket) -> bytes:
    with sock:
        return b"".join(iter(lambda: sock.recv(1 << 20), b""))


def plaintext(records: bytes, over: int) -> int:
    """Bytes in whole records, each of which is longer by `over`."""
    at = count = 0
    while at + 5 <= len(records) and (end := at + 5 + int.from_bytes(records[at + 3 : at + 5], "big")) <= len(records):
        count += end - at - 5 - over
        at = end
    return count


def lost(kernel_tls: tuple[int, int] | None, send_buffer: int) -> int:
    """Bytes that were written and did not arrive at a client that reads everything, slowly."""
    server, client = pair_of_sockets(16 * 1024)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    if kernel_tls is None:
        return fill_and_close(server, RECORD) - len(received(client))
    version, over = kernel_tls
    start_kernel_tls(server, version)
    taken = fill_and_close(server, RECORD)
    return taken - plaintext(received(client), over)


SEND_BUFFERS = [8000 + 3000 * number for number in range(CLOSES)]


def test_tcp_loses_no_bytes_at_a_close() -> None:
    assert all(lost(None, size) == 0 for size in SEND_BUFFERS)


@pytest.mark.parametrize("kernel_tls", [(0x0303, 24), (0x0304, 17)], ids=["1.2", "1.3"])
def test_kernel_tls_loses_bytes_at_a_close(kernel_tls: tuple[int, int]) -> None:
    """The rest of a record for which there is no room in the socket is gone, though it was taken."""
    losses = [lost(kernel_tls, size) for size in SEND_BUFFERS]
    assert any(losses)
    assert all(0 <= loss <= RECORD for loss in losses)
