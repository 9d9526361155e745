"""The container of a process by its control group of version 2 (cgroups(7)), on a kernel that has no other one mounted.

`make test STAGES=kernel` starts one. Its Linux 6.1 has no SO_PEERPIDFD: the time at which the process began says
that it is the one that connected.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from machine import free_port, public_folder
from test_containers import EDGE, World, id_of
from wire import PATIENCE, Client, Engine, Proxy

GROUPS = Path("/sys/fs/cgroup")
ID = id_of(0xED6E)


def enter(group: Path) -> None:
    """Make it, and become one of its processes."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))


@dataclass
class Place:
    """A proxy at a unix socket, whose Engine says what the world is."""

    socket: str
    world: World
    made: list[Path]
    processes: list[int]

    def start(self, group: str, work: Callable[[int], None]) -> tuple[int, int]:
        """A process in this control group, and the end at which is read what its work writes to the other one."""
        reading, writing = os.pipe()
        self.made.append(GROUPS / group)
        child = os.fork()
        if child == 0:
            try:
                enter(GROUPS / group)
                work(writing)
            finally:
                os._exit(0)
        os.close(writing)
        return child, reading

    def ask_from(self, group: str) -> int:
        """The status that a process in this control group gets."""

        def ask(told: int) -> None:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self.socket)
            with Client(sock) as client:
                client.get("/version")
                os.write(told, b"%d" % client.response().status)

        child, reading = self.start(group, ask)
        with open(reading) as told:
            status = int(told.read() or "0")
        os.waitpid(child, 0)
        return status

    def runs_in(self, group: str) -> None:
        """The container's first process is there."""

        def stay(entered: int) -> None:
            os.close(entered)
            signal.pause()

        child, reading = self.start(group, stay)
        with open(reading) as entered:
            entered.read()
        self.processes.append(child)
        self.world.inspected[ID]["State"]["Pid"] = child


@pytest.fixture
def place() -> Iterator[Place]:
    folder, port = public_folder("groups-"), free_port()
    world = World()
    world.add(0xED6E, "192.0.2.1", role="edge")
    Path(folder, "proxy.yaml").write_text(
        f"listeners:\n- {{address: 'tcp://127.0.0.1:{port}', policy: deny}}\n"
        f"- {{address: 'unix://{folder}/proxy.sock', mode: '0666', policy: deny}}\nclients:\n{EDGE}")
    with Engine(f"{folder}/engine.sock", api_key=None) as engine:
        with engine.responding(world.answer):
            proxy = Proxy("-c", f"{folder}/proxy.yaml", env={"SOCKET_PATH": engine.path}, port=port).wait_ready()
            made = Place(f"{folder}/proxy.sock", world, [], [])
            yield made
        proxy.stop(engine.hang_up)  # which the thread that responds must not see
    for process in made.processes:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    for group in made.made:
        while group != GROUPS and group.exists() and not any(path.is_dir() for path in group.iterdir()):
            group.rmdir()
            group = group.parent
    shutil.rmtree(folder)


def test_this_kernel_has_version_2_alone() -> None:
    assert Path("/proc/self/cgroup").read_text().startswith("0::/")
    assert len(Path("/proc/self/cgroup").read_text().splitlines()) == 1
    assert not hasattr(socket, "SO_PEERPIDFD")
    one, other = socket.socketpair()
    with one, other, pytest.raises(OSError, match="Protocol not available"):
        one.getsockopt(socket.SOL_SOCKET, 77)  # SO_PEERPIDFD


@pytest.mark.parametrize("group", [f"docker/{ID}", f"system.slice/docker-{ID}.scope"], ids=["cgroupfs", "systemd"])
def test_a_process_in_the_group_of_a_container(place: Place, group: str) -> None:
    """And in one that the container made below its own; in no other, whatever its name is."""
    place.runs_in(group)
    assert place.ask_from(group) == 200
    assert place.ask_from(f"{group}/init.scope") == 200
    for other in ("", "docker", f"user.slice/docker-{ID}.scope", f"forged/{ID}", f"{group}/{id_of(1)}", f"docker/{id_of(1)}"):
        assert place.ask_from(other) == 403, other


def test_a_container_whose_first_process_is_elsewhere(place: Place) -> None:
    place.runs_in(f"docker/{id_of(2)}")
    assert place.ask_from(f"docker/{ID}") == 403
