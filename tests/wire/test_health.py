"""/health and the healthcheck command: requests of orchestrators, with local responses."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess

import pytest

from machine import free_port, has_ipv6
from wire import BINARY, PATIENCE, Engine, Proxy, clean_environment, run_binary


def test_healthy_while_the_engine_accepts(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.get("/health")
        response = client.response()
        assert response.status == 200
        assert json.loads(response.body) == {"status": "healthy"}
        assert (response.header("Content-Type") or "").startswith("application/json")
    assert not engine.received(), "the Engine was asked something"


def test_head_gets_no_body(proxy: Proxy, engine: Engine) -> None:
    """wget --spider and several balancers ask with HEAD."""
    with proxy.connect() as client:
        client.send(b"HEAD /health HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert client.response("HEAD").status == 200
        client.get("/_ping")  # a body left in the stream would show here
        engine.request().respond(body=b"OK")
        assert client.response().body == b"OK"


def test_unhealthy_says_why(start, own_engine: Engine) -> None:
    own_engine.stop()
    proxy = start()
    with proxy.connect() as client:
        client.get("/health")
        response = client.response()
        assert response.status == 503
        assert own_engine.path in response.body.decode(), "the reason names the socket"
        json.loads(response.body)
        client.send(b"HEAD /health HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert client.response("HEAD").status == 503
    own_engine.start()
    with proxy.connect() as client:
        client.get("/health")
        assert client.response().status == 200, "healthy again with no restart"


def test_socket_file_without_a_listener_is_unhealthy(start, own_engine: Engine) -> None:
    """A killed Engine leaves its socket file behind."""
    own_engine.listener.close()
    proxy = start()
    with proxy.connect() as client:
        client.get("/health")
        assert client.response().status == 503
    os.unlink(own_engine.path)
    own_engine.start()


def test_other_paths_and_methods_are_the_engines(proxy: Proxy, engine: Engine) -> None:
    """Only GET and HEAD of exactly /health are ours."""
    for method, target in [("POST", "/health"), ("GET", "/healthz"), ("GET", "/v1.41/health")]:
        with proxy.connect() as client:
            client.send(
                f"{method} {target} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode()
            )
            request = engine.request()
            assert request.line == f"{method} {target} HTTP/1.1"
            request.respond(404, b"page not found", reason="Not Found")
            assert client.response().status == 404


def test_health_is_not_logged_at_info(start, own_engine: Engine) -> None:
    """A probe every few seconds would bury the log."""
    proxy = start(env={"LOG_LEVEL": "info"})
    with proxy.connect() as client:
        client.get("/health")
        client.response()
        client.get("/witness")
        own_engine.request().respond()
        client.response()
    assert run_binary("healthcheck", PORT=str(proxy.port)).returncode == 0
    proxy.wait_log(lambda line: "/witness" in line, what="about the witness")
    proxy.stop()
    assert not [line for line in proxy.lines if "/health" in line or "_ping" in line]


def test_healthcheck_command(start, own_engine: Engine) -> None:
    """HEALTHCHECK in a scratch image has nothing but this binary; its exit status is the result."""
    proxy = start()
    settings = {"PORT": str(proxy.port), "SOCKET_PATH": own_engine.path}
    assert run_binary("healthcheck", **settings).returncode == 0
    assert run_binary("healthcheck", f"tcp://127.0.0.1:{proxy.port}").returncode == 0
    own_engine.stop()
    result = run_binary("healthcheck", **settings)
    assert result.returncode == 1
    assert result.stdout + result.stderr, "says why"
    own_engine.start()
    assert run_binary("healthcheck", **settings).returncode == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_healthcheck_takes_an_address(start, host: str) -> None:
    if host == "[::1]" and not has_ipv6():
        pytest.skip("this host has no IPv6")
    proxy = start()
    assert run_binary("healthcheck", f"tcp://{host}:{proxy.port}").returncode == 0


def test_healthcheck_without_a_proxy_fails(own_engine: Engine) -> None:
    """The Engine being up is not enough."""
    result = run_binary("healthcheck", PORT=str(free_port()), SOCKET_PATH=own_engine.path)
    assert result.returncode == 1


# the names of other tools, which the image has as links


@pytest.fixture(scope="module")
def tools(folder: str) -> str:
    """A folder with the program under the names that the image gives it."""
    path = os.path.join(folder, "tools")
    os.mkdir(path)
    for name in ("wget", "curl", "nc", "sh", "healthcheck"):
        os.symlink(BINARY, os.path.join(path, name))
    return path


def run_tool(tools: str, port: int, words: list[str]) -> subprocess.CompletedProcess:
    """One check, whose URLs have PORT where the proxy's port belongs."""
    words = [word.replace("PORT", str(port)) for word in words]
    return run_binary(*words[1:], program=os.path.join(tools, words[0]), PORT=str(port))


# As they stand in compose files, in manifests and in the documents of other proxies.
WGETS = [
    ["wget", "--spider", "http://localhost:PORT/version"],
    ["wget", "-q", "--spider", "http://127.0.0.1:PORT/_ping"],
    ["wget", "--spider", "-q", "http://localhost:PORT/v1.47/_ping"],
    ["wget", "--quiet", "--tries=1", "--spider", "http://localhost:PORT/version"],
    ["wget", "--no-verbose", "--tries=1", "--timeout=5", "--spider", "http://localhost:PORT/_ping"],
    ["wget", "-nv", "-t1", "--spider", "http://localhost:PORT/version"],
    ["wget", "-qO-", "http://localhost:PORT/_ping"],
    ["wget", "-q", "-O", "-", "http://localhost:PORT/_ping"],
    ["wget", "-q", "-O", "/dev/null", "http://localhost:PORT/_ping"],
    ["wget", "-O/dev/null", "-T", "5", "http://localhost:PORT/_ping"],
    ["sh", "-c", "wget --spider http://localhost:PORT/version || exit 1"],
    ["sh", "-c", "wget --no-verbose --tries=1 --spider http://localhost:PORT/_ping || exit 1"],
    ["sh", "-c", "wget -qO- http://localhost:PORT/version >/dev/null 2>&1 || exit 1"],
    ["sh", "-c", 'wget -t1 -T4 -qO- http://127.0.0.1:PORT/_ping | grep -q "OK" || exit 1'],
]
CURL_LINE = "curl -f http://localhost:PORT/_ping || exit 1"  # prints what it gets
CURLS = [
    ["curl", "-f", "http://localhost:PORT/_ping"],
    ["curl", "-fsS", "-o", "/dev/null", "http://localhost:PORT/version"],
    ["curl", "--fail", "--silent", "--output", "/dev/null", "http://localhost:PORT/version"],
    ["curl", "-sSfL", "-m", "3", "http://127.0.0.1:PORT/_ping"],
    ["curl", "-fs", "--connect-timeout", "2", "--max-time", "3", "localhost:PORT/_ping"],
    ["sh", "-c", CURL_LINE],
    ["sh", "-c", "curl -sf 'http://localhost:PORT/_ping' > /dev/null || false"],
]
CONNECTS = [
    ["nc", "-z", "localhost", "PORT"],
    ["nc", "-zv", "127.0.0.1", "PORT"],
    ["nc", "-w", "1", "-z", "127.0.0.1", "PORT"],
    ["sh", "-c", "nc -z localhost PORT || exit 1"],
]


@pytest.mark.parametrize("words", WGETS + CURLS + CONNECTS, ids=" ".join)
def test_checks_of_compose_files_work(start, own_engine: Engine, tools: str, words: list[str]) -> None:
    """With service_healthy, whoever waits for a check that cannot run never starts."""
    proxy = start()
    with own_engine.responding(lambda request: request.respond(body=b"OK")):
        result = run_tool(tools, proxy.port, words)
        assert (result.returncode, result.stderr) == (0, "")
        prints = "-qO-" in words or "-" in words or (
            words[0] == "curl" and "/dev/null" not in words)
        assert result.stdout == ("OK" if prints or words[2:3] == [CURL_LINE] else "")


@pytest.mark.parametrize("words", WGETS + CURLS, ids=" ".join)
def test_checks_fail_when_the_response_is_an_error(
    start, own_engine: Engine, tools: str, words: list[str]
) -> None:
    """A check that is always content restarts nothing."""
    proxy = start()
    with own_engine.responding(lambda request: request.respond(503, b"OK")):
        assert run_tool(tools, proxy.port, words).returncode == 1
    own_engine.stop()
    assert run_tool(tools, proxy.port, words).returncode == 1
    own_engine.start()


@pytest.mark.parametrize("words", WGETS + CURLS + CONNECTS, ids=" ".join)
def test_checks_fail_when_nobody_listens(tools: str, words: list[str]) -> None:
    assert run_tool(tools, free_port(), words).returncode == 1


def test_what_tools_print(start, own_engine: Engine, tools: str) -> None:
    """`docker exec proxy wget -qO- URL` is how people look by hand: a long body comes whole."""
    proxy = start()
    body = b"x" * 100_000 + b"end\n"
    with own_engine.responding(lambda request: request.respond(body=body)):
        for words in (["wget", "-qO-"], ["curl"]):
            result = run_tool(tools, proxy.port, [*words, "http://localhost:PORT/_ping"])
            assert (result.returncode, result.stdout) == (0, body.decode())
    own_engine.forget()  # a connection that is kept would get no response now
    with own_engine.responding(lambda request: request.respond(404, b"not here\n")):
        result = run_tool(tools, proxy.port, ["curl", "http://localhost:PORT/none"])
        assert (result.returncode, result.stdout) == (0, "not here\n")
        result = run_tool(tools, proxy.port, ["wget", "-qO-", "http://localhost:PORT/none"])
        assert (result.returncode, result.stdout) == (1, "")
        assert "responds with 404: not here" in result.stderr


def test_the_exit_code_is_the_one_that_was_asked_for(tools: str) -> None:
    port = free_port()
    assert run_tool(tools, port, ["sh", "-c", "nc -z localhost PORT || exit 7"]).returncode == 7


def test_grep_decides_by_the_body(start, own_engine: Engine, tools: str) -> None:
    proxy = start()
    with own_engine.responding(lambda request: request.respond(body=b"not well")):
        line = "wget -qO- http://localhost:PORT/_ping | grep -q OK || exit 1"
        assert run_tool(tools, proxy.port, ["sh", "-c", line]).returncode == 1


@pytest.mark.parametrize("words", [
    ["wget", "--spider", "http://localhost:OTHER/"],
    ["wget", "--spider", "http://192.0.2.1:PORT/"],
    ["wget", "--spider", "http://example.org:PORT/"],
    ["curl", "-f", "http://user@localhost:PORT/"],
    ["curl", "-f", "http://localhost:PORT/a b"],
    ["curl", "-f", "https://localhost:PORT/"],
    ["curl", "-f", "-d", "{}", "http://localhost:PORT/"],
    ["curl", "-X", "POST", "http://localhost:PORT/"],
    ["curl", "-o", "/tmp/file", "http://localhost:PORT/"],
    ["wget", "--post-data=x", "http://localhost:PORT/"],
    ["wget", "-q"],
    ["nc", "localhost", "PORT"],
    ["nc", "-z", "localhost"],
    ["nc", "-z", "192.0.2.1", "PORT"],
    ["nc", "-l", "-p", "PORT"],
    ["sh"],
    ["sh", "-c", ""],
    ["sh", "-c", "nc -z localhost PORT; true"],
    ["sh", "-c", "nc -z localhost PORT & true"],
    ["sh", "-c", "nc -z localhost PORT > /tmp/file"],
    ["sh", "-c", "nc -z localhost $PORT"],
    ["sh", "-c", "nc -z localhost PORT || true"],
    ["sh", "-c", "nc -z localhost PORT | || exit 1"],
    ["sh", "-c", "nc -z localhost PORT || exit 1 | grep OK"],
    ["sh", "-c", "nc -z localhost PORT |"],
    ["sh", "-c", "nc -z `hostname` PORT"],
    ["sh", "-c", "nc -z 'localhost PORT"],
    ["sh", "-c", "wget --spider http://localhost:PORT/ | sh"],
    ["sh", "-c", "cat /etc/passwd"],
], ids=" ".join)
def test_tools_do_nothing_else(start, own_engine: Engine, tools: str, words: list[str]) -> None:
    """In the hands of somebody who may run commands in the container they open no way that was not
    there: to other hosts, other ports, other methods, files or programs."""
    proxy = start()
    words = [word.replace("OTHER", str(free_port())) for word in words]
    with own_engine.responding():
        result = run_tool(tools, proxy.port, words)
    assert result.returncode == 1
    assert result.stderr, "says why"


def test_healthcheck_under_its_own_name(start, own_engine: Engine, tools: str) -> None:
    """test: ["CMD", "./healthcheck"], as another proxy's documents have it."""
    proxy = start()
    assert run_tool(tools, proxy.port, ["healthcheck"]).returncode == 0
    assert run_tool(tools, free_port(), ["healthcheck"]).returncode == 1
    line = "docker-socket-proxy healthcheck || exit 1"
    assert run_tool(tools, proxy.port, ["sh", "-c", line]).returncode == 0


# where the proxy of this container listens


def process_1(proxy: Proxy) -> int:
    """What is process 1 in the namespace of `proxy`, by its number here."""
    return int(pathlib.Path(f"/proc/{proxy.pid}/task/{proxy.pid}/children").read_text().split()[0])


def in_container(proxy: Proxy, *command: str) -> subprocess.CompletedProcess:
    """Run a command where `proxy`, or an init before it, is process 1; with no settings."""
    return subprocess.run(["nsenter", "-t", str(process_1(proxy)), "-p", "-m", *command],
                          env=clean_environment(), capture_output=True, text=True, timeout=PATIENCE)


CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]


def can_make_containers() -> bool:
    return subprocess.run([*CONTAINER, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_make_containers(), reason="needs a process namespace")
@pytest.mark.parametrize("init", [[], ["sh", "-c", '"$@"; exit', "--"]], ids=["", "init"])
def test_checks_ask_where_process_1_listens(start, own_engine: Engine, tools: str, init: list[str]) -> None:
    """command: --port 9000 is what the container was started with, and what its check must ask."""
    port = free_port()
    proxy = start("--port", str(port), port=port, env={"PORT": "1"}, prefix=[*CONTAINER, *init])
    with own_engine.responding():
        for command in ([BINARY, "healthcheck"],
                        [f"{tools}/wget", "-q", "--spider", f"http://localhost:{port}/_ping"],
                        [f"{tools}/sh", "-c", f"nc -z localhost {port} || exit 1"]):
            result = in_container(proxy, *command)
            assert (result.returncode, result.stderr) == (0, ""), command
        assert in_container(proxy, f"{tools}/nc", "-z", "localhost", "1").returncode == 1
        result = in_container(proxy, BINARY, "healthcheck", "--port", str(free_port()))
        assert result.returncode == 1, "what the command itself says counts"
        assert in_container(proxy, BINARY, "healthcheck", f"tcp://localhost:{port}").returncode == 0
        for address in (f"tcp://127.0.0.1:{free_port()}", f"unix://{own_engine.path}"):
            result = in_container(proxy, BINARY, "healthcheck", address)
            assert result.returncode == 1
            assert f"{address} is not checked: the proxy listens on tcp://" in result.stderr
    os.kill(process_1(proxy), signal.SIGKILL)  # and all others of the namespace end with it
    proxy.process.wait(PATIENCE)
    proxy.process.returncode = 0  # how it ends is its own affair here
