"""What a cluster would get from deploy/kubernetes and deploy/helm. No cluster is here: what only one can show is in docs/kubernetes.md."""

from __future__ import annotations

import copy
import hashlib
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


@pytest.mark.parametrize("way", ["base", "chart"])
def test_the_verb_says_whether_a_pod_is_healthy(request: pytest.FixtureRequest, way: str) -> None:
    """A probe over HTTP would need a hole in the NetworkPolicy; without probes, a rollout of a broken policy would go on to all nodes."""
    container = kind(request.getfixturevalue(way), "DaemonSet")["spec"]["template"]["spec"]["containers"][0]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["exec"] == {"command": ["/docker-socket-proxy", "healthcheck"]}
        assert not {"httpGet", "tcpSocket", "grpc"} & container[probe].keys()
    assert container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"] >= 60, "a restart ends streams"
    assert "healthcheck" in subprocess.run([BINARY, "--help"], text=True, capture_output=True, check=True).stdout


@pytest.mark.parametrize("way", ["base", "chart"])
def test_labelled_pods_of_labelled_namespaces_come_in_and_nothing_goes_out(request: pytest.FixtureRequest, way: str) -> None:
    """Two entries in place of one with both selectors would let in each pod with the label, of whatever namespace."""
    spec = kind(request.getfixturevalue(way), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{
        "from": [{"namespaceSelector": {"matchLabels": {"docker-socket-proxy/clients": "true"}},
                  "podSelector": {"matchLabels": {"docker-socket-proxy/client": "true"}}}],
        "ports": [{"port": "docker", "protocol": "TCP"}]}]
    assert spec["egress"] == []


def test_prometheus_alone_reaches_the_metrics(render: Render) -> None:
    """The second policy adds to the first: what it opens must be no more than this."""
    policies = [item["spec"] for item in render("kubectl", "kustomize", DEPLOY / "kubernetes/example") if item["kind"] == "NetworkPolicy"]
    assert [rule for spec in policies for rule in spec["ingress"] if {"port": "metrics", "protocol": "TCP"} in rule["ports"]] == [{
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                  "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}],
        "ports": [{"port": "metrics", "protocol": "TCP"}]}]
    assert [spec["egress"] for spec in policies if "Egress" in spec["policyTypes"]] == [[]]


def test_the_example_has_the_group_of_its_cluster(render: Render, base: list[dict]) -> None:
    """What the patch must change, and what it must leave: another list of groups would be added to those of the image."""
    example = render("kubectl", "kustomize", DEPLOY / "kubernetes/example")
    groups = [kind(objects, "DaemonSet")["spec"]["template"]["spec"]["securityContext"]["supplementalGroups"] for objects in (base, example)]
    assert groups == [[999], [998]]


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


def test_the_page_is_right_about_the_keys_of_the_example() -> None:
    """A key that the page names would be one that every reader has."""
    page, file = (ROOT / "docs/kubernetes.md").read_text(), (DEPLOY / "kubernetes/example/proxy.yaml").read_text()
    hashes = re.findall(r"key_sha256: ([0-9a-f]{64})", file)
    assert len(set(hashes)) == len(yaml.safe_load(file)["clients"]) == 2, "the hashes of two keys, one for each app"
    words = set(re.findall(r"[^\s`'\"(),]+", page + file))
    assert not {hashlib.sha256(word.encode()).hexdigest() for word in words} & set(hashes)
    assert "Nobody has the keys of these hashes" in page and "Nobody has the keys of the hashes below" in file
    named = re.search(r"`key_sha256` of `(\w+)`", page)
    assert named and named[1] in {client["name"] for client in yaml.safe_load(file)["clients"]}


# ── Reasons ────────────────────────────────────────────────────────────────────────────────────

NAMES = re.compile(r"(apiVersion|kind|name|description): [^{]*$")  # they say what a thing is, and decide nothing


def without_reason(file: Path) -> list[str]:
    """The lines with a value that have no comment: on them, right above them, or so for a block that they are in."""
    found: list[str] = []
    blocks: list[tuple[int, bool]] = []  # depth, and whether a comment is for all of it
    above = False
    head = True  # what stands there is about the file
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            above = bool(words) and not head
            continue
        head = False
        depth = len(line) - len(line.lstrip())
        while blocks and blocks[-1][0] >= depth:
            blocks.pop()
        whole = above or any(covered for _, covered in blocks)
        beside = " #" in line
        if words.startswith("- "):  # its first key is a block within the item
            words = words[2:]
            blocks.append((depth, whole))
            depth += 2
        blocks.append((depth, whole or beside))
        words = re.sub(r" #.*", "", words).strip()
        if not (whole or beside or NAMES.match(words) or words.endswith(":")):
            found.append(f"{file.name}:{number}: {words}")
        above = False
    return found


# A policy is no field of Kubernetes: proxy.yaml says at its head what it is for.
FILES = sorted([*DEPLOY.glob("kubernetes/*/[!p]*.yaml"), CHART / "values.yaml", CHART / "Chart.yaml"])


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_field_has_its_reason(file: Path) -> None:
    """Whoever changes a field must know what it was for."""
    assert without_reason(file) == []


SLIPS = """\
# head
kind: A
spec:
  # why
  a:
    - b: 1
      c: 2
  d: 3
  e: 4 # why
  f:
    - name: g # why
      h: {i: 5}
"""


def test_a_field_without_a_reason_is_found(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SLIPS)
    assert without_reason(file) == ["x.yaml:8: d: 3", "x.yaml:12: h: {i: 5}"]
