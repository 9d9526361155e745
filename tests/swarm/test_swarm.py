"""The stack files of deploy/swarm on a real swarm of three nodes."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import yaml

from conftest import FILES, ROOT, App, Deployment, commands_of, healthy, load
from nodes import Swarm, eventually

POLICY = (FILES / "proxy.yaml").read_text()
MANAGERS = "docker-managers_docker-socket-proxy-managers"
WIDER = POLICY.replace("policy: dozzle}", "policy: dozzle-actions}")
BROKEN = POLICY.replace("policy: dozzle}", "policy: dozle}")
DEAF = POLICY + "upstream: unix:///nowhere/docker.sock\n"


def test_each_app_is_served_by_the_proxy_of_its_node(swarm: Swarm, deployed: Deployment) -> None:
    """A list of another node's containers would be a lie, and its start would be an attack."""
    for node in swarm.nodes:
        app = deployed.app(node)
        assert app.docker("info", "--format", "{{.Name}}").stdout.strip() == node.name
        assert len(app.addresses("docker-socket-proxy")) == 1


def test_each_app_has_its_own_policy(swarm: Swarm, deployed: Deployment) -> None:
    """The service of the app decides, and nobody else is let in."""
    dozzle, traefik = (deployed.app(swarm.first, name) for name in ("apps_dozzle", "apps_traefik"))
    assert "apps_traefik" in traefik.docker("service", "ls").stdout
    assert "policy 'dozzle'" in dozzle.docker("service", "ls").stderr
    assert dozzle.docker("ps").returncode == 0
    assert "policy 'traefik-swarm'" in traefik.docker("ps").stderr


def test_a_stranger_on_the_network_may_do_nothing(swarm: Swarm, deployed: Deployment) -> None:
    """A service that somebody connects to an app's network is not the app."""
    swarm.first.docker("service", "create", "--detach", "--no-resolve-image", "--mode", "global", "--name", "stranger",
                       "--network", "docker-api-dozzle", "busybox", "sleep", "1000000")
    try:
        stranger = deployed.app(swarm.first, "stranger")
        assert "policy 'deny'" in stranger.docker("ps").stderr
    finally:
        swarm.first.docker("service", "rm", "stranger")


def answering(app: App, address: str) -> str:
    """The name of the node whose Engine answers the app there; '': nobody does."""
    said = app.run("curl", "--silent", "--max-time", "3", f"http://{address}:3277/info").stdout
    return json.loads(said).get("Name", said) if said else ""


def test_no_proxy_is_reached_from_another_node(swarm: Swarm, deployed: Deployment) -> None:
    """Neither by the address of its node nor by that of its container: another node may have the same address on its own bridge."""
    apps = {node.name: deployed.app(node) for node in swarm.nodes}
    proxies = {name: app.addresses("docker-socket-proxy") for name, app in apps.items()}
    for name, app in apps.items():  # the same question reaches the proxy of the own node
        assert [answering(app, address) for address in proxies[name]] == [name]
    pairs = [(node.name, address) for node in swarm.nodes for other in swarm.nodes if other is not node
             for address in (other.address, *proxies[other.name])]
    assert len(pairs) == 12
    with ThreadPoolExecutor(len(pairs)) as pool:
        answers = list(pool.map(lambda pair: answering(apps[pair[0]], pair[1]), pairs))
    assert [(pair, answer) for pair, answer in zip(pairs, answers, strict=True) if answer not in ("", pair[0])] == []


def test_a_policy_is_rolled_out_without_a_failed_request(swarm: Swarm, deployed: Deployment) -> None:
    """The new task of each node is healthy before the former one ends."""
    apps = [deployed.app(node) for node in swarm.nodes]
    former = deployed.config()
    with load(*apps) as counts:
        assert deployed.roll_out(WIDER) == "completed"
    assert counts["failed"] == 0 and counts["served"] > 100, counts
    assert deployed.config() != former
    for app in apps:
        assert "policy 'dozzle-actions'" in app.docker("network", "ls").stderr


def test_a_policy_that_does_not_start_is_rolled_back_without_a_failed_request(swarm: Swarm, deployed: Deployment) -> None:
    """The former task of the first node has never ended, and other nodes have not seen the new policy."""
    former = deployed.config()
    with load(*(deployed.app(node) for node in swarm.nodes)) as counts:
        assert deployed.roll_out(BROKEN) == "rollback_completed"
    assert counts["failed"] == 0 and counts["served"] > 100, counts
    assert deployed.config() == former


def test_a_policy_that_is_not_healthy_is_rolled_back(swarm: Swarm, deployed: Deployment) -> None:
    """The proxy starts and cannot reach the Engine."""
    former = deployed.config()
    assert deployed.roll_out(DEAF) == "rollback_completed"
    assert deployed.config() == former
    for node in swarm.nodes:
        eventually(lambda: len(healthy(node)) == 1, deployed.tasks)
        assert deployed.app(node).docker("ps").returncode == 0


def test_the_commands_of_the_page_are_those_of_the_files() -> None:
    """What is tested are the heads of the files; what people paste is the page."""
    page = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/swarm.md").read_text(), re.MULTILINE | re.DOTALL)
    blocks = [re.sub(r" +#.*", "", block).splitlines() for block in page]
    heads = {name: commands_of(FILES / name) for name in ("stack.yml", "apps.yml", "managers.yml", "keys.yml")}
    assert all(heads.values())
    assert blocks[0] == heads["stack.yml"] + heads["apps.yml"]
    assert blocks[1:3] == [heads["managers.yml"], heads["keys.yml"]]


def test_keys_and_certificates_are_secrets() -> None:
    """Whoever may read configs of the swarm reads policies alone."""
    stacks = {file.name: yaml.safe_load(file.read_text()) for file in FILES.glob("*.yml")}
    assert {name for stack in stacks.values() for name in stack.get("configs", {})} == {"policy"}
    assert {name for stack in stacks.values() for name in stack.get("secrets", {})} == {"key", "certificate", "authority", "keys"}


def test_nothing_is_published() -> None:
    """A port of a node would be open to whoever reaches the node."""
    for name in ("stack.yml", "managers.yml", "keys.yml"):
        for service in yaml.safe_load((FILES / name).read_text())["services"].values():
            assert "ports" not in service


def test_apps_of_all_nodes_use_the_managers_with_a_certificate(swarm: Swarm, deployed: Deployment) -> None:
    """managers.yml as pasted: by an overlay network and TLS, and not without a certificate."""
    deployed.paste("managers.yml")
    swarm.first.docker("service", "create", "--detach", "--no-resolve-image", "--mode", "global", "--name", "remote",
                       "--endpoint-mode", "dnsrr", "--network", "docker-api-managers", "busybox", "sleep", "1000000")
    app = deployed.app(swarm.nodes[1], "remote")
    where = {"address": "tcp://docker-socket-proxy-managers:3277", "DOCKER_TLS_VERIFY": "1"}
    own = {**where, "DOCKER_CERT_PATH": str(deployed.folder / "certs/traefik")}
    eventually(lambda: len(app.addresses("docker-socket-proxy-managers")) == 3, lambda: deployed.tasks(MANAGERS))
    eventually(lambda: MANAGERS in app.docker("service", "ls", **own).stdout, lambda: app.docker("service", "ls", **own).stderr)
    assert "policy 'traefik-swarm'" in app.docker("ps", **own).stderr
    (deployed.folder / "nobody").mkdir()
    shutil.copy(deployed.folder / "certs/ca.pem", deployed.folder / "nobody")
    refused = app.docker("service", "ls", **where, DOCKER_CERT_PATH=str(deployed.folder / "nobody"))
    assert refused.returncode != 0
    swarm.first.docker("service", "rm", MANAGERS)
    with_keys(app, deployed)
    swarm.first.docker("service", "rm", "remote", MANAGERS)


def with_keys(app: App, deployed: Deployment) -> None:
    """keys.yml as pasted, in the shell of managers.yml: who is served by the key of a secret, and who is not."""
    exports = [command for command in commands_of(deployed.folder / "managers.yml") if command.startswith("export ")]
    deployed.shell("\n".join([*exports, *commands_of(deployed.folder / "keys.yml")]), deployed.swarm.first)
    certs = deployed.folder / "certs"

    def status(client: str, *more: str) -> str:
        return app.run("curl", "--silent", "--max-time", "10", "--cacert", str(certs / "ca.pem"), "--cert", str(certs / client / "cert.pem"),
                       "--key", str(certs / client / "key.pem"), "--output", "/dev/null", "--write-out", "%{http_code}", *more,
                       "https://docker-socket-proxy-managers:3277/services").stdout

    key = "X-Api-Key: " + (deployed.folder / "ci.key").read_text().strip()
    eventually(lambda: status("ci", "--header", key) == "200", lambda: deployed.tasks(MANAGERS))
    assert status("ci") == "401"
    assert status("ci", "--header", "X-Api-Key: another one with many letters") == "401"
    assert status("traefik") == "200", "its certificate is enough"


def test_a_lost_node_changes_nothing_for_the_others(swarm: Swarm, deployed: Deployment) -> None:
    """Its Engine is killed, with all its containers; a policy is still rolled out on the nodes that are left."""
    lost = swarm.nodes[2]
    left = swarm.nodes[:2]
    with load(*(deployed.app(node) for node in left)) as counts:
        lost.engine.kill()
        eventually(lambda: "Down" in swarm.first.docker("node", "ls", "--format", "{{.Status}}"), "the swarm has not noticed")
        assert deployed.roll_out(POLICY + "# another file\n") == "completed"
    assert counts["failed"] == 0 and counts["served"] > 100, counts
    # What a killed Engine 20.10 leaves of the bridges of nodes makes it refuse tasks: docs/swarm.md.
    (lost.engine.folder / "data/network/files/local-kv.db").unlink()
    lost.start()
    eventually(lambda: len(healthy(lost)) == 1, deployed.tasks)
    assert deployed.app(lost).docker("info", "--format", "{{.Name}}").stdout.strip() == lost.name
