"""GET /api/events of the admin listener: audit records as they are made."""

from __future__ import annotations

import hashlib
import json
import pathlib
import time
from collections.abc import Callable

import pytest

from machine import free_port
from operators import Admin
from wire import Client, Engine, Proxy, eventually

KEY = "a key with many letters"
START = Callable[..., Proxy]


@pytest.fixture
def operated(start: START, tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> tuple[Proxy, Admin]:
    place = free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(
        f"policy: {getattr(request, 'param', 'open')}\nadmin: {{address: 'tcp://127.0.0.1:{place}', key_sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}\n"
    )
    for folder in [tmp_path, tmp_path.parent, tmp_path.parent.parent]:
        folder.chmod(0o755)
    file.chmod(0o644)
    return start("-c", str(file)), Admin(place)


class Events:
    """One reader of the stream."""

    def __init__(self, admin: Admin, version: str = "1.1"):
        self.client: Client = admin.connect()
        self.client.get("/api/events", version=version, headers=[f"X-Api-Key: {KEY}"])
        head = self.client.read_until(b"\r\n\r\n").decode()
        assert "HTTP/1.1 200 " in head and "Content-Type: text/event-stream\r\n" in head and "no-store" in head
        self.chunked = "Transfer-Encoding: chunked" in head
        self.text = ""

    def _more(self) -> None:
        if not self.chunked:
            self.text += self.client.read(1).decode()
            return
        size = int(self.client.read_until(b"\r\n"), 16)
        self.text += self.client.read(size + 2).decode()[:-2]

    def next(self) -> tuple[str, str]:
        """The next event and its data; ("", COMMENT) for a comment."""
        while "\n\n" not in self.text:
            self._more()
        frame, _, self.text = self.text.partition("\n\n")
        if frame.startswith(":"):
            return "", frame
        event, data = frame.split("\n")
        return event.removeprefix("event: "), data.removeprefix("data: ")

    def wait(self, wanted: str) -> dict:
        while True:
            event, data = self.next()
            if event == wanted:
                return json.loads(data)

    def close(self) -> None:
        self.client.close()


def denied(proxy: Proxy, target: str) -> None:
    with proxy.connect() as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: docker\r\nOrigin: http://evil.example\r\n\r\n".encode())
        assert client.response().status == 403


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_records_come_as_they_are_made(operated, own_engine: Engine, version: str) -> None:
    proxy, admin = operated
    events = Events(admin, version)
    assert events.next()[0] == "", "a comment at once"
    with proxy.connect() as client:
        client.get("/containers/web/json")
        own_engine.request().respond(body=b"12345")
        client.response()
    record = events.wait("record")
    assert list(record) == "time id client peer listener operation target policy rule verdict reason status ms bytes".split()
    assert (record["target"], record["status"], record["bytes"]) == ("web", 200, 5)
    assert events.wait("state") == {}
    events.close()


def test_state_comes_at_most_once_a_second(operated) -> None:
    proxy, admin = operated
    events = Events(admin)
    denied(proxy, "/a")
    events.wait("state")
    began = time.monotonic()
    for number in range(20):
        denied(proxy, f"/{number}")
    events.wait("state")
    assert time.monotonic() - began > 0.7
    events.close()


def test_a_connection_is_news(operated) -> None:
    proxy, admin = operated
    events = Events(admin)
    with proxy.connect():
        events.wait("state")
    events.wait("state")
    events.close()


def test_it_needs_the_key_and_a_get(operated) -> None:
    _, admin = operated
    assert admin.get("/api/events").status == 401
    with admin.connect() as client:
        client.send(f"HEAD /api/events HTTP/1.1\r\nHost: a\r\nX-Api-Key: {KEY}\r\n\r\n".encode())
        response = client.response("HEAD")
        assert response.status == 200 and response.header("Content-Type") == "text/event-stream"
    with admin.connect() as client:
        client.send(f"POST /api/events HTTP/1.1\r\nHost: a\r\nX-Api-Key: {KEY}\r\n\r\n".encode())
        assert client.response().status in (403, 405)


def test_all_readers_get_all(operated) -> None:
    proxy, admin = operated
    readers = [Events(admin) for _ in range(5)]
    for number in range(10):
        denied(proxy, f"/{number}")
    for reader in readers:
        assert {reader.wait("record")["target"] for _ in range(10)} == {f"/{number}" for number in range(10)}
        reader.close()


@pytest.mark.parametrize("operated", ["deny"], indirect=True)
def test_a_slow_reader_is_told_what_it_lost(operated) -> None:
    proxy, admin = operated
    slow, quick = Events(admin), Events(admin)
    sent = 6000
    clients = [proxy.connect() for _ in range(20)]
    for _ in range(sent // len(clients)):
        for client in clients:
            client.get("/containers/" + "x" * 200 + "/json")
        for client in clients:
            assert client.response().status == 403
    for client in clients:
        client.close()
    slow.client.sock.settimeout(10)
    got = lost = 0
    while got + lost < sent:
        event, data = slow.next()
        got += event == "record"
        lost += json.loads(data)["lost"] if event == "lost" else 0
    assert got + lost == sent
    slow.close()
    quick.close()


def test_readers_have_a_ceiling(operated, own_engine: Engine) -> None:
    proxy, admin = operated
    readers = [Events(admin) for _ in range(32)]
    assert admin.get("/api/events", f"X-Api-Key: {KEY}").status == 503
    # The last places are for others.
    for _ in range(50):
        assert admin.get("/metrics").status == 200
    readers[0].close()
    eventually(lambda: _watches(admin), "a place to be free")
    denied(proxy, "/a")
    for reader in readers[1:]:
        assert reader.wait("record")["target"] == "/a"
        reader.close()


def _watches(admin: Admin) -> bool:
    try:
        Events(admin).close()
    except AssertionError:
        return False
    return True


def test_who_never_reads_holds_nobody_up(operated, own_engine: Engine) -> None:
    proxy, admin = operated
    deaf = [Events(admin) for _ in range(8)]
    for number in range(300):
        denied(proxy, f"/{number}")
    with proxy.connect() as client:
        client.get("/_ping")
        own_engine.request().respond()
        assert client.response().status == 200
    assert admin.get("/metrics").status == 200
    for reader in deaf:
        reader.close()


def test_a_thousand_readers_that_never_read_hold_nobody_up(operated, own_engine: Engine) -> None:
    """Those for whom there is no place are told so, or make room; clients and another operator notice nothing."""
    proxy, admin = operated
    before = proxy.open_files()
    deaf = []
    with own_engine.responding(), proxy.connect() as client:
        for number in range(1000):
            deaf.append(admin.connect())
            deaf[-1].get("/api/events", headers=[f"X-Api-Key: {KEY}"])
            if number % 10 == 0:
                denied(proxy, f"/{number}")
                client.get("/_ping")
                assert client.response(timeout=2).status == 200
        assert admin.get("/metrics", f"X-Api-Key: {KEY}").status == 200
        eventually(lambda: proxy.open_files() <= before + 64 + 8, "no more than 64 to be kept")
    for reader in deaf:
        reader.close()
    eventually(lambda: _watches(admin), "a place to be free")


def test_the_end_ends_the_stream(operated) -> None:
    proxy, admin = operated
    events = Events(admin)
    proxy.terminate()
    assert proxy.wait_exit() == 0
    events.close()
