"""What reaches the Engine, and what comes back: the headers the proxy sets, drops and leaves
alone."""

from __future__ import annotations

import random
import time

import pytest

from wire import API_KEY, LAST_CHUNK, SILENCE, Background, Engine, Proxy, chunk


@pytest.mark.parametrize(
    "sent",
    [
        [],
        ["x-api-key: mine"],
        ["X-Api-Key: mine", "X-API-KEY: yours"],
        ["x-api-key:", "X-aPI-kEY: mine", "x-api-key: mine"],
        [f"X-Api-Key: {API_KEY}"],
        ["Connection: x-api-key", "X-Api-Key: mine"],
    ],
    ids=lambda sent: f"{len(sent)} lines {' '.join(sent)[:24]}",
)
def test_api_key_replaces_the_clients(proxy: Proxy, engine: Engine, sent: list[str]) -> None:
    """A backend that trusts x-api-key must see ours, once, whatever the client sent."""
    with proxy.connect() as client:
        client.get("/version", headers=sent)
        request = engine.request()
        assert request.headers.all("x-api-key") == [API_KEY]
        request.respond()
        assert client.response().status == 200


def test_without_api_key_the_clients_passes(start, own_engine: Engine) -> None:
    """No API_KEY set: the header is none of our business."""
    proxy = start()
    with proxy.connect() as client:
        client.get("/version", headers=["X-Api-Key: mine"])
        request = own_engine.request()
        assert request.header("x-api-key") == "mine"
        request.respond()
        client.response()


def test_api_key_is_called_no_authentication_at_start(start) -> None:
    """Who sets API_KEY to keep people out must learn from the log that it does not."""
    proxy = start(env={"API_KEY": "a-secret-value"})
    line = proxy.wait_log(lambda line: "API_KEY" in line, what="about API_KEY")
    assert "authenticate" in line.lower(), line
    assert "a-secret-value" not in proxy.log(), "the key itself is in the log"


@pytest.mark.parametrize("host", ["docker", "", "evil.example:99", "[::1]:3277", "LOCALHOST"])
def test_host_is_localhost(proxy: Proxy, engine: Engine, host: str) -> None:
    with proxy.connect() as client:
        client.send(f"GET /version HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        request = engine.request()
        assert request.headers.all("Host") == ["localhost"]
        request.respond()
        client.response()


@pytest.mark.parametrize("named", ["Content-Length", "content-length, close", "Transfer-Encoding"])
def test_naming_the_framing_in_connection_does_not_unframe_a_body(
    proxy: Proxy, engine: Engine, named: str
) -> None:
    """A body whose length header was dropped would become the next request."""
    body = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
    with proxy.connect() as client:
        client.post("/a", body, headers=[f"Connection: {named}"])
        request = engine.request()
        assert (request.line, request.body) == ("POST /a HTTP/1.1", body)
        request.respond()
        client.response()
    assert not engine.received()


def test_order_and_number_of_repeated_headers_is_kept(proxy: Proxy, engine: Engine) -> None:
    """BuildKit sends one header eight times; their order is their meaning."""
    methods = [f"/moby.filesync.v1.FileSync/Method{number}" for number in range(8)]
    with proxy.connect() as client:
        client.get(
            "/version", headers=[f"X-Docker-Expose-Session-Grpc-Method: {m}" for m in methods]
        )
        request = engine.request()
        assert request.headers.all("X-Docker-Expose-Session-Grpc-Method") == methods
        request.respond()
        client.response()


def test_response_comes_back_unchanged(proxy: Proxy, engine: Engine) -> None:
    """Clients negotiate by these headers; one lost or altered changes what they do."""
    sent = [
        "Api-Version: 1.41",
        "Docker-Experimental: false",
        "Ostype: linux",
        "Builder-Version: 2",
        "Server: Docker/20.10.24+dfsg1 (linux)",
        "Date: Mon, 01 Jan 2024 00:00:00 GMT",
        "Cache-Control: no-cache, no-store, must-revalidate",
        "Content-Type: text/plain; charset=utf-8",
        "X-Docker-Container-Path-Stat: eyJuYW1lIjoiYiJ9",
        "X-Twice: 1",
        "X-Twice: 2",
        "X-Empty:",
    ]
    with proxy.connect() as client:
        client.get("/_ping")
        engine.request().respond(body=b"OK", headers=sent)
        response = client.response()
        got = [f"{name}: {value}".rstrip() for name, value in response.headers]
        assert [line for line in got if line.split(":")[0] != "Content-Length"] == sent
        assert (response.status, response.body) == (200, b"OK")


@pytest.mark.parametrize(
    "status,reason",
    [
        (201, "Created"),
        (301, "Moved Permanently"),
        (400, "Bad Request"),
        (404, "Not Found"),
        (409, "Conflict"),
        (418, ""),
        (500, "Internal Server Error"),
        (503, "Service Unavailable"),
        (599, "Odd"),
    ],
)
def test_status_of_the_engine_is_the_clients(
    proxy: Proxy, engine: Engine, status: int, reason: str
) -> None:
    with proxy.connect() as client:
        client.get("/version")
        engine.request().respond(status, b'{"message":"no such container"}\n', reason=reason)
        response = client.response()
        assert (response.status, response.body) == (status, b'{"message":"no such container"}\n')


def test_upload_reaches_the_engine_while_it_is_sent(proxy: Proxy, engine: Engine) -> None:
    """docker build shows progress while the context is still going up: chunks are not collected."""
    with proxy.connect() as client:
        client.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n")
        request = engine.head()
        for part in (b"first", b"second" * 1000, b"x"):
            client.send(chunk(part))
            received = b""
            while len(received) < len(part):
                received += request.conn.read_chunk()
            assert received == part
        client.send(LAST_CHUNK)
        assert request.conn.read_chunk() == b""
        request.respond()
        assert client.response().status == 200


# Around every size at which a body is moved in another way.
SIZES = [1, 63, 64, 100, 8191, 8192, 8193, 20_000, 32_768, 61_440, 70_000, 300_000, 1_000_000, 5]


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_upload_of_any_size_arrives_byte_by_byte(
    proxy: Proxy, engine: Engine, chunked: bool, pause: bool
) -> None:
    """Whether it is copied or spliced, and whether or not the Engine keeps up, nothing is lost,
    doubled or swapped, and what stands behind it is the next request."""
    pieces = [random.Random(size).randbytes(size) for size in SIZES * 4]
    data = b"".join(pieces)
    head = b"POST /images/load HTTP/1.1\r\nHost: docker\r\n"
    if chunked:
        sent = head + b"Transfer-Encoding: chunked\r\n\r\n"
        sent += b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK
    else:
        sent = head + b"Content-Length: %d\r\n\r\n" % len(data) + data
    with proxy.connect() as client:
        sent += b"GET /two HTTP/1.1\r\nHost: docker\r\n\r\n"
        sender = Background(lambda: client.send(sent))
        request = engine.head()
        if pause:
            time.sleep(SILENCE)  # as long as it takes to fill every buffer on the way
        body = request.conn.read_body(request)
        sender.result()
        assert len(body) == len(data)
        assert body == data
        request.respond()
        assert client.response().status == 200
        request = engine.request()
        assert request.target == "/two"
        request.respond()
        assert client.response().status == 200


def test_response_reaches_the_client_while_the_upload_goes_on(proxy: Proxy, engine: Engine) -> None:
    """The build's output comes while the context goes up; both directions run at once."""
    with proxy.connect() as client:
        client.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n")
        request = engine.head()
        request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.read_response_head().status == 200
        for step in range(3):
            client.send(chunk(b"context %d" % step))
            assert request.conn.read_chunk() == b"context %d" % step
            request.conn.send(chunk(b"output %d" % step))
            client.expect(chunk(b"output %d" % step))
        client.send(LAST_CHUNK)
        assert request.conn.read_chunk() == b""
        request.conn.send(LAST_CHUNK)
        client.expect(LAST_CHUNK)


def test_docker_host_is_honoured(start, own_engine: Engine) -> None:
    """People have DOCKER_HOST set already; a unix:// one is used."""
    proxy = start(env={"SOCKET_PATH": "", "DOCKER_HOST": f"unix://{own_engine.path}"})
    with proxy.connect() as client:
        client.get("/version")
        own_engine.request().respond(body=b"mine")
        assert client.response().body == b"mine"
