"""docs/apps/gitlab-runner.md: one job of the docker executor, as executors/docker of GitLab Runner asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from attacks import answers, attacks, documented, same_files
from engine import Engine
from project import HOST, App, Project, docker

PAGE, SERVICE = "gitlab-runner.md", "gitlab-runner"
NAME = "runner-abc-project-42-concurrent-0"
LABELS = {"com.gitlab.gitlab-runner.managed": "true", "com.gitlab.gitlab-runner.job.id": "7"}
IMAGE = "busybox:latest"


@pytest.fixture(scope="module")
def project(engine: Engine, other: str) -> Iterator[Project]:
    with closing(Project(engine, "gitlab-runner")) as made:
        yield made


@pytest.fixture
def runner(project: Project) -> App:
    return project.app(SERVICE)


def container(image: str, command: list[str], network: str, **host: object) -> dict:
    """createContainerConfig and createHostConfig."""
    return {
        "Image": image, "Hostname": NAME, "Cmd": command, "Labels": LABELS, "Env": ["CI=true"], "Tty": False, "OpenStdin": True,
        "StdinOnce": True, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Volumes": None, "Entrypoint": None,
        "HostConfig": {
            "Binds": [f"{NAME}-cache:/cache", f"{NAME}-builds:/builds"], "NetworkMode": network, "RestartPolicy": {"Name": "no"},
            "Memory": 64 << 20, "NanoCpus": 10**9, "LogConfig": {"Type": "json-file", "Config": None}, "Privileged": False, "CapAdd": None,
            "SecurityOpt": None, "ExtraHosts": None, "Links": None, "Devices": None, "DeviceRequests": None, "OomScoreAdj": 0, **host,
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": ["build"]}}} if network != "bridge" else {},
    }


def script(runner: App, made: str, text: bytes) -> bytes:
    """Attach, start, the script as standard input, wait: executors/docker/internal/exec."""
    with runner.stream(f"POST /containers/{made}/attach?stderr=1&stdin=1&stdout=1&stream=1") as stream:
        runner.ok(f"POST /containers/{made}/start")
        stream.send(text)
        stream.half_close()
        output = stream.output()
    runner.ok(f"POST /containers/{made}/stop?t=0")
    assert runner.ok(f"POST /containers/{made}/wait?condition=not-running")["StatusCode"] == 0
    return output[1]


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, *(f"gitlab-runner/{name}" for name in ("compose.yml", "proxy.yaml", "config.toml"))) == []


def test_its_setting_leads_to_the_proxy(project: Project, runner: App) -> None:
    assert f'host = "{HOST}"' in (project.folder / "config.toml").read_text()
    assert runner.run("curl", "-sS", "http://docker-socket-proxy:3277/_ping").stdout == "OK"


def test_a_job_runs(engine: Engine, runner: App) -> None:
    """Volumes with their permissions, a network, a service, the script of the job, its end."""
    runner.ok("GET /info")
    image = runner.ok(f"GET /images/{IMAGE}/json")["Id"]
    for volume in ("cache", "builds"):
        runner.ok("POST /volumes/create", {"Name": f"{NAME}-{volume}", "Driver": "", "DriverOpts": None, "Labels": LABELS})
        setter = runner.ok(f"POST /containers/create?name={NAME}-{volume}-set-permission-1", {
            "Image": image, "Cmd": ["chmod", "777", "/gitlab-runner-cache-init"], "Labels": LABELS,
            "HostConfig": {"LogConfig": {"Type": "json-file"}, "Binds": [f"{NAME}-{volume}:/gitlab-runner-cache-init"]}})["Id"]
        runner.ok(f"POST /containers/{setter}/start")
        runner.ok(f"POST /containers/{setter}/wait?condition=not-running")
        runner.ok(f"DELETE /containers/{setter}?force=1")
    network = f"{NAME}-7-job-network"
    runner.ok("GET /networks")
    made_network = runner.ok("POST /networks/create", {"Name": network, "Labels": LABELS, "EnableIPv6": None, "Options": {}})["Id"]
    runner.ask(f"DELETE /containers/{NAME}-build?force=1&v=1")  # one that an earlier job may have left
    service = runner.ok(f"POST /containers/create?name={NAME}-postgres-0", container(image, ["sleep", "1000"], network))["Id"]
    runner.ok(f"POST /containers/{service}/start")
    build = runner.ok(f"POST /containers/create?name={NAME}-build", container(image, ["sh"], network))["Id"]
    runner.ok(f"GET /containers/{build}/json")
    assert script(runner, build, b"echo of the job >/builds/file; cat /builds/file; id -u\n") == b"of the job\n0\n"
    assert runner.ask(f"GET /containers/{service}/logs?stdout=1&stderr=1&timestamps=1").status == 200
    for made in (build, service):
        runner.ok(f"DELETE /containers/{made}?force=1&v=1")
    assert runner.ok(f"GET /networks/{made_network}")["Containers"] == {}
    runner.ok(f"DELETE /networks/{made_network}")
    assert docker(engine, "volume", "ls", "--quiet", "--filter", "label=docker-api=gitlab-runner").split() == [f"{NAME}-builds", f"{NAME}-cache"]
    for volume in ("cache", "builds"):
        runner.ok(f"DELETE /volumes/{NAME}-{volume}?force=1")


def test_an_end_of_a_job_that_was_cancelled(runner: App) -> None:
    """SIGTERM to the processes of the build, by an exec, and a web terminal."""
    build = runner.ok(f"POST /containers/create?name={NAME}-build", container(IMAGE, ["sleep", "1000"], "bridge", Binds=None))["Id"]
    runner.ok(f"POST /containers/{build}/start")
    made = runner.ok(f"POST /containers/{build}/exec", {"Cmd": ["sh", "-c", "echo end"], "AttachStdout": True, "Tty": True})["Id"]
    with runner.stream(f"POST /exec/{made}/start", {"Tty": True}) as stream:
        assert stream.until(b"end")
    runner.ok(f"GET /exec/{made}/json")
    runner.ok(f"POST /containers/{build}/kill?signal=SIGKILL")
    runner.ok(f"DELETE /containers/{build}?force=1&v=1")


def test_attacks_get_the_answers_of_the_page(project: Project) -> None:
    assert answers(project, SERVICE, PAGE) == documented(PAGE)


def test_a_job_is_nobody_for_the_proxy(engine: Engine, project: Project, runner: App) -> None:
    """A job cannot join the network of the proxy; one that reached the proxy all the same would be denied."""
    refused = runner.refusal("POST /containers/create", container(IMAGE, ["sh"], "gitlab-runner-docker-api"))
    assert "network 'gitlab-runner-docker-api' is not allowed" in refused
    job = docker(engine, "run", "--detach", "--network", "gitlab-runner-docker-api", "--label", "docker-api=gitlab-runner",
                 "busybox:latest", "sleep", "1000000")
    assert "not allowed by policy 'deny'" in App(engine, job, runner.address).refusal("GET /containers/json")
    docker(engine, "rm", "--force", job)


def test_without_the_scope_the_proxys_container_is_open(engine: Engine, project: Project) -> None:
    """Why the page does not take the preset as it is: a command in the container of the proxy starts a proxy without a policy."""
    text = (project.folder / "proxy.yaml").read_text()
    lines = [line for line in text.splitlines() if "scope:" not in line]
    file = project.folder / "proxy.yaml"
    file.write_text("\n".join(lines) + "\n")
    project.compose("exec", "-T", "docker-socket-proxy", "/docker-socket-proxy", "reload")
    method, body = attacks(project, SERVICE)["an open proxy in the proxy's container"]
    try:
        assert project.app(SERVICE).ask(method, body).status == 201
    finally:
        file.write_text(text)
        project.compose("exec", "-T", "docker-socket-proxy", "/docker-socket-proxy", "reload")
    assert project.app(SERVICE).ask(method, body).status == 404
