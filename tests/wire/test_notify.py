"""What the service manager is told: READY=1, STOPPING=1, WATCHDOG=1 of live threads, STATUS=."""

from __future__ import annotations

import ctypes
import os
import pathlib
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wire import PATIENCE, SILENCE, Engine

PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000


class Manager:
    """The end of NOTIFY_SOCKET at which systemd reads."""

    def __init__(self, name: str):
        self.name = name
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + name[1:] if name[0] == "@" else name)
        if name[0] != "@":
            os.chmod(name, 0o666)

    def message(self, timeout: float = PATIENCE) -> list[str]:
        self.sock.settimeout(timeout)
        return self.sock.recv(4096).decode().split("\n")

    def wait_for(self, line: str, timeout: float = PATIENCE) -> list[str]:
        deadline = time.monotonic() + timeout
        while True:
            lines = self.message(max(0.01, deadline - time.monotonic()))
            if line in lines:
                return lines

    def is_told(self, line: str, within: float) -> bool:
        try:
            self.wait_for(line, within)
        except (TimeoutError, BlockingIOError):
            return False
        return True

    def drain(self) -> None:
        while self.is_told("nothing", SILENCE):
            pass


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, folder: str) -> Iterator[Manager]:
    number = f"{os.getpid()}-{time.monotonic_ns()}"
    name = f"{folder}/notify-{number}" if request.param == "path" else f"@dsp-notify-{number}"
    manager = Manager(name)
    yield manager
    manager.sock.close()


@contextmanager
def stopped_thread(thread: int) -> Iterator[None]:
    """One thread of another process hangs, the others run on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_ATTACH, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


def test_ready_once_it_serves(start, own_engine: Engine, manager: Manager) -> None:
    proxy = start("--workers", "2", env={"NOTIFY_SOCKET": manager.name}, ready=False)
    lines = manager.message()
    assert lines[0] == "READY=1"
    assert lines[1].startswith("STATUS=0 of at most ") and lines[1].endswith("2 workers")
    with proxy.connect() as client:  # at once: that is what READY=1 promises
        client.get("/version")
        own_engine.request().respond(body=b"served")
        assert client.response().body == b"served"
    proxy.terminate()
    assert manager.wait_for("STOPPING=1")
    assert proxy.wait_exit() == 0


def test_status_counts_connections(start, manager: Manager) -> None:
    proxy = start(env={"NOTIFY_SOCKET": manager.name})
    with proxy.connect(), proxy.connect():
        while not manager.message()[-1].startswith("STATUS=2 of "):
            pass


def test_stopping_comes_before_the_grace(start, own_engine: Engine, manager: Manager) -> None:
    proxy = start("--shutdown-grace", "60", env={"NOTIFY_SOCKET": manager.name})
    with proxy.connect() as client:
        client.get("/events")
        request = own_engine.request()
        proxy.terminate()
        manager.wait_for("STOPPING=1")
        assert proxy.process.poll() is None
        request.respond(body=b"ended")
        assert client.response().body == b"ended"
    assert proxy.wait_exit() == 0


@pytest.mark.parametrize("workers", ["1", "3"])
def test_watchdog_beats_at_half_of_the_interval(start, manager: Manager, workers: str) -> None:
    settings = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"}
    start("--workers", workers, env=settings)
    manager.wait_for("WATCHDOG=1")
    began = time.monotonic()
    for _ in range(5):
        manager.wait_for("WATCHDOG=1")
    assert 0.6 < time.monotonic() - began < 2 + PATIENCE / 10, "five times 0.2 s"


@pytest.mark.parametrize("which", ["main", "other"])
def test_watchdog_stops_when_a_thread_hangs(start, manager: Manager, which: str) -> None:
    """The other threads would go on serving, and a part of the clients would wait for ever."""
    settings = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "200000"}
    proxy = start("--workers", "3", env=settings)
    manager.wait_for("WATCHDOG=1")
    threads = [int(entry.name) for entry in pathlib.Path(f"/proc/{proxy.pid}/task").iterdir()]
    thread = proxy.pid if which == "main" else max(threads)
    assert len(threads) >= 3, "ThreadSanitizer has one of its own"
    with stopped_thread(thread):
        manager.drain()
        assert not manager.is_told("WATCHDOG=1", 0.8)
        if which == "other":
            # Two, if the thread was stopped with the lock of the log.
            proxy.wait_log(lambda line: re.search("[12] of 3 workers do not answer", line) is not None)
    manager.wait_for("WATCHDOG=1")


def test_watchdog_of_another_process(start, manager: Manager) -> None:
    settings = {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    start(env={"NOTIFY_SOCKET": manager.name} | settings)
    manager.wait_for("READY=1")
    assert not manager.is_told("WATCHDOG=1", 0.3)


@pytest.mark.parametrize("name", ["/nowhere/notify", "relative", "@", "vsock:2:1", "/" + "x" * 200])
def test_a_manager_that_cannot_be_told(start, own_engine: Engine, name: str) -> None:
    """The service is worth more than the word about it."""
    proxy = start(env={"NOTIFY_SOCKET": name})
    with proxy.connect() as client:
        client.get("/health")
        assert client.response().status == 200
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert len([line for line in proxy.lines if "NOTIFY_SOCKET: '" in line]) == 1


def test_a_manager_that_does_not_read(start, manager: Manager) -> None:
    """A full queue of datagrams stops nothing: neither the start nor a worker that beats."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        other.connect(manager.sock.getsockname())
        with pytest.raises(BlockingIOError):
            while True:
                other.send(b"nothing")
    proxy = start(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "20000"})
    with proxy.connect() as client:
        for _ in range(50):
            client.get("/health")
            assert client.response().status == 200


def test_nobody_is_told_unasked(start, manager: Manager) -> None:
    start(env={"NOTIFY_SOCKET": ""})
    assert not manager.is_told("READY=1", SILENCE)
