"""The sandbox around the program that serves: what the start says of it, that every thread is inside,
and that what is read, made and removed later is. What it stops is tried in tests/unit/test_barriers.c."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from machine import free_port, public_folder
from test_engine_tcp import hosts, needs_root  # noqa: F401
from test_takeover import Family, goes_on, ping
from wire import (
    BINARY,
    PATIENCE,
    Background,
    Engine,
    Proxy,
    clean_environment,
    eventually,
    open_stream,
    run_binary,
    sanitized,
)

WHOLE = re.compile(r"info sandbox: seccomp, Landlock ABI \d+ \(files, TCP, abstract sockets, signals\)$", re.M)

BARE_KERNEL = (sys.executable, str(pathlib.Path(__file__).parent / "bare_kernel.py"))


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
    assert len(found) == 4 + sanitized("tsan"), "that of the sanitizer too"
    for status in found:
        assert "\nSeccomp:\t2\n" in status
        assert "\nNoNewPrivs:\t1\n" in status


@needs_root
def test_threads_that_serve_no_client_are_inside(start: Callable[..., Proxy], place: pathlib.Path, hosts: Callable[[str], dict]):
    """The writer of audit records, and the one that looks up names of Engines: threads have the filter and the rules of
    the thread that started them, so these began after it was inside."""
    place.chmod(0o777)
    env = {"AUDIT": f"{place}/audit.jsonl", "WORKERS": "2"}
    proxy = start("--upstream", f"tcp://engine:{free_port()}", env=env, ready=False, **hosts("127.0.0.1 engine\n"))
    proxy.wait_log(lambda line: "listening on" in line)
    if not kernel_has_both(proxy):
        pytest.skip("the kernel lacks a barrier")
    found = threads(proxy)
    assert len(found) == 2 + 2 + sanitized("tsan"), "two workers, two others, and that of the sanitizer"
    for status in found:
        assert "\nSeccomp:\t2\n" in status
        assert "\nNoNewPrivs:\t1\n" in status


@pytest.mark.parametrize("sandbox", ["on", "off"])
def test_the_writer_of_records_makes_files_in_its_folder_alone(begin: Callable[..., Proxy], place: pathlib.Path, sandbox: str):
    """Landlock's rule is about the folder of the start. Another one that has its name, and lets everybody write, is
    outside."""
    folder = place / "records"
    folder.mkdir()
    folder.chmod(0o777)
    proxy = begin(AUDIT=f"{folder}/audit.jsonl", SANDBOX=sandbox)
    if not kernel_has_both(proxy):
        pytest.skip("the kernel lacks a barrier")
    eventually((folder / "audit.jsonl").exists, "the file")
    folder.rename(place / "former")
    folder.mkdir()
    folder.chmod(0o777)
    if sandbox == "on":
        proxy.wait_log(lambda line: f"audit: '{folder}/audit.jsonl' cannot be opened: Permission denied" in line)
        assert list(folder.iterdir()) == []
    else:
        eventually((folder / "audit.jsonl").exists, "the file in the other folder")


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


def test_a_kernel_without_seccomp_and_landlock(start: Callable[..., Proxy], folder: str, own_engine: Engine):
    """gVisor's has neither. The start says so; clients, a reload, an operator and a hand-over get what they ask for."""
    family = Family(functools.partial(start, prefix=BARE_KERNEL), folder)
    old = family.first(WORKERS="2")
    line = old.wait_log(lambda line: " sandbox: " in line)
    assert " notice sandbox: the user and no_new_privs alone; " in line and line.endswith("lacks seccomp filters and Landlock")
    assert old.status("NoNewPrivs") == "1"
    with old.connect() as client:
        conn = open_stream(client, own_engine)
        old.process.send_signal(signal.SIGHUP)
        old.wait_log(lambda line: " notice reloaded " in line)
        asked = Background(lambda: subprocess.run(
            [*BARE_KERNEL, BINARY, "status", "streams"], env=clean_environment(**family.settings()), capture_output=True, text=True,
            timeout=PATIENCE,
        ))
        own_engine.request().respond(body=b'{"Version": "20.10.24", "ApiVersion": "1.41"}')
        status = asked.result()
        assert status.returncode == 0 and "system.events" in status.stdout, status
        new = family.next(old, WORKERS="2")
        goes_on(client, conn)
        conn.close()
    assert old.wait_exit() == 0
    with new.connect() as client:
        ping(client, own_engine)
    assert "lacks seccomp filters and Landlock" in new.log()
