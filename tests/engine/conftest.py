"""Fixtures: one private Engine and one proxy for the whole run, and the two ways to the Engine.

A test that takes `target` runs twice: `direct` on the Engine's own socket, which proves the test,
and `proxied` through the program under test. `same` acts on both and asserts that they give the same
result, so that its tests run once. With several docker clients, `direct` is proved with the first.
"""

import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import client  # noqa: E402
import proxy as program  # noqa: E402
import pytest  # noqa: E402
import way  # noqa: E402
import wire  # noqa: E402
from engine import IMAGE, Engine, new_engine  # noqa: E402
from machine import deadline, public_folder  # noqa: E402
from silence import Silent  # noqa: E402

Result = TypeVar("Result")
TEST_SECONDS = 240
CLIENTS = client.installed_clients()
VERSIONS = [version for _, version in CLIENTS] or ["none"]
# A test that takes one of these has a client of the program. Over another wire than TCP, there are no others.
CLIENT_FIXTURES = {"target", "proxied", "silent", "clients", "behind", "guarded", "for_clients"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deadline(seconds): let this test run longer")
    config.addinivalue_line("markers", "api(version): skip this test on an Engine with an older API")
    config.addinivalue_line("markers", "cannot(name): skip this test over the wires that way.CANNOT has for this name")
    config.addinivalue_line("markers", "own_wire: this test chooses its wire itself, whatever DSP_WAY is")
    for module in ("docker", "urllib3"):  # Debian's Python SDK is older than Python
        config.addinivalue_line("filterwarnings", f"ignore::DeprecationWarning:{module}")
    # Clients that read these variables would ask the machine's HTTP proxy for the program under test.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests prefers them to a client's own authority
        os.environ.pop(name, None)
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,::1,localhost"]))


def is_repetition(item: pytest.Item) -> bool:
    """Whether another test proves what this one would: `direct`, beside `same` or an older client."""
    call = getattr(item, "callspec", None)
    if call is None or call.params.get("target") != "direct":
        return False
    return "same" in item.fixturenames or call.params.get("cli", VERSIONS[0]) != VERSIONS[0]


def goes_over_the_way(item: pytest.Item) -> bool:
    """Whether the test has a client that reaches the program over the wire of DSP_WAY."""
    call = getattr(item, "callspec", None)
    past_the_program = call is not None and "direct" in (call.params.get("target"), call.params.get("silent"))
    return (not CLIENT_FIXTURES.isdisjoint(item.fixturenames) and not past_the_program
            and not item.get_closest_marker("own_wire"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The test of long silence goes last: it is silent while all others run."""
    items[:] = [item for item in items if not is_repetition(item) and (way.WAY == "tcp" or goes_over_the_way(item))]
    for item in items:
        for marker in item.iter_markers("cannot"):
            if reason := way.why_not(*marker.args):
                item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=lambda item: item.path.name == "test_silence.py")
    if os.geteuid() != 0:
        reason = "a private Docker Engine needs root"
        if os.environ.get("CI"):
            pytest.exit(reason, returncode=1)
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def in_time(request: pytest.FixtureRequest) -> Iterator[None]:
    marker = request.node.get_closest_marker("deadline")
    with deadline(marker.args[0] if marker else TEST_SECONDS):
        yield


@dataclass(frozen=True)
class Target:
    """One way to the Engine."""

    name: str
    docker_host: str
    connect: Callable[[], wire.Connection]

    def roundtrip(self, method: str, path: str, *more) -> wire.Response:
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.roundtrip(method, path, *more)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with closing(new_engine()) as private:
        yield private


@pytest.fixture(scope="session")
def binary() -> Iterator[Path]:
    copy = program.copy_binary()
    yield copy
    shutil.rmtree(copy.parent)


@pytest.fixture(scope="session")
def shared_proxies(binary: Path, engine: Engine) -> Iterator[list[program.Proxy]]:
    """The last one is in use. A proxy that died fails its test and is replaced for the others."""
    proxies = [program.Proxy(binary, engine.socket)]
    yield proxies
    proxies[-1].close()


@pytest.fixture
def proxied(shared_proxies: list[program.Proxy], binary: Path, engine: Engine) -> Iterator[Target]:
    if shared_proxies[-1].fault():
        shared_proxies.append(program.Proxy(binary, engine.socket))
    running = shared_proxies[-1]
    yield Target("proxied", running.docker_host, running.connect)
    fault = running.fault()
    assert not fault, fault


@pytest.fixture
def direct(engine: Engine) -> Target:
    return Target("direct", f"unix://{engine.socket}", lambda: wire.connect_unix(engine.socket))


@pytest.fixture(params=["direct", "proxied"])
def target(request: pytest.FixtureRequest) -> Target:
    return request.getfixturevalue(request.param)


@pytest.fixture
def same(target: Target, direct: Target) -> Callable[[Callable[[Target], Result]], Result]:
    """same(act): what act(target) gives, after asserting that act(direct) gives no other."""

    def compare(act: Callable[[Target], Result]) -> Result:
        result = act(target)
        if target.name != "direct":
            assert result == act(direct), "through the proxy it is not the same"
        return result

    return compare


@pytest.fixture(scope="session")
def clients() -> Iterator[dict[str, client.Cli]]:
    if not CLIENTS:
        pytest.fail("there is no docker client on this machine: install docker.io")
    folders = {version: client.new_config_folder() for _, version in CLIENTS}
    yield {version: client.Cli(path, version, folders[version]) for path, version in CLIENTS}
    for folder in folders.values():
        shutil.rmtree(folder)


@pytest.fixture(params=VERSIONS)
def cli(request: pytest.FixtureRequest, clients: dict[str, client.Cli]) -> client.Cli:
    """Each docker client on the machine in turn."""
    return clients[request.param]


@pytest.fixture
def older_cli(clients: dict[str, client.Cli]) -> client.Cli:
    """The one client for tests in which the client's version does not matter: docker.io's."""
    return next(iter(clients.values()))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a proxy which has given up root can enter; tmp_path is not one."""
    folder = Path(public_folder("dsp-tests-open-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unique() -> Callable[[str], str]:
    """A name that no other test uses."""
    return lambda word: f"{word}-{uuid.uuid4().hex[:10]}"


class Containers:
    """Makes containers on the Engine itself, as the setting of a test; removes them after it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.made: list[str] = []

    def call(self, method: str, path: str, body: dict | None = None) -> wire.Response:
        with wire.connect_unix(self.engine.socket) as connection:
            if body is None:
                return connection.roundtrip(method, path)
            headers = {"Content-Type": "application/json"}
            return connection.roundtrip(method, path, headers, json.dumps(body).encode())

    def create(self, *command: str, start: bool = True, stdin: bool = False, **config) -> str:
        """A container that runs the command; its full id."""
        streams = {"OpenStdin": stdin, "StdinOnce": stdin, "AttachStdin": stdin}
        body = {"Image": IMAGE, "Cmd": list(command), **streams, **config}
        response = self.call("POST", "/containers/create", body)
        assert response.status == 201, response
        container = response.json()["Id"]
        self.made.append(container)
        if start:
            self.start(container)
        return container

    def start(self, container: str) -> None:
        response = self.call("POST", f"/containers/{container}/start")
        assert response.status == 204, response

    def shell(self, script: str, **more) -> str:
        return self.create("sh", "-c", script, **more)

    def sleeping(self) -> str:
        """A container of the test's own that does nothing until it is removed."""
        return self.create("sleep", "3600")

    def idle(self) -> str:
        """One for all tests that neither end it, nor name it, nor care what others left in it."""
        if not self.runs(self.engine.idle):
            self.engine.idle = self.sleeping()
            self.made.remove(self.engine.idle)
        return self.engine.idle

    def runs(self, container: str) -> bool:
        response = self.call("GET", f"/containers/{container}/json")
        return response.status == 200 and response.json()["State"]["Running"]

    def signal(self, container: str, name: str) -> None:
        response = self.call("POST", f"/containers/{container}/kill?signal={name}")
        assert response.status == 204, response

    def wait(self, container: str) -> int:
        return self.call("POST", f"/containers/{container}/wait").json()["StatusCode"]

    def logs(self, container: str) -> dict[int, bytes]:
        """What the container wrote, per stream, read on the Engine itself."""
        with wire.connect_unix(self.engine.socket) as connection:
            path = f"/containers/{container}/logs?stdout=1&stderr=1"
            connection.request("GET", path, version="1.0")
            connection.head()
            return connection.output()

    def remove(self) -> None:
        for container in self.made:
            self.call("DELETE", f"/containers/{container}?force=1&v=1")


@pytest.fixture
def containers(engine: Engine) -> Iterator[Containers]:
    factory = Containers(engine)
    yield factory
    factory.remove()


@pytest.fixture
def leftovers(engine: Engine) -> Iterator[list[str]]:
    """Paths to DELETE on the Engine itself when the test is over."""
    paths: list[str] = []
    yield paths
    for path in paths:
        with wire.connect_unix(engine.socket) as connection:
            connection.roundtrip("DELETE", path)


def collected(session: pytest.Session, file_name: str) -> bool:
    return any(item.path.name == file_name for item in session.items)


@pytest.fixture(scope="session")
def silent_streams(binary: Path) -> Iterator[dict[str, Silent]]:
    """Streams over both ways to an Engine, through a proxy, that serve nothing else."""
    with closing(new_engine()) as private:
        factory = Containers(private)
        quiet = program.Proxy(binary, private.socket)
        streams = {
            "direct": Silent(factory, lambda: wire.connect_unix(private.socket)),
            "proxied": Silent(factory, quiet.connect),
        }
        yield streams
        for stream in streams.values():
            stream.close()
        quiet.close()


@pytest.fixture(scope="session", autouse=True)
def silence_from_the_start(request: pytest.FixtureRequest) -> None:
    if collected(request.session, "test_silence.py"):
        request.getfixturevalue("silent_streams")


def eventually(claim: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until the claim holds; for states of the Engine that no event announces."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def await_handlers(engine: Engine, function: str, count: int) -> None:
    """Wait until so many requests are inside the Engine's handler of this name. It learns of a
    client's end by and by: those of earlier tests may be there still."""
    eventually(lambda: engine.handlers(function) == count, f"not {count} in {function}")
