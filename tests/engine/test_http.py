"""HTTP as clients other than docker's own speak it: versions, pipelines, expectations, sizes."""

import base64
import json
import os

import pytest
import way
import wire
from client import curl
from conftest import await_handlers
from test_files import contents, tar_of

MEGABYTE = 1 << 20
KIBIBYTE = 1 << 10


@pytest.mark.parametrize("path", ["/_ping", "/v1.41/_ping"])
def test_head_ping(same, path):
    """The first request of every docker client: headers that negotiate the version, no body."""

    def act(target) -> tuple:
        with target.connect() as connection:
            ping = connection.roundtrip("HEAD", path)
            return ping.comparable(), connection.roundtrip("HEAD", path).comparable()

    first, second = same(act)
    assert first == second
    assert first[1] == 200
    assert {"api-version", "ostype", "docker-experimental"} <= dict(first[3]).keys()


@pytest.mark.parametrize(
    "path", ["/version", "/v1.41/version", "/images/json", "/containers/json?all=1", "/networks"]
)
def test_responses_are_the_same(proxied, direct, path):
    """Status, headers and body of an ordinary response are the Engine's, header by header."""
    before = direct.roundtrip("GET", path).comparable()
    response = proxied.roundtrip("GET", path).comparable()
    after = direct.roundtrip("GET", path).comparable()
    assert response in (before, after), "through the proxy it is not the same"
    assert response[1] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no/such/path", 404),
        ("GET", "/containers/none/json", 404),
        ("GET", "/v9.99/version", 400),
        ("DELETE", "/images/none", 404),
        ("OPTIONS", "/containers/json", 200),
        ("HEAD", "/containers/json", 404),
    ],
)
def test_refusals_are_the_same(same, method, path, status):
    """An error of the Engine arrives as the Engine's error."""
    assert same(lambda t: t.roundtrip(method, path).comparable())[1] == status


def test_large_response_is_the_same(target, direct, containers):
    """A response of some hundred kilobytes arrives whole."""
    container = containers.create(
        "true", start=False, Labels={f"label{n}": "x" * 1000 for n in range(300)}
    )
    path = f"/containers/{container}/json"
    response = target.roundtrip("GET", path)
    assert len(response.body) > 300_000
    assert response.comparable() == direct.roundtrip("GET", path).comparable()


def test_http_1_0(same):
    """An HTTP/1.0 client gets its response and then the close it waits for."""

    def act(target) -> tuple:
        with target.connect() as connection:
            response = connection.roundtrip("GET", "/_ping", None, None, "1.0")
            return response.status, response.body, connection.until_close()

    assert same(act) == (200, b"OK", b"")


def test_http_1_0_without_host(target):
    """HTTP/1.0 knows no Host header; scripts that send none are served."""
    with target.connect() as connection:
        connection.send(b"GET /_ping HTTP/1.0\r\n\r\n")
        response = connection.response()
        assert (response.status, response.body) == (200, b"OK")


def test_http_1_0_gets_no_chunks(target, containers):
    """A long response to HTTP/1.0 comes without chunk framing, ended by the close."""
    container = containers.shell("yes $(printf %01023d 0) | head -c 1048576")  # the Engine's work is by lines
    containers.wait(container)
    with target.connect() as connection:
        path = f"/containers/{container}/logs?stdout=1"
        connection.request("GET", path, None, None, "1.0")
        head = connection.head()
        assert head.status == 200
        assert head.header("Transfer-Encoding") is None
        assert connection.output() == {1: (b"0" * 1023 + b"\n") * 1024}


def test_http_1_0_keep_alive(target):
    """HTTP/1.0 with Connection: keep-alive: a second request on the connection works."""
    with target.connect() as connection:
        for _ in range(2):
            response = connection.roundtrip(
                "GET", "/_ping", {"Connection": "keep-alive"}, None, "1.0"
            )
            assert (response.status, response.body) == (200, b"OK")


def test_connection_close_is_obeyed(same):
    """Connection: close: the response says so as well, and the close follows."""

    def act(target) -> tuple:
        with target.connect() as connection:
            response = connection.roundtrip("GET", "/_ping", {"Connection": "close"})
            return response.status, response.header("Connection"), connection.until_close()

    assert same(act) == (200, "close", b"")


def test_keep_alive(target, containers):
    """Many requests of all kinds on one connection, as an SDK with a pool makes them."""
    with target.connect() as connection:
        for _ in range(20):
            assert connection.roundtrip("GET", "/_ping").body == b"OK"
            assert connection.roundtrip("HEAD", "/_ping").status == 200
            assert connection.roundtrip("GET", "/containers/none/json").status == 404
            body = json.dumps({"Image": "busybox", "Cmd": ["true"]}).encode()
            made = connection.roundtrip(
                "POST", "/containers/create", {"Content-Type": "application/json"}, body
            )
            assert made.status == 201
            gone = connection.roundtrip("DELETE", f"/containers/{made.json()['Id']}")
            assert gone.status == 204


def test_pipelining(same):
    """Pipelined requests get their responses in order."""
    paths = ["/_ping", "/containers/none-1/json", "/version", "/containers/none-2/json"]
    requests = b"".join(wire.request_bytes("GET", path) for path in paths)

    def act(target) -> list:
        with target.connect() as connection:
            connection.send(requests)
            return [connection.response().comparable() for _ in paths]

    responses = same(act)
    assert [response[1] for response in responses] == [200, 404, 200, 404]
    assert b"none-1" in responses[1][4]
    assert b"none-2" in responses[3][4]


def test_pipelining_with_bodies(target):
    """Bodies with a length and in chunks between other requests: none runs into the next."""
    body = json.dumps({"Image": "no-such-image"}).encode()
    headers = {"Content-Type": "application/json"}
    chunked = {**headers, "Transfer-Encoding": "chunked"}
    with target.connect() as connection:
        connection.send(
            wire.request_bytes("POST", "/containers/create", headers, body)
            + wire.request_bytes("GET", "/_ping")
            + wire.request_bytes("POST", "/containers/create", chunked)
            + wire.chunk_bytes(body[:10]) + wire.chunk_bytes(body[10:]) + b"0\r\n\r\n"
            + wire.request_bytes("GET", "/_ping")
        )
        responses = [connection.response() for _ in range(4)]
    assert [response.status for response in responses] == [404, 200, 404, 200]
    assert responses[0].body == responses[2].body
    assert b"no-such-image" in responses[0].body
    assert responses[1].body == responses[3].body == b"OK"


def test_half_closed_client_gets_its_response(target):
    """printf … | nc -N: a client that closes its side after the request still gets its response."""
    with target.connect() as connection:
        connection.request("GET", "/_ping")
        connection.half_close()
        assert connection.response().body == b"OK"


def test_expect_continue(target, containers):
    """Expect: 100-continue: the go-ahead comes before the body is sent, then the response."""
    container = containers.idle()
    tar = tar_of(file=b"content")
    with target.connect() as connection:
        connection.request(
            "PUT", f"/containers/{container}/archive?path=/tmp",
            {"Content-Length": str(len(tar)), "Expect": "100-continue"},
        )
        assert connection.head().status == 100
        connection.send(tar)
        assert connection.response("PUT").status == 200
        assert connection.roundtrip("GET", "/_ping").body == b"OK"


def test_expect_continue_refused(same):
    """Where the Engine refuses without reading, there is no go-ahead but the refusal at once."""

    def act(target) -> tuple:
        with target.connect() as connection:
            connection.request(
                "PUT", "/containers/none/archive?path=/tmp",
                {"Content-Length": str(64 * MEGABYTE), "Expect": "100-continue"},
            )
            response = connection.response("PUT")
            return response.status, response.json()

    status, body = same(act)
    assert status == 404
    assert "No such container" in body["message"]


def test_curl_uploads_with_expect(target, containers, tmp_path):
    """curl -T large.tar waits for 100 Continue by itself and then sends 8 MiB."""
    container, data = containers.idle(), os.urandom(8 * MEGABYTE)
    (tmp_path / "large.tar").write_bytes(tar_of(file=data))
    done = curl(
        target.docker_host, f"/containers/{container}/archive?path=/tmp",
        "-v", "-H", "Expect: 100-continue", "-T", tmp_path / "large.tar",
    )
    assert done.returncode == 0, done.stderr
    assert b"HTTP/1.1 100 Continue" in done.stderr
    assert b"HTTP/1.1 200 OK" in done.stderr
    back = target.roundtrip("GET", f"/containers/{container}/archive?path=/tmp/file")
    assert contents(back.body) == {"file": data}


def test_curl_uploads_in_chunks(target, containers):
    """tar c … | curl -T -: a chunked upload of unknown length."""
    container = containers.idle()
    done = curl(
        target.docker_host, f"/containers/{container}/archive?path=/tmp",
        "-T", "/bin/busybox", "-H", "Transfer-Encoding: chunked", "-w", "%{http_code}",
    )
    assert done.stdout.endswith((b"400", b"500")), "busybox is no tar: the Engine has to say so"
    assert b"message" in done.stdout


def test_curl_gets_the_version(same):
    """curl http://localhost:PORT/version: the first thing people try."""
    done = same(lambda t: curl(t.docker_host, "/version").stdout)
    assert json.loads(done)["ApiVersion"]


def test_clients_use_the_wire_of_this_run(proxied):
    """DSP_WAY=tls is not TCP by mistake: there is nothing to see for who speaks plain HTTP."""
    host = proxied.docker_host
    assert host.startswith("unix://" if way.WAY == "unix" else "tcp://")
    if way.WAY != "unix":
        with wire.connect_tcp(int(host.rpartition(":")[2])) as plain:
            assert plain.roundtrip("GET", "/_ping").status == (400 if way.WAY == "tls" else 200)


def test_header_value_of_64_kib(same):
    """Credentials for many registries travel in one header of tens of kilobytes."""
    token = base64.urlsafe_b64encode(b"{" + b" " * (48 * KIBIBYTE) + b"}").decode()
    assert len(token) > 64 * KIBIBYTE

    def act(target) -> tuple:
        return target.roundtrip("GET", "/images/json", {"X-Registry-Auth": token}).comparable()

    assert same(act)[1] == 200


def test_client_with_credentials_for_many_registries(older_cli, target, tmp_path):
    """docker build with a config.json of 100 kB sends all of it as X-Registry-Config."""
    logins = {
        f"registry{n}.example": {"auth": base64.b64encode(b"user:" + b"p" * 700).decode()}
        for n in range(100)
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(json.dumps({"auths": logins}))
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM busybox\n")
    out = older_cli.ok(
        target.docker_host, "build", tmp_path / "context",
        env={"DOCKER_CONFIG": str(tmp_path / "config")},
    )
    assert b"Successfully built" in out


def test_target_of_100_kb(same):
    """Filters travel in the URL: a list of a thousand names is a legitimate request."""
    filters = json.dumps({"name": [f"container-with-a-long-name-{n:070}" for n in range(1000)]})
    path = "/containers/json?all=1&filters=" + filters.replace('"', "%22").replace(" ", "%20")
    assert len(path) > 100_000
    response = same(lambda t: t.roundtrip("GET", path).comparable())
    assert (response[1], response[4]) == (200, [])


def test_many_headers(same):
    """A chain of other proxies may add a lot of headers; two hundred are no reason to refuse."""
    headers = {f"X-Header-{n}": str(n) for n in range(200)}
    assert same(lambda t: t.roundtrip("GET", "/_ping", headers).comparable())[1] == 200


def test_error_while_the_upload_is_under_way(target, direct):
    """The Engine refuses an upload it has not read: the client that is still sending can read the
    reason, and is not cut off with a reset."""

    def act(way) -> tuple:
        with way.connect() as connection:
            connection.request(
                "PUT", "/containers/none/archive?path=/tmp",
                {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"},
            )
            try:
                for _ in range(1024):
                    connection.send(wire.chunk_bytes(bytes(65536)))
                connection.send(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            response = connection.response("PUT")
            return response.status, response.json()

    status, body = act(target)
    assert (status, body) == act(direct)
    assert status == 404
    assert "No such container" in body["message"]


def test_thousand_short_connections(target, engine):
    """A script that connects anew for each request: all get responses and none is left open."""
    for _ in range(1000):
        with target.connect() as connection:
            assert connection.roundtrip("GET", "/_ping", {"Connection": "close"}).status == 200
    await_handlers(engine, "pingHandler", 0)


def test_clients_at_the_same_time(target, containers):
    """Fifty followers of one container each see the line, and fifty more requests pass by them."""
    container = containers.shell("trap 'echo line; exit' USR1; while :; do sleep 0.02; done")
    followers = [target.connect() for _ in range(50)]
    try:
        for follower in followers:
            follower.request("GET", f"/containers/{container}/logs?follow=1&stdout=1")
        assert all(follower.head().status == 200 for follower in followers)
        for _ in range(50):
            assert target.roundtrip("GET", "/_ping").body == b"OK"
        await_handlers(containers.engine, "getContainersLogs", 50)
        containers.signal(container, "USR1")
        for follower in followers:
            assert b"".join(follower.chunks()).endswith(b"line\n")
    finally:
        for follower in followers:
            follower.close()
