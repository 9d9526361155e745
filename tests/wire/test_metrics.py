"""What is counted, as an operator reads it: values against what was sent."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin, parse
from secure import Authority, connect, context
from wire import HEAD_END, PATIENCE, Client, Engine, Proxy, chunk

SOURCES = Path(__file__).parents[2] / "src"

FILE = """
listeners:
  - {{address: tcp://127.0.0.1:{port}, name: main, policy: mine}}
policies:
  mine: {{rules: [{{allow: [system.*, container.logs, container.list, image.load, exec.*]}}]}}
  watcher: {{mode: observe, rules: [{{allow: [system.ping]}}]}}
clients:
  - {{name: ops, match: {{key_sha256: {hash}}}, policy: watcher, limits: {{requests: 1}}}}
admin: {{address: tcp://127.0.0.1:{admin}}}
"""
KEY = "a key with many letters"


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def served(start, tmp_path: Path):
    """A proxy with clients, and its admin listener."""
    port, admin = free_port(), free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(FILE.format(port=port, admin=admin, hash=hash_of(KEY)))
    return start("-c", str(file), "--workers", "2", port=port), Admin(admin)


def ask(proxy, engine: Engine, target: str, *headers: str) -> int:
    """A request that reaches the Engine; its status."""
    with proxy.connect() as client:
        client.get(target, headers=headers)
        engine.request().respond(body=b"OK")
        return client.response().status


def test_requests_are_counted_by_what_became_of_them(served, own_engine: Engine) -> None:
    proxy, admin = served
    for _ in range(3):
        assert ask(proxy, own_engine, "/_ping") == 200
    assert ask(proxy, own_engine, "/v1.41/containers/json", f"X-Api-Key: {KEY}") == 200
    with proxy.connect() as client:
        for _ in range(2):
            client.post("/containers/x/start")
            assert client.response().status == 401, "a key could allow it"
        client.send(b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert client.response().status == 400
    samples = admin.wait_for(7, "requests_total")
    main = {"listener": "main"}
    assert samples.get_one("requests_total", **main, client="", policy="mine", operation="system.ping", verdict="allow") == 3
    assert samples.get_one("requests_total", **main, client="ops", policy="watcher", operation="container.list", verdict="would-deny") == 1
    assert samples.get_one("requests_total", **main, client="", policy="mine", operation="container.start", verdict="deny") == 2
    assert samples.get_one("requests_total", **main, client="", policy="", operation="", verdict="error") == 1
    assert samples.get_one("denials_total", client="", policy="mine", operation="container.start") == 2
    assert samples.get_one("denials_total") == 2


def test_operations_of_several_rows_are_one_series(served, own_engine: Engine) -> None:
    proxy, admin = served
    ask(proxy, own_engine, "/_ping")
    with proxy.connect() as client:
        client.send(b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        own_engine.request().respond()
        client.response("HEAD")
    assert admin.wait_for(2, "requests_total").get_one("requests_total", operation="system.ping") == 2


def test_health_checks_are_no_requests(served, own_engine: Engine) -> None:
    proxy, admin = served
    with proxy.connect() as client:
        client.get("/health")
        assert client.response().status == 200
    ask(proxy, own_engine, "/_ping")
    assert admin.wait_for(1, "requests_total", verdict="allow").get_one("requests_total") == 1


def test_durations_are_a_histogram_by_kind(served, own_engine: Engine) -> None:
    proxy, admin = served
    ask(proxy, own_engine, "/_ping")
    samples = admin.wait_for(1, "request_duration_seconds_count", kind="read")
    counts = [value for (name, labels), value in samples.items() if name == "request_duration_seconds_bucket" and dict(labels)["kind"] == "read"]
    assert counts == sorted(counts) and counts[-1] == 1
    assert 0 < samples.get_one("request_duration_seconds_sum", kind="read") < PATIENCE
    assert samples.get_one("request_duration_seconds_count", kind="write") == 0


def test_connections_and_streams_are_those_that_are_open(served, own_engine: Engine) -> None:
    proxy, admin = served
    with proxy.connect() as client:
        admin.wait_for(1, "connections", listener="main")
        client.get("/containers/x/logs?follow=1")
        request = own_engine.request()
        assert admin.metrics().get_one("streams", client="") == 1
        request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"line"))
        assert client.read_response_head().status == 200
        assert admin.metrics().get_one("streams") == 1
    request.conn.close()
    admin.wait_for(0, "connections", listener="main")
    assert admin.wait_for(0, "streams").get_one("request_duration_seconds_count", kind="stream") == 1


def test_bytes_are_those_of_bodies(served, own_engine: Engine) -> None:
    proxy, admin = served
    with proxy.connect() as client:
        client.post("/images/load", b"x" * 100_000)
        own_engine.request().respond(body=b"y" * 70_000)
        client.response()
    samples = admin.wait_for(100_000, "bytes_total", direction="in")
    assert samples.get_one("bytes_total", direction="out") == 70_000


def test_bytes_of_a_stream_are_counted_while_it_goes_on(served, own_engine: Engine) -> None:
    proxy, admin = served
    with proxy.connect() as client:
        client.get("/containers/x/logs?follow=1")
        request = own_engine.request()
        request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"z" * 5000))
        client.read_response_head()
        assert admin.wait_for(5000, "bytes_total", direction="out").get_one("streams") == 1
    request.conn.close()
    assert admin.wait_for(0, "streams").get_one("bytes_total", direction="out") == 5000


def test_limits_are_counted_by_client(served, own_engine: Engine) -> None:
    proxy, admin = served
    with proxy.connect() as first, proxy.connect() as second:
        first.get("/events", headers=[f"X-Api-Key: {KEY}"])
        request = own_engine.request()
        second.get("/_ping", headers=[f"X-Api-Key: {KEY}"])
        assert second.response().status == 429
        request.respond()
        first.response()
    samples = admin.wait_for(1, "limits_total", client="ops", limit="requests")
    assert samples.get_one("limits_total") == 1


@pytest.fixture
def limited(start, tmp_path: Path) -> Callable[..., tuple[Proxy, Admin]]:
    """limited(limits): a proxy that allows everything within them, also to a client, and its admin listener."""
    def serve(limits: str, *args: str, **options) -> tuple[Proxy, Admin]:
        port, admin = free_port(), free_port()
        file = tmp_path / "proxy.yaml"
        file.write_text(
            f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
            + (f"limits: {limits}\n" if limits else "")
            + f"clients: [{{name: ops, match: {{key_sha256: {hash_of(KEY)}}}, policy: open}}]\n"
            f"admin: {{address: 'tcp://127.0.0.1:{admin}'}}\n"
        )
        return start("-c", str(file), "--workers", "2", *args, port=port, **options), Admin(admin)

    return serve


HEADERS = {"ops": [f"X-Api-Key: {KEY}"], "": []}
SAYS = {"ops": "client 'ops'", "": "this address"}


@pytest.mark.parametrize("client", ["ops", ""])
@pytest.mark.parametrize(
    ("limits", "request_line"),
    [
        ("rate: 1/h", "GET /_ping"),
        ("requests: 1", "GET /_ping"),
        ("streams: 1", "GET /events"),
        ("builds: 1", "POST /build"),
        ("total: {rate: 1/h}", "GET /_ping"),
        ("total: {requests: 1}", "GET /_ping"),
        ("total: {streams: 1}", "GET /events"),
        ("total: {builds: 1}", "POST /build"),
    ],
)
def test_requests_beyond_each_limit_are_counted(limited, own_engine: Engine, limits: str, request_line: str, client: str) -> None:
    """Of all together, whoever is refused: another one has what there is."""
    proxy, admin = limited(f"{{{limits}}}")
    total = limits.startswith("total")
    limit = limits.removeprefix("total: {").partition(":")[0]
    holder = client if not total else "" if client else "ops"
    with proxy.connect() as first, proxy.connect() as second:
        for sender, who in ((first, holder), (second, client), (second, client)):
            lines = [f"{request_line} HTTP/1.1", "Host: docker", "Content-Length: 0", *HEADERS[who]]
            sender.send("\r\n".join(lines).encode() + HEAD_END)
            if sender is first:
                request = own_engine.request()
                continue
            response = second.response()
            assert response.status == 429 and int(response.header("Retry-After")) > 0
            assert response.message().startswith(f"{'all clients together' if total else SAYS[client]} reached the limit '{limit}: 1")
        request.respond()
        assert first.response().status == 200
    samples = admin.wait_for(2, "limits_total", client=client, limit=limit)
    assert samples.get_one("limits_total") == 2


@pytest.mark.parametrize("client", ["ops", ""])
@pytest.mark.parametrize("framing", ["Content-Length: 1025", "Transfer-Encoding: chunked"])
def test_bodies_beyond_the_limit_are_counted(limited, own_engine: Engine, framing: str, client: str) -> None:
    proxy, admin = limited("{body: 1k}")
    with proxy.connect() as sender:
        head = ["POST /images/load HTTP/1.1", "Host: docker", framing, *HEADERS[client]]
        sender.send("\r\n".join(head).encode() + HEAD_END)
        if "chunked" in framing:
            own_engine.head()
            sender.send(chunk(b"x" * 1025))
        response = sender.response()
        assert response.status == 413 and "limit 'body: 1k'" in response.message()
    samples = admin.wait_for(1, "limits_total", client=client, limit="body")
    assert samples.get_one("limits_total") == 1


@pytest.mark.parametrize(("limits", "args", "limit"), [("{connections: 2}", [], "connections"), ("", ["--max-connections", "2"], "max_connections")])
def test_connections_beyond_a_limit_are_counted(limited, own_engine: Engine, limits: str, args: list[str], limit: str) -> None:
    """They have said nothing yet, not even a key. No other connection is made, since a thread may accept it late."""
    proxy, admin = limited(limits, *args, ready=False)
    proxy.wait_log(lambda line: "listening on" in line)
    inside = []

    def lets_in() -> bool:
        inside.append(Client(socket.create_connection(("127.0.0.1", proxy.port), PATIENCE, source_address=("127.0.0.2", 0))))
        inside[-1].get("/health")
        own_engine.accept_waiting()
        return inside[-1].response().status == 200

    assert [lets_in() for _ in range(5)] == [True, True, False, False, False]
    for sender in inside:
        sender.close()
    samples = admin.wait_for(3, "limits_total", client="", limit=limit)
    assert samples.get_one("limits_total") == 3


def test_an_engine_that_is_gone_shows(served, own_engine: Engine) -> None:
    proxy, admin = served
    assert admin.metrics().get_one("upstream_up") == 1
    own_engine.stop()
    with proxy.connect() as client:
        client.get("/_ping")
        assert client.response().status == 502
    samples = admin.wait_for(1, "upstream_connect_failures_total")
    assert samples.get_one("upstream_up") == 0
    own_engine.start()
    assert admin.metrics().get_one("upstream_up") == 1


def test_handshakes_are_counted_by_their_result(start, own_engine: Engine, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    port, place = free_port(), free_port()
    env = {"TLS_CERT": pair.path, "TLS_KEY": pair.key, "LISTEN": f"tls://127.0.0.1:{port}", "ADMIN": f"tcp://127.0.0.1:{place}"}
    proxy = start(env=env, port=port)
    admin = Admin(place)
    with Client(socket.create_connection(("127.0.0.1", port), PATIENCE)) as client:
        client.get("/_ping")
        assert client.response().status == 400
    with connect(proxy, context(authority)):
        admin.wait_for(1, "tls_handshakes_total", result="ok")
    samples = admin.wait_for(1, "tls_handshakes_total", result="plain_http")
    assert samples.get_one("connections", listener=f"tls://127.0.0.1:{port}") <= 1


def test_the_process_tells_of_itself(served) -> None:
    proxy, admin = served
    samples = admin.metrics()
    resident = samples.get_one("process_resident_memory_bytes") / 1024
    assert 0.5 < resident / proxy.resident_kib() < 2
    assert abs(samples.get_one("process_open_fds") - proxy.open_files()) <= 4
    assert samples.get_one("process_max_fds") > 0
    assert samples.get_one("process_cpu_seconds_total") > 0
    assert samples.get_one("build_info") == 1
    started = samples.get_one("process_start_time_seconds")
    assert samples.get_one("config_last_success_timestamp_seconds") == started > 1_600_000_000


def test_every_row_of_the_table_is_in_the_text(served) -> None:
    _, admin = served
    text = admin.get("/metrics").body.decode()
    rows = re.findall(r'^METRIC\("(\w+)", (\w+)', (SOURCES / "metrics/metrics.def").read_text(), re.MULTILINE)
    assert len(rows) > 15
    for name, kind in rows:
        assert f"# TYPE {name} {kind.lower()}\n" in text


def test_openmetrics_is_for_whoever_asks_for_it(served) -> None:
    _, admin = served
    prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    response = admin.get("/metrics", f"Accept: {prometheus}")
    text = response.body.decode()
    assert response.header("Content-Type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    assert "# TYPE docker_socket_proxy_bytes counter\n" in text
    assert parse(text).get_one("build_info") == 1
    for accept in ["text/plain", "application/openmetrics-text;q=0.0, */*", "application/json"]:
        response = admin.get("/metrics", f"Accept: {accept}")
        assert response.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        assert b"# EOF" not in response.body


def test_no_client_makes_series(served, own_engine: Engine) -> None:
    """Whatever it sends, the labels have values of the configuration and the catalogue."""
    proxy, admin = served
    for number in range(50):
        with proxy.connect() as client:
            client.send(f"X{number} /nothing-{number} HTTP/1.1\r\nHost: h{number}\r\nX-Api-Key: k{number}\r\n\r\n".encode())
            assert client.response().status >= 400
    samples = admin.wait_for(50, "requests_total")
    series = [labels for (name, labels), value in samples.items() if name == "requests_total"]
    assert len(series) <= 3, series
    assert "nothing" not in admin.get("/metrics").body.decode()


def test_nothing_is_counted_without_an_admin_listener(start, own_engine: Engine) -> None:
    proxy = start()
    assert ask(proxy, own_engine, "/_ping") == 200
    assert "admin" not in proxy.log()
