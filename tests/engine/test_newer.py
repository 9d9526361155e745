"""What only newer Engines can do, under a policy with constraints and under a scope: what the container got.

A test that the Engine is too old for is not there; `make test STAGES=engine-new` runs all of them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from engine import IMAGE, Engine
from inside import Host, Maker, quiet, refusal, shell
from inside import host, maker, proxies, under  # fixtures

ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls"
SCOPED = """\
policy: ci
policies:
  ci:
    scope: {{labels: {{team: ci}}}}
    mode: {mode}
    rules: [{{allow: ['*']}}]
    create: {create}
    exec: {exec}
"""


@pytest.fixture(autouse=True)
def new_enough(request: pytest.FixtureRequest, engine: Engine) -> None:
    wanted = request.node.get_closest_marker("api").args[0]
    if engine.api < wanted:
        pytest.skip(f"the Engine has API {engine.api}, and this needs {wanted}")


def filled(maker: Maker, **more) -> str:
    """A volume with two folders: `open` with a file, and `closed`."""
    volume = maker.volume(**more)
    script = "mkdir /v/open /v/closed && echo mine > /v/open/f && echo other > /v/closed/f"
    name = maker.containers.shell(script, HostConfig={"NetworkMode": "none", "Binds": [f"{volume}:/v"]})
    assert maker.containers.wait(name) == 0
    return volume


def within(volume: str, subpath: str = "open") -> dict:
    mount = {"Type": "volume", "Source": volume, "Target": "/x", "VolumeOptions": {"Subpath": subpath}}
    return shell("ls -R /x; cat /x/f", {"Mounts": [mount]})


@pytest.mark.api((1, 48))
def test_an_image_as_a_mount(under, maker):
    """Its files are read where the policy lists the image, by no other name of it."""
    def mounting(source: str, **more) -> dict:
        mount = {"Type": "image", "Source": source, "Target": "/x", **more}
        return shell("cat /x/etc/passwd /x/passwd 2>&-; touch /x/new 2>&1", {"Mounts": [mount]})

    listed = under("{images: [busybox]}")
    got = maker.output(maker.made(listed, mounting("busybox")))
    assert b"guest:x:1000" in got and b"Read-only" in got
    assert b"guest:x:1000" in maker.output(maker.made(listed, mounting("busybox", ImageOptions={"Subpath": "etc"})))
    other, digest = maker.name(), maker.get(f"/images/{IMAGE}/json")["Id"]
    assert maker.containers.call("POST", f"/images/{IMAGE}/tag?repo={other}&tag=1").status == 201
    maker.leftovers.append(f"/images/{other}:1")
    for source in (f"{other}:1", digest, digest[7:19], "", "busybox:evil"):
        response, refused = maker.create(listed, mounting(source))
        refusal(response, "/HostConfig/Mounts/0/Source: image ")
        assert not maker.exists(f"/containers/{refused}/json")


@pytest.mark.api((1, 45))
def test_a_folder_of_a_volume(under, maker):
    volume = filled(maker)
    got = maker.output(maker.made(under("{volumes: named}"), within(volume)))
    assert got == b"/x:\nf\nmine\n"
    refusal(maker.create(under("{volumes: none}"), within(volume))[0], "/HostConfig/Mounts/0/Source: ")


@pytest.mark.api((1, 45))
@pytest.mark.parametrize("subpath", ["..", "../..", "open/../..", "/etc"])
def test_a_folder_of_a_volume_is_not_above_it(under, maker, subpath):
    """The Engine refuses it itself; should it not, this fails."""
    response, _ = maker.create(under("{volumes: named}"), within(filled(maker), subpath))
    assert response.status == 400, response


@pytest.mark.api((1, 45))
def test_a_folder_of_a_foreign_volume(under, maker):
    scoped = under(text=SCOPED)
    mine, foreign = filled(maker, Labels={"team": "ci"}), filled(maker, Labels={"team": "ops"})
    assert maker.output(maker.made(scoped, within(mine))) == b"/x:\nf\nmine\n"
    response, refused = maker.create(scoped, within(foreign))
    assert response.status == 404 and not maker.exists(f"/containers/{refused}/json"), response


@pytest.mark.api((1, 44))
def test_several_networks_at_once(under, maker):
    mine, second, other = maker.network(), maker.network(), maker.network()
    listed = under(f"{{networks: [{mine}, {second}]}}")

    def joining(*networks: str) -> dict:
        return quiet({"NetworkMode": mine}, NetworkingConfig={"EndpointsConfig": {name: {} for name in networks}})

    made = maker.made(listed, joining(mine, second))
    assert set(maker.container(made)["NetworkSettings"]["Networks"]) == {mine, second}
    response, refused = maker.create(listed, joining(mine, second, other))
    refusal(response, f"/NetworkingConfig/EndpointsConfig/{other}: ")
    assert not maker.exists(f"/containers/{refused}/json")


@pytest.mark.api((1, 48))
@pytest.mark.parametrize("first", [0, 1])
def test_the_network_that_leads_out(under, maker, first):
    """GwPriority decides, of the networks that the policy lists."""
    networks = [maker.network(), maker.network()]
    gateways = [maker.get(f"/networks/{name}")["IPAM"]["Config"][0]["Gateway"] for name in networks]
    ends = {name: {"GwPriority": 10 if at == first else 1} for at, name in enumerate(networks)}
    body = shell("ip route", {"NetworkMode": networks[0]}, NetworkingConfig={"EndpointsConfig": ends})
    made = maker.made(under("{networks: ['inside-*']}"), body)
    assert f"default via {gateways[first]} ".encode() in maker.output(made)


@pytest.mark.api((1, 46))
def test_sysctls_of_an_endpoint(under, maker):
    network = maker.network()
    ends = {"EndpointsConfig": {network: {"DriverOpts": {ENDPOINT_SYSCTLS: "net.ipv4.conf.IFNAME.log_martians=1"}}}}
    body = shell("cat /proc/sys/net/ipv4/conf/eth0/log_martians", {"NetworkMode": network}, NetworkingConfig=ends)
    refusal(maker.create(under(), body)[0], f"/NetworkingConfig/EndpointsConfig/{network}/DriverOpts/{ENDPOINT_SYSCTLS}: ")
    assert maker.output(maker.made(under(f"{{endpoint_options: [{ENDPOINT_SYSCTLS}]}}"), body)) == b"1\n"


@pytest.mark.api((1, 46))
def test_options_of_a_tmpfs_mount(under, maker):
    def mounting(*options: list[str]) -> dict:
        mount = {"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": list(options)}}
        return shell("grep ' /x ' /proc/mounts", {"Mounts": [mount]})

    assert b"noexec" in maker.output(maker.made(under(), mounting()))
    narrow = under("{tmpfs_options: ['size=*']}")
    refusal(maker.create(narrow, mounting(["exec"]))[0], "/HostConfig/Mounts/0/TmpfsOptions/Options/0")
    assert b"noexec" not in maker.output(maker.made(under(), mounting(["exec"])))


@pytest.mark.api((1, 51))
@pytest.mark.parametrize("option", ["writable-cgroups=true", "writable-cgroups:true"])
def test_control_groups_that_can_be_written(under, maker, option):
    """Whoever may write there changes limits; the option is open only where the policy has it."""
    body = shell("grep ' cgroup' /proc/mounts", {"SecurityOpt": [option]})
    refusal(maker.create(under(), body)[0], "/HostConfig/SecurityOpt/0: ")
    response, made = maker.create(under("{security_opt: ['writable-cgroups=true']}"), body)
    assert response.status == 201 and maker.container(made)["HostConfig"]["SecurityOpt"] == [option], response


@pytest.mark.api((1, 44))
def test_annotations_and_health(under, maker):
    annotated = quiet({"Annotations": {"run.oci.x": "y"}})
    refusal(maker.create(under(), annotated)[0], "/HostConfig/Annotations/run.oci.x: ")
    made = maker.made(under("{annotations: ['run.oci.*']}"), annotated)
    assert maker.container(made)["HostConfig"]["Annotations"] == {"run.oci.x": "y"}
    health = {"Test": ["CMD", "true"], "StartPeriod": 10**9, "StartInterval": 10**9}
    made = maker.made(under(), quiet({}, Healthcheck=health))
    assert maker.container(made)["Config"]["Healthcheck"] == health


@pytest.mark.api((1, 44))
def test_a_platform(under, maker, direct):
    """It stands in the query, and chooses among what the image has."""
    for platform, status in (("linux/amd64", 201), ("linux/s390x", 404)):
        for target in (direct, under("{images: [busybox]}")):
            name = maker.name()
            response = maker.post(target, f"/containers/create?name={name}&platform={platform}", quiet({}))
            maker.containers.made.append(name)
            assert response.status == status, response


def mounted_below(engine: Engine, folder: Path) -> None:
    """A file system on `folder`, as the Engine sees it: it has mounts of its own."""
    inside = Path(f"/proc/{engine.process.pid}/task/{engine.process.pid}/children").read_text().split()[0]
    subprocess.run(["nsenter", "--target", inside, "--mount", "mount", "-t", "tmpfs", "tmpfs", folder], check=True)


@pytest.mark.api((1, 44))
def test_a_bind_is_read_only_with_all_below_it(under, maker, direct, engine, host: Host):
    """What is mounted below a source too, unless the client speaks a version in which it is not: before 1.44."""
    mounted_below(engine, host.open / "sub")
    script = "touch /x/sub/new && echo written || true"
    closed = under(f"{{bind_sources: [{host.open}], writable_binds: false}}")
    mount = {"Type": "bind", "Source": str(host.open), "Target": "/x", "ReadOnly": True}
    for version, got in (("", b""), ("/v1.44", b""), ("/v1.43", b"written\n"), ("/v1.41", b"written\n")):
        for config in ({"Binds": [f"{host.open}:/x:ro"]}, {"Mounts": [mount]}):
            assert maker.output(maker.made(closed, shell(script, config), version=version)) == got, (version, config)
    open_below = shell(script, {"Mounts": [{**mount, "BindOptions": {"ReadOnlyNonRecursive": True}}]})
    refusal(maker.create(closed, open_below)[0], "/HostConfig/Mounts/0")
    assert maker.output(maker.made(direct, open_below)) == b"written\n"
