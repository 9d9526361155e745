"""The image is what the README promises: tiny, not root, healthy, and it serves a real Engine."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
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

from conftest import BASE, REPOSITORY, ROOT, Docker
from machine import DOCKER_COMPOSE, free_port

MAX_BYTES = 8 * 1024 * 1024
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
def running_image(
        docker: Docker, image: str, *settings: str, port: int | None = None) -> Iterator[Running]:
    """The container, run with nothing it can do without."""
    port = port or free_port()
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


def test_image_is_smaller_than_8_mib(config: dict) -> None:
    """A pull of more than the promised 8 MiB would mean that something else came along."""
    assert config["Size"] < MAX_BYTES


def test_image_holds_the_program_and_nothing_else(
        docker: Docker, image: str, tmp_path: Path) -> None:
    """A shell or a library in the image would be a tool for whoever gets in. The names of tools are
    links to the program, and a folder is there for unix listeners."""
    container = docker("create", image)
    try:
        docker("export", "--output", tmp_path / "image.tar", container)
    finally:
        docker("rm", container)
    with tarfile.open(tmp_path / "image.tar") as archive:
        members = {m.name.rstrip("/"): m for m in archive}
    files = {name: m for name, m in members.items() if m.isfile() and m.size > 0}
    # The Engine makes the links to /proc and the empty files of /etc for each container.
    links = {name: m.linkname for name, m in members.items()
             if m.issym() and not m.linkname.startswith("/proc/")}
    assert set(files) == {"docker-socket-proxy", "etc/passwd", "etc/group"}
    assert links == {"healthcheck": "docker-socket-proxy", "usr/bin": "../bin"} | {
        f"bin/{name}": "../docker-socket-proxy"
        for name in ("docker-socket-proxy", "wget", "curl", "nc", "sh")}
    special = stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH
    assert all(m.mode & special == 0 and (m.uid, m.gid) == (0, 0) for m in files.values())
    owned = {name: (m.uid, m.gid, m.mode & 0o777) for name, m in members.items() if m.uid}
    assert owned == {f"{name}/docker-socket-proxy": (65532, 65532, 0o755) for name in ("run", "var/log")}


def test_image_runs_as_a_numeric_user_that_is_not_root(config: dict) -> None:
    """Kubernetes' runAsNonRoot refuses an image whose user is a name or root."""
    assert config["Config"]["User"] == "65532:65532"


def test_image_starts_the_program_without_a_shell(config: dict) -> None:
    """`docker run IMAGE --version` must reach the program, and signals too."""
    assert config["Config"]["Entrypoint"] == ["/docker-socket-proxy"]
    assert not config["Config"]["Cmd"]
    check = config["Config"]["Healthcheck"]
    assert check["Test"] == ["CMD", "/docker-socket-proxy", "healthcheck"]
    # Every check is three lines in `docker events`; Engines from 25 on check each 5 s at the start.
    assert check["Interval"] == 30_000_000_000 and check["StartPeriod"] == 30_000_000_000


def test_image_exposes_the_default_port(config: dict) -> None:
    """`docker run -P` publishes what EXPOSE names."""
    assert list(config["Config"]["ExposedPorts"]) == ["3277/tcp"]


def test_labels_say_what_was_built(config: dict) -> None:
    """Registries and scanners show the version, the commit and where the sources are from the labels."""
    labels = config["Config"]["Labels"]
    revision = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "rev-parse", "HEAD"],
                              text=True, capture_output=True, check=True).stdout.strip()
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.source"] == f"https://github.com/{REPOSITORY}"
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
                [*DOCKER_COMPOSE, "-p", "from-a-container", *arguments],
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


@pytest.mark.parametrize("command", [
    ["--port"], ["run", "--listen"], ["--policy", "traefik", "--listen"]], ids=" ".join)
def test_check_of_the_image_sees_the_command(docker: Docker, image: str, command: list[str]) -> None:
    """command: in a compose file says where it listens; the environment does not know."""
    port = free_port()
    where = str(port) if command[-1] == "--port" else f"tcp://127.0.0.1:{port}"
    container = docker("run", "--detach", "--network", "host", "--health-interval", "1s",
                       "--volume", f"{docker.engine.socket}:/var/run/docker.sock", "--group-add",
                       str(docker.engine.socket.stat().st_gid), image, *command, where)
    try:
        Running(docker, container, port).await_health("healthy")
    finally:
        docker("rm", "--force", container)


@pytest.mark.parametrize("check", [
    "wget --spider http://localhost:PORT/version || exit 1",
    "wget -qO- http://127.0.0.1:PORT/_ping | grep -q OK || exit 1",
    "curl -fsS -o /dev/null http://localhost:PORT/_ping || exit 1",
    "nc -z localhost PORT || exit 1",
    "docker-socket-proxy healthcheck || exit 1",
])
def test_checks_of_compose_files_make_it_healthy(docker: Docker, image: str, check: str) -> None:
    """`test: wget --spider …` is a line for /bin/sh, and stands in many compose files."""
    port = free_port()
    with running_image(docker, image, "--health-cmd", check.replace("PORT", str(port)),
                       port=port) as running:
        running.await_health("healthy")
        # As they stand in lists: test: ["CMD", "wget", …]
        docker("exec", running.container, "/usr/bin/wget", "-q", "--spider",
               f"http://localhost:{port}/_ping")
        assert docker("exec", running.container, "wget", "-qO-", f"http://localhost:{port}/_ping") == "OK"
        docker("exec", running.container, "./healthcheck")


@pytest.mark.parametrize("settings", [["--cap-drop", "ALL"], []], ids=["no rights", "rights"])
def test_root_by_name(docker: Docker, image: str, settings: list[str]) -> None:
    """user: root stands in compose files of other proxies, and needs a file that knows the name."""
    port = free_port()
    docker.engine.socket.chmod(0o660)
    container = docker("run", "--detach", "--network", "host", "--user", "root", "--health-interval",
                       "1s", "--volume", f"{docker.engine.socket}:/var/run/docker.sock", *settings,
                       image, "--port", str(port))
    try:
        running = Running(docker, container, port)
        running.await_health("healthy")
        assert running.get("/_ping") == (200, b"OK")
    finally:
        docker("rm", "--force", container)


def test_unix_listener_in_a_volume(docker: Docker, image: str) -> None:
    """The recipe of the README: a new volume at the folder of the image, and nothing to prepare."""
    docker("volume", "create", "docker-api")
    container = docker(
        "run", "--detach", "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--health-interval", "1s", "--env", "LISTEN=unix:///run/docker-socket-proxy/docker.sock",
        "--volume", "docker-api:/run/docker-socket-proxy", "--group-add",
        str(docker.engine.socket.stat().st_gid),
        "--volume", f"{docker.engine.socket}:/var/run/docker.sock", image)
    try:
        Running(docker, container, 0).await_health("healthy")
        folder = docker("volume", "inspect", "-f", "{{.Mountpoint}}", "docker-api")
        environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
        version = subprocess.run(["docker", "version", "-f", "{{.Server.Version}}"], text=True,
                                 env=environment, capture_output=True, check=True).stdout
        assert version.strip() == docker("version", "-f", "{{.Server.Version}}")
    finally:
        docker("rm", "--force", container)
        docker("volume", "rm", "docker-api")


def test_an_operator_asks_in_the_container(docker: Docker, image: str) -> None:
    """Nothing but the program is there to ask it with."""
    with running_image(docker, image, "--env", "POLICY=read-only", "--volume", "/run/docker-socket-proxy",
                       "--env", "ADMIN=unix:///run/docker-socket-proxy/admin.sock") as running:
        assert running.get("/containers/any/start", "POST")[0] == 403
        shown = docker("exec", running.container, "/docker-socket-proxy", "status")
        assert ", pid 1, up " in shown and ": ready" in shown and "ALLOW=container.start" in shown
        state = json.loads(docker("exec", running.container, "/docker-socket-proxy", "status", "--json"))
        assert state["engine"]["up"] is True and state["denials"][0]["operation"] == "container.start"
        assert docker("exec", running.container, "/docker-socket-proxy", "status", "streams") == "no streams are open"
        assert docker("exec", running.container, "/docker-socket-proxy", "reload").startswith("reloaded ")


def test_unix_listener_where_it_may_not_write_names_the_fix(docker: Docker, image: str) -> None:
    """A volume anywhere else belongs to root."""
    docker("volume", "create", "elsewhere")
    try:
        result = subprocess.run(
            ["docker", "run", "--rm", "--network", "none", "--volume", "elsewhere:/run/elsewhere",
             "--env", "LISTEN=unix:///run/elsewhere/docker.sock", image],
            env=docker.environment, text=True, capture_output=True, check=False)
        assert result.returncode == 1
        for words in ("/run/elsewhere", "65532", "owner 0:0", "chown 65532",
                      "unix:///run/docker-socket-proxy/"):
            assert words in result.stderr
    finally:
        docker("volume", "rm", "elsewhere")


# the shipped compose file


def variables(docker: Docker, image: str) -> tuple[list[str], list[str]]:
    """The variables that --help names: options, and section switches."""
    text = docker("run", "--rm", "--network", "none", image, "--help")
    before, _, after = text.partition("\nSection switches")
    options = re.findall(r"(?:environment: |^  )([A-Z0-9_]+)(?:=.*\[environment only|[];])", before,
                         re.MULTILINE)
    switches = " ".join(re.findall(r"^      ((?:[A-Z_]+ ?)+)$", after, re.MULTILINE)).split()
    assert len(options) > 10 and len(switches) > 50
    return options, switches


def shell_environment(**settings: str) -> dict[str, str]:
    """What a shell has; `make` exports these, which count before .env."""
    return {name: value for name, value in os.environ.items() if name not in ("IMAGE", "TAG", "OWNER")} | settings


@dataclass
class Project:
    """The shipped docker-compose.yml in a folder of its own."""

    docker: Docker
    folder: Path
    port: int
    settings: str
    shell: dict[str, str]

    def compose(self, *arguments: str) -> str:
        """docker-compose in that folder."""
        result = subprocess.run(
            [*DOCKER_COMPOSE, "-p", "shipped", *arguments], cwd=self.folder,
            env=shell_environment(DOCKER_HOST=f"unix://{self.docker.engine.socket}") | self.shell,
            text=True, capture_output=True, timeout=2 * PATIENCE, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def environment(self) -> dict[str, str]:
        """What the program in the container is given."""
        container = self.compose("ps", "-q", "docker-socket-proxy").strip()
        lines = self.docker("inspect", "-f", "{{json .Config.Env}}", container)
        return dict(line.split("=", 1) for line in json.loads(lines) if "=" in line)

    def said(self, words: str) -> str:
        """The log, as soon as these words are in it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            log = self.compose("logs", "--no-color", "docker-socket-proxy")
            if words in log:
                return log
        pytest.fail(f"it never says {words!r}:\n{log}")


@contextmanager
def shipped(docker: Docker, image: str, folder: Path, settings: str, **shell: str) -> Iterator[Project]:
    """The shipped file with these lines in .env and these variables of the shell, up and running."""
    name, tag = image.split(":")
    port = free_port()
    lines = {"IMAGE": name, "TAG": tag, "PORT": str(port), "SOCKET_PATH": str(docker.engine.socket),
             "DOCKER_GID": str(docker.engine.socket.stat().st_gid)}
    (folder / "docker-compose.yml").write_text((ROOT / "docker-compose.yml").read_text())
    (folder / ".env").write_text("".join(f"{n}={v}\n" for n, v in lines.items()) + settings)
    project = Project(docker, folder, port, settings, shell)
    try:
        project.compose("up", "-d", "--no-build")
        yield project
    finally:
        project.compose("down", "--timeout", "0", "--volumes")


# Compose takes them for its own Engine, also from .env.
OF_COMPOSE = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def test_shipped_file_passes_every_variable_on(docker: Docker, image: str, tmp_path: Path) -> None:
    """A switch that is dropped on the way leaves everything open. Some are empty: 0 to the program."""
    options, switches = variables(docker, image)
    values = {name: "1" for name in options} | {name: "" for name in switches}
    for name in ("PORT", "SOCKET_PATH", *OF_COMPOSE):  # the file itself needs them, or compose
        del values[name]
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    with shipped(docker, image, tmp_path, lines) as project:
        given = project.environment()
        assert {name: given.get(name) for name in values} == values
        assert given["PORT"] == str(project.port)
        assert given["SOCKET_PATH"] == str(docker.engine.socket)


def test_shipped_file_passes_the_shell_on(docker: Docker, image: str, tmp_path: Path) -> None:
    """POLICY=traefik docker compose up: what is not in .env. And what nobody sets stays unset."""
    options, switches = variables(docker, image)
    values = {name: "1" for name in [*options, *switches]}
    for name in ("PORT", "SOCKET_PATH", "DOCKER_HOST", *OF_COMPOSE):
        del values[name]
    with shipped(docker, image, tmp_path, "", **values) as project:
        given = project.environment()
        assert {name: given.get(name) for name in values} == values
    with shipped(docker, image, tmp_path, "") as project:
        assert not set(values) & set(project.environment())


@pytest.mark.parametrize(("settings", "words"), [
    ("CONTAINERS=1\nPOST=0\n", "policy 'switches'"),
    ("POLICY=traefik\n", "policy 'traefik'"),
    ("CONTAINRES=1\n", "did you mean CONTAINERS?"),
])
def test_shipped_file_means_what_env_says(
        docker: Docker, image: str, tmp_path: Path, settings: str, words: str) -> None:
    """Beside the file that everybody copies; a slip stops the start."""
    with shipped(docker, image, tmp_path, settings) as project:
        project.said(words)


def test_shipped_file_needs_its_settings(docker: Docker, image: str, tmp_path: Path) -> None:
    """An .env that is not found must not mean that nothing is restricted."""
    (tmp_path / "docker-compose.yml").write_text((ROOT / "docker-compose.yml").read_text())
    result = subprocess.run([*DOCKER_COMPOSE, "config"], cwd=tmp_path, text=True, capture_output=True,
                            env=shell_environment(DOCKER_GID="0", POLICY="traefik"), check=False)
    assert result.returncode != 0 and ".env" in result.stderr


def test_program_is_not_root_and_can_gain_nothing(running: Running) -> None:
    """A way into the program must not be a way to root."""
    pid = running.docker("inspect", "-f", "{{.State.Pid}}", running.container)
    fields = dict(line.split(":\t", 1)
                  for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


@pytest.mark.parametrize("options", [[], ["--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges"],
                                     ["--security-opt", "seccomp=unconfined"], ["--privileged"]], ids=" ".join)
def test_sandbox_holds_in_a_container(docker: Docker, image: str, options: list[str]) -> None:
    """The profile of an Engine that does not know Landlock refuses it, and the program says so."""
    port = free_port()
    container = docker("run", "--detach", "--network", "host", "--env", f"PORT={port}", *options, image)
    try:
        running = Running(docker, container, port)
        running.await_listening()
        line = next(line for line in running.logs().splitlines() if " sandbox: " in line)
        assert "sandbox: seccomp" in line, line
        assert ("Landlock ABI" in line) != ("lacks Landlock" in line), line
    finally:
        docker("rm", "--force", container)


def test_stop_is_quick_and_clean(running: Running) -> None:
    """`docker stop` must not wait ten seconds for a kill."""
    started = time.monotonic()
    running.docker("stop", "--time", "300", running.container)
    assert time.monotonic() - started < 30
    assert running.docker("inspect", "-f", "{{.State.ExitCode}}", running.container) == "0"


def test_without_the_group_the_response_names_the_fix(docker: Docker, image: str) -> None:
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


def test_container_build_leaves_the_program_outside(docker: Docker) -> None:
    """`make docker-binary` gives the program to somebody who has Docker and no compiler."""
    program = ROOT / "build-container" / "docker-socket-proxy"
    program.unlink(missing_ok=True)
    docker.make("IMAGE=dsp-test", "TAG=c-never-built-before", "docker-binary")
    version = subprocess.run([program, "--version"], text=True, capture_output=True, check=True)
    assert version.stdout.startswith("docker-socket-proxy ")


def test_shipped_file_has_a_place_for_operators(docker: Docker, image: str, tmp_path: Path) -> None:
    """ADMIN and AUDIT as .env.sample names them, in a container whose files are read-only otherwise."""
    sample = (ROOT / ".env.sample").read_text()
    admin, audit = "unix:///run/docker-socket-proxy/admin.sock", "/var/log/docker-socket-proxy/audit.jsonl"
    assert admin in sample and audit in sample
    with shipped(docker, image, tmp_path, f"POLICY=read-only\nADMIN={admin}\nAUDIT={audit}\n") as project:
        project.said("admin listener")
        running = Running(docker, project.compose("ps", "-q", "docker-socket-proxy").strip(), project.port)
        assert running.get("/containers/json")[0] == 200
        assert running.get("/containers/web/start", "POST")[0] == 403

        def operate(*words: str) -> str:
            return project.compose("exec", "-T", "docker-socket-proxy", "/docker-socket-proxy", *words)

        shown = operate("status")
        assert ": ready" in shown and "denied container.start" in shown and "ALLOW=container.start" in shown
        assert json.loads(operate("status", "--json"))["audit"]["path"] == audit
        assert operate("status", "streams") == "no streams are open\n"
        docker("cp", f"{running.container}:{audit}", tmp_path / "audit.jsonl")
        records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        # Each worker has records of its own, which the writer takes one worker after the other.
        assert sorted((record["operation"], record["verdict"]) for record in records) == [
            ("container.list", "allow"), ("container.start", "deny")]


def test_the_same_files_are_the_same_layer(docker: Docker, tmp_path: Path) -> None:
    """Who builds the image of a commit again compares what it holds with what is published. The compiler is left out here:
    tests/package shows that the program is the same in any folder. The other layers, an empty folder each, have in this builder the
    time at which they were made; BuildKit rewrites that for images that are published, and test_podman.py compares those of podman."""
    text = (ROOT / "Dockerfile").read_text()
    before, _, rest = text.partition("WORKDIR /src\n")
    after = rest.partition("tools/check-hardening.sh build/docker-socket-proxy\n")[2]
    layers = []
    for number in (1, 2):
        folder = tmp_path / f"{number}{'x' * number}"
        (folder / "tools").mkdir(parents=True)
        (folder / "build").mkdir()
        (folder / "Dockerfile").write_text(f"{before}WORKDIR /src\nCOPY . .\n{after}")
        shutil.copy(ROOT / "tools/image-root", folder / "tools")
        (folder / "build/docker-socket-proxy").write_text("the program")
        docker("build", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--tag", f"same:{number}", folder)
        layers.append(json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", f"same:{number}")))
        time.sleep(1.1)  # a layer that has the time of its making is another one
    assert layers[0][0] == layers[1][0]
