"""A swarm of real Engines on one machine: each in a network of its own, joined by a bridge.

The bridge has a network of its own too, so that nothing of this is seen on the machine. A node has one
address on it, 10.77.0.N, and what Docker makes there: bridges of the node, and the overlay networks of the swarm.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/engine")]

from engine import Engine  # noqa: E402

PATIENCE = 120
COMMAND_SECONDS = 120


def eventually(claim: Callable[[], object], what: Callable[[], str] | str, seconds: float = PATIENCE) -> None:
    """Wait until the claim holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.2)


class Network:
    """A network namespace, for as long as a process of ours keeps it."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == here:
            time.sleep(0.005)
        self.path = f"/proc/{self.holder.pid}/ns/net"

    def ip(self, command: str) -> None:
        subprocess.run(["nsenter", f"--net={self.path}", "ip", *command.split()], check=True)

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()


class Switch(Network):
    """The bridge that joins the nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.ip("link add br0 type bridge")
        self.ip("link set br0 up")

    def join(self, node: Network, number: int) -> str:
        """A cable from the bridge to a node; the address of the node."""
        self.ip(f"link add port{number} type veth peer name eth0 netns {node.holder.pid}")
        self.ip(f"link set port{number} master br0 up")
        node.ip(f"addr add 10.77.0.{number}/24 dev eth0")
        node.ip("link set eth0 up")
        return f"10.77.0.{number}"


class Node:
    """An Engine with a network, a host name and an address of its own."""

    def __init__(self, switch: Switch, number: int) -> None:
        self.name = f"node{number}"
        self.network = Network()
        self.address = switch.join(self.network, number)
        # As on a machine: with rules of iptables, in the network of the node, and a socket where the files look for it.
        self.engine = Engine("--iptables=true", "--host=unix:///var/run/docker.sock")
        self.engine.network = ["nsenter", f"--net={self.network.path}", "unshare", "--uts", "--mount",
                               "sh", "-c", 'hostname "$0" && mount -t tmpfs run /run && exec "$@"', self.name]

    @property
    def socket(self) -> Path:
        return self.engine.socket

    def start(self) -> Node:
        self.engine.start()
        return self

    @property
    def group(self) -> str:
        """The group that may open the Engine's socket."""
        return str(self.socket.stat().st_gid)

    def docker(self, *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
        """What a docker command on this node prints."""
        done = self.try_docker(*arguments, env=env, cwd=cwd)
        assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout.strip()

    def try_docker(self, *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None,
                   ) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "0",
                       "DOCKER_CONFIG": str(self.engine.folder), **(env or {})}
        return subprocess.run(["docker", *map(str, arguments)], env=environment, cwd=cwd, text=True,
                              capture_output=True, timeout=COMMAND_SECONDS, check=False)

    def containers(self, service: str) -> list[str]:
        """The running containers of a service on this node."""
        return self.docker("ps", "--quiet", "--no-trunc", "--filter",
                           f"label=com.docker.swarm.service.name={service}").split()

    def pid(self, container: str) -> int:
        """A process of the container, by its pid here and not in the Engine's namespace."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if f"/{container}" in (folder / "cgroup").read_text():
                        return int(folder.name)
                except (FileNotFoundError, ProcessLookupError):
                    continue
        raise AssertionError(f"container {container} of {self.name} does not run")

    def close(self) -> None:
        self.engine.kill()  # its containers end with it, as their namespace of processes does
        self.engine.close()
        self.network.close()


class Swarm:
    """Three nodes, all of them managers: one may be lost."""

    def __init__(self, images: Callable[[Node], None]) -> None:
        self.switch = Switch()
        self.nodes = [Node(self.switch, number) for number in (1, 2, 3)]
        self.first = self.nodes[0]
        # An Engine ends with the thread that started it (prctl(2), PR_SET_PDEATHSIG): these threads stay until close().
        self.pool = ThreadPoolExecutor(len(self.nodes))
        try:
            self.every(Node.start)
            images(self.first)
            self._copy_images()
            self._join()
        except BaseException:
            self.close()
            raise

    def every(self, act: Callable[[Node], object]) -> None:
        """Act on all nodes at once."""
        list(self.pool.map(act, self.nodes))

    def _copy_images(self) -> None:
        names = self.first.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        archive = self.first.engine.folder / "images.tar"
        self.first.docker("save", "--output", archive, *names)
        self.every(lambda node: node is self.first or node.docker("load", "--input", archive))

    def _join(self) -> None:
        self.first.docker("swarm", "init", "--advertise-addr", self.first.address)
        token = self.first.docker("swarm", "join-token", "--quiet", "manager")
        for node in self.nodes[1:]:
            node.docker("swarm", "join", "--token", token, "--advertise-addr", node.address, f"{self.first.address}:2377")

    def close(self) -> None:
        self.every(Node.close)
        self.pool.shutdown()
        self.switch.close()
