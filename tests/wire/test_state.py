"""/api/state: what the program says that it does, against what was done."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
import signal
import time
import urllib.parse
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin
from wire import Client, Engine, Proxy, Request, chunk, eventually

FILE = """\
listeners:
- {{address: 'tcp://127.0.0.1:{port}', name: main, policy: mine}}
policies:
  mine: {{rules: [{{allow: [system.*, container.logs, container.list, image.load]}}], create: {{images: [busybox]}}}}
  maker: {{rules: [{{allow: [container.create]}}], create: {{images: [busybox]}}}}
  watcher: {{mode: observe, rules: [{{allow: [system.ping]}}]}}
clients:
- {{name: ops, match: {{key_sha256: {ops}}}, policy: watcher, limits: {{requests: 1}}}}
- {{name: ci, match: {{key_sha256: {ci}}}, policy: maker}}
admin: {{address: 'unix://{folder}/admin.sock'}}
{more}"""
STREAMS = int(os.environ.get("DSP_STREAMS", "1200"))
OPS, CI = "the key of ops with letters", "the key of ci with letters"


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Served:
    def __init__(self, proxy: Proxy, admin: Admin, file: Path):
        self.proxy, self.admin, self.file = proxy, admin, file

    def state(self) -> dict:
        return self.admin.state()

    def client(self, name: str, policy: str | None = None) -> dict:
        rows = [row for row in self.state()["clients"] if row["name"] == name and policy in (None, row["policy"])]
        assert len(rows) == 1, rows
        return rows[0]

    def wait(self, reached, what: str) -> dict:
        """The first state of which it is true: what ends is counted a moment after its client saw it."""
        def look() -> dict | None:
            state = self.state()
            return state if reached(state) else None

        return eventually(look, what)


def write(file: Path, port: int, folder: Path, more: str = "") -> None:
    file.write_text(FILE.format(port=port, folder=folder, ops=hash_of(OPS), ci=hash_of(CI), more=more))


@pytest.fixture
def serve(start, own_engine: Engine, tmp_path: Path):
    """Starts a proxy with a file that it can read again."""
    own_engine.release = "20.10.24"
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o055)
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)

    def begin(workers: int = 2, more: str = "", **options) -> Served:
        port = free_port()
        file = place / "proxy.yaml"
        write(file, port, place, more)
        proxy = start("-c", str(file), "--workers", str(workers), port=port, **options)
        return Served(proxy, Admin(str(place / "admin.sock")), file)

    return begin


@pytest.fixture
def served(serve) -> Served:
    return serve()


def ask(proxy: Proxy, engine: Engine, target: str, *headers: str) -> int:
    with proxy.connect() as client:
        client.get(target, headers=headers)
        engine.request().respond(body=b"OK")
        return client.response().status


def refuse(proxy: Proxy, method: str, target: str, *headers: str, body: bytes = b"") -> str:
    """The reason that the client is told."""
    with proxy.connect() as client:
        if method == "POST":
            client.post(target, body, headers=headers)
        else:
            client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\n".encode("latin-1") + b"".join(h.encode() + b"\r\n" for h in headers) + b"\r\n")
        response = client.response()
        assert response.status in (400, 401, 403), response
        return json.loads(response.body)["message"]


def stream(proxy: Proxy, engine: Engine, target: str, *headers: str) -> tuple[Client, Request]:
    """A stream of which four bytes have come."""
    client = proxy.connect()
    client.get(target, headers=headers)
    request = engine.request()
    request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"line"))
    client.read_until(b"line\r\n")
    return client, request


# ── The program, its file, the Engine ──────────────────────────────────────────────────────────


def test_the_program_and_its_file(served: Served) -> None:
    state = served.state()
    assert state["pid"] == served.proxy.process.pid and state["version"]
    assert state["ready"] is True and state["not_ready"] == [] and state["workers"] == {"count": 2, "silent": 0}
    configuration = state["configuration"]
    assert configuration["file"] == str(served.file)
    assert configuration["sha256"] == hashlib.sha256(served.file.read_bytes()).hexdigest()
    assert configuration["reloads"] == {"ok": 0, "failed": 0} and configuration["last_error"] is None
    assert state["started"] <= configuration["loaded"] or configuration["loaded"] <= state["started"] <= state["now"]
    (listener,) = state["listeners"]
    assert (listener["name"], listener["policy"], listener["connections"]) == ("main", "mine", 0)


def test_an_error_of_a_reload_stays_until_one_succeeds(served: Served) -> None:
    good = served.file.read_text()
    served.file.write_text(good + "nonsense: 1\n")
    assert served.admin.post("/api/reload").status == 422
    state = served.state()
    assert "nonsense" in state["configuration"]["last_error"]["text"]
    assert f"{served.file}:{len(good.splitlines()) + 1}" in state["configuration"]["last_error"]["text"]
    assert state["ready"] is False and state["not_ready"] == ["configuration"]
    assert state["configuration"]["sha256"] == hash_of(good), "the one in use"
    served.file.write_text(good + "watch: true\n")
    assert served.admin.post("/api/reload").status == 200
    configuration = served.state()["configuration"]
    assert configuration["last_error"] is None and configuration["reloads"] == {"ok": 1, "failed": 1}
    assert configuration["sha256"] == hash_of(good + "watch: true\n") and configuration["watch"] is True
    samples = served.admin.metrics()
    assert [samples.get_one("config_reloads_total", result=result) for result in ("ok", "failed")] == [1, 1]


def test_the_engine_says_which_it_is(served: Served, own_engine: Engine) -> None:
    """It is asked when an operator looks, and not again within half a minute."""
    own_engine.release = None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        looking = pool.submit(served.state)
        request = own_engine.request()
        assert (request.method, request.target) == ("GET", "/version")
        request.respond(body=b'{"Version":"28.5.2\\u001b","ApiVersion":"1.51","Components":[{"Name":"Engine"}]}')
        engine = looking.result()["engine"]
    assert (engine["version"], engine["api_version"]) == ("28.5.2\x1b", "1.51")
    assert served.state()["engine"]["version"] == engine["version"] and own_engine.received() == b""


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, b'{"message":"no"}'), (200, b"no JSON"), (200, b"[]"), (200, b'{"Version":7,"ApiVersion":null}'), (200, b"")],
)
def test_an_engine_that_does_not_say_it(served: Served, own_engine: Engine, status: int, body: bytes) -> None:
    own_engine.release = None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        looking = pool.submit(served.state)
        own_engine.request().respond(status=status, body=body)
        engine = looking.result()["engine"]
    assert engine["version"] is None and engine["api_version"] is None and engine["up"] is True


def test_an_engine_that_hangs_delays_one_answer(served: Served, own_engine: Engine) -> None:
    own_engine.release = None
    began = time.monotonic()
    assert served.state()["engine"]["version"] is None
    assert 0.5 < time.monotonic() - began < 10
    began = time.monotonic()
    assert served.state()["engine"]["version"] is None
    assert time.monotonic() - began < 0.5
    own_engine.request().respond(body=b'{"Version":"28.5.2"}')
    served.wait(lambda state: state["engine"]["version"] == "28.5.2", "the Engine's version")


def test_an_engine_that_is_gone_has_its_diagnosis(served: Served, own_engine: Engine) -> None:
    own_engine.release = None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        looking = pool.submit(served.state)
        own_engine.request().respond(body=b'{"Version":"28.5.2"}')  # GET /version, which could have the connection of the request
        looking.result()
    assert ask(served.proxy, own_engine, "/_ping") == 200
    engine = served.wait(lambda state: state["engine"]["connections"]["idle"] >= 1, "the idle connection")["engine"]
    assert engine["up"] is True and engine["error"] is None and engine["address"].endswith(own_engine.path)
    own_engine.stop()
    state = served.state()
    assert state["engine"]["up"] is False and own_engine.path in state["engine"]["error"]
    assert state["not_ready"] == ["engine"]
    with served.proxy.connect() as client:
        client.get("/_ping")
        assert client.response().status == 502
    assert served.wait(lambda state: state["engine"]["connect_failures"] == 1, "the failure")
    own_engine.start()


# ── Clients ────────────────────────────────────────────────────────────────────────────────────


def test_requests_of_each_client_by_operation(served: Served, own_engine: Engine) -> None:
    for _ in range(3):
        ask(served.proxy, own_engine, "/_ping")
    ask(served.proxy, own_engine, "/v1.41/containers/json", f"X-Api-Key: {OPS}")
    refuse(served.proxy, "POST", "/containers/x/start")
    refuse(served.proxy, "POST", "/containers/x/start", f"X-Api-Key: {CI}")
    served.wait(lambda state: sum(row["requests"]["deny"] for row in state["clients"]) == 2, "two denials")
    ops, ci, nobody = served.client("ops"), served.client("ci"), served.client("", "mine")
    assert ops["requests"] == {"allow": 0, "deny": 0, "would_deny": 1, "error": 0}
    assert ops["operations"] == [{"operation": "container.list", "allow": 0, "deny": 0, "would_deny": 1, "error": 0}]
    assert (ops["policy"], ops["mode"]) == ("watcher", "observe")
    assert ci["requests"]["deny"] == 1 and (ci["policy"], ci["mode"], ci["proposal"]) == ("maker", "enforce", None)
    assert nobody["requests"] == {"allow": 3, "deny": 1, "would_deny": 0, "error": 0}
    assert {row["operation"]: row["allow"] for row in nobody["operations"]} == {"system.ping": 3, "container.start": 0}


def test_the_proposal_is_a_policy_that_allows_what_was_done(served: Served, own_engine: Engine, tmp_path: Path) -> None:
    from wire import run_binary

    ask(served.proxy, own_engine, "/containers/json", f"X-Api-Key: {OPS}")
    ask(served.proxy, own_engine, "/_ping", f"X-Api-Key: {OPS}")
    served.wait(lambda state: state["clients"][0]["requests"]["would_deny"] == 1, "the request")
    proposal = served.client("ops")["proposal"]
    file = tmp_path / "proposal.yaml"
    file.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{free_port()}', policy: ops}}]\n{proposal}")
    for request, code in (("GET /containers/json", 0), ("GET /_ping", 0), ("GET /images/json", 1)):
        assert run_binary("explain", "-c", str(file), request).returncode == code, proposal
    assert "block" not in proposal


def test_a_proposal_says_that_it_knows_no_bodies(served: Served, own_engine: Engine) -> None:
    """Pasted over a policy with a 'create' block, it would open what that closes."""
    body = b'{"Image":"busybox"}'
    with served.proxy.connect() as client:
        client.post("/containers/create", body, headers=[f"X-Api-Key: {CI}", "Content-Type: application/json"])
        own_engine.request().respond(status=201, body=b"{}")
        assert client.response().status == 201
    served.wait(lambda state: state["clients"][1]["requests"]["allow"] == 1, "the request")
    assert "# No 'create' block: these operations may ask for anything." in served.client("ci")["proposal"]


def test_limits_that_were_hit(served: Served, own_engine: Engine) -> None:
    with served.proxy.connect() as first, served.proxy.connect() as second:
        first.get("/events", headers=[f"X-Api-Key: {OPS}"])
        request = own_engine.request()
        second.get("/_ping", headers=[f"X-Api-Key: {OPS}"])
        assert second.response().status == 429
        request.respond()
        first.response()
    served.wait(lambda state: state["clients"][0]["limits"]["requests"] == 1, "the limit")
    denial, observed = served.state()["denials"]
    assert observed["operation"] == "system.events"
    assert (denial["operation"], denial["client"], denial["policy"]) == ("limit_requests", "ops", "")
    assert "requests: 1" in denial["reason"] and denial["allow"] == {"yaml": None, "variable": None}


def test_connections_are_those_of_who_sent_the_last_request(served: Served, own_engine: Engine) -> None:
    with served.proxy.connect() as client, served.proxy.connect():
        client.get("/_ping", headers=[f"X-Api-Key: {CI}"])
        client.response()
        served.wait(
            lambda state: [row["connections"] for row in state["clients"]] == [0, 1, 1], "one of ci, one of nobody")
        assert served.state()["listeners"][0]["connections"] == 2


# ── Denials ────────────────────────────────────────────────────────────────────────────────────


def test_a_denial_says_what_the_client_was_told(served: Served) -> None:
    told = refuse(served.proxy, "POST", "/v1.41/containers/web/start")
    (denial,) = served.state()["denials"]
    assert denial["reason"].startswith(told.split(" The sender")[0][:80])
    assert (denial["operation"], denial["target"], denial["method"], denial["path"]) == (
        "container.start", "web", "POST", "/v1.41/containers/web/start")
    assert (denial["client"], denial["listener"], denial["policy"], denial["verdict"], denial["count"]) == (
        "", "main", "mine", "deny", 1)
    assert denial["peer"].startswith("127.0.0.1:")
    assert denial["allow"]["variable"] is None
    assert denial["allow"]["yaml"].splitlines()[-1] == "- allow: [container.start]"
    assert "- allow: [container.start]" in told, "one truth"


def test_a_denial_has_the_id_of_its_audit_record(serve, tmp_path: Path) -> None:
    """Of equal denials that of the newest, and of a connection that was refused none."""
    trail = tmp_path / "open" / "audit.jsonl"
    served = serve(more=f"audit: {{path: {trail}}}\nlimits: {{connections: 1}}\n")
    served.wait(lambda state: state["listeners"][0]["connections"] == 0, "that of the start to end")
    with served.proxy.connect() as client:
        for _ in range(2):
            client.post("/containers/web/start")
            assert client.response().status == 401
        with served.proxy.connect() as refused:
            assert refused.response().status == 429
    limit, denial = served.wait(lambda state: len(state["denials"]) == 2, "two denials")["denials"]
    lines = eventually(lambda: trail.exists() and len(found := trail.read_text().splitlines()) == 3 and found, "three records")
    newest = [record for record in map(json.loads, lines) if record["operation"] == "container.start"][-1]
    assert (denial["count"], denial["id"]) == (2, newest["id"])
    assert (limit["operation"], limit["id"]) == ("limit_connections", None)


def test_what_is_pasted_allows_the_request(served: Served, own_engine: Engine) -> None:
    refuse(served.proxy, "POST", "/containers/web/start")
    rule = served.state()["denials"][0]["allow"]["yaml"].splitlines()[-1].removeprefix("- ")
    text = served.file.read_text()
    served.file.write_text(text.replace("mine: {rules: [", f"mine: {{rules: [{{{rule}}}, "))
    assert served.admin.post("/api/reload").status == 200
    with served.proxy.connect() as client:
        client.post("/containers/web/start")
        own_engine.request().respond()
        assert client.response().status == 200


def test_a_body_that_a_block_refuses_has_the_key_to_set(served: Served) -> None:
    body = json.dumps({"Image": "alpine", "HostConfig": {"Privileged": True}}).encode()
    refuse(served.proxy, "POST", "/containers/create?name=web", f"X-Api-Key: {CI}", "Content-Type: application/json", body=body)
    (denial,) = served.state()["denials"]
    yaml = denial["allow"]["yaml"]
    assert yaml.splitlines()[-2:] == ["images: ['busybox:latest', alpine]", "privileged: true"]
    assert f"{served.file}:5" in yaml and all(line.startswith("# ") for line in yaml.splitlines()[:-2])
    assert denial["target"] == "web" and denial["client"] == "ci"


def test_variables_where_the_environment_decides(start, tmp_path: Path, own_engine: Engine) -> None:
    for env, method, target, variable in (
        ({"POLICY": "read-only"}, "POST", "/containers/x/start", "ALLOW=container.start"),
        ({"CONTAINERS": "1"}, "POST", "/containers/x/update", "POST=1"),
        ({"EVENTS": "1"}, "POST", "/images/create", "IMAGES=1\nPOST=1"),
    ):
        place = free_port()
        proxy = start(env=env | {"ADMIN": f"unix://{own_engine.path}.{place}"})
        refuse(proxy, method, target)
        (denial,) = Admin(f"{own_engine.path}.{place}").state()["denials"]
        assert denial["allow"]["variable"] == variable
        proxy.stop()


def test_observed_denials_are_there_too(served: Served, own_engine: Engine) -> None:
    ask(served.proxy, own_engine, "/images/json", f"X-Api-Key: {OPS}")
    (denial,) = served.state()["denials"]
    assert (denial["verdict"], denial["client"], denial["operation"]) == ("would-deny", "ops", "image.list")


def test_equal_denials_are_joined_and_the_newest_is_first(served: Served) -> None:
    for _ in range(5):
        refuse(served.proxy, "POST", "/containers/web/start")
    refuse(served.proxy, "POST", "/containers/web/stop")
    refuse(served.proxy, "POST", "/containers/other/start")
    denials = served.state()["denials"]
    assert [(denial["operation"], denial["count"]) for denial in denials] == [("container.start", 6), ("container.stop", 1)]


def test_a_wrong_key_is_a_denial_that_shows_no_key(served: Served) -> None:
    refuse(served.proxy, "GET", "/_ping", "X-Api-Key: some other key")
    response = served.admin.get("/api/state")
    (denial,) = json.loads(response.body)["denials"]
    assert denial["operation"] == "bad_key" and denial["allow"] == {"yaml": None, "variable": None}
    assert b"some other key" not in response.body


def test_one_host_does_not_push_away_what_others_were_denied(served: Served) -> None:
    """The other one is a client of its own, at another address."""
    import socket

    with Client(socket.create_connection(("127.0.0.1", served.proxy.port), 10, ("127.0.0.9", 0))) as other:
        other.post("/containers/web/start")
        assert other.response().status == 401, "a key could allow it"
    with served.proxy.connect() as client:
        for number in range(200):
            client.get(f"/nothing/{number}")
            client.response()
    denials = served.state()["denials"]
    assert len(denials) == 26
    assert denials[0]["path"] == "/nothing/199" and denials[-1]["peer"].startswith("127.0.0.9:")


def test_hostile_values_stay_values(served: Served, own_engine: Engine) -> None:
    served.admin.state()
    client, request = stream(served.proxy, own_engine, "/containers/%3Cscript%3E%22'%C3%28/logs?follow=1")
    for target in ("/containers/%3Cscript%3Ealert(1)%3C%2Fscript%3E/start", "/containers/a%22,%22b/stop",
                   "/containers/create?name=%1b[31m%00%ff", "/x%c3%28", "/images/%ff%fe/tag"):
        with contextlib.suppress(AssertionError):
            refuse(served.proxy, "POST", target)
    response = served.admin.get("/api/state")
    state = json.loads(response.body)
    assert all(byte >= 0x20 for byte in response.body.rstrip(b"\n")), "control bytes are escaped"
    assert response.body.decode("utf-8")
    assert state["streams"][0]["target"].startswith("%3Cscript%3E")
    assert len(state["denials"]) >= 3
    client.close()
    request.conn.close()


def test_what_a_terminal_would_obey_is_escaped(served: Served, own_engine: Engine) -> None:
    """C1 controls, directions of writing, what has no width; letters of all languages stay letters."""
    hostile = "\x9b31m\u202egpj\u2066\u200b\ufeff\U000e0041"
    path = "/containers/" + urllib.parse.quote("é日" + hostile)
    client, request = stream(served.proxy, own_engine, f"{path}/logs?follow=1")
    refuse(served.proxy, "POST", f"{path}/start")
    body = served.admin.get("/api/state").body.decode()
    assert [char for char in body if char in hostile and not " " <= char <= "~"] == []
    state = json.loads(body)
    assert state["denials"][0]["target"] == "é日" + hostile
    assert "é日" in body
    client.close()
    request.conn.close()


# ── Streams ────────────────────────────────────────────────────────────────────────────────────


def test_streams_of_all_workers(serve, own_engine: Engine) -> None:
    served = serve(workers=4)
    opened = [stream(served.proxy, own_engine, f"/v1.41/containers/web-{i}/logs?follow=1") for i in range(12)]
    state = served.state()
    assert state["streams_total"] == 12 and len({row["id"] for row in state["streams"]}) == 12
    assert {row["target"] for row in state["streams"]} == {f"web-{i}" for i in range(12)}
    for row in state["streams"]:
        assert (row["client"], row["listener"], row["operation"]) == ("", "main", "container.logs")
        assert row["bytes"] == {"to_engine": 0, "to_client": 4} and row["seconds"] < 60
        assert row["peer"] in {"%s:%d" % client.sock.getsockname() for client, _ in opened}
    for client, request in opened:
        client.close()
        request.conn.close()
    served.wait(lambda state: state["streams_total"] == 0 and state["streams"] == [], "the end of the streams")


def test_an_operator_ends_a_stream_of_any_worker(serve, own_engine: Engine) -> None:
    served = serve(workers=4)
    opened = [stream(served.proxy, own_engine, f"/containers/web-{i}/logs?follow=1") for i in range(8)]
    by_target = {row["target"]: row["id"] for row in served.state()["streams"]}
    for i in (0, 3, 5):
        assert served.admin.post(f"/api/streams/{by_target[f'web-{i}']}/close").status == 204
        opened[i][0].expect_end()
        served.proxy.wait_log(lambda line, i=i: "end=proxy" in line and f"web-{i}/" in line and "an operator ended the stream" in line)
    left = {row["target"] for row in served.wait(lambda state: state["streams_total"] == 5, "five")["streams"]}
    assert left == {f"web-{i}" for i in (1, 2, 4, 6, 7)}
    for client, request in opened:
        client.close()
        request.conn.close()


@pytest.mark.parametrize("id", ["0000000100000001", "0", "", "x" * 16, "%2e%2e", "0000000100000001x", "ffffffffffffffff"])
def test_a_stream_that_is_not_there(served: Served, id: str) -> None:
    response = served.admin.post(f"/api/streams/{id}/close")
    assert response.status == 404 and json.loads(response.body)["message"]


def test_more_streams_than_are_listed(serve, own_engine: Engine) -> None:
    """The answer has a ceiling, and says how many there are. DSP_STREAMS=10000 for a long run."""
    served = serve(workers=2)
    clients = []
    for _ in range(STREAMS):
        client = served.proxy.connect()
        client.get("/containers/web/logs?follow=1")
        clients.append((client, own_engine.request()))
    state = served.wait(lambda state: state["streams_total"] == STREAMS, "all streams")
    assert len(state["streams"]) == 1000
    ages = [row["seconds"] for row in state["streams"]]
    assert ages == sorted(ages, reverse=True), "the oldest first"
    for client, request in clients:
        client.close()
        request.conn.close()


# ── Who is slow ────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_does_not_answer_is_left_out(serve, own_engine: Engine) -> None:
    """A thread is stopped: the answer comes after a second, and says so."""
    served = serve(workers=2)
    opened = [stream(served.proxy, own_engine, f"/containers/web-{i}/logs?follow=1") for i in range(8)]
    tasks = sorted(int(task) for task in os.listdir(f"/proc/{served.proxy.process.pid}/task"))
    with stopped(served.proxy.process.pid, tasks[-1]):  # workers start last
        began = time.monotonic()
        state = served.state()
        assert state["workers"] == {"count": 2, "silent": 1} and 0.5 < time.monotonic() - began < 10
        assert 0 < len(state["streams"]) < 8 and state["streams_total"] == 8
        missing = served.admin.post("/api/streams/00000001ffffffff/close")
        assert missing.status == 503 and "does not answer" in json.loads(missing.body)["message"]
    state = served.wait(lambda state: state["workers"]["silent"] == 0, "the worker")
    assert len(state["streams"]) == 8
    for client, request in opened:
        client.close()
        request.conn.close()


@contextlib.contextmanager
def stopped(pid: int, task: int):
    """One thread of a process does not run, as long as a debugger holds it."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt, detach = 0x4206, 0x4207, 17
    if libc.ptrace(seize, task, None, None) != 0:
        pytest.skip("this machine lets nobody trace")
    assert libc.ptrace(interrupt, task, None, None) == 0
    os.waitpid(task, 0x40000000)  # __WALL
    try:
        yield
    finally:
        if libc.ptrace(detach, task, None, None) != 0:  # it is gone, and its process is not before its tracer knows
            os.waitpid(task, 0x40000000)


def test_an_operator_who_does_not_read_holds_nobody_up(served: Served, own_engine: Engine) -> None:
    with served.proxy.connect() as client:
        for number in range(30):
            client.get(f"/nothing/{number}")
            client.response()
    lazy = [served.admin.connect() for _ in range(20)]
    for client in lazy:
        client.sock.setsockopt(1, 8, 2048)  # SO_RCVBUF
        client.get("/api/state")
    assert served.state()["ready"] is True
    assert ask(served.proxy, own_engine, "/_ping") == 200
    for client in lazy:
        client.close()


def test_an_operator_who_leaves_is_forgotten(served: Served) -> None:
    for _ in range(50):
        with served.admin.connect() as client:
            client.get("/api/state")
        with served.admin.connect() as client:
            client.post("/api/reload", headers=["Content-Type: application/json"])
    assert served.state()["ready"] is True
    served.proxy.process.send_signal(signal.SIGTERM)
    assert served.proxy.wait_exit() == 0


def test_head_and_keep_alive(served: Served) -> None:
    with served.admin.connect() as client:
        client.send(b"HEAD /api/state HTTP/1.1\r\nHost: docker\r\n\r\n")
        head = client.response("HEAD")
        assert head.status == 200 and int(head.header("content-length")) > 500
        for _ in range(3):
            client.get("/api/state")
            assert json.loads(client.response().body)["pid"] == served.proxy.process.pid
