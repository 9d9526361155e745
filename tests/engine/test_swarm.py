"""Services on a swarm of one node."""

import os

import pytest
from conftest import eventually


@pytest.fixture(scope="module")
def swarm(engine, clients):
    """A swarm on the private Engine; it leaves no trace on the machine."""
    cli = next(iter(clients.values()))
    host = f"unix://{engine.socket}"
    cli.ok(host, "swarm", "init", "--advertise-addr", "127.0.0.1")
    yield
    cli.run(host, "swarm", "leave", "--force")


@pytest.fixture
def service(cli, target, swarm, unique):
    """A running service of one task that says it is there, made through the target."""
    name = unique("service")
    cli.ok(
        target.docker_host, "service", "create", "--detach", "--no-resolve-image", "--name", name,
        "--stop-grace-period", "0s", "busybox", "sh", "-c", "echo up; echo ready >&2; sleep 3600",
    )
    yield name
    cli.run(target.docker_host, "service", "rm", name)


def test_service_is_created_and_listed(cli, target, service):
    """docker service create, ls, inspect, ps, rm."""
    shown = cli.ok(target.docker_host, "service", "ls", "--format", "{{.Name}}")
    assert service.encode() in shown.split()
    image = cli.ok(
        target.docker_host, "service", "inspect", "--format",
        "{{.Spec.TaskTemplate.ContainerSpec.Image}}", service,
    )
    assert image.strip() in (b"busybox", b"busybox:latest")
    eventually(
        lambda: cli.ok(
            target.docker_host, "service", "ps", "--format", "{{.CurrentState}}", service
        ).startswith(b"Running"),
        "the task does not run",
    )
    cli.ok(target.docker_host, "service", "rm", service)
    shown = cli.ok(target.docker_host, "service", "ls", "--format", "{{.Name}}")
    assert service.encode() not in shown.split()


def test_service_logs_follow(cli, target, service):
    """docker service logs -f shows what the tasks say."""
    with cli.start(target.docker_host, "service", "logs", "--raw", "-f", service) as running:
        assert running.line() == b"up"


def test_service_create_waits_until_it_converges(older_cli, target, swarm, unique):
    """Without --detach the client watches the tasks until the service is stable."""
    name = unique("service")
    try:
        out = older_cli.ok(
            target.docker_host, "service", "create", "--no-resolve-image", "--name", name,
            "--update-monitor", "1ms", "--stop-grace-period", "0s", "busybox", "sleep", "3600",
        )
        assert b"Service converged" in out
    finally:
        older_cli.run(target.docker_host, "service", "rm", name)


def test_service_is_scaled(older_cli, target, swarm, unique):
    """docker service update: the replicas change."""
    name = unique("service")
    older_cli.ok(
        target.docker_host, "service", "create", "--detach", "--no-resolve-image", "--name", name,
        "--replicas", "0", "busybox", "sleep", "3600",
    )
    try:
        older_cli.ok(target.docker_host, "service", "scale", "--detach", f"{name}=2")
        shown = older_cli.ok(
            target.docker_host, "service", "inspect", "--format",
            "{{.Spec.Mode.Replicated.Replicas}}", name,
        )
        assert shown == b"2\n"
    finally:
        older_cli.run(target.docker_host, "service", "rm", name)


def test_config_and_secret(older_cli, target, swarm, unique):
    """Configs and secrets from standard input; a config's content comes back."""
    name = unique("thing")
    for kind in ("config", "secret"):
        older_cli.ok(target.docker_host, kind, "create", name, "-", stdin=b"content")
    try:
        shown = older_cli.ok(
            target.docker_host, "config", "inspect", "--format", "{{json .Spec.Data}}", name
        )
        assert shown == b'"Y29udGVudA=="\n'
        listed = older_cli.ok(target.docker_host, "secret", "ls", "--format", "{{.Name}}")
        assert name.encode() in listed.split()
    finally:
        for kind in ("config", "secret"):
            older_cli.run(target.docker_host, kind, "rm", name)


def test_nodes(cli, same, swarm):
    """docker node ls: one leader, the same by both ways."""
    done = same(lambda t: cli.run(t.docker_host, "node", "ls", "--format", "{{.ManagerStatus}}"))
    assert (done.status, done.out) == (0, b"Leader\n")


POLICIES = """\
listeners: [{address: 'tcp://127.0.0.1:3277', policy: %s}]
watch: true
policies: {first: {rules: [{allow: [system.ping]}]}, second: {rules: [{allow: [system.info]}]}}
"""
CONFIGURATION = "/etc/docker-socket-proxy/proxy.yaml"
LIBRARIES = ("/lib", "/lib64", "/usr/lib")  # of a build that is not static


def test_another_config_comes_with_another_task(older_cli, engine, binary, swarm, unique):
    """A Docker config never changes, so the proxy of a service gets another file by `service update`, as
    docs/reload.md says: the former task ends well, and the next one has the new policy."""
    host = f"unix://{engine.socket}"
    name, first, second = unique("proxy"), unique("first"), unique("second")
    mounts = [f"type=bind,src={path},dst={path},ro" for path in (*filter(os.path.isdir, LIBRARIES), engine.socket)]
    mounts.append(f"type=bind,src={binary},dst=/docker-socket-proxy,ro")
    for config, policy in ((first, "first"), (second, "second")):
        older_cli.ok(host, "config", "create", config, "-", stdin=(POLICIES % policy).encode())
    try:
        older_cli.ok(
            host, "service", "create", "--detach", "--no-resolve-image", "--name", name, "--user", "0",
            "--config", f"source={first},target={CONFIGURATION}", *(word for mount in mounts for word in ("--mount", mount)),
            "--env", f"SOCKET_PATH={engine.socket}", "busybox", "/docker-socket-proxy",
        )

        def said(words: bytes) -> bool:
            return words in older_cli.run(host, "service", "logs", "--raw", name).err

        eventually(lambda: said(b"policy 'first'"), "the first task does not serve")
        older_cli.ok(host, "service", "update", "--detach", "--config-rm", first,
                     "--config-add", f"source={second},target={CONFIGURATION}", name)
        eventually(lambda: said(b"policy 'second'"), "the second task does not serve")

        def former() -> bytes:
            return older_cli.ok(host, "service", "ps", "--format", "{{.CurrentState}} {{.Error}}", name).splitlines()[1]

        eventually(lambda: former().split()[0] in (b"Shutdown", b"Complete"), "the first task does not end")
        assert b"non-zero" not in former()
        assert not said(b"reloaded"), "the file of a task stays as it is"
    finally:
        older_cli.run(host, "service", "rm", name)
        for config in (first, second):
            eventually(lambda config=config: older_cli.run(host, "config", "rm", config).status == 0, "the config is in use")
