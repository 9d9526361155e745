"""The end of the program as clients of streams see it: what is whole ends well, and nothing else does; the admin
listener serves until then."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin
from secure import Authority, connect, context
from wire import LAST_CHUNK, STREAM_HEAD, EndOfStream, Engine, Proxy, chunk, eventually, open_stream, refuses_connection

ENDLESS = [
    "/events",
    "/v1.41/events?since=1&filters=%7B%7D",
    "/containers/web/logs?follow=1&stdout=1",
    "/containers/web/logs?stdout=1&follow=TRUE",
    "/containers/web/stats",
    "/containers/web/stats?stream=true",
    "/services/web/logs?follow=true",
    "/tasks/web/logs?follow=1",
    "/v4.0.0/libpod/events",
    "/v4.0.0/libpod/containers/web/logs?follow=true",
    "/v4.0.0/libpod/containers/stats",
]
ENDING = [
    "/events?until=2000000000",
    "/containers/web/logs?stdout=1",
    "/containers/web/logs?follow=0",
    "/containers/web/logs?follow=0&follow=1",
    "/containers/web/stats?stream=0",
    "/containers/web/stats?stream=",
    "/v4.0.0/libpod/events?stream=false",
    "/images/get?names=busybox",
    "/containers/web/export",
    "/containers/web/archive?path=/&follow=1",
    "/containers/json?follow=1",
]


def stopped_within(proxy: Proxy, engine: Engine, target: str, sent: bytes, method: str = "GET") -> bytes:
    """What a client has read of a response, of which the Engine had sent so much, when the proxy has stopped."""
    with proxy.connect() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode())
        engine.request().conn.send(STREAM_HEAD + sent)
        client.read_response_head()
        client.expect(sent)
        proxy.terminate()
        try:
            rest = client.read_to_end()
        except EndOfStream:
            rest = b"reset"
    assert proxy.wait_exit() == 0
    return rest


@pytest.mark.parametrize("target", ENDLESS)
def test_stop_ends_endless_responses_well(start, own_engine: Engine, target: str) -> None:
    """docker events, logs -f: what was sent is whole, and the client is told so."""
    proxy = start("--shutdown-grace", "0")
    assert stopped_within(proxy, own_engine, target, chunk(b'{"a":1}\n')) == LAST_CHUNK
    line = proxy.wait_log(lambda line: "path=" + target.partition("?")[0] in line, what="of the request")
    assert "status=200" in line and "end=proxy" in line


@pytest.mark.parametrize("target", ENDING)
def test_stop_does_not_end_what_has_an_end(start, own_engine: Engine, target: str) -> None:
    """Half an image with a proper end would be taken for the whole."""
    assert stopped_within(start("--shutdown-grace", "0"), own_engine, target, chunk(b"half")) in (b"", b"reset")


@pytest.mark.parametrize(
    "target", ["/images/create?fromImage=busybox", "/build", "/images/load", "/images/a/push", "/containers/web/wait"]
)
def test_stop_does_not_end_work_in_progress(start, own_engine: Engine, target: str) -> None:
    """docker pull, build and wait end with an error, and not as if all were done."""
    proxy = start("--shutdown-grace", "0")
    assert stopped_within(proxy, own_engine, target, chunk(b'{"status":"Pulling"}\n'), "POST") in (b"", b"reset")


def test_stop_waits_for_the_end_of_a_record(start, own_engine: Engine) -> None:
    """The last chunk cannot stand within a chunk."""
    proxy = start("--shutdown-grace", "0")
    with proxy.connect() as client:
        client.get("/events")
        conn = own_engine.request().conn
        conn.send(STREAM_HEAD + b"8\r\n{\"a\"")
        client.read_until(b"8\r\n{\"a\"")
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        conn.send(b":1}\n\r\n")
        client.expect(b":1}\n\r\n" + LAST_CHUNK)
        client.expect_end()
    assert proxy.wait_exit() == 0


def test_stop_cuts_a_record_that_does_not_end(start, own_engine: Engine) -> None:
    proxy = start("--shutdown-grace", "0")
    assert LAST_CHUNK not in stopped_within(proxy, own_engine, "/events", b"8\r\n{\"a\"")


def test_stop_cuts_the_stream_of_a_client_that_does_not_read(start, own_engine: Engine) -> None:
    """It has not got what was sent: no end may say so, and nobody waits for it."""
    proxy = start("--shutdown-grace", "0")
    with proxy.connect() as client:
        conn = open_stream(client, own_engine)
        conn.send_until_stuck(chunk(b"x" * 65536))
        began = time.monotonic()
        proxy.terminate()
        assert proxy.wait_exit() == 0
        assert time.monotonic() - began < 4
        got = b""
        try:
            got = client.read_to_end()
        except EndOfStream:
            pass
        assert not got.endswith(b"\r\n" + LAST_CHUNK)


@pytest.mark.parametrize("body", [b"", STREAM_HEAD])
def test_stop_ends_endless_responses_of_old_clients_with_the_connection(
    start, own_engine: Engine, body: bytes
) -> None:
    """HTTP/1.0 has no chunks: the end of the connection is that of the response, and a reset would cut it."""
    proxy = start("--shutdown-grace", "0")
    with proxy.connect() as client:
        client.get("/events", version="1.0")
        conn = own_engine.request().conn
        conn.send(body + chunk(b"part") if body else b"HTTP/1.1 200 OK\r\n\r\npart")
        client.read_until(b"part")
        proxy.terminate()
        client.expect_end()
    assert proxy.wait_exit() == 0


@pytest.mark.parametrize("half", [b"", b'{"Action":"st'])
def test_stop_ends_a_redacted_stream_between_two_records(
    start, own_engine: Engine, tmp_path: Path, half: bytes
) -> None:
    os.chmod(tmp_path, 0o755)
    port = free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ci}}]\n"
        "policies: {ci: {rules: [{allow: ['*']}], redact: ['labels:secret.*']}}\n"
    )
    proxy = start("-c", str(file), "--shutdown-grace", "0", port=port)
    with proxy.connect() as client:
        client.get("/events")
        conn = own_engine.request().conn
        conn.send(STREAM_HEAD + chunk(b'{"Action":"create"}\n'))
        client.read_until(b"}\n\r\n")
        if half:
            conn.send(chunk(half))
            client.read_until(half)
        proxy.terminate()
        try:
            rest = client.read_to_end()
        except EndOfStream:
            rest = b""
    assert (LAST_CHUNK in rest) == (half == b"")
    assert proxy.wait_exit() == 0


def test_stop_of_a_stream_over_tls_says_goodbye(start, own_engine: Engine, tmp_path: Path) -> None:
    """close_notify is the end of a TLS connection: without it, a client reports a truncation."""
    os.chmod(tmp_path, 0o755)
    authority = Authority(tmp_path)
    pair = authority.server()
    proxy = start("--shutdown-grace", "0", env={"TLS_CERT": pair.path, "TLS_KEY": pair.key})
    with connect(proxy, context(authority)) as client:
        open_stream(client, own_engine, sent=chunk(b"{}\n"))
        proxy.terminate()
        client.expect(LAST_CHUNK)
        client.expect_end()
    assert proxy.wait_exit() == 0


@pytest.mark.parametrize("workers", ["1", "4"])
def test_admin_listener_serves_until_the_end(start, own_engine: Engine, folder: str, workers: str) -> None:
    """Whoever watches a stop can see it: whichever worker has the last stream."""
    path = f"{folder}/admin-{workers}.sock"
    proxy = start("--workers", workers, "--shutdown-grace", "600", env={"ADMIN": f"unix://{path}"})
    admin = Admin(path)
    streams = [proxy.connect() for _ in range(8)]
    conns = [open_stream(client, own_engine) for client in streams]
    proxy.terminate()
    proxy.wait_log(lambda line: "SIGTERM" in line)
    while conns:
        conns.pop().send(LAST_CHUNK)
        with streams.pop() as client:
            client.expect(LAST_CHUNK)
            client.expect_end()
        if conns:
            ready = admin.get("/ready")
            assert ready.status == 503 and json.loads(ready.body)["process"] == "draining"
            assert admin.get("/health").status == 200
            assert admin.metrics().get_one("requests_total") >= 0
    assert proxy.wait_exit() == 0
    assert os.geteuid() == 0 or not os.path.exists(path), "root's folder is closed to the user of the proxy"
