"""docs/apps/forgejo-runner.md: one job of Forgejo's runner, as act asks for it (pkg/container/docker_run.go)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import closing

import pytest
import yaml
from attacks import LIMITS, answers, documented, same_files
from engine import Engine
from project import HOST, App, Project, docker

PAGE, SERVICE = "forgejo-runner.md", "forgejo-runner"
JOB = "FORGEJO-ACTIONS-TASK-42_WORKFLOW-test_JOB-build"
IMAGE = "busybox:latest"


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def project(engine: Engine, other: str) -> Iterator[Project]:
    with closing(Project(engine, "forgejo-runner")) as made:
        yield made


@pytest.fixture
def runner(project: Project) -> App:
    return project.app(SERVICE)


def container(network: str, **host: object) -> dict:
    return {
        "Image": IMAGE, "Entrypoint": ["tail", "-f", "/dev/null"], "Cmd": None, "WorkingDir": "/workspace/team/app", "Env": ["CI=true"],
        "Tty": False,
        "HostConfig": {
            **LIMITS, "Binds": [], "CapAdd": None, "CapDrop": None, "Privileged": False, "UsernsMode": "", "NetworkMode": network, "AutoRemove": True,
            "Mounts": [{"Type": "volume", "Source": name, "Target": target}
                       for name, target in ((JOB, "/workspace/team/app"), (f"{JOB}-env", "/var/run/act"), ("act-toolcache", "/opt/hostedtoolcache"))],
            **host,
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": ["build"]}}},
    }


def step(runner: App, made: str, *command: str) -> bytes:
    """A step of a job is an exec."""
    prepared = runner.ok(f"POST /containers/{made}/exec", {"Cmd": command, "WorkingDir": "/workspace/team/app", "Env": ["A=b"], "User": "",
                                                           "AttachStdout": True, "AttachStderr": True, "Tty": False})["Id"]
    with runner.stream(f"POST /exec/{prepared}/start", {"Detach": False, "Tty": False}) as stream:
        output = stream.output()
    assert runner.ok(f"GET /exec/{prepared}/json")["ExitCode"] == 0, output
    return output.get(1, b"")


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, *(f"forgejo-runner/{name}" for name in ("compose.yml", "proxy.yaml", "config.yml"))) == []


def test_its_setting_leads_to_the_proxy(project: Project, runner: App) -> None:
    assert f"DOCKER_HOST={HOST}" in project.container(SERVICE)["Config"]["Env"]
    assert runner.run("curl", "-sS", "http://docker-socket-proxy:3277/_ping").stdout == "OK"
    settings = yaml.safe_load((project.folder / "config.yml").read_text())["container"]
    assert settings["docker_host"] == "-", "jobs would get the Engine's socket"


def test_a_job_runs(engine: Engine, runner: App) -> None:
    """A network, volumes, a container that lives until the job ends, files as archives, steps as execs."""
    runner.ok("GET /info")
    runner.ok("GET /containers/json?all=1")
    runner.ok(f"GET /images/{IMAGE}/json")
    network = f"{JOB}-network"
    runner.ok("GET /networks")
    runner.ok("POST /networks/create", {"Name": network, "Driver": "bridge", "Scope": "local", "CheckDuplicate": True})
    made = runner.ok(f"POST /containers/create?name={JOB}", container(network))["Id"]
    runner.ok(f"POST /containers/{made}/start")
    runner.ok(f"PUT /containers/{made}/archive?noOverwriteDirNonDir=true&path=%2Fworkspace%2Fteam%2Fapp", tar_of(file=b"of the repository\n"))
    assert step(runner, made, "cat", "file") == b"of the repository\n"
    assert step(runner, made, "sh", "-c", "echo made >result; id -u") == b"0\n"
    fetched = runner.ask(f"GET /containers/{made}/archive?path=%2Fworkspace%2Fteam%2Fapp%2Fresult")
    assert fetched.status == 200 and b"made\n" in fetched.body
    assert docker(engine, "volume", "inspect", "-f", '{{index .Labels "docker-api"}}', JOB, "act-toolcache").split() == [SERVICE] * 2
    runner.ok(f"DELETE /containers/{made}?force=1&v=1")
    for volume in (JOB, f"{JOB}-env"):
        runner.ok(f"DELETE /volumes/{volume}?force=1")
    runner.ok(f"DELETE /networks/{network}")


def test_an_action_brings_a_dockerfile(runner: App) -> None:
    built = runner.ask("POST /build?t=act-action:latest&rm=1&version=1", tar_of(Dockerfile=b"FROM busybox\nRUN echo built\n"))
    assert built.status == 200 and b"Successfully tagged act-action" in built.body, built


def test_a_job_without_limits_is_refused(runner: App) -> None:
    """`options` in config.yml has them; a job cannot leave them out or ask for more."""
    body = container("bridge", Mounts=[], Memory=0)
    assert "/HostConfig/Memory" in runner.refusal("POST /containers/create", body) or "memory" in runner.refusal("POST /containers/create", body)
    body["HostConfig"]["Memory"] = 64 << 30
    assert "emory" in runner.refusal("POST /containers/create", body)


def test_attacks_get_the_answers_of_the_page(project: Project) -> None:
    assert answers(project, SERVICE, PAGE) == documented(PAGE)
