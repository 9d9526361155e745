"""Clients that are known by their containers, on a real Engine with a bridge, and at a unix socket."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import wire
import yaml
from client import variables
from conftest import Containers
from engine import Engine
from neighbours import Beside, Network, call, first_of, first_pid, from_container
from machine import DOCKER_COMPOSE
from neighbours import beside, network, network_holder  # fixtures
from tap import Tap

DOCUMENT = Path(__file__).parents[2] / "docs/clients.md"
LIST = "/containers/json"
EDGE = "clients:\n- {name: edge, match: {container: {label: role=edge}}, policy: read-only}\n"
ROLE = {"Labels": {"role": "edge"}}
# How often tests of a race try it: `DSP_TURNS=200` for a long run.
TURNS = int(os.environ.get("DSP_TURNS", "6"))
# Each of these tests may take as long as its turns do.
patient = pytest.mark.deadline(240 + 10 * TURNS)


def status(proxy: Beside, container: str, network: Network, path: str = LIST) -> int:
    with from_container(proxy, container, network) as connection:
        return connection.roundtrip("GET", path).status


@pytest.fixture
def neighbour(containers: Containers, network: Network) -> Callable[..., str]:
    """neighbour(last number of its address, …): a container on the network that does nothing."""
    return lambda last, **config: containers.create("sleep", "3600", **network.at(last), **config)


# ── By address ──────────────────────────────────────────────────────────────


def test_a_label_picks_the_policy(beside, neighbour, network: Network) -> None:
    proxy = beside(EDGE)
    assert status(proxy, neighbour(10, **ROLE), network) == 200
    assert status(proxy, neighbour(11, Labels={"role": "edges"}), network) == 403
    assert "identity=edge" in proxy.log_line("status=200", LIST)


@pytest.mark.parametrize(
    ("condition", "config"),
    [
        ("image: busybox", {}),
        ("image: 'busybox:*'", {}),
        ("label: role", ROLE),
        ("project: web, service: proxy",
         {"Labels": {"com.docker.compose.project": "web", "com.docker.compose.service": "proxy"}}),
    ],
)
def test_what_the_engine_knows_of_a_container(beside, neighbour, network: Network, condition: str, config: dict) -> None:
    proxy = beside(f"clients:\n- {{name: it, match: {{container: {{{condition}}}}}, policy: read-only}}\n")
    assert status(proxy, neighbour(10, **config), network) == 200


def test_labels_choose_among_the_policies_of_the_file(beside, neighbour, network: Network) -> None:
    proxy = beside("label_prefix: dsp\npolicies: {watcher: {rules: [{allow: [container.list]}]}}\n")
    assert status(proxy, neighbour(10, Labels={"dsp.policy": "watcher"}), network) == 200
    # A policy that the file does not define cannot be chosen, whether there is one of this name or not.
    assert status(proxy, neighbour(11, Labels={"dsp.policy": "open"}), network) == 403
    assert status(proxy, neighbour(12, Labels={"docker-socket-proxy.policy": "watcher"}), network) == 403


def test_labels_choose_nothing_unless_a_prefix_is_set(beside, neighbour, network: Network) -> None:
    proxy = beside("policies: {watcher: {rules: [{allow: [container.list]}]}}\n" + EDGE)
    assert status(proxy, neighbour(10, Labels={"docker-socket-proxy.policy": "watcher"}), network) == 403


def recipe() -> list[dict]:
    """The entries by compose service, as the document has them."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return next(yaml.safe_load(block)["clients"] for block in blocks if "{service: traefik}" in block)


COMPOSE = """\
version: "2.4"
services:
  traefik: {image: busybox, command: sleep 3600, stop_grace_period: 0s}
  portainer: {image: busybox, command: sleep 3600, stop_grace_period: 0s}
  whoami: {image: busybox, command: sleep 3600, stop_grace_period: 0s}
networks: {default: {external: {name: %s}}}
"""


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_two_apps_of_compose(beside, engine: Engine, network: Network, tmp_path: Path) -> None:
    """Each app has the policy of its service, and its neighbour has none."""
    proxy = beside(yaml.safe_dump({"clients": recipe()}))
    (tmp_path / "docker-compose.yml").write_text(COMPOSE % network.name)
    command = [*DOCKER_COMPOSE, "-p", f"recipe{os.getpid()}"]
    options = {"cwd": tmp_path, "env": variables(f"unix://{engine.socket}", tmp_path), "check": True, "capture_output": True}
    try:
        subprocess.run([*command, "up", "-d"], **options)
        listed = subprocess.run([*command, "ps", "-q", "traefik", "portainer", "whoami"], text=True, **options).stdout.split()
        names = {id: call(engine, "GET", f"/containers/{id}/json").json()["Config"]["Labels"]["com.docker.compose.service"] for id in listed}
        seen = {name: [status(proxy, id, network, path) for path in (LIST, "/volumes")] for id, name in names.items()}
    finally:
        subprocess.run([*command, "down", "-t", "0"], **options)
    assert seen == {"traefik": [200, 403], "portainer": [200, 200], "whoami": [403, 403]}


def test_a_container_that_cannot_be_known_is_nobody(beside, neighbour, network: Network) -> None:
    """More labels than fit: none of them counts."""
    proxy = beside(EDGE)
    labels = {"role": "edge", **{f"label-{i}": "x" for i in range(256)}}
    assert status(proxy, neighbour(10, Labels=labels), network) == 403


def test_addresses_of_no_container(beside, engine: Engine, network: Network, neighbour) -> None:
    """This machine, by the address of the bridge and by loopback, and a process in the network of nobody."""
    neighbour(10, **ROLE)
    proxy = beside(EDGE)
    began = time.monotonic()
    for address in (network.gateway, "127.0.0.1"):
        with proxy.connect(first_of(engine), address) as connection:
            assert connection.roundtrip("GET", LIST).status == 403
    assert time.monotonic() - began < 1, "the machine is not searched for among the containers"


def test_a_name_that_changes(beside, neighbour, containers: Containers, network: Network, unique) -> None:
    """The next request of the same connection is judged by what holds then."""
    name, other = unique("edge"), unique("other")
    proxy = beside(f"clients:\n- {{name: it, match: {{container: {{name: {name}}}}}, policy: read-only}}\n")
    container = neighbour(10)
    rename(containers, container, name)
    with from_container(proxy, container, network) as connection:
        assert connection.roundtrip("GET", LIST).status == 200
        rename(containers, container, other)
        wait_until(lambda: connection.roundtrip("GET", LIST).status == 403, "the new name counts")
        rename(containers, container, name)
        wait_until(lambda: connection.roundtrip("GET", LIST).status == 200, "the old name counts again")


def rename(containers: Containers, container: str, name: str) -> None:
    assert containers.call("POST", f"/containers/{container}/rename?name={name}").status == 204


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@patient
def test_a_container_that_is_just_starting(beside, containers: Containers, network: Network) -> None:
    """Its first process asks before the Engine has noted that it runs."""
    proxy = beside(EDGE)
    for turn in range(TURNS):
        container = containers.create(
            "wget", "-q", "-O", "/dev/null", f"http://{network.gateway}:3277{LIST}", **network.at(20 + turn % 200), **ROLE)
        assert containers.wait(container) == 0, (containers.logs(container), proxy.log())
        containers.call("DELETE", f"/containers/{container}?force=1")
        containers.made.remove(container)


@patient
def test_an_address_that_is_used_again(beside, containers: Containers, network: Network) -> None:
    """Containers one after the other at one address, every other one with the label."""
    proxy = beside(EDGE)
    for turn in range(TURNS):
        labels = ROLE if turn % 2 == 0 else {}
        container = containers.create("sleep", "3600", **network.at(50), **labels)
        assert status(proxy, container, network) == (200 if labels else 403), f"turn {turn}"
        assert containers.call("DELETE", f"/containers/{container}?force=1").status == 204
        containers.made.remove(container)


@patient
def test_an_address_that_moves_to_and_fro(beside, containers: Containers, network: Network) -> None:
    """Two containers that run have the address in turn, many times; each asks as soon as it has it."""
    proxy = beside(EDGE)
    rows = [(containers.create("sleep", "3600", HostConfig={"NetworkMode": network.name}, Labels=labels), code)
            for labels, code in (({"role": "edge"}, 200), ({}, 403))]
    pids = [first_pid(container) for container, _ in rows]
    for container, _ in rows:
        leave(containers, network, container)
    for turn in range(10 * TURNS):
        (container, code), pid = rows[turn % 2], pids[turn % 2]
        enter(containers, network, container, 51)
        with proxy.connect(pid, network.gateway) as connection:
            assert connection.roundtrip("GET", LIST).status == code, f"turn {turn}"
        leave(containers, network, container)


def enter(containers: Containers, network: Network, container: str, last: int) -> None:
    address = {"IPAMConfig": {"IPv4Address": f"{network.prefix}.{last}"}}
    body = {"Container": container, "EndpointConfig": address}
    assert containers.call("POST", f"/networks/{network.id}/connect", body).status == 200


def leave(containers: Containers, network: Network, container: str) -> None:
    body = {"Container": container, "Force": True}
    assert containers.call("POST", f"/networks/{network.id}/disconnect", body).status == 200


def test_a_client_that_starts_again(beside, neighbour, containers: Containers, network: Network) -> None:
    """It is known from its first request on; while it has stopped, its address is that of whoever gets it."""
    proxy = beside(EDGE)
    edge = neighbour(70, **ROLE)
    assert status(proxy, edge, network) == 200
    for turn in range(2):
        assert containers.call("POST", f"/containers/{edge}/restart?t=0").status == 204
        assert status(proxy, edge, network) == 200, f"turn {turn}"
    assert containers.call("POST", f"/containers/{edge}/stop?t=0").status == 204
    other = neighbour(70)
    assert status(proxy, other, network) == 403
    assert containers.call("POST", f"/containers/{other}/restart?t=0").status == 204
    assert status(proxy, other, network) == 403
    assert containers.call("POST", f"/containers/{other}/stop?t=0").status == 204
    containers.start(edge)
    assert status(proxy, edge, network) == 200


def test_a_connection_does_not_outlive_its_container(beside, neighbour, containers: Containers, network: Network) -> None:
    """A stream ends; a connection that waits is judged anew, although another container has the address."""
    proxy = beside("clients:\n- {name: edge, match: {container: {label: role=edge}}, policy: open}\n")
    container = neighbour(60, **ROLE)
    with from_container(proxy, container, network) as waiting, from_container(proxy, container, network) as stream:
        assert waiting.roundtrip("GET", LIST).status == 200
        stream.request("GET", "/events")
        assert stream.head().status == 200
        containers.call("POST", f"/containers/{container}/kill")
        # Its end may not come through to a network that is gone; the log tells it.
        assert "the container of the client has stopped" in proxy.log_line("path=/events")
        neighbour(60)
        # The socket was made in the network of the container that has stopped, and lives on only here.
        waiting.sock.settimeout(1)
        with pytest.raises((wire.Closed, OSError)):
            assert waiting.roundtrip("GET", LIST).status == 403
            raise wire.Closed


def test_many_at_once_ask_together(beside, neighbour, network: Network, engine: Engine) -> None:
    proxy = beside(EDGE)
    pid = first_pid(neighbour(10))
    connections = [proxy.connect(pid, network.gateway) for _ in range(50)]
    for connection in connections:
        connection.request("GET", LIST)
    assert {connection.response().status for connection in connections} == {403}
    for connection in connections:
        connection.close()


# ── By process ──────────────────────────────────────────────────────────────

ASK = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("GET", "/containers/json")
sys.exit(0 if connection.getresponse().status == 200 else 3)
"""


def ask_in_container(containers: Containers, proxy: Beside, **config) -> int:
    """The exit status of a client in a container that has the socket, and the machine's python."""
    container = containers.create(
        "chroot", "/host", sys.executable, "-c", ASK, str(proxy.socket),
        HostConfig={"Binds": ["/:/host:ro"], "NetworkMode": "none"}, **config)
    code = containers.wait(container)
    assert code in (0, 3), containers.logs(container)
    return code


def test_a_socket_in_containers(beside, containers: Containers) -> None:
    proxy = beside(EDGE)
    for _ in range(2):
        assert ask_in_container(containers, proxy, **ROLE) == 0, proxy.log()
        assert ask_in_container(containers, proxy) == 3
    with wire.connect_unix(proxy.socket) as connection:
        assert connection.roundtrip("GET", LIST).status == 403, "a process of no container"


def ask_by_exec(containers: Containers, container: str, path: Path) -> int:
    """The exit status of a client that docker exec puts into a container which has the machine's files."""
    response = containers.call("POST", f"/containers/{container}/exec", {
        "Cmd": ["chroot", "/host", sys.executable, "-c", ASK, str(path)], "AttachStdout": True, "AttachStderr": True})
    exec_id = response.json()["Id"]
    output = containers.call("POST", f"/exec/{exec_id}/start", {})
    code = containers.call("GET", f"/exec/{exec_id}/json").json()["ExitCode"]
    assert code in (0, 3), output
    return code


def test_a_process_that_is_put_into_a_container(beside, containers: Containers) -> None:
    """As docker exec does it."""
    proxy = beside(EDGE)
    container = containers.create("sleep", "3600", HostConfig={"Binds": ["/:/host:ro"], "NetworkMode": "none"}, **ROLE)
    assert ask_by_exec(containers, container, proxy.socket) == 0, proxy.log()


@pytest.mark.parametrize(("config", "code"), [(ROLE, 0), ({}, 3)], ids=["edge", "other"])
def test_a_client_that_starts_again_with_a_mounted_socket(beside, containers: Containers, config: dict, code: int) -> None:
    """The socket alone is mounted. The container is the same, its processes and their pids are others."""
    proxy = beside(EDGE)
    mounted = proxy.folder / "mounted.sock"
    mounted.touch()
    container = containers.create("sleep", "3600", HostConfig={
        "Binds": ["/:/host:ro", f"{proxy.socket}:/host{mounted}"], "NetworkMode": "none"}, **config)
    before = first_pid(container)
    assert ask_by_exec(containers, container, mounted) == code, proxy.log()
    assert containers.call("POST", f"/containers/{container}/restart?t=0").status == 204
    assert first_pid(container) != before
    assert ask_by_exec(containers, container, mounted) == code, proxy.log()


def groups_of(pid: int) -> list[Path]:
    """The folders of a process's control groups, in each hierarchy."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    folders = {fields[1]: set(fields[3].split(",")) for fields in mounts if fields[2] in ("cgroup", "cgroup2")}
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for folder, options in folders.items():
            if controllers and set(controllers.split(",")) <= options or not controllers and "memory" not in options:
                found.append(Path(folder + path))
    return sorted({folder for folder in found if (folder / "cgroup.procs").exists()})


def in_engines_namespaces(engine: Engine, *command: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["nsenter", f"--target={first_of(engine)}", "--mount", "--pid", *command],
        capture_output=True, text=True, timeout=60, **more)


def test_a_group_with_the_name_of_a_container(beside, containers: Containers, engine: Engine) -> None:
    """Who may make groups of their own, as each user of systemd may, can name one docker-ID.scope."""
    proxy = beside(EDGE)
    container = containers.create("sleep", "3600", HostConfig={"NetworkMode": "none"}, **ROLE)
    own, forged = groups_of(first_pid(container)), groups_of(os.getpid())
    made = [folder / f"forged-{os.getpid()}" / f"docker-{container}.scope" for folder in forged]
    asks = [sys.executable, "-c", ASK, str(proxy.socket)]
    enter = 'for folder in $1; do echo $$ > $folder/cgroup.procs; done; shift; exec "$@"'
    try:
        for folder in made:
            folder.mkdir(parents=True)
            for name in ("cpuset.cpus", "cpuset.mems"):  # without them a group of v1 takes no process
                for up in (folder.parent, folder):
                    if (up / name).exists():
                        (up / name).write_text((up.parent / name).read_text())
        forger = in_engines_namespaces(engine, "sh", "-ec", enter, "sh", " ".join(map(str, made)), *asks)
        assert forger.returncode == 3, forger
        member = in_engines_namespaces(engine, "sh", "-ec", enter, "sh", " ".join(map(str, own)), *asks)
        assert member.returncode == 0, member
    finally:
        for folder in made:
            folder.rmdir()
            folder.parent.rmdir()


def test_a_container_in_the_group_of_another(beside, containers: Containers) -> None:
    """--cgroup-parent: it is not the other one."""
    proxy = beside(EDGE)
    edge = containers.create("sleep", "3600", HostConfig={"NetworkMode": "none"}, **ROLE)
    groups = Path(f"/proc/{first_pid(edge)}/cgroup").read_text().splitlines()
    path = next(line.split(":", 2)[2] for line in groups if edge in line)
    container = containers.create(
        "chroot", "/host", sys.executable, "-c", ASK, str(proxy.socket), start=False,
        HostConfig={"Binds": ["/:/host:ro"], "NetworkMode": "none", "CgroupParent": path})
    started = containers.call("POST", f"/containers/{container}/start")
    if started.status != 204:
        pytest.skip(f"this Engine starts none there: {started.body!r}")
    assert containers.wait(container) == 3, containers.logs(container)


RECYCLE = r"""
import os, socket, sys, time
path, ends, groups = sys.argv[1], sys.argv[2] == "ends", sys.argv[3:]
go, tell = os.pipe()
answer, say = os.pipe()

def ask(connection):
    os.read(go, 1)
    connection.sendall(b"GET /containers/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    os.write(say, connection.recv(4096)[9:12])
    os._exit(0)

def sleep():
    time.sleep(60)
    os._exit(0)

first = os.fork()
if first == 0:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    if not ends:
        ask(connection)
    if os.fork() == 0:
        ask(connection)
    os._exit(0)
pid = first
if ends:
    os.waitpid(first, 0)
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(first - 1))
    pid = os.fork()
    if pid == 0:
        sleep()
    assert pid == first, (pid, first)
for group in groups:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write(str(pid))
os.write(tell, b"x")
print(os.read(answer, 3).decode())
os.kill(pid, 9)
"""


@pytest.mark.parametrize(("what", "status"), [("stays", "200"), ("ends", "403")])
def test_a_pid_that_another_process_has_now(beside, containers: Containers, engine: Engine, what: str, status: str) -> None:
    """A process connects and leaves the connection to its child; its pid becomes that of one in a container."""
    proxy = beside(EDGE)
    container = containers.create("sleep", "3600", HostConfig={"NetworkMode": "none"}, **ROLE)
    groups = map(str, groups_of(first_pid(container)))
    result = in_engines_namespaces(engine, sys.executable, "-c", RECYCLE, str(proxy.socket), what, *groups)
    assert result.stdout.strip() == status, (result.stderr, proxy.log())


# ── The Engine's events end ─────────────────────────────────────────────────


@pytest.mark.parametrize("refused", [False, True], ids=["again", "not again"])
def test_events_that_end_beside_a_living_engine(
    beside, neighbour, containers: Containers, network: Network, engine: Engine, unique, refused: bool
) -> None:
    """What happens then is told by nobody: what was known counts neither for a connection that waits nor for an address."""
    name = unique("edge")
    with Tap(engine.socket) as tapped:
        proxy = beside(EDGE + f"- {{name: it, match: {{container: {{name: {name}}}}}, policy: read-only}}\n", tapped.path)
        edge, named, other = neighbour(80, **ROLE), neighbour(81), neighbour(82)
        rename(containers, named, name)
        assert status(proxy, edge, network) == 200
        with from_container(proxy, named, network) as waiting:
            assert waiting.roundtrip("GET", LIST).status == 200
            tapped.refused = b"GET /events" if refused else None
            assert tapped.cut(b"GET /events") > 0  # one for each thread that was asked
            rename(containers, named, unique("other"))
            leave(containers, network, edge)
            leave(containers, network, other)
            enter(containers, network, other, 80)
            # Without events nobody is taken for who it was; a client that nothing but its container can tell gets a 502.
            assert waiting.roundtrip("GET", LIST).status == (502 if refused else 403)
            assert status(proxy, other, network) == (502 if refused else 403)
            tapped.refused = None
            assert status(proxy, named, network) == 403
            assert status(proxy, other, network) == 403
            enter(containers, network, edge, 82)
            assert status(proxy, edge, network) == 200


# ── The Engine ends ─────────────────────────────────────────────────────────


def test_an_engine_that_is_started_again(binary: Path, network_holder: int) -> None:
    """Another container has the address when the Engine is back."""
    engine = Engine()
    engine.network = ["nsenter", f"--net=/proc/{network_holder}/ns/net"]
    with closing(engine):
        engine.start()
        engine.import_busybox()
        made = Containers(engine)
        network = Network(engine, "again", 9)
        with closing(Beside(binary, engine, EDGE, network_of=network_holder)) as proxy:
            edge = made.create("sleep", "3600", **network.at(10), **ROLE)
            assert status(proxy, edge, network) == 200
            engine.kill()
            with proxy.connect(network_holder, network.gateway) as connection:
                assert connection.roundtrip("GET", LIST).status == 502
            engine.start()
            other = made.create("sleep", "3600", **network.at(10))
            assert status(proxy, other, network) == 403
            containers_again = made.create("sleep", "3600", **network.at(11), **ROLE)
            assert status(proxy, containers_again, network) == 200
