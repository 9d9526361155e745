"""Policies with constraints on a real Engine: what the tests of test_inside.py and test_services.py share."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import proxy as program
import pytest
import wire
from conftest import Containers, Target
from engine import IMAGE, Engine
from machine import public_folder
from wire import Response

JSON = {"Content-Type": "application/json"}
MIB = 1 << 20
SECRET = b"the host's secret"
POLICY = """\
policy: ci
policies:
  ci:
    mode: {mode}
    rules: [{{allow: ['*']}}]
    create: {create}
    exec: {exec}
"""


@dataclass(frozen=True)
class Host:
    """Folders of the machine: a policy opens `open`."""

    root: Path

    @property
    def open(self) -> Path:
        return self.root / "ci"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    root = Path(public_folder("dsp-tests-host-"))
    for name in ("ci", "ci/sub", "ci-evil", "lower"):
        (root / name).mkdir()
    for name in ("secret", "ci/allowed", "ci/sub/allowed", "ci-evil/secret"):
        (root / name).write_bytes(SECRET)
    (root / "ci" / "out").symlink_to(root)
    yield Host(root)
    subprocess.run(["rm", "-rf", root], check=True)


Start = Callable[..., Target]


@pytest.fixture(scope="module")
def proxies(binary: Path, engine: Engine) -> Iterator[dict[str, program.Proxy]]:
    """One proxy for each configuration that was asked for."""
    running: dict[str, program.Proxy] = {}
    yield running
    for one in running.values():
        one.close()


@pytest.fixture
def under(proxies: dict, binary: Path, engine: Engine, tmp_path: Path) -> Iterator[Start]:
    """under(create, exec) → the way through a proxy whose policy has these blocks."""
    used: list[program.Proxy] = []

    def start(create: str = "{}", exec: str = "{}", text: str = POLICY) -> Target:
        configuration = text.format(create=create, exec=exec, mode="enforce")
        if configuration not in proxies:
            file = tmp_path / f"{len(proxies)}.yaml"
            file.write_text(configuration)
            proxies[configuration] = program.Proxy(binary, engine.socket, {"CONFIG": str(file)})
        running = proxies[configuration]
        used.append(running)
        return Target("proxied", running.docker_host, running.connect)

    yield start
    for one in used:
        fault = one.fault()
        assert not fault, fault


@dataclass
class Maker:
    """Sends creates over either way, and looks at what came of them on the Engine itself."""

    containers: Containers
    leftovers: list[str] = field(default_factory=list)

    def name(self) -> str:
        return f"inside-{uuid.uuid4().hex[:12]}"

    def post(self, target: Target, path: str, body: dict | bytes, fields: dict | None = None) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return target.roundtrip("POST", path, {**JSON, **(fields or {})}, raw)

    def create(self, target: Target, body: dict | bytes, *, name: str = "", version: str = "",
               fields: dict | None = None) -> tuple[Response, str]:
        """The response, and the name that the container has if there is one."""
        name = name or self.name()
        response = self.post(target, f"{version}/containers/create?name={name}", body, fields)
        self.containers.made.append(name)
        return response, name

    def made(self, target: Target, body: dict | bytes, **more) -> str:
        response, name = self.create(target, body, **more)
        assert response.status == 201, response
        return name

    def get(self, path: str) -> dict:
        response = self.containers.call("GET", path)
        assert response.status == 200, response
        return response.json()

    def container(self, name: str) -> dict:
        return self.get(f"/containers/{name}/json")

    def exists(self, path: str) -> bool:
        return self.containers.call("GET", path).status == 200

    def output(self, name: str) -> bytes:
        """Start it, and wait until it has said all."""
        self.containers.start(name)
        self.containers.wait(name)
        return self.containers.logs(name).get(1, b"")

    def read(self, name: str, path: str) -> bytes | None:
        """A file as the container has it, with its mounts; it need not run."""
        response = self.containers.call("GET", f"/containers/{name}/archive?path={path}")
        if response.status != 200:
            return None
        with tarfile.open(fileobj=io.BytesIO(response.body)) as tar:
            member = tar.extractfile(tar.next())
            return b"" if member is None else member.read()

    def network(self, **more) -> str:
        body = {"Name": self.name(), **more}
        response = self.containers.call("POST", "/networks/create", body)
        assert response.status == 201, response
        self.leftovers.append(f"/networks/{response.json()['Id']}")
        return body["Name"]

    def volume(self, **more) -> str:
        name = self.name()
        response = self.containers.call("POST", "/volumes/create", {"Name": name, **more})
        assert response.status == 201, response
        self.leftovers.append(f"/volumes/{name}")
        return name

    def exec(self, target: Target, container: str, body: dict) -> Response:
        return self.post(target, f"/containers/{container}/exec", body)

    def execs(self, container: str) -> set[str]:
        """Those that have not ended, and were not started."""
        return set(self.container(container)["ExecIDs"] or [])

    def exec_output(self, exec_id: str) -> bytes:
        with wire.connect_unix(self.containers.engine.socket) as connection:
            connection.request("POST", f"/exec/{exec_id}/start", JSON, b'{"Detach":false}')
            assert connection.head().status == 200
            return b"".join(connection.output().values())


@pytest.fixture
def maker(containers: Containers) -> Iterator[Maker]:
    one = Maker(containers)
    yield one
    containers.remove()
    for path in one.leftovers:
        containers.call("DELETE", path)


def refusal(response: Response, *words: str) -> str:
    """A denial of the body that has these words."""
    assert response.status == 403, response
    message = response.json()["message"]
    assert "policy 'ci' does not allow this" in message
    for word in words:
        assert word in message, message
    return message


def quiet(host_config: dict, **more) -> dict:
    """A container that does nothing, with a network of its own."""
    return {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **host_config}, **more}


def shell(script: str, host_config: dict, **more) -> dict:
    return {**quiet(host_config, **more), "Cmd": ["sh", "-c", script]}
