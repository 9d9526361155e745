"""Presets that look inside: bodies of real clients pass, and each dangerous field is refused.

tests/oracle/clients has bodies as clients sent them. The runners' are the same struct of Go, which sends every
field, with what the runners fill in: moby's container.Config and HostConfig, as act's docker_run.go and GitLab
Runner's docker executor set them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import NAMES, ROOT, Decision, explain, preset

WORKSPACE = "/srv/work"
CLIENTS = ROOT / "tests" / "oracle" / "clients"
CREATE = "POST /v1.43/containers/create"


def client(name: str) -> dict:
    """A body of a client."""
    return json.loads((CLIENTS / f"{name}.json").read_text())


def go(host: dict, **config: object) -> dict:
    """What a program of Go sends: every field of its structs."""
    body = client("docker-cli-20.10.C")
    body["HostConfig"] |= {"Binds": None, "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}, **host}
    return body | config


GITLAB = go({"Binds": ["runner-t1-project-7-concurrent-0-cache-3c3f:/cache", "runner-t1-project-7-builds:/builds"],
             "NetworkMode": "runner-t1-project-7-build", "LogConfig": {"Type": "json-file", "Config": None},
             "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "Links": ["0a1b2c-postgres:postgres"],
             "VolumesFrom": None, "ExtraHosts": ["db:10.0.0.7"]},
            Hostname="runner-t1", OpenStdin=True, StdinOnce=True, Cmd=["sh", "-c", "exec sh"],
            Labels={"com.gitlab.gitlab-runner.job.id": "1"})
ACT = go({"Binds": None, "NetworkMode": "act-job-network", "CapAdd": None, "UsernsMode": "", "AutoRemove": True,
          "Mounts": [{"Type": "volume", "Source": "act-toolcache", "Target": "/opt/hostedtoolcache"},
                     {"Type": "volume", "Source": "act-job-env", "Target": "/var/run/act"},
                     {"Type": "volume", "Source": "act-job", "Target": "/srv/project"}]},
         Entrypoint=["tail", "-f", "/dev/null"], WorkingDir="/srv/project",
         NetworkingConfig={"EndpointsConfig": {"act-job-network": {"Aliases": ["job"]}}})
LIMITS = {"Memory": 2 << 30, "NanoCpus": 2 * 10**9, "PidsLimit": 512}
AGENT = go({"Binds": [f"{WORKSPACE}:/work"], "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            **LIMITS})
VSCODE = go({"Mounts": [{"Type": "bind", "Source": WORKSPACE, "Target": "/workspaces/app", "Consistency": "cached"},
                        {"Type": "volume", "Source": "vscode", "Target": "/vscode"}], "Binds": None})

SENT = [
    ("gitlab-runner", GITLAB), ("act-runner", ACT), ("forgejo-runner", ACT), ("agent", AGENT), ("devcontainer", VSCODE),
    ("ci-runner", GITLAB), ("ci-runner", client("docker-cli-28.C")), ("devcontainer", client("docker-cli-20.10.C")),
    ("testcontainers", client("testcontainers-java.C")), ("testcontainers", client("testcontainers-node.C")),
    ("compose", client("compose-1.C")), ("compose", client("compose-2.C")), ("compose-project", client("compose-2.C")),
]

# By what they would give: each in every preset, over a body that passes.
DANGEROUS = {
    "the host": {"Binds": ["/:/host"]},
    "the host, as a mount": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
    "beside the workspace": {"Binds": [f"{WORKSPACE}-other:/x"]},
    "above the workspace": {"Binds": ["/srv:/x"]},
    "the Engine's socket": {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]},
    "propagation": {"Binds": [f"{WORKSPACE}:/work:rshared"]},
    "privileges": {"Privileged": True},
    "capabilities": {"CapAdd": ["sys_admin"]},
    "devices": {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
    "the host's processes": {"PidMode": "host"},
    "the host's memory": {"IpcMode": "host"},
    "the host's name": {"UTSMode": "host"},
    "the host's users": {"UsernsMode": "host"},
    "the host's cgroups": {"CgroupnsMode": "host"},
    "the host's network": {"NetworkMode": "host"},
    "another's processes": {"PidMode": "container:db"},
    "another's network": {"NetworkMode": "container:db"},
    "another's volumes": {"VolumesFrom": ["db"]},
    "no seccomp": {"SecurityOpt": ["seccomp=unconfined"]},
    "no masks": {"MaskedPaths": []},
    "a runtime": {"Runtime": "other"},
    "a place in the cgroups": {"CgroupParent": "/system.slice"},
    "a disk": {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {
        "DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}}}]},
}
LOOKING = [name for name in NAMES if isinstance(preset(name).get("create"), dict)] + ["compose-project", "forgejo-runner"]


def judge(name: str, body: dict, folder: Path, *flags: str) -> Decision:
    """What becomes of a create."""
    file = folder / "body.json"
    file.write_text(json.dumps(body))
    return explain(name, CREATE, "--body", str(file), *flags)


@pytest.mark.parametrize(("name", "body"), SENT, ids=[f"{name}-{i}" for i, (name, _) in enumerate(SENT)])
def test_bodies_of_clients_pass(name: str, body: dict, tmp_path: Path) -> None:
    """A preset that stops its client sends people back to POLICY=open."""
    decision = judge(name, body, tmp_path, "--workspace", f"{WORKSPACE},/srv/web")
    assert decision.allowed, decision.text


def test_every_preset_that_looks_inside_has_a_body() -> None:
    """One without a client here could deny everything, and pass."""
    assert {name for name, _ in SENT} == set(LOOKING)


@pytest.mark.parametrize("name", LOOKING)
def test_what_is_dangerous_is_refused(name: str, tmp_path: Path) -> None:
    """A part of the host, or of another container, in each way that a body has."""
    body = next(body for of, body in SENT if of == name)
    passed = [what for what, host in DANGEROUS.items()
              if judge(name, {**body, "HostConfig": {**body["HostConfig"], **LIMITS, **host}}, tmp_path,
                       "--workspace", f"{WORKSPACE},/srv/web").allowed]
    assert passed == []


@pytest.mark.parametrize("name", LOOKING)
def test_binds_need_a_workspace(name: str, tmp_path: Path) -> None:
    """Only what WORKSPACE names, as it is; below it for compose alone, whose costs say so."""
    body = next(body for of, body in SENT if of == name)

    def decide(source: str, *flags: str) -> Decision:
        host = {**body["HostConfig"], **LIMITS, "Binds": [f"{source}:/x"], "Mounts": []}
        return judge(name, {**body, "HostConfig": host}, tmp_path, *flags)

    assert decide(WORKSPACE, "--workspace", WORKSPACE).allowed
    assert decide(f"{WORKSPACE}/below", "--workspace", WORKSPACE).allowed == name.startswith("compose")
    closed = decide(WORKSPACE)
    assert not closed.allowed
    assert "(create.bind_sources $WORKSPACE, which is not set)" in closed.text
    assert f"to allow it: set WORKSPACE={WORKSPACE}" in closed.text


def test_an_agents_container_has_limits(tmp_path: Path) -> None:
    """Memory, processors and processes, each, and none above the most."""
    for lacking in LIMITS:
        host = {**AGENT["HostConfig"], lacking: 0}
        assert not judge("agent", {**AGENT, "HostConfig": host}, tmp_path, "--workspace", WORKSPACE).allowed, lacking
        host[lacking] = LIMITS[lacking] * 10
        assert not judge("agent", {**AGENT, "HostConfig": host}, tmp_path, "--workspace", WORKSPACE).allowed, lacking


def test_advice_for_a_preset_is_not_to_edit_it(tmp_path: Path) -> None:
    """Nobody can write into a file that is compiled in."""
    host = {**AGENT["HostConfig"], "Privileged": True}
    text = judge("agent", {**AGENT, "HostConfig": host}, tmp_path, "--workspace", WORKSPACE).text
    assert "to allow it: copy 'create' from presets/agent.yaml:" in text
    assert "into a policy of your own that extends the preset, and set there: privileged: true" in text


def test_create_any_is_the_way_back(tmp_path: Path) -> None:
    """docs/presets.md: the preset's rules alone."""
    file = tmp_path / "proxy.yaml"
    file.write_text("policies: {mine: {extends: [gitlab-runner], create: any, exec: any}}\n")
    host = {**GITLAB["HostConfig"], "Privileged": True, "Binds": ["/:/host"]}
    assert judge("mine", {**GITLAB, "HostConfig": host}, tmp_path, "-c", str(file)).allowed
