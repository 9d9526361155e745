"""The audit record: each field against what was sent, and what becomes of it where it cannot be
written."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from machine import free_port, public_folder
from operators import Admin
from wire import Engine, Proxy, eventually, run_binary

FIELDS = "time id client peer listener operation target policy rule verdict reason status ms bytes".split()

START = Callable[..., Proxy]


@pytest.fixture
def place() -> Iterator[pathlib.Path]:
    path = pathlib.Path(public_folder("audit-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


class Trail:
    """A file of records."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def lines(self) -> list[str]:
        text = self.path.read_bytes().decode() if self.path.exists() else ""
        assert text == "" or text.endswith("\n"), "no line is written in part"
        return text.splitlines()

    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.lines()]

    def wait(self, count: int = 1) -> list[dict]:
        eventually(lambda: len(self.lines()) >= count, f"{count} records, not {self.path.exists() and self.path.read_text()}")
        records = self.records()
        assert len(records) == count, records
        return records


@pytest.fixture
def trail(place: pathlib.Path) -> Trail:
    return Trail(place / "audit.jsonl")


def configured(place: pathlib.Path, trail: Trail, more: str = "", audit: str = "") -> list[str]:
    """The arguments for a file with `audit` in it."""
    file = place / "proxy.yaml"
    file.write_text(f"audit: {{path: {trail.path}{audit}}}\n{more or 'policy: open'}\n")
    return ["-c", str(file)]


def ask(proxy: Proxy, target: str, method: str = "GET") -> int:
    with proxy.connect() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\n\r\n".encode("latin-1"))
        return client.response(method).status


def forwarded(proxy: Proxy, engine: Engine, target: str, method: str = "GET", **response) -> int:
    """Ask, and let the Engine respond."""
    with proxy.connect() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\n\r\n".encode("latin-1"))
        engine.request().respond(**response)
        return client.response(method).status


# what a record says


def test_each_field_is_what_was_sent(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path) -> None:
    port = free_port()
    more = f"""
listeners: [{{address: 'tcp://127.0.0.1:{port}', name: front, policy: ci}}]
policies: {{ci: {{rules: [{{allow: [container.inspect]}}]}}}}
clients: [{{name: team, match: {{cidr: [127.0.0.0/8]}}, policy: ci}}]"""
    proxy = start(*configured(place, trail, more), port=port)
    began = datetime.datetime.now(datetime.timezone.utc)
    with proxy.connect() as client:
        client.get("/v1.41/containers/web/json")
        own_engine.request().respond(body=b"12345")
        client.response()
        peer = f"127.0.0.1:{client.sock.getsockname()[1]}"
    (record,) = trail.wait()
    assert list(record) == FIELDS
    assert re.fullmatch("[0-9a-f]{16}", record["id"])
    written = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
    assert began - datetime.timedelta(milliseconds=2) <= written <= began + datetime.timedelta(seconds=5)
    assert 0 < record["ms"] < 5000
    del record["id"], record["time"], record["ms"]
    assert record == {
        "client": "team",
        "peer": peer,
        "listener": "front",
        "operation": "container.inspect",
        "target": "web",
        "policy": "ci",
        "rule": "allow: [container.inspect]",
        "verdict": "allow",
        "reason": None,
        "status": 200,
        "bytes": 5,
    }


def test_a_denial_says_what_its_sender_was_told(start: START, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "read-only"})
    with proxy.connect() as client:
        client.post("/containers/web/stop")
        response = client.response()
    (record,) = trail.wait()
    assert response.status == 403 and response.message().startswith(record["reason"].removesuffix("..."))
    assert [record[name] for name in ["operation", "target", "policy", "verdict", "status", "client"]] == ["container.stop", "web", "read-only", "deny", 403, None]


def test_what_would_be_denied_is_named(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path) -> None:
    more = "policies: {p: {mode: observe, rules: [{allow: [system.ping]}]}}\npolicy: p"
    proxy = start(*configured(place, trail, more))
    assert forwarded(proxy, own_engine, "/containers/web/stop", "POST") == 200
    (record,) = trail.wait()
    assert (record["verdict"], record["status"]) == ("would-deny", 200)
    assert "container.stop" in record["reason"]


def test_errors_are_errors(start: START, own_engine: Engine, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path)})
    with proxy.connect() as client:
        client.send(b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().status == 400
    own_engine.stop()
    assert ask(proxy, "/containers/json") == 502
    own_engine.start()
    malformed, unreachable = trail.wait(2)
    assert (malformed["verdict"], malformed["operation"], malformed["target"]) == ("error", None, None)
    assert (unreachable["verdict"], unreachable["operation"], unreachable["target"]) == ("error", "container.list", None)
    assert own_engine.path in unreachable["reason"]
    assert malformed["id"] != unreachable["id"]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/images/create?fromImage=alpine&tag=3.19", "alpine:3.19"),
        ("/containers/create?name=web", "web"),
        ("/images/registry.example.com/a/b/json", "registry.example.com/a/b"),
        ("/containers/json", None),
        ("/nothing/of/the/kind", "/nothing/of/the/kind"),
        ("/containers/a%22%2C%22verdict%22%3A%22allow/json", 'a","verdict":"allow'),
        ("/containers/caf%C3%A9/json", "café"),
        ("/containers/%E2%80%AEgpj/json", "\u202egpj"),
    ],
)
def test_the_target_is_the_object(start: START, own_engine: Engine, trail: Trail, target: str, wanted: str) -> None:
    proxy = start(env={"AUDIT": str(trail.path)})
    method = "POST" if "create" in target else "GET"
    assert forwarded(proxy, own_engine, target, method) == 200
    (record,) = trail.wait()
    assert (record["target"], record["verdict"]) == (wanted, "allow")
    assert "\u202e" not in trail.path.read_text(), "no terminal writes backwards"


@pytest.mark.parametrize("path", [b"/containers/a\xff\xfe/json", b"/containers/\x1b[2J/json", b"/a\x00b", b'/"}\n{"time":"x"', b"/containers/%0a%7b%22time%22/json"])
def test_nothing_breaks_a_line(start: START, trail: Trail, path: bytes) -> None:
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny"})
    with proxy.connect() as client:
        client.send(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        client.response()
    (record,) = trail.wait()
    assert record["verdict"] in ("deny", "error")
    assert all(0x20 <= byte < 0x7F for byte in trail.path.read_bytes().rstrip(b"\n"))


def test_health_checks_are_no_requests(start: START, own_engine: Engine, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path)})
    assert ask(proxy, "/health") == 200
    assert forwarded(proxy, own_engine, "/_ping") == 200
    assert trail.wait()[0]["operation"] == "system.ping"


def test_all_workers_write_whole_lines(start: START, own_engine: Engine, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path), "WORKERS": "4", "POLICY": "deny"})
    clients = [proxy.connect() for _ in range(20)]
    for round_ in range(50):
        for number, client in enumerate(clients):
            client.get(f"/containers/{number}-{round_}/json")
        for client in clients:
            assert client.response().status == 403
    for client in clients:
        client.close()
    records = trail.wait(1000)
    assert {record["target"] for record in records} == {f"{n}-{r}" for n in range(20) for r in range(50)}
    assert len({record["id"] for record in records}) == 1000


def test_standard_output(start: START) -> None:
    proxy = start(env={"AUDIT": "-", "POLICY": "deny"})
    ask(proxy, "/containers/web/json")
    line = proxy.wait_log(lambda line: line.startswith('{"time"'))
    assert json.loads(line)["target"] == "web"


def test_nothing_is_lost_at_the_end(start: START, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny"})
    ask(proxy, "/containers/web/json")
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert len(trail.records()) == 1


# files


def test_the_file_is_for_its_group(start: START, trail: Trail) -> None:
    start(env={"AUDIT": str(trail.path)})
    eventually(trail.path.exists, "the file")
    assert trail.path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("what", ["link", "folder", "fifo", "socket", "missing", "device"])
def test_what_is_no_file_is_refused(own_engine: Engine, place: pathlib.Path, what: str) -> None:
    path = place / "audit.jsonl"
    other = place / "other"
    other.write_text("")
    if what == "link":
        path.symlink_to(other)
    elif what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
        path.chmod(0o666)
    elif what == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
        path.chmod(0o666)
    elif what == "missing":
        path = place / "none" / "audit.jsonl"
    else:
        path = pathlib.Path("/dev/full")
    ended = run_binary(AUDIT=str(path), SOCKET_PATH=own_engine.path, PORT=str(free_port()))
    assert ended.returncode == 1
    assert f"AUDIT: cannot write the audit record to '{path}': " in ended.stderr
    assert other.read_text() == ""


@pytest.mark.parametrize(("value", "why"), [("audit.jsonl", "absolute path"), ("/", "absolute path"), ("tcp://127.0.0.1:1", "unix:///PATH"), ("unix:///" + "x" * 120, "107 bytes")])
def test_what_is_no_place_is_refused(value: str, why: str) -> None:
    ended = run_binary(AUDIT=value)
    assert ended.returncode == 2 and "AUDIT: '" in ended.stderr and why in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_folder_of_root_is_named_with_its_remedy(own_engine: Engine, place: pathlib.Path) -> None:
    place.chmod(0o755)
    ended = run_binary(AUDIT=str(place / "a.jsonl"), SOCKET_PATH=own_engine.path, PORT=str(free_port()))
    assert ended.returncode == 1 and "user 65532" in ended.stderr


@pytest.mark.parametrize("how", ["rename", "delete", "copytruncate"])
@pytest.mark.parametrize("told", [False, True])
def test_rotation(start: START, trail: Trail, how: str, told: bool) -> None:
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny"})
    ask(proxy, "/containers/one/json")
    trail.wait()
    old = trail.path.with_suffix(".1")
    if how == "rename":
        trail.path.rename(old)
    elif how == "delete":
        trail.path.unlink()
    else:
        shutil.copy(trail.path, old)
        os.truncate(trail.path, 0)
    if told:
        os.kill(proxy.pid, signal.SIGHUP)
    eventually(trail.path.exists, "the new file", timeout=3)
    ask(proxy, "/containers/two/json")
    assert trail.wait()[0]["target"] == "two"
    if how != "delete":
        assert Trail(old).records()[0]["target"] == "one"


def test_a_torn_end_is_cut_off(start: START, trail: Trail) -> None:
    trail.path.write_text('{"time":"whole"}\n{"time":"to')
    trail.path.chmod(0o666)
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny"})
    ask(proxy, "/containers/web/json")
    records = trail.wait(2)
    assert records[0] == {"time": "whole"} and records[1]["target"] == "web"
    assert "its last 11 bytes were cut off" in proxy.log()


def test_a_line_of_somebody_else_is_left(start: START, trail: Trail) -> None:
    trail.path.write_text("what is this")
    trail.path.chmod(0o666)
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny"})
    ask(proxy, "/containers/web/json")
    eventually(lambda: trail.path.read_bytes().endswith(b"}\n"), "a record")
    lines = trail.lines()
    assert len(lines) == 2
    assert lines[0] == "what is this" and json.loads(lines[1])["target"] == "web"


def test_a_reload_keeps_the_place(start: START, trail: Trail, place: pathlib.Path) -> None:
    arguments = configured(place, trail)
    proxy = start(*arguments)
    configured(place, trail, audit=", on_failure: deny")
    os.kill(proxy.pid, signal.SIGHUP)
    proxy.wait_log(lambda line: "not reloaded" in line and "'audit' changes: restart" in line)
