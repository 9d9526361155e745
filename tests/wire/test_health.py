"""/health and the healthcheck command: what an orchestrator asks, answered by the proxy itself."""

from __future__ import annotations

import json
import os

import pytest

from machine import free_port, has_ipv6
from wire import Engine, Proxy, run_binary


def test_healthy_while_the_engine_accepts(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.get("/health")
        response = client.response()
        assert response.status == 200
        assert json.loads(response.body) == {"status": "healthy"}
        assert (response.header("Content-Type") or "").startswith("application/json")
    assert not engine.received(), "the Engine was asked something"


def test_head_is_answered_without_body(proxy: Proxy, engine: Engine) -> None:
    """wget --spider and several balancers ask with HEAD."""
    with proxy.connect() as client:
        client.send(b"HEAD /health HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert client.response("HEAD").status == 200
        client.get("/_ping")  # a body left in the stream would show here
        engine.request().answer(body=b"OK")
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
            request.answer(404, b"page not found", reason="Not Found")
            assert client.response().status == 404


def test_health_is_not_logged_at_info(start, own_engine: Engine) -> None:
    """A probe every few seconds would bury the log."""
    proxy = start(env={"LOG_LEVEL": "info"})
    with proxy.connect() as client:
        client.get("/health")
        client.response()
        client.get("/witness")
        own_engine.request().answer()
        client.response()
    assert run_binary("healthcheck", PORT=str(proxy.port)).returncode == 0
    proxy.wait_log(lambda line: "/witness" in line, what="about the witness")
    proxy.stop()
    assert not [line for line in proxy.lines if "/health" in line or "_ping" in line]


def test_healthcheck_command(start, own_engine: Engine) -> None:
    """HEALTHCHECK in a scratch image has nothing but this binary; its exit status is the answer."""
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
