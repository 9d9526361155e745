"""Which request the Engine gets: the one that was judged, in its one spelling, or none.

Single requests are in tests/corpus (letter p); here is what takes a conversation.
"""

from __future__ import annotations

import json

import pytest

from wire import RAW_STREAM, Client, Engine, Proxy

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)



# tunnels under another spelling


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        ("/%63ontainers/5ff7/attach?stdin=1", "/containers/5ff7/attach?stdin=1"),
        ("/v1.041/containers/5ff7/att%61ch", "/v1.41/containers/5ff7/attach"),
        ("/exec/0f3c/%73tart", "/exec/0f3c/start"),
        ("/%73ession", "/session"),
    ],
)
def test_a_tunnel_spelled_with_escapes_is_one(
    proxy: Proxy, engine: Engine, sent: str, forwarded: str
) -> None:
    with proxy.connect() as client:
        client.post(sent, headers=["Connection: Upgrade", "Upgrade: tcp"])
        request = engine.request()
        assert request.line == f"POST {forwarded} HTTP/1.1"
        assert request.header("Upgrade") == "tcp"
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        client.send(b"\x00in")
        request.conn.expect(b"\x00in")
        request.conn.send(b"out\xff")
        client.expect(b"out\xff")


def test_the_body_of_an_escaped_attach_never_becomes_input(proxy: Proxy, engine: Engine) -> None:
    """The Engine takes what follows the head for standard input, however the path is spelled."""
    with proxy.connect() as client:
        client.post("/containers/5ff7/%61ttach", b'{"stream":true}')
        request = engine.request()
        assert (request.header("Content-Length"), request.body) == ("0", b"")
        request.conn.send(f"HTTP/1.1 200 OK\r\nContent-Type: {RAW_STREAM}\r\n\r\n".encode())
        assert client.read_response_head().status == 200
        client.send(b"typed")
        request.conn.expect(b"typed")


@pytest.mark.parametrize(
    "line",
    [
        "GET /containers/5ff7/attach",
        "POST /containers/5ff7/attach/",
        "POST /containers/5ff7/attach/ws",
        "POST /containers/a/b/attach",
        "POST /v1.41/v1.41/exec/0f3c/start",
        "POST /Session",
        "get /containers/5ff7/attach/ws",
    ],
)
def test_what_only_looks_like_a_tunnel_is_none(proxy: Proxy, engine: Engine, line: str) -> None:
    """No upgrade is sent on; if the Engine switches all the same, nobody gets through."""
    with proxy.connect() as client:
        client.send(
            f"{line} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        request = engine.request()
        assert request.line == f"{line} HTTP/1.1"
        assert request.header("Upgrade") is None
        request.conn.send(UPGRADED)
        assert client.response().status == 502


# refusals


def refused(client: Client, engine: Engine, proxy: Proxy, status: int) -> str:
    """The reason, once it is sure that the connection is closed and the Engine saw nothing."""
    response = client.expect_refusal(status)
    with proxy.connect() as witness:
        witness.get("/witness")
        request = engine.request()
        assert request.line == "GET /witness HTTP/1.1"
        request.respond()
        witness.response()
    assert not engine.received()
    return response


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/containers/%2e%2e/secrets", "'..' segment"),
        ("//containers/json", "empty segment"),
        ("/v1.41%2fcontainers%2fjson", "hides a slash"),
        ("/containers/a%00/json", "control byte"),
        ("/v1..41/info", "API version"),
        ("/containers/json?a;b", "semicolon"),
        ("/containers/json?a=%", "percent"),
        ("/networks/" + 4087 * "a", "4096 bytes"),
    ],
)
def test_a_refusal_says_what_is_wrong(
    proxy: Proxy, engine: Engine, target: str, words: str
) -> None:
    with proxy.connect() as client:
        client.get(target)
        assert words in refused(client, engine, proxy, 400)


def test_what_follows_a_refused_request_is_not_served(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(
            b"GET /containers/../secrets HTTP/1.1\r\nHost: docker\r\n\r\n"
            b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n"
        )
        refused(client, engine, proxy, 400)


def test_what_came_before_a_refused_request_is_served(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(
            b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n"
            b"GET /containers/../secrets HTTP/1.1\r\nHost: docker\r\n\r\n"
        )
        request = engine.request()
        assert request.line == "GET /version HTTP/1.1"
        request.respond(body=b"{}")
        assert client.response().body == b"{}"
        refused(client, engine, proxy, 400)


def test_a_refused_head_request_gets_no_body(proxy: Proxy) -> None:
    """A body behind the response to HEAD would be taken for the next response."""
    with proxy.connect() as client:
        client.send(b"HEAD /containers/%2e%2e/x HTTP/1.1\r\nHost: docker\r\n\r\n")
        response = client.response("HEAD")
        assert (response.status, response.header("Connection")) == (400, "close")
        assert client.read_to_end() == b""


def test_a_form_is_refused_before_its_body_is_read(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(
            b"POST /containers/x/rename?name=good HTTP/1.1\r\nHost: docker\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\n"
        )
        assert "form" in refused(client, engine, proxy, 400)


def test_browsers_are_told_why(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.get("/containers/json", headers=["Sec-Fetch-Site: cross-site"])
        assert "browser" in refused(client, engine, proxy, 403)
    with proxy.connect() as client:
        client.get(
            "/containers/web1/attach/ws",
            headers=["Connection: Upgrade", "Upgrade: websocket", "Origin: http://evil.example"],
        )
        assert "Origin" in refused(client, engine, proxy, 403)


@pytest.mark.parametrize("fields", [["Sec-Fetch-Site: none"], ["Origin: http://docker"]])
def test_not_even_the_health_is_for_browsers(proxy: Proxy, fields: list[str]) -> None:
    with proxy.connect() as client:
        client.get("/health", headers=fields)
        client.expect_refusal(403)


@pytest.mark.parametrize("target", ["/health", "/%68ealth", "/health?x=1"])
def test_health_gets_a_local_response_in_any_spelling(
    proxy: Proxy, engine: Engine, target: str
) -> None:
    with proxy.connect() as client, engine.responding():
        client.get(target)
        assert json.loads(client.response().body) == {"status": "healthy"}
    assert not [line for line in engine.received().split(b"\r\n") if b"health" in line]


def test_the_log_has_the_path_as_it_was_sent(proxy: Proxy, engine: Engine) -> None:
    """Who looks for an attack must see its own spelling."""
    with proxy.connect() as client:
        client.get("/%63ontainers/%2e%2e/secrets")
        client.expect_refusal(400)
    line = proxy.wait_log(lambda line: "%2e%2e/secrets" in line, what="about the refused request")
    assert "400" in line
