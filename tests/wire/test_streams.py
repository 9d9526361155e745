"""Responses that take their time, bodies that are cut short, and clients that leave in the middle."""

from __future__ import annotations

import time

import pytest

from wire import LAST_CHUNK, SILENCE, STREAM_HEAD, Background, EndOfStream, Engine, Proxy, chunk, open_stream

BAD = b'{"message":"bad"}'
EXPECTING = (
    b"POST /images/load HTTP/1.1\r\nHost: docker\r\n"
    b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
)
ERROR_HEADERS = ("Content-Type: application/json", "Connection: close")


# streaming


def test_head_of_a_stream_comes_before_its_first_event(proxy: Proxy, engine: Engine) -> None:
    """docker events and wait: the client needs to know that it is subscribed."""
    with proxy.connect() as client:
        client.get("/events")
        conn = engine.request().conn
        conn.send(STREAM_HEAD)
        assert client.read_response_head().status == 200
        conn.send(chunk(b'{"one":1}\n'))
        client.expect(chunk(b'{"one":1}\n'))
        conn.send(chunk(b'{"two":2}\n'))
        client.expect(chunk(b'{"two":2}\n'))
        conn.send(LAST_CHUNK)
        client.expect(LAST_CHUNK)


def test_silent_stream_is_left_alone(start, own_engine: Engine) -> None:
    """Events may be silent for hours; peers cut them after ten minutes."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        conn = open_stream(client, own_engine)
        client.expect_silence(2.5)
        conn.send(chunk(b"{}\n"))
        client.expect(chunk(b"{}\n"))


def test_response_that_takes_long_to_begin(start, own_engine: Engine) -> None:
    """docker build and pull may think for minutes before the first byte."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        client.post("/images/create?fromImage=x")
        request = own_engine.request()
        client.expect_silence(2.5)
        request.respond(body=b"done")
        assert client.response().body == b"done"


def test_upload_that_pauses(start, own_engine: Engine) -> None:
    """A body is no head: its sender may pause."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        client.send(b"POST /images/load HTTP/1.1\r\nHost: docker\r\nContent-Length: 8\r\n\r\nhalf")
        request = own_engine.head()
        request.conn.expect(b"half")
        request.conn.expect_silence(2.5)
        client.send(b"rest")
        request.conn.expect(b"rest")
        request.respond()
        assert client.response().status == 200


# the client leaves


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaving_a_stream_ends_it_at_the_engine(
    proxy: Proxy, engine: Engine, how: str
) -> None:
    """Otherwise every docker events ever run goes on inside the Engine."""
    client = proxy.connect()
    conn = open_stream(client, engine, sent=chunk(b"{}\n"))
    getattr(client, how)()
    conn.expect_gone()


def test_half_close_ends_a_stream(proxy: Proxy, engine: Engine) -> None:
    """To the Engine the end of the client's input is the end of its interest."""
    with proxy.connect() as client:
        conn = open_stream(client, engine)
        client.finish_sending()
        conn.expect_gone()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaving_before_the_response(proxy: Proxy, engine: Engine, how: str) -> None:
    """docker wait interrupted: the Engine still waits for the container and must be told."""
    client = proxy.connect()
    client.post("/containers/x/wait")
    conn = engine.request().conn
    getattr(client, how)()
    conn.expect_gone()


def test_client_leaving_in_an_upload(proxy: Proxy, engine: Engine) -> None:
    """An upload cut short must look cut short to the Engine, not finished."""
    client = proxy.connect()
    client.send(
        b"POST /images/load HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk(b"part")
    )
    conn = engine.head().conn
    assert conn.read_chunk() == b"part"
    client.close()
    conn.expect_end()


def test_client_that_is_reset_while_the_engine_does_not_read_its_upload(
    start, own_engine: Engine
) -> None:
    """A client killed in docker load: its slot is free at once, not when the Engine reads on."""
    proxy = start()
    client = proxy.connect()
    client.send(b"POST /blocked HTTP/1.1\r\nHost: docker\r\nContent-Length: 99999999\r\n\r\n")
    conn = own_engine.head().conn
    assert client.send_until_stuck(b"x" * 65536) < 99999999
    client.reset()
    proxy.wait_log(lambda line: "path=/blocked" in line, what="of the upload's end")
    conn.expect_gone()


def test_client_that_is_reset_while_the_engine_does_not_read_its_tunnel(
    start, own_engine: Engine
) -> None:
    proxy = start()
    client = proxy.connect()
    client.post(
        "/containers/x/attach?stdin=1", headers=["Connection: Upgrade", "Upgrade: tcp"]
    )
    conn = own_engine.head().conn
    conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    assert client.read_response_head().status == 101
    client.send_until_stuck(b"x" * 65536)
    client.reset()
    proxy.wait_log(lambda line: "/attach" in line, what="of the tunnel's end")
    conn.expect_gone()


@pytest.mark.parametrize("begun", [False, True])
def test_client_leaving_with_more_behind_its_request_than_a_buffer_holds(
    proxy: Proxy, engine: Engine, begun: bool
) -> None:
    """Bytes that are no request do not hide that the client has left."""
    client = proxy.connect()
    client.post("/containers/x/wait")
    conn = engine.request().conn
    if begun:
        conn.send(STREAM_HEAD)
        client.read_response_head()
    client.send(b"GET /" + b"x" * 300_000)
    client.close()
    conn.expect_gone()


def test_get_with_an_immediate_half_close_gets_a_response(proxy: Proxy, engine: Engine) -> None:
    """printf 'GET /_ping …' | nc: the request is whole, so its response is due."""
    with proxy.connect() as client:
        client.get("/_ping")
        client.finish_sending()
        request = engine.request()
        time.sleep(SILENCE)  # time for the proxy to see the client's end
        request.respond(body=b"x" * 100_000)
        assert client.response().body == b"x" * 100_000
        client.expect_end()


def test_pipelined_requests_with_an_immediate_half_close_all_get_responses(
    proxy: Proxy, engine: Engine
) -> None:
    with proxy.connect() as client:
        client.get("/one")
        client.get("/two")
        client.finish_sending()
        for name in ("one", "two"):
            request = engine.request()
            assert request.target == f"/{name}"
            request.respond(body=name.encode())
        assert [client.response().body, client.response().body] == [b"one", b"two"]
        client.expect_end()


def test_half_a_head_and_gone(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(b"GET /_ping HTTP/1.1\r\nHost: do")
        client.finish_sending()
        client.expect_gone()
    assert not engine.received()


# the end of a response


def test_close_delimited_response(proxy: Proxy, engine: Engine) -> None:
    """Errors on hijacked endpoints come without any length."""
    with proxy.connect() as client:
        client.get("/containers/x/attach/ws")
        conn = engine.request().conn
        conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\nnot websocket protocol")
        conn.close()
        response = client.response()
        assert (response.status, response.body) == (400, b"not websocket protocol")


def test_large_close_delimited_response(proxy: Proxy, engine: Engine) -> None:
    data = b"0123456789abcdef" * (3 << 16)
    with proxy.connect() as client:
        client.get("/images/get")
        conn = engine.request().conn
        sender = Background(lambda: (conn.send(b"HTTP/1.1 200 OK\r\n\r\n" + data), conn.close()))
        assert client.response().body == data
        sender.result()


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"only this"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"only this") + b"0\r\n",
    ],
    ids=["length", "chunked", "in a chunk", "in the last chunk"],
)
def test_truncated_response_does_not_look_complete(proxy: Proxy, engine: Engine, sent: bytes) -> None:
    """docker save must fail, not write half an image, when the Engine dies."""
    with proxy.connect() as client:
        client.get("/images/get")
        conn = engine.request().conn
        conn.send(sent)
        conn.close()
        client.read_until(b"only this")
        try:
            rest = client.read_to_end()
        except AssertionError:
            rest = b""  # a reset says it as well
        assert not rest.endswith(LAST_CHUNK), "the end of a complete response"
        assert b"HTTP/1.1" not in rest, "another response inside a body"


def test_truncated_response_does_not_look_complete_to_1_0(proxy: Proxy, engine: Engine) -> None:
    """For HTTP/1.0 (nginx asks so by default) the end of the connection is that of the response:
    only a reset says that something is missing."""
    with proxy.connect() as client:
        client.send(b"GET /images/get HTTP/1.0\r\n\r\n")
        conn = engine.request().conn
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"only this"))
        client.read_until(b"only this")
        conn.close()
        with pytest.raises(EndOfStream, match="reset"):
            client.read_to_end()


def test_truncated_response_is_marked_in_the_log(proxy: Proxy, engine: Engine) -> None:
    """status=200 alone would say that all was well."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.get("/images/get")
        conn = engine.request().conn
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        client.read_until(b"only this")
        conn.close()
        client.expect_gone()
        port = client.port
    line = proxy.wait_log(lambda line: f":{port}" in line, since, "about it")
    assert " status=200 bytes=9 " in line
    assert line.endswith('reason="the Engine ended its response too early"')


def test_request_without_a_response_is_explained_in_the_log(proxy: Proxy, engine: Engine) -> None:
    """status=0 is no status."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nContent-Length: 100\r\n\r\npart")
        engine.head()
        port = client.port
    line = proxy.wait_log(lambda line: f":{port}" in line, since, "about it")
    assert " status=0 " in line
    assert line.endswith('reason="the connection ended before the response"')


# errors before the upload ends


@pytest.mark.parametrize("size", [300_000, 16 << 20])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_early_error_reaches_a_client_that_writes_everything_first(
    proxy: Proxy, engine: Engine, size: int, chunked: bool
) -> None:
    """docker build with a bad option: the Engine responds with 400 and hangs up while the context goes
    up."""
    with proxy.connect() as client:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        client.send(f"POST /build?bad=1 HTTP/1.1\r\nHost: docker\r\n{framing}\r\n\r\n".encode())
        piece = b"x" * 32768

        def upload() -> None:
            for at in range(0, size, len(piece)):
                part = piece[: size - at]
                client.sock.sendall(chunk(part) if chunked else part)
            if chunked:
                client.sock.sendall(LAST_CHUNK)

        writer = Background(upload)
        conn = engine.head().conn
        conn.send(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b'Content-Length: 21\r\n\r\n{"message":"bad bad"}'
        )
        conn.close()
        writer.result()
        response = client.response()
        assert (response.status, response.body) == (400, b'{"message":"bad bad"}')


def test_early_error_reaches_a_client_that_stops_and_reads(proxy: Proxy, engine: Engine) -> None:
    """Go clients read while they write; they must not wait for the end of their own upload."""
    with proxy.connect() as client:
        client.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nContent-Length: 1000000\r\n\r\nsome")
        request = engine.head()
        request.respond(400, BAD, headers=ERROR_HEADERS, reason="Bad Request")
        request.conn.close()
        assert client.response().message() == "bad"


def test_rest_of_an_upload_behind_its_response_is_no_request(proxy: Proxy, engine: Engine) -> None:
    """The bytes behind an early error are still body, however much they look like a request."""
    body = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
    with proxy.connect() as client:
        client.send(
            b"POST /build HTTP/1.1\r\nHost: docker\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        request = engine.head()
        request.respond(400, BAD, headers=ERROR_HEADERS, reason="Bad Request")
        assert client.response().status == 400
        client.send_through(body)
        with proxy.connect() as witness:
            witness.get("/witness")
            request.conn.close()
            seen = engine.request()
            assert seen.target == "/witness"
            seen.respond()
            witness.response()


# 100-continue


def test_continue_passes(proxy: Proxy, engine: Engine) -> None:
    """curl waits for it a second before each large upload."""
    with proxy.connect() as client:
        client.send(EXPECTING)
        request = engine.head()
        assert request.header("Expect") == "100-continue"
        client.expect_silence(0.05)
        request.conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"body")
        request.conn.expect(b"body")
        request.respond(body=b"loaded")
        response = client.response()
        assert (response.status, response.body) == (200, b"loaded")


def test_continue_and_the_response_in_one_segment(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(EXPECTING + b"body")
        request = engine.request()
        request.conn.send(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
        request.conn.idle = True
        response = client.response()
        assert (response.status, response.body) == (200, b"ok")
        client.get("/next")
        engine.request().respond(body=b"next")
        assert client.response().body == b"next"


def test_refusal_instead_of_continue(proxy: Proxy, engine: Engine) -> None:
    """The Engine errs first: no 100, a final status; the client need not send its body at all."""
    with proxy.connect() as client:
        client.send(EXPECTING)
        request = engine.head()
        request.respond(400, BAD, headers=ERROR_HEADERS, reason="Bad Request")
        request.conn.close()
        assert client.response().message() == "bad"


def test_http_1_0_client_gets_no_continue(proxy: Proxy, engine: Engine) -> None:
    """RFC 9110 section 15.2: a 1.0 client does not know 1xx responses."""
    with proxy.connect() as client:
        client.send(b"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
        request = engine.request()
        if request.header("Expect"):
            request.conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.respond(body=b"done")
        response = client.response()
        assert (response.status, response.body, response.informational) == (200, b"done", [])


def test_refusal_comes_behind_an_interim_response_that_is_half_sent(
    proxy: Proxy, engine: Engine
) -> None:
    """A client that reads slowly must not find one response in the middle of another."""
    with proxy.connect() as client:
        client.send(
            b"POST /images/load HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        conn = engine.head().conn
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 200_000 + b"\r\n\r\n"
        assert conn.send_until_stuck(hints) > len(hints)
        client.send(b"no chunk\r\n")
        conn.expect_gone()
        response = client.response()
        assert set(response.informational) == {103}
        assert response.status == 400
        client.expect_end()
