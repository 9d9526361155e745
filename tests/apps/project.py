"""A compose file of deploy/apps, up on an Engine as it is, and its app: whoever runs in its network is the app for the proxy."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import wire
from engine import Engine
from machine import DOCKER_COMPOSE, public_folder
from neighbours import first_pid, in_network_of

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "deploy/apps"
PROXY = "docker-socket-proxy:c-latest"
SOCKET = "/var/run/docker.sock"
HOST = "tcp://docker-socket-proxy:3277"
COMMAND_SECONDS = 180
BUSYBOX = "busybox:latest"


def client_environment(engine: Engine) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{engine.socket}", "DOCKER_BUILDKIT": "0",
            "DOCKER_CONFIG": str(engine.folder), "DOCKER_GID": str(engine.socket.stat().st_gid)}


def docker(engine: Engine, *arguments: object) -> str:
    """What a docker command on the Engine itself prints."""
    done = subprocess.run(["docker", *map(str, arguments)], env=client_environment(engine), text=True,
                          capture_output=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout.strip()


class App:
    """One container of a project, and requests from its network."""

    def __init__(self, engine: Engine, container: str, proxy: str) -> None:
        self.engine, self.container = engine, container
        self.pid = first_pid(container)
        self.address = proxy

    def connect(self) -> wire.Connection:
        def make() -> socket.socket:
            return socket.create_connection((self.address, 3277), timeout=wire.TIMEOUT_SECONDS)

        return wire.Connection(in_network_of(self.pid, make))

    def ask(self, request: str, body: object = None) -> wire.Response:
        """One request, METHOD and target; a body that is no bytes is sent as JSON."""
        method, target = request.split(" ", 1)
        fields = {"Content-Type": "application/x-tar" if isinstance(body, bytes) else "application/json"}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if data is None and method == "POST":
            data = b""
        with self.connect() as connection:
            return connection.roundtrip(method, target, fields if data else None, data)

    def ok(self, request: str, body: object = None):
        """What a response that says success has, if that is JSON."""
        response = self.ask(request, body)
        assert response.status < 400, f"{request}: {response.status} {response.body.decode()}"
        return response.json() if response.body[:1] in (b"{", b"[") else None

    def refusal(self, request: str, body: object = None) -> str:
        """The message of a request that must be refused."""
        response = self.ask(request, body)
        assert response.status in (403, 404), f"{request}: {response.status} {response.body.decode()}"
        return response.json()["message"]

    def stream(self, request: str, body: object = None) -> wire.Connection:
        """A connection that was upgraded, as attach and exec are."""
        method, target = request.split(" ", 1)
        connection = self.connect()
        connection.request(method, target, {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"},
                           json.dumps(body).encode() if body is not None else b"")
        head = connection.head()
        assert head.status == 101, f"{request}: {head.status} {b''.join(connection.body(head, method)).decode()}"
        return connection

    def run(self, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command of this machine in the network of the container, with the names that Docker gives it."""
        names = self.engine.folder / "resolv.conf"
        names.write_text("nameserver 127.0.0.11\noptions ndots:0\n")
        hosts = self.engine.folder / "hosts"
        hosts.write_bytes(Path(f"/proc/{self.pid}/root/etc/hosts").read_bytes())
        inside = 'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && shift && exec "$@"'
        settings = {"DOCKER_HOST": HOST, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(self.engine.folder), **variables}
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", "unshare", "--mount", "sh", "-c", inside, str(names), str(hosts),
             *map(str, command)], env={"PATH": os.environ["PATH"], **settings}, text=True, capture_output=True,
            timeout=COMMAND_SECONDS, check=False)

    def docker(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self.run("docker", *arguments)


class Project:
    """The files of one folder, up."""

    def __init__(self, engine: Engine, name: str, places: dict[str, Path] | None = None, policy: str | None = None) -> None:
        """places: folders of the host that the files name, and those of the test. policy: another text of proxy.yaml."""
        self.engine, self.name = engine, name
        self.folder = Path(public_folder("dsp-tests-app-")) / name
        shutil.copytree(APPS / name, self.folder)
        for file in self.folder.iterdir():
            text = file.read_text() if policy is None or file.name != "proxy.yaml" else policy
            assert file.name != "compose.yml" or f"- {SOCKET}:{SOCKET}" in text
            text = text.replace(f"- {SOCKET}:", f"- {engine.socket}:")
            for path, place in (places or {}).items():
                text = text.replace(path, str(place))
            file.write_text(text)
            file.chmod(0o644)
        try:
            self.compose("up", "-d")
        except BaseException:
            self.close()
            raise

    def compose(self, *arguments: str) -> str:
        done = subprocess.run([*DOCKER_COMPOSE, "-f", "compose.yml", *arguments], cwd=self.folder, env=client_environment(self.engine),
                              text=True, capture_output=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self.logs() if 'up' in arguments else ''}"
        return done.stdout

    def logs(self) -> str:
        return self.compose("logs", "--no-color", "docker-socket-proxy")

    def await_log(self, words: str) -> None:
        """Records are written a moment after the response."""
        deadline = time.monotonic() + 60
        while words not in self.logs():
            assert time.monotonic() < deadline, f"{words} is not in the log"
            time.sleep(0.1)

    def container(self, service: str) -> dict:
        """The inspection of the container of a service."""
        wanted = json.dumps({"label": [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]})
        found = self.engine.get(f"/containers/json?all=1&filters={wanted.replace(' ', '')}").json()
        assert len(found) == 1, (service, found)
        return self.engine.get(f"/containers/{found[0]['Id']}/json").json()

    def app(self, service: str) -> App:
        networks = self.container("docker-socket-proxy")["NetworkSettings"]["Networks"]
        (address,) = (network["IPAddress"] for network in networks.values())
        return App(self.engine, self.container(service)["Id"], address)

    def close(self) -> None:
        self.compose("down", "--timeout", "0", "--volumes")
        shutil.rmtree(self.folder.parent)


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
