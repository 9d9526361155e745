"""What a burst of clients leaves in memory: soon nothing."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest
from machine import free_port
from wire import BINARY, Client, Engine, Proxy, Request, eventually, sanitized

pytestmark = pytest.mark.skipif(
    sanitized(), reason="resident memory of a sanitizer build means nothing"
)

BURST = 2000
READERS = 60
GET = b"GET /containers/json HTTP/1.1\r\nHost: docker\r\n\r\n"

# A minute after a burst, says docs/architecture.md; this machine may be slow as well.
SOON = 90


def held_kib(proxy: Proxy) -> int:
    """Resident memory that is the process's own, in KiB."""
    return int(proxy.status("RssAnon").split()[0])


def allow_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def idle_kib(proxy: Proxy, engine: Engine) -> int:
    """After a first request, so that what is made once is there."""
    with proxy.connect() as client:
        client.send(GET)
        engine.request().respond()
        client.response()
    return held_kib(proxy)


def ask_at_once(proxy: Proxy, engine: Engine, count: int) -> tuple[list[Client], list[Request]]:
    """Clients whose requests have all reached the Engine, which has not responded."""
    clients = [proxy.connect() for _ in range(count)]
    for client in clients:
        client.send(GET)
    return clients, [engine.request() for _ in range(count)]


# With the admin listener: docs/performance.md.
IDLE_KIB = 3 * 1024


def is_static() -> bool:
    return b"/ld-linux" not in Path(BINARY).read_bytes()[:8192]


def installed(folder: Path) -> Path:
    """The program in pieces of 32 KiB, as an image is unpacked. The kernel maps a file in the pieces that its
    pages were written in, and the linker writes larger ones: Linux 6.18 maps 770 KiB more of them."""
    copy = folder / Path(BINARY).name
    with open(BINARY, "rb") as source, open(copy, "wb", buffering=0) as target:
        while piece := source.read(32 * 1024):
            target.write(piece)
    copy.chmod(0o755)
    return copy


@pytest.mark.skipif(not is_static(), reason="what libraries of the system take is not ours")
def test_an_idle_program_is_small(start, own_engine: Engine, tmp_path: Path) -> None:
    """With metrics and the sandbox on: what a start and a reload have used goes back."""
    for folder in (tmp_path, *tmp_path.parents[:2]):  # a reload reads as somebody else
        folder.chmod(folder.stat().st_mode | 0o055)
    port = free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: some}}]\n"
                    f"admin: {{address: 'unix://{tmp_path}/admin.sock'}}\n"
                    "policies: {some: {extends: [read-only], rules: [{allow: {path: '/plugins/[a-z]+/json'}}]}}\n")
    proxy = start("-c", str(file), "--workers", "1", port=port, executable=installed(tmp_path))
    idle_kib(proxy, own_engine)
    eventually(lambda: proxy.resident_kib() <= IDLE_KIB, "what the start used to go back")
    since = len(proxy.lines)
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_log(lambda line: " reloaded " in line, since)
    eventually(lambda: proxy.resident_kib() <= IDLE_KIB, "what the reload used to go back")


def test_burst_of_requests_leaves_nothing(start, own_engine: Engine) -> None:
    allow_descriptors()
    proxy = start("--workers", "1")
    idle = idle_kib(proxy, own_engine)
    clients, requests = ask_at_once(proxy, own_engine, BURST)
    for request in requests:
        request.respond()
    for client in clients:
        client.response()
    eventually(
        lambda: held_kib(proxy) - idle <= BURST, "at most 1 KiB for each open connection", SOON
    )
    for client in clients:
        client.close()
    eventually(lambda: held_kib(proxy) - idle <= 1024, "at most 1 MiB more than idle", SOON)


def test_clients_that_read_nothing_leave_nothing(start, own_engine: Engine) -> None:
    proxy = start("--workers", "1")
    idle = idle_kib(proxy, own_engine)
    clients, requests = ask_at_once(proxy, own_engine, READERS)
    for request in requests:
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        request.conn.send_until_stuck(b"x" * 1_000_000)
    assert held_kib(proxy) - idle > 64 * READERS, "each holds a large buffer"
    for client in clients:
        client.close()
    eventually(lambda: held_kib(proxy) - idle <= 1024, "at most 1 MiB more than idle", SOON)
