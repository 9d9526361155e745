"""Connections to the Engine: kept, retired, retried, and never trusted to respond well."""

from __future__ import annotations

import socket
import time

import pytest

from machine import has_ipv6
from wire import Engine, Proxy, WireError, eventually, unread


def exchange(client, engine: Engine, target: str = "/one"):
    client.get(target)
    request = engine.request()
    request.respond(body=target.encode())
    assert client.response().body == target.encode()
    return request.conn


# malformed responses


@pytest.mark.parametrize(
    "response",
    [
        b"garbage\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n X: folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n: empty\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"v" * 2_000_000 + b"\r\n\r\n",
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=lambda response: repr(response[:60])[2:-1],
)
def test_malformed_response_is_a_502(proxy: Proxy, engine: Engine, response: bytes) -> None:
    """What we cannot read we do not pass on: the client gets a reason, and the connection is not
    used again."""
    with proxy.connect() as client:
        client.post("/one")
        conn = engine.request().conn
        conn.send_through(response)
        conn.finish_sending()
        refusal = client.response()
        assert refusal.status == 502
        assert refusal.message()
        conn.expect_gone()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_interim_responses_without_end_are_a_502(proxy: Proxy, engine: Engine, version: str) -> None:
    """A client of HTTP/1.0 is sent none of them, so that nothing would tell that it has left."""
    with proxy.connect() as client:
        client.get("/one", version)
        conn = engine.request().conn
        conn.send_through(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000)
        response = client.response()
        assert response.status == 502
        assert "interim" in response.message()
        assert len(response.informational) == (0 if version == "1.0" else 100)
        conn.expect_gone()


def test_502_leaves_the_client_connected_or_says_close(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.post("/one")
        conn = engine.request().conn
        conn.send(b"garbage\r\n\r\n")
        response = client.response()
        assert response.status == 502
        if (response.header("Connection") or "").lower() == "close":
            client.expect_end()
        else:
            exchange(client, engine, "/two")


@pytest.mark.parametrize(
    "tail",
    [
        b"zz\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloXX",
        b"-1\r\n",
        b"10000000000000005\r\nhello\r\n",
        b"\r\n",
    ],
)
def test_malformed_chunk_of_a_response_ends_it_unclean(
    proxy: Proxy, engine: Engine, tail: bytes
) -> None:
    """The head is out already; what is left to say is that the response is broken."""
    with proxy.connect() as client:
        client.get("/one")
        conn = engine.request().conn
        conn.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n"
            + tail
            + b"0\r\n\r\n"
        )
        client.read_until(b"good\r\n")
        try:
            rest = client.read_to_end()
        except AssertionError:
            rest = b""
        assert not rest.endswith(b"0\r\n\r\n"), "the client takes the broken response for complete"
        conn.expect_gone()


def test_bytes_behind_a_response_are_not_the_next_response(proxy: Proxy, engine: Engine) -> None:
    """Response splitting: a response that nobody asked for must not be given to whoever asks
    next."""
    with proxy.connect() as client:
        client.get("/one")
        conn = engine.request().conn
        conn.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )
        assert client.response().body == b"ok"
        conn.expect_gone()
        client.get("/two")
        engine.request().respond(body=b"right")
        assert client.response().body == b"right"


def test_response_on_an_idle_connection_is_not_the_next_response(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        conn = exchange(client, engine)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        conn.expect_gone()
        conn.close()
        client.get("/two")
        engine.request().respond(body=b"right")
        assert client.response().body == b"right"


def test_http_1_0_response(proxy: Proxy, engine: Engine) -> None:
    """Podman behind an old front: a response of 1.0 ends with its connection."""
    with proxy.connect() as client:
        client.get("/one")
        conn = engine.request().conn
        conn.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold")
        conn.close()
        assert client.response().body == b"old"


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 Fine by me (really)"]
)
def test_reason_phrase_is_free(proxy: Proxy, engine: Engine, line: bytes) -> None:
    """RFC 9112 section 4: it may be empty. `HTTP/1.1 200` without the space is what some writers
    make of that."""
    with proxy.connect() as client:
        client.get("/one")
        conn = engine.request().conn
        conn.send(line + b"\r\nContent-Length: 2\r\n\r\nok")
        conn.idle = True
        response = client.response()
        assert response.status == (200 if line != b"HTTP/1.1 200" else response.status)
        assert response.status in (200, 502)


def test_long_header_of_a_response(proxy: Proxy, engine: Engine) -> None:
    """X-Docker-Container-Path-Stat, Location and cookies of a front: a response's head may be long,
    too."""
    with proxy.connect() as client:
        client.get("/one")
        engine.request().respond(headers=["X-Long: " + "v" * 65536])
        assert client.response().header("X-Long") == "v" * 65536


# reuse


def test_connection_to_the_engine_is_kept(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        first = exchange(client, engine, "/one")
        assert exchange(client, engine, "/two") is first


def test_connection_is_kept_for_the_next_client(start, own_engine: Engine) -> None:
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        first = exchange(client, own_engine)
    with proxy.connect() as client:
        assert exchange(client, own_engine) is first


def test_connection_of_a_tunnel_is_never_used_again(start, own_engine: Engine) -> None:
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        client.post("/containers/x/attach", headers=["Connection: Upgrade", "Upgrade: tcp"])
        conn = own_engine.request().conn
        conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        assert client.read_response_head().status == 101
    conn.expect_end()
    with proxy.connect() as client:
        assert exchange(client, own_engine) is not conn


def test_connection_with_an_unfinished_upload_is_never_used_again(
    start, own_engine: Engine
) -> None:
    """The rest of the body would be read by the Engine as the next request."""
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        client.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nContent-Length: 100\r\n\r\nsome")
        request = own_engine.head()
        request.respond(400, b'{"message":"bad"}', reason="Bad Request")
        request.conn.idle = (
            False  # as far as the Engine is concerned, this one still carries an upload
        )
        assert client.response().status == 400
    request.conn.expect(b"some")
    request.conn.expect_gone()
    with proxy.connect() as client:
        exchange(client, own_engine)


def is_read(client, seconds: float) -> bool:
    """Whether the proxy reads all that the client has sent, in that time."""
    try:
        return bool(eventually(lambda: unread(client.sock) == 0, "the proxy to read", seconds))
    except WireError:
        return False


def test_connection_with_an_unsent_upload_is_never_used_again(start, own_engine: Engine) -> None:
    """After an early response, the upload is wholly read but not wholly sent: more than the Engine's socket
    takes, less than that and a pipe. Now and then the socket takes all of it, or the pipe less, because
    the pieces are small: hence the rounds."""
    proxy = start("--workers", "1")
    body = bytes(range(250)) * 1200
    rounds = 0
    for _ in range(20):
        with proxy.connect() as client, proxy.connect() as other:
            client.post("/containers/x/stop", body)
            request = own_engine.head()
            if not is_read(client, 1):
                continue
            request.respond(204, b"", reason="No Content")
            assert client.response("HEAD").status == 204
            other.get("/one")
            eventually(lambda: unread(other.sock) == 0, "the proxy to read the request")  # noqa: B023
            assert request.conn.read_body(request) == body, "cut short by the next request"
            own_engine.request().respond(body=b"one")
            assert other.response().body == b"one"
            exchange(client, own_engine)
        rounds += 1
        if rounds == 5:
            return
    pytest.fail(f"the proxy read the upload in {rounds} rounds of 20")


def test_connection_that_was_told_the_end_is_never_used_again(start, own_engine: Engine) -> None:
    """More than a buffer holds behind a request, then the client's end: passed on, it ends the
    connection for all."""
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        client.post("/containers/x/wait")
        request = own_engine.request()
        client.send(b"GET /" + b"x" * 300_000)
        client.finish_sending()
        request.conn.expect_end()
        request.respond(body=b"{}")
        request.conn.idle = False
        assert client.response().body == b"{}"
        with proxy.connect() as other:
            exchange(other, own_engine)


def test_connection_that_the_engine_announced_to_close_is_not_used(
    start, own_engine: Engine
) -> None:
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        client.get("/one")
        request = own_engine.request()
        request.respond(headers=["Connection: close"])
        client.response()
        request.conn.expect_gone()


def test_post_after_the_engine_closed_an_idle_connection(proxy: Proxy, engine: Engine) -> None:
    """The Engine closes idle connections after 5 minutes; the next docker start must not fail for
    it."""
    with proxy.connect() as client:
        exchange(client, engine).retire()
        client.post("/containers/x/start")
        engine.request().respond(body=b"started")
        assert client.response().body == b"started"


# stale connections


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_request_on_a_dying_connection_is_tried_once_more(
    proxy: Proxy, engine: Engine, method: str
) -> None:
    """The Engine closed just as the request went out: a safe one is simply asked again."""
    with proxy.connect() as client:
        first = exchange(client, engine)
        client.send(f"{method} /again HTTP/1.1\r\nHost: docker\r\nX-Mark: kept\r\n\r\n".encode())
        request = engine.request()
        assert request.conn is first
        first.close()
        again = engine.request()
        assert (again.line, again.header("X-Mark")) == (f"{method} /again HTTP/1.1", "kept")
        again.respond(body=b"" if method == "HEAD" else b"second try")
        assert client.response(method).status == 200


def test_only_once(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        first = exchange(client, engine)
        client.get("/again")
        engine.request()
        first.close()
        second = engine.request()
        second.conn.close()
        response = client.response()
        assert response.status == 502
        assert response.message()
        assert not engine.received(), "tried a third time"


@pytest.mark.parametrize(
    "method,body",
    [("POST", b'{"a":1}'), ("POST", b""), ("DELETE", b""), ("PUT", b"tar"), ("PATCH", b"")],
)
def test_other_methods_are_never_tried_again(
    proxy: Proxy, engine: Engine, method: str, body: bytes
) -> None:
    """The Engine may have acted on it: two containers, or an error about the first."""
    with proxy.connect() as client:
        first = exchange(client, engine)
        client.send(
            b"%s /act HTTP/1.1\r\nHost: docker\r\nContent-Length: %d\r\n\r\n%s"
            % (method.encode(), len(body), body)
        )
        assert engine.request().method == method
        first.close()
        response = client.response()
        assert response.status == 502
        assert response.message()
        assert not engine.received()


def test_get_that_changes_something_is_never_tried_again(proxy: Proxy, engine: Engine) -> None:
    """Attaching by WebSocket is a GET, and hands out standard input."""
    with proxy.connect() as client:
        first = exchange(client, engine)
        client.get("/containers/x/attach/ws")
        engine.request()
        first.close()
        assert client.response().status == 502
        assert not engine.received()


def test_fresh_connection_that_dies_is_not_retried(proxy: Proxy, engine: Engine) -> None:
    """An Engine that dies on a request would be killed twice by it."""
    with proxy.connect() as client:
        client.get("/one")
        engine.request().conn.close()
        assert client.response().status == 502
        assert not engine.received()


def test_no_retry_once_the_response_began(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        first = exchange(client, engine)
        client.get("/again")
        engine.request()
        first.send(b"HTTP/1.1 200 O")
        first.close()
        assert client.response().status == 502
        assert not engine.received()


# an Engine that is not there


def test_engine_down_and_up_again(start, own_engine: Engine) -> None:
    """Docker restarts under the proxy: 502 at once while it is down, and no restart of ours
    afterwards."""
    proxy = start()
    with proxy.connect() as client:
        exchange(client, own_engine)
        own_engine.stop()
        began = time.monotonic()
        client.get("/down")
        response = client.response()
        assert response.status == 502
        assert own_engine.path in response.message()
        assert time.monotonic() - began < 5, "at once"
    own_engine.start()
    with proxy.connect() as client:
        exchange(client, own_engine)


def test_engine_down_on_the_same_connection(start, own_engine: Engine) -> None:
    """A client that keeps its connection sees the error, and then the Engine's return."""
    proxy = start()
    own_engine.stop()
    with proxy.connect() as client:
        client.get("/down")
        response = client.response()
        assert response.status == 502
        assert response.message()
        closes = (response.header("Connection") or "").lower() == "close"
        own_engine.start()
        if closes:
            client.expect_end()
        else:
            exchange(client, own_engine)


def test_upload_to_an_engine_that_is_down_gets_its_reason(start, own_engine: Engine) -> None:
    """docker build -, Engine stopped: the client writes on, and must still find the reason."""
    proxy = start()
    own_engine.stop()
    with proxy.connect() as client:
        size = 4 << 20
        client.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nContent-Length: %d\r\n\r\n" % size)
        client.send_through(b"x" * size)
        assert client.response().status == 502
    own_engine.start()


def test_full_backlog_of_the_engine_is_waited_for(start, own_engine: Engine) -> None:
    """connect(2) says EAGAIN on a full unix backlog; a client without the proxy would just have
    waited."""
    own_engine.listener.listen(0)
    blockers = []
    while True:
        blocker = socket.socket(socket.AF_UNIX)
        blocker.setblocking(False)
        blockers.append(blocker)
        try:
            blocker.connect(own_engine.path)
        except BlockingIOError:
            break
    proxy = start()
    with proxy.connect() as client:
        client.get("/one")
        before = proxy.cpu_seconds()
        client.expect_silence(0.5)
        assert proxy.cpu_seconds() - before < 0.25, "waits by spinning"
        own_engine.listener.listen(128)
        own_engine.request().respond(body=b"served")
        assert client.response().body == b"served"
    for blocker in blockers:
        blocker.close()


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")
def test_many_clients_keep_their_own_responses(start, own_engine: Engine) -> None:
    """Responses never cross: a hundred clients, interleaved, each gets what it asked for."""
    proxy = start()
    before = proxy.open_files()
    clients = [proxy.connect("::1" if number % 2 else "127.0.0.1") for number in range(100)]
    for round_ in range(3):
        for number, client in enumerate(clients):
            client.get(f"/{round_}/{number}")
        requests = [own_engine.request() for _ in clients]
        for request in reversed(requests):
            request.respond(body=request.target.encode() * 100)
        for number, client in enumerate(clients):
            assert client.response().body == f"/{round_}/{number}".encode() * 100
    for client in clients:
        client.close()
    own_engine.forget()
    eventually(lambda: proxy.open_files() < before + 50, "the proxy to close its clients")


def test_reused_connection_that_dies_after_a_half_close_leaks_nothing(
    start, own_engine: Engine
) -> None:
    """What is sent again is the request, never what lay in memory before it."""
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        client.get("/one")
        own_engine.request().respond()
        client.response()
    with proxy.connect() as client:
        client.get("/two", headers=["X-Long: " + "a" * 600])
        client.sock.shutdown(socket.SHUT_WR)
        own_engine.request().conn.close()
        status = client.response().status
        assert status == 502


def test_bytes_behind_a_spliced_response_reach_nobody(start, own_engine: Engine) -> None:
    """Response splitting behind a body that never passed through a buffer."""
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        client.get("/one")
        conn = own_engine.request().conn
        conn.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"
            + b"x" * 30000
            + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
        )
        assert len(client.response().body) == 30000
    with proxy.connect() as client:
        client.get("/two")
        own_engine.request().respond(body=b"clean")
        assert client.response().body == b"clean"
