"""Answers that a policy redacts: what is hidden never arrives, and everything else arrives as it was sent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from machine import free_port
from wire import Client, Engine, Proxy, Request, chunk, run_binary

Start = Callable[..., Proxy]
JSON = "Content-Type: application/json"
INSPECT = "/v1.41/containers/web/json"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

FILE = """\
listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ci}}]
policies:
  base: {{redact: ['labels:com.secret.*']}}
  ci:
    extends: [base]
    mode: {mode}
    rules: [{{allow: [{rules}]}}]
    redact: [{words}]
"""


@pytest.fixture
def redacting(start: Start, tmp_path: Path) -> Callable[..., Proxy]:
    """A proxy whose policy hides values in answers."""
    os.chmod(tmp_path, 0o755)

    def start_one(words: str = "env", *args: str, mode: str = "enforce", rules: str = "'*'", **options) -> Proxy:
        port = free_port()
        path = tmp_path / f"{port}.yaml"
        path.write_text(FILE.format(port=port, mode=mode, words=words, rules=rules))
        return start("-c", str(path), *args, port=port, **options)

    return start_one


def answer(request: Request, body: bytes, status: int = 200, headers: Iterable[str] = (JSON,)) -> None:
    request.respond(status, body, headers)


def ask(client: Client, engine: Engine, body: object, target: str = INSPECT) -> object:
    """What a client gets of a document that the Engine answers with."""
    client.get(target)
    answer(engine.request(), body if isinstance(body, bytes) else json.dumps(body).encode())
    return json.loads(client.response().body)


# What is hidden


def test_values_of_the_environment_are_hidden(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting().connect() as client:
        sent = {"Id": "1", "Config": {"Env": ["A=secret", "B=", "C", "D=x=y"], "Cmd": ["secret"]}}
        assert ask(client, own_engine, sent) == {
            "Id": "1",
            "Config": {"Env": ["A=redacted", "B=", "C", "D=redacted"], "Cmd": ["secret"]},
        }


def test_a_policy_hides_what_it_extends_hides(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting().connect() as client:
        sent = {"Config": {"Env": ["A=secret"], "Labels": {"com.secret.a": "secret", "com.a": "b"}}}
        assert ask(client, own_engine, sent) == {
            "Config": {"Env": ["A=redacted"], "Labels": {"com.secret.a": "redacted", "com.a": "b"}}
        }


def test_a_policy_that_observes_hides_too(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting(mode="observe", rules="system.ping").connect() as client:
        assert ask(client, own_engine, {"Env": ["A=secret"]}) == {"Env": ["A=redacted"]}


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/containers/web/top", ["root", "1", "0", "0", "20:59", "?", "00:00:00", "redacted"]),
        ("/containers/web/top?ps_args=-ef", ["root", "1", "0", "0", "20:59", "?", "00:00:00", "redacted"]),
        ("/containers/web/top?ps_args=axeww", ["redacted"] * 8),
        ("/containers/web/top?ps_args=-o+args%3DPID", ["redacted"] * 8),
        ("/containers/web/top?PS_ARGS=axeww", ["redacted"] * 8),
        ("/containers/web/top?ps_args=-ef&ps_args=axeww", ["redacted"] * 8),
    ],
)
def test_processes_show_no_command(
    redacting: Callable[..., Proxy], own_engine: Engine, target: str, shown: list[str]
) -> None:
    titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    line = ["root", "1", "0", "0", "20:59", "?", "00:00:00", "sh A=secret"]
    with redacting().connect() as client:
        sent = {"Titles": titles, "Processes": [line, line]}
        assert ask(client, own_engine, sent, target) == {"Titles": titles, "Processes": [shown, shown]}


def test_an_error_shows_no_command(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting("args").connect() as client:
        client.post("/containers/web/start")
        answer(own_engine.request(), b'{"message":"exec: \\"secret\\": not found"}\n', 500)
        response = client.response()
        assert (response.status, response.body) == (500, b'{"message":"redacted"}\n')
        client.get(INSPECT)
        answer(own_engine.request(), b"No such container: web\n", 404, ["Content-Type: text/plain"])
        assert client.response().body == b"No such container: web\n"


@pytest.mark.parametrize("word", ["env", "args", "mounts", "options"])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/containers/web/top?ps_args=-oargs%3DA%0CPID"),
        ("GET", "/containers/web/archive?path=/v"),
        ("PUT", "/containers/web/archive?path=/v"),
        ("POST", "/exec/1/start"),
    ],
)
def test_a_failure_of_the_engine_shows_nothing(
    redacting: Callable[..., Proxy], own_engine: Engine, word: str, method: str, target: str
) -> None:
    """The Engine quotes what it could not mount or read; what it does not find it only names."""
    with redacting(word).connect() as client:
        for status, shown in ((500, b'{"message":"redacted"}'), (404, b'{"message":"secret"}')):
            client.send(f"{method} {target} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
            answer(own_engine.request(), b'{"message":"secret"}', status)
            response = client.response()
            assert (response.status, response.body) == (status, shown)


def test_waiting_shows_no_command(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    """docker run starts the container when it has the head of this response."""
    with redacting("args").connect() as client:
        client.post("/containers/web/wait?condition=next-exit")
        with own_engine.request().conn as conn:
            conn.send(CHUNKED)
            assert client.read_response_head().status == 200
            conn.send(chunk(b'{"Error":{"Message":"exec: secret"},"StatusCode":127}\n') + chunk(b""))
            client.expect(chunk(b'{"Error":{"Message":"redacted"},"StatusCode":127}\n') + chunk(b""))


# How it arrives


def test_a_whole_answer_has_its_length(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting().connect() as client:
        client.get(INSPECT)
        with own_engine.request().conn as conn:
            conn.send(CHUNKED + chunk(b'{"Env":["A=sec') + chunk(b'ret"]}\n') + chunk(b""))
            response = client.response()
            assert response.header("Transfer-Encoding") is None
            assert response.header("Content-Length") == str(len(response.body))
            assert response.body == b'{"Env":["A=redacted"]}\n'


def test_a_long_list_is_cut_into_chunks(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    count = 20000
    with redacting("mounts").connect() as client:
        client.get("/volumes")
        sent = {"Volumes": [{"Name": str(n), "Mountpoint": "/secret"} for n in range(count)]}
        answer(own_engine.request(), json.dumps(sent).encode())
        response = client.response()
        assert response.header("Transfer-Encoding") == "chunked"
        assert response.header("Content-Length") is None
        assert json.loads(response.body) == {
            "Volumes": [{"Name": str(n), "Mountpoint": "redacted"} for n in range(count)]
        }
        assert ask(client, own_engine, {"Mountpoint": "/a"}, "/volumes/a") == {"Mountpoint": "redacted"}


def test_a_growing_answer_has_room(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting("args").connect() as client:
        for size in (10, 1000, 5000, 100000):
            assert ask(client, own_engine, {"Cmd": ["a"] * size}) == {"Cmd": ["redacted"] * size}


@pytest.mark.parametrize("target", [INSPECT, "/events"])
def test_a_growing_answer_waits_for_half_a_line_of_framing(
    redacting: Callable[..., Proxy], own_engine: Engine, target: str
) -> None:
    """The size of the next chunk is cut where the proxy reads, while bytes before it wait for room."""
    sent, hidden = (json.dumps({"Cmd": [word] * 3000}).encode() for word in ("a", "redacted"))
    with redacting("args").connect() as client:
        client.get(target)
        with own_engine.request().conn as conn:
            conn.send(CHUNKED + chunk(sent) + b"1")
            client.read_response_head()
            conn.send(b"2\r\n" + b'{"Cmd":["secret"]}' + b"\r\n" + chunk(b""))
            assert client.read_chunks() == hidden + b'{"Cmd":["redacted"]}'


def test_events_go_out_at_once(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting("args").connect() as client:
        client.get("/events")
        with own_engine.request().conn as conn:
            conn.send(CHUNKED)
            client.read_response_head()
            for _ in range(3):
                conn.send(chunk(b'{"status":"exec_create: sh secret","Action":"health_status: healthy"}\n'))
                line = b'{"status":"exec_create: redacted","Action":"health_status: healthy"}\n'
                client.expect(chunk(line))
            client.expect_silence()


def test_an_old_client_gets_it_until_the_end(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    body = json.dumps({"Env": ["A=secret"] * 10000}).encode()
    with redacting().connect() as client:
        client.get(INSPECT, version="1.0")
        answer(own_engine.request(), body)
        head, _, shown = client.read_to_end().partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert json.loads(shown) == {"Env": ["A=redacted"] * 10000}


def test_what_has_no_body_is_left_alone(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting().connect() as client:
        client.post("/containers/web/start")
        own_engine.request().respond(204)
        assert client.response().status == 204


# What cannot be read


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Type: text/plain"], b'{"Env":["A=secret"]}'),
        ([], b'{"Env":["A=secret"]}'),
        ([JSON, "Content-Encoding: gzip"], b'{"Env":["A=secret"]}'),
        ([JSON], b"secret"),
        ([JSON], b'{"Env":["A=secret"]'),
        ([JSON], b'{"Env":["A=secret"]}}'),
        ([JSON], b'{"Env":"A=secret'),
        ([JSON], b"[" * 65 + b"]" * 65),
    ],
)
def test_what_cannot_be_read_is_not_sent(
    redacting: Callable[..., Proxy], own_engine: Engine, headers: list[str], body: bytes
) -> None:
    with redacting().connect() as client:
        client.get(INSPECT)
        answer(own_engine.request(), body, headers=headers)
        response = client.response()
        assert response.status == 502
        assert "the policy redacts" in response.message()
        assert b"secret" not in response.body


def test_an_answer_that_ends_too_early_is_not_sent(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    with redacting().connect() as client:
        client.get(INSPECT)
        with own_engine.request().conn as conn:
            conn.send(CHUNKED + chunk(b'{"Id":"1"'))
        assert client.response().status == 502


def test_a_list_that_goes_wrong_is_cut(redacting: Callable[..., Proxy], own_engine: Engine) -> None:
    proxy = redacting("env", "--log-level", "info")
    with proxy.connect() as client:
        client.get("/containers/json")
        good = json.dumps([{"Id": str(n)} for n in range(20000)]).encode()
        answer(own_engine.request(), good + b"secret")
        client.expect_gone()
        received = client.take(len(client.buffer))
        assert b"secret" not in received
        assert b"\r\n0\r\n\r\n" not in received
    proxy.wait_log(lambda line: "the policy redacts" in line, what="why it was cut")


# What is said about it


def test_check_and_explain_say_what_is_hidden(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "policy: a\npolicies:\n  b: {redact: ['labels:x*']}\n"
        "  a: {extends: [b], redact: env, rules: [{allow: [container.*]}]}\n"
    )
    shown = run_binary("check", "-c", str(path)).stdout
    assert "(redacts)          env, labels:x*\n" in shown
    assert "but cannot redact: container.logs, container.export, container.archive_get," in shown
    shown = run_binary("explain", "-c", str(path), "GET /containers/web/json").stdout
    assert "\nredacts: env, labels:x*\n" in shown
    shown = run_binary("explain", "-c", str(path), "GET /containers/web/logs").stdout
    assert "\nredacts: nothing: the response is bytes" in shown
    assert "redacts" not in run_binary("explain", "-c", str(path), "POST /containers/web/stop").stdout
