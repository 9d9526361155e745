"""SIGTERM under docker's own commands: streams end well, and nothing that is not whole does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import proxy as program
import pytest
from conftest import await_handlers, eventually
from engine import Engine


@pytest.fixture
def stopping(binary: Path, engine: Engine) -> Iterator[program.Proxy]:
    """A proxy of the test's own, which waits for no stream when it stops."""
    one = program.Proxy(binary, engine.socket, {"SHUTDOWN_GRACE": "0"})
    yield one
    if one.process.poll() is None:
        one.close()
    assert one.process.returncode == 0 and "refused system call" not in one.log(), one.log()


def test_events_end_without_a_complaint(cli, stopping, containers, unique):
    label = unique("label")
    arguments = ("--filter", f"label={label}", "--format", "{{.Action}}")
    await_handlers(containers.engine, "getEvents", 0)
    with cli.start(stopping.docker_host, "events", *arguments) as running:
        await_handlers(containers.engine, "getEvents", 1)
        containers.create("true", start=False, Labels={label: ""})
        assert running.line() == b"create"
        stopping.terminate()
        done = running.finish()
    assert (done.status, done.out, done.err) == (0, b"", b"")


@pytest.mark.parametrize("tty", [False, True])
def test_followed_logs_end_without_a_complaint(cli, stopping, containers, tty):
    container = containers.shell("echo ready; exec sleep 3600", Tty=tty)
    eventually(lambda: b"ready" in containers.call("GET", f"/containers/{container}/logs?stdout=1").body, "no line")
    with cli.start(stopping.docker_host, "logs", "-f", container) as running:
        assert running.line().strip() == b"ready"
        stopping.terminate()
        done = running.finish()
    assert (done.status, done.out, done.err) == (0, b"", b"")


def test_stats_end_like_those_of_an_engine_that_ends(stopping, containers):
    """The last sample is whole, and the last chunk comes behind it."""
    container = containers.idle()
    with stopping.connect() as connection:
        connection.request("GET", f"/containers/{container}/stats?stream=1")
        assert connection.head().status == 200
        assert connection.chunk().endswith(b"}\n")
        stopping.terminate()
        assert all(sample.endswith(b"}\n") for sample in connection.chunks())


CUT: dict[str, Callable[[str], tuple]] = {
    "a whole log": lambda container: ("logs", container),
    "an archive": lambda container: ("cp", f"{container}:/big", "-"),
    "an export": lambda container: ("export", container),
    "waiting": lambda container: ("wait", container),
}


@pytest.mark.parametrize("what", CUT)
def test_what_has_an_end_fails(older_cli, stopping, containers, what):
    """Half of it is an error to docker, and to the script around it."""
    container = containers.shell(
        "yes 0123456789abcde | head -c 33554432 >/big; yes 0123456789abcde | head -c 16777216; echo >/done; exec sleep 3600"
    )
    eventually(lambda: containers.call("HEAD", f"/containers/{container}/archive?path=/done").status == 200, "no file")
    with older_cli.start(stopping.docker_host, *CUT[what](container)) as running:
        if what != "waiting":
            running.some()  # and then nobody reads
        else:
            await_handlers(containers.engine, "postContainersWait", 1)
        stopping.terminate()
        done = running.finish()
    assert done.status != 0 and done.err


def test_a_build_fails(older_cli, stopping, containers, tmp_path):
    """It ends in the Engine with its client, and must not look like an image that was built."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 3600\n")
    with older_cli.start(stopping.docker_host, "build", "--no-cache", tmp_path) as running:
        while b"Running in" not in running.line():
            pass
        stopping.terminate()
        done = running.finish()
    assert done.status != 0 and done.err
