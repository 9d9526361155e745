"""POLICY=NAME WORKSPACE=…: the presets that look inside, each with its real client.

What passes is asserted by what the container got; what is refused, by the reason that the client shows and by the
Engine, which saw nothing of it.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import npm
import proxy as program
import pytest
import wire
from client import COMMAND_SECONDS, Cli, variables
from conftest import TEST_SECONDS
from machine import DOCKER_COMPOSE, public_folder

pytestmark = pytest.mark.deadline(2 * TEST_SECONDS)

LIMITS = ("-m", "64m", "--cpus", "1", "--pids-limit", "100")
NODE = Path(__file__).parent


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    """A folder of the host, with a link in it that leads out, beside one that is not the client's."""
    root = Path(public_folder("dsp-tests-workspace-"))
    for name in ("work", "work/app", "secret"):
        (root / name).mkdir()
        (root / name / "file").write_text(f"of {name}\n")
    (root / "work" / "out").symlink_to(root / "secret")
    (root / "work" / "app" / "Dockerfile").write_text("FROM busybox\nRUN echo built >/built\n")
    yield root / "work"
    subprocess.run(["rm", "-rf", root], check=True)


@pytest.fixture(scope="module")
def proxies(binary, engine, workspace) -> Iterator[dict[str, program.Proxy]]:
    running: dict[str, program.Proxy] = {}
    yield running
    for one in running.values():
        one.close()


@pytest.fixture
def behind(proxies, binary, engine, workspace) -> Iterator[Callable[[str], str]]:
    """behind(NAME) → the address of a proxy started with POLICY=NAME WORKSPACE=…"""
    used: list[program.Proxy] = []

    def start(name: str) -> str:
        if name not in proxies:
            environment = {"POLICY": name, "WORKSPACE": str(workspace)}
            proxies[name] = program.Proxy(binary, engine.socket, environment)
        used.append(proxies[name])
        return proxies[name].docker_host

    yield start
    for one in used:
        fault = one.fault()
        assert not fault, fault


# ── An AI agent, with the docker command ────────────────────────────────────────────────────────


def test_an_agent_develops(older_cli: Cli, behind, workspace, unique, leftovers):
    """Build, run with the workspace, write there, exec, logs, cp, network, volume, remove."""
    host, name = behind("agent"), unique("agent")
    tag = f"agent/{name}"
    leftovers += [f"/containers/{name}?force=1", f"/images/{tag}?force=1", f"/networks/{name}", f"/volumes/{name}"]

    def ok(*arguments: object) -> str:
        return older_cli.ok(host, *arguments).decode()

    ok("build", "-t", tag, workspace / "app")
    mounted = ("-v", f"{workspace}:/work", "-w", "/work/app")
    assert ok("run", "--rm", *LIMITS, *mounted, tag, "cat", "/built", "file") == "built\nof work/app\n"
    ok("network", "create", name)
    ok("volume", "create", name)
    ok("run", "-d", "--name", name, *LIMITS, *mounted, "-v", f"{name}:/cache", "--network", name, tag,
       "sh", "-c", "echo up; echo made >/work/made; exec sleep 3600")
    assert ok("exec", name, "cat", "/work/made") == "made\n" == (workspace / "made").read_text()
    assert ok("logs", name) == "up\n"
    assert name in ok("ps") and "sleep 3600" in ok("top", name)
    ok("cp", f"{name}:/built", workspace / "copy")
    ok("cp", workspace / "copy", f"{name}:/tmp/copy")
    assert ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", name) == f"{64 << 20} 100\n"
    ok("rm", "-f", name)
    ok("network", "rm", name)
    ok("volume", "rm", name)


REFUSED = {
    "the host": (("run", *LIMITS, "-v", "/:/host", "busybox"), "bind of the host's path '/' is not allowed"),
    "beside the workspace": (("run", *LIMITS, "-v", "{work}-other:/x", "busybox"), "bind of the host's path"),
    "a link in the workspace": (("run", *LIMITS, "-v", "{work}/out:/x", "busybox"), "bind of what is below a source"),
    "out of the workspace": (("run", *LIMITS, "-v", "{work}/../secret:/x", "busybox"), "without '.', '..'"),
    "a mount": (("run", *LIMITS, "--mount", "type=bind,src=/etc,dst=/x", "busybox"), "bind of the host's path '/etc'"),
    "the Engine's socket": (("run", *LIMITS, "-v", "/var/run/docker.sock:/s", "busybox"), "/var/run/docker.sock"),
    "privileged": (("run", *LIMITS, "--privileged", "busybox"), "privileged mode is not allowed"),
    "pid": (("run", *LIMITS, "--pid", "host", "busybox"), "namespace 'pid=host' is not allowed"),
    "ipc": (("run", *LIMITS, "--ipc", "host", "busybox"), "namespace 'ipc=host' is not allowed"),
    "uts": (("run", *LIMITS, "--uts", "host", "busybox"), "namespace 'uts=host' is not allowed"),
    "network": (("run", *LIMITS, "--network", "host", "busybox"), "network 'host' is not allowed"),
    "a capability": (("run", *LIMITS, "--cap-add", "SYS_ADMIN", "busybox"), "capability 'SYS_ADMIN' is not allowed"),
    "a device": (("run", *LIMITS, "--device", "/dev/kmsg", "busybox"), "device of the host '/dev/kmsg'"),
    "no seccomp": (("run", *LIMITS, "--security-opt", "seccomp=unconfined", "busybox"), "security option"),
    "all interfaces": (("run", *LIMITS, "-p", "8080:80", "busybox"), "published port"),
    "no limits": (("run", "busybox"), "create.require"),
    "too much memory": (("run", *LIMITS, "-m", "9g", "busybox"), "create.require"),
    "always": (("run", *LIMITS, "--restart", "always", "busybox"), "restart policy 'always'"),
    "a volume of the host": (("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/", "x"), "volume"),
    "another's image": (("build", "-t", "busybox", "{work}/app"), "tag 'busybox' is not allowed"),
    "the network of a build": (("build", "--network", "host", "{work}/app"), "network of a build 'host'"),
    "a push": (("push", "busybox"), "image.push is not allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_agent_is_refused(what, older_cli: Cli, behind, workspace, containers, engine):
    """The reason reaches the agent, and the Engine has no container more."""
    arguments, reason = REFUSED[what]
    before = len(engine.get("/containers/json?all=1").json())
    done = older_cli.run(behind("agent"), *(word.format(work=workspace) for word in arguments))
    assert done.status != 0 and reason in done.err.decode(), done
    assert len(engine.get("/containers/json?all=1").json()) == before


def test_an_agent_gets_no_privileged_exec(older_cli: Cli, behind, unique, leftovers):
    """An exec has privileges of its own."""
    host, own = behind("agent"), unique("own")
    leftovers.append(f"/containers/{own}?force=1")
    older_cli.ok(host, "run", "-d", "--name", own, *LIMITS, "busybox", "sleep", "3600")
    done = older_cli.run(host, "exec", "--privileged", own, "id")
    assert done.status != 0 and "privileged mode is not allowed" in done.err.decode()


def test_an_agent_has_its_own_objects_only(older_cli: Cli, behind, containers, unique, leftovers, engine):
    """Another's container is neither listed nor found; its own has the label."""
    host, other, own = behind("agent"), containers.sleeping(), unique("own")
    leftovers.append(f"/containers/{own}?force=1")
    older_cli.ok(host, "create", "--name", own, *LIMITS, "busybox", "true")
    assert engine.get(f"/containers/{own}/json").json()["Config"]["Labels"] == {"docker-socket-proxy.owner": "agent"}
    listed = older_cli.ok(host, "ps", "-a", "-q", "--no-trunc").decode()
    assert other not in listed and engine.get(f"/containers/{own}/json").json()["Id"] in listed
    for command in (("exec", other, "id"), ("stop", other), ("rm", "-f", other), ("logs", other), ("container", "inspect", other),
                    ("cp", f"{other}:/etc/passwd", "-")):
        done = older_cli.run(host, *command)
        assert b"No such" in done.err, command  # rm -f ends with 0 all the same
    refused = ("run", "--rm", *LIMITS, "--network", f"container:{other}", "busybox")
    assert older_cli.run(host, *refused).status != 0
    assert containers.runs(other)


def test_without_a_workspace_nothing_is_mounted(older_cli: Cli, binary, engine, workspace):
    """Who forgets WORKSPACE gets no bind, and reads why."""
    running = program.Proxy(binary, engine.socket, {"POLICY": "agent"})
    done = older_cli.run(running.docker_host, "run", "--rm", *LIMITS, "-v", f"{workspace}:/work", "busybox", "ls")
    assert done.status != 0 and "$WORKSPACE, which is not set" in done.err.decode()
    assert f"set WORKSPACE={workspace}" in done.err.decode()
    assert older_cli.run(running.docker_host, "run", "--rm", *LIMITS, "busybox", "true").status == 0
    assert not running.fault()
    running.close()


def test_a_policy_of_a_file_extends_it(older_cli: Cli, binary, engine, workspace, open_folder):
    """The block of the preset holds in a policy of one's own, with WORKSPACE."""
    file = open_folder / "proxy.yaml"
    file.write_text("policy: mine\npolicies: {mine: {extends: [agent], rules: [{deny: [container.archive_put]}]}}\n")
    running = program.Proxy(binary, engine.socket, {"CONFIG": str(file), "WORKSPACE": str(workspace)})
    run = ("run", "--rm", *LIMITS)
    assert older_cli.ok(running.docker_host, *run, "-v", f"{workspace}:/w", "busybox", "cat", "/w/file") == b"of work\n"
    assert older_cli.run(running.docker_host, *run, "-v", "/etc:/w", "busybox").status != 0
    assert not running.fault()
    running.close()


# ── A CI runner, with the docker command ────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["ci-runner", "gitlab-runner", "act-runner"])
def test_a_runner_runs_a_job(name, older_cli: Cli, behind, workspace, unique, leftovers):
    """A job in the workspace and a cache volume; neither privileges nor the host."""
    host, own = behind(name), unique("job")
    leftovers += [f"/containers/{own}?force=1", f"/volumes/{own}"]
    older_cli.ok(host, "create", "--name", own, "-v", f"{workspace}:/builds", "-v", f"{own}:/cache", "-w", "/builds",
                 "busybox", "sh", "-c", "cat file; exit 3")
    done = older_cli.run(host, "start", "-a", own)
    assert (done.status, done.out) == (3, b"of work\n")
    older_cli.ok(host, "rm", "-v", own)
    for option in (("--privileged",), ("-v", "/:/host"), ("-v", f"{workspace}/out:/x"), ("--network", "host"),
                   ("-v", "/var/run/docker.sock:/var/run/docker.sock")):
        done = older_cli.run(host, "create", *option, "busybox")
        assert done.status != 0 and f"policy '{name}' does not allow this request" in done.err.decode(), option


def test_a_ci_job_builds_and_pushes(older_cli: Cli, behind, workspace, unique, leftovers):
    """Its image gets a name, and the push reaches the Engine, which has no registry here."""
    host, tag = behind("ci-runner"), unique("registry.invalid/ci")
    leftovers.append(f"/images/{tag}?force=1")
    older_cli.ok(host, "build", "-t", tag, workspace / "app")
    done = older_cli.run(host, "push", tag)
    assert done.status != 0 and b"registry.invalid" in done.err and b"not allow" not in done.err


# ── compose ─────────────────────────────────────────────────────────────────────────────────────

COMPOSE = """\
version: "2.4"
services:
  web:
    image: busybox
    command: sh -c 'cat /conf; exec sleep 3600'
    stop_grace_period: 0s
    volumes: ["./file:/conf:ro", "data:/data", "{more}"]
    cap_drop: [ALL]
    cap_add: [CHOWN, SETUID]
    networks: [front]
networks: {{front: {{}}}}
volumes: {{data: {{}}}}
"""


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_compose_mounts_what_is_below_the_workspace(engine, behind, workspace, unique):
    """A file of the project and a folder beside it; not a folder of the host."""
    project, host = unique("project"), behind("compose-project")
    folder = workspace / project
    folder.mkdir()
    (folder / "file").write_text("of the project\n")

    def compose(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([*DOCKER_COMPOSE, *arguments], cwd=folder, capture_output=True,
                              text=True, timeout=COMMAND_SECONDS, check=False,
                              env=variables(host, folder))

    for more in ("/etc:/x", "./sub:/sub"):
        (folder / "docker-compose.yml").write_text(COMPOSE.format(more=more))
        done = compose("up", "-d")
        assert (done.returncode == 0) == (more == "./sub:/sub"), done.stderr
        assert ("bind of the host's path '/etc' is not allowed" in done.stderr) == (more == "/etc:/x")
    assert "of the project" in compose("logs").stdout
    assert compose("down", "-v", "-t", "0").returncode == 0
    for kind in ("containers/json?all=1", "networks", "volumes"):
        assert project.encode() not in engine.get(f"/{kind}").body


# ── A dev container, with the devcontainer command ──────────────────────────────────────────────


def devcontainer(host: str, cli: Cli, *arguments: object) -> subprocess.CompletedProcess:
    """One command of the devcontainer program, which runs the docker command."""
    script = npm.modules(NODE / "devcontainer") / "@devcontainers" / "cli" / "devcontainer.js"
    command, *more = map(str, arguments)
    return subprocess.run(["node", script, command, "--docker-path", cli.path, *more], check=False,
                          env=cli.environment(host), capture_output=True, text=True, timeout=COMMAND_SECONDS)


@pytest.fixture
def project(workspace, unique, engine) -> Iterator[Callable[..., Path]]:
    """project(**settings) → the workspace with this devcontainer.json; its containers go."""
    folder = workspace / ".devcontainer"
    folder.mkdir()

    def write(**settings: object) -> Path:
        (folder / "Dockerfile").write_text("FROM busybox\nRUN echo dev >/built\n")
        (folder / "devcontainer.json").write_text(json.dumps(
            {"build": {"dockerfile": "Dockerfile"}, "updateRemoteUserUID": False, **settings}))
        return workspace

    yield write
    shutil.rmtree(folder)
    for container in engine.get("/containers/json?all=1").json():
        if container["Labels"].get("devcontainer.local_folder") == str(workspace):
            with wire.connect_unix(engine.socket) as connection:
                connection.roundtrip("DELETE", f"/containers/{container['Id']}?force=1")


def test_a_dev_container_comes_up(older_cli: Cli, behind, project):
    """up builds and runs it with the workspace; exec works there; what runArgs ask for is refused."""
    host = behind("devcontainer")
    folder = project()
    up = ("up", "--workspace-folder", folder, "--buildkit", "never")
    done = devcontainer(host, older_cli, *up)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["outcome"] == "success"
    done = devcontainer(host, older_cli, "exec", "--workspace-folder", folder, "cat", "/built", "file")
    assert (done.returncode, done.stdout) == (0, "dev\nof work\n"), done.stderr
    project(runArgs=["--privileged", "--network=host", "-v", "/:/host"])
    done = devcontainer(host, older_cli, *up, "--remove-existing-container")
    assert done.returncode != 0
    for reason in ("privileged mode is", "network 'host' is", "bind of the host's path '/' is"):
        assert f"{reason} not allowed" in done.stderr + done.stdout


# ── Testcontainers for Node.js ──────────────────────────────────────────────────────────────────


@pytest.mark.deadline(npm.INSTALL_SECONDS + TEST_SECONDS)
def test_testcontainers(behind, workspace, unique, leftovers):
    """An image, a network, a container with the workspace and a file, an exec; and what a test may not have."""
    tag = unique("tests")
    leftovers.append(f"/images/{tag}?force=1")
    source = NODE / "testcontainers"
    result = npm.run(source / "case.js", behind("testcontainers"), str(workspace), str(workspace / "app"), tag,
                     modules=npm.modules(source))
    leftovers.append(f"/networks/{result['network']}")  # this Engine keeps an endpoint in it for a while
    assert (result["output"], result["exitCode"]) == ("built\ncopiedof work\n", 0)
    assert "privileged mode is not allowed" in result["privileged"]
    assert "bind of the host's path '/' is not allowed" in result["host"]
    assert "bind of the host's path '/var/run/docker.sock' is not allowed" in result["socket"]


@pytest.mark.own_wire
def test_the_proxys_own_socket_for_ryuk(older_cli: Cli, binary, engine, open_folder, monkeypatch):
    """LISTEN and WORKSPACE name a socket of the proxy: a container mounts it where it looks for the Engine's."""
    path = open_folder / "tests.sock"
    port = program.free_port()
    monkeypatch.setattr(program, "free_port", lambda: port)
    environment = {"POLICY": "testcontainers", "WORKSPACE": str(path), "LISTEN": f"tcp://127.0.0.1:{port},unix://{path}"}
    running = program.Proxy(binary, engine.socket, environment, wire_settings={})
    out = older_cli.ok(running.docker_host, "run", "--rm", "-v", f"{path}:/var/run/docker.sock", "busybox",
                       "sh", "-c", "test -S /var/run/docker.sock && echo mounted")
    assert out == b"mounted\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /swarm/init HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 403 ")
    assert not running.fault()
    running.close()
