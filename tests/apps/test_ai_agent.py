"""docs/apps/ai-agent.md: the docker command, and docker-py as Docker MCP servers use it, in the network of the agent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attacks import answers, documented, same_files
from engine import Engine
from machine import public_folder
from project import App, Project

PAGE, SERVICE = "ai-agent.md", "agent"
LIMITS = ("-m", "64m", "--cpus", "1", "--pids-limit", "100")
# The tools of a Docker MCP server: each is a call of docker-py.
TOOLS = """
import docker
client = docker.from_env(version="auto")
run = dict(mem_limit="64m", nano_cpus=10**9, pids_limit=100)
print(client.containers.run("busybox", ["echo", "ran"], remove=True, **run).decode().strip())
container = client.containers.create("busybox", ["sleep", "1000"], name="mcp", **run)
container.start()
print([one.name for one in client.containers.list(all=True)], container.logs(tail=10), sorted(container.stats(stream=False))[:1])
print(len(client.images.list()) > 0, [one.name for one in client.networks.list()], client.volumes.list())
for what in (lambda: client.images.push("busybox"), lambda: client.images.remove("busybox"),
             lambda: client.containers.run("busybox", privileged=True, **run), lambda: client.containers.run("busybox", mem_limit="64m")):
    try:
        what()
        print("passed")
    except docker.errors.APIError as error:
        print(error.response.status_code, error.explanation)
container.remove(force=True)
"""


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    made = Path(public_folder("dsp-tests-agent-"))
    (made / "Dockerfile").write_text("FROM busybox\nRUN echo built >/built\n")
    (made / "file").write_text("of the agent\n")
    (made / "out").symlink_to("/")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def project(engine: Engine, other: str, work: Path) -> Iterator[Project]:
    with closing(Project(engine, "ai-agent", {"/srv/agent/work": work})) as made:
        yield made


@pytest.fixture
def agent(project: Project) -> App:
    return project.app(SERVICE)


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, "ai-agent/compose.yml", "ai-agent/proxy.yaml") == []


def test_it_develops(agent: App, work: Path) -> None:
    """The commands that the page gives to the agent."""
    for command in (("build", "-t", "agent/app", work),
                    ("run", "-d", "--name", "app", *LIMITS, "-v", f"{work}:/work", "-w", "/work", "agent/app", "sh", "-c", "cat file; exec sleep 1000"),
                    ("exec", "app", "cat", "/built"), ("cp", "app:/built", work / "copy"), ("logs", "app"), ("ps",), ("rm", "-f", "app")):
        done = agent.docker(*command)
        assert done.returncode == 0, (command, done.stderr)
        if command[0] in ("exec", "logs"):
            assert done.stdout == {"exec": "built\n", "logs": "of the agent\n"}[command[0]]
    assert (work / "copy").read_text() == "built\n"


def test_an_mcp_server_has_its_tools(agent: App) -> None:
    """docker-py sees what it made, and each denial has its reason."""
    done = agent.run("/usr/bin/python3", "-c", TOOLS)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ran" and lines[1].startswith("['mcp'] b'' "), lines
    assert "other" not in done.stdout
    for line, reason in zip(lines[-4:], ("image.push is not allowed", "image.remove is not allowed", "privileged mode is not allowed", "NanoCpus"), strict=True):
        assert line.startswith("403 ") and reason in line, (line, reason)


REFUSED = {
    "a link below the folder": (("-v", "{work}/out:/host", "busybox"), "bind of what is below a source"),
    "another folder": (("-v", "/etc:/host", "busybox"), "bind of the host's path '/etc' is not allowed"),
    "another registry": (("registry.example.com/tool",), "registry.example.com/tool"),
    "a port of all interfaces": (("-p", "8080:80", "busybox"), "8080"),
    "a capability": (("--cap-add", "SYS_ADMIN", "busybox"), "SYS_ADMIN"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_reads_why_not(agent: App, work: Path, what: str) -> None:
    arguments, reason = REFUSED[what]
    done = agent.docker("run", "--rm", *LIMITS, *(word.format(work=work) for word in arguments))
    assert done.returncode != 0 and "policy 'develop' does not allow this request" in done.stderr and reason in done.stderr, done.stderr


def test_a_build_keeps_its_names(agent: App, work: Path) -> None:
    done = agent.docker("build", "-t", "postgres", work)
    assert done.returncode != 0 and "postgres" in done.stderr and "not allow" in done.stderr


def test_attacks_get_the_answers_of_the_page(project: Project) -> None:
    assert answers(project, SERVICE, PAGE) == documented(PAGE)
