"""A head that came before is not read again: it is forwarded, judged and answered as at first."""

from __future__ import annotations

import socket

from machine import free_port
from test_reload import Served, place, served  # noqa: F401
from wire import Client, Engine, Proxy

TURNS = 6

LIST = b"GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nUser-Agent: a\r\n\r\n"



def exchanged(client: Client, engine: Engine, head: bytes, status: int, body: bytes, **more) -> str:
    """Send the head, have it answered, and see the answer; what the Engine got."""
    client.send(head)
    request = engine.request()
    request.respond(status, body, **more)
    response = client.response()
    assert (response.status, response.body) == (status, body)
    return f"{request.line} {request.headers}"


def test_the_same_head_is_forwarded_the_same(proxy: Proxy, engine: Engine) -> None:
    """On one connection and on others."""
    seen = set()
    for _ in range(3):
        with proxy.connect() as client:
            seen |= {exchanged(client, engine, LIST, 200, b"[]") for _ in range(TURNS)}
    assert len(seen) == 1, seen


def test_responses_differ_all_the_same(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        for turn in range(3 * TURNS):
            status, body = ((200, b"[]"), (200, b"[1]"), (404, b"[]"))[turn // 2 % 3]
            exchanged(client, engine, LIST, status, body, headers=[f"X-Turn: {turn // 4}"])


def test_head_and_get_take_turns(proxy: Proxy, engine: Engine) -> None:
    """The same response has a body after the one and none after the other."""
    head = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
    with proxy.connect() as client:
        for _ in range(TURNS):
            exchanged(client, engine, b"GET" + head[4:], 200, b"OK")
            client.send(head)
            asked = engine.request()
            asked.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            asked.conn.idle = True
            assert client.response(method="HEAD").header("Content-Length") == "2"
            exchanged(client, engine, b"GET" + head[4:], 200, b"OK")


def test_requests_in_one_write_and_in_pieces(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        for _ in range(TURNS):
            client.send(LIST * 3)
            for number in range(3):
                engine.request().respond(200, b"%d" % number)
                assert client.response().body == b"%d" % number
        for cut in (1, 20, len(LIST) - 1):
            client.send_slowly(LIST, step=cut)
            engine.request().respond(200, b"whole")
            assert client.response().body == b"whole"


def test_a_head_that_goes_on_is_another_one(proxy: Proxy, engine: Engine) -> None:
    """One with a field more, of the same beginning."""
    with proxy.connect() as client:
        for turn in range(TURNS):
            exchanged(client, engine, LIST, 200, b"[]")
            client.send(LIST[:-2] + b"Accept: text/%d\r\n\r\n" % (turn // 3))
            request = engine.request()
            assert request.header("Accept") == f"text/{turn // 3}"
            request.respond(200, b"[]")
            client.response()


def test_it_is_judged_each_time(served: Served, own_engine: Engine) -> None:
    """By another policy after a reload, on the connection that has it."""
    served.write("open")
    served.run()
    with served.proxy.connect() as client:
        for _ in range(3):
            for _ in range(TURNS):
                exchanged(client, own_engine, LIST, 200, b"[]")
            served.reload("deny")
            for _ in range(3):
                client.send(LIST)
                assert client.response().status == 403
            served.reload("open")


def test_each_listener_judges_it_by_its_own_policy(served: Served, own_engine: Engine) -> None:
    port = free_port()
    strict = f"- {{address: 'tcp://127.0.0.1:{port}', policy: deny}}\n"
    served.write(listeners=served.listener("open") + strict)
    served.run()
    with served.proxy.connect() as client, Client(socket.create_connection(("127.0.0.1", port))) as denied:
        for _ in range(TURNS):
            exchanged(client, own_engine, LIST, 200, b"[]")
            denied.send(LIST)
            assert denied.response().status == 403
