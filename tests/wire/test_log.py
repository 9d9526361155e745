"""The request log: one line a request, with what an operator greps for, and nothing a client can
forge."""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from machine import free_port, has_ipv6
from operators import Admin
from wire import PATIENCE, Engine, Proxy


def one_line(proxy: Proxy, marker: str, since: int) -> str:
    line = proxy.wait_log(lambda line: marker in line, since, f"about {marker}")
    assert (
        sum(marker in other for other in proxy.lines[since:]) == 1
    ), "more than one line for a request"
    return line


def test_line_names_method_path_status_bytes_time_and_client(proxy: Proxy, engine: Engine) -> None:
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.post("/v1.41/containers/log-fields/kill?signal=HUP", b"")
        engine.request().respond(404, b"x" * 1234, reason="Not Found")
        assert client.response().status == 404
        line = one_line(proxy, "log-fields", since)
        words = re.split(r'[\s="]+', line)
        assert "POST" in words
        assert "/v1.41/containers/log-fields/kill" in line
        assert "signal=HUP" not in line, "a query may carry secrets: build arguments, labels"
        assert "404" in words
        assert re.search(r"\b1234\b", line), "bytes of the body sent to the client"
        assert f"127.0.0.1:{client.port}" in line or "127.0.0.1" in words
        assert re.search(r"\b\d+(\.\d+)?\s?ms\b|\bms=\d+(\.\d+)?\b", line), "milliseconds"


def test_a_browser_turned_away_is_a_denial(start, own_engine: Engine) -> None:
    """Who sent it may not know that he did, and a HEAD is told nothing but the status."""
    proxy = start("--log-level", "warning")
    with proxy.connect() as client:
        client.send(
            b"HEAD /containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nSec-Fetch-Site: none\r\n\r\n"
        )
        client.expect_refusal(403, to_head=True)
    line = proxy.wait_log(lambda line: "denied: " in line)
    assert "browsers: true" in line
    assert line.endswith("method=HEAD path=/containers/json client=127.0.0.1 denied=1")
    for _ in range(2):
        with proxy.connect() as client:
            client.get("/_ping", headers=["Sec-Fetch-Site: none"])
            client.expect_refusal(403)
    proxy.stop()
    again = [line for line in proxy.lines if "denied: " in line][1:]
    assert [line.split(" warning ")[-1] for line in again] == [
        "denied: browser again since then client=127.0.0.1 denied=2"
    ]


def test_a_head_that_is_refused_unread_leaves_its_method(proxy: Proxy, engine: Engine) -> None:
    """The client was told nothing but the status; a parenthesis ends what is a method."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.send(b"HEAD /log-unread HTTP/1.1\r\nHost: docker\r\nX : y\r\n\r\n")
        client.expect_refusal(400, to_head=True)
        name = f"client=127.0.0.1:{client.port} "
        line = proxy.wait_log(lambda line: name in line, since)
    assert " method=HEAD " in line
    assert 'reason="a field name is not a token' in line


def test_bytes_of_a_chunked_response_are_counted(proxy: Proxy, engine: Engine) -> None:
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.get("/log-chunked")
        request = engine.request()
        request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            request.conn.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        request.conn.send(b"0\r\n\r\n")
        request.conn.idle = True
        assert len(client.response().body) == 3000
    line = one_line(proxy, "/log-chunked", since)
    numbers = [int(number) for number in re.findall(r"\b\d+\b", line)]
    assert any(
        3000 <= number <= 3200 for number in numbers
    ), f"no count of about 3000 bytes in {line!r}"


def phase(line: str, name: str) -> float:
    match = re.search(rf" {name}=(\d+\.\d{{3}})(?= )", line)
    assert match, f"no {name}= in {line}"
    return float(match[1])


def test_line_says_how_long_each_phase_took(proxy: Proxy, engine: Engine) -> None:
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.get("/log-phases")
        request = engine.request()
        time.sleep(0.05)  # what the Engine takes to respond
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        client.read_response_head()
        time.sleep(0.05)  # and then for the body
        request.conn.send(b"OK")
        request.conn.idle = True
    line = one_line(proxy, "/log-phases", since)
    assert phase(line, "first") >= 50
    assert phase(line, "ms") >= phase(line, "first") + 50
    assert phase(line, "wait") + phase(line, "connect") < 50
    assert " end=" not in line, "it came to its end"


def test_time_for_a_body_that_is_judged_is_waiting(start, own_engine: Engine, tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "proxy.yaml"
    path.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: makes}}]\n"
                    "policies: {makes: {rules: [{allow: [container.create]}], create: {}}}\n")
    os.chmod(tmp_path, 0o755)
    proxy = start("-c", str(path), port=port)
    with proxy.connect() as client, own_engine.responding():
        body = b'{"Image":"busybox"}'
        client.send(b"POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
                    b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert client.read_response_head().status == 100
        time.sleep(0.1)  # a client that is slow
        client.send(body)
        assert client.response().status == 200
    line = proxy.wait_log(lambda line: "/containers/create" in line)
    assert phase(line, "wait") >= 100
    assert sum(phase(line, name) for name in ("wait", "connect", "first")) <= phase(line, "ms") + 0.002, "it counts once"


def test_a_local_response_has_no_phases_of_the_engine(start, own_engine: Engine) -> None:
    proxy = start("--policy", "deny")
    with proxy.connect() as client:
        client.get("/containers/json")
        assert client.response().status == 403
    line = proxy.wait_log(lambda line: "status=403" in line)
    assert " wait=" not in line and " connect=" not in line and " first=" not in line
    assert " end=proxy " in line


def by_the_client(client, request) -> None:
    client.close()
    request.conn.expect_gone()
    request.conn.close()


def by_the_engine(client, request) -> None:
    request.conn.close()
    client.expect_gone()


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nab",
], ids=["response", "tunnel"])
@pytest.mark.parametrize("ends", [by_the_client, by_the_engine])
def test_line_says_who_ended_the_exchange(proxy: Proxy, engine: Engine, head: bytes, ends) -> None:
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.post("/containers/log-ended/attach?stream=1", headers=["Connection: Upgrade", "Upgrade: tcp"])
        request = engine.request()
        request.conn.send(head)
        client.read_until(b"ab")
        ends(client, request)
    line = one_line(proxy, "log-ended", since)
    assert f" end={ends.__name__.removeprefix('by_the_')}" in line


def test_line_says_that_a_stop_ended_the_exchange(start, own_engine: Engine) -> None:
    proxy = start("--shutdown-grace", "0")
    with proxy.connect() as client:
        client.get("/events")
        own_engine.request().conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        client.read_until(b"ab")
        proxy.stop()
    assert " end=proxy" in next(line for line in proxy.lines if "path=/events" in line)


def test_forwarded_for_is_not_believed(proxy: Proxy, engine: Engine) -> None:
    """Anyone can write that header: the log names the address the connection came from."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.get(
            "/log-forwarded",
            headers=[
                "X-Forwarded-For: 203.0.113.9",
                "Forwarded: for=203.0.113.9",
                "X-Real-IP: 203.0.113.9",
            ],
        )
        engine.request().respond()
        client.response()
    line = one_line(proxy, "/log-forwarded", since)
    assert "127.0.0.1" in line
    assert "203.0.113.9" not in line


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")
def test_ipv6_client_is_named(proxy: Proxy, engine: Engine) -> None:
    since = len(proxy.lines)
    with proxy.connect("::1") as client:
        client.get("/log-ipv6")
        engine.request().respond()
        client.response()
    assert "::1" in one_line(proxy, "/log-ipv6", since)


def test_ipv4_client_is_not_written_as_mapped_ipv6(proxy: Proxy, engine: Engine) -> None:
    """grep 127.0.0.1 has to find it, ::ffff:127.0.0.1 is how the socket sees it."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.get("/log-ipv4")
        engine.request().respond()
        client.response()
    assert "::ffff" not in one_line(proxy, "/log-ipv4", since).lower()


@pytest.mark.parametrize(
    "target",
    [
        b"/log-forge\x1b[31mred",
        b"/log-forge\rGET /fake 200",
        b"/log-forge\x00x",
        b"/log-forge\x7f",
        b"/log-forge\nlevel=err msg=fake",
        b"/log-forge\x9b31m",
    ],
)
def test_control_bytes_never_reach_the_log(proxy: Proxy, target: bytes) -> None:
    """A line break would forge a line; an escape would run in the operator's terminal."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.send(b"GET " + target + b" HTTP/1.1\r\nHost: docker\r\n\r\n")
        client.expect_refusal(400)
    with proxy.connect() as client:  # a later line, so that all of the first are there
        client.send(b"BROKEN witness\r\n\r\n")
        client.expect_refusal(400)
    for line in proxy.lines[since:]:
        assert re.fullmatch(r"[\x20-\x7e]*", line), f"log line {line!r}"
        assert not line.startswith(("level=err", "GET /fake")), f"forged line {line!r}"


@pytest.mark.parametrize(("path", "status"), [("%22status=599", 200), ("%22%0astatus=599", 400)])
def test_quotes_and_escapes_in_a_path_stay_in_the_path(
    proxy: Proxy, engine: Engine, path: str, status: int
) -> None:
    """A path may not end its own field and add others, be it forwarded or refused."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.get(f'/log-quote{path}?x="status=597')
        if status == 200:
            engine.request().respond()
        assert client.response().status == status
    line = one_line(proxy, "/log-quote", since)
    assert re.search(rf"\b{status}\b", line)
    assert not re.search(r"(^|\s)status=599", line.replace('\\"', ""), re.M), line


def test_refused_request_is_logged_once(proxy: Proxy) -> None:
    """Who looks why a client fails finds the reason, with the client's address."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.send(b"GET /log-refused HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        client.expect_refusal(400)
        port = client.port
    line = proxy.wait_log(lambda line: "status=400" in line and f":{port}" in line, since, "about it")
    assert "127.0.0.1" in line
    assert sum(f":{port}" in other or "log-refused" in other for other in proxy.lines[since:]) == 1


def test_bytes_of_a_response_of_our_own_are_those_of_its_body(proxy: Proxy) -> None:
    """What the log says was sent is what came."""
    since = len(proxy.lines)
    with proxy.connect() as client:
        client.send(b"GET /log-own HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        response = client.response()
        port = client.port
    line = proxy.wait_log(lambda line: f":{port}" in line, since, "about it")
    assert f" bytes={len(response.body)} " in line


def test_json_format_is_one_object_a_line(start, own_engine: Engine) -> None:
    """LOG_FORMAT=json feeds a collector: every line parses, hostile paths included."""
    import json

    proxy = start(env={"LOG_FORMAT": "json"})
    with proxy.connect() as client:
        client.get('/log-json%22%20x?y="\\')
        own_engine.request().respond(body=b"four")
        client.response()
    proxy.wait_log(lambda line: "log-json" in line, what="about the request")
    proxy.stop()
    records = [json.loads(line) for line in proxy.lines]
    record = next(record for record in records if record.get("path", "").startswith("/log-json"))
    assert record["path"] == "/log-json%22%20x"
    assert (record["method"], record["status"], record["bytes"]) == ("GET", 200, 4)
    assert record["ms"] >= 0
    assert "127.0.0.1" in record["client"]


PULL = "/v1.41/images/create?fromImage=ghcr.io%2Fowner%2Fapp&tag=3.19&platform=linux%2Famd64"
BUILD = (
    "/v1.41/build?t=team%2Fapp%3A1&buildargs=%7B%22TOKEN%22%3A%22hunter2%22%7D"
    "&labels=%7B%22pw%22%3A%22hunter2%22%7D&remote=https%3A%2F%2Fme%3Ahunter2%40host%2Fx.git"
)


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        (PULL, {"image": "ghcr.io/owner/app:3.19"}),
        ("/images/create?fromImage=alpine&tag=sha256%3Aab", {"image": "alpine@sha256:ab"}),
        ("/images/create?fromSrc=https%3A%2F%2Fme%3Ahunter2%40h%2Fx.tar&repo=new", {"image": "new"}),
        ("/v1.41/containers/create?name=web&platform=x", {"name": "web"}),
        ("/containers/a/rename?name=b", {"name": "b"}),
        ("/images/a/tag?repo=b&tag=c", {"image": "b:c"}),
        ("/commit?container=a&repo=b&author=hunter2&comment=hunter2", {"name": "a", "image": "b"}),
        (BUILD, {"image": "team/app:1"}),
        ("/containers/create?name=%22+status%3D200%0a%1b[", {"name": "%22%20status%3D200%0A%1B%5B"}),
        ("/containers/create?name=" + "n" * 300, {"name": "n" * 128}),
        ("/containers/create?name=", {}),
        ("/foo?name=hunter2&fromImage=hunter2&repo=hunter2&t=hunter2", {}),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_query_is_about_is_in_the_log(
    start, own_engine: Engine, target: str, fields: dict[str, str], form: str
) -> None:
    """Which image was pulled yesterday? But nothing of a query that may be a secret."""
    import json

    proxy = start(env={"LOG_FORMAT": form})
    with own_engine.responding(), proxy.connect() as client:
        client.post(target, b"")
        client.response()
    line = proxy.wait_log(lambda line: target.partition("?")[0] in line, what="about the request")
    if form == "json":
        record = json.loads(line)
        assert {key: record[key] for key in ("name", "image") if key in record} == fields
    else:
        assert dict(re.findall(r" (name|image)=(\S+)", line)) == fields
    assert "hunter2" not in line


def test_a_denial_has_fields_for_collectors(start, own_engine: Engine) -> None:
    """Nobody has to cut the operation, the rule or the remedy out of a sentence."""
    import json

    proxy = start("--policy", "read-only", env={"LOG_FORMAT": "json"})
    with proxy.connect() as client:
        client.post("/v1.41/images/create?fromImage=alpine&tag=3", b"")
        message = json.loads(client.response().body)["message"]
    denial = json.loads(proxy.wait_log(lambda line: '"denied: image.pull' in line))
    assert denial["message"] == f"denied: {message}"
    assert (denial["op"], denial["policy"], denial["image"]) == ("image.pull", "read-only", "alpine:3")
    assert (denial["method"], denial["path"]) == ("POST", "/v1.41/images/create")
    assert (denial["client"], denial["denied"], denial["level"]) == ("127.0.0.1", 1, "warning")
    assert f"To allow it, {denial['advice']}." in message
    line = json.loads(proxy.wait_log(lambda line: '"status":403' in line))
    assert (line["image"], line["outcome"]) == ("alpine:3", "denied")
    assert "rule" not in line, "none fitted"


def test_the_rule_that_denied_is_a_field(start, own_engine: Engine, tmp_path) -> None:
    import json

    file = tmp_path / "p.yaml"
    file.write_text('policies: {p: {rules: [{deny: [image.pull]}, {allow: ["*"]}]}}\n')
    proxy = start("-c", str(file), "--policy", "p", env={"LOG_FORMAT": "json"})
    with proxy.connect() as client:
        client.post("/images/create?fromImage=alpine", b"")
        client.response()
    denial = json.loads(proxy.wait_log(lambda line: '"denied: image.pull' in line))
    line = json.loads(proxy.wait_log(lambda line: '"status":403' in line))
    assert denial["rule"] == line["rule"] == "deny: [image.pull]"


def test_lines_are_in_the_order_of_time(start, own_engine: Engine) -> None:
    """A denial does not stand in front of what was allowed before it."""
    denied = ["/secrets", "/configs", "/swarm/unlockkey", "/containers/a/export", "/containers/a/archive"]
    proxy = start("--policy", "read-only", "--workers", "1")
    with own_engine.responding(), proxy.connect() as client:
        for target in denied:
            client.get("/_ping")
            assert client.response().status == 200
            client.get(target)
            assert client.response().status == 403
    proxy.stop()
    lines = [line for line in proxy.lines if "denied: " in line or "method=" in line]
    about = [re.search(r" path=(\S+)", line)[1] for line in lines]
    assert about == [path for target in denied for path in ("/_ping", target, target)]
    times = [line.split()[0] for line in proxy.lines]
    assert times == sorted(times)


def test_lines_of_all_workers_are_in_the_order_of_time(start, own_engine: Engine) -> None:
    """Of requests, and of what is said between them; whichever worker serves."""
    proxy = start("--policy", "read-only", "--workers", "4")

    def ask(number: int) -> None:
        with proxy.connect() as client:
            for target in ("/_ping", "/secrets") * 25:
                client.get(target)
                client.response()

    with own_engine.responding(), ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(16)))
    proxy.stop()
    times = [line.split()[0] for line in proxy.lines]
    assert len(times) > 16 * 50
    assert times == sorted(times)


def test_warning_level_is_quiet_about_requests(start, own_engine: Engine) -> None:
    proxy = start(env={"LOG_LEVEL": "warning"})
    with proxy.connect() as client:
        client.get("/log-level")
        own_engine.request().respond()
        client.response()
    proxy.stop()
    assert "log-level" not in proxy.log()


def test_log_that_nobody_reads_costs_lines_and_no_requests(start, own_engine: Engine) -> None:
    """docker logs stuck, a paused terminal: the proxy goes on, and says later what is missing."""
    count, place = 500, free_port()
    reader, writer = os.pipe()
    proxy = start("--workers", "1", env={"ADMIN": f"tcp://127.0.0.1:{place}"}, stdout=writer, stderr=writer)
    os.close(writer)
    target = "/log-stuck" + "x" * 300
    with own_engine.responding(), proxy.connect() as client:
        for _ in range(count):
            client.get(target)
            assert client.response().status == 200
    log = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while b" lines of the log were lost" not in log:
            assert select.select([pipe], [], [], PATIENCE)[0], f"nothing more: {log[-500:]!r}"
            piece = pipe.read(4096)
            assert piece, f"the end, and no word about lost lines: {log[-500:]!r}"
            log += piece
            time.sleep(0.06)  # a slow reader: the proxy has filled the pipe again, to its last line
        counted = Admin(place).metrics().get_one("log_lost_total")
        proxy.stop()
        log += pipe.read(1 << 20) or b""
    lost = int(re.search(rb"(\d+) lines of the log were lost", log)[1])
    assert lost > 0
    assert log.count(b"path=/log-stuck") + lost == count
    assert counted == lost


def test_a_file_gets_every_line(start, own_engine: Engine, tmp_path: Path) -> None:
    """A file is written in larger pieces than a pipe, and takes them all."""
    path = tmp_path / "log"
    with open(path, "wb") as file:
        proxy = start("--workers", "2", "--policy", "deny", stdout=file, stderr=file)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.connect()) for _ in range(16)]
        for number in range(100):
            for client in clients:
                client.get(f"/{number}/" + "x" * 300)
            for client in clients:
                assert client.response().status == 403
    proxy.stop()
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"", "the last line is whole"
    assert sum(b" info method=GET " in line for line in lines) == 1600
    assert all(re.match(rb"2\d{3}-\d\d-\d\dT", line) for line in lines)


def test_log_that_is_hardly_read_keeps_no_worker_waiting(start, own_engine: Engine) -> None:
    """Several workers see room for one write at the same time: it is not there for all of them."""
    reader, writer = os.pipe()
    proxy = start("--workers", "4", "--policy", "deny", stdout=writer, stderr=writer)
    os.close(writer)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reader)
        clients = [stack.enter_context(proxy.connect()) for _ in range(32)]
        for _ in range(3000):
            for client in clients:
                client.get("/" + "x" * 400)
            for client in clients:
                assert client.response().status == 403
            if select.select([reader], [], [], 0)[0]:
                os.read(reader, 4096)  # room for one write
