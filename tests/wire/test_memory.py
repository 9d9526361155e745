"""What a burst of clients leaves in memory: soon nothing."""

from __future__ import annotations

import resource

import pytest
from wire import Client, Engine, Proxy, Request, eventually, sanitized

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
