"""`make run`: the README's two commands, on whatever Engine there is."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT
from machine import free_port

START_SECONDS = 300
STOP_SECONDS = 120
RESPONSE_SECONDS = 60


class Verb:
    """A verb of the Makefile, running as in a terminal: in a process group that Ctrl-C reaches."""

    def __init__(self, *arguments: str, env: dict[str, str]) -> None:
        kept = {n: v for n, v in os.environ.items() if n not in ("SOCKET_PATH", "DOCKER_HOST")}
        self.process = subprocess.Popen(
            ["make", "-C", ROOT, *arguments], env=kept | env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.output: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.output.extend(self.process.stdout)

    def text(self) -> str:
        """Everything said so far."""
        return "".join(self.output)

    def interrupt(self) -> None:
        """Ctrl-C, and wait for the end."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)

    def end(self) -> None:
        """Make sure that nothing stays behind a failed test."""
        if self.process.poll() is None:
            self.interrupt()


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, bytes] | None:
    """Status and body of a GET, or None while nobody listens."""
    connection = http.client.HTTPConnection(host, port, timeout=RESPONSE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


def await_response(verb: Verb, port: int, path: str) -> tuple[int, bytes]:
    """The first response, as soon as the proxy listens; fails with the output when the verb ends."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and verb.process.poll() is None:
        response = get(port, path)
        if response:
            return response
        time.sleep(0.05)
    pytest.fail(f"`make run` does not serve:\n{verb.text()}")


@pytest.fixture(name="running")
def run_verb() -> Iterator[tuple[Verb, int]]:
    """`make run` without settings but a port of its own."""
    port = free_port()
    verb = Verb("run", env={"PORT": str(port)})
    yield verb, port
    verb.end()


def test_make_run_serves_an_engine_and_ctrl_c_ends_everything(running: tuple[Verb, int]) -> None:
    """The promise of the README's first page, nothing open to the network, and nothing left behind."""
    verb, port = running
    status, body = await_response(verb, port, "/version")
    assert status == 200, verb.text()
    assert json.loads(body)["ApiVersion"]
    assert get(port, "/version", host="127.0.0.2") is None, "it is open to other interfaces"

    verb.interrupt()
    assert get(port, "/version") is None
    private = re.search(r"Engine of its own at (\S+)/docker.sock", verb.text())
    if private:
        assert "starting a private one" in verb.text()
        assert not Path(private.group(1)).exists()


def test_make_run_takes_the_socket_it_is_told(tmp_path: Path) -> None:
    """SOCKET_PATH is an order: an Engine that is down gives 502, not another Engine. LOOPBACK=0 is
    one, too."""
    port = free_port()
    verb = Verb("run", env={"PORT": str(port), "SOCKET_PATH": str(tmp_path / "none.sock"),
                            "LOOPBACK": "0"})
    try:
        status, body = await_response(verb, port, "/version")
        assert status == 502
        assert str(tmp_path / "none.sock") in json.loads(body)["message"]
        assert get(port, "/version", host="127.0.0.2") is not None
    finally:
        verb.end()
