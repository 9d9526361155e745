"""The sandbox around the program that serves: what the start says of it, that every thread is inside,
and that what is read, made and removed later is. What it stops is tried in tests/unit/test_barriers.c."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import socket
from collections.abc import Callable, Iterator

import pytest

from machine import public_folder
from wire import Engine, Proxy, run_binary, sanitized

WHOLE = re.compile(r"info sandbox: seccomp, Landlock ABI \d+ \(files, TCP, abstract sockets, signals\)$", re.M)


@pytest.fixture
def place() -> Iterator[pathlib.Path]:
    path = pathlib.Path(public_folder("sandbox-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def begin(start: Callable[..., Proxy]) -> Callable[..., Proxy]:
    """As `start`; the proxy serves, which is later than that it listens."""

    def begin_one(*args: str, **env: str) -> Proxy:
        proxy = start(*args, env=env, ready=False)
        proxy.wait_log(lambda line: "listening on" in line)
        return proxy

    return begin_one


def threads(proxy: Proxy) -> list[str]:
    return [file.read_text() for file in pathlib.Path(f"/proc/{proxy.pid}/task").glob("*/status")]


def kernel_has_both(proxy: Proxy) -> bool:
    return " lacks " not in proxy.log()


def test_one_line_of_the_start_says_what_holds(begin: Callable[..., Proxy]):
    proxy = begin()
    assert len([line for line in proxy.lines if " sandbox: " in line]) == 1, proxy.log()
    if kernel_has_both(proxy):
        assert WHOLE.search(proxy.log()), proxy.log()


def test_every_thread_is_inside(begin: Callable[..., Proxy]):
    proxy = begin(WORKERS="4")
    if not kernel_has_both(proxy):
        pytest.skip("the kernel lacks a barrier")
    found = threads(proxy)
    assert len(found) == 4
    for status in found:
        assert "\nSeccomp:\t2\n" in status
        assert "\nNoNewPrivs:\t1\n" in status


def test_off_is_off_and_is_said(begin: Callable[..., Proxy]):
    proxy = begin(SANDBOX="off")
    before = pathlib.Path("/proc/self/status").read_text().split("\nSeccomp:\t")[1][0]
    assert "notice sandbox: off (SANDBOX)" in proxy.log()
    assert proxy.status("Seccomp") == before
    assert proxy.status("NoNewPrivs") == "1"


def test_another_word_is_refused():
    ended = run_binary(SANDBOX="maybe")
    assert ended.returncode == 2
    assert "SANDBOX: 'maybe' is not accepted: give 1, true, yes or on, or 0, false, no or off" in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_that_stays_keeps_three_capabilities(begin: Callable[..., Proxy], place: pathlib.Path):
    with Engine(str(place / "engine.sock")) as engine:
        os.chmod(engine.path, 0o600)
        proxy = begin(SOCKET_PATH=engine.path)
        assert "staying root" in proxy.log()
        # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE
        assert int(proxy.status("CapPrm"), 16) & ~(1 << 1 | 1 << 2 | 1 << 10) == 0
        assert int(proxy.status("CapBnd"), 16) == 0


def test_the_socket_of_a_listener_is_removed_at_the_end(
    begin: Callable[..., Proxy], place: pathlib.Path
):
    path = place / "proxy.sock"
    place.chmod(0o777)
    proxy = begin(LISTEN=f"unix://{path}")
    socket.socket(socket.AF_UNIX).connect(str(path))
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert not path.exists()


def test_machine_code_of_patterns_that_was_made_at_the_start_runs(
    begin: Callable[..., Proxy], place: pathlib.Path
):
    file = place / "proxy.yaml"
    file.write_text("policies:\n  p: {rules: [{allow: {methods: [GET], path: '/containers/[a-z]+/json'}}]}\npolicy: p\n")
    proxy = begin("-c", str(file))
    maps = pathlib.Path(f"/proc/{proxy.pid}/maps").read_text()
    if not sanitized():
        assert re.search(r" rwxp 00000000 00:00 0 *$", maps, re.M), "no memory of machine code"
    with proxy.connect() as client:
        client.send(b"GET /containers/1/json HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert client.response().status == 403
