"""Limits of clients: connections, requests, rate, streams, builds, bodies; for each its answer, and that
it is free again however a request ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from wire import (
    HEAD_END,
    Client,
    Engine,
    Proxy,
    chunk,
    eventually,
    ping_passes,
    run_binary,
)

Serve = Callable[..., Proxy]
FILE = "proxy.yaml"


@pytest.fixture
def serve(start: Callable[..., Proxy], tmp_path: Path) -> Serve:
    """serve(limits, clients) → a proxy whose listener allows everything, with these limits."""
    os.chmod(tmp_path, 0o755)

    def serve_file(limits: str = "", clients: str = "", *args: str, **options) -> Proxy:
        port = free_port()
        path = tmp_path / FILE
        path.write_text(
            f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
            + (f"limits: {limits}\n" if limits else "")
            + (f"clients:\n{clients}" if clients else "")
        )
        # One thread gives back what a request took before it reads the next one.
        threads = () if "--workers" in args else ("--workers", "1")
        return start("-c", str(path), *threads, *args, port=port, **options)

    return serve_file


def from_host(proxy: Proxy, host: str) -> Client:
    """A client whose address is `host`, one of 127.0.0.0/8."""
    sock = socket.create_connection(("127.0.0.1", proxy.port), 10, source_address=(host, 0))
    return Client(sock)


def refusal(client: Client, limit: str, status: int = 429, retry: str | None = "1") -> str:
    response = client.response()
    assert response.status == status, response
    assert response.header("Retry-After") == retry
    message = response.message()
    assert f"limit '{limit}'" in message and f"{FILE}:" in message, message
    return message


def stream(proxy: Proxy, engine: Engine, target: str = "/events") -> tuple[Client, object]:
    client = proxy.connect()
    client.get(target)
    request = engine.head()
    assert request.target == target
    request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"{}"))
    client.read_until(b"{}\r\n")
    return client, request.conn


# each limit and its answer


def test_streams_of_a_client_have_a_limit(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{streams: 1}")
    first, conn = stream(proxy, own_engine)
    with proxy.connect() as second:
        second.get("/containers/web/logs?follow=1")
        message = refusal(second, "streams: 1")
        assert message.startswith("this address ") and "try again" in message
        ping_passes(second, own_engine)  # the connection goes on, and other requests do
        first.close()
        conn.expect_gone()
        conn.close()
        eventually(lambda: takes_stream(second, own_engine), "the stream to be given back")
    line = proxy.wait_log(lambda line: "limit 'streams: 1'" in line, what="about the limit")
    assert " warning " in line and "client=127.0.0.1" in line


def takes_stream(client: Client, engine: Engine) -> bool:
    """Whether a stream is free; it is given back."""
    client.get("/events")
    for _ in range(500):
        if client.readable():
            assert client.response().status == 429
            return False
        engine.accept_waiting()
        if any(conn.idle and (conn.buffer or conn.readable()) for conn in engine.conns):
            engine.head().respond()
            assert client.response().status == 200
            return True
        time.sleep(0.01)
    raise AssertionError("neither a refusal nor a request at the Engine")


def test_requests_at_once_have_a_limit(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{requests: 2}")
    with proxy.connect() as first, proxy.connect() as second, proxy.connect() as third:
        first.get("/one")
        one = own_engine.request()
        second.get("/two")
        two = own_engine.request()
        third.get("/three")
        refusal(third, "requests: 2")
        one.respond()
        assert first.response().status == 200
        two.respond()
        assert second.response().status == 200
        ping_passes(third, own_engine)


def test_rate_has_a_limit_and_says_when_to_come_back(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{rate: 3/m}")
    with proxy.connect() as client:
        for _ in range(3):  # pipelining changes nothing
            ping_passes(client, own_engine)
        client.get("/_ping")
        client.get("/_ping")
        refusal(client, "rate: 3/m", retry="20")
        refusal(client, "rate: 3/m", retry="20")
        client.get("/health")
        own_engine.accept()
        assert client.response().status == 200
    with from_host(proxy, "127.0.0.2") as other:
        ping_passes(other, own_engine)


def test_tokens_come_back(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{rate: 2/s}")
    with proxy.connect() as client, own_engine.responding():
        answers = []
        began = time.monotonic()
        while time.monotonic() - began < 3:
            client.get("/_ping")
            answers.append(client.response().status)
        passed = answers.count(200)
        assert 6 <= passed <= 2 + 2 * (time.monotonic() - began) + 1, passed
        assert set(answers) == {200, 429}


def test_denied_requests_count_for_the_rate(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{rate: 2/h}", "- {name: app, match: {cidr: 127.0.0.1}, policy: deny}\n")
    with proxy.connect() as client:
        for status in (403, 403, 429):
            client.get("/containers/json")
            response = client.response()
            assert response.status == status, response
        assert "client 'app' reached the limit 'rate: 2/h'" in response.message()
        assert response.header("Retry-After") == "1800"
    assert not own_engine.received()


def test_builds_have_a_limit_and_other_streams_have_not(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{builds: 1}")
    with proxy.connect() as first, proxy.connect() as second:
        first.post("/build", b"tar")
        build = own_engine.request()
        second.post("/build", b"tar")
        refusal(second, "builds: 1")
        second.get("/events")
        own_engine.head().respond()
        assert second.response().status == 200
        build.respond()
        assert first.response().status == 200
        second.post("/v1.41/build", b"tar")
        own_engine.request().respond()
        assert second.response().status == 200


def test_a_body_that_says_it_is_too_long_is_not_read(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{body: 1m}")
    with proxy.connect() as client:
        client.send(
            b"POST /images/load HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1048577\r\n\r\n"
        )
        refusal(client, "body: 1m", 413, None)
        client.expect_end()
    with proxy.connect() as client:
        client.post("/images/load", b"x" * 1048576)
        own_engine.request().respond()
        assert client.response().status == 200


@pytest.mark.parametrize("sizes", [[1000, 25], [1025], [700, 70000], [1 << 20], [300_000_000_000]])
def test_a_body_in_chunks_is_cut_in_front_of_the_limit(
    serve: Serve, own_engine: Engine, sizes: list[int]
) -> None:
    """The Engine never sees its end, nor more of it than the limit."""
    proxy = serve("{body: 1k}")
    with proxy.connect() as client:
        client.send(b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        request = own_engine.head()
        for size in sizes:
            client.send_through(b"%x\r\n" % size + b"x" * min(size, 100_000) + b"\r\n")
        client.send_through(b"0\r\n\r\n")
        refusal(client, "body: 1k", 413, None)
        got = request.conn.read_to_end()
        assert got.count(b"x") <= 1024 and b"0\r\n\r\n" not in got
        proxy.wait_log(lambda line: "denied: this address reached" in line and "/images/load" in line)
    served(proxy, own_engine)


def test_a_body_in_chunks_that_is_just_short_enough(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{body: 1k}")
    with proxy.connect() as client:
        client.send(b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(chunk(b"x" * 1000) + chunk(b"y" * 24) + b"0\r\n\r\n")
        request = own_engine.request()
        assert len(request.body) == 1024
        request.respond()
        assert client.response().status == 200


def served(proxy: Proxy, engine: Engine, host: str = "127.0.0.2") -> None:
    with from_host(proxy, host) as client:
        ping_passes(client, engine)


# whose they are


def test_each_client_has_its_own(serve: Serve, own_engine: Engine) -> None:
    """An entry replaces what it names, takes the rest over, and `none` lifts a limit."""
    proxy = serve(
        "{requests: 1, rate: 1000/s}",
        "- {name: two, match: {cidr: 127.0.0.2}, policy: open, limits: {requests: 2}}\n"
        "- {name: many, match: {cidr: 127.0.0.3}, policy: open, limits: {requests: none}}\n"
        "- {name: same, match: {cidr: [127.0.0.4, 127.0.0.5]}, policy: open}\n",
    )
    for hosts, most in (
        (["127.0.0.1"], 1),
        (["127.0.0.6"], 1),
        (["127.0.0.2"], 2),
        (["127.0.0.3"], 9),
        (["127.0.0.4", "127.0.0.5"], 1),
    ):
        clients, requests, answers = [], [], []
        for host in itertools.islice(itertools.cycle(hosts), most + (most < 9)):
            client = from_host(proxy, host)
            clients.append(client)
            client.get("/_ping")
            if len(requests) < most:
                requests.append(own_engine.request())
            else:
                answers.append(client.response().status)
        assert answers == ([429] if most < 9 else []), hosts
        for request, client in zip(requests, clients, strict=False):
            request.respond()
            assert client.response().status == 200
        for client in clients:
            client.close()


def test_all_clients_together_have_limits_too(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{total: {builds: 1}}")
    with proxy.connect() as first, from_host(proxy, "127.0.0.2") as second:
        first.post("/build", b"tar")
        build = own_engine.request()
        second.post("/build", b"tar")
        assert refusal(second, "builds: 1").startswith("all clients together ")
        build.respond()
        assert first.response().status == 200
        second.post("/build", b"tar")
        own_engine.request().respond()
        assert second.response().status == 200


def test_workers_count_together(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{streams: 5}", "", "--workers", "4")
    clients = [proxy.connect() for _ in range(12)]
    for client in clients:
        client.get("/events")
    eventually(lambda: sum(client.readable() for client in clients) == 7, "seven refusals")
    for _ in range(5):
        own_engine.head()
    for client in clients:
        if client.readable():
            refusal(client, "streams: 5")
        client.close()


# connections


def test_connections_of_a_client_have_a_limit(serve: Serve, own_engine: Engine) -> None:
    proxy = serve(
        "{connections: 2}",
        "- {name: more, match: {cidr: 127.0.0.3}, policy: open, limits: {connections: 3}}\n",
    )
    for host, most, who in (("127.0.0.2", 2, "this address"), ("127.0.0.3", 3, "client 'more'")):
        inside = [from_host(proxy, host) for _ in range(most)]
        for client in inside:
            ping_passes(client, own_engine)
        outside = from_host(proxy, host)
        outside.get("/_ping")
        response = outside.response()
        assert response.status == 429 and response.header("Retry-After") == "1", response
        assert response.message().startswith(f"{who} reached the limit 'connections: {most}'")
        outside.expect_end()
        outside.close()
        for client in inside:
            ping_passes(client, own_engine)
        inside.pop().close()
        eventually(lambda: may_connect(proxy, host, own_engine), "a connection to be free")
        for client in inside:
            client.close()


def may_connect(proxy: Proxy, host: str, engine: Engine) -> bool:
    with from_host(proxy, host) as client:
        client.get("/health")
        try:
            return client.response().status in (200, 503)
        except AssertionError:
            return False


def test_the_last_connections_are_for_others(start, own_engine: Engine) -> None:
    """Without any setting: one host that takes all it gets leaves room for others."""
    proxy = start("--max-connections", "80", "--workers", "1")
    greedy = [from_host(proxy, "127.0.0.2") for _ in range(100)]
    served(proxy, own_engine, "127.0.0.3")
    message = greedy[-1].expect_refusal(429)
    assert "kept for others" in message and "--max-connections" in message
    refused = [client for client in greedy if client.readable()]
    assert 28 <= len(refused) <= 32, len(refused)  # 70 fit in front of the last eighth
    others = [from_host(proxy, f"127.0.1.{number}") for number in range(1, 9)]
    for client in others:
        ping_passes(client, own_engine)
    for client in greedy + others:
        client.close()


MANY = 2000


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3 * MANY, reason="needs more open files"
)
def test_slow_heads_of_one_host_leave_others_served(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{connections: 500}", "", "--head-timeout", "2")
    slow = [from_host(proxy, "127.0.0.2") for _ in range(MANY)]
    for client in slow:
        client.send_through(b"GET /_ping HTTP/1.1\r\nHost")
    served(proxy, own_engine, "127.0.0.3")
    assert proxy.open_files() < 700
    for client in slow:
        client.close()
    eventually(lambda: may_connect(proxy, "127.0.0.2", own_engine), "the host to be let in again")


def test_clients_that_read_nothing_leave_others_served(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{requests: 8}")
    readers = [from_host(proxy, "127.0.0.2") for _ in range(20)]
    for client in readers:
        client.get("/images/get?names=a")
    for _ in range(8):
        conn = own_engine.head().conn
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        conn.send_until_stuck(b"x" * 1_000_000)
    served(proxy, own_engine, "127.0.0.3")
    assert not own_engine.received()
    for client in readers:
        client.close()


# given back


def ordinary(client: Client, engine: Engine) -> None:
    client.get("/one")
    engine.request().respond()
    assert client.response().status == 200


def denied(client: Client, engine: Engine) -> None:
    client.get("/containers/%2e%2e/json")
    client.read_response_head()


def leaves_in_head(client: Client, engine: Engine) -> None:
    client.send(b"GET /one HTTP/1.1\r\nHo")


def leaves_before_response(client: Client, engine: Engine) -> None:
    client.get("/events")
    engine.head()


def resets_before_response(client: Client, engine: Engine) -> None:
    client.get("/events")
    engine.head()
    client.reset()


def leaves_in_upload(client: Client, engine: Engine) -> None:
    client.send(b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nxxx")
    engine.head()


def leaves_in_response(client: Client, engine: Engine) -> None:
    client.get("/events")
    conn = engine.head().conn
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"{}"))
    client.read_until(b"{}\r\n")


def engine_leaves(client: Client, engine: Engine) -> None:
    client.post("/build", b"tar")
    engine.request().conn.close()
    assert client.response().status == 502


def engine_leaves_in_response(client: Client, engine: Engine) -> None:
    client.get("/events")
    conn = engine.head().conn
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"{}"))
    client.read_until(b"{}\r\n")
    conn.close()
    client.expect_gone()


def engine_is_malformed(client: Client, engine: Engine) -> None:
    client.get("/events")
    engine.head().conn.send(b"rubbish\r\n\r\n")
    assert client.response().status == 502


def early_response(client: Client, engine: Engine) -> None:
    client.send(b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nxxx")
    engine.head().conn.send(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
    assert client.response().status == 500


def tunnel(client: Client, engine: Engine) -> None:
    client.post("/containers/web/attach?stream=1", headers=["Connection: Upgrade", "Upgrade: tcp"])
    conn = engine.head().conn
    conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp" + HEAD_END + b"hello")
    client.read_until(b"hello")


def tunnel_to_its_end(client: Client, engine: Engine) -> None:
    client.post("/containers/web/attach?stream=1", headers=["Connection: Upgrade", "Upgrade: tcp"])
    conn = engine.head().conn
    conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp" + HEAD_END + b"hello")
    client.read_until(b"hello")
    conn.finish_sending()
    client.finish_sending()
    conn.expect_end()
    client.expect_end()


def too_long(client: Client, engine: Engine) -> None:
    client.send(b"POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    engine.head()
    client.send(chunk(b"x" * 2000))
    assert client.response().status == 413


WAYS = [
    ordinary,
    denied,
    leaves_in_head,
    leaves_before_response,
    resets_before_response,
    leaves_in_upload,
    leaves_in_response,
    engine_leaves,
    engine_leaves_in_response,
    engine_is_malformed,
    early_response,
    tunnel,
    tunnel_to_its_end,
    too_long,
]


def test_all_is_given_back_however_a_request_ends(serve: Serve, own_engine: Engine) -> None:
    """One of each at a time: what a single request kept would stop the next one for ever."""
    proxy = serve("{connections: 20, requests: 1, streams: 1, builds: 1, body: 1k}")

    def is_free() -> bool:
        with proxy.connect() as client:
            client.send_through(b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            own_engine.accept_waiting()
            response = None
            for _ in range(300):
                own_engine.accept_waiting()
                if client.readable():
                    response = client.response()
                    break
                if any(conn.idle and conn.readable() for conn in own_engine.conns):
                    try:
                        own_engine.head(0.1).respond()
                    except AssertionError:
                        continue
                time.sleep(0.01)
            assert response is not None, "no response"
            assert response.status in (200, 429), response
            return response.status == 200

    for _ in range(8):
        for way in WAYS:
            eventually(is_free, f"all to be free before {way.__name__}")
            own_engine.forget()
            client = proxy.connect()
            way(client, own_engine)
            client.close()
            for conn in list(own_engine.conns):
                conn.close()
    eventually(is_free, "all to be free at the end")
    eventually(lambda: lets_in(proxy, 20), "all connections to be given back")


def lets_in(proxy: Proxy, count: int) -> bool:
    """Whether so many connections are let in at once."""
    clients = [proxy.connect() for _ in range(count)]
    statuses = []
    for client in clients:
        client.send_through(b"GET / HTTP/1.1\r\n\r\n")  # no Host: 400
        statuses.append(client.response().status)
    for client in clients:
        client.close()
    return statuses == [400] * count


def test_thousands_of_requests_leave_nothing(serve: Serve, own_engine: Engine) -> None:
    proxy = serve("{requests: 50, streams: 50, builds: 50}", "", "--workers", "2")

    def answer(request) -> None:
        with contextlib.suppress(OSError):  # the client has left
            request.respond()

    with own_engine.responding(answer):
        for round_ in range(40):
            clients = [proxy.connect() for _ in range(25)]
            for number, client in enumerate(clients):
                for target in ("/_ping", "/events", "/containers/web/logs"):
                    client.get(target)
                client.post("/build", b"tar")
                if (number + round_) % 3 == 0:
                    client.reset()
            for client in clients:
                client.close()
        for _ in range(200):
            with proxy.connect() as client:
                client.get("/events")
                assert client.response().status in (200, 429)
    clients = [proxy.connect() for _ in range(50)]

    def settled() -> bool:
        time.sleep(0.3)
        return proxy.open_files() < 150

    eventually(settled, "the proxy to let go of its clients")
    own_engine.forget()
    for client in clients:
        client.post("/build")
        own_engine.head()  # all fifty reach the Engine
    with proxy.connect() as client:
        client.post("/build")
        assert client.response().status == 429
    for client in clients:
        client.close()


# what is said


def check(tmp_path: Path, text: str) -> tuple[int, str]:
    path = tmp_path / FILE
    path.write_text(text)
    result = run_binary("check", "-c", str(path))
    return result.returncode, result.stdout + result.stderr


def test_check_and_explain_print_limits(tmp_path: Path) -> None:
    text = (
        "listeners: [{address: 'tcp://127.0.0.1:3277', policy: open}]\n"
        "limits: {connections: 500, rate: 200/s, total: {builds: 4}}\n"
        "clients: [{name: ci, match: {cidr: 192.0.2.1}, policy: open, limits: {rate: none, body: 16g}}]\n"
    )
    code, out = check(tmp_path, text)
    assert code == 0, out
    assert "limits   of each client: connections 500, rate 200/s\n" in out
    assert "limits   of all clients together: builds 4\n" in out
    assert "client   ci: cidr 192.0.2.1, policy open, limits connections 500, body 16g\n" in out
    out = run_binary(
        "explain", "-c", str(tmp_path / FILE), "--client", "ci", "GET /_ping"
    ).stdout
    assert "limits: connections 500, body 16g\n" in out


def test_limits_that_mean_nothing_are_warned_of(tmp_path: Path) -> None:
    _, out = check(tmp_path, "limits: {requests: 10, streams: 20}\n")
    assert f"{FILE}:1: limits: 'streams: 20' never counts: 'requests: 10' is reached before" in out
    _, out = check(tmp_path, "limits: {requests: 10, streams: 10}\n")
    assert "never counts" not in out
