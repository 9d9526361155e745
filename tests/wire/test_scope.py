"""The question about an object, and the Engine's answer to it: byte by byte, and when it is none."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from wire import Client, Engine, EngineConn, Proxy, Request, chunk, eventually, run_binary, sanitized

Start = Callable[..., Proxy]
ID = "0123456789abcdef" * 4
FILE = """\
listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ci}}]
policies:
  ci:
    rules: [{{allow: ['*']}}]
    scope: {{labels: {{team: ci}}}}
"""


@pytest.fixture
def scoped(start: Start, tmp_path: Path) -> Callable[..., Proxy]:
    os.chmod(tmp_path, 0o755)

    def start_one(*args: str, **options) -> Proxy:
        port = free_port()
        path = tmp_path / f"{port}.yaml"
        path.write_text(FILE.format(port=port))
        return start("-c", str(path), *args, port=port, **options)

    return start_one


def started(start: Start, tmp_path: Path, text: str) -> Proxy:
    """A proxy with this file."""
    os.chmod(tmp_path, 0o755)
    port = free_port()
    path = tmp_path / "a.yaml"
    path.write_text(text.format(port=port))
    return start("-c", str(path), port=port)


def container(team: str = "ci", **more: object) -> bytes:
    return json.dumps({"Id": ID, "Config": {"Labels": {"team": team}}} | more).encode()


def question(engine: Engine, name: str = "web") -> Request:
    asked = engine.request()
    assert asked.line == f"GET /containers/{name}/json HTTP/1.1"
    return asked


def served(client: Client, engine: Engine) -> None:
    """A request as it should be: asked, answered, forwarded with the id, responded."""
    client.get("/containers/web/logs?stdout=1")
    question(engine).respond(200, container())
    request = engine.request()
    assert request.line == f"GET /containers/{ID}/logs?stdout=1 HTTP/1.1"
    request.respond(200, b"lines")
    assert client.response().body == b"lines"


def message(status: str, body: bytes, *fields: bytes) -> bytes:
    return b"HTTP/1.1 " + status.encode() + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body


def answer_by(conn: EngineConn, *pieces: bytes) -> None:
    """Raw bytes; the connection can carry the next request."""
    for piece in pieces:
        conn.send(piece)
    conn.idle = True


def sized(body: bytes, status: str = "200 OK") -> bytes:
    return message(status, body, b"Content-Length: %d" % len(body))


OWN = container()
UNUSABLE = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "not HTTP": b"garbage\r\n\r\n",
    "half a body": sized(OWN)[:-5],
    "500": sized(b'{"message":"x"}', "500 Internal Server Error"),
    "503": sized(b'{"message":"x"}', "503 Service Unavailable"),
    "301": message("301 Moved", b"", b"Location: /containers/other/json", b"Content-Length: 0"),
    "204": message("204 No Content", b""),
    "304": message("304 Not Modified", b""),
    "206": sized(OWN, "206 Partial Content"),
    "101": message("101 Switching Protocols", b"", b"Upgrade: tcp", b"Connection: Upgrade"),
    "100": message("100 Continue", b"") + sized(OWN),
    "103": message("103 Early Hints", b"") * 3 + sized(OWN),
    "no length": message("200 OK", OWN),
    "two lengths": message("200 OK", OWN, b"Content-Length: %d" % len(OWN), b"Content-Length: 5"),
    "length and chunks": message("200 OK", b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "HTTP/1.0": sized(OWN).replace(b"1.1", b"1.0", 1)[: -len(OWN)].replace(b"Content-Length", b"X") + OWN,
    "empty": sized(b""),
    "not JSON": sized(b"Config: Labels"),
    "trailing": sized(OWN + b" x"),
    "two documents": sized(OWN + OWN),
    "list": sized(b"[" + OWN + b"]"),
    "null": sized(b"null"),
    "labels twice": sized(OWN.replace(b'"Labels"', b'"Labels": {"team": "ops"}, "Labels"')),
    "label twice": sized(OWN.replace(b'"team"', b'"team": "ops", "team"')),
    "no id": sized(OWN.replace(b'"Id"', b'"ID2"')),
    "number for an id": sized(OWN.replace(f'"{ID}"'.encode(), b"7")),
    "id of a path": sized(OWN.replace(ID.encode(), b"../../info")),
    "id of a query": sized(OWN.replace(ID.encode(), b"x?y=z")),
    "id of two lines": sized(OWN.replace(ID.encode(), b"x HTTP/1.1\\r\\nX: y")),
    "id of dots": sized(OWN.replace(ID.encode(), b"..")),
    "empty id": sized(OWN.replace(ID.encode(), b"")),
    "long id": sized(OWN.replace(ID.encode(), b"a" * 300)),
    "deep": sized(OWN[:-1] + b',"x":' + b"[" * 100 + b"]" * 100 + b"}"),
    "bad chunk": message("200 OK", b"zz\r\n", b"Transfer-Encoding: chunked"),
    "bad UTF-8": sized(OWN.replace(b"Config", b"Con\xffig")),
    "above 1 MiB": sized(OWN[:-1] + b',"x":"' + b"a" * 1024 * 1024 + b'"}'),
    "chunks above 1 MiB": message("200 OK", chunk(b"a" * 1024 * 600) * 2, b"Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
def test_no_answer_is_a_502(scoped, own_engine, answer):
    """What the Engine did not say is not guessed; the request is not forwarded."""
    proxy = scoped()
    with proxy.connect() as client:
        client.get("/containers/web/logs")
        conn = question(own_engine).conn
        conn.send_through(answer)
        conn.finish_sending()
        refusal = client.response()
        assert refusal.status == 502, refusal
        conn.expect_gone()
    with proxy.connect() as client:
        served(client, own_engine)
    assert b"/logs" not in own_engine.received()


FOREIGN = {
    "404": sized(b'{"message":"no"}', "404 Not Found"),
    "another value": sized(container("ops")),
    "labels null": sized(OWN.replace(b'{"team": "ci"}', b"null")),
    "labels a list": sized(OWN.replace(b'{"team": "ci"}', b'["team=ci"]')),
    "labels a text": sized(OWN.replace(b'{"team": "ci"}', b'"team=ci"')),
    "no labels": sized(OWN.replace(b"Labels", b"NoLabels")),
    "number": sized(OWN.replace(b'"ci"', b"1")),
    "another name": sized(OWN.replace(b"team", b"Team")),
    "labels elsewhere": sized(json.dumps({"Id": ID, "Labels": {"team": "ci"}, "Config": {}}).encode()),
}


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
def test_what_has_no_label_is_not_there(scoped, own_engine, answer):
    with scoped().connect() as client:
        client.get("/containers/web/logs")
        question(own_engine).conn.send(answer)
        refusal = client.response()
        assert refusal.status == 404
        assert refusal.message() == "No such container: web"


@pytest.mark.parametrize("split", ["length", "chunks"])
def test_the_answer_may_come_byte_by_byte(scoped, own_engine, split):
    with scoped().connect() as client:
        client.get("/containers/web/json")
        conn = question(own_engine).conn
        chunks = b"".join(chunk(bytes([byte])) for byte in OWN) + chunk(b"")
        answer = sized(OWN) if split == "length" else message("200 OK", chunks, b"Transfer-Encoding: chunked")
        answer_by(conn, *(bytes([byte]) for byte in answer))
        request = own_engine.request()
        assert request.line == f"GET /containers/{ID}/json HTTP/1.1"
        request.respond(200, b"{}")
        assert client.response().status == 200


def test_a_second_answer_is_not_the_response(scoped, own_engine):
    """An Engine that says more than it was asked loses its connection; the request goes to another."""
    with scoped().connect() as client:
        client.get("/containers/web/json")
        conn = question(own_engine).conn
        conn.send(sized(OWN) + sized(b"smuggled"))
        request = own_engine.request()
        assert request.conn is not conn
        request.respond(200, b"right")
        assert client.response().body == b"right"


def test_an_answer_before_the_question_counts_for_nothing(scoped, own_engine):
    with scoped().connect() as client:
        served(client, own_engine)
        client.get("/containers/web/json")
        question(own_engine).respond(200, OWN)
        request = own_engine.request()
        request.conn.send(sized(b"first") + sized(OWN))  # the second lies there for the next question
        assert client.response().body == b"first"
        client.get("/containers/other/json")
        asked = question(own_engine, "other")
        assert asked.conn is not request.conn
        asked.respond(404, b"{}")
        assert client.response().status == 404


def test_requests_behind_a_looked_up_one_keep_their_order(scoped, own_engine):
    with scoped().connect() as client:
        client.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in (
            "/containers/a/json", "/_ping", "/containers/b/json", "/version")))
        for name in ("a", None, "b", None):
            if name:
                question(own_engine, name).respond(200, container())
            request = own_engine.request()
            request.respond(200, request.line.encode())
            assert client.response().body == request.line.encode()


@pytest.mark.parametrize("framing", ["length", "chunks", "expect"])
def test_a_body_that_is_on_its_way_arrives(scoped, own_engine, framing):
    """PUT archive is not read for the look-up: it streams behind it."""
    body = bytes(range(256)) * 4096
    fields = {"length": f"Content-Length: {len(body)}", "chunks": "Transfer-Encoding: chunked",
              "expect": f"Content-Length: {len(body)}\r\nExpect: 100-continue"}[framing]
    with scoped().connect() as client:
        client.send(f"PUT /containers/web/archive?path=/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n".encode())
        if framing != "expect":
            client.send(b"2\r\nab\r\n" if framing == "chunks" else body[:100])
        question(own_engine).respond(200, container())
        request = own_engine.head()
        assert request.line == f"PUT /containers/{ID}/archive?path=/ HTTP/1.1"
        if framing == "expect":
            request.conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            client.read_until(b"100 Continue\r\n\r\n")
            client.send(body)
            assert request.conn.read(len(body)) == body
        elif framing == "length":
            client.send(body[100:])
            assert request.conn.read(len(body)) == body
        else:
            client.send(b"0\r\n\r\n")
            assert request.conn.read_body(request) == b"ab"
        request.respond(200)
        assert client.response().status == 200


def test_early_bytes_of_an_attach_reach_the_container(scoped, own_engine):
    with scoped().connect() as client:
        client.send(b"POST /containers/web/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n"
                    b"Connection: Upgrade\r\n\r\nearly")
        question(own_engine).respond(200, container())
        request = own_engine.head()
        assert request.line.startswith(f"POST /containers/{ID}/attach")
        request.conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        client.read_until(b"\r\n\r\n")
        client.send(b"-late")
        request.conn.expect(b"early-late")
        request.conn.close()


@pytest.mark.parametrize("leave", ["close", "reset", "half"])
def test_a_client_that_leaves_during_the_look_up(scoped, own_engine, leave):
    proxy = scoped()
    with proxy.connect() as client:
        client.get("/containers/web/logs")
        conn = question(own_engine).conn
        if leave == "half":
            client.finish_sending()
            answer_by(conn, sized(OWN))
            own_engine.request().respond(200, b"still")
            assert client.response().body == b"still"
            return
        client.close() if leave == "close" else client.reset()
        conn.close()
    with proxy.connect() as client:
        client.get("/_ping")
        request = own_engine.request()
        assert request.line == "GET /_ping HTTP/1.1"
        request.respond(200, b"OK")
        assert client.response().status == 200


def test_sigterm_during_a_look_up(scoped, own_engine):
    proxy = scoped()
    with proxy.connect() as client:
        client.get("/containers/web/json")
        asked = question(own_engine)
        os.kill(proxy.pid, signal.SIGTERM)
        asked.respond(200, container())
        response = client.response()
        if response.status == 200:
            pytest.fail("forwarded after the signal without an Engine's response")
        assert response.status == 503
    proxy.wait_exit()


def test_a_hundred_looked_up_requests_leave_nothing(scoped, own_engine):
    proxy = scoped("--workers", "1")

    def rounds(count: int) -> None:
        with proxy.connect() as client:
            for _ in range(count):
                served(client, own_engine)

    rounds(20)
    files, memory = proxy.open_files(), proxy.resident_kib()
    rounds(100)
    eventually(lambda: proxy.open_files() <= files, "descriptors stay open")
    assert sanitized() or proxy.resident_kib() <= memory + 2048  # a sanitizer keeps what was freed


def test_a_question_has_the_key_of_the_engine(scoped, own_engine: Engine) -> None:
    """What stands in front of the Engine wants the key of every request."""
    with scoped(env={"API_KEY": "secret"}).connect() as client:
        client.get("/containers/web/json")
        asked = question(own_engine)
        assert asked.header("x-api-key") == "secret"
        asked.respond(200, container())
        request = own_engine.request()
        assert request.header("x-api-key") == "secret"
        request.respond(200, b"{}")
        assert client.response().status == 200


def test_a_denial_by_the_scope_names_its_line(scoped, own_engine: Engine) -> None:
    """Not that of a block that looks into the same body."""
    proxy = scoped()
    body = b'{"Image":"a","Labels":{"team":"ops"}}'
    with proxy.connect() as client:
        client.send(b"POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        response = client.response()
        assert response.status == 403
        assert re.search(r"\.yaml:\d+, 'scope'\): /Labels/team: ", response.message()), response.message()


# Answers that have lists of several kinds


def described(name: str, team: str, **more: object) -> dict:
    return {"Name": name, "Labels": {"team": team}} | more


DISK = {
    "LayersSize": 7,
    "Images": [{"Id": "i", "RepoTags": ["a:1"], "Labels": {"team": "ops"}}],
    "Containers": [described("a", "ci"), described("secret", "ops"), described("b", "ci", Mounts=[{"Source": "/m"}])],
    "Volumes": [described("secret", "ops")],
    "BuildCache": [{"ID": "secret", "Description": "RUN secret"}],
    "BuilderSize": 3,
}
NARROWED = DISK | {
    "Containers": [described("a", "ci"), described("b", "ci", Mounts=[{"Source": "/m"}])],
    "Volumes": [],
    "BuildCache": [],
}


def disk(conn: EngineConn, pieces: list[bytes], *fields: bytes) -> None:
    head = message("200 OK", b"", b"Content-Type: application/json", *fields)
    answer_by(conn, head, *pieces)


@pytest.mark.parametrize("size", [1, 7, 64 * 1024])
def test_an_answer_shows_only_objects_of_the_scope(scoped: Callable[..., Proxy], own_engine: Engine, size: int) -> None:
    raw = json.dumps(DISK).encode()
    pieces = [raw[i : i + size] for i in range(0, len(raw), size)]
    with scoped().connect() as client:
        for version in ("", "/v1.43"):
            client.get(version + "/system/df")
            disk(own_engine.request().conn, [chunk(p) for p in pieces] + [chunk(b"")], b"Transfer-Encoding: chunked")
            assert json.loads(client.response().body) == NARROWED
        client.get("/system/df?type=container")
        disk(own_engine.request().conn, pieces, b"Content-Length: %d" % len(raw))
        assert json.loads(client.response().body) == NARROWED
    with scoped().connect() as client:
        client.get("/system/df", version="1.0")
        disk(own_engine.request().conn, pieces, b"Content-Length: %d" % len(raw))
        assert json.loads(client.read_to_end().partition(b"\r\n\r\n")[2]) == NARROWED


def test_a_long_answer_is_narrowed_on_its_way(scoped: Callable[..., Proxy], own_engine: Engine) -> None:
    """More than any buffer holds, with objects as large as they may be, and with one that is larger."""
    large = [described(str(n), "ci", Command="x" * 60000) for n in range(40)]
    listed = [each for n, own in enumerate(large) for each in (own, described("secret", "ops", Command="y" * n * 999))]
    listed.append(described("huge", "ci", Command="z" * 70000))
    with scoped().connect() as client:
        client.get("/system/df")
        raw = json.dumps({"Containers": listed}).encode()
        own_engine.request().respond(200, raw, headers=["Content-Type: application/json"])
        assert json.loads(client.response().body) == {"Containers": large}


def test_an_answer_is_narrowed_and_redacted(start: Start, own_engine: Engine, tmp_path: Path) -> None:
    with started(start, tmp_path, FILE + "    redact: [mounts]\n").connect() as client:
        client.get("/system/df")
        own_engine.request().respond(200, json.dumps(DISK).encode(), headers=["Content-Type: application/json"])
        shown = json.loads(client.response().body)
        assert shown == NARROWED | {
            "Containers": [described("a", "ci"), described("b", "ci", Mounts=[{"Source": "redacted"}])]
        }


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Type: text/plain"], b'{"Containers":[{"Name":"secret"}]}'),
        (["Content-Type: application/json"], b'{"Containers":[{"Name":"secret"'),
        (["Content-Type: application/json"], b'{"Containers":["secret'),
        (["Content-Type: application/json", "Content-Encoding: gzip"], b'{"Containers":[]}'),
    ],
)
def test_an_answer_that_cannot_be_narrowed_is_not_sent(
    scoped: Callable[..., Proxy], own_engine: Engine, headers: list[str], body: bytes
) -> None:
    with scoped().connect() as client:
        client.get("/system/df")
        own_engine.request().respond(200, body, headers=headers)
        response = client.response()
        assert response.status == 502
        assert "narrows" in response.message()
        assert b"secret" not in response.body


def test_an_error_is_not_narrowed(scoped: Callable[..., Proxy], own_engine: Engine) -> None:
    with scoped().connect() as client:
        client.get("/system/df")
        own_engine.request().respond(500, b'{"message":"[1]"}', headers=["Content-Type: application/json"])
        assert client.response().message() == "[1]"


def test_explain_says_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(FILE.format(port=1))
    shown = run_binary("explain", "-c", str(path), "GET /system/df").stdout
    assert "\nnarrows: the response shows images, and only those other objects that have team=ci\n" in shown
    assert "narrows" not in run_binary("explain", "-c", str(path), "GET /containers/json").stdout


# Networks of services, which have names in the policy and ids in the body

SERVICE = FILE.replace("    scope: {{labels: {{team: ci}}}}\n", "    create: {{networks: [shop, 'front-*']}}\n")


@pytest.mark.parametrize(
    ("target", "known", "status"),
    [
        ("0123abcd", {"Id": ID, "Name": "shop"}, 201),
        ("0123abcd", {"Id": ID, "Name": "front-1"}, 201),
        ("backend", {"Id": ID, "Name": "shop"}, 201),  # a beginning of an id has such bytes
        ("0123abcd", {"Id": ID, "Name": "bank"}, 403),
        ("0123abcd", {"Id": ID, "Name": "host"}, 403),
        ("0123abcd", {"Id": ID}, 403),
        ("0123abcd", {"Id": ID, "Name": ["shop"]}, 403),
        ("0123abcd", None, 403),
        ("shop", {"Id": ID, "Name": "shop"}, 201),
        ("shop", {"Id": ID, "Name": "bank"}, 403),  # no network has the name, and an id begins so
        ("shop", None, 404),
        ("0123abcd", {"Id": "../x", "Name": "shop"}, 502),
    ],
)
def test_a_network_of_a_service_is_known_by_its_name(
    start: Start, own_engine: Engine, tmp_path: Path, target: str, known: dict | None, status: int
) -> None:
    task = {"ContainerSpec": {"Image": "busybox"}, "Networks": [{"Target": target}]}
    body = json.dumps({"Name": "web", "TaskTemplate": task}).encode()
    with started(start, tmp_path, SERVICE).connect() as client:
        client.post("/services/create", body, ["Content-Type: application/json"])
        asked = own_engine.request()
        assert asked.line == f"GET /networks/{target} HTTP/1.1"
        asked.respond(404 if known is None else 200, json.dumps(known or {"message": "no"}).encode())
        if status == 201:
            request = own_engine.request()
            sent = json.loads(request.body)
            assert sent["TaskTemplate"]["Networks"] == [{"Target": ID}]
            request.respond(201, b'{"ID":"s"}')
        assert client.response().status == status


def test_a_network_that_cannot_be_an_id_is_not_asked_for(start: Start, own_engine: Engine, tmp_path: Path) -> None:
    task = {"ContainerSpec": {"Image": "busybox"}, "Networks": [{"Target": "front-1"}, {"Target": "front-2"}]}
    body = json.dumps({"Name": "web", "TaskTemplate": task}).encode()
    with started(start, tmp_path, SERVICE).connect() as client:
        client.post("/services/create", body, ["Content-Type: application/json"])
        request = own_engine.request()
        assert json.loads(request.body)["TaskTemplate"] == task
        request.respond(201, b'{"ID":"s"}')
        assert client.response().status == 201
    task["Networks"] = [{"Target": "0123abcd"}]
    given = json.dumps({"Name": "web", "TaskTemplate": task})
    path = str(tmp_path / "a.yaml")
    shown = run_binary("explain", "-c", path, "--body", "-", "POST /services/create", given=given).stdout
    assert "\nblock: only if it allows the name that network '0123abcd' has\n" in shown


@pytest.mark.parametrize("denied", [False, True])
def test_observe_changes_nothing(start: Start, own_engine: Engine, tmp_path: Path, denied: bool) -> None:
    """What would be stamped, pinned, redirected or put in the place of a name is sent as it came."""
    policy = FILE.replace("  ci:\n", "  ci:\n    mode: observe\n")
    policy += "    create: {{socket: 'unix:///run/own.sock', namespaces: ['pid=container:*']}}\n"
    binds = ["/var/run/docker.sock:/s"]
    host = {"PidMode": "container:web", "Binds": binds, "NetworkMode": "own", "Privileged": denied}
    body = json.dumps({"Image": "busybox", "HostConfig": host, "Labels": {"a": "b"}}, indent=1).encode()
    with started(start, tmp_path, policy).connect() as client:
        client.post("/containers/create?name=a", body, ["Content-Type: application/json"])
        asked = 0
        while (request := own_engine.request()).line.startswith("GET "):
            request.respond(200, container(Labels={"team": "ci"}))
            asked += 1
        assert asked == (0 if denied else 2)
        assert request.line == "POST /containers/create?name=a HTTP/1.1"
        assert request.body == body
        request.respond(201, b'{"Id":"1"}')
        assert client.response().status == 201
        client.post("/containers/web/stop")
        question(own_engine).respond(200, container())
        request = own_engine.request()
        assert request.line == "POST /containers/web/stop HTTP/1.1"
        request.respond(204)
        assert client.response().status == 204
