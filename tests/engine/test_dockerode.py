"""dockerode, the Node.js SDK: hijacks in ways of its own (see dockerode/cases.js)."""

from pathlib import Path

import npm
import pytest
import wire
from conftest import TEST_SECONDS

SOURCE = Path(__file__).parent / "dockerode"
pytestmark = pytest.mark.deadline(npm.INSTALL_SECONDS + TEST_SECONDS)  # whichever test is the first


@pytest.fixture(scope="session")
def modules() -> Path:
    return npm.modules(SOURCE)


@pytest.fixture
def dockerode(modules, target):
    """Runs one case and gives its result."""
    return lambda case, *arguments: npm.run(
        SOURCE / "cases.js", target.docker_host, case, *arguments, modules=modules
    )


@pytest.fixture
def image(engine, unique):
    name = unique("built")
    yield name
    with wire.connect_unix(engine.socket) as connection:
        connection.roundtrip("DELETE", f"/images/{name}?force=1")


def test_version(dockerode, engine):
    """The plainest call."""
    assert dockerode("version") == engine.get("/version").json()["ApiVersion"]


def test_run(dockerode):
    """docker.run: attach, start and wait, with the streams apart."""
    assert dockerode("run") == {"status": 5, "out": "out\n", "err": "err\n"}


def test_attach(dockerode):
    """attach with a JSON body in the segment of the head, then input, half-close, output."""
    assert dockerode("attach") == {"out": "got one\ngot two\nend\n", "err": ""}


def test_exec(dockerode, containers):
    """exec over a plain 200 response."""
    assert dockerode("exec", containers.idle()) == {"out": "out\n", "err": "err\n", "status": 6}


def test_exec_hijacked(dockerode, containers):
    """exec over a 101 response, with input."""
    result = dockerode("execHijacked", containers.idle())
    assert result == {"out": "typed\n", "err": "end\n", "status": 0}


def test_exec_with_input_and_no_upgrade(dockerode, containers):
    """exec over a plain 200 response whose input follows on the same connection."""
    assert dockerode("execWithInput", containers.idle()) == {"out": "typed\n", "err": ""}


def test_exec_with_a_megabyte_of_input(dockerode, containers):
    """A megabyte through the hijacked socket."""
    assert dockerode("execLargeInput", containers.idle()) is True


def test_detached_exec(dockerode, containers):
    """A detached exec is an ordinary response."""
    assert dockerode("execDetached", containers.idle()) is True


def test_logs_follow(dockerode, containers):
    """A line appears in the followed logs when it is written."""
    assert dockerode("logsFollow", containers.sleeping()) == "from-exec\n"


def test_stats(dockerode, containers):
    """One sample of the statistics."""
    assert dockerode("stats", containers.idle()) is True


def test_archives(dockerode, containers):
    """4 MiB by putArchive and back by getArchive."""
    assert dockerode("archives", containers.idle()) is True


def test_build(dockerode, image):
    """A classic build with its progress."""
    assert dockerode("build", "", image) is True


def test_buildkit_build(dockerode, image):
    """A BuildKit build with a gRPC session served by Node."""
    assert dockerode("buildkit", "", image) is True


def test_save_and_load(dockerode):
    """An image streamed out and in again at once, over two connections."""
    assert dockerode("saveAndLoad") is True


def test_events(dockerode, unique):
    """An event as it happens."""
    assert dockerode("events", "", unique("label")) == "create"


def test_error(dockerode):
    """A missing container is a 404 with the Engine's message."""
    assert dockerode("missing") == [404, "No such container: none"]


def test_many_at_once(dockerode, containers):
    """Forty requests at the same time get forty right responses."""
    assert dockerode("manyAtOnce", containers.idle()) == 1
