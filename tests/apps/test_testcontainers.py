"""docs/apps/testcontainers.md: Testcontainers for Node.js itself; a stand-in for Ryuk, whose requests are those of reaper.go."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import npm_modules
import pytest
import wire
from attacks import answers, attacks, documented, same_files
from conftest import TEST_SECONDS
from engine import Engine
from machine import public_folder
from project import ROOT, App, Project, docker
from neighbours import first_pid

PAGE, SERVICE = "testcontainers.md", "tests"
MOUNT = "a container that mounts the Engine's socket"
SESSION = "org.testcontainers.session-id"
# It says that it is there, and shows what it is told.
ENTRYPOINT = json.dumps(["sh", "-c", "echo Started; exec nc -ll -p 8080 -e sh -c 'cat >&2'"])
RYUK = ("--change", f"ENTRYPOINT {ENTRYPOINT}", "--change", "CMD []", "--change", "EXPOSE 8080")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of the host that the page has made: install -d -o 65532 -g 65532."""
    made = Path(public_folder("dsp-tests-ryuk-"))
    os.chown(made, 65532, 65532)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def project(engine: Engine, other: str, folder: Path) -> Iterator[Project]:
    with closing(Project(engine, "testcontainers", {"/srv/testcontainers": folder})) as made:
        yield made


@pytest.fixture
def tests(project: Project) -> App:
    return project.app(SERVICE)


def ryuk_image() -> str:
    """The image that this version of Testcontainers takes."""
    text = (modules() / "testcontainers/build/reaper/reaper.js").read_text()
    return text.partition('"testcontainers/ryuk:')[2].partition('"')[0]


def modules() -> Path:
    return npm_modules.modules(ROOT / "tests/engine/testcontainers")


@pytest.fixture(scope="module")
def ran(engine: Engine, project: Project) -> dict:
    """What the tests print, in the network and with the variables of their container."""
    container = docker(engine, "create", "busybox:latest", "true")
    docker(engine, "commit", *RYUK, container, f"testcontainers/ryuk:{ryuk_image()}")
    docker(engine, "rm", container)
    variables = dict(entry.split("=", 1) for entry in project.container(SERVICE)["Config"]["Env"])
    variables.pop("PATH", None)
    done = project.app(SERVICE).run("node", ROOT / "tests/apps/testcontainers.js", **variables, NODE_PATH=str(modules()))
    assert done.returncode == 0, done.stderr + project.logs()
    return json.loads(done.stdout)


def logs_of(engine: Engine, container: str) -> str:
    return engine.get(f"/containers/{container}/logs?stdout=1&stderr=1").body.decode(errors="replace")


def ask_ryuk(container: str, request: str) -> wire.Response:
    """A request at the socket that Ryuk's container has mounted."""
    method, target = request.split(" ", 1)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(wire.TIMEOUT_SECONDS)
    sock.connect(f"/proc/{first_pid(container)}/root/var/run/docker.sock")
    with wire.Connection(sock) as connection:
        return connection.roundtrip(method, target)


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, "testcontainers/compose.yml", "testcontainers/proxy.yaml") == []


@pytest.mark.deadline(npm_modules.INSTALL_SECONDS + TEST_SECONDS)
def test_a_test_runs(ran: dict) -> None:
    """A network, a container, a file in it, an exec, and its port by the name of the host."""
    assert (ran["output"], ran["page"]) == ("copied", "copied")
    assert "privileged mode is not allowed" in ran["privileged"]
    assert "bind of the host's path '/' is not allowed" in ran["host"]
    assert "could be the beginning of an id" in ran["unnamed"], "the page says how to name networks"


def test_ryuk_has_the_proxys_socket_and_cleans_up(engine: Engine, project: Project, folder: Path, ran: dict) -> None:
    """It asked for the Engine's socket, and got one at which it can remove what the tests made, and nothing else."""
    found = [one for one in engine.get("/containers/json").json() if one["Labels"].get("org.testcontainers.ryuk") == "true"
             or one["Image"].startswith("testcontainers/ryuk")]
    assert len(found) == 1
    ryuk = found[0]["Id"]
    (mount,) = (one for one in found[0]["Mounts"] if one["Destination"] == "/var/run/docker.sock")
    assert mount["Source"] == str(folder / "ryuk.sock")
    session = found[0]["Labels"][SESSION]
    deadline = time.monotonic() + 30
    while f"label={SESSION}={session}" not in logs_of(engine, ryuk):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    wanted = f"filters=%7B%22label%22%3A%7B%22{SESSION}%3D{session}%22%3Atrue%7D%7D"
    assert ask_ryuk(ryuk, "HEAD /_ping").status == 200
    listed = ask_ryuk(ryuk, f"GET /containers/json?all=1&{wanted}").json()
    assert {one["Id"] for one in listed} >= {ran["container"]}
    assert [one["Id"] for one in ask_ryuk(ryuk, f"GET /networks?{wanted}").json()] == [ran["network"]]
    for target in ("/volumes", "/images/json"):
        assert ask_ryuk(ryuk, f"GET {target}?{wanted}").status == 200
    assert ask_ryuk(ryuk, "DELETE /containers/other?force=1&v=1").status == 404, "another app's container"
    for request in ("POST /containers/create", f"GET /containers/{ran['container']}/json", f"POST /containers/{ran['container']}/exec"):
        assert "not allowed by policy 'cleaner'" in ask_ryuk(ryuk, request).json()["message"]
    for one in listed:
        if one["Id"] != ryuk:
            assert ask_ryuk(ryuk, f"DELETE /containers/{one['Id']}?force=1&v=1").status == 204
    assert ask_ryuk(ryuk, f"DELETE /networks/{ran['network']}").status == 204
    docker(engine, "rm", "--force", ryuk)


def test_attacks_get_the_answers_of_the_page(project: Project, tests: App, engine: Engine, folder: Path) -> None:
    assert answers(project, SERVICE, PAGE, but=[MOUNT]) == documented(PAGE)
    made = tests.ok(*attacks(project, SERVICE)[MOUNT])["Id"]
    assert engine.get(f"/containers/{made}/json").json()["HostConfig"]["Mounts"][0]["Source"] == str(folder / "ryuk.sock")
    tests.ok(f"DELETE /containers/{made}")
