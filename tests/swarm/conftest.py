"""One swarm for all tests of this folder, with the files of deploy/swarm deployed on it as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/swarm")]

from machine import deadline, public_folder  # noqa: E402
from nodes import Node, Swarm, eventually  # noqa: E402

BINARY = Path(os.environ.get("DSP_BINARY", ROOT / "build" / "docker-socket-proxy"))
FILES = ROOT / "deploy/swarm"
IMAGE = "docker-socket-proxy:c-latest"
STAND_INS = ("amir20/dozzle:latest", "traefik:v3")
PROXY = "docker-api_docker-socket-proxy"
TEST_SECONDS = 240
ENDS = ("completed", "rollback_completed", "paused", "rollback_paused")  # of an update


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.exit("Engines of one's own need root", returncode=1)
        for item in items:
            item.add_marker(pytest.mark.skip(reason="Engines of one's own need root"))


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    with deadline(TEST_SECONDS):
        yield


def build_images(node: Node) -> None:
    """The image, by the last part of the Dockerfile on the program under test; stand-ins with the names of the apps."""
    folder = Path(public_folder("dsp-tests-image-"))
    try:
        subprocess.run([ROOT / "tools/image-root", BINARY, folder / "image"], check=True)
        (folder / "folders/docker-socket-proxy").mkdir(parents=True)
        last = "FROM scratch" + (ROOT / "Dockerfile").read_text().partition("\nFROM scratch")[2]
        last, copies = re.subn(r"COPY --from=build (--chown=\S+ )?/", r"COPY \1", last)
        assert copies == 3
        (folder / "Dockerfile").write_text(last)
        node.docker("build", "--tag", IMAGE, folder)
    finally:
        shutil.rmtree(folder)
    node.engine.import_busybox()
    container = node.docker("create", "busybox:latest", "true")
    for name in STAND_INS:
        node.docker("commit", "--change", 'ENTRYPOINT ["sh", "-c", "exec sleep 1000000"]', "--change", "CMD []", container, name)
    node.docker("rm", container)


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    with closing(Swarm(build_images)) as made:
        yield made


@dataclass
class App:
    """A container of an app on a node: whoever runs in its network is this app for the proxy."""

    node: Node
    container: str
    pid: int = field(init=False)

    def __post_init__(self) -> None:
        self.pid = self.node.pid(self.container)

    def command(self, *command: str | Path) -> list[str]:
        """A command of this machine in the network of the container, with the name server that Docker gives containers."""
        names = self.node.engine.folder / "resolv.conf"
        names.write_text("nameserver 127.0.0.11\noptions ndots:0\n")
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "unshare", "--mount", "sh", "-c",
                'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(names), *map(str, command)]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*command), text=True, capture_output=True, timeout=60, check=False)

    def docker(self, *arguments: str, address: str = "tcp://docker-socket-proxy:3277", **variables: str,
               ) -> subprocess.CompletedProcess[str]:
        """A docker command, as the app would give it."""
        settings = [f"{name}={value}" for name, value in {"DOCKER_HOST": address, **variables}.items()]
        return self.run("env", *settings, "docker", *arguments)

    def addresses(self, name: str) -> list[str]:
        """What the app's name server says."""
        found = self.run("getent", "ahostsv4", name).stdout
        return sorted({line.split()[0] for line in found.splitlines()})


class Deployment:
    """The proxies and the apps of deploy/swarm, in a folder in which the policy can be changed."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        self.folder = Path(public_folder("dsp-tests-stack-"))
        for file in FILES.iterdir():
            shutil.copy(file, self.folder)

    def paste(self, name: str, node: Node | None = None) -> None:
        """The commands that the head of a file gives."""
        self.shell("\n".join(commands_of(self.folder / name)), node or self.swarm.first)

    def shell(self, command: str, node: Node) -> str:
        environment = {"PATH": f"{BINARY.parent}:{os.environ['PATH']}", "DOCKER_CONFIG": str(node.engine.folder),
                       "DOCKER_HOST": f"unix://{node.socket}"}
        # /var/run/docker.sock is that of the node.
        command = command.replace("/var/run/docker.sock", str(node.socket))
        done = subprocess.run(["sh", "-ec", command], cwd=self.folder, env=environment, text=True,
                              capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    def roll_out(self, policy: str, node: Node | None = None) -> str:
        """Deploys another proxy.yaml, as the head of stack.yml says; how the update ended."""
        before = self.update(node).get("StartedAt")
        (self.folder / "proxy.yaml").write_text(policy)
        self.shell("\n".join(commands_of(self.folder / "stack.yml")[-2:]), node or self.swarm.first)
        eventually(lambda: self.update(node).get("StartedAt") != before and self.update(node)["State"] in ENDS,
                   lambda: self.tasks(node=node))
        return self.update(node)["State"]

    def config(self) -> str:
        """The name of the config in use."""
        return self.service()["Spec"]["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"]

    def update(self, node: Node | None = None) -> dict:
        return self.service(node=node).get("UpdateStatus") or {}

    def service(self, name: str = PROXY, node: Node | None = None) -> dict:
        return json.loads((node or self.swarm.first).docker("service", "inspect", name))[0]

    def tasks(self, name: str = PROXY, node: Node | None = None) -> str:
        """For messages."""
        node = node or self.swarm.first
        return node.docker("service", "ps", "--no-trunc", name) + node.engine.log_tail()

    def app(self, node: Node, name: str = "apps_dozzle") -> App:
        eventually(lambda: node.containers(name), lambda: self.tasks(name))
        return App(node, node.containers(name)[0])

    def close(self) -> None:
        shutil.rmtree(self.folder)


def commands_of(file: Path) -> list[str]:
    """The commands in the comment at the head of a stack file."""
    return re.findall(r"^#   (.+)$", file.read_text().partition("\nversion:")[0], re.MULTILINE)


@pytest.fixture(scope="session")
def deployed(swarm: Swarm) -> Iterator[Deployment]:
    """stack.yml and apps.yml as pasted, and running on all nodes."""
    with closing(Deployment(swarm)) as made:
        made.paste("stack.yml")
        made.paste("apps.yml")
        for node in swarm.nodes:
            for name in (PROXY, "apps_dozzle", "apps_traefik"):
                eventually(lambda: node.containers(name), lambda: made.tasks(name))
            eventually(lambda: len(healthy(node)) == 1, made.tasks)
        yield made


def healthy(node: Node) -> list[str]:
    return node.docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={PROXY}",
                       "--filter", "health=healthy").split()


@contextmanager
def load(*apps: App, path: str = "/containers/json", threads: int = 1) -> Iterator[dict]:
    """Requests of these apps while the block runs; afterwards the counts: served, failed, failures."""
    processes = [
        subprocess.Popen(app.command("setpriv", "--pdeathsig", "KILL", sys.executable, ROOT / "tests/swarm/load.py",
                                     "docker-socket-proxy", "3277", path, str(threads)),
                         text=True, stdout=subprocess.PIPE) for app in apps]
    counts: dict = {"served": 0, "failed": 0, "failures": []}
    try:
        yield counts
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            for name, value in json.loads(process.communicate(timeout=60)[0]).items():
                counts[name] += value
        print(counts)  # `pytest -s` shows it
