"""The image is what the README promises: tiny, not root, healthy, and it serves a real Engine."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker as docker_py
import pytest

from conftest import BASE, ROOT, Docker
from machine import free_port

MAX_BYTES = 6 * 1024 * 1024
PATIENCE = 60


@pytest.fixture(scope="session")
def config(docker: Docker, image: str) -> dict:
    """What `docker inspect` says of the image."""
    return json.loads(docker("image", "inspect", image))[0]


@dataclass
class Running:
    """A container of the image on the host's network."""

    docker: Docker
    container: str
    port: int

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and body of a GET through the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()

    def await_listening(self, seconds: float = PATIENCE) -> None:
        """Return as soon as a connection is accepted; fail with the container's log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                if self.docker("inspect", "-f", "{{.State.Running}}", self.container) != "true":
                    break
                time.sleep(0.02)
        pytest.fail("the container does not listen:\n" + self.logs())

    def logs(self) -> str:
        """Both streams of the container."""
        result = subprocess.run(["docker", "logs", self.container], text=True,
                                env=self.docker.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=True)
        return result.stdout

    def await_health(self, wanted: str, seconds: float = 2 * PATIENCE) -> None:
        """Follow the Engine's events until the container's health is as wanted."""
        command = ["docker", "events", "--since", "0", "--until", f"{int(time.time() + seconds)}",
                   "--filter", f"container={self.container}", "--filter", "event=health_status",
                   "--format", "{{.Status}}"]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE,
                              env=self.docker.environment) as events:
            assert events.stdout is not None
            try:
                if any(line.strip() == f"health_status: {wanted}" for line in events.stdout):
                    return
            finally:
                events.kill()
        health = self.docker("inspect", "-f", "{{json .State.Health}}", self.container)
        pytest.fail(f"never became {wanted}: {health}\n{self.logs()}")


@contextmanager
def running_image(docker: Docker, image: str, *settings: str) -> Iterator[Running]:
    """The container, run with nothing it can do without."""
    port = free_port()
    group = docker.engine.socket.stat().st_gid
    container = docker(
        "run", "--detach", "--network", "host", "--env", f"PORT={port}",
        "--volume", f"{docker.engine.socket}:/var/run/docker.sock", "--group-add", str(group),
        "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--health-interval", "1s", *settings, image)
    try:
        running = Running(docker, container, port)
        running.await_listening()
        yield running
    finally:
        docker("rm", "--force", container)


@pytest.fixture(name="running")
def running_container(docker: Docker, image: str) -> Iterator[Running]:
    """The container with default settings."""
    with running_image(docker, image) as running:
        yield running


def test_image_is_smaller_than_6_mib(config: dict) -> None:
    """A pull of more than the promised 6 MiB would mean that something else came along."""
    assert config["Size"] < MAX_BYTES


def test_image_holds_the_program_and_nothing_else(
        docker: Docker, image: str, tmp_path: Path) -> None:
    """A shell or a library in the image would be a tool for whoever gets in."""
    container = docker("create", image)
    try:
        docker("export", "--output", tmp_path / "image.tar", container)
    finally:
        docker("rm", container)
    with tarfile.open(tmp_path / "image.tar") as archive:
        files = {m.name: m for m in archive if m.isfile() and m.size > 0}
    assert list(files) == ["docker-socket-proxy"]
    program = files["docker-socket-proxy"]
    assert program.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH) == 0


def test_image_runs_as_a_numeric_user_that_is_not_root(config: dict) -> None:
    """Kubernetes' runAsNonRoot refuses an image whose user is a name or root."""
    assert config["Config"]["User"] == "65532:65532"


def test_image_starts_the_program_without_a_shell(config: dict) -> None:
    """`docker run IMAGE --version` must reach the program, and signals too."""
    assert config["Config"]["Entrypoint"] == ["/docker-socket-proxy"]
    assert not config["Config"]["Cmd"]
    assert config["Config"]["Healthcheck"]["Test"] == ["CMD", "/docker-socket-proxy", "healthcheck"]


def test_image_exposes_the_default_port(config: dict) -> None:
    """`docker run -P` publishes what EXPOSE names."""
    assert list(config["Config"]["ExposedPorts"]) == ["3277/tcp"]


def test_labels_say_what_was_built(config: dict) -> None:
    """Registries and scanners show the version and the commit from the labels."""
    labels = config["Config"]["Labels"]
    revision = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "rev-parse", "HEAD"],
                              text=True, capture_output=True, check=True).stdout.strip()
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.version"] not in ("", "unknown")


def test_version_of_the_image_is_that_of_the_label(docker: Docker, image: str, config: dict) -> None:
    """Two versions on one image would leave nobody knowing what runs."""
    version = docker("run", "--rm", "--network", "none", image, "--version")
    assert config["Config"]["Labels"]["org.opencontainers.image.version"] in version


def test_requests_reach_the_engine(running: Running) -> None:
    """The main job, from the image: the Engine's version through the proxy."""
    status, body = running.get("/version")
    assert status == 200
    assert json.loads(body)["ApiVersion"]


def test_one_variable_chooses_a_preset(docker: Docker, image: str) -> None:
    """`-e POLICY=traefik` is all that people type: the presets must be inside."""
    with running_image(docker, image, "--env", "POLICY=traefik") as running:
        assert running.get("/containers/json?all=1")[0] == 200
        status, body = running.get("/containers/any/exec", "POST")
        assert status == 403
        assert "exec.create is not allowed by policy 'traefik'" in json.loads(body)["message"]
        running.await_health("healthy")


PROJECT = f"""\
version: "2.4"
services:
  worker:
    image: {BASE}
    command: sh -c 'echo at work; exec sleep 3600'
    stop_grace_period: 0s
"""


def test_compose_works_through_a_container_with_its_preset(
        docker: Docker, image: str, tmp_path: Path) -> None:
    """`-e POLICY=compose` and nothing else: a project with a network of its own, up and down."""
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    with running_image(docker, image, "--env", "POLICY=compose") as running:
        environment = {**os.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{running.port}",
                       "HOME": str(tmp_path)}

        def compose(*arguments: str) -> str:
            result = subprocess.run(
                ["docker-compose", "--ansi", "never", "-p", "from-a-container", *arguments],
                cwd=tmp_path, env=environment, text=True, capture_output=True,
                timeout=2 * PATIENCE, check=False)
            assert result.returncode == 0, result.stderr + running.logs()
            return result.stdout

        try:
            compose("up", "-d")
            assert compose("exec", "-T", "worker", "cat", "/etc/hostname").strip()
            assert "at work" in compose("logs", "worker")
            assert "from-a-container_default" in docker("network", "ls", "--format", "{{.Name}}")
        finally:
            compose("down")
        assert "from-a-container" not in docker("ps", "-a", "--format", "{{.Names}}")
        assert "denied:" not in running.logs()


def test_docker_py_reads_through_a_container_with_a_preset(docker: Docker, image: str) -> None:
    """`-e POLICY=read-only`: what a dashboard asks for comes, what it must not do does not."""
    with running_image(docker, image, "--env", "POLICY=read-only") as running:
        client = docker_py.DockerClient(f"tcp://127.0.0.1:{running.port}", timeout=PATIENCE)
        try:
            assert client.info()["ServerVersion"] == client.version()["Version"]
            seen = client.containers.get(running.container)
            assert seen.id == running.container and seen.status == "running"
            assert running.container in [other.id for other in client.containers.list()]
            assert image in [tag for other in client.images.list() for tag in other.tags]
            assert client.networks.list() and client.volumes.list() == []
            with pytest.raises(docker_py.errors.APIError, match="not allowed by policy 'read-only'"):
                seen.stop()
        finally:
            client.close()
        assert running.get("/version")[0] == 200


def test_container_becomes_healthy(running: Running) -> None:
    """Compose's `condition: service_healthy` waits for this."""
    running.await_health("healthy")


def test_program_is_not_root_and_can_gain_nothing(running: Running) -> None:
    """A way into the program must not be a way to root."""
    pid = running.docker("inspect", "-f", "{{.State.Pid}}", running.container)
    fields = dict(line.split(":\t", 1)
                  for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_stop_is_quick_and_clean(running: Running) -> None:
    """`docker stop` must not wait ten seconds for a kill."""
    started = time.monotonic()
    running.docker("stop", "--time", "300", running.container)
    assert time.monotonic() - started < 30
    assert running.docker("inspect", "-f", "{{.State.ExitCode}}", running.container) == "0"


def test_without_the_group_the_answer_names_the_fix(docker: Docker, image: str) -> None:
    """The commonest mistake of all: no --group-add. The client must read the flag to add."""
    port = free_port()
    docker.engine.socket.chmod(0o660)
    group = docker.engine.socket.stat().st_gid
    container = docker("run", "--detach", "--network", "host", "--env", f"PORT={port}",
                       "--volume", f"{docker.engine.socket}:/var/run/docker.sock", image)
    try:
        running = Running(docker, container, port)
        running.await_listening()
        status, body = running.get("/version")
        assert status == 502
        assert f"--group-add {group}" in json.loads(body)["message"]
    finally:
        docker("rm", "--force", container)


def test_container_build_leaves_the_program_outside(docker: Docker, image: str) -> None:
    """`make docker-binary` gives the program to somebody who has Docker and no compiler."""
    docker.make("IMAGE=dsp-test", "TAG=c-test", "docker-binary")
    program = ROOT / "build-container" / "docker-socket-proxy"
    version = subprocess.run([program, "--version"], text=True, capture_output=True, check=True)
    assert version.stdout.startswith("docker-socket-proxy ")
