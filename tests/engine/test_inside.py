"""Bodies under a policy with constraints: what the Engine made of them, not only the status.

Every dangerous field is refused by the safe defaults and names its JSON pointer; where the policy
opens it, the container gets it. Every trick has a control run on the Engine's own socket, which
shows that the Engine would have done it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import docker
import proxy as program
import pytest
from client import COMMAND_SECONDS, docker_py
from conftest import Target
from engine import IMAGE, Engine
from inside import JSON, MIB, POLICY, SECRET, Host, Maker, quiet, refusal, shell
from inside import host, maker, proxies, under  # fixtures
from machine import DOCKER_COMPOSE
from wire import Response

requires_compose = pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")


# ── Every dangerous field of a create ───────────────────────────────────────────────────────────

# name of the field in HostConfig: its value, the pointer of the reason below /HostConfig, what opens it
FIELDS = {
    "Privileged": (True, "", "privileged: true"),
    "VolumeDriver": ("rogue", "", "volumes: any"),
    "CapAdd": (["SYS_ADMIN"], "/0", "capabilities: [SYS_ADMIN]"),
    "Devices": (
        [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}],
        "/0/PathOnHost", "devices: [/dev/kmsg]"),
    "DeviceCgroupRules": (["a *:* rwm"], "/0", "device_rules: ['a *:* rwm']"),
    "DeviceRequests": (
        [{"Driver": "cdi", "Count": 0, "DeviceIDs": ["a/b=c"], "Capabilities": [], "Options": {}}],
        "/0", "device_requests: true"),
    "PidMode": ("host", "", "namespaces: [pid=host]"),
    "UTSMode": ("host", "", "namespaces: [uts=host]"),
    "UsernsMode": ("host", "", "namespaces: [user=host]"),
    "CgroupnsMode": ("host", "", "namespaces: [cgroup=host]"),
    "CgroupParent": ("/dsp-tests", "", "cgroup_parent: [/dsp-tests]"),
    "Sysctls": ({"kernel.shm_rmid_forced": "1"}, "/kernel.shm_rmid_forced", "sysctls: ['kernel.shm_*']"),
    "MaskedPaths": ([], "", "masked_paths: true"),
    "ReadonlyPaths": ([], "", "masked_paths: true"),
    "OomScoreAdj": (-500, "", "priority: true"),
    "OomKillDisable": (True, "", "priority: true"),
    "Tmpfs": ({"/x": "size=1m,exec,suid"}, "/~1x", "tmpfs_options: [exec, suid, 'size=*']"),
    "PublishAllPorts": (True, "", "publish: any"),
    "ExtraHosts": (["evil:host-gateway"], "/0", "extra_hosts: ['*:host-gateway']"),
    "RestartPolicy": ({"Name": "always", "MaximumRetryCount": 0}, "/Name", "restart: ['no', always]"),
    "GroupAdd": (["4", "999"], "/0", "groups: ['4', '999']"),
}
# Where the defaults allow the field: a policy that is narrower.
NARROWER = {"ExtraHosts": "extra_hosts: none", "RestartPolicy": "restart: ['no', on-failure]"}


@pytest.mark.parametrize("name", FIELDS)
def test_a_dangerous_field_is_refused_until_the_policy_opens_it(under, maker, name):
    value, pointer, opens = FIELDS[name]
    body = quiet({name: value})
    response, refused = maker.create(under(f"{{{NARROWER.get(name, '')}}}"), body)
    refusal(response, f"/HostConfig/{name}{pointer}: ")
    assert not maker.exists(f"/containers/{refused}/json")
    made = maker.made(under(f"{{{opens}}}"), body)
    assert maker.container(made)["HostConfig"][name] == value


@dataclass(frozen=True)
class Seen:
    """A field whose effect is seen from inside: what opens it, the pointer, what a script says."""

    opens: str
    pointer: str
    host_config: dict
    script: str
    said: str


DEVICES = [{"PathOnHost": "/dev", "PathInContainer": "/dev", "CgroupPermissions": "rwm"}]
SEEN = {
    "capability": Seen("capabilities: [SYS_TIME]", "/CapAdd/0", {"CapAdd": ["sys_time"]},
                       "echo $((0x$(sed -n 's/CapEff:.//p' /proc/self/status) >> 25 & 1))", "1"),
    "folder of devices": Seen("devices: [/dev]", "/Devices/0/PathOnHost", {"Devices": DEVICES},
                              "test -c /dev/kmsg && echo there", "there"),
    "process namespace": Seen("namespaces: [pid=host, uts=host]", "/PidMode", {"PidMode": "host"},
                              "ps | grep -q '[d]ockerd --data-root' && echo seen", "seen"),
    "host name": Seen("", "/UTSMode", {"UTSMode": "host"}, "hostname", os.uname().nodename),
    "cgroup": Seen("cgroup_parent: [/dsp-tests]", "/CgroupParent", {"CgroupParent": "/dsp-tests"},
                   "grep -o -m 1 /dsp-tests /proc/self/cgroup", "/dsp-tests"),
    "sysctl": Seen("sysctls: [kernel.shm_rmid_forced]", "/Sysctls/kernel.shm_rmid_forced",
                   {"Sysctls": {"kernel.shm_rmid_forced": "1"}}, "cat /proc/sys/kernel/shm_rmid_forced", "1"),
    "masked paths": Seen("masked_paths: true", "/MaskedPaths", {"MaskedPaths": []},
                         "grep -c ' /proc/[a-z]* tmpfs' /proc/mounts", "0"),
    "tmpfs": Seen("tmpfs_options: [exec, suid, dev]", "/Tmpfs/~1x", {"Tmpfs": {"/x": "exec,suid,dev"}},
                  "sed -n 's:.* /x tmpfs ::p' /proc/mounts", "rw,relatime 0 0"),
    "group": Seen("groups: ['999']", "/GroupAdd/0", {"GroupAdd": ["999"]}, "id -G", "0 999"),
    "system calls": Seen("security_opt: [seccomp=unconfined]", "/SecurityOpt/0", {"SecurityOpt": ["seccomp:unconfined"]},
                         "sed -n 's/Seccomp:.//p' /proc/self/status", "0"),
}


def test_what_the_policy_opens_is_seen_from_inside(under, maker):
    """Each is refused by the defaults; one container has them all."""
    together: dict = {}
    for seen in SEEN.values():
        response, refused = maker.create(under(), quiet(seen.host_config))
        refusal(response, f"/HostConfig{seen.pointer}: ")
        assert not maker.exists(f"/containers/{refused}/json")
        together |= seen.host_config
    opened = under(f"{{{', '.join(seen.opens for seen in SEEN.values() if seen.opens)}}}")
    made = maker.made(opened, shell("; ".join(seen.script for seen in SEEN.values()), together))
    said = dict(zip(SEEN, maker.output(made).decode().splitlines(), strict=True))
    assert said == {name: seen.said for name, seen in SEEN.items()}


# A field of the configuration itself: body beside Image, what is refused under, the pointer, what opens it.
CONFIGURATION = {
    "user": ({"User": "0:0"}, "user: ['1000']", "/User", "user: ['0:*']"),
    "no user": ({}, "user: ['1000']", "/User", "user: any"),
    "environment": ({"Env": ["A=b", "LD_PRELOAD=/x"]}, "environment: ['!LD_*']", "/Env/1", "environment: any"),
    "labels": ({"Labels": {"traefik.enable": "true"}}, "labels: ['!traefik.*']", "/Labels/traefik.enable", ""),
    "reserved label": ({"Labels": {"docker-socket-proxy.owner": "me"}}, "", "/Labels/docker-socket-proxy.owner",
                       "labels: ['docker-socket-proxy.owner']"),
    "volume": ({"Volumes": {"/x": {}}}, "volumes: none", "/Volumes/~1x", "volumes: named"),
}


@pytest.mark.parametrize("name", CONFIGURATION)
def test_the_configuration_of_the_process_is_constrained(under, maker, name):
    more, closes, pointer, opens = CONFIGURATION[name]
    body = quiet({}, **more)
    response, refused = maker.create(under(f"{{{closes}}}"), body)
    refusal(response, f"{pointer}: ")
    assert not maker.exists(f"/containers/{refused}/json")
    got = maker.container(maker.made(under(f"{{{opens}}}"), body))["Config"]
    assert {key: got[key] for key in more} == more


def test_spellings_of_root(under, maker, direct):
    """The Engine takes them all for user 0, also where nothing is said."""
    policy, exec_policy = under("{user: ['!root', '!0', '!0:*']}"), under(exec="{user: ['!root', '!0', '!0:*']}")
    container = maker.containers.idle()
    for user in ("root", "0", "00", "+0", "-0", "0:5", "00:5", ""):
        refusal(maker.create(policy, quiet({}, User=user))[0], "/User: ")
        refusal(maker.exec(exec_policy, container, {"Cmd": ["id", "-u"], "User": user}), "/User: ")
        made = maker.exec(direct, container, {"Cmd": ["id", "-u"], "User": user, "AttachStdout": True})
        assert maker.exec_output(made.json()["Id"]) == b"0\n"
    maker.made(policy, quiet({}, User="1000:1000"))


def test_log_drivers_and_their_options(under, maker):
    safe = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert maker.container(maker.made(under(), quiet({"LogConfig": safe})))["HostConfig"]["LogConfig"] == safe
    away = {"Type": "syslog", "Config": {"syslog-address": "udp://127.0.0.1:1"}}
    refusal(maker.create(under(), quiet({"LogConfig": away}))[0], "/HostConfig/LogConfig/Type: ",
            "/HostConfig/LogConfig/Config/syslog-address: ")
    opened = under("{log_drivers: [syslog], log_options: [syslog-address]}")
    assert maker.container(maker.made(opened, quiet({"LogConfig": away})))["HostConfig"]["LogConfig"] == away


def test_what_another_container_has(under, maker, host):
    """Its namespaces and volumes are refused, also where everything else of the kind is allowed."""
    body = {"NetworkMode": "none", "IpcMode": "shareable", "Binds": [f"{host.root}:/of-another"]}
    other = maker.containers.create("sleep", "3600", HostConfig=body)
    value = {name: f"container:{other}" for name in ("PidMode", "IpcMode", "NetworkMode")} | {"VolumesFrom": [other]}
    for name, one in value.items():
        response, refused = maker.create(under("{networks: ['*', '!x'], volumes: any}"), quiet({name: one}))
        refusal(response, f"/HostConfig/{name}")
        assert not maker.exists(f"/containers/{refused}/json")
    opened = under("{namespaces: ['pid=container:*', 'ipc=container:*'], networks: ['container:*'], volumes_from: any}")
    made = maker.made(opened, shell("ps | grep -q '[s]leep 3600' && cat /of-another/secret", value))
    assert maker.output(made) == SECRET
    got = maker.container(made)["HostConfig"]
    assert {name: got[name] for name in value} == value


def test_links(under, maker):
    other = maker.containers.sleeping()
    body = quiet({"NetworkMode": "default", "Links": [f"{other}:db"]})
    refusal(maker.create(under(), body)[0], "/HostConfig/Links/0: ")
    assert maker.container(maker.made(under("{links: ['*:db']}"), body))["HostConfig"]["Links"]


# What this Engine does not take, or only with hardware: the proxy refuses it, and passes it on where it is open.
REJECTED = {
    "runtime": ({"Runtime": "io.containerd.evil.v1"}, "/Runtime", "runtime: [io.containerd.evil.v1]"),
    "image mount": ({"Mounts": [{"Type": "image", "Source": "other", "Target": "/x"}]}, "/Mounts/0/Source", "images: [other, 'busybox:*']"),
    "storage": ({"StorageOpt": {"dm.evil": "1"}}, "/StorageOpt/dm.evil", "storage_options: ['dm.*']"),
    "real time": ({"CpuRealtimePeriod": 1000000, "CpuRealtimeRuntime": 950000}, "/CpuRealtimeRuntime", "priority: true"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_the_engine_rejects_is_refused_too(under, maker, direct, name):
    host_config, pointer, opens = REJECTED[name]
    closes = "images: [busybox]" if name == "image mount" else ""
    refusal(maker.create(under(f"{{{closes}}}"), quiet(host_config))[0], f"/HostConfig{pointer}: ")
    through, _ = maker.create(under(f"{{{opens}}}"), quiet(host_config))
    beside, _ = maker.create(direct, quiet(host_config))
    assert through.status == beside.status
    assert through.json().get("message") == beside.json().get("message")


@pytest.mark.parametrize("field_name", ["Annotations", "Capabilities"])
def test_fields_of_other_engines(under, maker, field_name):
    """This Engine does not know them; others do what they say."""
    value = {"run.oci.hooks": "x"} if field_name == "Annotations" else ["ALL"]
    refusal(maker.create(under("{unknown: allow}"), quiet({field_name: value}))[0],
            f"/HostConfig/{field_name}/")
    opens = "annotations: ['run.*']" if field_name == "Annotations" else "capabilities: [ALL]"
    maker.made(under(f"{{{opens}}}"), quiet({field_name: value}))


# ── Spellings of a whole body ───────────────────────────────────────────────────────────────────


def raw(members: str | bytes) -> bytes:
    """A create whose further members are sent as they are given."""
    text = members if isinstance(members, bytes) else members.encode()
    return b'{"Image":"busybox","Cmd":["true"],' + text + b"}"


@dataclass(frozen=True)
class Trick:
    body: bytes
    reason: str
    got: Callable[[dict], object]
    create: str = "{}"
    fields: dict = field(default_factory=dict)
    until: tuple[int, int] = (9, 99)  # Engines of this API and later do not fall for it


def privileged(container: dict) -> bool:
    return container["HostConfig"]["Privileged"]


def of_host(container: dict) -> bool:
    return container["HostConfig"]["NetworkMode"] == "host"


SEPARATE = (1, 47)  # from Engine 27 on, HostConfig is read in its own place only
ONE_DOCUMENT = (1, 42)  # from Engine 23 on, nothing may follow a body
DEEP = b'"x":' + b"[" * 100 + b"]" * 100
TRICKS = {
    "top level": Trick(raw('"Privileged":true'), "/Privileged: ", privileged, until=SEPARATE),
    "top level, fields not known allowed": Trick(
        raw('"Privileged":true'), "/Privileged: belongs into HostConfig", privileged, "{unknown: allow}",
        until=SEPARATE),
    "top level in another case": Trick(
        raw('"pRIVILEGED":true'), "/pRIVILEGED: belongs into HostConfig", privileged, "{unknown: allow}",
        until=SEPARATE),
    "top level beside null": Trick(raw('"HostConfig":null,"Binds":["/:/x"]'), "/Binds: ",
                                   lambda c: c["HostConfig"]["Binds"] == ["/:/x"], until=SEPARATE),
    "top level beside an object": Trick(raw('"HostConfig":{},"VolumeDriver":"rogue"'), "/VolumeDriver: ",
                                        lambda c: c["HostConfig"]["VolumeDriver"] == "rogue", "{unknown: allow}",
                                        until=SEPARATE),
    "another case": Trick(raw('"hostconfig":{"pRIVILEGED":true}'), "/hostconfig/pRIVILEGED: ", privileged),
    "long s": Trick(raw('"Ho\u017ftConfig":{"Privileged":true}'), "ASCII", privileged),
    "long s, escaped": Trick(raw(r'"Ho\u017ftConfig":{"Privileged":true}'), "ASCII", privileged),
    "Kelvin sign": Trick(raw('"HostConfig":{"Networ\u212aMode":"host"}'), "ASCII", of_host),
    "escaped letter": Trick(raw(r'"HostConfig":{"\u0050rivileged":true}'), "/HostConfig/Privileged: ", privileged),
    "two objects": Trick(raw('"HostConfig":{"Privileged":true},"hostconfig":{"NetworkMode":"none"}'),
                         "equal", privileged),
    "two equal names": Trick(raw('"HostConfig":{"Privileged":true},"HostConfig":{}'),
                             "equal", privileged),
    "null after true": Trick(raw('"HostConfig":{"Privileged":true,"Privileged":null}'),
                             "equal", privileged),
    "elements used again": Trick(
        raw('"HostConfig":{"Mounts":[{"Type":"bind","Source":"/","Target":"/a"}],"mounts":[{"Target":"/zz"}]}'),
        "equal", lambda c: [m["Source"] for m in c["HostConfig"]["Mounts"]] == ["/"]),
    "maps merged": Trick(raw('"Labels":{"a":"b"},"labels":{"docker-socket-proxy.owner":"me"}'),
                         "equal", lambda c: len(c["Config"]["Labels"]) == 2),
    "something behind": Trick(raw('"HostConfig":{"Privileged":true}') + b'{"Image":"x"}', "something follows", privileged,
                              until=ONE_DOCUMENT),
    "not UTF-8": Trick(raw(b'"HostConfig":{"Privileged":true},"Hostname":"a\xff"'), "UTF-8", privileged),
    "lone surrogate": Trick(raw(r'"HostConfig":{"Privileged":true},"Domainname":"\ud800"'), "surrogate", privileged),
    "deep": Trick(raw(b'"HostConfig":{"Privileged":true,' + DEEP + b"}"), "deeper than 64", privileged),
    "encoding": Trick(raw('"HostConfig":{"Privileged":true}'), "Content-Encoding", privileged,
                      fields={"Content-Encoding": "gzip"}),
    "character set": Trick(raw('"HostConfig":{"Privileged":true}'), "/HostConfig/Privileged: ", privileged,
                           fields={"Content-Type": "Application/JSON; charset=utf-16"}),
}


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_works_on_the_engine_and_not_through_the_proxy(under, maker, direct, engine, name):
    trick = TRICKS[name]
    response, refused = maker.create(under(trick.create), trick.body, fields=trick.fields)
    refusal(response, trick.reason)
    assert not maker.exists(f"/containers/{refused}/json")
    control, made = maker.create(direct, trick.body, fields=trick.fields)
    assert (control.status == 201 and trick.got(maker.container(made))) == (engine.api < trick.until), control


def test_chunks_hide_nothing(under, maker, direct):
    """In chunks of one byte, with extensions and trailers."""
    body = raw('"HostConfig":{"Privileged":true}')
    pieces = b"".join(b"1;x=y\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))
    for target in (under(), direct):
        name = maker.name()
        fields = {**JSON, "Transfer-Encoding": "chunked"}
        response = target.roundtrip(
            "POST", f"/containers/create?name={name}", fields, pieces + b"0\r\nA: b\r\n\r\n")
        maker.containers.made.append(name)
        if target is direct:
            assert response.status == 201 and privileged(maker.container(name))
        else:
            refusal(response, "/HostConfig/Privileged: ")
            assert not maker.exists(f"/containers/{name}/json")


@pytest.mark.parametrize("fields", [{"Content-Length": "0"}, {"Transfer-Encoding": "chunked"}])
def test_no_body_is_no_way_around(under, maker, fields):
    """What was judged is a document, and nothing else."""
    end = b"0\r\n\r\n" if "Transfer-Encoding" in fields else None
    before = {v["Name"] for v in maker.get("/volumes")["Volumes"] or []}
    refused = under("{volumes: none}").roundtrip("POST", "/volumes/create", {**JSON, **fields}, end)
    refusal(refused, "body")
    assert {v["Name"] for v in maker.get("/volumes")["Volumes"] or []} == before


@pytest.mark.parametrize("fields", ["Content-Type: application/x-www-form-urlencoded", "Content-Type: text/plain",
                                    "Content-Type: application/json\r\nContent-Type: application/json", "X: y"])
def test_other_types_never_reach_the_engine(under, maker, fields):
    body, name = raw('"HostConfig":{"NetworkMode":"none"}'), maker.name()
    maker.containers.made.append(name)
    with under().connect() as connection:
        connection.send(f"POST /containers/create?name={name} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.response().status in (400, 403)
    assert not maker.exists(f"/containers/{name}/json")


@pytest.mark.parametrize("version", ["/v1.23", "/v01.023.0"])
def test_a_start_with_a_body(under, maker, direct, host, engine, version):
    """Engines from 25 on (API 1.44) serve nothing below 1.24."""
    body = {"Binds": [f"{host.root}:/x"], "CapAdd": ["NET_ADMIN"]}
    name = maker.made(direct, shell("ls /x", {}))
    path = f"{version}/containers/{name}/start"
    refusal(maker.post(under(), path, body), "container.start_with_config")
    assert not maker.container(name)["HostConfig"]["Binds"]
    if engine.api >= (1, 44):
        assert maker.post(direct, path, body).status == 400
        return
    assert maker.post(direct, path, body).status == 204
    assert maker.container(name)["HostConfig"]["Binds"] == body["Binds"]
    maker.containers.wait(name)
    assert b"secret\n" in maker.containers.logs(name)[1]


@pytest.mark.parametrize("version", ["/v1.23", "/v1.12", "/v1.023.0"])
def test_a_create_of_an_old_version(under, maker, direct, engine, version):
    refusal(maker.create(under(), quiet({}), version=version)[0], "before 1.24")
    assert maker.create(direct, quiet({}), version=version)[0].status == (201 if engine.api < (1, 44) else 400)


@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/containers/x/checkpoints"), ("POST", "/containers/x/start?checkpoint=a&checkpoint-dir=/etc"), ("PUT", "/volumes/x?version=1")])
def test_bodies_that_nobody_looks_into_are_refused(under, direct, method, path):
    """The Engine serves them, or says why it does not."""
    body = b'{"Name":"x","CheckpointID":"a","CheckpointDir":"/etc"}'
    refusal(under().roundtrip(method, path, JSON, body), "this version cannot look into")
    assert "policy" not in direct.roundtrip(method, path, JSON, body).body.decode()


# ── Folders of the host ─────────────────────────────────────────────────────────────────────────

INSIDE = ["{ci}", "{ci}/", "{ci}/sub", "{ci}/sub/"]
OUTSIDE = ["{root}", "{root}/", "{root}/ci-evil", "{ci}/..", "{ci}/../ci-evil", "{ci}/sub/../..", "{root}//ci-evil",
           "/{root}", "{ci}/../", "{ci}/./.."]


def binding(kind: str, source: str) -> dict:
    if kind == "Binds":
        return {"Binds": [f"{source}:/x"]}
    return {"Mounts": [{"Type": "bind", "Source": source, "Target": "/x"}]}


@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
@pytest.mark.parametrize("source", INSIDE)
def test_an_open_folder_is_read(under, maker, host, kind, source):
    body = quiet(binding(kind, source.format(root=host.root, ci=host.open)))
    refusal(maker.create(under(), body)[0], f"/HostConfig/{kind}/0")
    opened = under(f"{{bind_sources: [{host.open}]}}")
    assert maker.read(maker.made(opened, body), "/x/allowed") == SECRET


@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
@pytest.mark.parametrize("source", OUTSIDE)
def test_what_is_not_in_the_open_folder_is_not_read(under, maker, direct, host, kind, source):
    body = quiet(binding(kind, source.format(root=host.root, ci=host.open)))
    opened = under(f"{{bind_sources: [{host.open}]}}")
    response, refused = maker.create(opened, body)
    refusal(response, f"/HostConfig/{kind}/0")
    assert not maker.exists(f"/containers/{refused}/json")
    assert maker.read(maker.made(direct, body), "/x/secret") == SECRET


@pytest.mark.parametrize("source", ["~", "~/x", "ci", "./ci", "ci/sub", "../ci", ""])
def test_a_source_that_is_neither_a_path_nor_a_name(under, maker, host, source):
    """This Engine rejects most of them; `ci` is the name of a volume, and no folder."""
    opened = under(f"{{volumes: none, bind_sources: [{host.open}]}}")
    for kind in ("Binds", "Mounts"):
        refusal(maker.create(opened, quiet(binding(kind, source)))[0], f"/HostConfig/{kind}/0")


def test_a_bind_of_one_element_is_a_volume(under, maker):
    """The text is the target: nothing of the host is in it."""
    body = quiet({"Binds": ["/etc"]})
    refusal(maker.create(under("{volumes: none}"), body)[0], "/HostConfig/Binds/0")
    made = maker.made(under(), body)
    assert b"guest" in maker.read(made, "/etc/passwd")  # of the image, not of the host
    assert [m["Type"] for m in maker.container(made)["Mounts"]] == ["volume"]


@pytest.mark.parametrize("mount", [{"Source": "/", "Target": "/x"}, {"Type": "BIND", "Source": "/", "Target": "/x"},
                                   {"Type": "npipe", "Source": "/", "Target": "/x"}, {"Type": "cluster", "Target": "/x"},
                                   {"Type": None, "Source": "/", "Target": "/x"}, None])
def test_mounts_of_other_types(under, maker, mount):
    everything = under("{bind_sources: [/], volumes: any, unknown: allow}")
    refusal(maker.create(everything, quiet({"Mounts": [mount]}))[0], "/HostConfig/Mounts/0")


@pytest.mark.parametrize("propagation", ["shared", "rshared", "slave", "rslave"])
def test_propagation(under, maker, host, propagation):
    for host_config, pointer in (
        ({"Binds": [f"{host.open}:/x:ro,{propagation}"]}, "/HostConfig/Binds/0"),
        ({"Mounts": [{"Type": "bind", "Source": str(host.open), "Target": "/x",
                      "BindOptions": {"Propagation": propagation}}]}, "/HostConfig/Mounts/0/BindOptions/Propagation"),
    ):
        refusal(maker.create(under(f"{{bind_sources: [{host.open}]}}"), quiet(host_config))[0], f"{pointer}: ")
        opened = under(f"{{bind_sources: [{host.open}], propagation: true}}")
        mounts = maker.container(maker.made(opened, quiet(host_config)))["Mounts"]
        assert [m["Propagation"] for m in mounts] == [propagation]


def test_a_symlink_in_an_open_folder_leads_out_of_it(under, maker, host):
    """A limit that the documents name: the proxy sees no files, so that who can write there gets out."""
    body = shell("cat /x/secret", {"Binds": [f"{host.open}/out:/x"]})
    opened = under(f"{{bind_sources: [{host.open}]}}")
    assert maker.output(maker.made(opened, body)) == SECRET


def test_what_closes_that_way(under, maker, host):
    """Nobody writes a link, or nobody follows one."""
    folder = host.open
    read_only = under(f"{{bind_sources: [{folder}], writable_binds: false}}")
    mount = {"Type": "bind", "Source": str(folder), "Target": "/x"}
    for host_config in ({"Binds": [f"{folder}:/x"]}, {"Binds": [f"{folder}:/x:rw,z"]}, {"Mounts": [mount]},
                        {"Mounts": [mount | {"ReadOnly": False}]}):
        refusal(maker.create(read_only, quiet(host_config))[0], "/HostConfig/", "bind that is not read-only")
    for host_config in ({"Binds": [f"{folder}:/x:ro"]}, {"Mounts": [mount | {"ReadOnly": True}]}):
        made = maker.made(read_only, shell("ln -s / /x/way 2>/dev/null || echo refused", host_config))
        assert maker.output(made) == b"refused\n"
    named = under(f"{{bind_sources: [{folder}], bind_below: false}}")
    refusal(maker.create(named, quiet({"Binds": [f"{folder}/out:/x"]}))[0], "/HostConfig/Binds/0: ")
    assert maker.read(maker.made(named, quiet({"Binds": [f"{folder}/:/x"]})), "/x/allowed") == SECRET


SOCKETS = ["/var/run/docker.sock", "/run/docker.sock"]


@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
@pytest.mark.parametrize("source", SOCKETS)
def test_a_bind_of_the_engines_socket_becomes_one_of_the_proxys(under, maker, host, kind, source):
    """As Testcontainers' Ryuk and clients within containers ask for it."""
    own = host.root / "own.sock"
    with socket.socket(socket.AF_UNIX) as listener, contextlib.suppress(OSError):
        listener.bind(str(own))
    body = binding(kind, source)
    refusal(maker.create(under(), quiet(body))[0], f"/HostConfig/{kind}/0")
    made = maker.made(under(f"{{socket: 'unix://{own}'}}"), shell("stat -c %i /x", body))
    assert int(maker.output(made)) == own.stat().st_ino
    assert [mount["Source"] for mount in maker.container(made)["Mounts"]] == [str(own)]


@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
@pytest.mark.parametrize("source", ["/var/run//docker.sock", "/run/../run/docker.sock", "/run", "/var/run/", "/",
                                    "/proc/1/root/run/docker.sock", "/run/docker.sock/.", "/var/run/Docker.sock"])
def test_other_ways_to_the_engines_socket(under, maker, host, kind, source):
    own = under(f"{{socket: 'unix://{host.root}/own.sock', bind_sources: [{host.open}]}}")
    refusal(maker.create(own, quiet(binding(kind, source)))[0], f"/HostConfig/{kind}/0")


# ── Volumes ─────────────────────────────────────────────────────────────────────────────────────

# Options of the local driver that are folders, devices or kernel interfaces of the host, and what shows it.
DRIVER_OPTIONS = {
    "bind": ({"type": "none", "o": "bind", "device": "{root}"}, "/x/secret"),
    "rbind": ({"type": "", "o": "rbind,ro", "device": "{root}"}, "/x/secret"),
    "overlay": ({"type": "overlay", "o": "lowerdir={root}/ci-evil:{root}/lower", "device": "overlay"}, "/x/secret"),
    "proc": ({"type": "proc", "o": "", "device": "proc"}, "/x/sys/kernel/core_pattern"),
    "sysfs": ({"type": "sysfs", "o": "", "device": "sysfs"}, "/x/kernel"),
    "devtmpfs": ({"type": "devtmpfs", "o": "", "device": "x"}, "/x/kmsg"),
    "tmpfs": ({"type": "tmpfs", "o": "size=1m", "device": "tmpfs"}, "/x"),
    "ext4": ({"type": "ext4", "o": "ro", "device": "/dev/none"}, None),
    "nfs": ({"type": "nfs", "o": "addr=127.0.0.1", "device": ":/x"}, None),
}


def driver_options(name: str, host: Host) -> dict:
    return {key: value.format(root=host.root) for key, value in DRIVER_OPTIONS[name][0].items()}


def has_what_shows_it(maker: Maker, container: str, name: str) -> bool:
    """A file of the host, or of its kernel, is in the container; `None`: it needs a disk or a server."""
    path = DRIVER_OPTIONS[name][1]
    if path is None:
        return True
    return maker.containers.call("HEAD", f"/containers/{container}/archive?path={path}").status == 200


@pytest.mark.parametrize("name", DRIVER_OPTIONS)
def test_options_of_a_volume_made_beforehand(under, maker, direct, host, name):
    body = {"Name": maker.name(), "Driver": "local", "DriverOpts": driver_options(name, host)}
    pointers = ("/DriverOpts/type: ", "/DriverOpts/o: ", "/DriverOpts/device: ")
    refusal(maker.post(under(), "/volumes/create", body), *pointers)
    assert not maker.exists(f"/volumes/{body['Name']}")
    made = maker.post(under("{volumes: any}"), "/volumes/create", body)
    maker.leftovers.append(f"/volumes/{body['Name']}")
    assert made.status == 201
    assert maker.get(f"/volumes/{body['Name']}")["Options"] == body["DriverOpts"]
    container = maker.made(direct, quiet({"Binds": [f"{body['Name']}:/x"]}))
    assert has_what_shows_it(maker, container, name)


@pytest.mark.parametrize("name", DRIVER_OPTIONS)
def test_options_of_a_volume_made_with_the_container(under, maker, host, name):
    volume = maker.name()
    maker.leftovers.append(f"/volumes/{volume}")
    options = {"DriverConfig": {"Name": "local", "Options": driver_options(name, host)}}
    mount = {"Type": "volume", "Source": volume, "Target": "/x", "VolumeOptions": options}
    body = quiet({"Mounts": [mount]})
    pointer = "/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Options/"
    refusal(maker.create(under(), body)[0], f"{pointer}type: ", f"{pointer}device: ")
    assert not maker.exists(f"/volumes/{volume}")
    made = maker.made(under("{volumes: any}"), body)
    assert maker.get(f"/volumes/{volume}")["Options"] == options["DriverConfig"]["Options"]
    assert has_what_shows_it(maker, made, name)


@pytest.mark.parametrize("member", [{"Driver": "rogue"}, {"Driver": "LOCAL"}, {"ClusterVolumeSpec": {"Group": "a"}},
                                    {"Labels": {"docker-socket-proxy.owner": "me"}}, {"driveropts": {"DEVICE": "/"}},
                                    {"DriverOpts": {"device": None}}])
def test_other_members_of_a_volume(under, maker, member):
    body = {"Name": maker.name(), **member}
    refusal(maker.post(under(), "/volumes/create", body), f"/{next(iter(member))}")
    assert not maker.exists(f"/volumes/{body['Name']}")


def test_a_named_volume(under, maker):
    """Nothing of the host is in it: the defaults allow it, made beforehand and with the container."""
    name = maker.name()
    maker.leftovers.append(f"/volumes/{name}")
    assert maker.post(under(), "/volumes/create", {"Name": name, "Driver": "local", "DriverOpts": {}}).status == 201
    mount = {"Type": "volume", "Source": name, "Target": "/y", "VolumeOptions": {"DriverConfig": {"Name": "local"}}}
    body = shell("echo kept > /x/f; cat /y/f", {"Binds": [f"{name}:/x"], "Mounts": [mount]})
    assert maker.output(maker.made(under(), body)) == b"kept\n"
    refusal(maker.create(under("{volumes: none}"), body)[0], "/HostConfig/Binds/0", "/HostConfig/Mounts/0")


# ── Networks ────────────────────────────────────────────────────────────────────────────────────

NAMESPACE = "readlink /proc/self/ns/net"


def namespace_of(engine: Engine) -> bytes:
    """Of the Engine itself: what its containers see with the network `host`."""
    children = Path(f"/proc/{engine.process.pid}/task/{engine.process.pid}/children").read_text()
    return os.readlink(f"/proc/{children.split()[0]}/ns/net").encode() + b"\n"


def test_the_network_of_the_host(under, maker, engine):
    body = shell(NAMESPACE, {"NetworkMode": "host"})
    for create in ("{}", "{networks: any}", "{networks: ['*']}", "{networks: [bridge, none]}", "{networks: ['!x']}"):
        response, refused = maker.create(under(create), body)
        refusal(response, "/HostConfig/NetworkMode: ")
        assert not maker.exists(f"/containers/{refused}/json")
    assert maker.output(maker.made(under("{networks: [host]}"), body)) == namespace_of(engine)


@pytest.mark.parametrize("spelling", ["id", "prefix", "none, then an endpoint", "none, then an endpoint by id",
                                      "bridge, then an endpoint's id"])
def test_other_spellings_of_the_network_of_the_host(under, maker, direct, engine, spelling):
    """They name the network, and do not give its namespace; where networks are listed they are refused. Engine
    26.1 (API 1.45) still starts such a container, 28.5 does not."""
    of_the_host, own = maker.get("/networks/host")["Id"], maker.network()
    ends = {"none, then an endpoint": {"host": {}}, "none, then an endpoint by id": {of_the_host: {}},
            "bridge, then an endpoint's id": {own: {"NetworkID": of_the_host}}}.get(spelling, {})
    mode = {"id": of_the_host, "prefix": of_the_host[:12], "bridge, then an endpoint's id": own}.get(spelling, "none")
    body = shell(NAMESPACE, {"NetworkMode": mode}, NetworkingConfig={"EndpointsConfig": ends})
    response, refused = maker.create(under("{networks: ['inside-*']}"), body)
    refusal(response, "EndpointsConfig/" if ends else "/HostConfig/NetworkMode: ")
    assert not maker.exists(f"/containers/{refused}/json")
    control = maker.made(direct, body)
    if engine.api > (1, 45):
        assert maker.containers.call("POST", f"/containers/{control}/start").status == 400
    else:
        assert maker.output(control) not in (b"", namespace_of(engine))
        assert "host" in maker.container(control)["NetworkSettings"]["Networks"]


@pytest.mark.parametrize("mode", ["", "default", "bridge", None])
def test_no_network_is_the_bridge(under, maker, mode):
    """`default` and nothing are spellings of it."""
    body = quiet({"NetworkMode": mode})
    for sent in (body, {**body, "HostConfig": None}) if mode is None else (body,):
        refusal(maker.create(under("{networks: ['inside-*']}"), sent)[0], "/HostConfig/NetworkMode: network 'bridge'")
        made = maker.made(under("{networks: [bridge]}"), sent)
        assert maker.container(made)["HostConfig"]["NetworkMode"] in ("default", "bridge")


def test_networks_that_the_policy_lists(under, maker, direct):
    mine, other = maker.network(), maker.network()
    listed = under(f"{{networks: [{mine}]}}")
    made = maker.made(listed, quiet({"NetworkMode": mine}))
    assert list(maker.container(made)["NetworkSettings"]["Networks"]) == [mine]
    ends = {mine: {}, other: {}}
    for body, pointer in (
        (quiet({"NetworkMode": other}), "/HostConfig/NetworkMode: "),
        (quiet({"NetworkMode": maker.get(f"/networks/{mine}")["Id"]}), "/HostConfig/NetworkMode: "),
        (quiet({"NetworkMode": mine}, NetworkingConfig={"EndpointsConfig": ends}), f"/NetworkingConfig/EndpointsConfig/{other}: "),
    ):
        response, refused = maker.create(listed, body)
        refusal(response, pointer)
        assert not maker.exists(f"/containers/{refused}/json")
    connect = {"Container": made, "EndpointConfig": {}}
    refusal(maker.post(listed, f"/networks/{other}/connect", connect), f"network '{other}' is not allowed")
    assert list(maker.container(made)["NetworkSettings"]["Networks"]) == [mine]
    assert maker.post(under(), f"/networks/{other}/connect", connect).status == 200
    assert set(maker.container(made)["NetworkSettings"]["Networks"]) == {mine, other}


def test_an_endpoint_says_which_network_it_means(under, maker, direct):
    """The Engine goes by NetworkID where it is given, whatever the name."""
    mine, other = maker.network(), maker.network()
    ends = {mine: {"NetworkID": maker.get(f"/networks/{other}")["Id"]}}
    body = quiet({"NetworkMode": mine}, NetworkingConfig={"EndpointsConfig": ends})
    refusal(maker.create(under(f"{{networks: [{mine}]}}"), body)[0], f"/NetworkingConfig/EndpointsConfig/{mine}/NetworkID: ")
    made = maker.made(direct, body)
    maker.containers.start(made)
    assert other in maker.container(made)["NetworkSettings"]["Networks"]


def test_docker_under_a_list_of_networks(cli, under, maker):
    """It sends an endpoint with all its fields, most of them empty."""
    mine, second, other = maker.network(), maker.network(), maker.network()
    name, listed = maker.name(), under(f"{{networks: [{mine}, {second}]}}")
    maker.containers.made.append(name)
    cli.ok(listed.docker_host, "create", "--name", name, "--network", mine, "--network-alias", "a", "busybox", "true")
    cli.ok(listed.docker_host, "network", "connect", "--alias", "b", second, name)
    assert set(maker.container(name)["NetworkSettings"]["Networks"]) == {mine, second}
    for words in (["create", "--network", other, "busybox"], ["create", "busybox"], ["network", "connect", other, name]):
        refused = cli.run(listed.docker_host, *words)
        assert refused.status != 0 and b"is not allowed" in refused.err


@pytest.mark.parametrize("patterns", ["['!{name}']", "['*', '!{name}']", "[bridge, none]"])
def test_an_id_is_no_way_to_a_network_that_is_taken_away(under, maker, direct, patterns):
    name = maker.network()
    identity = maker.get(f"/networks/{name}")["Id"]
    policy = under(f"{{networks: {patterns.format(name=name)}}}")
    for spelling in (name, identity, identity[:12]):
        refusal(maker.create(policy, quiet({"NetworkMode": spelling}))[0], "/HostConfig/NetworkMode: ")
        ends = {"EndpointsConfig": {spelling: {}}}
        refusal(maker.create(policy, quiet({}, NetworkingConfig=ends))[0], f"/NetworkingConfig/EndpointsConfig/{spelling}: ")
        made = maker.made(direct, quiet({"NetworkMode": spelling}))
        assert list(maker.container(made)["NetworkSettings"]["Networks"])
        refusal(maker.post(policy, f"/networks/{spelling}/connect", {"Container": made}), "network")


SYSCTL = "net.ipv4.conf.IFNAME.log_martians=1"


@pytest.mark.parametrize("member", [{"Links": ["db:db"]}, {"DriverOpts": {"com.docker.network.endpoint.sysctls": SYSCTL}}])
def test_options_of_an_endpoint(under, maker, member):
    network, other = maker.network(), maker.containers.idle()
    opened = under("{links: any, endpoint_options: any}")
    if "Links" in member:
        member = {"Links": [f"{other}:db"]}
    ends = {"EndpointsConfig": {network: member}}
    key = next(iter(member))
    refusal(maker.create(under(), quiet({"NetworkMode": network}, NetworkingConfig=ends))[0],
            f"/NetworkingConfig/EndpointsConfig/{network}/{key}/")
    made = maker.made(opened, quiet({"NetworkMode": network}, NetworkingConfig=ends))
    assert maker.container(made)["NetworkSettings"]["Networks"][network][key] == member[key]
    second = maker.network()
    connect = {"Container": made, "EndpointConfig": member}
    refusal(maker.post(under(), f"/networks/{second}/connect", connect), f"/EndpointConfig/{key}/")
    assert maker.post(opened, f"/networks/{second}/connect", connect).status == 200
    assert maker.container(made)["NetworkSettings"]["Networks"][second][key] == member[key]


# Members of a network beside its name, the pointer of the reason, what opens them, what the Engine shows.
NETWORK_MEMBERS = {
    "macvlan": ({"Driver": "macvlan", "Options": {"parent": "{bridge}"}}, ["/Driver: ", "/Options/parent: "],
                "network_drivers: [macvlan], network_options: [parent]"),
    "ipvlan": ({"Driver": "ipvlan", "Options": {"parent": "{bridge}"}}, ["/Driver: ", "/Options/parent: "],
               "network_drivers: [ipvlan], network_options: [parent]"),
    "bridge name": ({"Options": {"com.docker.network.bridge.name": "dsp-x"}},
                    ["/Options/com.docker.network.bridge.name: "], "network_options: ['com.docker.network.bridge.*']"),
    "address": ({"Options": {"com.docker.network.bridge.host_binding_ipv4": "0.0.0.0"}},
                ["/Options/com.docker.network.bridge.host_binding_ipv4: "], "network_options: any"),
    "configuration": ({"ConfigOnly": True}, ["/ConfigOnly: "], "network_options: any"),
    "subnet": ({"IPAM": {"Driver": "default", "Options": None, "Config": [{"Subnet": "10.212.1.0/24"}]}},
               ["/IPAM/Config/0/Subnet: "], "subnets: [10.212.0.0/16]"),
    "label": ({"Labels": {"docker-socket-proxy.owner": "me"}}, ["/Labels/docker-socket-proxy.owner: "],
              "labels: ['docker-socket-proxy.*']"),
}


@pytest.mark.parametrize("name", NETWORK_MEMBERS)
def test_members_of_a_network(under, maker, name):
    member, pointers, opens = NETWORK_MEMBERS[name]
    network, bridge = maker.name(), f"dsp-{uuid.uuid4().hex[:8]}"
    maker.network(Options={"com.docker.network.bridge.name": bridge})
    body = {"Name": network, **json.loads(json.dumps(member).replace("{bridge}", bridge))}
    refusal(maker.post(under(), "/networks/create", body), *pointers)
    assert not maker.exists(f"/networks/{network}")
    response = maker.post(under(f"{{{opens}}}"), "/networks/create", body)
    maker.leftovers.insert(0, f"/networks/{network}")
    assert response.status == 201, response
    got = maker.get(f"/networks/{network}")
    assert {key: got[key] for key in member} == {key: body[key] for key in member}


@pytest.mark.parametrize("subnet", ["10.212.0.0/8", "10.212.0.0/1", "::ffff:10.212.0.0/100", "10.213.0.0/24", "169.254.169.0/24"])
def test_subnets_that_reach_further(under, maker, direct, engine, subnet):
    """The Engine cuts an address to its prefix: 10.212.0.0/1 is half of all addresses, which the host then sends there.
    From 25 on (API 1.44) it refuses what it would cut."""
    body = {"Name": maker.name(), "IPAM": {"Config": [{"Subnet": subnet}]}}
    refusal(maker.post(under("{subnets: [10.212.0.0/16]}"), "/networks/create", body), "/IPAM/Config/0/Subnet: ")
    assert not maker.exists(f"/networks/{body['Name']}")
    made = maker.post(direct, "/networks/create", body)
    maker.leftovers.append(f"/networks/{body['Name']}")
    if engine.api >= (1, 44) and subnet.startswith("10.212"):
        assert made.status == 400
    elif ":" not in subnet:
        assert maker.get(f"/networks/{made.json()['Id']}")["IPAM"]["Config"][0]["Subnet"] == subnet
    maker.containers.call("DELETE", f"/networks/{body['Name']}")


@pytest.mark.parametrize("member", [{"Ingress": True}, {"Scope": "swarm"}, {"ConfigFrom": {"Network": "x"}},
                                    {"IPAM": {"Driver": "rogue"}}, {"IPAM": {"Options": {"a": "b"}}}, {"Driver": "overlay"},
                                    {"Driver": "host"}, {"Driver": "rogue"}])
def test_members_of_a_network_that_stay_closed(under, maker, member):
    body = {"Name": maker.name(), **member}
    refusal(maker.post(under(), "/networks/create", body), f"/{next(iter(member))}")
    assert not maker.exists(f"/networks/{body['Name']}")


def test_a_name_with_a_slash_is_no_way_around(under, maker):
    """With links app/db is a container to the Engine, and a network may have such a name."""
    db, app, alone = maker.name(), maker.name(), {"NetworkMode": "none"}
    linked = maker.containers.create("sleep", "3600", HostConfig=alone)
    maker.containers.call("POST", f"/containers/{linked}/rename?name={db}")
    linking = maker.containers.create("sleep", "3600", HostConfig={**alone, "Links": [f"{db}:db"]})
    maker.containers.call("POST", f"/containers/{linking}/rename?name={app}")
    body = {"Cmd": ["true"], "Privileged": True}
    reason = "path: no body is looked into where a name has a slash"
    refusal(maker.exec(under(), f"{app}/db", body), reason)
    assert maker.container(linked)["ExecIDs"] is None
    assert maker.containers.call("POST", f"/containers/{app}/db/exec", body).status == 201
    limited = under("{require: {memory: 256m}}")
    update = {"Memory": 512 * MIB, "MemorySwap": 512 * MIB}
    refusal(maker.post(limited, f"/containers/{app}/db/update", update), reason)
    assert maker.containers.call("POST", f"/containers/{app}/db/update", update).status == 200
    network = maker.network(Name=f"{maker.name()}/x")
    connect = {"Container": maker.containers.sleeping(), "EndpointConfig": {}}
    refusal(maker.post(under("{networks: [bridge]}"), f"/networks/{network}/connect", connect), reason)
    assert maker.containers.call("POST", f"/networks/{network}/connect", connect).status == 200
    maker.containers.call("POST", f"/networks/{network}/disconnect", {**connect, "Force": True})


# ── Ports ───────────────────────────────────────────────────────────────────────────────────────


def with_ports(network: str, bindings: list[list | None], **more) -> dict:
    """Port 80 with the first list of bindings, 81 with the second, and so on."""
    ports = {f"{80 + at}/tcp": one for at, one in enumerate(bindings)}
    host_config = {"NetworkMode": network, "PortBindings": ports, **more}
    return {**quiet(host_config), "Cmd": ["sleep", "3600"], "ExposedPorts": {port: {} for port in ports}}


def on(*addresses: str) -> list[list | None]:
    return [[{"HostIp": address, "HostPort": ""}] for address in addresses]


def published(maker: Maker, name: str) -> list[set[str]]:
    """The addresses on which each port is."""
    maker.containers.start(name)
    ports = maker.container(name)["NetworkSettings"]["Ports"]
    return [{one["HostIp"] for one in ports[port] or []} for port in sorted(ports)]


LOCAL = ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1"]
# What is no address to the Engine is all addresses.
EVERYWHERE = ["", "0.0.0.0", "127.1", "127.0.0.1:x", "127.0.0.256", "127.00.0.1", "127.0.0.1 ", "localhost"]


def test_a_port_on_an_address_that_the_policy_lists(under, maker):
    body = with_ports(maker.network(), on(*LOCAL))
    refusal(maker.create(under(), body)[0], *(f"/HostConfig/PortBindings/{80 + at}~1tcp/0: " for at in range(len(LOCAL))))
    made = maker.made(under("{publish: ['127.0.0.1:*']}"), body)
    assert published(maker, made) == [{"127.0.0.1"}] * len(LOCAL)


def test_a_port_on_all_addresses(under, maker, direct):
    network = maker.network()
    for address in EVERYWHERE:
        response, refused = maker.create(under("{publish: ['127.*', 'l*']}"), with_ports(network, on(address)))
        refusal(response, "/HostConfig/PortBindings/80~1tcp/0: ")
        assert not maker.exists(f"/containers/{refused}/json")
    made = maker.made(direct, with_ports(network, on(*EVERYWHERE)))
    assert all("0.0.0.0" in addresses for addresses in published(maker, made))


def test_all_exposed_ports(under, maker, direct):
    network = maker.network()
    body = with_ports(network, [[]], PublishAllPorts=True)
    refusal(maker.create(under("{publish: ['127.0.0.1:*']}"), body)[0], "/HostConfig/PublishAllPorts: ")
    assert "0.0.0.0" in published(maker, maker.made(direct, body))[0]


@pytest.mark.parametrize("bindings", [None, [], [{}]])
def test_a_port_without_anything_said_of_it(under, maker, bindings):
    """Some Engines publish it on all addresses."""
    body = with_ports("none", [bindings])
    refusal(maker.create(under("{publish: ['127.0.0.1:*']}"), body)[0], "/HostConfig/PortBindings", "'0.0.0.0:0'")
    maker.made(under("{publish: ['0.0.0.0:0']}"), body)


# ── Spellings of words ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", ["SYS_TIME", "sys_time", "CAP_SYS_TIME", "cap_Sys_Time"])
def test_spellings_of_a_capability(under, maker, word):
    refusal(maker.create(under("{capabilities: [NET_ADMIN]}"), quiet({"CapAdd": [word]}))[0], "/HostConfig/CapAdd/0: ")
    made = maker.made(under("{capabilities: [cap_sys_time]}"), quiet({"CapAdd": [word]}))
    assert maker.container(made)["HostConfig"]["CapAdd"] == [word]


@pytest.mark.parametrize("word", ["ALL", "all", "All"])
def test_all_capabilities(under, maker, direct, word):
    body = quiet({"CapAdd": [word]})
    response, refused = maker.create(under("{capabilities: [SYS_ADMIN, NET_ADMIN]}"), body)
    refusal(response, "/HostConfig/CapAdd/0: ")
    assert not maker.exists(f"/containers/{refused}/json")
    assert maker.container(maker.made(direct, body))["HostConfig"]["CapAdd"]


@pytest.mark.parametrize("option", [
    "seccomp=unconfined", "seccomp:unconfined", "seccomp={}", "apparmor=unconfined", "apparmor:unconfined", "label=disable",
    "label:disable", "label=type:spc_t", "no-new-privileges=false", "no-new-privileges:false", "disable"])
def test_security_options(under, maker, direct, option):
    """Each is open in its own spelling, and in the other one."""
    body = quiet({"SecurityOpt": [option]})
    response, refused = maker.create(under("{security_opt: ['no-new-privileges*=true']}"), body)
    refusal(response, "/HostConfig/SecurityOpt/0: ")
    assert not maker.exists(f"/containers/{refused}/json")
    control, _ = maker.create(direct, body)
    opened, _ = maker.create(under(f"{{security_opt: ['{option.replace(':', '=', 1) if '=' not in option else option}']}}"), body)
    assert opened.status == control.status


@pytest.mark.parametrize("option", ["systempaths=unconfined", "writable-cgroups=true"])
def test_security_options_of_other_engines(under, maker, option):
    refusal(maker.create(under(), quiet({"SecurityOpt": [option]}))[0], "/HostConfig/SecurityOpt/0: ")


@pytest.mark.parametrize("option", ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])
def test_the_harmless_security_option(under, maker, option):
    made = maker.made(under(), quiet({"SecurityOpt": [option]}))
    assert maker.container(made)["HostConfig"]["SecurityOpt"] == [option]


@pytest.mark.parametrize("mode", ["host", "shareable", "HOST", "container:x"])
@pytest.mark.parametrize("name", ["IpcMode", "PidMode", "UTSMode", "UsernsMode", "CgroupnsMode", "Cgroup"])
def test_modes_of_namespaces(under, maker, name, mode):
    refusal(maker.create(under(), quiet({name: mode}))[0], f"/HostConfig/{name}: ")


# ── Images ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("image", ["busybox", "busybox:latest", "library/busybox", "docker.io/busybox",
                                   "docker.io/library/busybox:latest", "index.docker.io/library/busybox"])
def test_spellings_of_an_image_that_the_policy_lists(under, maker, image):
    made = maker.made(under("{images: [busybox]}"), {**quiet({}), "Image": image})
    assert maker.container(made)["Image"] == maker.get("/images/busybox/json")["Id"]


@pytest.mark.parametrize("image", ["{id}", "sha256:{id}", "{short}", "sha256:{short}", "busybox:evil", "evil/busybox",
                                   "localhost/busybox", "registry.example/library/busybox", "docker.io/evil/busybox",
                                   "DOCKER.IO/library/busybox"])
def test_other_images(under, maker, direct, image):
    identity = maker.get("/images/busybox/json")["Id"].removeprefix("sha256:")
    name = image.format(id=identity, short=identity[:12])
    if "{" not in image and not maker.exists(f"/images/{name}/json"):
        repository, _, tag = name.partition(":")
        tagged = maker.containers.call("POST", f"/images/busybox/tag?repo={repository}&tag={tag}")
        assert tagged.status == 201, tagged
        maker.leftovers.append(f"/images/{name}")
    body = {**quiet({}), "Image": name}
    response, refused = maker.create(under("{images: [busybox]}"), body)
    refusal(response, "/Image: ")
    assert not maker.exists(f"/containers/{refused}/json")
    maker.made(direct, body)


@pytest.mark.parametrize("image", ["{id}", "sha256:{id}", "{short}"])
def test_an_id_is_no_name(under, maker, image):
    """Also where any name is allowed: what an id means, its owner says."""
    identity = maker.get("/images/busybox/json")["Id"].removeprefix("sha256:")
    body = {**quiet({}), "Image": image.format(id=identity, short=identity[:12])}
    refusal(maker.create(under("{images: ['*', '**']}"), body)[0], "/Image: ")


@pytest.mark.parametrize(("pattern", "image", "fits"), [
    ("busybox:1.*", "busybox:1.36@{digest}", False), ("busybox:*", "busybox:1.36@{digest}", False),
    ("*:1*", "busybox:1.36@{digest}", False), ("busybox:1.36", "busybox:1.36@{digest}", False),
    ("busybox", "busybox@{digest}", False), ("busybox*", "busybox@{digest}", True), ("*", "busybox:1.36@{digest}", True),
    ("busybox@{digest}", "docker.io/library/busybox:1.36@{digest}", True), ("*@sha256:*", "busybox:1.36@{digest}", True),
])
def test_a_digest_makes_the_tag_void(under, maker, pattern, image, fits):
    """The Engine goes by the digest alone, so that a pattern for tags says nothing of it."""
    digest = "sha256:" + "1" * 64
    target = under(f"{{images: ['{pattern.format(digest=digest)}']}}")
    response, _ = maker.create(target, {**quiet({}), "Image": image.format(digest=digest)})
    assert response.status == (404 if fits else 403), response  # 404: the Engine does not have it


def test_digests(under, maker):
    pinned = "registry.example/ci/app@sha256:" + "a" * 64
    only = under("{images: ['registry.example/ci/*@sha256:*']}")
    assert maker.create(only, {**quiet({}), "Image": pinned})[0].status == 404  # the Engine does not have it
    for image in ("registry.example/ci/app", "registry.example/ci/app:1", "registry.example/ci/a/b@sha256:" + "a" * 64):
        refusal(maker.create(only, {**quiet({}), "Image": image})[0], "/Image: ")


@pytest.mark.parametrize("image", [{}, {"Image": None}, {"Image": ""}])
def test_no_image_is_no_way_around(under, maker, direct, image):
    """The Engine makes a container with an empty file system, to be filled through /archive."""
    body = {"Cmd": ["/x"], "HostConfig": {"NetworkMode": "none"}, **image}
    for patterns in ("[busybox]", "['*']", "['**']"):
        response, refused = maker.create(under(f"{{images: {patterns}}}"), body)
        refusal(response, "/Image: must be given")
        assert not maker.exists(f"/containers/{refused}/json")
    maker.made(direct, body)


# ── Limits ──────────────────────────────────────────────────────────────────────────────────────

LIMITS = "{require: {memory: 256m, cpus: 1.5, pids: 64, ulimits: {nofile: 1024}}}"
WITHIN = {"Memory": 128 * MIB, "NanoCpus": 500_000_000, "PidsLimit": 32,
          "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}]}


def test_limits_within_what_the_policy_requires(under, maker):
    got = maker.container(maker.made(under(LIMITS), quiet(WITHIN)))["HostConfig"]
    assert {key: got[key] for key in WITHIN} == WITHIN
    quota = {**WITHIN, "NanoCpus": 0, "CpuQuota": 150_000, "CpuPeriod": 100_000}
    assert maker.container(maker.made(under(LIMITS), quiet(quota)))["HostConfig"]["CpuQuota"] == 150_000


@pytest.mark.parametrize("change", [
    {"Memory": 0}, {"Memory": 512 * MIB}, {"Memory": -1}, {"MemorySwap": -1}, {"MemorySwap": 1024 * MIB}, {"PidsLimit": 0},
    {"PidsLimit": -1}, {"PidsLimit": None}, {"PidsLimit": 65}, {"NanoCpus": 0}, {"NanoCpus": 2_000_000_000},
    {"NanoCpus": 0, "CpuQuota": -1}, {"NanoCpus": 0, "CpuQuota": 200_000}, {"NanoCpus": 0, "CpuPeriod": 1000},
    {"NanoCpus": 0, "CpuQuota": 20_000, "CpuPeriod": 10_000}, {"Ulimits": []}, {"Ulimits": None},
    {"Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 4096}]}, {"Ulimits": [{"Name": "nofile", "Soft": -1, "Hard": -1}]},
    {"Ulimits": [{"Name": "NOFILE", "Soft": 4096, "Hard": 4096}, {"Name": "nofile", "Soft": 512, "Hard": 1024}]},
    {"Ulimits": [{"Name": "nofile", "Soft": 4096, "Hard": 4096}, {"Name": "nofile", "Soft": 512, "Hard": 1024}]},
    {"Ulimits": [{"Name": "nof\u0131le", "Soft": 4096, "Hard": 4096}, {"Name": "nofile", "Soft": 512, "Hard": 1024}]},
], ids=json.dumps)
def test_limits_beyond_what_the_policy_requires(under, maker, direct, change):
    body = quiet({**WITHIN, **change})
    response, refused = maker.create(under(LIMITS), body)
    refusal(response, f"/HostConfig/{'Cpu' if 'CpuQuota' in change or 'CpuPeriod' in change else next(iter(change))}")
    assert not maker.exists(f"/containers/{refused}/json")


def test_names_of_limits_have_no_case(under, maker):
    body = shell("ulimit -n", {**WITHIN, "Ulimits": [{"Name": "NoFile", "Soft": 512, "Hard": 1024}]})
    assert maker.output(maker.made(under(LIMITS), body)) == b"512\n"


def test_limits_are_required_of_every_create(under, maker):
    for body in ({"Image": IMAGE}, {"Image": IMAGE, "HostConfig": None}, {"Image": IMAGE, "HostConfig": {}}):
        refusal(maker.create(under(LIMITS), body)[0], "/HostConfig/Memory: must be given")


UPDATES = {
    "memory": ({"Memory": 512 * MIB, "MemorySwap": 512 * MIB}, "/Memory: ", {"Memory": 64 * MIB, "MemorySwap": 64 * MIB}),
    "swap": ({"MemorySwap": -1}, "/MemorySwap: ", {"MemorySwap": 256 * MIB}),
    "processes": ({"PidsLimit": -1}, "/PidsLimit: ", {"PidsLimit": 16}),
    "no processes": ({"PidsLimit": 0}, "/PidsLimit: ", {"PidsLimit": 16}),
    "cpus": ({"NanoCpus": 2_000_000_000}, "/NanoCpus: ", {"NanoCpus": 250_000_000}),
    "restart": ({"RestartPolicy": {"Name": "always"}}, "/RestartPolicy/Name: ",
                {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_lifts_no_limit(under, maker, direct, name):
    lifts, pointer, keeps = UPDATES[name]
    limited = under(LIMITS[:-1] + ", restart: ['no', on-failure]}")
    made = maker.made(limited, quiet(WITHIN))
    before = maker.container(made)["HostConfig"]
    refusal(maker.post(limited, f"/containers/{made}/update", lifts), pointer)
    assert maker.container(made)["HostConfig"] == before
    assert maker.post(limited, f"/containers/{made}/update", keeps).status == 200
    after = maker.container(made)["HostConfig"]
    assert {key: after[key] for key in keeps} == keeps
    assert maker.post(direct, f"/containers/{made}/update", lifts).status == 200


# ── exec ────────────────────────────────────────────────────────────────────────────────────────

EXECS = {
    "user": ({"User": "0", "Cmd": ["id", "-u"]}, "{user: ['1000']}", "/User: ", "{user: ['0']}", b"0\n"),
    "no user": ({"Cmd": ["id", "-u"]}, "{user: ['1000']}", "/User: must be given", "{user: any}", b"0\n"),
    "command": ({"Cmd": ["cat", "/etc/hostname"]}, "{commands: [ls *, cat /tmp/*]}", "/Cmd", "{commands: ['cat /etc/*']}", None),
    "no more words": ({"Cmd": ["ls", "/bin/sh", "/bin/ls"]}, "{commands: [ls *]}", "/Cmd", "{commands: [ls **]}",
                      b"/bin/ls\n/bin/sh\n"),
    "blanks in a word": ({"Cmd": ["echo a"]}, "{commands: [echo a]}", "/Cmd", "{commands: any}", None),
    "environment": ({"Env": ["LD_PRELOAD=/x"], "Cmd": ["sh", "-c", "echo $LD_PRELOAD"]}, "{environment: ['!LD_*']}", "/Env/0: ",
                    "{environment: [LD_PRELOAD]}", b"/x\n"),
    "folder": ({"WorkingDir": "/tmp/../root", "Cmd": ["pwd"]}, "{working_dir: [/tmp]}", "/WorkingDir: ", "{}", b"/root\n"),
}


@pytest.mark.parametrize("name", EXECS)
def test_what_an_exec_may_be(under, maker, name):
    body, closes, pointer, opens, said = EXECS[name]
    body = {"AttachStdout": True, "AttachStderr": True, **body}
    container = maker.containers.idle()
    before = maker.execs(container)
    refusal(maker.exec(under(exec=closes), container, body), pointer)
    assert maker.execs(container) <= before
    made = maker.exec(under(exec=opens), container, body)
    assert made.status == 201, made
    output = maker.exec_output(made.json()["Id"])
    assert said is None or output == said


COMMITTING = POLICY + "    image: {{tag: ['inside/*'], changes: false}}\n"


def test_a_commit_changes_no_configuration(cli, under, maker, direct):
    """What an image says, each container of it gets: labels that a create block takes away, and more."""
    container = maker.made(direct, quiet({}))
    target, name = under(text=COMMITTING), f"inside/{maker.name()}"
    try:
        cli.ok(target.docker_host, "commit", container, name)
        done = cli.run(target.docker_host, "commit", "--change", "LABEL docker-socket-proxy.owner=me", container, name)
        assert done.status != 0 and b"image.changes" in done.err
        path = f"/v1.41/commit?container={container}&repo={name}"
        body = {"Labels": {"docker-socket-proxy.owner": "me"}, "Env": ["LD_PRELOAD=/x"]}
        refusal(maker.post(target, path, body), "/Labels", "/Env", "image.changes")
        refusal(maker.post(target, f"{path}&changes=USER%200", {}), "?changes")
        assert "docker-socket-proxy.owner" not in (maker.get(f"/images/{name}/json")["Config"]["Labels"] or {})
        assert maker.post(target, path, b"null").status == 201
        # The control: the container has the label, though its create does not name it.
        assert maker.post(direct, path, body).status == 201
        made = maker.made(under(), {**quiet({}), "Image": name})
        assert maker.container(made)["Config"]["Labels"] == body["Labels"]
    finally:
        maker.leftovers.append(f"/images/{name}?force=1")


def tar_with(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                tar.addfile(entry, io.BytesIO(member[1]))
    return buffer.getvalue()


def test_files_go_where_the_policy_says(under, maker, direct):
    """docker cp, into a container that need not run."""
    name = maker.made(direct, quiet({}))
    tar = {"Content-Type": "application/x-tar"}

    def put(target: Target, path: str, content: bytes = b"new") -> Response:
        return target.roundtrip("PUT", f"/containers/{name}/archive?path={path}", tar, tar_with(("file", content)))

    assert put(under(exec="{paths: [/tmp]}"), "/tmp").status == 200
    assert maker.read(name, "/tmp/file") == b"new"
    for path in ("/etc", "/tmp/../etc", "/tmpx", "/", "etc", "/tmp&path=/etc"):
        refusal(put(under(exec="{paths: [/tmp]}"), path), "exec.paths")
    refusal(put(under(), "/tmp"), "exec.paths")
    assert maker.read(name, "/etc/file") is None
    for method in ("GET", "HEAD"):
        asked = under(exec="{paths: [/tmp]}").roundtrip(method, f"/containers/{name}/archive?path=/etc/passwd")
        assert asked.status == 403
        assert under(exec="{paths: [/tmp]}").roundtrip(method, f"/containers/{name}/archive?path=/tmp/file").status == 200
    refusal(under(exec="{paths: [/tmp]}").roundtrip("GET", f"/containers/{name}/export"), "exec.paths")
    assert put(direct, "/etc").status == 200  # the control
    assert maker.read(name, "/etc/file") == b"new"


def test_a_link_in_the_container_leads_out_of_the_path(under, maker, direct):
    """What the document says: a path is no wall."""
    name = maker.made(direct, quiet({}))
    target = under(exec="{paths: [/tmp]}")
    link = tarfile.TarInfo("out")
    link.type, link.linkname = tarfile.SYMTYPE, "/root"
    for path, content in (("/tmp", tar_with(link)), ("/tmp/out", tar_with(("file", b"through")))):
        made = target.roundtrip("PUT", f"/containers/{name}/archive?path={path}", {"Content-Type": "application/x-tar"}, content)
        assert made.status == 200, made
    assert maker.read(name, "/root/file") == b"through"


def test_attaching(under, maker, direct):
    name = maker.made(direct, quiet({}))
    refusal(maker.post(under(exec="{attach: false}"), f"/containers/{name}/attach?stdin=1&stream=1", b""), "exec.attach")
    with under().connect() as connection:
        connection.request("POST", f"/containers/{name}/attach?logs=1", {})
        assert connection.head().status == 200


@pytest.mark.parametrize("body", [b'"Privileged":true', b'"pRIVILEGED":true', b'"\\u0050rivileged":true',
                                  b'"Privileged":true,"privileged":null'])
def test_a_privileged_exec(under, maker, direct, body):
    container = maker.containers.idle()
    body = b'{"Cmd":["true"],' + body + b"}"
    before = maker.execs(container)
    response = maker.exec(under(), container, body)
    assert "rivileged" in refusal(response) or "equal" in refusal(response)
    assert maker.execs(container) <= before
    ways = [direct] if b"null" in body else [direct, under(exec="{privileged: true}")]
    for way in ways:
        made = maker.exec(way, container, body).json()["Id"]
        assert maker.get(f"/exec/{made}/json")["ProcessConfig"]["privileged"]


# ── Clients ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def for_clients(under, host) -> Target:
    """A policy as a runner of jobs has it."""
    return under(
        f"{{bind_sources: [{host.open}], images: [busybox], publish: ['127.0.0.1:*'], subnets: [10.211.0.0/16], "
        "require: {memory: 256m, pids: 64}}", "{commands: ['echo *', 'ls **']}")


def test_docker_run_gets_what_it_asks_for(cli, for_clients, maker, host):
    name, network = maker.name(), maker.network()
    maker.containers.made.append(name)
    options = ["--name", name, "--network", network, "-m", "128m", "--pids-limit", "32", "-v", f"{host.open}:/x:ro",
               "--mount", f"type=bind,source={host.open}/sub,target=/y", "--tmpfs", "/z:size=1m", "-e", "A=b", "-p", "127.0.0.1::80",
               "--expose", "80", "--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--read-only", "--init", "--rm", "-d"]
    cli.ok(for_clients.docker_host, "run", *options, "busybox", "sleep", "3600")
    got = maker.container(name)
    assert (got["HostConfig"]["Memory"], got["HostConfig"]["PidsLimit"]) == (128 * MIB, 32)
    assert {port["HostIp"] for port in got["NetworkSettings"]["Ports"]["80/tcp"]} == {"127.0.0.1"}
    said = cli.ok(for_clients.docker_host, "exec", name, "ls", "/x/allowed", "/y/allowed", "/z")
    assert b"/x/allowed" in said and b"/y/allowed" in said
    assert cli.ok(for_clients.docker_host, "exec", name, "echo", "through") == b"through\n"
    refused = cli.run(for_clients.docker_host, "exec", name, "cat", "/x/allowed")
    assert refused.status != 0 and b"/Cmd: command 'cat" in refused.err
    refused = cli.run(for_clients.docker_host, "exec", "--privileged", name, "ls")
    assert refused.status != 0 and b"/Privileged: " in refused.err
    cli.ok(for_clients.docker_host, "update", "-m", "64m", "--memory-swap", "64m", name)
    assert maker.container(name)["HostConfig"]["Memory"] == 64 * MIB
    refused = cli.run(for_clients.docker_host, "update", "-m", "1g", "--memory-swap", "1g", name)
    assert refused.status != 0 and b"/Memory: " in refused.err


HARMLESS = """
    --health-cmd true --health-interval 5s --health-retries 2 --ulimit nofile=100:200 --dns 1.1.1.1 --dns-search a --dns-option ndots:1
    --add-host a:1.2.3.4 -l a=b --hostname h --domainname d --shm-size 1m --stop-signal TERM --stop-timeout 3 --restart on-failure:3
    --log-driver local --log-opt max-size=1m --log-opt max-file=2 --cpu-shares 100 --cpuset-cpus 0 --cpus 0.5
    --memory 64m --memory-reservation 32m --memory-swap 64m --oom-score-adj 100 --pids-limit 20
    --mount type=tmpfs,target=/t1,tmpfs-size=1m,tmpfs-mode=700 --tmpfs /t2 --tmpfs /t3:rw,noexec,size=1m,mode=1777
    --mount type=volume,source={volume},target=/v1,volume-nocopy -v {volume}:/v2:ro -v {volume}:/v3:nocopy
    --cgroupns private --ipc private --init --network {network} --network-alias q --read-only --cap-drop ALL
    --workdir /tmp -u 1000:1000 -e A=b --entrypoint sh --expose 99 --security-opt no-new-privileges -i -t
"""


def test_what_is_harmless_needs_no_word_in_the_policy(cli, under, maker, direct):
    """The container is the one that the Engine makes without the proxy."""
    options = HARMLESS.format(volume=maker.volume(), network=maker.network()).split()

    def created(target: Target) -> tuple[dict, dict, list]:
        name = maker.name()
        maker.containers.made.append(name)
        cli.ok(target.docker_host, "create", "--name", name, *options, "busybox", "-c", "true")
        got = maker.container(name)
        got["HostConfig"]["Binds"].sort()  # the client sends them in any order
        return got["Config"], got["HostConfig"], sorted(mount["Destination"] for mount in got["Mounts"])

    assert created(under()) == created(direct)


@pytest.mark.parametrize(("options", "reason"), [
    (["-v", "/etc:/x"], "/HostConfig/Binds/0: bind of the host's path '/etc' is not allowed"),
    (["--mount", "type=bind,source=/etc,target=/x"], "/HostConfig/Mounts/0/Source: bind of the host's path '/etc' is not allowed"),
    (["--mount", "type=volume,target=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/"],
     "/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Options/"),
    (["--privileged"], "/HostConfig/Privileged: privileged mode"),
    (["--network", "host"], "/HostConfig/NetworkMode: network 'host' is not allowed"),
    (["--pid", "host"], "/HostConfig/PidMode: namespace 'pid=host' is not allowed"),
    (["--cap-add", "SYS_ADMIN"], "/HostConfig/CapAdd/0: capability '"),
    (["--device", "/dev/kmsg"], "/HostConfig/Devices/0/PathOnHost: device of the host '/dev/kmsg' is not allowed"),
    (["-p", "80:80"], "/HostConfig/PortBindings/80~1tcp/0: published port '0.0.0.0:80' is not allowed"),
    (["--security-opt", "seccomp=unconfined"], "/HostConfig/SecurityOpt/0: security option 'seccomp=unconfined' is not allowed"),
    (["-m", "1g"], "/HostConfig/Memory: '1073741824'"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_docker_run_shows_the_reason(cli, for_clients, options, reason):
    done = cli.run(for_clients.docker_host, "run", "--rm", "-m", "128m", "--pids-limit", "32", *options, "busybox", "true")
    assert done.status == 125
    assert reason in done.err.decode()


def test_docker_volume_and_network(cli, for_clients, maker):
    volume, network = maker.name(), maker.name()
    maker.leftovers += [f"/volumes/{volume}", f"/networks/{network}"]
    run = for_clients.docker_host
    cli.ok(run, "volume", "create", "--label", "a=b", volume)
    assert maker.get(f"/volumes/{volume}")["Labels"] == {"a": "b"}
    cli.ok(run, "network", "create", "--internal", "--subnet", "10.211.0.0/24", network)
    assert maker.get(f"/networks/{network}")["Internal"]
    container = maker.containers.idle()
    cli.ok(run, "network", "connect", "--alias", "x", network, container)
    assert network in maker.container(container)["NetworkSettings"]["Networks"]
    cli.ok(run, "network", "disconnect", network, container)
    options = ["-o", "type=none", "-o", "o=bind", "-o", "device=/"]
    refused = cli.run(run, "volume", "create", *options, maker.name())
    assert refused.status == 1 and b"/DriverOpts/" in refused.err
    refused = cli.run(run, "network", "create", "-d", "macvlan", "-o", "parent=eth0", maker.name())
    assert refused.status == 1 and b"/Driver: network driver 'macvlan' is not allowed" in refused.err


def test_docker_py(for_clients, maker, host):
    with closing(docker_py(for_clients.docker_host)) as sdk:
        name = maker.name()
        maker.containers.made.append(name)
        limits = {"mem_limit": "128m", "pids_limit": 32, "network_mode": "none", "name": name}
        made = sdk.containers.run(IMAGE, ["cat", "/x/allowed"], volumes={str(host.open): {"bind": "/x", "mode": "ro"}},
                                  environment={"A": "b"}, labels=["a"], tmpfs={"/t": "size=1m"}, detach=True, **limits)
        assert made.wait()["StatusCode"] == 0
        assert maker.containers.logs(name)[1] == SECRET
        with pytest.raises(docker.errors.APIError) as refused:
            sdk.containers.run(IMAGE, "true", privileged=True, **limits)
        assert "/HostConfig/Privileged: " in str(refused.value)
        idle = sdk.containers.get(maker.containers.idle())
        assert idle.exec_run(["echo", "through"]).output == b"through\n"
        with pytest.raises(docker.errors.APIError) as refused:
            idle.exec_run(["cat", "/etc/passwd"])
        assert "/Cmd: " in str(refused.value)
        network = sdk.networks.create(maker.name(), driver="bridge")
        network.connect(idle)
        network.disconnect(idle)
        network.remove()
        sdk.volumes.create(maker.name()).remove()


COMPOSE = """\
version: "2.4"
services:
  web:
    image: busybox
    command: sleep 3600
    stop_grace_period: 0s
    mem_limit: 64m
    pids_limit: 16
    volumes: ["data:/data", "{source}:/x:ro"]
    networks: [front, back]
networks: {{front: {{}}, back: {{}}}}
volumes: {{data: {{}}}}
"""


@requires_compose
def test_compose(for_clients, maker, host, tmp_path, older_cli):
    """A service that binds /etc is refused with the reason; with an open folder it gets all that it asks for."""
    project = maker.name().replace("-", "")
    file = tmp_path / "docker-compose.yml"
    environment = older_cli.environment(for_clients.docker_host)

    def compose(source: str, *words: str) -> subprocess.CompletedProcess:
        file.write_text(COMPOSE.format(source=source))
        return subprocess.run([*DOCKER_COMPOSE, "-p", project, "-f", file, *words], env=environment,
                              capture_output=True, timeout=COMMAND_SECONDS)

    try:
        refused = compose("/etc", "up", "-d")
        assert refused.returncode == 1
        assert b"bind of the host's path '/etc' is not allowed" in refused.stderr
        up = compose(str(host.open), "up", "-d")
        assert up.returncode == 0, up.stderr
        got = maker.container(f"{project}_web_1")
        assert (got["HostConfig"]["Memory"], got["HostConfig"]["PidsLimit"]) == (64 * MIB, 16)
        assert set(got["NetworkSettings"]["Networks"]) == {f"{project}_front", f"{project}_back"}
        assert maker.read(got["Id"], "/x/allowed") == SECRET
    finally:
        compose(str(host.open), "down", "-v", "-t", "0")


# ── Policies ────────────────────────────────────────────────────────────────────────────────────

EXTENDS = """\
policy: ci
policies:
  base:
    rules: [{{allow: ['*']}}]
    create: {create}
  ci:
    extends: [base]
    {exec}
"""


def test_a_block_of_an_extended_policy_holds(under, maker):
    target = under("{}", "", text=EXTENDS)
    refusal(maker.create(target, quiet({"Privileged": True}))[0], "/HostConfig/Privileged: ")
    maker.made(target, quiet({}))


def test_a_block_of_its_own_takes_its_place(under, maker):
    target = under("{images: [other]}", "create: {privileged: true}", text=EXTENDS)
    assert privileged(maker.container(maker.made(target, quiet({"Privileged": True}))))
    refusal(maker.create(target, quiet({"PidMode": "host"}))[0], "/HostConfig/PidMode: ")


def test_two_blocks_beside_each_other(binary, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(
        "policy: ci\npolicies:\n  a: {rules: [{allow: ['*']}], create: {}}\n"
        "  b: {rules: [{allow: ['*']}], create: {privileged: true}}\n  ci: {extends: [a, b]}\n"
    )
    done = subprocess.run([binary, "check", "-c", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "'a' and 'b' both have a 'create' block" in done.stderr + done.stdout


@pytest.mark.parametrize(("body", "reason"), [
    (raw('"HostConfig":{"Privileged":true}'), "/HostConfig/Privileged: "),
    (raw('"HostConfig":{"Privileged":true}') + b" {}", "body: something follows"),
])
def test_observed_bodies_reach_the_engine_and_the_log(binary, engine, maker, tmp_path, body, reason):
    """Engines from 23 on (API 1.42) refuse themselves what has something behind it."""
    taken = "follows" not in reason or engine.api < ONE_DOCUMENT
    file = tmp_path / "proxy.yaml"
    file.write_text(POLICY.format(create="{}", exec="{}", mode="observe"))
    with closing(program.Proxy(binary, engine.socket, {"CONFIG": str(file)})) as running:
        response, made = maker.create(Target("proxied", running.docker_host, running.connect), body)
        assert response.status == (201 if taken else 400), response
        assert not taken or privileged(maker.container(made))
        running.log_line("would deny: container.create", reason)


def test_fields_that_are_not_known(under, maker):
    body = quiet({"Newer": {"a": 1}}, Newest=[1])
    refusal(maker.create(under(), body)[0], "/HostConfig/Newer: ", "/Newest: ")
    made = maker.made(under("{unknown: allow}"), body)
    assert not privileged(maker.container(made))
    refusal(maker.create(under("{unknown: allow}"), quiet({"Newer": 1, "Privileged": True}))[0], "/HostConfig/Privileged: ")
