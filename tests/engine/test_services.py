"""Services of a swarm of one node under a policy with constraints: what their tasks got.

Each trick is a service that the Engine itself takes: the containers of these controls show what the
proxy keeps out. They are started together, as a task takes half a second.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import Containers, Target, eventually
from engine import IMAGE, Engine
from inside import JSON, SECRET, Host, Maker, refusal
from inside import host, maker, proxies, under  # fixtures
from wire import Response

NAMES = {"secret": "admin-secret", "config": "admin-config"}


def spec(container: dict, task: dict | None = None, **more) -> dict:
    """A service of one task that sleeps."""
    return {"Name": f"inside-{uuid.uuid4().hex[:12]}", "Mode": {"Replicated": {"Replicas": 1}}, **more, "TaskTemplate": {
        "RestartPolicy": {"Condition": "none"}, **(task or {}),
        "ContainerSpec": {"Image": IMAGE, "Command": ["sleep", "3600"], "StopGracePeriod": 1, **container}}}


@dataclass
class Swarm:
    """The Engine's own socket, past the proxy."""

    containers: Containers
    objects: dict[str, str]  # id by kind

    def call(self, method: str, path: str, body: dict | None = None, status: int = 200):
        response = self.containers.call(method, path, body)
        assert response.status == status, response
        return response.json() if response.body else None

    def create(self, body: dict) -> str:
        return self.call("POST", "/services/create", body, 201)["ID"]

    def service(self, service: str) -> dict:
        return self.call("GET", f"/services/{service}")

    def exists(self, name: str) -> bool:
        return any(one["Spec"]["Name"] == name for one in self.call("GET", "/services"))

    def task(self, service: str) -> dict:
        """The container of the task, once it runs."""
        found: list[str] = []

        def runs() -> bool:
            for task in self.call("GET", f"/tasks?filters={quote(json.dumps({'service': [service]}))}"):
                status = task["Status"]
                assert status["State"] not in ("rejected", "failed"), status
                if status["State"] in ("running", "complete"):
                    found.append(status["ContainerStatus"]["ContainerID"])
            return bool(found)

        eventually(runs, "the task does not run")
        return self.call("GET", f"/containers/{found[0]}/json")


@pytest.fixture(scope="module")
def swarm(engine: Engine) -> Iterator[Swarm]:
    one = Swarm(Containers(engine), {})
    one.call("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"})
    try:
        for kind, name in NAMES.items():
            body = {"Name": name, "Data": base64.b64encode(SECRET).decode()}
            one.objects[kind] = one.call("POST", f"/{kind}s/create", body, 201)["ID"]
        yield one
    finally:
        for service in one.call("GET", "/services"):
            one.call("DELETE", f"/services/{service['ID']}")
        one.call("POST", "/swarm/leave?force=1")


def secret(swarm: Swarm, name: str = NAMES["secret"]) -> dict:
    return {"SecretID": swarm.objects["secret"], "SecretName": name,
            "File": {"Name": "s", "UID": "0", "GID": "0", "Mode": 292}}


def config(swarm: Swarm, name: str = NAMES["config"]) -> dict:
    return {"ConfigID": swarm.objects["config"], "ConfigName": name,
            "File": {"Name": "/c", "UID": "0", "GID": "0", "Mode": 292}}


def volume(options: dict, driver: str = "") -> dict:
    return {"Mounts": [{"Type": "volume", "Source": f"inside-{uuid.uuid4().hex[:12]}", "Target": "/h", "VolumeOptions": {
        "DriverConfig": {**({"Name": driver} if driver else {}), "Options": options}}}]}


@dataclass(frozen=True)
class Trick:
    """What a service asks for, the pointer of the reason, a policy under which it stays a trick, and
    what is seen: a file that the task has, or a member of its HostConfig. Several share a task."""

    body: dict
    pointer: str
    file: str = ""
    member: str = ""
    value: object = None
    create: str = "{}"
    task: str = ""  # the name of the trick whose task shows it


def tricks(swarm: Swarm, host: Host) -> dict[str, Trick]:
    at = "/TaskTemplate/ContainerSpec"
    options = f"{at}/Mounts/0/VolumeOptions/DriverConfig/Options/type"
    together = spec({"Secrets": [secret(swarm)], "Configs": [config(swarm)], "CapabilityAdd": ["sys_admin"]},
                    EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8199, "PublishMode": "host"}]})
    upward = {"Type": "bind", "Source": f"{host.open}/{{{{index .Service.Labels `p`}}}}", "Target": "/h"}
    return {
        "bind": Trick(spec({"mounts": [{"tYPE": "bind", "source": str(host.root), "tarGET": "/h"}]}),
                      f"{at}/mounts/0/Source", file="/h/secret"),
        "template": Trick(spec({"Mounts": [upward]}, Labels={"p": ".."}),
                          f"{at}/Mounts/0/Source", file="/h/secret", create=f"{{bind_sources: [{host.open}]}}"),
        "volume of a folder": Trick(spec(volume({"type": "none", "o": "bind", "device": str(host.root)}, "local")),
                                    options, file="/h/secret"),
        "volume without a driver": Trick(
            spec(volume({"type": "overlay", "o": f"lowerdir={host.root}/ci-evil:{host.root}/lower", "device": "overlay"})),
            options, file="/h/secret"),
        "volume of proc": Trick(spec(volume({"type": "proc", "device": "proc"})), options, file="/h/sys/kernel/core_pattern"),
        "volume of devices": Trick(spec(volume({"type": "devtmpfs", "device": "devtmpfs"})), options, file="/h/zero"),
        "secret": Trick(together, f"{at}/Secrets/0/SecretName", file="/run/secrets/s"),
        "config": Trick(together, f"{at}/Configs/0/ConfigName", file="/c", task="secret"),
        "capability": Trick(together, f"{at}/CapabilityAdd/0", member="CapAdd", value=["sys_admin"], task="secret"),
        "port": Trick(together, "/EndpointSpec/Ports/0", member="PortBindings", task="secret",
                      value={"80/tcp": [{"HostIp": "", "HostPort": "8199"}]}),
        "memory": Trick(together, "/TaskTemplate/Resources/Limits/MemoryBytes", member="Memory", value=0,
                        create="{require: {memory: 64m}}", task="secret"),
        "host": Trick(spec({}, {"Networks": [{"Target": "host"}]}), "/TaskTemplate/Networks/0/Target",
                      member="NetworkMode", value="host"),
    }


WHAT_IS_SEEN = {"/h/zero": bytes(20), "/h/sys/kernel/core_pattern": Path("/proc/sys/kernel/core_pattern").read_bytes()[:20]}


def head(maker: Maker, direct: Target, container: dict, path: str) -> bytes:
    """The first bytes of a file, as the task has it."""
    made = maker.exec(direct, container["Id"], {"AttachStdout": True, "Cmd": ["head", "-c", "20", path]})
    return maker.exec_output(made.json()["Id"])


NAMES_OF_TRICKS = list(tricks(Swarm(None, {"secret": "", "config": ""}), Host(Path("/"))))


@pytest.fixture(scope="module")
def prepared(swarm: Swarm, host: Host) -> dict[str, Trick]:
    return tricks(swarm, host)


@pytest.fixture(scope="module")
def controls(swarm: Swarm, prepared: dict[str, Trick]) -> dict[str, str]:
    """The id of each service, made past the proxy."""
    made = {name: swarm.create(trick.body) for name, trick in prepared.items() if not trick.task}
    return {name: made[trick.task or name] for name, trick in prepared.items()}


@pytest.mark.parametrize("name", NAMES_OF_TRICKS)
def test_a_trick_works_on_the_engine_and_not_through_the_proxy(under, maker, direct, swarm, prepared, controls, name):
    trick = prepared[name]
    container = swarm.task(controls[name])
    if trick.file:
        assert head(maker, direct, container, trick.file) == WHAT_IS_SEEN.get(trick.file, SECRET)
    elif trick.member:
        assert container["HostConfig"][trick.member] == trick.value
    body = {**trick.body, "Name": maker.name()}
    for path in ("/services/create", f"/services/{controls[name]}/update?version=1"):
        refusal(maker.post(under(trick.create), path, body), trick.pointer)
    assert not swarm.exists(body["Name"])
    assert swarm.service(controls[name])["Spec"]["Name"] == trick.body["Name"]


def test_what_the_policy_opens_reaches_the_task(under, maker, direct, swarm, host):
    """One service has them all; each of its words is one of the policy."""
    target = under(f"""{{bind_sources: [{host.open}], secrets: [admin-*], configs: [{NAMES['config']}], capabilities: [SYS_TIME],
      sysctls: [net.ipv4.ip_forward], user: ['1000'], groups: ['7'], publish: ['0.0.0.0:8198'], restart: ['no'],
      extra_hosts: ['db:*'], require: {{memory: 64m, cpus: 0.5, pids: 50, ulimits: {{nofile: 100}}}}}}""")
    body = spec({
        "Mounts": [{"Type": "bind", "Source": str(host.open), "Target": "/h"}], "Secrets": [secret(swarm)],
        "Configs": [config(swarm)], "CapabilityAdd": ["sys_time"], "Sysctls": {"net.ipv4.ip_forward": "1"},
        "User": "1000", "Groups": ["7"], "Hosts": ["10.0.0.1 db"], "Ulimits": [{"Name": "nofile", "Hard": 100, "Soft": 100}],
    }, {"Resources": {"Limits": {"MemoryBytes": 64 << 20, "NanoCPUs": 500000000, "Pids": 50}}},
        EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8198, "PublishMode": "host"}]})
    response = maker.post(target, "/services/create", body)
    assert response.status == 201, response
    container = swarm.task(response.json()["ID"])
    for path in ("/h/allowed", "/run/secrets/s", "/c"):
        assert head(maker, direct, container, path) == SECRET
    assert container["Config"]["User"] == "1000"
    got = container["HostConfig"]
    assert got["CapAdd"] == ["sys_time"] and got["Sysctls"] == {"net.ipv4.ip_forward": "1"}
    assert got["GroupAdd"] == ["7"] and got["ExtraHosts"] == ["db:10.0.0.1"]
    assert (got["Memory"], got["NanoCpus"], got["PidsLimit"]) == (64 << 20, 500000000, 50)
    assert got["Ulimits"] == [{"Name": "nofile", "Hard": 100, "Soft": 100}]


@pytest.mark.parametrize("reference", [secret, config])
def test_a_name_that_is_not_of_the_id(under, maker, swarm, reference):
    """The Engine refuses it: a list of names says which ones a task can read."""
    list_name = "Secrets" if reference is secret else "Configs"
    target = under("{secrets: [mine], configs: [mine]}")
    response = maker.post(target, "/services/create", spec({list_name: [reference(swarm, "mine")]}))
    assert response.status == 400 and "not found: mine" in response.json()["message"]
    service = swarm.create(spec({}, Mode={"Replicated": {"Replicas": 0}}))
    got = swarm.service(service)
    changed = spec({list_name: [reference(swarm, "mine")]}, Name=got["Spec"]["Name"])
    response = maker.post(target, f"/services/{service}/update?version={got['Version']['Index']}", changed)
    assert response.status == 400 and "not found: mine" in response.json()["message"]
    refusal(maker.post(target, "/services/create", spec({list_name: [reference(swarm)]})), "is not allowed")


def test_nothing_that_was_not_looked_at_comes_back(under, maker, direct, swarm):
    """A rollback takes the specification before, and not that of the body."""
    service = swarm.create(spec({"Env": ["A=1"]}, Mode={"Replicated": {"Replicas": 0}}))
    name = swarm.service(service)["Spec"]["Name"]

    def post(target: Target, query: str, value: str) -> Response:
        """The swarm itself may change the version of a service between the two requests."""
        body = spec({"Env": [value]}, Name=name, Mode={"Replicated": {"Replicas": 0}})
        while True:
            version = swarm.service(service)["Version"]["Index"]
            response = maker.post(target, f"/services/{service}/update?version={version}{query}", body)
            if b"out of sequence" not in response.body:
                return response

    def environment() -> list[str]:
        return swarm.service(service)["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]

    assert post(under(), "&registryAuthFrom=spec&rollback=none", "A=2").status == 200
    assert environment() == ["A=2"]
    refusal(post(under(), "&rollback=previous", "A=3"), "?rollback")
    assert environment() == ["A=2"]
    assert post(direct, "&rollback=previous", "A=3").status == 200  # the control
    assert environment() == ["A=1"]


def test_networks_of_services_by_id(under, maker, swarm):
    """A swarm takes the beginning of an id, of small letters and digits, for the network."""
    network = swarm.call("POST", "/networks/create", {"Name": "admin-net", "Driver": "overlay"}, 201)["Id"]
    target = under("{networks: ['*', '!admin-net']}")
    for reference in ("admin-net", network, network[:12]):
        refusal(maker.post(target, "/services/create", spec({}, {"Networks": [{"Target": reference}]})), "/TaskTemplate/Networks/0/Target")
    made = swarm.create(spec({}, {"Networks": [{"Target": network[:12]}]}, Mode={"Replicated": {"Replicas": 0}}))
    assert swarm.service(made)["Spec"]["TaskTemplate"]["Networks"] == [{"Target": network}]


def test_the_network_of_the_host_by_id(under, maker, swarm):
    """Its ids on the node and in the swarm, and their beginnings, stand for it."""
    def named(reference: str, task: bool) -> dict:
        networks = {"Networks": [{"Target": reference}]}
        return spec({}, networks if task else None, Mode={"Replicated": {"Replicas": 0}}, **({} if task else networks))

    def of_swarm(body: dict) -> str:
        found = swarm.service(swarm.create(body))["Spec"]
        return (found["TaskTemplate"].get("Networks") or found["Networks"])[0]["Target"]

    on_node = next(one["Id"] for one in swarm.call("GET", "/networks") if one["Name"] == "host")
    in_swarm = of_swarm(named("host", True))
    for reference in ("host", on_node, on_node[:12], in_swarm, in_swarm[:12]):
        for task, pointer in ((True, "/TaskTemplate/Networks/0/Target"), (False, ": /Networks/0/Target")):
            refusal(maker.post(under(), "/services/create", named(reference, task)), pointer)
            assert of_swarm(named(reference, task)) == in_swarm  # the control


def test_jobs_and_plugins(under, maker, swarm):
    job = {**spec({"Command": ["true"]}), "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}}
    assert maker.post(under(), "/services/create", job).status == 201
    plugin = {"Name": maker.name(), "Mode": {"Global": {}}, "TaskTemplate": {"Runtime": "plugin", "PluginSpec": {
        "Name": "p", "Remote": "127.0.0.1:1/p", "Privileges": [{"Name": "mount", "Value": ["/"]}]}}}
    refusal(maker.post(under(), "/services/create", plugin), "/TaskTemplate/Runtime", "/TaskTemplate/PluginSpec")
    assert not swarm.exists(plugin["Name"])
    control = swarm.call("POST", "/services/create", plugin, 500)
    assert "only supported in experimental" in control["message"]


def test_a_service_without_a_container(under, maker, swarm):
    """Nothing that a list would have to allow is left out: the Engine wants it."""
    body = {"Name": maker.name(), "TaskTemplate": {}}
    assert maker.post(under("{images: [busybox]}"), "/services/create", body).status in (400, 500)
    assert not swarm.exists(body["Name"])


def test_docker_service(cli, under, swarm, maker):
    """What the docker CLI sends passes the defaults."""
    target, name = under(), maker.name()
    cli.ok(target.docker_host, "service", "create", "--detach", "--no-resolve-image", "--replicas", "0", "--name", name,
           "--mount", "type=volume,source=v,target=/v", "--env", "A=1", "--label", "a=b", IMAGE, "sleep", "1")
    cli.ok(target.docker_host, "service", "update", "--detach", "--no-resolve-image", "--env-add", "B=2", name)
    assert sorted(swarm.service(name)["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]) == ["A=1", "B=2"]
    done = cli.run(target.docker_host, "service", "update", "--detach", "--rollback", name)
    assert done.status != 0 and b"?rollback" in done.err
    done = cli.run(target.docker_host, "service", "create", "--detach", "--mount", "type=bind,source=/,target=/x", IMAGE)
    assert done.status != 0 and b"/TaskTemplate/ContainerSpec/Mounts/0/Source" in done.err


def test_what_services_use(under, maker, swarm):
    """A secret and a config pass; a secret that a plugin would give does not."""
    for kind in ("secret", "config"):
        body = {"Name": maker.name(), "Data": base64.b64encode(SECRET).decode(), "Labels": {"a": "b"}}
        made = maker.post(under(), f"/{kind}s/create", body)
        assert made.status == 201, made
        got = swarm.call("GET", f"/{kind}s/{made.json()['ID']}")
        assert got["Spec"]["Labels"] == {"a": "b"}
        version = got["Version"]["Index"]
        labels = {"Name": body["Name"], "Labels": {"docker-socket-proxy.owner": "me"}}
        update = f"/{kind}s/{made.json()['ID']}/update?version={version}"
        refusal(maker.post(under(), update, labels), "/Labels/docker-socket-proxy.owner")
        swarm.call("POST", update, labels)  # the control
        swarm.call("DELETE", f"/{kind}s/{made.json()['ID']}", status=204)
    given = {"Name": maker.name(), "Driver": {}}
    refusal(maker.post(under(), "/secrets/create", given), "/Driver")
    # The control; the Engine would look for one with a name for a quarter of a minute.
    assert "driver must have a name" in swarm.call("POST", "/secrets/create", given, 400)["message"]


def test_the_swarm_itself(under, maker, swarm):
    """Who manages it decides what runs on its nodes."""
    body = {"Role": "manager", "Availability": "active", "Labels": {"a": "b"}}

    def update(target: Target) -> Response:
        """The swarm itself may change the version of a node between the two requests."""
        while True:
            node = swarm.call("GET", "/nodes")[0]
            response = maker.post(target, f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", body)
            if b"out of sequence" not in response.body:
                return response

    refusal(update(under()), "create.swarm")
    refusal(under().roundtrip("GET", "/swarm/unlockkey"), "create.swarm")
    for path_of in ("/swarm/leave?force=1", "/swarm/init", "/swarm/join", "/swarm/update?version=1", "/plugins/pull?remote=a/b",
                    "/plugins/a/enable", "/plugins/a/set"):
        refusal(maker.post(under(), path_of, {}), "is not allowed")
    assert swarm.call("GET", "/nodes")[0]["Spec"]["Labels"] == {}
    assert update(under("{swarm: true}")).status == 200
    assert swarm.call("GET", "/nodes")[0]["Spec"]["Labels"] == {"a": "b"}


def test_docker_service_in_a_network(cli, under, swarm, maker):
    """The docker CLI sends the id of the network that the user names; the policy has the name."""
    shop, bank, service = f"shop-{uuid.uuid4().hex}", f"bank-{uuid.uuid4().hex}", maker.name()
    ids = {name: swarm.call("POST", "/networks/create", {"Name": name, "Driver": "overlay"}, 201)["Id"]
           for name in (shop, bank)}
    target = under(f"{{networks: [{shop}]}}")
    command = ["service", "create", "--detach", "--no-resolve-image", "--replicas", "0"]
    cli.ok(target.docker_host, *command, "--network", shop, "--name", service, IMAGE, "sleep", "1")
    made = swarm.service(service)["Spec"]["TaskTemplate"]["Networks"]
    assert [one["Target"] for one in made] == [ids[shop]]
    refused = cli.run(target.docker_host, *command, "--network", bank, "--name", bank, IMAGE, "sleep", "1")
    assert refused.status != 0 and f"networks: [{shop}, {bank}]" in refused.err.decode(), refused
    assert not swarm.exists(bank)
    short = spec({}, {"Networks": [{"Target": ids[shop][:12]}]}, Mode={"Replicated": {"Replicas": 0}})
    answer = maker.post(target, "/services/create", short)
    assert answer.status == 201, answer
    assert swarm.service(answer.json()["ID"])["Spec"]["TaskTemplate"]["Networks"] == [{"Target": ids[shop]}]
