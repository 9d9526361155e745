"""A proxy started with POLICY=NAME and nothing else: the app works, and what is denied says so.

Where the app or its client library is a Debian package the real one runs; where it is not, its
requests do: those of tests/presets/apps, and in the order in which the app sends them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import proxy as program
import pytest
import wire
import yaml
from bodies import body_of
from client import COMMAND_SECONDS, curl, docker_py, variables
from conftest import TEST_SECONDS, eventually
from machine import DOCKER_COMPOSE
from test_files import tar_of

APPS = {path.stem: yaml.safe_load(path.read_text())
        for path in sorted((Path(__file__).parents[1] / "presets" / "apps").glob("*.yaml"))}

pytestmark = pytest.mark.deadline(2 * TEST_SECONDS)

COMPOSE_FILE = """\
version: "2.4"
services:
  web:
    image: busybox
    command: sh -c 'echo web is up; exec sleep 3600'
    stop_grace_period: 0s
    networks: [front]
    volumes: ["data:/data"]
  worker:
    image: busybox
    command: sh -c 'echo worker is up; exec sleep 3600'
    stop_grace_period: 0s
    depends_on: [web]
    networks: [front]
networks:
  front: {}
volumes:
  data: {}
"""


@pytest.fixture(scope="module")
def proxies(binary, engine) -> Iterator[dict[str, program.Proxy]]:
    """One proxy for each preset that was asked for."""
    running: dict[str, program.Proxy] = {}
    yield running
    for one in running.values():
        one.close()


@pytest.fixture
def behind(proxies, binary, engine) -> Iterator[Callable[[str], program.Proxy]]:
    """behind(NAME) → a proxy started with POLICY=NAME; one that died fails the test."""
    used: list[program.Proxy] = []

    def start(name: str) -> program.Proxy:
        if name not in proxies:
            proxies[name] = program.Proxy(binary, engine.socket, {"POLICY": name})
        used.append(proxies[name])
        return proxies[name]

    yield start
    for one in used:
        fault = one.fault()
        assert not fault, fault


@pytest.fixture
def sdk(behind) -> Iterator[Callable[[str], docker.DockerClient]]:
    """sdk(NAME) → docker-py behind that preset."""
    clients: list[docker.DockerClient] = []

    def connect(name: str) -> docker.DockerClient:
        clients.append(docker_py(behind(name).docker_host))
        return clients[-1]

    yield connect
    for one in clients:
        one.close()


def is_denial(name: str, status: int, body: bytes) -> bool:
    """Whether a response is ours, and says which policy; that to a HEAD has no body."""
    words = (f"not allowed by policy '{name}'", f"policy '{name}' does not allow this request")
    return status == 403 and (not body or any(word in json.loads(body)["message"] for word in words))


# ── Every preset ────────────────────────────────────────────────────────────────────────────────


def head_only(running: program.Proxy, request: str) -> wire.Response:
    """The head of a response, and the body of a denial; streams are left at once."""
    method, target = request.split(" ", 1)
    with running.connect() as connection:
        connection.request(method, target, {"Content-Type": "application/json"},
                           None if method in ("GET", "HEAD") else body_of(request) or b"")
        response = connection.head()
        if response.status == 403 and method != "HEAD":
            response.body = b"".join(connection.body(response, method))
    return response


def reaches_something(request: str) -> bool:
    """Whether a replay is left out: BuildKit's requests wait for a session that nobody opens, and
    pruning would take what other tests made."""
    return "remote=client-session" not in request and "/prune" not in request


@pytest.mark.parametrize("name", APPS)
def test_the_apps_requests_reach_the_engine(name, behind, containers, leftovers):
    """Each request of the app's list gets a response of the Engine, of any status."""
    leftovers += ["/networks/made-by-tests", "/volumes/made-by-tests"]
    running, container = behind(name), containers.idle()
    refused = {}
    for request in filter(reaches_something, APPS[name]["sends"]):
        if request.startswith("GET"):
            request = request.replace("/containers/web/", f"/containers/{container}/")
        response = head_only(running, request)
        # A local response has no Date. The response on a hijacked connection is written by hand and without the
        # Engine's headers; one that this Engine does not know yet without Api-Version.
        # Nor has the 404 of a scope, which stands for what is another's.
        hijacked = "attach" in request or response.status == 404
        if response.status == 403 or (response.header("Date") is None and not hijacked):
            refused[request] = response
    assert refused == {}


@pytest.mark.parametrize("name", APPS)
def test_other_requests_get_local_responses(name, behind):
    """What the preset must not open gets a 403 with the reason, and the Engine does not see it."""
    running = behind(name)
    for request in APPS[name]["refuses"]:
        response = head_only(running, request)
        assert is_denial(name, response.status, response.body), (request, response)
        assert response.body or request.startswith("HEAD ")
        assert response.header("Date") is None


# ── docker-compose, the real one ────────────────────────────────────────────────────────────────


@pytest.fixture
def compose(behind, tmp_path, unique):
    """compose(NAME, …) runs docker-compose behind that preset; takes its project down at the end."""
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    (tmp_path / "docker-compose.yml").write_text(COMPOSE_FILE)
    project, up = unique("project"), set()

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess:
        if arguments[0] == "down":
            up.clear()
        elif name in CREATORS:
            up.add(name)
        return subprocess.run(
            [*DOCKER_COMPOSE, "-p", project, *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
            env={**variables(behind(name).docker_host, tmp_path), "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"})

    run.project = project
    yield run
    if up:
        run(up.pop(), "down", "-t", "0", "-v")


CREATORS = ["compose", "portainer"]  # dockge grants what compose does


def must(compose, name: str, *arguments: str) -> str:
    done = compose(name, *arguments)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def recreate(compose, name: str, engine) -> None:
    """docker-compose 1 recreates only where an image has a ContainerConfig: up to Engine 25 (API 1.44)."""
    if engine.api > (1, 44):
        must(compose, name, "rm", "-s", "-f")
    must(compose, name, "up", "-d", "--force-recreate")


def test_compose_project_of_portainer(compose, engine):
    """What its stacks need: up with a network and a volume, up again, down -v."""
    must(compose, "portainer", "up", "-d")
    recreate(compose, "portainer", engine)
    must(compose, "portainer", "down", "-v", "-t", "0")
    left = engine.get("/networks").body + engine.get("/volumes").body
    assert compose.project.encode() not in left


def test_compose_project(compose, engine):
    """up -d with a network and a volume, ps, logs, exec, stop, start, restart, down -v."""

    def ok(*arguments: str) -> str:
        return must(compose, "compose", *arguments)

    ok("up", "-d")
    assert sorted(ok("ps", "--services", "--filter", "status=running").split()) == ["web", "worker"]
    eventually(lambda: "worker is up" in ok("logs") and "web is up" in ok("logs"), "no logs")
    assert ok("exec", "-T", "web", "sh", "-c", "echo kept >/data/file; cat /data/file") == "kept\n"
    assert "sleep 3600" in ok("top")
    ok("stop")
    assert ok("ps", "--services", "--filter", "status=running").split() == []
    ok("start")
    ok("restart", "-t", "0")
    recreate(compose, "compose", engine)
    assert ok("exec", "-T", "web", "cat", "/data/file") == "kept\n"
    ok("down", "-v", "-t", "0")
    left = engine.get("/networks").body + engine.get("/volumes").body
    assert compose.project.encode() not in left


def test_compose_run_and_build(compose, tmp_path, unique, leftovers):
    """run --rm, and a service that is built here."""
    tag = unique("built")
    (tmp_path / "docker-compose.yml").write_text(
        f'version: "2.4"\nservices:\n  tool:\n    build: .\n    image: {tag}\n    network_mode: none\n')
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY Dockerfile /copied\nCMD cat /copied\n")
    leftovers.append(f"/images/{tag}?force=1")
    done = compose("compose", "build")
    assert done.returncode == 0, done.stdout + done.stderr
    done = compose("compose", "run", "--rm", "-T", "tool")
    assert (done.returncode, done.stdout) == (0, (tmp_path / "Dockerfile").read_text()), done.stderr


def test_buildkit_behind_compose(older_cli, behind, tmp_path, unique, leftovers):
    """docker build with BuildKit: a session beside the build, and neither with act-runner."""
    tag = unique("buildkit")
    leftovers.append(f"/images/{tag}?force=1")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY Dockerfile /copied\n")
    with_buildkit = {"env": {"DOCKER_BUILDKIT": "1"}}
    older_cli.ok(behind("compose").docker_host, "build", "-t", tag, tmp_path, **with_buildkit)
    closed = behind("act-runner")
    done = older_cli.run(closed.docker_host, "build", tmp_path, **with_buildkit)
    assert done.status != 0 and b"received 403" in done.err
    closed.log_line("buildkit.session is not allowed by policy 'act-runner'")  # the client hides it


def test_compose_behind_read_only_says_why(compose):
    """Who starts compose behind the wrong preset reads which operation failed, and of which policy."""
    done = compose("read-only", "up", "-d")
    assert done.returncode != 0
    assert "network.create is not allowed by policy 'read-only'" in done.stderr


# ── docker-py: Glances, Homepage-like reading, and what is denied ───────────────────────────────


def denied(name: str, operation: str, act: Callable[[], object]) -> None:
    """The act raises 403 with our explanation."""
    with pytest.raises(docker.errors.APIError) as raised:
        act()
    assert raised.value.status_code == 403
    assert raised.value.explanation.startswith(f"{operation} is not allowed by policy '{name}'")
    assert f"presets/{name}.yaml" in raised.value.explanation


def test_read_only_reads(sdk, containers, engine):
    """docker-py's lists and descriptions, the same as the Engine gives them."""
    client, container = sdk("read-only"), containers.sleeping()
    assert client.ping() is True
    assert client.info()["ID"] == engine.get("/info").json()["ID"]
    assert container in [one.id for one in client.containers.list(all=True)]
    assert client.containers.get(container).attrs == engine.get(f"/containers/{container}/json").json()
    assert client.images.get("busybox").tags == ["busybox:latest"]
    assert {one.name for one in client.networks.list()} >= {"host", "none"}
    assert client.networks.get("none").attrs["Driver"] == "null"
    assert client.volumes.list() is not None
    assert client.images.list()


def test_read_only_does_nothing_else(sdk, containers, engine):
    """Writing, logs, files, images and events raise an error that names operation and policy."""
    client = sdk("read-only")
    container = client.containers.get(containers.idle())
    api = client.api
    attempts = {
        "container.create": lambda: client.containers.create("busybox"),
        "container.stop": container.stop,
        "container.kill": container.kill,
        "container.remove": lambda: container.remove(force=True),
        "container.logs": container.logs,
        "container.stats": lambda: container.stats(stream=False),
        "container.top": container.top,
        "container.changes": container.diff,
        "container.export": lambda: b"".join(container.export()),
        "container.archive_get": lambda: container.get_archive("/etc/passwd"),
        "container.archive_put": lambda: container.put_archive("/", tar_of(x=b"y")),
        "container.commit": lambda: container.commit("stolen"),
        "exec.create": lambda: container.exec_run("id"),
        "image.save": lambda: b"".join(client.images.get("busybox").save()),
        "image.history": lambda: api.history("busybox"),
        "image.pull": lambda: api.pull("busybox"),
        "image.remove": lambda: client.images.remove("busybox"),
        "network.create": lambda: client.networks.create("mine"),
        "volume.create": lambda: client.volumes.create("mine"),
        "system.df": client.df,
        "swarm.inspect": api.inspect_swarm,
        "secret.list": client.secrets.list,
        "config.list": client.configs.list,
        "plugin.list": client.plugins.list,
    }
    for operation, act in attempts.items():
        denied("read-only", operation, act)
    # An error is an OSError to docker-py, and its stream of events ends quietly on one.
    assert list(client.events(since=0, until=int(time.time()) + 1)) == []
    assert engine.get(f"/containers/{container.id}/json").json()["State"]["Running"]


def test_glances(sdk, containers):
    """List with details, the image's tags, and a stream of statistics for each container."""
    client, container = sdk("glances"), containers.idle()
    mine = next(one for one in client.containers.list(all=True) if one.id == container)
    assert mine.image.tags == ["busybox:latest"]
    stream = mine.stats(decode=True)
    assert next(stream)["id"] == container
    denied("glances", "container.logs", mine.logs)
    denied("glances", "container.stop", mine.stop)


def test_homepage(sdk, containers):
    """Status and one sample of statistics."""
    client, container = sdk("homepage"), containers.idle()
    mine = client.containers.get(container)
    assert mine.status == "running"
    assert mine.stats(stream=False)["id"] == container
    denied("homepage", "system.info", client.info)
    denied("homepage", "container.restart", mine.restart)


# ── Loops and sequences of apps ─────────────────────────────────────────────────────────────────


def test_traefik_sees_containers_come_and_go(sdk, containers, unique):
    """Events of containers, each followed by an inspection, as the docker provider does."""
    client, label = sdk("traefik"), unique("traefik")
    filters = {"type": "container", "label": label}
    events = client.events(decode=True, since=int(time.time()), filters=filters)
    container = containers.create("sleep", "3600", Labels={label: "true"})
    seen = [next(events)["Action"] for _ in range(2)]
    assert seen == ["create", "start"]
    assert client.containers.get(container).labels[label] == "true"
    assert [one.id for one in client.containers.list(filters={"label": label})] == [container]
    containers.call("POST", f"/containers/{container}/kill")
    assert next(events)["Action"] in ("kill", "die")
    events.close()
    denied("traefik", "exec.create", lambda: client.containers.get(container).exec_run("id"))
    denied("traefik", "network.list", client.networks.list)


def test_traefik_with_the_docker_cli(cli, behind, containers):
    """ps, inspect and events work; what else people try tells them why it does not."""
    host, container = behind("traefik").docker_host, containers.sleeping()
    assert container.encode() in cli.ok(host, "ps", "--no-trunc", "-q")
    assert cli.ok(host, "inspect", "-f", "{{.State.Status}}", container) == b"running\n"
    assert b"create" in cli.ok(host, "events", "--since", "1m", "--until", int(time.time()) + 1,
                               "--filter", f"container={container}")
    for arguments in (("exec", container, "id"), ("logs", container), ("rm", "-f", container),
                      ("run", "--rm", "busybox", "id"), ("images",), ("cp", f"{container}:/etc", "-")):
        done = cli.run(host, *arguments)
        assert done.status != 0 and b"not allowed by policy 'traefik'" in done.err, (arguments, done)


def test_watchtower_replaces_a_container(sdk, unique, leftovers, containers):
    """Look for the image, stop, rename, create with the same settings, connect, start, remove."""
    name, network = unique("app"), unique("net")
    leftovers += [f"/containers/{name}?force=1", f"/networks/{network}"]
    containers.call("POST", "/networks/create", {"Name": network, "Driver": "bridge"})
    old_id = containers.create("sleep", "3600", Labels={"app": name}, StopSignal="SIGKILL",
                               HostConfig={"NetworkMode": "none", "Memory": 64 << 20})
    api = sdk("watchtower").api
    api.rename(old_id, name)
    old = api.inspect_container(old_id)
    assert api.inspect_image(old["Image"])["RepoTags"] == ["busybox:latest"]
    with pytest.raises(docker.errors.APIError) as raised:  # there is no registry to be reached
        api.pull("registry.invalid/app")
    assert raised.value.status_code != 403
    api.stop(old_id)
    api.rename(old_id, f"{name}-old")
    new_id = api.create_container_from_config(
        {**old["Config"], "HostConfig": {**old["HostConfig"], "NetworkMode": network}}, name)["Id"]
    api.start(new_id)
    api.remove_container(old_id, v=True)
    new = api.inspect_container(new_id)
    assert (new["Name"], new["State"]["Running"]) == (f"/{name}", True)
    assert new["HostConfig"]["Memory"] == 64 << 20 and new["Config"]["Labels"] == {"app": name}
    denied("watchtower", "exec.create", lambda: api.exec_create(new_id, "id"))
    denied("watchtower", "container.logs", lambda: api.logs(new_id))


def test_autoheal_restarts_what_is_unhealthy(behind, containers, engine, unique):
    """The two requests of its script, with curl, around a container whose health check fails."""
    host, label = behind("autoheal").docker_host, unique("autoheal")
    container = containers.create(
        "sleep", "3600", Labels={label: "true"}, StopSignal="SIGKILL",
        Healthcheck={"Test": ["CMD", "false"], "Interval": 10**8, "Retries": 1})

    def ok(path: str, *options: str) -> bytes:
        done = curl(host, path, "--fail-with-body", *options)
        assert done.returncode == 0, done
        return done.stdout

    filters = json.dumps({"health": ["unhealthy"], "label": [f"{label}=true"]})

    def unhealthy() -> list[str]:
        listed = ok("/containers/json", "--get", "--data-urlencode", f"filters={filters}")
        return [one["Id"] for one in json.loads(listed)]

    eventually(lambda: unhealthy() == [container], "the container never became unhealthy")
    before = engine.get(f"/containers/{container}/json").json()["State"]["StartedAt"]
    ok(f"/containers/{container[:12]}/restart?t=0", "--request", "POST")
    assert engine.get(f"/containers/{container}/json").json()["State"]["StartedAt"] != before
    done = curl(host, f"/containers/{container}/stop", "--request", "POST")
    assert b"container.stop is not allowed by policy 'autoheal'" in done.stdout


def test_gitlab_runner_runs_a_job(cli, behind, sdk, unique, leftovers):
    """A network and a cache volume, a script as standard input, its output and status, cleaning up."""
    host, name = behind("gitlab-runner").docker_host, unique("runner")
    leftovers += [f"/containers/{name}?force=1", f"/volumes/{name}", f"/networks/{name}"]
    cli.ok(host, "network", "create", name)
    cli.ok(host, "volume", "create", name)
    cli.ok(host, "create", "-i", "--name", name, "--network", name, "-v", f"{name}:/cache",
           "busybox", "sh")
    sdk("gitlab-runner").api.put_archive(name, "/tmp", tar_of(job=b"from the runner\n"))
    done = cli.run(host, "start", "-a", "-i", name, stdin=b"cat /tmp/job; echo x >/cache/x; exit 7\n")
    assert (done.status, done.out) == (7, b"from the runner\n")
    assert cli.ok(host, "wait", name) == b"7\n"
    assert cli.ok(host, "logs", name) == b"from the runner\n"
    for arguments in (("rm", "-f", name), ("volume", "rm", name), ("network", "rm", name)):
        cli.ok(host, *arguments)
    for arguments in (("commit", name, "x"), ("rmi", "busybox"), ("container", "prune", "-f")):
        assert b"not allowed by policy 'gitlab-runner'" in cli.run(host, *arguments).err


@pytest.mark.parametrize("name", ["act-runner", "testcontainers"])
def test_steps_in_a_container(name, sdk, unique, leftovers):
    """Files in, an exec with its status, files out, logs, removal: a job's or a test's container."""
    client, own = sdk(name), unique("steps")
    leftovers += [f"/containers/{own}?force=1", f"/volumes/{own}", f"/networks/{own}"]
    volume, network = client.volumes.create(own), client.networks.create(own)
    container = client.containers.run("busybox", ["sh", "-c", "echo ready; exec sleep 3600"], name=own,
                                      detach=True, network=own, volumes={own: {"bind": "/data"}})
    eventually(lambda: container.logs() == b"ready\n", "no logs")
    assert container.put_archive("/data", tar_of(step=b"echo done >/data/out; exit 3\n"))
    assert container.exec_run(["sh", "/data/step"]).exit_code == 3
    pieces, stat = container.get_archive("/data/out")
    assert b"done\n" in b"".join(pieces) and stat["size"] == 5
    container.kill()
    assert container.wait()["StatusCode"] == 137
    container.remove(v=True)
    volume.remove()
    network.remove()
    denied(name, "container.prune", client.containers.prune)
    denied(name, "swarm.inspect", client.api.inspect_swarm)


def test_act_runner_builds(cli, behind, tmp_path, unique, leftovers):
    """An action that brings a Dockerfile, with the classic builder."""
    tag = unique("action")
    leftovers.append(f"/images/{tag}?force=1")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo built\n")
    out = cli.ok(behind("act-runner").docker_host, "build", "-t", tag, tmp_path,
                 env={"DOCKER_BUILDKIT": "0"})
    assert b"built" in out


def test_dozzle_follows_logs(sdk, containers):
    """Logs as they are written, events and statistics; no button works."""
    client = sdk("dozzle")
    container = client.containers.get(containers.shell("echo one; sleep 0.3; echo two; sleep 3600"))
    lines = container.logs(stream=True, follow=True)
    assert [next(lines), next(lines)] == [b"one\n", b"two\n"]
    assert container.stats(stream=False)["id"] == container.id
    assert client.info()["Containers"] >= 1
    denied("dozzle", "container.restart", container.restart)
    denied("dozzle", "exec.create", lambda: container.exec_run("id"))


@pytest.mark.parametrize("name", ["dozzle-shell", "lazydocker-actions", "ctop-actions"])
def test_a_terminal_in_a_container(name, cli, behind, containers):
    """A shell in a terminal, with its size; creating a container stays closed."""
    host = behind(name).docker_host
    with cli.terminal(host, "exec", "-it", containers.idle(), "sh", rows=30, columns=100) as terminal:
        terminal.wait_for(b"# ")
        # The client sets the size once the command has started, so the shell may be asked before.
        terminal.type(b"until stty size; do sleep 0.1; done; exit 4\r")
        terminal.wait_for(b"30 100\r\n")
        assert terminal.finish() == 4
    done = cli.run(host, "run", "--rm", "busybox", "id")
    assert f"container.create is not allowed by policy '{name}'".encode() in done.err


@pytest.mark.parametrize("name", ["lazydocker", "ctop", "beszel", "datadog", "promtail"])
def test_logs_are_read_and_nothing_is_changed(name, sdk, containers):
    """What these monitors have in common."""
    client, container = sdk(name), containers.shell("echo hello; exec sleep 3600")
    mine = client.containers.get(container)
    eventually(lambda: mine.logs() == b"hello\n", "no logs")
    denied(name, "container.kill", mine.kill)
    denied(name, "container.create", lambda: client.api.create_container("busybox"))


@pytest.mark.parametrize("name", ["homarr", "dozzle-actions"])
def test_buttons(name, sdk, containers):
    """Stop, start, restart and remove, and not one more."""
    client = sdk(name)
    container = client.containers.get(containers.create("sleep", "3600", StopSignal="SIGKILL"))
    container.stop()
    container.start()
    container.restart(timeout=0)
    denied(name, "container.pause", container.pause)
    denied(name, "exec.create", lambda: container.exec_run("id"))
    container.stop()
    container.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(container.id)


def test_ofelia_runs_a_job_in_a_container(sdk, containers):
    """job-exec: create, start, ask for the status."""
    client = sdk("ofelia")
    container = client.containers.get(containers.idle())
    assert container.exec_run(["sh", "-c", "exit 9"]).exit_code == 9
    denied("ofelia", "container.create", lambda: client.containers.create("busybox"))


def test_ofelia_runs_a_container_for_a_job(sdk, unique, leftovers):
    """job-run: an image that is there, a container, its output, removal."""
    client, name = sdk("ofelia-run"), unique("job")
    leftovers.append(f"/containers/{name}?force=1")
    assert client.images.list(filters={"reference": "busybox"})
    container = client.containers.create("busybox", ["echo", "job"], name=name, network_mode="none")
    container.start()
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"job\n"
    container.remove()
    denied("ofelia-run", "image.remove", lambda: client.images.remove("busybox"))


def test_trivy_takes_an_image(cli, behind, tmp_path):
    """docker save; the contents of containers stay closed."""
    host = behind("trivy").docker_host
    cli.ok(host, "save", "-o", tmp_path / "image.tar", "busybox")
    assert (tmp_path / "image.tar").stat().st_size > 100_000
    assert b"not allowed by policy 'trivy'" in cli.run(host, "export", "any").err


def test_ryuk_removes_by_label(sdk, containers, unique):
    """Everything with a label goes, and nothing can be made."""
    client, label = sdk("ryuk"), unique("session")
    made = containers.create("sleep", "3600", Labels={label: "true"})
    containers.call("POST", "/networks/create", {"Name": label, "Labels": {label: "true"}})
    containers.call("POST", "/volumes/create", {"Name": label, "Labels": {label: "true"}})
    filters = {"label": [f"{label}=true"]}
    api = client.api
    assert [one["Id"] for one in api.containers(all=True, filters=filters)] == [made]
    api.remove_container(made, force=True, v=True)
    for network in api.networks(filters=filters):
        api.remove_network(network["Id"])
    for volume in api.volumes(filters=filters)["Volumes"]:
        api.remove_volume(volume["Name"])
    assert api.containers(all=True, filters=filters) == [] == api.networks(filters=filters)
    denied("ryuk", "container.create", lambda: api.create_container("busybox"))
    denied("ryuk", "container.inspect", lambda: api.inspect_container(made))


def test_portainer_does_what_its_pages_offer(sdk, unique, leftovers):
    """A container created, changed, committed; its image tagged, saved, loaded, removed."""
    client, name = sdk("portainer"), unique("portainer")
    leftovers += [f"/containers/{name}?force=1", f"/images/{name}:1", f"/images/{name}:2"]
    container = client.containers.run("busybox", ["sleep", "3600"], name=name, detach=True,
                                      network_mode="none")
    container.update(mem_limit="64m", memswap_limit="64m")
    assert container.top()["Processes"] and container.diff() in (None, [])
    image = container.commit(name, "1")
    assert image.tag(name, "2")
    saved = b"".join(client.images.get(f"{name}:2").save(named=f"{name}:2"))
    client.images.remove(f"{name}:2")
    assert [one.tags for one in client.images.load(saved)] == [[f"{name}:1", f"{name}:2"]]
    assert client.df()["Containers"] and client.plugins.list() == []
    container.remove(force=True)
    denied("portainer", "swarm.inspect", client.api.inspect_swarm)
    denied("portainer", "plugin.privileges", lambda: client.plugins.install("vieux/sshfs"))


def test_uptime_kuma_tests_and_monitors(behind, containers):
    """Unversioned requests without negotiation, as axios sends them."""
    running, container = behind("uptime-kuma"), containers.idle()
    assert any(one["Id"] == container for one in running.get("/containers/json?all=true").json())
    assert running.get(f"/containers/{container}/json").json()["State"]["Running"] is True
    response = running.get("/info")
    assert is_denial("uptime-kuma", response.status, response.body)


# ── On a swarm ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def service(containers, unique) -> Iterator[str]:
    """A service with one task, on a swarm that lives as long as the test."""
    name = unique("service")
    init = {"ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1"}
    assert containers.call("POST", "/swarm/init", init).status == 200
    try:
        response = containers.call("POST", "/services/create", {
            "Name": name, "Labels": {"app": name}, "TaskTemplate": {"ContainerSpec": {
                "Image": "busybox", "Command": ["sleep", "3600"], "StopGracePeriod": 1}}})
        assert response.status == 201, response
        yield name
    finally:
        containers.call("DELETE", f"/services/{name}")
        containers.call("POST", "/swarm/leave?force=1")


def test_swarm_providers(sdk, service):
    """Traefik and Prometheus find services, their tasks and the nodes; the swarm's keys stay closed."""
    traefik = sdk("traefik-swarm").api
    found = next(one for one in traefik.services() if one["Spec"]["Labels"] == {"app": service})

    def tasks() -> list[dict]:
        return traefik.tasks({"service": found["ID"]})

    eventually(lambda: tasks() and tasks()[0].get("NodeID"), "no task got a node")
    assert traefik.inspect_node(tasks()[0]["NodeID"])["Spec"]["Role"] == "manager"
    assert traefik.networks(filters={"scope": "swarm"})
    assert len(sdk("prometheus-swarm").api.nodes()) == 1
    for name in ("traefik-swarm", "prometheus-swarm", "homepage-swarm"):
        api = sdk(name).api
        denied(name, "swarm.inspect", api.inspect_swarm)
        denied(name, "swarm.unlockkey", api.get_unlock_key)
        denied(name, "secret.list", api.secrets)
        denied(name, "service.remove", lambda api=api: api.remove_service(service))


def test_portainer_on_a_swarm(sdk, service):
    """Services are scaled, secrets and configs kept; joining, leaving and the unlock key are not its."""
    client, api = sdk("portainer-swarm"), sdk("portainer-swarm").api
    assert client.services.get(service).scale(0)
    for kept in (client.secrets, client.configs):
        made = kept.create(name=service, data=b"content")
        assert [one.id for one in kept.list()] == [made.id]
        made.remove()
    assert api.inspect_swarm()["JoinTokens"]
    denied("portainer-swarm", "swarm.unlockkey", api.get_unlock_key)
    denied("portainer-swarm", "swarm.leave", lambda: api.leave_swarm(force=True))
    client.services.get(service).remove()
