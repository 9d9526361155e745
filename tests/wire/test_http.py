"""HTTP/1.0 and 1.1 between a client and the proxy: who keeps the connection, and where each response
ends."""

from __future__ import annotations

import socket
import pytest

from wire import LAST_CHUNK, Background, Engine, Proxy, chunk


def chunked(*parts: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return head + body + b"0" + extension + b"\r\n" + trailers + b"\r\n"


# HTTP/1.0


def test_1_0_client_gets_a_chunked_response_without_chunks(proxy: Proxy, engine: Engine) -> None:
    """A 1.0 client would show the chunk sizes as part of the response."""
    with proxy.connect() as client:
        client.send(b"GET /containers/json HTTP/1.0\r\n\r\n")
        conn = engine.request().conn
        conn.send(chunked(b"hello ", b"world"))
        conn.idle = True
        response = client.response()
        assert response.header("Transfer-Encoding") is None
        assert response.framing == "close"
        assert response.body == b"hello world"


def test_1_0_keep_alive_client_and_a_chunked_response(proxy: Proxy, engine: Engine) -> None:
    """Without a length the connection cannot be kept, whatever the client asked."""
    with proxy.connect() as client:
        client.send(b"GET /containers/json HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        conn = engine.request().conn
        conn.send(chunked(b"hello ", b"world"))
        conn.idle = True
        response = client.response()
        assert (response.framing, response.body) == ("close", b"hello world")
        assert "keep-alive" not in (response.header("Connection") or "").lower()


@pytest.mark.parametrize(
    "method,response",
    [("HEAD", b"HTTP/1.1 200 OK\r\n"), ("GET", b"HTTP/1.1 304 Not Modified\r\n")],
)
def test_1_0_client_is_told_of_no_chunks_where_there_is_no_body(
    proxy: Proxy, engine: Engine, method: str, response: bytes
) -> None:
    """RFC 9112 §6.1: no Transfer-Encoding for who does not know what that is."""
    with proxy.connect() as client:
        client.send(f"{method} /containers/x/archive HTTP/1.0\r\n\r\n".encode())
        conn = engine.request().conn
        conn.send(response + b"Transfer-Encoding: chunked\r\n\r\n")
        conn.idle = True
        assert client.response(method).header("Transfer-Encoding") is None
        client.expect_end()


def test_1_0_stream_comes_as_it_is_produced(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(b"GET /events HTTP/1.0\r\n\r\n")
        conn = engine.request().conn
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"one\n"))
        client.read_response_head()
        client.expect(b"one\n")
        for piece in (b"4\r", b"\ntw", b"o\n\r\n"):
            conn.send(piece)
        client.expect(b"two\n")
        conn.send(LAST_CHUNK)
        client.expect_end()


def test_1_0_connection_closes_after_the_response(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(b"GET /_ping HTTP/1.0\r\n\r\n")
        engine.request().respond(body=b"OK")
        assert client.response().body == b"OK"
        client.expect_end()


def test_1_0_keep_alive(proxy: Proxy, engine: Engine) -> None:
    """ab -k and old clients: they must be told that the connection stays open."""
    with proxy.connect() as client:
        for number in range(3):
            client.send(b"GET /_ping HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            engine.request().respond(body=b"OK %d" % number)
            response = client.response()
            assert response.body == b"OK %d" % number
            assert (response.header("Connection") or "").lower() == "keep-alive"


def test_1_0_with_a_pipelined_request_after_close(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(b"GET /one HTTP/1.0\r\n\r\nGET /two HTTP/1.0\r\n\r\n")
        request = engine.request()
        assert request.target == "/one"
        request.respond()
        client.response()
        client.expect_end()
        assert not engine.received()


# keep-alive and close


def test_keep_alive_is_the_rule(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        for number in range(5):
            client.get(f"/{number}")
            request = engine.request()
            assert request.target == f"/{number}"
            request.respond(body=b"%d" % number)
            assert client.response().body == b"%d" % number


@pytest.mark.parametrize("value", ["close", "Close", "X-Foo, close", "close, X-Foo"])
def test_client_asks_to_close(proxy: Proxy, engine: Engine, value: str) -> None:
    """The response says so too, then the end; a request behind it is ignored, as the Engine does."""
    with proxy.connect() as client:
        client.get("/one", headers=[f"Connection: {value}"])
        client.get("/two")
        request = engine.request()
        assert request.target == "/one"
        request.respond(body=b"one")
        response = client.response()
        assert response.body == b"one"
        assert (response.header("Connection") or "").lower() == "close"
        client.expect_end()
        assert not engine.received()


def test_engine_that_closes_is_no_reason_to_fail(proxy: Proxy, engine: Engine) -> None:
    """Connection: close from the Engine: the response is whole, and the next request works."""
    with proxy.connect() as client:
        client.get("/one")
        request = engine.request()
        request.respond(body=b"one", headers=["Connection: close"])
        request.conn.close()
        response = client.response()
        assert response.body == b"one"
        if (response.header("Connection") or "").lower() == "close":
            client.expect_end()
            return
        client.get("/two")
        engine.request().respond(body=b"two")
        assert client.response().body == b"two"


def test_pipelined_requests_get_responses_in_order(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(
            b"".join(b"GET /%d HTTP/1.1\r\nHost: docker\r\n\r\n" % number for number in range(20))
        )
        for number in range(20):
            request = engine.request()
            assert request.target == f"/{number}"
            request.respond(body=b"response %d" % number)
        for number in range(20):
            assert client.response().body == b"response %d" % number


def test_pipelined_uploads(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(
            b"POST /a HTTP/1.1\r\nHost: docker\r\nContent-Length: 70000\r\n\r\n"
            + b"a" * 70000
            + b"POST /b HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunk(b"b" * 70000)
            + LAST_CHUNK
            + b"GET /c HTTP/1.1\r\nHost: docker\r\n\r\n"
        )
        for target, body in (("/a", b"a" * 70000), ("/b", b"b" * 70000), ("/c", b"")):
            request = engine.request()
            assert (request.target, request.body) == (target, body)
            request.respond(body=target.encode())
        assert [client.response().body for _ in range(3)] == [b"/a", b"/b", b"/c"]


def test_second_of_two_waits_for_the_first(proxy: Proxy, engine: Engine) -> None:
    """POST start, then GET json, in one write: the Engine must see them one after the other."""
    with proxy.connect() as client:
        client.post("/containers/x/start")
        client.get("/containers/x/json")
        first = engine.request()
        assert first.target == "/containers/x/start"
        first.conn.expect_silence()
        assert not engine.received(), "the second overtook the first"
        first.conn.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        first.conn.idle = True
        assert client.response().status == 204
        second = engine.request()
        assert second.target == "/containers/x/json"
        second.respond()
        assert client.response().status == 200


# bodies that are none


@pytest.mark.parametrize(
    "framing", ["Content-Length: 1234", "Transfer-Encoding: chunked", "X-None: 1"]
)
def test_head_has_no_body_whatever_its_headers_say(
    proxy: Proxy, engine: Engine, framing: str
) -> None:
    """docker cp asks with HEAD; a proxy that waits for the 1234 bytes hangs."""
    with proxy.connect() as client:
        client.send(b"HEAD /containers/x/archive?path=/a HTTP/1.1\r\nHost: docker\r\n\r\n")
        conn = engine.request().conn
        conn.send(
            f"HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: e30=\r\n{framing}\r\n\r\n".encode()
        )
        conn.idle = True
        response = client.response("HEAD")
        assert (response.status, response.header("X-Docker-Container-Path-Stat")) == (200, "e30=")
        if framing.startswith("Content-Length"):
            assert response.header("Content-Length") == "1234"
        client.get("/next")
        engine.request().respond(body=b"next")
        assert client.response().body == b"next"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_responses_without_body(proxy: Proxy, engine: Engine, response: bytes) -> None:
    """docker start responds with 204 or 304: the next command on the connection must not wait for a
    body."""
    with proxy.connect() as client:
        client.post("/containers/x/start")
        conn = engine.request().conn
        conn.send(response)
        conn.idle = True
        assert client.response().status == int(response[9:12])
        client.get("/next")
        engine.request().respond(body=b"next")
        assert client.response().body == b"next"


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("status", [b"103 Early Hints", b"204 No Content"])
def test_what_never_has_a_body_announces_none(
    proxy: Proxy, engine: Engine, status: bytes, framing: bytes
) -> None:
    """RFC 9110 §8.6, RFC 9112 §6.1: a client that believes the field would take the next response
    for the body of this one."""
    with proxy.connect() as client:
        client.get("/one")
        conn = engine.request().conn
        conn.send(b"HTTP/1.1 " + status + b"\r\nX-Kept: 1\r\n" + framing + b"\r\n")
        response = client.read_response_head()
        assert response.status == int(status[:3])
        assert [name for name, _ in response.headers] == ["X-Kept"]
        if response.status == 103:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert client.response().body == b"ok"
        conn.idle = True
        client.get("/next")
        engine.request().respond(body=b"next")
        assert client.response().body == b"next"


def test_connect_is_told_what_is_allowed(proxy: Proxy, engine: Engine) -> None:
    """RFC 9110 sections 9.3.6 and 15.5.6: this is no forward proxy."""
    with proxy.connect() as client:
        client.send(b"CONNECT docker:2375 HTTP/1.1\r\nHost: docker:2375\r\n\r\n")
        response = client.response()
        assert (response.status, response.reason) == (405, "Method Not Allowed")
        assert response.header("Allow") == "GET, HEAD, POST, PUT, DELETE, OPTIONS"
        assert "forward proxies" in response.message()
        client.expect_end()
    assert not engine.received()


# chunked responses


@pytest.mark.parametrize(
    "response,body",
    [
        (chunked(b"hello", b"world"), b"helloworld"),
        (chunked(), b""),
        (chunked(b"hello", extension=b";a=b"), b"hello"),
        (chunked(b"hello", extension=b';a="b;c"'), b"hello"),
        (chunked(b"hello", trailers=b"X-Digest: abc\r\nX-More: 1\r\n"), b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n000\r\n\r\n",
            b"hello",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
            b"0123456789",
        ),
        (chunked(b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ],
    ids=[
        "two",
        "none",
        "extension",
        "quoted extension",
        "trailers",
        "zeros",
        "upper case",
        "CRLF in data",
    ],
)
@pytest.mark.parametrize("step", [None, 1], ids=["whole", "byte by byte"])
def test_chunked_responses(
    proxy: Proxy, engine: Engine, response: bytes, body: bytes, step: int | None
) -> None:
    with proxy.connect() as client:
        client.get("/one")
        conn = engine.request().conn
        for at in range(0, len(response), step or len(response)):
            conn.send(response[at : at + (step or len(response))])
        conn.idle = True
        assert client.response().body == body
        client.get("/next")
        engine.request().respond(body=b"next")
        assert client.response().body == b"next"


def test_large_responses_are_whole(proxy: Proxy, engine: Engine) -> None:
    """Sizes around every buffer: one byte less, as much, one more."""
    with proxy.connect() as client:
        for size in [size + delta for size in (4096, 16384, 65536, 262144) for delta in (-1, 0, 1)]:
            data = bytes(number % 251 for number in range(size))
            for response in (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + data,
                chunked(data),
            ):
                client.get("/size")
                conn = engine.request().conn
                conn.idle = True
                sender = Background(lambda: conn.send(response))
                assert client.response().body == data
                sender.result()


def test_garbage_behind_a_request_and_the_end_is_refused_once(proxy: Proxy, engine: Engine) -> None:
    """A client that has left is not told 400 for ever."""
    with proxy.connect() as client:
        client.send(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nBAD\n\n")
        client.sock.shutdown(socket.SHUT_WR)
        engine.request().respond(body=b"OK")
        everything = client.read_to_end()
    assert everything.count(b"HTTP/1.1 400 ") == 1
    assert len(everything) < 2000


def test_nothing_behind_connection_close_is_forwarded(proxy: Proxy, engine: Engine) -> None:
    """RFC 9112 section 9.6: what follows a request that closes is not a request."""
    with proxy.connect() as client:
        client.send(
            b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        client.sock.shutdown(socket.SHUT_WR)
        engine.request().respond(body=b"OK")
        assert client.read_to_end().count(b"HTTP/1.1 ") == 1
    assert not engine.received()
