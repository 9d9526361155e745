"""The admin listener: who may see what, and that nobody there holds up clients."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin
from secure import Authority, connect, context
from wire import BINARY, PATIENCE, Client, Engine, Proxy, eventually, run_binary

SOURCES = Path(__file__).parents[2] / "src"
KEY = "a key with many letters"
OTHER = "another key with many letters"
SALT = "00112233445566778899aabbccddeeff"


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def salted(key: str) -> str:
    return f"{SALT}:{hashlib.sha256(bytes.fromhex(SALT) + key.encode()).hexdigest()}"


def started(start, tmp_path: Path, admin: str, **options) -> Proxy:
    """A proxy whose file has this `admin`."""
    port = free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\nadmin: {admin}\n")
    return start("-c", str(file), port=port, **options)


@pytest.fixture
def on_tcp(start, tmp_path: Path):
    place = free_port()
    proxy = started(start, tmp_path, f"{{address: 'tcp://127.0.0.1:{place}', key_sha256: [{hash_of(KEY)}, '{salted(OTHER)}']}}")
    return proxy, Admin(place)


# what is served


def test_health_is_that_of_listeners(on_tcp, own_engine: Engine) -> None:
    proxy, admin = on_tcp
    response = admin.get("/health")
    assert (response.status, json.loads(response.body)) == (200, {"status": "healthy"})
    own_engine.stop()
    response = admin.get("/health")
    assert response.status == 503 and own_engine.path in json.loads(response.body)["reason"]
    own_engine.start()


def test_ready_says_what_is_not_well(on_tcp, own_engine: Engine) -> None:
    proxy, admin = on_tcp
    well = {"ready": True, "configuration": "ok", "engine": "ok", "audit": "ok", "process": "ok"}
    response = admin.get("/ready")
    assert (response.status, json.loads(response.body)) == (200, well)
    own_engine.stop()
    response = admin.get("/ready")
    assert (response.status, json.loads(response.body)) == (503, well | {"ready": False, "engine": "failed"})
    own_engine.start()


def test_not_ready_while_it_stops(start, tmp_path: Path, own_engine: Engine) -> None:
    place = free_port()
    proxy = started(start, tmp_path, f"{{address: 'tcp://127.0.0.1:{place}'}}", env={"WORKERS": "1"})
    with proxy.connect() as client:
        client.get("/events")
        request = own_engine.request()
        proxy.terminate()
        proxy.wait_log(lambda line: "SIGTERM" in line)
        response = Admin(place).get("/ready")
        assert response.status == 503 and json.loads(response.body)["process"] == "draining"
        request.respond()
        client.response()
    assert proxy.wait_exit() == 0


def test_an_engine_that_does_not_answer_holds_nobody_up(start, own_engine: Engine) -> None:
    """Its queue is full: the page comes all the same."""
    own_engine.stop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(own_engine.path)
        os.chmod(own_engine.path, 0o666)
        listener.listen(0)
        fillers = []
        for _ in range(2):
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            filler.connect_ex(own_engine.path)
            fillers.append(filler)
        place = free_port()
        start(env={"ADMIN": f"tcp://127.0.0.1:{place}"})
        began = time.monotonic()
        assert Admin(place).metrics().get_one("upstream_up") == 0
        assert 1 < time.monotonic() - began < 10
        for filler in fillers:
            filler.close()
    os.unlink(own_engine.path)
    own_engine.start()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /nothing", 404), ("GET /metrics/", 404), ("GET //metrics", 404), ("POST /metrics", 405), ("DELETE /health", 405), ("GET /containers/json", 404), ("GET /v1.41/_ping", 404)],
)
def test_other_requests_get_a_reason(on_tcp, own_engine: Engine, request_line: str, status: int) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        client.send(f"{request_line} HTTP/1.1\r\nHost: proxy\r\nX-Api-Key: {KEY}\r\n\r\n".encode())
        response = client.response()
    assert response.status == status and response.message()
    assert response.header("Allow") == ("GET, HEAD" if status == 405 else None)
    assert not own_engine.received(), "the admin listener has no way to the Engine's API"


def test_head_gets_no_body_and_the_connection_goes_on(on_tcp) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        for target in ["/", "/metrics", "/health", "/ready"]:
            client.send(f"HEAD {target} HTTP/1.1\r\nHost: proxy\r\n\r\n".encode())
            assert client.response("HEAD").status == 200
            client.get(target)
            assert client.response().status == 200


def test_http_1_0_gets_the_page_without_chunks(on_tcp) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        client.get("/metrics", version="1.0")
        response = client.response()
    assert response.framing == "close" and b"build_info" in response.body


# who may


def test_on_tcp_the_rest_needs_a_key(on_tcp) -> None:
    _, admin = on_tcp
    for target in ["/", "/metrics", "/health", "/ready"]:
        assert admin.get(target).status == 200
    for headers in [[], ["X-Api-Key: wrong"], [f"X-Api-Key: {hash_of(KEY)}"], ["Authorization: Bearer"], [f"Cookie: key={KEY}"]]:
        response = admin.get("/nothing", *headers)
        assert response.status == 401 and "x-api-key" in response.message()
        assert response.header("WWW-Authenticate")
    for headers in [[f"X-Api-Key: {KEY}"], [f"Authorization: Bearer {KEY}"], [f"X-Api-Key: {OTHER}"]]:
        assert admin.get("/nothing", *headers).status == 404


def test_every_route_but_four_needs_a_key(on_tcp) -> None:
    """The rows say which. /api/state names paths and clients, and what is posted changes something."""
    _, admin = on_tcp
    rows = re.findall(r'^ROUTE\(\w+, "(\S+)", (true|false), (GET|POST)\)', (SOURCES / "admin/routes.def").read_text(), re.MULTILINE)
    assert {path for path, is_open, _ in rows if is_open == "true"} == {"/", "/metrics", "/health", "/ready"}
    closed = [(path.replace("*", "0123456789abcdef"), method) for path, is_open, method in rows if is_open == "false"]
    assert len(closed) >= 4
    for path, method in closed:
        response = admin.post(path) if method == "POST" else admin.get(path)
        assert response.status == 401 and "x-api-key" in response.message(), path


def test_ready_tells_strangers_words_alone(on_tcp, own_engine: Engine) -> None:
    _, admin = on_tcp
    own_engine.stop()
    document = json.loads(admin.get("/ready").body)
    own_engine.start()
    assert document["ready"] is False
    assert set(document.values()) <= {True, False, None, "ok", "failed", "draining"}


def test_a_unix_socket_is_guarded_by_its_mode(start, tmp_path: Path, folder: str) -> None:
    path = f"{folder}/admin-{free_port()}.sock"
    proxy = started(start, tmp_path, f"{{address: 'unix://{path}'}}")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert Admin(path).get("/nothing").status == 404, "no key is asked for"
    proxy.stop()
    file = tmp_path / "proxy.yaml"
    file.write_text(file.read_text().replace("}\n", ", mode: '0660'}\n").replace("open, mode: '0660'", "open"))
    proxy = start("-c", str(file), port=proxy.port)
    assert os.stat(path).st_mode & 0o777 == 0o660


def test_a_certificate_stands_for_a_key(start, tmp_path: Path) -> None:
    authority, place = Authority(tmp_path), free_port()
    server, ops = authority.server(), authority.make("ops", "ops")
    tls = f"{{cert: {server.path}, key: {server.key}, client_ca: {authority.path}, client_cert: optional}}"
    proxy = started(start, tmp_path, f"{{address: 'tls://127.0.0.1:{place}', tls: {tls}}}")
    for pair, status in [(None, 401), (ops, 404)]:
        with connect(proxy, context(authority, pair), port=place) as client:
            client.get("/metrics")
            assert client.response().status == 200
            client.get("/nothing")
            assert client.response().status == status


def test_plain_http_to_a_tls_port_is_logged(start, tmp_path: Path) -> None:
    authority, place = Authority(tmp_path), free_port()
    server = authority.server()
    proxy = started(start, tmp_path, f"{{address: 'tls://127.0.0.1:{place}', tls: {{cert: {server.path}, key: {server.key}}}}}")
    with Admin(place).connect() as client:
        client.get("/metrics")
        client.expect_gone()
    proxy.wait_log(lambda line: "admin listener: no TLS: " in line)


def test_a_certificate_of_another_authority_ends_the_handshake(start, tmp_path: Path) -> None:
    authority, place = Authority(tmp_path), free_port()
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "other").make("ops", "ops")
    server = authority.server()
    tls = f"{{cert: {server.path}, key: {server.key}, client_ca: {authority.path}}}"
    proxy = started(start, tmp_path, f"{{address: 'tls://127.0.0.1:{place}', tls: {tls}}}")
    for pair in [None, stranger]:
        with pytest.raises((OSError, AssertionError)):
            with connect(proxy, context(authority, pair), port=place) as client:
                client.get("/metrics")
                client.response()


@pytest.mark.parametrize(
    "headers",
    [
        ["Host: proxy", "Sec-Fetch-Site: cross-site"],
        ["Host: proxy", "Origin: http://evil.example"],
        ["Host: evil.example", "Accept-Language: en", "User-Agent: Mozilla/5.0"],
        ["Host: evil.example", "Sec-Fetch-Site: same-origin"],
    ],
)
def test_pages_of_other_sites_see_nothing(on_tcp, headers: list[str]) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        client.send("\r\n".join(["GET /metrics HTTP/1.1", *headers]).encode() + b"\r\n\r\n")
        response = client.response()
    assert response.status == 403 and "docker_socket_proxy" not in response.body.decode()


def test_a_browser_with_an_address_is_served(on_tcp) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        client.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9477\r\nAccept-Language: en\r\nSec-Fetch-Site: none\r\n\r\n")
        assert client.response().status == 200


# who would hold others up


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000, 431),
        (b"GET /metrics HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
def test_what_cannot_be_read_ends_the_connection(on_tcp, sent: bytes, status: int) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        client.send_through(sent)
        client.expect_refusal(status)


def test_a_second_request_in_front_of_the_response_ends_the_connection(on_tcp) -> None:
    _, admin = on_tcp
    with admin.connect() as client:
        client.send(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        response = client.response()
        assert response.status == 200 and response.header("Connection") == "close"
        client.expect_end()


def test_the_oldest_connection_makes_room(on_tcp, own_engine: Engine) -> None:
    proxy, admin = on_tcp
    before = proxy.open_files()
    clients = [admin.connect() for _ in range(64)]
    for client in clients:
        client.send(b"GET /metrics HT")
    for _ in range(100):
        clients.append(admin.connect())
    clients[0].expect_gone()
    assert admin.get("/metrics").status == 200
    assert eventually(lambda: proxy.open_files() <= before + 64 + 8, "no more than 64 to be kept")
    for client in clients:
        client.close()


def many_series(tmp_path: Path) -> str:
    """A file with a thousand clients, so that the page is long."""
    clients = "".join(f"  - {{name: client-with-a-long-name-{i}, match: {{key_sha256: {hash_of(str(i))}}}, policy: open}}\n" for i in range(900))
    return f"clients:\n{clients}"


def test_a_client_that_never_reads_holds_nobody_up(start, tmp_path: Path, own_engine: Engine) -> None:
    place, port = free_port(), free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n{many_series(tmp_path)}admin: {{address: 'tcp://127.0.0.1:{place}'}}\n"
    )
    proxy = start("-c", str(file), "--workers", "1", port=port)
    deaf = []
    for _ in range(20):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", place))
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        deaf.append(sock)
    for _ in range(20):
        assert len(Admin(place).get("/metrics").body) > 60_000
        with proxy.connect() as client:
            client.get("/_ping")
            own_engine.request().respond(body=b"OK")
            assert client.response(timeout=2).status == 200
    assert proxy.cpu_seconds() < 20
    for sock in deaf:
        sock.close()


# configuration


def fault(*args: str, **env: str) -> str:
    result = run_binary("check", *args, **env)
    assert result.returncode != 0, result.stdout
    return result.stderr


def file_with(tmp_path: Path, admin: str, listener: str = "tcp://127.0.0.1:3277") -> str:
    file = tmp_path / "proxy.yaml"
    file.write_text(f"listeners:\n  - {{address: '{listener}', policy: deny}}\nadmin: {admin}\n")
    return str(file)


@pytest.mark.parametrize(
    ("admin", "words"),
    [
        ("{}", "needs an 'address'"),
        ("{address: 'tcp://127.0.0.1:3277'}", "is the address of a listener"),
        ("{address: 'tcp://*:3277'}", "is the address of a listener"),
        ("{address: 'fd://admin'}", "opens its socket itself"),
        ("{address: 'http://x'}", "is not accepted"),
        ("{address: 'unix:///var/run/docker.sock'}", "is the Engine's address"),
        ("{address: 'unix:///run/a.sock', mode: '999'}", "in octal"),
        ("{address: 'tcp://127.0.0.1:1', mode: '0600'}", "is a unix socket"),
        ("{address: 'unix:///run/a.sock', key_sha256: abc}", "says who may use it"),
        ("{address: 'tcp://127.0.0.1:1', key_sha256: secret-key}", "key_sha256: the value is not accepted"),
        ("{address: 'tcp://127.0.0.1:1', key_sha256: []}", "1 to 64 hashes"),
        ("{address: 'tls://127.0.0.1:1'}", "needs a certificate and its key"),
        ("{address: 'tcp://127.0.0.1:1', policy: open}", "unknown key 'policy'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, admin: str, words: str) -> None:
    error = fault("-c", file_with(tmp_path, admin))
    assert words in error and "secret-key" not in error
    assert "proxy.yaml:3" in error


def test_the_same_socket_by_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    listener = f"unix://{tmp_path}/a.sock"
    error = fault("-c", file_with(tmp_path, f"{{address: 'unix://{tmp_path}/link/a.sock'}}", listener))
    assert "is the address of a listener" in error


def test_the_variable_comes_before_the_file(tmp_path: Path) -> None:
    file = file_with(tmp_path, "{address: 'tcp://127.0.0.1:1', key_sha256: " + hash_of(KEY) + "}")
    printed = run_binary("check", "-c", file, ADMIN="tcp://127.0.0.1:2").stdout
    assert "admin    tcp://127.0.0.1:2, 1 key; " in printed
    assert "ADMIN: 'tcp://127.0.0.1:3277' is the address" in fault("-c", file, ADMIN="tcp://127.0.0.1:3277")
    assert "ADMIN: 'nonsense' is not accepted" in fault("-c", file, ADMIN="nonsense")


def test_check_says_what_is_served_without_a_key(tmp_path: Path) -> None:
    printed = run_binary("check", "-c", file_with(tmp_path, "{address: 'tcp://127.0.0.1:1'}")).stdout
    assert "admin    tcp://127.0.0.1:1, /, /metrics, /health and /ready alone: the rest needs 'key_sha256' or a 'client_ca'" in printed
    assert "admin    unix:///run/a.sock, mode 0600\n" in run_binary("check", ADMIN="unix:///run/a.sock").stdout


def test_a_port_that_is_in_use_stops_the_start(own_engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = other.getsockname()[1]
        result = run_binary("--port", str(free_port()), SOCKET_PATH=own_engine.path, ADMIN=f"tcp://127.0.0.1:{place}")
    assert result.returncode != 0
    assert f"cannot listen on tcp://127.0.0.1:{place}, the admin listener" in result.stderr
