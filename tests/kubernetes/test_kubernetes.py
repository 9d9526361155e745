"""What a cluster would get from deploy/kubernetes and deploy/helm. No cluster is here: what only one can show is in docs/kubernetes.md."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conftest import BINARY, CHART, DEPLOY, ROOT, Run

Render = Callable[..., list[dict]]
Faults = Callable[[list[dict]], list[str]]
EVERYTHING = {
    "config": "policy: deny\n",
    "env": {"LOG_FORMAT": "json", "SHUTDOWN_GRACE": 3},
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "system-node-critical",
    "prometheus": {"enabled": True},
    "socket": {"path": "/run/docker.sock", "group": 4294967294},
    "tolerations": [{"operator": "Exists"}],
}


def kind(objects: list[dict], name: str) -> dict:
    """The only object of this kind."""
    found = [item for item in objects if item["kind"] == name]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="session", name="base")
def base_objects(render: Render) -> list[dict]:
    return render("kubectl", "kustomize", DEPLOY / "kubernetes/base")


@pytest.fixture(scope="session", name="chart")
def chart_objects(render: Render) -> list[dict]:
    return render("helm", "template", "docker-socket-proxy", CHART, "--namespace", "docker-socket-proxy")


def everything(folder: Path) -> Path:
    """A file of values that sets what the chart lets set."""
    (folder / "values.yaml").write_text(yaml.safe_dump(EVERYTHING))
    return folder / "values.yaml"


@pytest.mark.parametrize("folder", ["base", "example"])
def test_kustomize_renders_what_the_schemas_accept(render: Render, faults: Faults, folder: str) -> None:
    objects = render("kubectl", "kustomize", DEPLOY / "kubernetes" / folder)
    assert len(objects) >= 6
    assert faults(objects) == []


def test_helm_renders_what_the_schemas_accept(render: Render, faults: Faults, chart: list[dict], tmp_path: Path) -> None:
    assert faults(chart) == []
    objects = render("helm", "template", "other", CHART, "--values", everything(tmp_path))
    assert len(objects) == len(chart) + 3
    assert faults(objects) == []
    pod = kind(objects, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["securityContext"]["supplementalGroups"] == [4294967294]
    assert {"name": "SHUTDOWN_GRACE", "value": "3"} in pod["containers"][0]["env"]


def test_the_schemas_find_slips(base: list[dict], faults: Faults) -> None:
    """A field with a slip in its name is ignored by a cluster, and so is what it was to forbid."""
    objects = copy.deepcopy(base)
    kind(objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    kind(objects, "Service")["spec"]["ports"][0]["port"] = "3277"
    del kind(objects, "NetworkPolicy")["metadata"]["name"]
    found = " ".join(faults(objects))
    assert "readOnlyRootFileSystem: no such field" in found
    assert "/spec/ports/0/port must be integer" in found


def test_the_pod_may_do_what_it_must_and_nothing_else(base: list[dict]) -> None:
    """The Pod Security Standard `restricted`, but for the socket."""
    pod = kind(base, "DaemonSet")["spec"]["template"]["spec"]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True and security["runAsUser"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
    container = pod["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert all("hostPort" not in port for port in container["ports"])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes.pop("socket")["hostPath"] == {"path": "/var/run/docker.sock", "type": "Socket"}
    assert [set(volume) for volume in volumes.values()] == [{"name", "configMap"}]


def test_selectors_meet_the_pods(base: list[dict], render: Render) -> None:
    """A selector that fits nothing says nothing: no client would reach the proxy, or every pod would."""
    for objects in (base, render("helm", "template", "other", CHART, "--set", "prometheus.enabled=true"),
                    render("kubectl", "kustomize", DEPLOY / "kubernetes/example")):
        template = kind(objects, "DaemonSet")["spec"]["template"]
        labels, ports = template["metadata"]["labels"].items(), template["spec"]["containers"][0]["ports"]
        names = {port["name"] for port in ports}
        services = [item for item in objects if item["kind"] == "Service"]
        for service in services:
            assert service["spec"]["selector"].items() <= labels
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
        for policy in [item for item in objects if item["kind"] == "NetworkPolicy"]:
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
            assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} <= names
        for monitor in [item for item in objects if item["kind"] == "ServiceMonitor"]:
            wanted = monitor["spec"]["selector"]["matchLabels"].items()
            met = [service for service in services if wanted <= service["metadata"].get("labels", {}).items()]
            assert [service["metadata"]["name"] for service in met] == [service["metadata"]["name"] for service in services
                                                                       if service["metadata"]["name"].endswith("-metrics")]


def test_another_policy_is_a_rollout(render: Render, base: list[dict], tmp_path: Path) -> None:
    """A pod reads its policy at its start: the template must change with it."""
    example = render("kubectl", "kustomize", DEPLOY / "kubernetes/example")
    names = [kind(objects, "DaemonSet")["spec"]["template"]["spec"]["volumes"][1]["configMap"]["name"] for objects in (base, example)]
    assert names == [kind(objects, "ConfigMap")["metadata"]["name"] for objects in (base, example)]
    assert names[0] != names[1]
    sums = {kind(render("helm", "template", "x", CHART, *more), "DaemonSet")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for more in ([], ["--values", everything(tmp_path)])}
    assert len(sums) == 2


def plain(objects: list[dict], name: str) -> dict:
    """What an object is, without labels of helm and names of ConfigMaps."""
    spec = copy.deepcopy(kind(objects, name)["spec"])
    text = yaml.safe_dump(spec)
    text = re.sub(r"^ *app.kubernetes.io/instance: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ *annotations:\n *checksum/config: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"name: docker-socket-proxy-\w{10}$", "name: docker-socket-proxy", text, flags=re.MULTILINE)
    return yaml.safe_load(text)


@pytest.mark.parametrize("name", ["DaemonSet", "Service", "NetworkPolicy"])
def test_the_chart_is_what_kustomize_makes(base: list[dict], chart: list[dict], name: str) -> None:
    """Two ways to install one thing: what is right in one must not be wrong in the other."""
    assert plain(chart, name) == plain(base, name)


@pytest.mark.parametrize(("setting", "named"), [
    ("polcy=x", "polcy"), ("socket.group=docker", "group"), ("networkPolicy.from=null", "from"), ("config=", "config")])
def test_a_slip_in_the_values_stops_the_installation(run: Run, setting: str, named: str) -> None:
    done = run("helm", "template", "x", CHART, "--set", setting)  # null takes a default away: nobody would be everybody
    assert done.returncode != 0 and named in done.stderr


def test_helm_has_nothing_against_the_chart(run: Run) -> None:
    done = run("helm", "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


def test_the_chart_is_of_this_version() -> None:
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("kubernetes/*/proxy.yaml")), ids=lambda path: path.parent.name)
def test_the_policies_are_accepted(file: Path) -> None:
    done = subprocess.run([BINARY, "check", "-c", file], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
