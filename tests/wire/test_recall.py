"""A head that came before is not read again: it is forwarded, judged and answered as at first."""

from __future__ import annotations

import hashlib
import json
import socket

import pytest

from catalogue import rows
from machine import free_port
from test_reload import Served, place, served  # noqa: F401
from wire import Client, Engine, Proxy, Request

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


# ---- What a policy makes of it. ----

NARROWED = ["/containers/json", "/networks", "/networks/", "/volumes", "/services", "/tasks", "/secrets", "/configs", "/nodes", "/events"]
ALL = "policies:\n  ci: {rules: [{allow: ['*']}], scope: {labels: {team: ci}}}\n  bare: {rules: [{allow: ['*']}], redact: [env]}\n"


def asked_of(engine: Engine, client: Client, head: bytes, body: bytes = b"[]") -> tuple[str, bytes]:
    """What reached the Engine, and what came back."""
    client.send(head)
    request = engine.request()
    request.respond(200, body, headers=["Content-Type: application/json"])
    return request.line, client.response().body


def two_listeners(served: Served, policy: str) -> Client:
    """The open one, which the proxy knows; a client of the other one."""
    port = free_port()
    other = f"- {{address: 'tcp://127.0.0.1:{port}', policy: {policy}}}\n"
    served.write(listeners=served.listener("open") + other, more=ALL)
    served.run("--workers", "1")
    return Client(socket.create_connection(("127.0.0.1", port)))


@pytest.mark.parametrize("path", NARROWED)
@pytest.mark.parametrize("version", ["", "/v1.41"])
def test_a_scope_narrows_it_each_time(served: Served, own_engine: Engine, path: str, version: str) -> None:
    """Also when an open listener has sent the same head before."""
    head = f"GET {version}{path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: a\r\n\r\n".encode()
    with two_listeners(served, "ci") as scoped, served.proxy.connect() as client:
        first, _ = asked_of(own_engine, scoped, head)
        assert "filters=" in first and "team" in first, first
        for _ in range(TURNS):
            line, _ = asked_of(own_engine, client, head)
            assert "filters=" not in line
            line, _ = asked_of(own_engine, scoped, head)
            assert line == first


def test_it_is_redacted_each_time(served: Served, own_engine: Engine) -> None:
    head = b"GET /v1.41/containers/web/json HTTP/1.1\r\nHost: docker\r\n\r\n"
    body = json.dumps({"Config": {"Env": ["A=secret"]}}).encode()
    with two_listeners(served, "bare") as bare, served.proxy.connect() as client:
        for _ in range(TURNS):
            assert b"secret" in asked_of(own_engine, client, head, body)[1]
            assert b"secret" not in asked_of(own_engine, bare, head, body)[1]


def test_a_key_of_a_client_stays_here_each_time(served: Served, own_engine: Engine) -> None:
    served.write(policy="deny", more="clients: [{name: a, policy: open, match: {key_sha256: " + hashlib.sha256(b"secret").hexdigest() + "}}]\n")
    served.run("--workers", "1")
    with served.proxy.connect() as client:
        for _ in range(TURNS):
            client.get("/v1.41/info", headers=["X-Api-Key: secret"])
            request = own_engine.request()
            assert request.header("x-api-key") != "secret"
            request.respond(200, b"{}")
            assert client.response().status == 200
            client.get("/v1.41/info")
            assert client.response().status in (401, 403)


KEYS = {"a": "first-key-of-client-a", "b": "other-key-of-client-b", "nobody": "wrong-key-of-nobody-c"}  # of one length
FORMS = ["X-Api-Key: {}", "Authorization: Bearer {}"]


def with_clients(**policies: str) -> str:
    entries = [
        f"{{name: {name}, policy: {policy}, match: {{key_sha256: {hashlib.sha256(KEYS[name].encode()).hexdigest()}}}}}"
        for name, policy in policies.items()
    ]
    return f"clients: [{', '.join(entries)}]\n"


@pytest.mark.parametrize("form", FORMS)
def test_each_key_says_who_it_is_each_time(served: Served, own_engine: Engine, form: str) -> None:
    """Heads that are the same but for the key, on one connection. No key gets to the Engine.
    A host with ten wrong keys would have to wait."""
    served.write("deny", more=with_clients(a="open", b="deny"))
    served.run("--workers", "1", "--log-level", "info")
    got: list[Request] = []

    def respond(request: Request) -> None:
        got.append(request)
        request.respond(200, b"{}")

    def status(name: str) -> int:
        client.get("/v1.41/info", headers=[form.format(KEYS[name])])
        return client.response().status

    with own_engine.responding(respond), served.proxy.connect() as client:
        for _ in range(3):
            assert [status("a") for _ in range(3)] == [200] * 3
            assert [status(name) for name in ("b", "a", "nobody", "a", "b")] == [403, 200, 401, 200, 403]
        served.reload("deny", more=with_clients(b="open"))
        for _ in range(3):
            assert [status(name) for name in ("b", "b", "a")] == [200, 200, 401]
    wrong = [request.headers for request in got if request.header("authorization") or request.header("x-api-key")]
    assert len(got) == 3 * 7 and not wrong, wrong
    assert not [line for line in served.proxy.lines for key in KEYS.values() if key in line]


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_is_not_for_the_proxy_goes_on_each_time(start, own_engine: Engine, form: str) -> None:
    """Without clients it belongs to the Engine, or to what stands in front of it."""
    proxy = start("--workers", "1")
    with proxy.connect() as client:
        for turn in range(3 * TURNS):
            field = form.format(list(KEYS.values())[turn // 2 % 3])
            client.get("/v1.41/info", headers=[field])
            request = own_engine.request()
            assert request.header(field.split(":")[0]) == field.split(": ")[1]
            request.respond(200, b"{}")
            assert client.response().status == 200


def test_a_reload_decides_anew_whose_a_key_is(served: Served, own_engine: Engine) -> None:
    """A client's, which stays here; or the Engine's."""
    field = FORMS[0].format(KEYS["a"])
    served.write("open")
    served.run("--workers", "1")
    with served.proxy.connect() as client:
        for more, passed in 2 * (("", KEYS["a"]), (with_clients(a="open"), None)):
            served.reload("open", more)
            for _ in range(TURNS):
                client.get("/v1.41/info", headers=[field])
                request = own_engine.request()
                assert request.header("x-api-key") == passed
                request.respond(200, b"{}")
                assert client.response().status == 200


POLICIES = {
    "open": "",
    "scope": "scope: {labels: {team: ci}}",
    "redact": "redact: [env, args, mounts, options, tokens]",
    "observe": "mode: observe, scope: {labels: {team: ci}}, redact: [env]",
}
OBJECT = json.dumps(
    {"Id": "0123456789abcdef" * 4, "Labels": {"team": "ci"}, "Config": {"Labels": {"team": "ci"}, "Env": ["A=secret"]}}
    | {"Spec": {"Labels": {"team": "ci"}, "Env": ["A=secret"]}}
).encode()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_operation_that_reads_is_the_same_each_time(served: Served, own_engine: Engine, policy: str) -> None:
    """The first time a head is read, and from the third on it is remembered: what the Engine gets and what
    the client gets, byte for byte."""
    fields = f"Host: docker\r\nUser-Agent: {policy}\r\nConnection: close\r\n\r\n"
    heads = [
        f"{row.method} {row.request(version).target} HTTP/1.1\r\n{fields}"
        for row in rows()
        if row.method in ("GET", "HEAD") and not row.body
        for version in ("", "/v1.41")
    ]
    served.write("one", more=f"policies:\n  one: {{rules: [{{allow: ['*']}}], {POLICIES[policy]}}}\n")
    served.run("--workers", "1")
    got: list[tuple[str, list]] = []

    def respond(request: Request) -> None:
        got.append((request.line, list(request.headers)))
        request.respond(200, OBJECT, headers=["Content-Type: application/json"])

    def exchange(head: str) -> tuple:
        got.clear()
        with served.proxy.connect() as client:
            client.send(head.encode())
            response = client.response(method=head.split(" ")[0])
        return list(got), response.status, list(response.headers), response.body

    with own_engine.responding(respond):
        for head in heads:
            first = exchange(head)
            for _ in range(4):
                assert exchange(head) == first, head
    assert len(heads) > 100
