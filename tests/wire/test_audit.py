"""The audit record: each field against what was sent, and what becomes of it where it cannot be
written."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from machine import free_port, public_folder
from operators import Admin
from secure import Authority
from test_sandbox import BARE_KERNEL
from test_state import stopped
from wire import BINARY, Background, Engine, Proxy, chunk, eventually, open_stream, run_binary, sanitized

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
    trail.wait(1)
    own_engine.stop()
    assert ask(proxy, "/containers/json") == 502
    own_engine.start()
    malformed, unreachable = trail.wait(2)
    assert (malformed["verdict"], malformed["operation"], malformed["target"]) == ("error", None, "/a%2fb")
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


def test_refused_connections_have_records_as_far_as_they_fit(start: START, trail: Trail, place: pathlib.Path) -> None:
    """Anybody can make thousands: one a second of each thread, and the next one says how many there were."""
    proxy = start(*configured(place, trail, "policy: deny\nlimits: {connections: 1}"), env={"WORKERS": "1"})

    def refuse(count: int) -> None:
        for _ in range(count):
            with proxy.connect() as client:
                assert client.response().status == 429

    waiting = 0
    while True:  # until the connection that found the proxy ready is gone
        client = proxy.connect()
        client.get("/containers/web/json")
        if client.response().status == 403:
            break
        waiting += 1
        client.close()
    with client:
        refuse(100)
        time.sleep(1.1)
        refuse(1)
        eventually(lambda: any("have no record" in (record["reason"] or "") for record in trail.records()[2:]), "the rest")
    records = [record for record in trail.records() if record["status"] == 429]
    left_out = [int(match[1]) for record in records if (match := re.search(r"\((\d+) refused connections before it have no record\)$", record["reason"]))]
    assert len(records) < 60 and len(records) + sum(left_out) == 101 + waiting
    assert {(record["operation"], record["target"], record["policy"], record["verdict"]) for record in records} == {(None, None, None, "deny")}
    assert records[0]["peer"].startswith("127.0.0.1:") and "connections" in records[0]["reason"]


def test_a_handshake_that_fails_has_a_record(start: START, trail: Trail, tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o755)
    pair, port = Authority(tmp_path).server(), free_port()
    start(env={"AUDIT": str(trail.path), "LISTEN": f"tls://127.0.0.1:{port}", "TLS_CERT": pair.path, "TLS_KEY": pair.key}, ready=False).wait_log(lambda line: "listening on" in line)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        peer = f"127.0.0.1:{sock.getsockname()[1]}"
        while sock.recv(4096):
            pass
    (record,) = trail.wait()
    assert [record[name] for name in ["peer", "listener", "operation", "verdict", "status", "client"]] == [peer, f"tls://127.0.0.1:{port}", None, "error", None, None]
    assert record["reason"]


def test_a_handshake_whose_listener_goes_is_not_told_of_another(start: START, trail: Trail, place: pathlib.Path) -> None:
    pair, ports = Authority(place).server(), [free_port(), free_port()]
    for file in (pair.path, pair.key):
        pathlib.Path(file).chmod(0o644)  # a reload reads them as another user
    listeners = [f"{{address: 'tls://127.0.0.1:{port}', policy: open, tls: {{cert: {pair.path}, key: {pair.key}}}}}" for port in ports]
    arguments = configured(place, trail, f"listeners: [{', '.join(listeners)}]")
    proxy = start(*arguments, ready=False)
    proxy.wait_log(lambda line: f"listening on tls://127.0.0.1:{ports[1]}" in line)
    with socket.create_connection(("127.0.0.1", ports[0])) as sock:
        sock.sendall(b"\x16\x03\x01")
        configured(place, trail, f"listeners: [{listeners[1]}]")
        proxy.process.send_signal(signal.SIGHUP)
        assert sock.recv(1) == b""
    (record,) = trail.wait()
    assert (record["listener"], record["reason"], record["verdict"]) == (None, "its listener is gone", "error")


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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hold a thread")
@pytest.mark.skipif(sanitized(), reason="LeakSanitizer holds threads itself; tests/unit/test_trail.c looks at the memory")
def test_a_writer_that_hangs_does_not_hold_up_the_end(start: START, trail: Trail) -> None:
    """As in a file system that does not answer. When it comes back, the writer may go on for a moment."""
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny", "WORKERS": "1"})
    ask(proxy, "/containers/web/json")  # a start waits for the writer
    (writer,) = [task for task in proxy.threads() if task != proxy.pid]
    with stopped(proxy.pid, writer):
        ask(proxy, "/containers/web/json")
        proxy.terminate()
        proxy.wait_log(lambda line: "the last records could not be written to" in line and "in time" in line)
    assert proxy.wait_exit() == 0


def opened_by(proxy: Proxy, path: pathlib.Path) -> list[int]:
    """The threads in whose descriptors the file is."""
    return [thread for thread in proxy.threads() if str(path) in proxy.links(thread)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see what another user has open")
@pytest.mark.skipif(tuple(map(int, platform.release().split(".")[:2])) < (5, 9), reason="close_range(2) came with Linux 5.9")
@pytest.mark.skipif(sanitized("tsan"), reason="under ThreadSanitizer the threads share their descriptors")
def test_the_writer_shares_no_descriptors(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path) -> None:
    """So that requests cost what they do with one thread: it has the standard ones, the file, what wakes it, and what it wakes."""
    proxy, admin = started(start, place, f"{{path: {trail.path}}}")
    assert forwarded(proxy, own_engine, "/containers/one/json") == 200
    trail.wait()
    (writer,) = opened_by(proxy, trail.path)
    assert writer != proxy.pid
    standard = [os.readlink(f"/proc/{proxy.pid}/fd/{fd}") for fd in range(3)]
    assert sorted(proxy.links(writer)) == sorted([*standard, str(trail.path), *["anon_inode:[eventfd]"] * 2])
    old = trail.path.rename(trail.path.with_suffix(".1"))
    os.kill(proxy.pid, signal.SIGHUP)
    eventually(lambda: opened_by(proxy, trail.path) == [writer] and not opened_by(proxy, old), "the new file alone")
    assert len(proxy.links(writer)) == 6
    assert forwarded(proxy, own_engine, "/containers/two/json") == 200
    assert trail.wait()[0]["target"] == "two" and is_ready(admin)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see what another user has open")
def test_a_kernel_where_the_writer_has_to_share(start: START, own_engine: Engine, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path), "POLICY": "open"}, prefix=BARE_KERNEL)
    assert forwarded(proxy, own_engine, "/containers/one/json") == 200
    trail.wait()
    assert proxy.pid in opened_by(proxy, trail.path)
    old = trail.path.rename(trail.path.with_suffix(".1"))
    os.kill(proxy.pid, signal.SIGHUP)
    eventually(lambda: opened(proxy, trail.path) and not opened(proxy, old), "the new file alone")
    assert forwarded(proxy, own_engine, "/containers/two/json") == 200
    proxy.terminate()
    assert proxy.wait_exit() == 0 and trail.wait()[0]["target"] == "two"


# two processes and one file: while one takes over from the other


def opened(proxy: Proxy, path: pathlib.Path) -> bool:
    return opened_by(proxy, path) != []


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see what another user has open")
def test_a_line_that_another_process_is_writing_is_not_cut_off(start: START, trail: Trail, place: pathlib.Path, chain: bool) -> None:
    whole = '{"time":"2026-01-31T12:34:56.789Z","id":"of another process"}'
    trail.path.touch()
    trail.path.chmod(0o666)
    with open(trail.path, "a", buffering=1) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(whole[:40])
        other.flush()
        proxy = start(*configured(place, trail, "policy: deny", f", chain: {str(chain).lower()}"), ready=False)
        eventually(lambda: opened(proxy, trail.path), "the file to be opened")
        time.sleep(0.1)
        other.write(whole[40:] + "\n")
        fcntl.flock(other, fcntl.LOCK_UN)
    proxy.wait_ready()
    ask(proxy, "/containers/web/json")
    records = trail.wait(2)
    assert trail.lines()[0] == whole and records[1]["target"] == "web"
    assert not chain or records[1]["prev"] == hashlib.sha256(whole.encode()).hexdigest()


def test_a_reader_who_holds_the_lock_stops_no_record(start: START, trail: Trail) -> None:
    """Whoever may read the file can lock it; without the lock nothing is cut."""
    trail.path.write_text('{"time":"whole"}\n{"time":"to')
    trail.path.chmod(0o666)
    with open(trail.path) as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        proxy = start(env={"AUDIT": str(trail.path), "POLICY": "deny"})
        for number in range(3):
            ask(proxy, f"/containers/{number}/json")
            eventually(lambda: trail.path.read_bytes().count(b"\n") == 3 + number, "the record", timeout=3)
    ask(proxy, "/containers/3/json")
    eventually(lambda: len(trail.lines()) == 6, "the record")
    assert trail.lines()[:2] == ['{"time":"whole"}', '{"time":"to']
    assert [json.loads(line)["target"] for line in trail.lines()[2:]] == list("0123")
    assert proxy.log().count("cannot be locked (flock)") == 1


class Burst:
    """Clients of several processes, who ask without a pause and remember what they were answered."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked: list[str] = []
        self.clients: list[Background] = []

    def add(self, proxy: Proxy, name: str) -> None:
        self.clients.append(Background(lambda: self.work(proxy, name)))

    def work(self, proxy: Proxy, name: str) -> None:
        with proxy.connect() as client:
            number = 0
            while not self.over.is_set():
                batch = [f"{name}-{number + i}" for i in range(20)]
                number += 20
                client.send(b"".join(f"GET /containers/{target}/json HTTP/1.1\r\nHost: docker\r\n\r\n".encode() for target in batch))
                for _ in batch:
                    assert client.response().status == 403
                self.asked += batch
                time.sleep(0.005)

    def end(self) -> list[str]:
        self.over.set()
        for client in self.clients:
            client.result()
        return self.asked


@pytest.mark.parametrize("chain", [False, True])
def test_no_record_is_lost_while_two_processes_write(start: START, trail: Trail, place: pathlib.Path, chain: bool) -> None:
    """One starts, and opens the file again and again, while the other writes."""
    arguments = configured(place, trail, "policy: deny", f", chain: {str(chain).lower()}")
    one = start(*arguments)
    burst = Burst()
    burst.add(one, "one")
    burst.add(one, "uno")
    two = start(*arguments)
    burst.add(two, "two")
    for _ in range(150):
        os.kill(two.pid, signal.SIGHUP)
        time.sleep(0.01)
    asked = burst.end()
    for proxy in (one, two):
        proxy.terminate()
        assert proxy.wait_exit() == 0
    records = trail.records()
    assert len(asked) > 1000
    assert sorted(record["target"] for record in records) == sorted(asked)
    assert "cut off" not in one.log() + two.log()
    assert not chain or verify(trail.path)[0] == 0


# what cannot be written


class Disk:
    """A small file system."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", path], check=True)

    def fill(self) -> None:
        with open(self.path / "filler", "ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def free(self) -> None:
        (self.path / "filler").unlink()


@pytest.fixture
def disk(place: pathlib.Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    disk = Disk(place / "disk")
    yield disk
    subprocess.run(["umount", "-l", disk.path], check=True)


def with_admin(audit: str, policy: str = "policy: open") -> tuple[str, Admin]:
    port = free_port()
    return f"{policy}\nadmin: {{address: 'tcp://127.0.0.1:{port}'}}\naudit: {audit}\n", Admin(port)


def started(start: START, place: pathlib.Path, audit: str, policy: str = "policy: open", **options) -> tuple[Proxy, Admin]:
    text, admin = with_admin(audit, policy)
    (place / "proxy.yaml").write_text(text)
    return start("-c", str(place / "proxy.yaml"), **options), admin


def is_ready(admin: Admin) -> bool:
    return json.loads(admin.get("/ready").body)["audit"] == "ok"


def test_a_record_that_nobody_can_find_is_none(start: START, own_engine: Engine, place: pathlib.Path) -> None:
    """The file is deleted, and its folder lets the proxy make no other."""
    folder = place / "closed"
    folder.mkdir()
    trail = Trail(folder / "audit.jsonl")
    trail.path.touch()
    os.chown(trail.path, 65532, 65532)
    folder.chmod(0o755)
    proxy, admin = started(start, place, f"{{path: {trail.path}, on_failure: deny}}")
    assert forwarded(proxy, own_engine, "/_ping") == 200
    trail.wait(1)
    trail.path.unlink()
    eventually(lambda: not is_ready(admin), "the loss of the name to be seen, without a request")
    with proxy.connect() as client:
        client.get("/containers/json")
        assert client.response().status == 503
    trail.path.touch()
    os.chown(trail.path, 65532, 65532)
    eventually(lambda: is_ready(admin), "the record to be written again")
    assert forwarded(proxy, own_engine, "/containers/json") == 200
    eventually(lambda: [record["status"] for record in trail.records()] == [503, 200], "both records")


def test_without_a_record_nothing_is_forwarded(start: START, own_engine: Engine, disk: Disk, place: pathlib.Path) -> None:
    trail = Trail(disk.path / "audit.jsonl")
    proxy, admin = started(start, place, f"{{path: {trail.path}, on_failure: deny}}")
    assert forwarded(proxy, own_engine, "/_ping") == 200
    trail.wait(1)
    disk.fill()
    eventually(lambda: not is_ready(admin), "the full disk to be seen, without a request")
    own_engine.forget()
    for _ in range(5):
        with proxy.connect() as client:
            client.get("/containers/json")
            response = client.response()
            assert response.status == 503 and "on_failure: deny" in response.message()
            assert response.header("Retry-After")
    assert own_engine.received() == b""
    assert "No space left on device; requests are refused" in proxy.log()
    disk.free()
    eventually(lambda: is_ready(admin), "the record to be written again")
    assert forwarded(proxy, own_engine, "/containers/json") == 200
    # What was refused is in the record, too.
    records = eventually(lambda: len(found := trail.records()) == 7 and found, "seven records")
    assert [record["status"] for record in records] == [200] + [503] * 5 + [200]
    assert admin.metrics().get_one("audit_lost_total") == 0


def test_every_forwarded_request_has_its_record_on_a_disk_that_fills(start: START, own_engine: Engine, disk: Disk, place: pathlib.Path) -> None:
    """The record itself fills it; what did not fit is written once there is room."""
    trail = Trail(disk.path / "audit.jsonl")
    proxy, _ = started(start, place, f"{{path: {trail.path}, on_failure: deny, chain: true}}")
    (disk.path / "filler").write_bytes(bytes(64 << 10))
    statuses = []
    with own_engine.responding():
        with proxy.connect() as client:
            while 503 not in statuses and len(statuses) < 5000:
                client.get(f"/containers/{'x' * 120}/json")
                statuses.append(client.response().status)
    assert statuses[-1] == 503 and len(statuses) > 100
    disk.free()
    records = eventually(lambda: len(found := trail.records()) >= len(statuses) and found, "all records")
    assert [record["status"] for record in records] == statuses
    assert run_binary("verify-audit", str(trail.path)).returncode == 0


def test_two_processes_on_a_disk_that_fills(start: START, own_engine: Engine, disk: Disk, place: pathlib.Path) -> None:
    """Each takes back what it wrote of a line, and nothing of the other's."""
    trail = Trail(disk.path / "audit.jsonl")
    (disk.path / "filler").write_bytes(bytes(64 << 10))
    arguments = configured(place, trail, audit=", on_failure: deny, chain: true")
    proxies = [start(*arguments), start(*arguments)]
    statuses: dict[str, int] = {}
    with own_engine.responding():
        clients = [proxy.connect() for proxy in proxies]
        while list(statuses.values()).count(503) < 4 and len(statuses) < 5000:
            for client, name in zip(clients, "ab"):
                target = f"{name}{'x' * 120}{len(statuses)}"
                client.get(f"/containers/{target}/json")
                statuses[target] = client.response().status
        for client in clients:
            client.close()
    assert list(statuses.values()).count(200) > 100
    disk.free()
    eventually(lambda: len(trail.records()) >= len(statuses), "all records")
    assert {record["target"]: record["status"] for record in trail.records()} == statuses
    assert len(trail.records()) == len(statuses)
    assert verify(trail.path)[0] == 0


def test_going_on_without_a_record_is_counted(start: START, own_engine: Engine, disk: Disk, place: pathlib.Path) -> None:
    trail = Trail(disk.path / "audit.jsonl")
    proxy, admin = started(start, place, f"{{path: {trail.path}}}")
    disk.fill()
    sent = 0

    def is_lost() -> bool:
        nonlocal sent
        assert forwarded(proxy, own_engine, "/_ping") == 200
        sent += 1
        return admin.metrics().get_one("audit_lost_total") > 0

    eventually(is_lost, "records to be lost")
    assert not is_ready(admin)
    disk.free()
    eventually(lambda: is_ready(admin), "the record to be written again")
    assert forwarded(proxy, own_engine, "/_ping") == 200
    sent += 1
    lost = int(admin.metrics().get_one("audit_lost_total"))
    records = eventually(lambda: len(found := trail.records()) == sent - lost + 1 and found, "the rest, and a record of the gap")
    assert [record["reason"] for record in records if record["reason"]] == [f"{lost} records before this one were lost: they could not be written"]


def test_a_stream_is_recorded_when_it_begins_and_when_it_ends(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path) -> None:
    proxy, _ = started(start, place, f"{{path: {trail.path}, on_failure: deny}}")
    with proxy.connect() as client:
        client.get("/events")
        request = own_engine.request()
        (begin,) = trail.wait()
        assert [begin[name] for name in ["operation", "verdict", "status", "ms", "bytes"]] == ["system.events", "allow", None, None, None]
        request.respond(body=b"12345")
        client.response()
    end = trail.wait(2)[1]
    assert [end[name] for name in ["id", "status", "bytes", "verdict"]] == [begin["id"], 200, 5, "allow"]


@pytest.mark.parametrize("on_failure", ["deny", "continue"])
@pytest.mark.parametrize(("mode", "verdict"), [("enforce", "allow"), ("observe", "would-deny")])
def test_the_record_of_a_stream_says_that_an_operator_ended_it(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path, on_failure: str, mode: str, verdict: str) -> None:
    """Also where the policy only observes, and the reason is what it would have denied as well."""
    rule = {"enforce": "system.events", "observe": "system.ping"}[mode]
    more = f"admin: {{address: 'unix://{place}/admin.sock'}}\npolicies: {{p: {{mode: {mode}, rules: [{{allow: [{rule}]}}]}}}}\npolicy: p"
    proxy = start(*configured(place, trail, more, f", on_failure: {on_failure}"))
    admin = Admin(str(place / "admin.sock"))
    with proxy.connect() as client:
        conn = open_stream(client, own_engine, sent=chunk(b"hello"))
        with own_engine.responding():  # to the proxy's own GET /version
            (stream,) = admin.state()["streams"]
        assert admin.post(f"/api/streams/{stream['id']}/close").status == 204
        client.expect_end()
        conn.expect_gone()
        conn.close()
    records = trail.wait(2 if on_failure == "deny" else 1)
    assert {(record["id"], record["operation"], record["verdict"]) for record in records} == {(stream["id"], "system.events", verdict)}
    ended = records[-1]
    assert (ended["status"], ended["bytes"]) == (200, 5)
    assert ended["reason"].startswith("an operator ended the stream: the connection is closed")
    assert ("policy 'p'" in ended["reason"]) == (mode == "observe")


def test_the_record_of_a_stream_says_that_a_reload_ended_it(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path) -> None:
    """It was allowed when it was asked for: an error is what nobody decided."""
    proxy = start(*configured(place, trail))
    with proxy.connect() as client:
        conn = open_stream(client, own_engine)
        configured(place, trail, "policy: deny")
        os.kill(proxy.pid, signal.SIGHUP)
        client.expect_end()
        conn.close()
    (record,) = trail.wait()
    assert (record["operation"], record["verdict"], record["status"]) == ("system.events", "allow", 200)
    assert record["reason"].startswith("the reloaded configuration")


def test_a_stream_has_one_record_where_requests_go_on(start: START, own_engine: Engine, trail: Trail) -> None:
    proxy = start(env={"AUDIT": str(trail.path)})
    assert forwarded(proxy, own_engine, "/events") == 200
    assert trail.wait()[0]["status"] == 200


def test_a_reader_that_does_not_read_holds_nobody_up(start: START, own_engine: Engine, place: pathlib.Path) -> None:
    """Standard output is a pipe that is full."""
    reading, writing = os.pipe()
    log_reading, log_writing = os.pipe()
    proxy, admin = started(start, place, "{path: '-', on_failure: deny}", stdout=writing, stderr=log_writing)
    os.close(writing)
    os.close(log_writing)
    statuses = []
    with own_engine.responding():
        deadline = time.monotonic() + 20
        with proxy.connect() as client:
            while 503 not in statuses:
                assert time.monotonic() < deadline
                client.get("/_ping")
                statuses.append(client.response().status)
        assert len(statuses) > 50 and not is_ready(admin)
        os.set_blocking(reading, False)
        text = b""

        def read() -> bool:
            nonlocal text
            try:
                piece = os.read(reading, 65536)
            except BlockingIOError:
                return True
            text += piece
            return not piece

        eventually(lambda: read() and is_ready(admin), "the record to be written again")
        assert ask(proxy, "/_ping") == 200
    proxy.terminate()
    eventually(lambda: read() and proxy.process.poll() is not None, "the end")
    records = [json.loads(line) for line in text.decode().splitlines()]
    assert [record["status"] for record in records if record["status"] == 200][: len(statuses) - 1] == [200] * (len(statuses) - 1)
    os.close(reading)
    os.close(log_reading)


def test_what_is_lost_at_the_end_is_said(start: START, own_engine: Engine, place: pathlib.Path) -> None:
    """What was given up is no reason to say that all was written."""
    reading, writing = os.pipe()
    with (place / "log").open("w+") as log:
        proxy, admin = started(start, place, "{path: '-'}", stdout=writing, stderr=log)
        os.close(writing)
        with own_engine.responding(), proxy.connect() as client:
            for _ in range(600):
                client.get("/_ping")
                assert client.response().status == 200
            eventually(lambda: not is_ready(admin), "nobody to read the record")
        proxy.terminate()
        proxy.process.wait(20)
        log.seek(0)
        said = log.read()
    assert "audit: the last records could not be written to '-'" in said
    assert "is written again" not in said
    os.close(reading)


CLOCK = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* An hour is set back once the file is there. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
	const int result = (int)syscall(SYS_clock_gettime, clock, time);

	if (result == 0 && clock == CLOCK_REALTIME && access(getenv("CLOCK_SET_BACK"), F_OK) == 0) {
		time->tv_sec -= 3600;
	}
	return result;
}
"""


def test_a_clock_that_is_set_back(start: START, own_engine: Engine, trail: Trail, place: pathlib.Path) -> None:
    """The times of records go back with it; their order, durations and chain do not, and nothing is refused."""
    if "dynamically linked" not in subprocess.run(["file", "-L", BINARY], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the program has libc in it: no clock can be put in its place")
    (place / "clock.c").write_text(CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", place / "clock.so", place / "clock.c"], check=True)
    mark = place / "set-back"
    proxy = start(*configured(place, trail, audit=", on_failure: deny, chain: true"), env={"LD_PRELOAD": str(place / "clock.so"), "CLOCK_SET_BACK": str(mark), "WORKERS": "1"})
    assert forwarded(proxy, own_engine, "/containers/before/json") == 200
    trail.wait(1)
    mark.touch()
    for number in range(3):
        assert forwarded(proxy, own_engine, f"/containers/{number}/json") == 200
    trail.wait(4)
    trail.path.rename(place / "audit.jsonl.1")
    eventually(trail.path.exists, "the next file")
    assert forwarded(proxy, own_engine, "/containers/after/json") == 200
    trail.wait(1)
    records = Trail(place / "audit.jsonl.1").records() + trail.records()
    assert [record["target"] for record in records] == ["before", "0", "1", "2", "after"]
    times = [datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")) for record in records]
    assert datetime.timedelta(minutes=59) < times[0] - times[1] < datetime.timedelta(minutes=61)
    assert times[1:] == sorted(times[1:])
    assert all(0 <= record["ms"] < 10000 for record in records)
    assert verify(place / "audit.jsonl.1", trail.path)[0] == 0


# sockets


def reader(path: pathlib.Path, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(path))
    path.chmod(0o666)
    sock.settimeout(10)
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def test_datagrams(start: START, place: pathlib.Path) -> None:
    path = place / "reader.sock"
    with reader(path, socket.SOCK_DGRAM) as sock:
        proxy = start(env={"AUDIT": f"unix://{path}", "POLICY": "deny"})
        ask(proxy, "/containers/one/json")
        assert json.loads(sock.recv(65536))["target"] == "one"


def test_a_stream_of_lines(start: START, place: pathlib.Path) -> None:
    path = place / "reader.sock"
    with reader(path, socket.SOCK_STREAM) as sock:
        proxy = start(env={"AUDIT": f"unix://{path}", "POLICY": "deny"})
        ask(proxy, "/containers/one/json")
        with sock.accept()[0].makefile() as lines:
            assert json.loads(lines.readline())["target"] == "one"
            ask(proxy, "/containers/two/json")
            assert json.loads(lines.readline())["target"] == "two"


def test_syslog(start: START, place: pathlib.Path) -> None:
    path = place / "log"
    with reader(path, socket.SOCK_DGRAM) as sock:
        proxy = start(env={"AUDIT": f"syslog://{path}", "POLICY": "deny"})
        ask(proxy, "/containers/one/json")
        message = sock.recv(65536).decode()
    match = re.fullmatch(rf"<86>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d docker-socket-proxy\[{proxy.pid}\]: (.*)", message)
    assert match and json.loads(match[1])["target"] == "one"


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_reader_that_comes_late_and_comes_back(start: START, own_engine: Engine, place: pathlib.Path, kind: int) -> None:
    path = place / "reader.sock"
    proxy, admin = started(start, place, f"{{path: 'unix://{path}', on_failure: deny}}")
    proxy.wait_log(lambda line: "nobody has the socket open; requests are refused" in line)
    assert ask(proxy, "/containers/json") == 503
    for number in range(2):
        sock = reader(path, kind)
        eventually(lambda: is_ready(admin), "the reader to be found")
        assert forwarded(proxy, own_engine, f"/containers/{number}/json") == 200
        connection = sock.accept()[0] if kind == socket.SOCK_STREAM else sock
        text = ""
        while f'"target":"{number}"' not in text:
            text += connection.recv(65536).decode()
        connection.close()
        sock.close()
        path.unlink()
        eventually(lambda: not is_ready(admin), "the reader to be missed")


# the chain


def chained(start: START, trail: Trail, place: pathlib.Path, count: int) -> Proxy:
    proxy = start(*configured(place, trail, "policy: deny", ", chain: true"))
    for number in range(count):
        ask(proxy, f"/containers/{number}/json")
    return proxy


def verify(*paths: pathlib.Path) -> tuple[int, str]:
    ended = run_binary("verify-audit", *map(str, paths))
    return ended.returncode, ended.stdout + ended.stderr


def test_each_line_has_the_hash_of_the_one_before(start: START, trail: Trail, place: pathlib.Path) -> None:
    chained(start, trail, place, 5)
    records = trail.wait(5)
    lines = trail.lines()
    assert list(records[0]) == [*FIELDS, "prev"] and records[0]["prev"] is None
    for before, record in zip(lines, records[1:]):
        assert record["prev"] == hashlib.sha256(before.encode()).hexdigest()
    assert verify(trail.path) == (0, f"{trail.path}:1: the chain begins here\nwhole: 5 lines\n")


@pytest.mark.parametrize(
    ("change", "line", "why"),
    [
        (lambda lines: lines[:2] + lines[3:], 3, "changed, or lines between the two were removed"),
        (lambda lines: lines[:2] + [lines[2].replace('"deny"', '"allow"')] + lines[3:], 4, "changed"),
        (lambda lines: lines[:2] + [lines[3], lines[2]] + lines[4:], 3, "removed or moved"),
        (lambda lines: lines[:3] + [lines[2]] + lines[3:], 4, "the line before this one was added or moved"),
        (lambda lines: lines[:3] + ['{"time":"x"}'] + lines[3:], 4, "has no hash"),
        (lambda lines: lines[:3] + [re.sub('"prev":.*', '"prev":null}', lines[3])] + lines[4:], 4, "begins anew"),
        (lambda lines: [*lines[:5], lines[5][:50]], 6, "the file ends within this line"),
    ],
)
def test_what_was_changed_is_found(start: START, trail: Trail, place: pathlib.Path, change, line: int, why: str) -> None:
    chained(start, trail, place, 6)
    trail.wait(6)
    other = place / "changed.jsonl"
    lines = change(trail.lines())
    other.write_text("\n".join(lines) + ("" if len(lines[-1]) == 50 else "\n"))
    code, said = verify(other)
    assert code == 1 and f"{other}:{line}: " in said and why in said, said


def test_the_chain_goes_on_over_rotation_and_restart(start: START, trail: Trail, place: pathlib.Path) -> None:
    first = place / "audit.jsonl.2"
    second = place / "audit.jsonl.1"
    proxy = chained(start, trail, place, 2)
    trail.wait(2)
    trail.path.rename(first)
    eventually(trail.path.exists, "another file")
    ask(proxy, "/containers/x/json")
    trail.wait(1)
    shutil.copy(trail.path, second)
    os.truncate(trail.path, 0)
    ask(proxy, "/containers/y/json")
    trail.wait(1)
    proxy.stop()
    with open(trail.path, "a") as file:
        file.write('{"time":"torn')
    chained(start, trail, place, 2)
    trail.wait(3)
    assert verify(first, second, trail.path)[0] == 0
    code, said = verify(trail.path)
    assert code == 0 and "the line before is in none of these files; its SHA-256 is" in said
    assert verify(first, trail.path)[0] == 1, "a file is missing"
    assert verify(second, first, trail.path)[0] == 1, "the order is wrong"


def test_two_processes_write_one_chain(start: START, trail: Trail, place: pathlib.Path) -> None:
    """While one takes over from the other."""
    one = chained(start, trail, place, 1)
    trail.wait(1)
    two = chained(start, trail, place, 0)
    for number in range(40):
        ask([one, two][number % 2], f"/containers/{number}/json")
        if number % 5 == 0:  # several batches
            trail.wait(number + 2)
    trail.wait(41)
    assert verify(trail.path)[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see what another user has open")
def test_the_chain_of_two_processes_goes_on_over_rotation(start: START, trail: Trail, place: pathlib.Path) -> None:
    """The process that writes first into a new file is not the one that wrote last into the former."""
    one, two = chained(start, trail, place, 1), chained(start, trail, place, 1)
    trail.wait(2)
    files = []
    for turn in range(4):
        last, first = [(one, two), (two, one)][turn % 2]
        eventually(lambda: opened(one, trail.path) and opened(two, trail.path), "both to have the file")
        ask(last, "/containers/last/json")
        trail.wait(3 if turn == 0 else 2)
        files.append(place / f"audit.jsonl.{turn}")
        trail.path.rename(files[-1])
        ask(first, "/containers/first/json")
        trail.wait(1)
    code, said = verify(*files, trail.path)
    assert code == 0 and said.count("the chain begins here") == 1, said


def test_a_chain_may_begin_behind_other_lines(start: START, trail: Trail, place: pathlib.Path) -> None:
    proxy = start(*configured(place, trail, "policy: deny"))
    ask(proxy, "/containers/x/json")
    trail.wait(1)
    assert verify(trail.path) == (1, "no line has a hash: the record is written without a chain (audit.chain)\n")
    proxy.stop()
    chained(start, trail, place, 2)
    trail.wait(3)
    code, said = verify(trail.path)
    assert code == 0 and "1 lines in front of the chain have no hash" in said, said


def test_what_cannot_be_read_is_another_status(place: pathlib.Path) -> None:
    code, said = verify(place / "none")
    assert code == 2 and "cannot be read: No such file" in said
    ended = run_binary("verify-audit")
    assert ended.returncode == 2 and "the file is missing: give 'verify-audit FILE...'" in ended.stderr


# what docs/audit.md says


def documented(question: str) -> str:
    """The command below a sentence of the page."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    return page.split(question, 1)[1].split("```sh\n", 1)[1].split("\n```", 1)[0]


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_questions_of_the_page_have_answers(place: pathlib.Path) -> None:
    yesterday = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)).strftime("%Y-%m-%d")
    common = {"id": "1", "client": "ci", "peer": "192.0.2.1:1", "operation": "container.remove", "target": "web", "verdict": "allow", "reason": None, "ms": 1.0}
    records = [
        common | {"time": "2020-01-01T00:00:00.000Z"},
        common | {"id": "2", "time": f"{yesterday}T01:00:00.000Z", "client": None, "verdict": "deny", "reason": "no"},
        common | {"id": "3", "time": f"{yesterday}T02:00:00.000Z", "operation": "system.events", "target": None, "ms": None},
    ]
    (place / "audit.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    def answer(question: str) -> str:
        return subprocess.run(documented(question), shell=True, cwd=place, check=True, capture_output=True, text=True).stdout

    assert answer("Who removed").splitlines() == ['["2020-01-01T00:00:00.000Z","ci","allow"]', f'["{yesterday}T01:00:00.000Z","192.0.2.1:1","deny"]']
    assert answer("What was denied").split("\t") == [f"{yesterday}T01:00:00.000Z", "192.0.2.1:1", "container.remove", "no\n"]
    assert json.loads(answer("What does the app")) == {"container.remove": 1, "system.events": 1}
    assert [stream["id"] for stream in json.loads(answer("Which streams"))] == ["3"]
