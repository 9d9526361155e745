"""Bodies that a policy looks into: what reaches the Engine is what was judged, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from wire import Client, Engine, Proxy, chunk, eventually, ping_passes

Start = Callable[..., Proxy]
JSON = ("Content-Type: application/json",)
CREATE = "/v1.41/containers/create"
MIB = 1024 * 1024

FILE = """\
listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ci}}]
policies:
  ci:
    mode: {mode}
    rules: [{{allow: [container.*, exec.*, system.*]}}]
    create: {{bind_sources: [/srv/ci]}}
    exec: {{commands: [ls]}}
"""


@pytest.fixture
def guarded(start: Start, tmp_path: Path) -> Callable[..., Proxy]:
    """A proxy whose policy looks into creates."""
    os.chmod(tmp_path, 0o755)

    def start_one(mode: str = "enforce", *args: str, **options) -> Proxy:
        port = free_port()
        path = tmp_path / f"{port}.yaml"
        path.write_text(FILE.format(port=port, mode=mode))
        return start("-c", str(path), *args, port=port, **options)

    return start_one


def body_of(**members: object) -> bytes:
    return json.dumps({"Image": "busybox"} | members).encode()


def passes(client: Client, engine: Engine, sent: bytes, arrived: bytes | None = None) -> None:
    """The Engine gets the document, with a length of its own; its response comes back."""
    request = engine.request()
    assert request.line == f"POST {CREATE} HTTP/1.1"
    assert request.header("Transfer-Encoding") is None
    assert request.header("Content-Length") == str(len(request.body))
    assert request.header("Content-Type") == "application/json"
    assert request.body == (arrived if arrived is not None else sent)
    request.respond(201, b'{"Id":"1"}')
    assert client.response().status == 201


# What arrives


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        (b'{"Image":"busybox"}', b'{"Image":"busybox"}'),
        (b' {"Image" :\t"busy\\u0062ox",\r\n"Env": [ ] } \n', b'{"Image":"busybox","Env":[]}'),
        (b'{"image":"a\\n\\"","Cmd":null}', b'{"image":"a\\n\\"","Cmd":null}'),
        ('{"Image":"é"}'.encode(), '{"Image":"é"}'.encode()),
    ],
)
def test_a_body_is_written_anew(
    guarded: Callable[..., Proxy], own_engine: Engine, sent: bytes, arrived: bytes
) -> None:
    with guarded().connect() as client:
        client.post(CREATE, sent, JSON)
        passes(client, own_engine, sent, arrived)
        ping_passes(client, own_engine)


@pytest.mark.parametrize("size", [10, 3000, 20_000, 300_000, MIB - 100])
def test_a_body_of_any_size_passes_with_a_length_or_in_chunks(
    guarded: Callable[..., Proxy], own_engine: Engine, size: int
) -> None:
    body = b'{"Image":"busybox","Cmd":["' + b"x" * size + b'"]}'
    with guarded().connect() as client:
        client.post(CREATE, body, JSON)
        passes(client, own_engine, body)
        head = f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nTransfer-Encoding: chunked\r\n\r\n"
        step = max(1, size // 7)
        chunks = b"".join(chunk(body[at : at + step]) for at in range(0, len(body), step))
        client.send(head.encode() + chunks + b"0\r\nX: y\r\n\r\n")
        passes(client, own_engine, body)
        ping_passes(client, own_engine)


def test_a_body_may_come_byte_by_byte_and_requests_may_follow(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    body = body_of(Cmd=["a" * 50])
    head = f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ping = b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n"
    compact = body.replace(b": ", b":").replace(b", ", b",")
    with guarded().connect() as client:
        framed = b"".join(chunk(body[at : at + 1]) for at in range(len(body)))
        client.send_slowly(head.encode() + framed + b"0\r\n\r\n" + ping, step=7)
        passes(client, own_engine, body, compact)
        request = own_engine.request()
        assert request.line == "GET /_ping HTTP/1.1"
        request.respond(200, b"OK")
        assert client.response().body == b"OK"


def test_who_waits_for_a_sign_gets_it_and_the_engine_is_not_asked(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    body = b'{"Image":"busybox"}'
    with guarded().connect() as client:
        client.send(
            f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(body)
        request = own_engine.request()
        assert request.header("Expect") is None
        assert request.body == body
        request.respond(201, b"{}")
        assert client.response().status == 201


# What does not


HOST = '{"Image":"a","HostConfig":{"Privileged":true}}'
REFUSED = {
    "privileged": (HOST.encode(), JSON, "/HostConfig/Privileged: privileged mode"),
    "no body": (b"", JSON, "must have a body"),
    "no type": (b"{}", (), "must be application/json"),
    "another type": (b"{}", ("Content-Type: text/plain",), "must be application/json"),
    "encoded": (b"{}", (*JSON, "Content-Encoding: gzip"), "must not have a Content-Encoding"),
    "byte order mark": (b"\xef\xbb\xbf{}", JSON, "byte order mark"),
    "trailing": (b"{}{}", JSON, "something follows"),
    "cut": (b'{"a":', JSON, "not complete"),
    "list": (b"[]", JSON, "must be an object"),
    "twice": (b'{"Image":"a","image":"b"}', JSON, "equal apart from the case"),
    "long s": ('{"Ho\u017ftConfig":{}}'.encode(), JSON, "or outside ASCII"),
    "surrogate": (b'{"Image":"\\ud800"}', JSON, "surrogate"),
    "UTF-8": (b'{"Image":"\xff"}', JSON, "not UTF-8"),
    "deep": (b'{"Image":' + b"[" * 100 + b"]" * 100 + b"}", JSON, "nested deeper than 64"),
    "unknown": (b'{"Image":"a","New":{}}', JSON, "/New: this version does not know the field"),
    "top level": (b'{"Image":"a","Privileged":true}', JSON, "/Privileged: belongs into HostConfig"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_is_not_allowed_never_reaches_the_engine(
    guarded: Callable[..., Proxy], own_engine: Engine, name: str
) -> None:
    body, headers, reason = REFUSED[name]
    with guarded().connect() as client:
        client.post(CREATE, body, headers)
        response = client.response()
        assert response.status == 403
        assert response.message().startswith("container.create: policy 'ci' does not allow this")
        assert reason in response.message()
        ping_passes(client, own_engine)


def test_four_reasons_are_shown_and_the_rest_are_counted(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    body = body_of(HostConfig={"Binds": [f"/etc/{n}:/x" for n in range(9)]})
    proxy = guarded()
    with proxy.connect() as client:
        client.post(CREATE, body, JSON)
        message = client.response().message()
    assert "/HostConfig/Binds/3: " in message and "/HostConfig/Binds/4: " not in message
    assert "; and 5 more. To allow it, set in 'create' at " in message
    assert "bind_sources: [/srv/ci, /etc/0, /etc/1" in message
    proxy.wait_log(lambda line: "denied: container.create: policy 'ci'" in line)


def test_old_versions_of_the_api_are_not_understood(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    with guarded().connect() as client:
        client.post("/v1.23/containers/create", b'{"Image":"a"}', JSON)
        assert "before 1.24" in client.response().message()
        client.post("/v1.23/containers/a/start", b'{"Privileged":true}', JSON)
        response = client.response()
        assert response.status == 403
        assert response.message().startswith("container.start_with_config: ")
        ping_passes(client, own_engine)


def test_a_name_with_slashes_is_no_way_around_a_block(
    start: Start, own_engine: Engine, tmp_path: Path
) -> None:
    """No row of the catalogue fits, and the Engine serves it by one: a link is called app/db."""
    port = free_port()
    os.chmod(tmp_path, 0o755)
    path = tmp_path / "proxy.yaml"
    path.write_text(FILE.format(port=port, mode="enforce").replace("container.*, exec.*, system.*", "'*'"))
    with start("-c", str(path), port=port).connect() as client:
        for target in ("containers/app/db/exec", "networks/x/y/connect", "containers/a/b/update"):
            client.post(f"/v1.41/{target}", b"{}", JSON)
            response = client.response()
            assert response.status == 403
            assert "where a name has a slash" in response.message()
        ping_passes(client, own_engine)


def test_observed_bodies_pass_and_are_recorded(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = guarded("observe")
    with proxy.connect() as client:
        for sent, arrived in [
            (HOST.encode(), HOST.encode()),
            (b'{"Image": "a"}trailing', b'{"Image": "a"}trailing'),
        ]:
            client.post(CREATE, sent, JSON)
            passes(client, own_engine, sent, arrived)
        client.post(CREATE, b"text", ("Content-Type: text/plain",))
        request = own_engine.request()
        assert request.body == b"text"
        request.respond(400, b"{}")
        assert client.response().status == 400
    line = proxy.wait_log(lambda line: "would deny: container.create" in line)
    assert "/HostConfig/Privileged" in line


# Queries


def test_the_query_of_a_build_is_looked_into(
    start: Start, own_engine: Engine, tmp_path: Path
) -> None:
    """The context streams on; what a build may do stands in its query."""
    port = free_port()
    os.chmod(tmp_path, 0o755)
    path = tmp_path / "proxy.yaml"
    path.write_text(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ci}}]\n"
        "policies:\n  ci:\n    rules: [{allow: [image.*, system.*]}]\n"
        "    build: {tags: ['ci/*']}\n    image: {pull: [busybox]}\n"
    )
    tar = ("Content-Type: application/x-tar",)
    proxy = start("-c", str(path), port=port)
    with proxy.connect() as client:
        client.post("/v1.41/build?t=ci%2Fapp&networkmode=host", b"tar", tar)
        response = client.response()
        assert response.status == 403
        assert "?networkmode: network of a build 'host' is not allowed" in response.message()
        client.post("/v1.41/images/create?fromImage=alpine&tag=1")
        assert "pull of the image 'alpine:1' is not allowed" in client.response().message()
        client.post("/v1.41/images/load", b"tar", tar)
        assert "image.load: policy 'ci' does not allow this" in client.response().message()
        for size in (3, 3 * MIB):
            client.post("/v1.41/build?t=ci%2Fapp", b"t" * size, tar)
            request = own_engine.request()
            assert request.line == "POST /v1.41/build?t=ci%2Fapp HTTP/1.1"
            assert request.body == b"t" * size
            request.respond(200, b"{}")
            assert client.response().status == 200
        ping_passes(client, own_engine)


# Ceilings


def test_a_body_above_the_ceiling_is_refused(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    body = b'{"Image":"' + b"x" * MIB + b'"}'
    proxy = guarded()
    with proxy.connect() as client:
        client.send(
            f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        response = client.response()
        assert response.status == 413
        assert "up to 1 MiB" in response.message()
    with proxy.connect() as client, contextlib.suppress(OSError):
        client.send(
            f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + chunk(body)
        )
        assert client.response().status == 413
    assert own_engine.received() == b""


def test_large_bodies_at_once_have_a_ceiling(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    """32 of them, by all threads together; those that are small do not count."""
    proxy = guarded("enforce", "--workers", "1")
    head = f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nContent-Length: 900000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(proxy.connect()) for _ in range(32)]
        for client in held:
            client.send(head.encode() + b'{"Image":"' + b"x" * 100_000)
        eventually(lambda: all(client._taken() for client in held), "the bodies were taken")
        with proxy.connect() as client:
            client.send(head.encode() + b'{"Image":"' + b"x" * 100_000)
            response = client.response()
            assert response.status == 503
            assert response.header("Retry-After") == "1"
            assert "too many large bodies" in response.message()
        with proxy.connect() as client:
            client.post(CREATE, b'{"Image":"a"}', JSON)
            passes(client, own_engine, b'{"Image":"a"}')
        held[0].close()
    with proxy.connect() as client:
        body = b'{"Image":"a","Cmd":["' + b"x" * 500_000 + b'"]}'
        client.post(CREATE, body, JSON)
        passes(client, own_engine, body)


def test_a_client_that_leaves_within_its_body_leaves_nothing(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = guarded()
    with proxy.connect() as client:
        client.send(
            f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        client.finish_sending()
        client.expect_end()
    proxy.wait_log(lambda line: "the connection ended before the response" in line)
    assert own_engine.received() == b""


def test_a_body_must_arrive_in_time(guarded: Callable[..., Proxy], own_engine: Engine) -> None:
    with guarded("enforce", "--head-timeout", "1").connect() as client:
        client.send(
            f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        response = client.response()
        assert response.status == 408
        assert "did not arrive in time (--head-timeout)" in response.message()
    assert own_engine.received() == b""


def test_other_reasons_of_the_same_operation_have_their_own_line(
    guarded: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = guarded()
    with proxy.connect() as client:
        for host in ({"Privileged": True}, {"CapAdd": ["ALL"]}, {"Privileged": True}):
            client.post(CREATE, body_of(HostConfig=host), JSON)
            assert client.response().status == 403
    proxy.wait_log(lambda line: "denied: container.create" in line and "/CapAdd/0" in line)
    denied = [line for line in proxy.lines if "denied: container.create" in line]
    assert len(denied) == 2
    assert 'reason="denied by a block of the policy"' in proxy.log()


def test_malformed_chunks_are_refused(guarded: Callable[..., Proxy], own_engine: Engine) -> None:
    with guarded().connect() as client:
        client.send(
            f"POST {CREATE} HTTP/1.1\r\nHost: a\r\n{JSON[0]}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode()
        )
        client.expect_refusal(400)
    assert own_engine.received() == b""


# The document


def test_the_example_of_the_document_serves_as_it_says(
    start: Start, own_engine: Engine, tmp_path: Path
) -> None:
    """docs/looking-inside.md: the smallest policy for a CI runner, its two bodies, and the denial."""
    text = (Path(__file__).parents[2] / "docs/looking-inside.md").read_text()
    file = re.search(r"^```yaml\n(policy: .*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    bodies = dict(re.findall(r"^\$ cat (\w+\.json)\n(.*)\n", text, re.MULTILINE))
    denial = re.search(r"^```\n(container\.create: .*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    path = tmp_path / "proxy.yaml"
    path.write_text(file)
    os.chmod(tmp_path, 0o755)
    with start("-c", str(path)).connect() as client:
        client.post(CREATE, bodies["body.json"].encode(), JSON)
        response = client.response()
        assert response.status == 403
        assert response.message().replace(str(path), "proxy.yaml") == " ".join(denial.split())
        client.post(CREATE, bodies["allowed.json"].encode(), JSON)
        passes(client, own_engine, json.dumps(json.loads(bodies["allowed.json"]), separators=(",", ":")).encode())
