"""Ceilings: on time for a head, on connections, on memory. Nobody can make the proxy fall over or
starve others."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable

import pytest

from wire import (
    LAST_CHUNK,
    PATIENCE,
    Background,
    Client,
    Engine,
    Proxy,
    chunk,
    eventually,
    sanitized,
)

DEFAULT_HEAD_TIMEOUT = 10  # seconds: what a proxy that overheard --head-timeout would take


def served(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.get("/still-there")
        request = engine.request()
        assert request.target == "/still-there"
        request.respond()
        assert client.response().status == 200


def settled(count: Callable[[], int]) -> int:
    """What it comes to once it no longer changes."""
    last = count()

    def is_still() -> bool:
        nonlocal last
        time.sleep(0.2)
        before, last = last, count()
        return before == last

    eventually(is_still, "what is counted to settle")
    return last


# slow heads


@pytest.mark.parametrize(
    "sent",
    [b"G", b"\r\nG", b"GET /_ping HTTP/1.1\r\nHost: docker\r\n", b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r"],
)
def test_head_that_stops_is_given_up(start, own_engine: Engine, sent: bytes) -> None:
    proxy = start("--head-timeout", "1")
    began = time.monotonic()
    with proxy.connect() as client:
        client.send(sent)
        client.expect_refusal(408)
        assert 0.9 < time.monotonic() - began < 0.9 * DEFAULT_HEAD_TIMEOUT
    served(proxy, own_engine)


def test_slow_head_of_a_head_request_gets_no_body(start, own_engine: Engine) -> None:
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        client.send(b"HEAD /_ping HTTP/1.1\r\nHost")
        client.expect_refusal(408, to_head=True)


def test_head_that_trickles_is_given_up(start, own_engine: Engine) -> None:
    """Slowloris: a byte now and then must not move the deadline."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        began = time.monotonic()
        client.send(b"GET /_ping HTTP/1.1\r\n")
        while not client.readable():
            assert time.monotonic() - began < 0.9 * DEFAULT_HEAD_TIMEOUT, "the deadline moves"
            client.send_through(b"X-A: b\r\n")
            time.sleep(0.1)
        client.expect_refusal(408)


def test_second_head_has_a_deadline_too(start, own_engine: Engine) -> None:
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        client.get("/one")
        own_engine.request().respond()
        client.response()
        client.send(b"GET /two HTTP/1.1\r\nHost")
        client.expect_refusal(408)


def test_empty_line_behind_a_body_is_no_slow_head(start, own_engine: Engine) -> None:
    """Old clients send one behind a POST, and their next request when they have one."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client, proxy.connect() as witness:
        client.post("/one", b"{}")
        own_engine.request().respond()
        client.response()
        client.send(b"\r\n")
        witness.send(b"G")
        witness.expect_refusal(408)  # so would it be
        client.get("/two")
        assert own_engine.request().line == "GET /two HTTP/1.1"


def test_idle_kept_connection_is_no_slow_head(start, own_engine: Engine) -> None:
    """Clients keep connections for their next command; losing one races with a POST that cannot be
    retried."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        client.get("/one")
        own_engine.request().respond()
        client.response()
        client.expect_silence(2.5)
        client.get("/two")
        own_engine.request().respond()
        assert client.response().status == 200


# sizes that are not of the head alone


def test_forwarded_head_may_be_longer_than_the_clients(start, own_engine: Engine) -> None:
    """A head just under the ceiling and a long API_KEY: both go through."""
    own_engine.api_key = "k" * 4000
    proxy = start(env={"API_KEY": own_engine.api_key})
    with proxy.connect() as client:
        client.get("/one", headers=["X-Registry-Config: " + "x" * 250_000])
        request = own_engine.request()
        assert len(request.header("X-Registry-Config")) == 250_000
        request.respond()
        assert client.response().status == 200


def test_ceiling_of_a_head_can_be_set(start, own_engine: Engine) -> None:
    """Who needs no long heads can have less; what is refused then is told which option it was."""
    proxy = start("--max-head", "16384")
    with proxy.connect() as client:
        client.get("/one", headers=["X-Registry-Config: " + "x" * 12_000])
        own_engine.request().respond()
        assert client.response().status == 200
    with proxy.connect() as client:
        client.get("/two", headers=["X-Registry-Config: " + "x" * 20_000])
        assert "--max-head" in client.expect_refusal(431)
    assert not own_engine.received()


# connections


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] in range(4096),
    reason="needs 4096 open files, more than the hard limit",
)
def test_thousand_connections_at_once(start, own_engine: Engine) -> None:
    """Every one of a thousand clients gets its own response, and the memory is returned."""
    proxy = start()
    before = proxy.open_files()
    with own_engine.responding(lambda request: request.respond(body=request.target.encode())):
        clients = [proxy.connect() for _ in range(1000)]
        for number, client in enumerate(clients):
            client.get(f"/{number}")
        for number, client in enumerate(clients):
            assert client.response().body == f"/{number}".encode()
        for client in clients:
            client.close()
    own_engine.forget()
    eventually(lambda: proxy.open_files() < before + 100, "the proxy to let go of its clients")


def test_connection_ceiling(start, own_engine: Engine) -> None:
    """Above the ceiling a newcomer is told so; those inside go on; room is used again."""
    most = 7  # of 8 the last would be for another host
    proxy = start("--max-connections", str(most), "--workers", "1")
    served(proxy, own_engine)  # so that all it opens for itself is open
    own_engine.forget()
    before = proxy.open_files()
    inside = []
    for _ in range(most):  # one by one: the first response shows that earlier connections are gone
        inside.append(proxy.connect())
        inside[-1].get("/inside")
        own_engine.request().respond()
        assert inside[-1].response().status == 200
    newcomer = proxy.connect()
    newcomer.get("/newcomer")
    for client in inside:
        client.get("/inside")
        request = own_engine.request()
        assert request.target == "/inside"
        request.respond()
        assert client.response().status == 200
    newcomer.expect_refusal(429)
    newcomer.close()
    for client in inside:
        client.close()
    eventually(lambda: proxy.open_files() < before + 5, "the proxy to let go of its clients")
    newcomer = proxy.connect()
    newcomer.get("/newcomer")
    request = own_engine.request()
    assert request.target == "/newcomer"
    request.respond()
    assert newcomer.response().status == 200
    newcomer.close()


def test_connections_over_the_ceiling_are_in_the_log(start, own_engine: Engine) -> None:
    """Who looks why clients fail must not find nothing; nor a line for each of thousands."""
    proxy = start("--max-connections", "2", "--workers", "1")
    inside = []
    for _ in range(2):  # one by one: the first response shows that earlier connections are gone
        inside.append(proxy.connect())
        inside[-1].get("/inside")
        own_engine.request().respond()
        assert inside[-1].response().status == 200
    for _ in range(10):
        with proxy.connect() as newcomer:
            assert "--max-connections" in newcomer.expect_refusal(429)
    line = proxy.wait_log(lambda line: "--max-connections" in line, what="about the ceiling")
    assert " warning " in line
    assert sum("--max-connections" in line for line in proxy.lines) < 5
    for client in inside:
        client.close()


def few_descriptors(count: int) -> Callable[[], None]:
    """For start(preexec_fn=…): ulimit -n."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def test_newcomers_are_told_that_descriptors_ran_out(start, own_engine: Engine) -> None:
    """A connection that nobody accepts hangs, and says nothing to whoever looks for the reason."""
    proxy = start("--workers", "1", preexec_fn=few_descriptors(200))
    inside = []
    for _ in range(60):
        inside.append(proxy.connect())
        inside[-1].get("/events")
        assert own_engine.head().target == "/events"
    outside = [proxy.connect() for _ in range(100)]  # more than there is room for
    assert "ulimit -n" in outside[-1].expect_refusal(429)
    assert not any(client.readable() for client in inside), "a stream got a response, or ended"
    for client in inside + outside:
        client.close()


def test_out_of_file_descriptors(start, own_engine: Engine) -> None:
    """RLIMIT_NOFILE reached: no spinning, no death, and service as soon as there is room."""
    # Threads have descriptors of their own.
    proxy = start("--workers", "16", preexec_fn=few_descriptors(80))
    clients = [proxy.connect() for _ in range(100)]
    proxy.wait_log(lambda line: "cannot accept" in line, what="about the limit")
    before, began = proxy.cpu_seconds(), time.monotonic()
    time.sleep(1)  # what is measured
    assert proxy.cpu_seconds() - before < 0.5 * (time.monotonic() - began), "spins on accept"
    full = len(os.listdir(f"/proc/{proxy.pid}/fd"))
    for client in clients:
        client.close()
    # Until the proxy has seen that they left, it refuses whoever comes.
    eventually(lambda: len(os.listdir(f"/proc/{proxy.pid}/fd")) < full - 1, "they were let go")
    served(proxy, own_engine)


def test_few_descriptors_leave_some_for_the_engine(start, own_engine: Engine) -> None:
    """Connections that take every descriptor are of no use: none of them gets a response."""
    # One thread takes the first client first.
    proxy = start("--workers", "1", preexec_fn=few_descriptors(64))
    clients = [proxy.connect() for _ in range(60)]
    clients[0].get("/version")
    own_engine.request().respond()
    assert clients[0].response().status == 200
    for client in clients:
        client.close()


# memory


needs_real_memory = pytest.mark.skipif(
    sanitized(), reason="resident memory of a sanitizer build means nothing"
)


@needs_real_memory
def test_reader_that_does_not_read_costs_no_memory(start, own_engine: Engine) -> None:
    """docker save into a paused pipe: the Engine has to wait, not the proxy's memory to grow."""
    proxy = start()
    before = proxy.resident_kib()
    size = 64 << 20
    piece = bytes(range(256)) * 256
    sent: list[int] = []
    with proxy.connect() as client:
        client.get("/images/get")
        conn = own_engine.request().conn

        def send_all() -> None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                conn.sock.sendall(piece)
                sent.append(len(piece))

        sender = Background(send_all)
        client.read_until(b"\r\n\r\n")
        assert settled(lambda: sum(sent)) < size // 2, "64 MiB are buffered somewhere"
        assert sender.running
        assert proxy.resident_kib() - before < 4096
        received = len(client.take(len(client.buffer)))
        while received < size:
            received += len(client.sock.recv(1 << 20))
        assert received == size
        sender.result()


@needs_real_memory
def test_engine_that_does_not_read_costs_no_memory(start, own_engine: Engine) -> None:
    """docker load into a busy Engine."""
    proxy = start()
    before = proxy.resident_kib()
    size = 64 << 20
    piece = bytes(range(256)) * 256
    sent: list[int] = []
    with proxy.connect() as client:
        client.send(
            b"POST /images/load HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        conn = own_engine.head().conn

        def send_all() -> None:
            for _ in range(size // len(piece)):
                client.sock.sendall(chunk(piece))
                sent.append(len(piece))
            client.sock.sendall(LAST_CHUNK)

        sender = Background(send_all)
        assert settled(lambda: sum(sent)) < size // 2, "64 MiB are buffered somewhere"
        assert sender.running
        assert proxy.resident_kib() - before < 4096
        received = 0
        while data := conn.read_chunk():
            received += len(data)
        assert received == size
        sender.result()
        conn.respond()
        assert client.response().status == 200


@needs_real_memory
def test_memory_follows_the_live_connections(start, own_engine: Engine) -> None:
    """600 clients that each left a large head half sent: what they took is returned when they leave,
    12 MiB for each two hundred."""
    proxy = start("--workers", "1")
    served(proxy, own_engine)
    own_engine.forget()
    before = proxy.open_files()
    for _ in range(3):
        clients = [proxy.connect() for _ in range(200)]
        for client in clients:
            client.send(b"GET /x HTTP/1.1\r\nHost: docker\r\nX-Big: " + b"x" * 60_000)
        eventually(lambda: proxy.open_files() > 200, "the proxy to accept them")
        for client in clients:
            client.reset()
        eventually(lambda: proxy.open_files() <= before, "the proxy to let go of them")
    # Free memory goes back every 10 s.
    eventually(lambda: proxy.resident_kib() < 6_000, "the memory of all who left to go back")
    served(proxy, own_engine)


@needs_real_memory
def test_descriptor_limit_costs_no_memory(start, own_engine: Engine) -> None:
    """Docker gives containers a limit of a million; a table of that size would cost more than all
    the rest."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resident = []
    for limit in (256, hard):
        proxy = start(
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        )
        served(proxy, own_engine)
        resident.append(proxy.resident_kib())
        own_engine.forget()
    assert resident[1] - resident[0] < 512, f"{resident} KiB with 256 and {hard} descriptors"


def test_large_buffers_have_a_ceiling_and_streams_go_on_without(start, own_engine: Engine) -> None:
    """256 MiB of them, whatever connections there are: 20,000 heads of this size would take 5 GiB."""
    proxy = start("--workers", "1", "--head-timeout", "60")
    head = b"GET /x HTTP/1.1\r\nHost: docker\r\nX-Big: " + b"x" * 30_000
    clients = [proxy.connect() for _ in range(1024)]
    for client in clients:
        client.send(head)
    with proxy.connect() as newcomer:
        newcomer.send_through(head)
        response = newcomer.response()
        assert response.status == 503 and response.header("Retry-After") == "1", response
        assert "so large a head" in response.message()
        newcomer.expect_end()
    body = bytes(range(256)) * 16384
    with proxy.connect() as reader, own_engine.responding(lambda request: request.respond(body=body)):
        reader.get("/images/get")
        assert reader.response().body == body
    for client in clients:
        client.close()

    def is_free() -> bool:
        with proxy.connect() as client:
            client.send_through(head + b"\r\n\r\n")
            return client.response().status == 200

    with own_engine.responding():
        eventually(is_free, "a large buffer to be free")


# leaks


def odd_connections(proxy: Proxy, engine: Engine) -> None:
    """One of each way in which a connection can go wrong."""
    proxy.connect().close()
    proxy.connect().reset()
    for sent in (
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"BAD\r\n\r\n",
        b"\x16\x03\x01",
        b"\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        for leave in (Client.close, Client.reset):
            client = proxy.connect()
            client.send(sent)
            leave(client)
    for leave in (Client.close, Client.reset):
        for response in (
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nout",
            b"garbage\r\n\r\n",
        ):
            for engine_first in (True, False):
                client = proxy.connect()
                client.post("/containers/x/attach", headers=["Connection: Upgrade", "Upgrade: tcp"])
                conn = read_this(engine, b"/containers/x/attach")
                conn.send(response)
                if engine_first:
                    conn.close()
                    leave(client)
                else:
                    leave(client)
                    conn.expect_gone()
                    conn.close()


def read_this(engine: Engine, target: bytes):
    """The next connection that carries `target`; the others were cut off on purpose."""
    while True:
        request = engine.head()
        if request.target == target.decode():
            return request.conn
        request.conn.close()


def test_no_descriptor_leaks(start, own_engine: Engine) -> None:
    """A month of broken clients: the proxy must hold as many files afterwards as before."""
    proxy = start()
    odd_connections(proxy, own_engine)
    own_engine.forget()
    served(proxy, own_engine)
    own_engine.forget()
    before = settled(proxy.open_files)
    for _ in range(10):
        odd_connections(proxy, own_engine)
    own_engine.forget()
    served(proxy, own_engine)
    own_engine.forget()
    eventually(lambda: proxy.open_files() <= before, f"open files to come back to {before}")


def test_client_that_keeps_sending_garbage_is_cut_off(proxy: Proxy, engine: Engine) -> None:
    """After a refusal the proxy drains for a while so that the reason arrives, but not for ever."""
    with proxy.connect() as client:
        client.send(b"BAD\r\n\r\n")
        began = time.monotonic()
        while client.send_through(b"x" * 65536):
            assert time.monotonic() - began < 60, "still reading garbage"
    served(proxy, engine)


def test_descriptors_are_not_inherited(start, own_engine: Engine) -> None:
    """Every descriptor is close-on-exec: 02000000 in its flags."""
    proxy = start()
    with proxy.connect() as client:
        client.get("/one")
        request = own_engine.request()
        open_ones = []
        for fd in os.listdir(f"/proc/{proxy.pid}/fdinfo"):
            if int(fd) > 2:
                flags = int(
                    open(f"/proc/{proxy.pid}/fdinfo/{fd}").read().split("flags:")[1].split()[0], 8
                )
                if not flags & 0o2000000:
                    open_ones.append(os.readlink(f"/proc/{proxy.pid}/fd/{fd}"))
        assert not open_ones
        request.respond()
        client.response()


def test_idle_connections_hold_no_pipes(proxy: Proxy, engine: Engine) -> None:
    """A body that went through a pipe leaves one descriptor per idle client, not three."""
    before = proxy.open_files()
    clients = [proxy.connect() for _ in range(20)]
    for client in clients:
        client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 32768\r\n\r\n")
        request = engine.head()
        client.send(b"b" * 32768)
        request.conn.read_body(request)
        request.respond()
        assert client.response().status == 200
    after = proxy.open_files()
    for client in clients:
        client.close()
    # The clients, and for each worker an Engine connection and a kept pipe; not 3 for each client.
    assert after - before < 2.5 * len(clients)


@pytest.mark.parametrize("behind", [b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", b"G"])
def test_client_that_left_with_bytes_behind_its_request_is_let_go(
    start, own_engine: Engine, behind: bytes
) -> None:
    """Slots are not held by clients that are gone, whatever they sent last."""
    proxy = start("--workers", "1")
    served(proxy, own_engine)  # so that all it opens for itself is open
    own_engine.forget()
    before = proxy.open_files()
    for _ in range(5):
        client = proxy.connect()
        client.send(b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n" + behind)
        request = own_engine.request()
        if behind.startswith(b"GET"):
            request.respond()
            client.response()
            own_engine.request()  # and this one never gets a response
        client.close()
    for conn in list(own_engine.conns):
        conn.sock.settimeout(PATIENCE)
    eventually(
        lambda: all(not conn.sock.recv(1) for conn in list(own_engine.conns) if not conn.idle),
        "the Engine to be told of the end",
    )
    own_engine.forget()
    eventually(lambda: proxy.open_files() <= before + 2, "the proxy to let go of its clients")
