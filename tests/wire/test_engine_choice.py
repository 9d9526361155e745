"""Which of several Engines a request reaches: by its path, by the name in TLS, by the listener; and who
may use it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine import free_port
from secure import Authority, connect, context
from wire import Client, Engine, Proxy, Request, nothing_reached, run_binary

Start = Callable[..., Proxy]
KEY = "correct-horse-battery-staple"
HASH = hashlib.sha256(KEY.encode()).hexdigest()
WITH_KEY = (f"x-api-key: {KEY}",)
ALL = "policies: {all: {extends: [open], engines: '*'}}\n"


@pytest.fixture
def nodes(folder: str) -> Iterator[dict[str, Engine]]:
    """Two more Engines, a and b."""
    made = {name: Engine(f"{folder}/node-{name}.sock", api_key=None) for name in "ab"}
    with made["a"], made["b"]:
        yield made


@pytest.fixture
def file(tmp_path: Path, nodes: dict[str, Engine]) -> Callable[[str], Path]:
    """file(text) → a configuration with `text` and both nodes."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        os.chmod(folder, 0o755)
    path = tmp_path / "proxy.yaml"

    def write(text: str, engines: str = "ab") -> Path:
        rows = "".join(
            f"  {name}: {{address: 'unix://{nodes[name].path}', sni: {name}.example.org}}\n" for name in engines
        )
        path.write_text(f"engines:\n{rows}{text}")
        return path

    return write


def next_request(engine: Engine) -> Request:
    """Of a client: the proxy asks each Engine now and then whether it is there."""
    request = engine.request()
    while request.target == "/_ping":
        request.respond(200, b"OK")
        request = engine.request()
    return request


def reaches(client: Client, engine: Engine, target: str, path: str, headers: tuple[str, ...] = ()) -> None:
    client.get(target, headers=headers)
    request = next_request(engine)
    assert request.target == path, request
    request.respond(200, b"{}")
    assert client.response().status == 200


def is_refused(client: Client, target: str, status: int = 403, headers: tuple[str, ...] = ()) -> str:
    client.get(target, headers=headers)
    response = client.response()
    assert response.status == status, response
    return response.message()


def test_requests_of_one_connection_reach_the_engine_that_each_names(
    start: Start, own_engine: Engine, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: all}}]\n{ALL}")
    with start("-c", str(path), port=port).connect() as client:
        for _ in range(3):
            reaches(client, nodes["a"], "/engines/a/v1.41/info", "/v1.41/info")
            reaches(client, own_engine, "/v1.41/info", "/v1.41/info")
            reaches(client, nodes["b"], "/engines/b/info?x=/engines/a", "/info?x=/engines/a")
            reaches(client, own_engine, "/engines/default/info", "/info")


def test_a_tunnel_goes_to_the_named_engine(
    start: Start, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: all}}]\n{ALL}")
    with start("-c", str(path), port=port).connect() as client:
        upgrade = ["Connection: Upgrade", "Upgrade: tcp"]
        client.post("/engines/b/v1.41/containers/c/attach?stream=1", headers=upgrade)
        head = next_request(nodes["b"])
        assert head.target == "/v1.41/containers/c/attach?stream=1"
        head.conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        assert client.read_response_head().status == 101
        client.send(b"in")
        head.conn.expect(b"in")
        head.conn.send(b"out")
        client.expect(b"out")
        head.conn.close()


def test_spellings_that_could_name_an_engine_reach_none(
    start: Start, own_engine: Engine, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: all}}]\n{ALL}")
    proxy = start("-c", str(path), port=port)
    for target in [
        "/engines//info",
        "/engines/%61/info",
        "/%65ngines/a/info",
        "//engines/a/info",
        "/engines/a//info",
        "/engines/a/../b/info",
        "/engines/../info",
        "/engines%2fa/info",
        "/engines/a%2finfo",
        "/engines/" + "x" * 65 + "/info",
        "/engines/a/" + "x" * 8192,
    ]:
        with proxy.connect() as client:
            is_refused(client, target, 400)
    nothing_reached(own_engine, *nodes.values())


def test_an_engine_opens_nothing_to_a_client_that_names_none(
    start: Start, own_engine: Engine, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
        f"clients: [{{name: ci, match: {{key_sha256: {HASH}}}, engines: a, policy: open}}]\n"
    )
    proxy = start("-c", str(path), port=port)
    with proxy.connect() as client:
        reaches(client, own_engine, "/info", "/info")
        there = is_refused(client, "/engines/a/info")
        nowhere = is_refused(client, "/engines/nowhere/info")
        assert there == nowhere, "whoever may not use an Engine is not told that it is there"
        reaches(client, nodes["a"], "/engines/a/info", "/info", WITH_KEY)
        assert is_refused(client, "/engines/b/info", headers=WITH_KEY) == there
    proxy.wait_log(lambda line: "there is no Engine 'nowhere'" in line)
    proxy.wait_log(lambda line: "policy 'open' has no 'engines', and the Engine 'a'" in line)
    denied = proxy.wait_log(lambda line: "'engines' of client 'ci' does not have the Engine 'b'" in line)
    assert f"add b to 'engines' of client 'ci' ({path}:5)" in denied
    assert "identity=ci engine=b" in denied, "the gate knows whose request it was"
    nothing_reached(nodes["b"])


def test_a_right_key_of_other_engines_slows_nobody_down(
    start: Start, own_engine: Engine, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: read-only}}]\n"
        f"clients: [{{name: ci, match: {{key_sha256: {HASH}}}, engines: a, policy: open}}]\n"
    )
    with start("-c", str(path), port=port).connect() as client:
        for _ in range(30):
            is_refused(client, "/engines/b/info", headers=WITH_KEY)
        reaches(client, nodes["a"], "/engines/a/info", "/info", WITH_KEY)


def test_wrong_keys_are_slowed_down_whatever_engine_they_name(
    start: Start, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: read-only}}]\n"
        f"clients: [{{name: ci, match: {{key_sha256: {HASH}}}, engines: a, policy: open}}]\n"
    )
    with start("-c", str(path), port=port).connect() as client:
        statuses = set()
        for number in range(40):
            client.get(f"/engines/{'ab'[number % 2]}/info", headers=[f"x-api-key: guess-{number}"])
            statuses.add(client.response().status)
        assert statuses == {401, 429}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_in_tls_means_an_engine_also_when_a_session_is_resumed(
    start: Start,
    own_engine: Engine,
    nodes: dict[str, Engine],
    file: Callable[[str], Path],
    tmp_path: Path,
    version: ssl.TLSVersion,
) -> None:
    port = free_port()
    server = Authority(tmp_path).server()
    path = file(
        f"listeners: [{{address: 'tls://127.0.0.1:{port}', policy: all, "
        f"tls: {{cert: {server.path}, key: {server.key}}}}}]\n{ALL}"
    )
    proxy = start("-c", str(path), port=port)
    settings = context(version=version)
    session = None
    for resumed in [False, True]:
        with connect(proxy, settings, session, name="B.Example.ORG") as client:
            reaches(client, nodes["b"], "/info", "/info")
            reaches(client, nodes["a"], "/engines/a/info", "/info")
            assert client.sock.tls.session_reused == resumed
            session = client.sock.tls.session
    with connect(proxy, context(version=version), name="other.example.org") as client:
        reaches(client, own_engine, "/info", "/info")


def test_without_a_default_engine_a_request_must_name_one(
    start: Start, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: all}}]\n{ALL}")
    proxy = start("-c", str(path), port=port, env={"SOCKET_PATH": ""})
    with proxy.connect() as client:
        assert "/engines/NAME" in is_refused(client, "/info")
        client.post("/session")
        assert "DOCKER_BUILDKIT=0" in client.response().message()
        is_refused(client, "/engines/default/info")
        reaches(client, nodes["a"], "/engines/a/info", "/info")
        client.get("/health")
        assert client.response().status == 200
        nodes["b"].stop()
        client.get("/engines/b/health")
        assert client.response().status == 503
        client.get("/health")
        assert client.response().status == 200


def test_a_reload_that_takes_an_engine_away_ends_its_streams_alone(
    start: Start, own_engine: Engine, nodes: dict[str, Engine], file: Callable[..., Path]
) -> None:
    port = free_port()
    text = f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: all}}]\n{ALL}"
    proxy = start("-c", str(file(text)), port=port)
    with proxy.connect() as kept, proxy.connect() as ended, proxy.connect() as client:
        for name, stream in (("a", kept), ("b", ended)):
            stream.get(f"/engines/{name}/v1.41/events")
            head = next_request(nodes[name])
            head.conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
            assert stream.read_response_head().status == 200
            assert stream.read_until(b"{}\r\n")
            nodes[name].stream = head.conn
        reaches(client, nodes["b"], "/engines/b/info", "/info")
        file(text, engines="a")
        os.kill(proxy.pid, signal.SIGHUP)
        ended.expect_gone()
        is_refused(client, "/engines/b/info")
        reaches(client, nodes["a"], "/engines/a/info", "/info")
        nodes["a"].stream.send(b"2\r\n[]\r\n")
        kept.expect(b"2\r\n[]\r\n")
        nodes["a"].stream.close()
        nodes["b"].stream.close()


def test_a_listener_means_its_engine_and_a_reload_changes_it(
    start: Start, nodes: dict[str, Engine], file: Callable[..., Path]
) -> None:
    port = free_port()

    def text(engine: str) -> str:
        return f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open, engine: {engine}}}]\n"

    proxy = start("-c", str(file(text("a"))), port=port)
    with proxy.connect() as client:
        reaches(client, nodes["a"], "/info", "/info")
        is_refused(client, "/engines/b/info")
        file(text("b"))
        os.kill(proxy.pid, signal.SIGHUP)
        proxy.wait_log(lambda line: " notice reloaded " in line)
        reaches(client, nodes["b"], "/info", "/info")
        is_refused(client, "/engines/a/info")


def test_engines_are_listed_for_those_who_may_use_them(
    start: Start, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: read-only}}]\n"
        f"clients: [{{name: ci, match: {{key_sha256: {HASH}}}, engines: [a, b], policy: open}}]\n"
    )
    with start("-c", str(path), port=port).connect() as client:
        client.get("/engines")
        names = [engine["name"] for engine in json.loads(client.response().body)["engines"]]
        assert names == ["default"]
        client.get("/engines", headers=WITH_KEY)
        names = [engine["name"] for engine in json.loads(client.response().body)["engines"]]
        assert names == ["a", "b"]
        is_refused(client, "/engines", 401, headers=("x-api-key: guess",))


def test_the_list_of_engines_with_an_audit_record(
    start: Start, file: Callable[[str], Path], tmp_path: Path
) -> None:
    port = free_port()
    tmp_path.chmod(0o777)
    path = file(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: deny}}]\n"
        f"clients: [{{name: ci, match: {{key_sha256: {HASH}}}, engines: [a], policy: open}}]\n"
        f"audit: {{path: '{tmp_path}/audit.json'}}\n"
    )
    proxy = start("-c", str(path), port=port)
    with proxy.connect() as client:
        for headers, status in [(WITH_KEY, 200), (("x-api-key: nope",), 401)]:
            client.get("/engines", headers=headers)
            assert client.response().status == status
    proxy.stop()
    assert len((tmp_path / "audit.json").read_text().splitlines()) >= 2


def names(client: Client, headers: tuple[str, ...] = ()) -> list[str]:
    client.get("/engines", headers=headers)
    response = client.response()
    assert response.status == 200, response
    return [row["name"] for row in json.loads(response.body)["engines"]]


def test_a_wrong_key_is_no_list_of_engines_and_counts(start: Start, file: Callable[[str], Path]) -> None:
    port = free_port()
    path = file(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: deny}}]\n"
        "clients:\n"
        "  - {name: lan, match: {cidr: 127.0.0.0/8}, engines: [a], policy: open}\n"
        f"  - {{name: adm, match: {{key_sha256: {HASH}}}, engines: [b], policy: open}}\n"
    )
    proxy = start("-c", str(path), port=port)
    with proxy.connect() as client:
        assert names(client) == ["a"]
        assert names(client, WITH_KEY) == ["a", "b"]
    statuses = []
    for i in range(40):
        with proxy.connect() as client:
            client.get("/engines", headers=(f"x-api-key: wrong-{i}",))
            statuses.append(client.response().status)
    assert set(statuses) == {401, 429}


def test_a_client_for_other_engines_is_no_stranger(
    start: Start, own_engine: Engine, nodes: dict[str, Engine], file: Callable[[str], Path]
) -> None:
    port = free_port()
    path = file(
        "upstream: 'unix://" + own_engine.path + "'\n"
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
        "clients: [{name: lan, match: {cidr: 127.0.0.0/8}, engines: [b], policy: open}]\n"
    )
    with start("-c", str(path), port=port).connect() as client:
        reaches(client, nodes["b"], "/engines/b/info", "/info")
        is_refused(client, "/info")
        assert names(client) == ["b"]


@pytest.mark.parametrize("engines", ["{web: {members: [default, x]}, x: 'unix:///x.sock'}", "{y: 'unix:///e.sock'}"])
@pytest.mark.parametrize("setting", ["host_root: /", "API_KEY"])
def test_a_second_name_of_the_default_engine_is_a_fault(tmp_path: Path, engines: str, setting: str) -> None:
    file = tmp_path / "proxy.yaml"
    text = f"upstream: unix:///e.sock\nengines: {engines}\n"
    file.write_text(text + (setting if setting != "API_KEY" else ""))
    env = {"API_KEY": "secret"} if setting == "API_KEY" else {}
    result = run_binary("check", "-c", str(file), **env)
    assert result.returncode == 2
    assert f"{setting.split(':')[0]} is for requests to the Engine 'default' itself" in result.stderr
