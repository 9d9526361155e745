"""Several Engines behind one front: real clients choose one by the path of DOCKER_HOST, by a TLS name or by a
listener, and a group goes on when the Engine that served it is killed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import proxy as program
import pytest
import way
import wire
from client import COMMAND_SECONDS, Cli, docker_py, variables
from conftest import Containers, eventually
from engine import IMAGE, Engine, new_engine
from machine import DOCKER_COMPOSE, free_port, public_folder
from test_run import SIZES
from test_build import buildkit_cli, context  # fixtures

pytestmark = pytest.mark.own_wire

NODES = ("node-a", "node-b")
FILE = """\
engines:
  node-a: unix://{node_a}
  node-b: {{address: 'unix://{node_b}', sni: node-b.fleet.test}}
  web: {{members: [node-a, node-b]}}
policies:
  ops: {{engines: '*', rules: [{{allow: ['*']}}]}}
listeners:
  - {{address: 'tcp://127.0.0.1:{path}', policy: ops}}
  - {{address: 'tcp://127.0.0.1:{own}', policy: ops, engine: node-b}}
  - {{address: 'tls://127.0.0.1:{tls}', policy: ops, tls: {{cert: {certs}/server-cert.pem, key: {certs}/server-key.pem,
     client_ca: {certs}/ca.pem}}}}
"""


class Front(program.Program):
    """One proxy before all nodes, and the ways to it."""

    def __init__(self, binary: Path, folder: Path, nodes: dict[str, Engine]) -> None:
        self.ports = {name: free_port() for name in ("path", "own", "tls")}
        certs = folder / "certs"
        subprocess.run(
            [binary, "certs", certs, "--host", "node-b.fleet.test", "--host", "127.0.0.1"], check=True, capture_output=True
        )
        for path in certs.iterdir():
            path.chmod(0o644)
        certs.chmod(0o755)
        self.certs = certs
        file = folder / "proxy.yaml"
        file.write_text(FILE.format(
            node_a=nodes["node-a"].socket, node_b=nodes["node-b"].socket, certs=certs, **self.ports))
        file.chmod(0o644)
        self.log_file = folder / "log"
        with self.log_file.open("wb") as out:
            self.process = subprocess.Popen(
                [binary, "-c", file], env={"PATH": os.environ["PATH"], **{
                    k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )
        eventually(lambda: self.accepts() or self.process.poll() is not None, "it does not listen")
        assert self.process.poll() is None, self.log()

    def accepts(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def connect(self) -> wire.Connection:
        sock = way.connect(f"tcp://127.0.0.1:{self.ports['path']}")
        sock.settimeout(wire.TIMEOUT_SECONDS)
        return wire.Connection(sock)

    def host(self, name: str) -> str:
        """DOCKER_HOST of the Engine or group with this name."""
        return f"tcp://127.0.0.1:{self.ports['path']}/engines/{name}"

    def health(self) -> dict[str, dict]:
        with self.connect() as connection:
            response = connection.roundtrip("GET", "/engines")
        assert response.status == 200, response
        return {one["name"]: one for one in response.json()["engines"]}

    def await_health(self, name: str, up: bool) -> None:
        eventually(lambda: self.health()[name]["up"] is up, f"{name} does not become up={up}", 90)


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, Engine]]:
    """Two Engines with folders of their own."""
    with ExitStack() as stack:
        running = {}
        for name in NODES:
            running[name] = new_engine("--group", str(program.UNPRIVILEGED))
            stack.callback(running[name].close)
        yield running


@pytest.fixture(scope="module")
def front(binary: Path, nodes: dict[str, Engine]) -> Iterator[Front]:
    folder = Path(public_folder("dsp-tests-fleet-"))
    one = Front(binary, folder, nodes)
    yield one
    one.close()
    shutil.rmtree(folder)


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def on_node(nodes: dict[str, Engine], node: str) -> Iterator[Containers]:
    factory = Containers(nodes[node])
    yield factory
    factory.remove()


def named(engine: Engine) -> str:
    """The id of an Engine, which is its alone."""
    return engine.get("/info").json()["ID"]


# ── docker's own commands ───────────────────────────────────────────────────────────────────────


def test_ps_lists_the_containers_of_the_engine_that_is_named(cli, front, nodes, node, on_node) -> None:
    mine = on_node.sleeping()
    other = next(name for name in NODES if name != node)
    assert mine in cli.ok(front.host(node), "ps", "-q", "--no-trunc").decode().split()
    assert mine not in cli.ok(front.host(other), "ps", "-q", "--no-trunc").decode().split()
    assert cli.ok(front.host(node), "info", "--format", "{{.ID}}").decode().strip() == named(nodes[node])


def test_run_in_a_terminal(cli, front, node) -> None:
    script = f"{SIZES} while ! read -r line; do :; done; exit 4"
    with cli.terminal(front.host(node), "run", "-it", "--rm", "busybox", "sh", "-c", script, rows=30, columns=90) as shell:
        shell.wait_for(b"ready")
        shell.resize_until(31, 95, b"size 31 95.")
        shell.type(b"end\r")
        assert shell.finish() == 4


def test_exec_with_input_and_status(cli, front, node, on_node) -> None:
    container = on_node.sleeping()
    done = cli.run(front.host(node), "exec", "-i", container, "sh", "-c", "cat; exit 3", stdin=b"what I typed")
    assert (done.status, done.out) == (3, b"what I typed")


def test_logs_follow(cli, front, node, on_node) -> None:
    container = on_node.shell("echo first; while ! test -e /tmp/go; do sleep 0.05; done; echo second")
    with cli.start(front.host(node), "logs", "-f", container) as logs:
        assert logs.line() == b"first"
        cli.ok(front.host(node), "exec", container, "touch", "/tmp/go")
        assert logs.line() == b"second"
        assert logs.finish().status == 0


def test_events_are_those_of_the_engine_that_is_named(cli, front, node, nodes, on_node) -> None:
    elsewhere = Containers(nodes[next(name for name in NODES if name != node)])
    with cli.start(front.host(node), "events", "--filter", "event=create", "--format", "{{.ID}}") as events:
        eventually(lambda: nodes[node].handlers("getEvents") > 0, "no one listens")
        elsewhere.create("true", start=False)
        mine = on_node.create("true", start=False)
        assert events.line().decode() == mine
    elsewhere.remove()


def test_a_classic_build_is_made_at_the_engine_that_is_named(cli, front, nodes, node, context, unique) -> None:
    image = unique("built")
    out = cli.ok(front.host(node), "build", "--network", "none", "-t", image, context)
    assert b"marker-from-run" in out
    have = [name for name in NODES if nodes[name].get(f"/images/{image}/json").status == 200]
    assert have == [node]
    cli.ok(front.host(node), "rmi", image)


def test_docker_compose(front, nodes, node, tmp_path, unique) -> None:
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    (tmp_path / "docker-compose.yml").write_text(
        "version: '2.4'\nservices: {one: {image: busybox, command: 'sh -c \"echo from-compose; exit 3\"', network_mode: none}}\n")

    project = unique("project")

    def compose(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*DOCKER_COMPOSE, "-p", project, *arguments], cwd=tmp_path, capture_output=True,
            timeout=COMMAND_SECONDS, env=variables(front.host(node), tmp_path))

    done = compose("up", "--exit-code-from", "one")
    assert done.returncode == 3, done.stderr
    assert b"from-compose" in done.stdout
    compose("down", "-t", "0")


# ── BuildKit: its session carries no path ───────────────────────────────────────────────────────


def built_by_buildkit(cli: Cli, docker_host: str, folder: Path, image: str, **more):
    return cli.run(docker_host, "build", "--no-cache", "--network", "none", "-t", image, folder,
                   env={"DOCKER_BUILDKIT": "1", **more.pop("env", {})}, **more)


def test_buildkit_at_a_listener_of_the_engine(buildkit_cli, front, nodes, context, unique) -> None:
    image = unique("built")
    done = built_by_buildkit(buildkit_cli, f"tcp://127.0.0.1:{front.ports['own']}", context, image)
    assert done.status == 0, done.err
    assert [name for name in NODES if nodes[name].get(f"/images/{image}/json").status == 200] == ["node-b"]


def test_buildkit_over_a_path_is_refused_with_the_remedy(buildkit_cli, front, context, unique) -> None:
    """The client sends POST /session without the path of DOCKER_HOST, so that no Engine is named."""
    done = built_by_buildkit(buildkit_cli, front.host("node-a"), context, unique("built"))
    assert done.status != 0
    assert front.log_line("/session", "403")


def inside(hosts: Path, cli: Cli, folder: Path) -> Cli:
    """The same client where /etc/hosts is another file."""
    script = folder / f"docker-{cli.version}"
    script.write_text(
        f"#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {hosts} /etc/hosts && exec \"$0\" \"$@\"' {cli.path} \"$@\"\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return Cli(str(script), cli.version, cli.config)


def secure(front: Front, folder: Path) -> dict[str, str]:
    """A client's certificate, as docker looks for it."""
    for name, source in (("ca.pem", "ca.pem"), ("cert.pem", "client-cert.pem"), ("key.pem", "client-key.pem")):
        found = front.certs / source
        shutil.copy(found if found.exists() else front.certs / name, folder / name)
    return {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}


def test_a_tls_name_means_an_engine_for_buildkit_too(buildkit_cli, front, nodes, context, unique, tmp_path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost node-b.fleet.test\n")
    named_cli = inside(hosts, buildkit_cli, tmp_path)
    host = f"tcp://node-b.fleet.test:{front.ports['tls']}"
    env = secure(front, tmp_path)
    assert named_cli.ok(host, "info", "--format", "{{.ID}}", env=env).decode().strip() == named(nodes["node-b"])
    image = unique("built")
    done = built_by_buildkit(named_cli, host, context, image, env=env)
    assert done.status == 0, done.err
    assert [name for name in NODES if nodes[name].get(f"/images/{image}/json").status == 200] == ["node-b"]


# ── docker-py ───────────────────────────────────────────────────────────────────────────────────


def test_docker_py(front, nodes, node, on_node) -> None:
    container = on_node.shell("echo from-logs; exec sleep 3600")
    sdk = docker_py(front.host(node))
    try:
        assert sdk.info()["ID"] == named(nodes[node])
        assert container in [one.id for one in sdk.containers.list()]
        assert sdk.containers.run(IMAGE, ["echo", "hello"], remove=True) == b"hello\n"
        found = sdk.containers.get(container)
        assert found.exec_run(["sh", "-c", "echo out; exit 4"]) == (4, b"out\n")
        assert next(iter(found.logs(stream=True, follow=True))) == b"from-logs\n"
        events = sdk.events(decode=True, filters={"container": container, "event": "kill"})
        found.kill("SIGURG")
        assert next(iter(events))["Action"] == "kill"
    finally:
        sdk.close()


# ── Names ───────────────────────────────────────────────────────────────────────────────────────


def test_the_list_of_engines_says_which_are_up(front) -> None:
    for name in NODES:
        front.await_health(name, True)
    assert set(front.health()) == {*NODES, "web"}


def test_an_engine_that_does_not_exist_is_refused_as_one_that_is_not_allowed(front, older_cli) -> None:
    done = older_cli.run(front.host("node-c"), "ps")
    assert done.status != 0
    assert b"node-a" not in done.err


# ── A group ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Sent:
    """A request of the load."""

    method: str
    name: str
    began: float
    ended: float = 0
    status: int | None = None  # None: no response


@dataclass
class Load:
    """Clients that create and list containers, one request after the other, until they are stopped."""

    connect: Callable[[], wire.Connection]
    prefix: str
    sent: list[Sent] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def one(self, connection: wire.Connection, one: Sent, target: str, body: bytes) -> None:
        self.sent.append(one)
        headers = {"Content-Type": "application/json"} if body else {}
        one.status = connection.roundtrip(one.method, target, headers, body).status

    def run(self, number: int) -> None:
        body = json.dumps({"Image": IMAGE, "Cmd": ["true"], "Labels": {"load": self.prefix}}).encode()
        count = 0
        while not self.stop.is_set():
            try:
                with self.connect() as connection:
                    while not self.stop.is_set():
                        count += 1
                        name = f"{self.prefix}-{number}-{count}"
                        post = Sent("POST", name, time.monotonic())
                        self.one(connection, post, f"/engines/web/containers/create?name={name}", body)
                        post.ended = time.monotonic()
                        get = Sent("GET", name, time.monotonic())
                        self.one(connection, get, "/engines/web/containers/json", b"")
                        get.ended = time.monotonic()
            except (OSError, wire.Closed):
                continue


def created(engine: Engine, prefix: str) -> list[str]:
    filters = json.dumps({"label": [f"load={prefix}"]}).replace('"', "%22").replace(" ", "")
    listed = engine.get(f"/containers/json?all=1&filters={filters}").json()
    return [one["Names"][0].removeprefix("/") for one in listed]


@pytest.fixture
def whole(nodes: dict[str, Engine], front: Front) -> Iterator[None]:
    """All nodes run, before and after the test, and the front knows it."""
    for engine in nodes.values():
        if engine.process is None:
            engine.start()
    for name in NODES:
        front.await_health(name, True)
    yield
    for engine in nodes.values():
        if engine.process is None:
            engine.start()


def test_a_group_goes_on_with_the_next_engine_and_comes_back(older_cli, front, nodes, whole) -> None:
    ask = ("info", "--format", "{{.ID}}")
    ids = {name: named(nodes[name]) for name in NODES}
    assert older_cli.ok(front.host("web"), *ask).decode().strip() == ids["node-a"]
    nodes["node-a"].kill()
    assert older_cli.ok(front.host("web"), *ask).decode().strip() == ids["node-b"]
    assert front.health()["node-a"]["up"] is False
    assert front.health()["web"]["up"] is True
    nodes["node-a"].start()
    front.await_health("node-a", True)
    assert older_cli.ok(front.host("web"), *ask).decode().strip() == ids["node-a"]


def test_what_fails_is_only_what_was_under_way_and_no_post_runs_twice(front, nodes, whole, unique) -> None:
    load = Load(front.connect, unique("load"))
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(created(nodes["node-a"], load.prefix)) > 20, "nothing is created")
        began = time.monotonic()
        nodes["node-a"].kill()
        gone = time.monotonic()
        eventually(lambda: len(created(nodes["node-b"], load.prefix)) > 20, "the group does not go on")
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    nodes["node-a"].start()
    failed = [one for one in load.sent if one.status not in (200, 201)]
    for one in failed:
        assert one.began <= gone and (one.ended == 0 or one.ended >= began), f"was not under way: {one}, {began}, {gone}"
    made = created(nodes["node-a"], load.prefix) + created(nodes["node-b"], load.prefix)
    assert len(made) == len(set(made)), "a POST ran twice"
    missing = {one.name for one in load.sent if one.method == "POST" and one.status == 201} - set(made)
    assert not missing, "a container that was created is not there"
    for name in NODES:
        factory = Containers(nodes[name])
        factory.made = created(nodes[name], load.prefix)
        factory.remove()


def test_a_stream_stays_with_its_engine(older_cli, front, nodes, whole, unique) -> None:
    """What was under way at the Engine that is killed ends; it is not begun again at another one."""
    script = "while :; do echo tick; sleep 0.05; done"
    name = unique("stream")
    run = ("run", "--name", name, "busybox", "sh", "-c", script)
    with older_cli.start(front.host("web"), *run) as running:
        assert running.line() == b"tick"
        nodes["node-a"].kill()
        running.finish()
    assert nodes["node-b"].get(f"/containers/{name}/json").status == 404


# ── docs/fleet.md ───────────────────────────────────────────────────────────────────────────────


def loop_of_the_page() -> str:
    """The loop that makes a context for each node, as the page has it."""
    page = (program.REPOSITORY / "docs" / "fleet.md").read_text()
    return page.split("<!-- contexts -->\n```bash\n", 1)[1].split("```", 1)[0]


def test_the_loop_of_the_page_makes_fifty_contexts(cli, front, tmp_path) -> None:
    env = {**cli.environment(""), "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker"),
           "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text("{}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").symlink_to(cli.path)
    env.pop("DOCKER_HOST")
    subprocess.run([program.binary_under_test(), "certs", "certs", "--client", "ops"], cwd=tmp_path, check=True, capture_output=True)
    script = loop_of_the_page().replace("front.example.com:3277", f"127.0.0.1:{front.ports['path']}")
    done = subprocess.run(["bash", "-euc", script], env=env, cwd=tmp_path, capture_output=True, timeout=COMMAND_SECONDS)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(["docker", "context", "ls", "-q"], env=env, capture_output=True, text=True, check=True)
    assert {f"node-{n}" for n in range(1, 51)} <= set(listed.stdout.split())
    shown = subprocess.run(
        ["docker", "context", "inspect", "node-50", "--format", "{{.Endpoints.docker.Host}}"], env=env,
        capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == f"tcp://127.0.0.1:{front.ports['path']}/engines/node-50"


def test_a_context_reaches_its_engine(cli, front, nodes, node, on_node, tmp_path) -> None:
    mine = on_node.sleeping()
    env = {**cli.environment(""), "DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    env.pop("DOCKER_HOST")
    (tmp_path / "config.json").write_text("{}")
    subprocess.run([cli.path, "context", "create", node, "--docker", f"host={front.host(node)}"], env=env, check=True,
                   capture_output=True)
    listed = subprocess.run([cli.path, "--context", node, "ps", "-q", "--no-trunc"], env=env, check=True,
                            capture_output=True, text=True)
    assert mine in listed.stdout.split()
