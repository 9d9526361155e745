"""The limits that docs/limits.md gives as an example let real use through, all of it at once and from one address."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import npm
import proxy as program
import pytest
import test_compose
import test_dockerode
import yaml
from client import COMMAND_SECONDS, docker_py, variables
from conftest import TEST_SECONDS
from machine import DOCKER_COMPOSE
from test_presets import APPS, head_only, reaches_something

DOCUMENT = program.REPOSITORY / "docs" / "limits.md"
modules = test_dockerode.modules

pytestmark = [pytest.mark.deadline(npm.INSTALL_SECONDS + 2 * TEST_SECONDS),
              pytest.mark.filterwarnings("ignore::DeprecationWarning:docker")]


def example() -> dict:
    """The limits of the first block of the document."""
    block = re.search(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return yaml.safe_load(block[1])["limits"]


@pytest.fixture
def limited(binary, engine, open_folder) -> Iterator[program.Proxy]:
    file = open_folder / "proxy.yaml"
    file.write_text(yaml.safe_dump({"policy": "open", "limits": example()}))
    with closing(program.Proxy(binary, engine.socket, {"CONFIG": str(file)})) as running:
        yield running


def with_the_cli(cli, host: str, container: str, folder: Path) -> None:
    """What people type, and eight containers at once."""
    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo made > /made\n")
    for words in (["ps", "-a"], ["images"], ["info"], ["system", "df"], ["inspect", container], ["top", container],
                  ["exec", container, "true"], ["stats", "--no-stream"], ["logs", container], ["volume", "ls"],
                  ["build", "-q", str(folder)], ["events", "--since", "1h", "--until", "0s"],
                  ["cp", f"{container}:/etc/passwd", str(folder / "passwd")]):
        cli.ok(host, *words)
    several = [cli.start(host, "run", "--rm", "busybox", "echo", "out") for _ in range(8)]
    assert [one.finish(COMMAND_SECONDS).out for one in several] == [b"out\n"] * 8


def with_compose(host: str, folder: Path, project: str) -> None:
    (folder / "docker-compose.yml").write_text(test_compose.FILE)
    environment = {**variables(host, folder), "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}
    for words in (["up", "-d"], ["ps"], ["exec", "-T", "waiter", "true"], ["logs"], ["restart", "-t", "0"],
                  ["down", "-t", "0", "-v"]):
        done = subprocess.run([*DOCKER_COMPOSE, "-p", project, *words], cwd=folder, env=environment,
                              capture_output=True, timeout=COMMAND_SECONDS)
        assert done.returncode == 0, (words, done.stderr)


def with_docker_py(host: str) -> None:
    """A dashboard: it follows the logs and statistics of a container in many windows, and asks all the time."""
    with closing(docker_py(host)) as sdk:
        container = sdk.containers.run("busybox", ["sleep", "60"], detach=True)
        try:
            logs = [container.logs(stream=True, follow=True) for _ in range(20)]
            samples = [container.stats(stream=True) for _ in range(5)]
            assert all(next(one) for one in samples)
            for _ in range(20):
                container.reload()
                sdk.containers.list(all=True, ignore_removed=True)
        finally:
            container.remove(force=True)
        assert [b"".join(one) for one in logs] == [b""] * 20


def with_dockerode(host: str, modules: Path, container: str) -> None:
    for case, *arguments in (["version"], ["run"], ["exec", container], ["stats", container], ["saveAndLoad"],
                             ["manyAtOnce", container]):
        npm.run(test_dockerode.SOURCE / "cases.js", host, case, *arguments, modules=modules)


def with_the_requests_of(app: str, running: program.Proxy, container: str) -> None:
    for request in filter(reaches_something, APPS[app]["sends"]):
        if request.startswith("GET"):
            request = request.replace("/containers/web/", f"/containers/{container}/")
        assert head_only(running, request).status != 429, request


def test_the_example_of_the_document_lets_real_use_through(
    limited, older_cli, modules, containers, tmp_path, unique, leftovers
):
    leftovers += ["/networks/made-by-tests", "/volumes/made-by-tests"]
    container, host = containers.idle(), limited.docker_host
    folders = [tmp_path / name for name in ("cli", "compose")]
    for folder in folders:
        folder.mkdir()
    work = [(with_the_cli, older_cli, host, container, folders[0]), (with_compose, host, folders[1], unique("limits")),
            (with_docker_py, host), (with_dockerode, host, modules, container),
            (with_the_requests_of, "portainer", limited, container),
            (with_the_requests_of, "traefik", limited, container)]
    with ThreadPoolExecutor(len(work)) as pool:
        faults = [job.exception() for job in [pool.submit(*one) for one in work]]
    assert [line for line in limited.log().splitlines() if "status=429" in line or "reached the limit" in line] == []
    assert not any(faults), faults
