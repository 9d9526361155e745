"""Proxies that are each other's Engine: the mark by which a request that comes back is known (Via)."""

from __future__ import annotations

import json
import pathlib
import re
import socket

import pytest

from machine import free_port
from wire import Client, Engine


def test_two_proxies_that_are_each_others_engine(start) -> None:
    """The first one refuses the request when it comes back."""
    ports = free_port(), free_port()
    proxies = [
        start("--upstream", f"tcp://127.0.0.1:{other}", port=port)
        for port, other in (ports, ports[::-1])
    ]
    for proxy, other in zip(proxies, ports[::-1]):
        with proxy.connect() as client:
            for _ in range(3):  # the connection goes on
                client.get("/_ping")
                response = client.response()
                assert response.status == 508
                words = response.message()
                assert f"leads back to it, through another proxy: tcp://127.0.0.1:{other}. Give" in words
    for proxy in proxies:
        proxy.wait_log(lambda line: "status=508" in line and "leads back to it" in line)


def connect_unix(path: str) -> Client:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return Client(sock)


@pytest.mark.parametrize("kinds", [("unix", "unix"), ("tcp", "unix"), ("unix", "tcp"), ("unix", "tcp", "unix"), ("tcp", "tcp", "tcp")], ids="-".join)
def test_a_ring_of_proxies(start, folder: str, kinds: tuple[str, ...]) -> None:
    """Whatever each of them calls the next, no request goes round twice."""
    ring = [(f"{folder}/ring-{'-'.join(kinds)}-{number}", free_port()) for number, _ in enumerate(kinds)]
    proxies = []
    for kind, (path, port), (next_path, next_port) in zip(kinds, ring, ring[1:] + ring[:1]):
        listeners = [{"address": f"unix://{path}.sock", "mode": "0666"}, {"address": f"tcp://127.0.0.1:{port}"}]
        upstream = f"{next_path}.sock" if kind == "unix" else f"tcp://127.0.0.1:{next_port}"
        pathlib.Path(f"{path}.yaml").write_text(json.dumps({"listeners": listeners, "policy": "open"}))
        proxies.append(start("-c", f"{path}.yaml", "--upstream", upstream, port=port))
    for (path, _), proxy in zip(ring, proxies):
        for client in (proxy.connect(), connect_unix(f"{path}.sock")):
            with client:
                client.get("/_ping")
                response = client.response()
                assert response.status == 508, response.body
    for proxy in proxies:
        passed = sum("/_ping" in line for line in proxy.lines)
        assert passed <= 2 * 2 * len(kinds), proxy.log()


def test_a_request_over_tcp_to_a_unix_socket_has_no_mark(start, own_engine: Engine) -> None:
    with start().connect() as client:
        client.get("/_ping", headers=["Via: 1.1 somebody"])
        request = own_engine.request()
        assert request.headers.all("Via") == ["1.1 somebody"]
        request.respond()
        assert client.response().status == 200


def test_the_mark_comes_behind_those_of_others(start, own_engine: Engine, folder: str) -> None:
    """A client sees no mark, and may send any but the proxy's own."""
    path = f"{folder}/marked.sock"
    port = free_port()
    proxy = start("--listen", f"unix://{path}", "--listen", f"tcp://127.0.0.1:{port}", port=port)
    for headers, wanted in (([], []), (["Via: 1.0 fred, 1.1 p.example.net (Apache)"], ["1.0 fred, 1.1 p.example.net (Apache)"])):
        with connect_unix(path) as client:
            client.get("/_ping", headers=headers)
            request = own_engine.request()
            *others, own = request.headers.all("Via")
            assert others == wanted
            assert re.fullmatch(r"1\.1 docker-socket-proxy-[0-9a-f]{16}", own)
            request.respond()
            assert client.response().header("Via") is None
    for value, refused in ((own, True), (f"1.0 fred, {own} (a comment)", True), (own[:-1], False)):
        with proxy.connect() as client:
            client.get("/_ping", headers=["X: y", f"vIA: {value}"])
            if not refused:
                own_engine.request().respond()
            assert client.response().status == (508 if refused else 200)
    assert own_engine.received() == b""
