"""When bytes stop being HTTP: only on the Engine's word, and with every byte in its place.

docker exec, attach, run -i, BuildKit sessions. A proxy that tunnels too early lets a client talk to
the Engine unjudged; one that tunnels too late, or loses a byte at the switch, breaks docker run.
"""

from __future__ import annotations

import os
import time

import pytest

from wire import RAW_STREAM, Background, Client, Engine, EngineConn, Proxy, Request, chunk

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
RAW_200 = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
ATTACH = "/v1.41/containers/5ff7/attach?stderr=1&stdin=1&stdout=1&stream=1"
EXEC = "/v1.41/exec/0f3c/start"
UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")


def attach_bytes(*headers: str) -> bytes:
    lines = [f"POST {ATTACH} HTTP/1.1", "Host: docker", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def open_tunnel(client: Client, engine: Engine) -> EngineConn:
    """docker attach, up to the 101."""
    client.post(ATTACH, headers=UPGRADE)
    request = engine.request()
    request.conn.send(UPGRADED)
    assert client.read_response_head().status == 101
    return request.conn


def both_ways(client: Client, conn: EngineConn) -> None:
    client.send(b"to the container\x00\xff\r\n\r\n")
    conn.expect(b"to the container\x00\xff\r\n\r\n")
    conn.send(b"\x01\0\0\0\0\0\0\x05hello")
    client.expect(b"\x01\0\0\0\0\0\0\x05hello")


# what opens a tunnel


def test_attach_with_upgrade(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.post(ATTACH, headers=UPGRADE)
        request = engine.request()
        assert request.header("Upgrade") == "tcp"
        assert request.header("Connection").lower() == "upgrade"
        request.conn.send(UPGRADED)
        response = client.read_response_head()
        assert (response.status, response.header("Upgrade")) == (101, "tcp")
        assert response.header("Connection").lower() == "upgrade"
        assert response.header("Content-Type") == RAW_STREAM
        both_ways(client, request.conn)


@pytest.mark.parametrize("target", [ATTACH, "/containers/x/attach", EXEC, "/exec/0f3c/start"])
@pytest.mark.parametrize("media", [RAW_STREAM, "application/vnd.docker.multiplexed-stream"])
def test_raw_200_on_attach_and_exec_start(
    proxy: Proxy, engine: Engine, target: str, media: str
) -> None:
    """docker-py and plain HTTP clients do not ask for an upgrade; the Engine goes raw behind a
    200."""
    with proxy.connect() as client:
        client.post(
            target, b"{}" if "exec" in target else b"", headers=["Content-Type: application/json"]
        )
        request = engine.request()
        request.conn.send(f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\n\r\n".encode())
        response = client.read_response_head()
        assert (response.status, response.header("Content-Type")) == (200, media)
        assert response.header("Transfer-Encoding") is None
        both_ways(client, request.conn)


def test_raw_200_for_an_http_1_0_client(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(f"POST {ATTACH} HTTP/1.0\r\n\r\n".encode())
        request = engine.request()
        request.conn.send(RAW_200)
        assert client.read_response_head().status == 200
        both_ways(client, request.conn)


def test_websocket(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.get(
            "/containers/web1/attach/ws?stdin=1&stream=1",
            headers=[
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Origin: http://docker",
            ],
        )
        request = engine.request()
        assert request.header("Upgrade") == "websocket"
        assert request.header("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ=="
        request.conn.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        response = client.read_response_head()
        assert response.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        both_ways(client, request.conn)


@pytest.mark.parametrize("target", ["/session", "/grpc", "/v1.41/session"])
def test_buildkit_h2c(proxy: Proxy, engine: Engine, target: str) -> None:
    """In /session the Engine is the HTTP/2 client: its preface comes first."""
    with proxy.connect() as client:
        client.post(target, headers=["Connection: Upgrade", "Upgrade: h2c"])
        request = engine.request()
        assert request.header("Upgrade") == "h2c"
        request.conn.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        )
        assert client.read_response_head().status == 101
        client.expect(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        both_ways(client, request.conn)


# byte placement


def test_payload_in_the_same_segment_as_the_101(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.post(ATTACH, headers=UPGRADE)
        request = engine.request()
        request.conn.send(UPGRADED + b"first output")
        assert client.read_response_head().status == 101
        client.expect(b"first output")
        both_ways(client, request.conn)


def test_101_head_in_three_writes(proxy: Proxy, engine: Engine) -> None:
    """exec start responds in two or three writes."""
    with proxy.connect() as client:
        client.post(EXEC, b"{}", headers=UPGRADE)
        request = engine.request()
        request.conn.send(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n"
        )
        client.expect_silence(0.05)
        request.conn.send(b"Api-Version: 1.41\r\nOstype: linux\r\n")
        client.expect_silence(0.05)
        request.conn.send(b"\r\n")
        response = client.read_response_head()
        assert (response.status, response.header("Api-Version")) == (101, "1.41")
        both_ways(client, request.conn)


def test_101_is_forwarded_before_any_payload(proxy: Proxy, engine: Engine) -> None:
    """docker-py loses what comes with the head: the head goes out as soon as it is whole."""
    with proxy.connect() as client:
        client.post(ATTACH, headers=UPGRADE)
        request = engine.request()
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        client.expect_silence(0.05)
        request.conn.send(b"late")
        client.expect(b"late")


def test_stdin_sent_early_is_held_until_the_101(proxy: Proxy, engine: Engine) -> None:
    """The Engine throws away what comes before its 101: `echo x | docker run -i` would lose its
    input."""
    with proxy.connect() as client:
        client.send(attach_bytes("Content-Length: 0", *UPGRADE) + b"early\n")
        request = engine.request()
        request.conn.expect_silence()
        client.send(b"more\n")
        request.conn.expect_silence()
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        request.conn.expect(b"early\nmore\n")
        both_ways(client, request.conn)


def test_stdin_sent_early_is_held_until_the_raw_200(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(attach_bytes("Content-Length: 0") + b"early\n")
        request = engine.request()
        request.conn.expect_silence()
        request.conn.send(RAW_200)
        assert client.read_response_head().status == 200
        request.conn.expect(b"early\n")
        both_ways(client, request.conn)


@pytest.mark.parametrize("apart", [False, True], ids=["one segment", "two segments"])
def test_body_of_attach_does_not_become_stdin(proxy: Proxy, engine: Engine, apart: bool) -> None:
    """dockerode sends JSON with its attach; if it arrives late the Engine types it into the
    container."""
    body = b'{"stream":true,"stdin":true,"stdout":true,"hijack":true}'
    head = attach_bytes("Content-Type: application/json", f"Content-Length: {len(body)}", *UPGRADE)
    with proxy.connect() as client:
        client.send(head + (b"" if apart else body))
        if apart:
            time.sleep(0.05)  # let the head travel alone
            client.send(body)
        request = engine.head()
        assert request.header("Content-Length") in (None, "0")
        assert request.header("Transfer-Encoding") is None
        request.conn.expect_silence()
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        request.conn.expect_silence()
        both_ways(client, request.conn)


def test_attach_with_a_chunked_body_that_never_ends(proxy: Proxy, engine: Engine) -> None:
    """docker-modem opens stdin so: no last chunk ever comes, and after the 101 all is raw."""
    with proxy.connect() as client:
        client.send(attach_bytes("Transfer-Encoding: chunked", *UPGRADE))
        request = engine.head()
        assert request.header("Content-Length") in (None, "0")
        assert request.header("Transfer-Encoding") is None
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        request.conn.expect_silence()
        client.send(b"raw1\n")
        request.conn.expect(b"raw1\n")
        both_ways(client, request.conn)


def test_exec_start_with_a_chunked_body(proxy: Proxy, engine: Engine) -> None:
    """The body of exec start is its JSON: it arrives whole, then the tunnel."""
    with proxy.connect() as client:
        client.send(
            f"POST {EXEC} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
            + chunk(b'{"Detach":')
            + chunk(b"false}")
            + b"0\r\n\r\n"
        )
        request = engine.request()
        assert request.body == b'{"Detach":false}'
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        request.conn.expect_silence()
        both_ways(client, request.conn)


def test_one_of_several_protocols_is_granted(proxy: Proxy, engine: Engine) -> None:
    """RFC 9110 section 7.8: Upgrade is a list, in any case of letters."""
    with proxy.connect() as client:
        client.post(ATTACH, headers=["Connection: Upgrade", "Upgrade: h2c , TCP"])
        request = engine.request()
        assert request.header("Upgrade") == "h2c , TCP"
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        both_ways(client, request.conn)


# what opens none


@pytest.mark.parametrize("granted", ["", "Upgrade:", "Upgrade: h2c", "Upgrade: tcp, h2c"])
def test_another_protocol_than_was_asked_for_is_a_502(
    proxy: Proxy, engine: Engine, granted: str
) -> None:
    with proxy.connect() as client:
        client.post(ATTACH, headers=UPGRADE)
        request = engine.request()
        lines = ["HTTP/1.1 101 UPGRADED", "Connection: Upgrade", *filter(None, [granted])]
        request.conn.send("\r\n".join(lines).encode() + b"\r\n\r\nraw")
        response = client.response()
        assert response.status == 502
        assert "protocol that the client did not ask for" in response.message()
        request.conn.expect_gone()


def test_upgrade_that_is_too_long_to_be_one_is_not_sent_on(proxy: Proxy, engine: Engine) -> None:
    """What the Engine grants is compared with what was asked for, of which so much is kept."""
    with proxy.connect() as client:
        client.post(ATTACH, headers=["Connection: Upgrade", "Upgrade: " + "x" * 33])
        request = engine.request()
        assert request.header("Upgrade") is None
        request.respond(400, b'{"message":"x"}', reason="Bad Request")
        assert client.response().status == 400


def refused_upgrade(
    client: Client, engine: Engine, target: str, body: bytes, follow: bytes
) -> Request:
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: docker",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *UPGRADE,
    ]
    client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body + follow)
    request = engine.request()
    request.conn.expect_silence(0.05)
    return request


@pytest.mark.parametrize(
    "target,status",
    [
        (EXEC, 200),
        (EXEC, 404),
        (EXEC, 409),
        ("/session", 400),
        ("/grpc", 500),
        (ATTACH, 404),
        ("/version", 200),
    ],
)
def test_other_response_to_an_upgrade_stays_http(
    proxy: Proxy, engine: Engine, target: str, status: int
) -> None:
    """Detached exec responds with 200 and the Engine parses on: what follows is judged as a request, not
    tunnelled."""
    with proxy.connect() as client:
        request = refused_upgrade(
            client,
            engine,
            target,
            b'{"Detach":true}' if target == EXEC else b"",
            b"GET /next HTTP/1.1\r\nHost: evil.example\r\nX-Api-Key: mine\r\n\r\n",
        )
        request.respond(status, b"" if status == 200 else b'{"message":"x"}', reason="Whatever")
        assert client.response().status == status
        following = engine.request()  # the strict reader checks Host, key and form
        assert following.line == "GET /next HTTP/1.1"
        following.respond(body=b"next")
        assert client.response().body == b"next"


def test_garbage_behind_a_refused_upgrade_never_reaches_the_engine(
    proxy: Proxy, engine: Engine
) -> None:
    with proxy.connect() as client:
        request = refused_upgrade(
            client, engine, EXEC, b'{"Detach":true}', b"GET /evil HTTP/1.1\nHost: x\n\n"
        )
        request.respond(body=b"")
        assert client.response().status == 200
        client.expect_refusal(400)
        assert not engine.received()


def test_raw_media_type_with_a_length_is_no_tunnel(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(attach_bytes("Content-Length: 0") + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        request = engine.request()
        request.respond(body=b"abc", headers=[f"Content-Type: {RAW_STREAM}"])
        assert client.response().body == b"abc"
        following = engine.request()
        assert following.line == "GET /next HTTP/1.1"
        following.respond()
        client.response()


def test_raw_media_type_in_chunks_is_no_tunnel(proxy: Proxy, engine: Engine) -> None:
    """logs -f uses the same type, in chunks."""
    with proxy.connect() as client:
        client.send(b"GET /containers/x/logs?follow=1 HTTP/1.1\r\nHost: docker\r\n\r\n")
        request = engine.request()
        request.conn.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"line\n")
        )
        assert client.read_response_head().header("Transfer-Encoding") == "chunked"
        client.expect(chunk(b"line\n"))
        client.send(b"not for the Engine")
        request.conn.expect_silence()
        request.conn.send(b"0\r\n\r\n")
        client.expect(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "method,target",
    [
        ("GET", "/containers/x/logs"),
        ("POST", "/containers/x/attached"),
        ("POST", "/exec/x/startx"),
        ("GET", ATTACH),
        ("POST", "/containers/x/start"),
        ("POST", "/images/x/attach"),
    ],
)
def test_raw_200_elsewhere_is_no_tunnel(
    proxy: Proxy, engine: Engine, method: str, target: str
) -> None:
    """Without a length it is a response that ends with the connection; the client cannot talk into
    it."""
    with proxy.connect() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
        request = engine.request()
        request.conn.send(RAW_200 + b"output")
        client.read_response_head()
        client.read_until(b"output")
        client.send(b"GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n")
        request.conn.expect_silence()
        request.conn.close()
        client.expect_gone()


def test_200_on_attach_of_another_type_is_no_tunnel(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.post(ATTACH)
        request = engine.request()
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}")
        client.read_response_head()
        client.send(b"GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n")
        request.conn.expect_silence()
        request.conn.close()
        client.expect_gone()


def test_attach_404_that_ends_with_the_connection(proxy: Proxy, engine: Engine) -> None:
    """Written by hand on the hijacked connection: raw type, no length. The message must arrive, and
    the end."""
    with proxy.connect() as client:
        client.send(
            attach_bytes("Content-Length: 0", *UPGRADE) + b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        request = engine.request()
        request.conn.send(
            b"HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
            b"No such container: nope\r\n"
        )
        request.conn.close()
        response = client.response()
        assert (response.status, response.body) == (404, b"No such container: nope\r\n")
        if response.framing == "close":
            assert not engine.received()


def test_chunked_attach_that_is_refused_ends_the_connection(proxy: Proxy, engine: Engine) -> None:
    """Its body has no end, so nothing after it can be told to be a request."""
    with proxy.connect() as client:
        client.send(attach_bytes("Transfer-Encoding: chunked", *UPGRADE))
        request = engine.head()
        client.send(b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n")
        request.respond(404, b'{"message":"No such container"}', reason="Not Found")
        response = client.response()
        assert response.status == 404
        client.expect_gone()
        assert not engine.received()


# half-close, each way by itself


def test_client_half_close_reaches_the_engine_and_output_still_comes(
    proxy: Proxy, engine: Engine
) -> None:
    """echo x | docker run -i: stdin ends, output comes afterwards."""
    with proxy.connect() as client:
        conn = open_tunnel(client, engine)
        client.send(b"hello\n")
        client.finish_sending()
        conn.expect(b"hello\n")
        conn.expect_end()
        time.sleep(0.2)  # as long after as a container takes to respond
        conn.send(b"response")
        client.expect(b"response")
        conn.close()
        client.expect_end()


def test_engine_half_close_reaches_the_client_and_input_still_goes(
    proxy: Proxy, engine: Engine
) -> None:
    with proxy.connect() as client:
        conn = open_tunnel(client, engine)
        conn.send(b"bye")
        conn.finish_sending()
        client.expect(b"bye")
        client.expect_end()
        client.send(b"still typing")
        conn.expect(b"still typing")
        client.finish_sending()
        conn.expect_end()


def test_half_close_sent_with_the_request(proxy: Proxy, engine: Engine) -> None:
    """The docker CLI without stdin sends its FIN before the response; it must not end the attach."""
    with proxy.connect() as client:
        client.send(attach_bytes("Content-Length: 0", *UPGRADE) + b"all of stdin")
        client.finish_sending()
        request = engine.request()
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        request.conn.expect(b"all of stdin")
        request.conn.expect_end()
        request.conn.send(b"output")
        request.conn.close()
        client.expect(b"output")
        client.expect_end()


def test_half_close_of_a_raw_200(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.post(EXEC, b"{}")
        request = engine.request()
        request.conn.send(RAW_200)
        client.read_response_head()
        client.send(b"in")
        client.finish_sending()
        request.conn.expect(b"in")
        request.conn.expect_end()
        request.conn.send(b"out")
        request.conn.close()
        client.expect(b"out")
        client.expect_end()


def test_client_killed_in_a_tunnel(proxy: Proxy, engine: Engine) -> None:
    """docker run killed with -9: the Engine must learn that nobody reads any more."""
    client = proxy.connect()
    conn = open_tunnel(client, engine)
    client.reset()
    conn.expect_gone()


def test_engine_gone_in_a_tunnel(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        conn = open_tunnel(client, engine)
        conn.close()
        client.expect_gone()


# volume and time


def test_megabytes_both_ways_at_once(proxy: Proxy, engine: Engine) -> None:
    """docker exec -i with a tar each way: neither direction waits for the other, no byte
    changes."""
    up, down = os.urandom(8 << 20), os.urandom(8 << 20)
    with proxy.connect() as client:
        conn = open_tunnel(client, engine)

        def send_all(stream, data):
            stream.send(data)
            stream.finish_sending()

        senders = [
            Background(lambda: send_all(client, up)),
            Background(lambda: send_all(conn, down)),
        ]
        received = Background(conn.read_to_end)
        assert client.read_to_end() == down
        assert received.result() == up
        for sender in senders:
            sender.result()


def test_silent_tunnel_is_left_alone(start, own_engine: Engine) -> None:
    """A shell left open overnight: no deadline of HTTP applies to a tunnel."""
    proxy = start("--head-timeout", "1")
    with proxy.connect() as client:
        conn = open_tunnel(client, own_engine)
        client.expect_silence(2.5)
        both_ways(client, conn)


def test_reader_that_stalls_does_not_stop_the_other_direction(proxy: Proxy, engine: Engine) -> None:
    """docker exec with its output paused: what is typed still reaches the process."""
    with proxy.connect() as client:
        conn = open_tunnel(client, engine)
        conn.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while True:
                conn.sock.sendall(b"o" * 65536)  # until every buffer on the way is full
        client.send(b"typed")
        conn.expect(b"typed")


def test_output_waiting_at_the_end_is_delivered(proxy: Proxy, engine: Engine) -> None:
    """The process wrote its last MiB and ended; a slow terminal still gets all of it."""
    with proxy.connect() as client:
        conn = open_tunnel(client, engine)
        data = os.urandom(4 << 20)
        sender = Background(lambda: (conn.send(data), conn.close()))
        time.sleep(0.1)  # the reader is slow
        assert client.read_to_end() == data
        sender.result()


def test_upgrade_behind_a_pipelined_request(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.send(
            b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n"
            + attach_bytes("Content-Length: 0", *UPGRADE)
            + b"early"
        )
        engine.request().respond(body=b"version")
        assert client.response().body == b"version"
        request = engine.request()
        request.conn.expect_silence(0.05)
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        request.conn.expect(b"early")
        both_ways(client, request.conn)
