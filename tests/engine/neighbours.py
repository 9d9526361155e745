"""Containers as clients: the program under test beside the Engine, in its namespaces, and connections from there.

The Engine of the tests has a network of its own, with bridges and containers. The proxy runs there too, so that
it sees containers by their addresses and processes, as it does on a user's machine.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import wire
from engine import Engine
from machine import public_folder
from proxy import START_SECONDS, Program

PORT = 3277
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def first_of(engine: Engine) -> int:
    """The first process of the Engine's namespaces, by its pid here."""
    return children_of(engine.process.pid)[0]


def in_network_of(pid: int, make: Callable[[], socket.socket]) -> socket.socket:
    """What make() returns in the network of a process: a thread enters it, and ends."""
    result: list = []

    def work() -> None:
        with open(f"/proc/{pid}/ns/net") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                result.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            result.append(make())
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def pids_of(container: str) -> list[int]:
    """The processes of a container, by their pids here."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"/{container}" in (folder / "cgroup").read_text():
                    found.append(int(folder.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return sorted(found)


def first_pid(container: str, seconds: float = 10) -> int:
    deadline = time.monotonic() + seconds
    while not (pids := pids_of(container)):
        assert time.monotonic() < deadline, f"container {container} has no process"
        time.sleep(0.005)
    return pids[0]


class Beside(Program):
    """A proxy in the Engine's namespaces: it listens on all addresses there, and at a unix socket."""

    def __init__(
        self, binary: Path, engine: Engine, config: str, network_of: int | None = None, socket_path: Path | None = None
    ) -> None:
        """network_of: a process, whose network alone the proxy shares. socket_path: in place of the Engine's."""
        self.engine = engine
        where = ([f"--net=/proc/{network_of}/ns/net"] if network_of
                 else [f"--target={first_of(engine)}", "--net", "--mount", "--pid"])
        self.folder = Path(public_folder("dsp-tests-beside-"))
        self.socket = self.folder / "proxy.sock"
        self.log_file = self.folder / "log"
        (self.folder / "proxy.yaml").write_text(
            f"listeners:\n- {{address: 'tcp://0.0.0.0:{PORT}', name: network, policy: deny}}\n"
            f"- {{address: 'unix://{self.socket}', name: socket, mode: '0666', policy: deny}}\n{config}"
        )
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "nsenter", *where,
                 "setpriv", "--pdeathsig", "KILL", binary, "-c", self.folder / "proxy.yaml"],
                env={"PATH": os.environ["PATH"], "SOCKET_PATH": str(socket_path or engine.socket),
                     **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def answers(self) -> bool:
        try:
            with wire.connect_unix(self.socket) as connection:
                return connection.roundtrip("GET", "/health").status in (200, 503)
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """nsenter stays, as the parent of what it starts in other namespaces of processes."""
        return (children_of(self.process.pid) or [self.process.pid])[0]

    def connect(self, pid: int, address: str) -> wire.Connection:
        """A connection to the proxy from the network of a process."""
        def make() -> socket.socket:
            return socket.create_connection((address, PORT), timeout=wire.TIMEOUT_SECONDS)

        return wire.Connection(in_network_of(pid, make))

    def close(self) -> None:
        try:
            super().close()
        finally:
            shutil.rmtree(self.folder)


@pytest.fixture
def beside(binary: Path, engine: Engine) -> Iterator[Callable[..., Beside]]:
    """beside(config, socket_path): a proxy with this configuration behind its listeners."""
    made: list[Beside] = []

    def start(config: str, socket_path: Path | None = None) -> Beside:
        made.append(Beside(binary, engine, config, socket_path=socket_path))
        return made[-1]

    yield start
    for proxy in made:
        proxy.close()


@pytest.fixture
def network_holder() -> Iterator[int]:
    """A process that keeps a network of its own."""
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]) as holder:
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == here:
            time.sleep(0.005)
        yield holder.pid
        holder.kill()


class Network:
    """A bridge of the Engine, and the address of the machine on it."""

    def __init__(self, engine: Engine, name: str, number: int) -> None:
        self.engine, self.name = engine, name
        self.prefix = f"172.31.{number}"
        self.gateway = f"{self.prefix}.1"
        response = call(engine, "POST", "/networks/create", {
            "Name": name, "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": f"{self.prefix}.0/24", "Gateway": self.gateway}]},
        })
        assert response.status == 201, response
        self.id = response.json()["Id"]

    def at(self, last: int) -> dict:
        """Members of a container's configuration by which it gets this address."""
        return {
            "HostConfig": {"NetworkMode": self.name},
            "NetworkingConfig": {"EndpointsConfig": {self.name: {"IPAMConfig": {"IPv4Address": f"{self.prefix}.{last}"}}}},
        }


def call(engine: Engine, method: str, path: str, body: dict | None = None) -> wire.Response:
    import json

    with wire.connect_unix(engine.socket) as connection:
        if body is None:
            return connection.roundtrip(method, path)
        return connection.roundtrip(method, path, {"Content-Type": "application/json"}, json.dumps(body).encode())


@pytest.fixture(scope="module")
def network(engine: Engine) -> Iterator[Network]:
    made = Network(engine, f"neighbours-{os.getpid()}", 7)
    yield made
    call(engine, "DELETE", f"/networks/{made.name}")


@contextmanager
def from_container(proxy: Beside, container: str, network: Network) -> Iterator[wire.Connection]:
    with proxy.connect(first_pid(container), network.gateway) as connection:
        yield connection
