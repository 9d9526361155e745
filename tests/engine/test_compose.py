"""docker-compose: many streams at the same time over one pool of connections."""

import shutil
import subprocess

import pytest
from client import COMMAND_SECONDS, Running, variables
from machine import DOCKER_COMPOSE

FILE = """\
version: "2.4"
services:
  talker:
    image: busybox
    command: sh -c 'echo talker out; echo talker err >&2; until test -e /shared/up; do sleep 0.1; done; exit 3'
    volumes_from: [waiter]
    network_mode: none
  waiter:
    image: busybox
    command: sh -c 'echo waiter up; touch /shared/up; exec sleep 3600'
    volumes: [/shared]
    stop_grace_period: 0s
    network_mode: none
"""

pytestmark = pytest.mark.skipif(
    not shutil.which("docker-compose"), reason="docker-compose is not installed"
)


@pytest.fixture
def compose(target, tmp_path, unique):
    """Runs docker-compose in a project of its own; takes the project down at the end."""
    (tmp_path / "docker-compose.yml").write_text(FILE)
    base = [*DOCKER_COMPOSE, "-p", unique("project")]
    options = {
        "cwd": tmp_path,
        "env": {**variables(target.docker_host, tmp_path), "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"},
    }

    def run(*arguments: str, start: bool = False):
        if start:
            pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
            return Running(subprocess.Popen([*base, *arguments], bufsize=0, **pipes, **options))
        return subprocess.run(
            [*base, *arguments], capture_output=True, timeout=COMMAND_SECONDS, **options
        )

    yield run
    run("down", "-t", "0", "-v")


@pytest.mark.cannot("docker-py-select")
def test_up_until_one_exits(compose):
    """compose up shows all services' output, with the status of the one that ends."""
    done = compose("up", "--exit-code-from", "talker", "-t", "0")
    assert done.returncode == 3, done.stderr
    for line in (b"talker out", b"talker err", b"waiter up"):
        assert line in done.stdout


def test_exec_and_logs(compose):
    """compose up -d, exec with and without success, logs -f, ps, down."""
    done = compose("up", "-d", "waiter")
    assert done.returncode == 0, done.stderr
    done = compose("exec", "-T", "waiter", "sh", "-c", "echo inside; exit 4")
    assert (done.returncode, done.stdout) == (4, b"inside\n")
    with compose("logs", "-f", "--no-log-prefix", "waiter", start=True) as logs:
        while logs.line() != b"waiter up":
            pass
    assert b"waiter" in compose("ps", "--services", "--filter", "status=running").stdout


def test_run(compose):
    """compose run gives the output and the status of a one-off container."""
    done = compose("run", "--rm", "-T", "waiter", "sh", "-c", "echo once; exit 5")
    assert done.returncode == 5
    assert b"once\n" in done.stdout
