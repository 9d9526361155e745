"""A policy with a scope on a real Engine: two teams, of which one must not notice the other.

`own` objects carry the label of the scope, `foreign` ones another. Each request that names a foreign
object must get what the Engine says of an object that does not exist, and change nothing.
"""

from __future__ import annotations

import io
import json
import tarfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import proxy as program
import pytest
import wire
from conftest import Target
from engine import IMAGE, Engine

JSON = {"Content-Type": "application/json"}
POLICY = """\
policy: ci
policies:
  ci:
    rules: [{allow: ['*']}]
    scope: {labels: {team: ci}}
"""
LABELS = {"team": "ci"}


@dataclass
class Teams:
    """What the two teams have, made on the Engine itself."""

    engine: Engine
    names: dict[str, dict[str, str]]

    def call(self, method: str, path: str, body: dict | None = None) -> wire.Response:
        with wire.connect_unix(self.engine.socket) as connection:
            raw = b"" if body is None else json.dumps(body).encode()
            return connection.roundtrip(method, path, JSON if raw else {}, raw)

    def make(self, path: str, body: dict) -> dict:
        response = self.call("POST", path, body)
        assert response.status == 201, response
        return response.json()

    def container(self, team: str, **more) -> str:
        body = {"Image": IMAGE, "Cmd": ["sleep", "3600"], "Labels": {"team": team}, **more}
        made = self.make(f"/containers/create?name=scope-{uuid.uuid4().hex[:10]}", body)["Id"]
        assert self.call("POST", f"/containers/{made}/start").status == 204
        return made


@pytest.fixture(scope="module")
def teams(engine: Engine) -> Iterator[Teams]:
    teams = Teams(engine, {})
    for team in ("ci", "ops"):
        container = teams.container(team)
        exec_id = teams.make(f"/containers/{container}/exec", {"Cmd": ["true"]})["Id"]
        network = teams.make("/networks/create", {"Name": f"net-{team}", "Labels": {"team": team}})["Id"]
        volume = teams.make("/volumes/create", {"Name": f"vol-{team}", "Labels": {"team": team}})["Name"]
        commit = teams.make(f"/commit?container={container}&repo=img-{team}&tag=1", {})["Id"]
        teams.names[team] = {
            "container": container, "exec": exec_id, "network": network, "volume": volume, "image": commit}
    yield teams
    for each in teams.names.values():
        teams.call("DELETE", f"/containers/{each['container']}?force=1")
        teams.call("DELETE", f"/networks/{each['network']}")
        teams.call("DELETE", f"/volumes/{each['volume']}")
        teams.call("DELETE", f"/images/{each['image']}?force=1")


@pytest.fixture(scope="module")
def scoped(binary: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    file = tmp_path_factory.mktemp("scope") / "proxy.yaml"
    file.write_text(POLICY)
    running = program.Proxy(binary, engine.socket, {"CONFIG": str(file)})
    yield Target("proxied", running.docker_host, running.connect)
    running.close()


def post(target: Target, path: str, body: dict | None = None, method: str = "POST") -> wire.Response:
    raw = b"" if body is None else json.dumps(body).encode()
    return target.roundtrip(method, path, JSON if raw else {}, raw)


# Every request that names an object, with the kind of what it names.
NAMED = [
    ("container", "GET", "/containers/{}/json", None),
    ("container", "GET", "/v1.41/containers/{}/json?size=1", None),
    ("container", "GET", "/containers/{}/top", None),
    ("container", "GET", "/containers/{}/logs?stdout=1", None),
    ("container", "GET", "/containers/{}/changes", None),
    ("container", "GET", "/containers/{}/export", None),
    ("container", "GET", "/containers/{}/stats?stream=0", None),
    ("container", "GET", "/containers/{}/archive?path=/etc/passwd", None),
    ("container", "POST", "/containers/{}/update", {"CpuShares": 512}),
    ("container", "POST", "/containers/{}/exec", {"Cmd": ["true"]}),
    ("container", "POST", "/containers/{}/rename?name={}-x", None),
    ("container", "POST", "/containers/{}/pause", None),
    ("container", "POST", "/containers/{}/unpause", None),
    ("container", "POST", "/containers/{}/restart?t=0", None),
    ("container", "POST", "/containers/{}/kill", None),
    ("container", "POST", "/containers/{}/start", None),
    ("container", "POST", "/containers/{}/stop?t=0", None),
    ("container", "POST", "/containers/{}/wait", None),
    ("container", "POST", "/commit?container={}&repo=stolen", {}),
    ("exec", "GET", "/exec/{}/json", None),
    ("exec", "POST", "/exec/{}/start", {"Detach": True}),
    ("network", "GET", "/networks/{}", None),
    ("network", "POST", "/networks/{}/connect", {"Container": "x"}),
    ("network", "DELETE", "/networks/{}", None),
    ("volume", "GET", "/volumes/{}", None),
    ("volume", "DELETE", "/volumes/{}", None),
    ("image", "DELETE", "/images/{}", None),
    ("container", "DELETE", "/containers/{}?force=1", None),
]


@pytest.mark.parametrize("kind, method, path, body", NAMED, ids=[f"{m} {p}" for _, m, p, _ in NAMED])
def test_what_is_foreign_is_not_there(scoped, teams, kind, method, path, body):
    """The response is that for what does not exist, on the Engine as through the proxy."""
    foreign = teams.names["ops"][kind]
    missing = "f" * len(foreign) if kind != "volume" else "vol-none"
    expected = post(scoped, path.format(missing, missing), body, method)
    refused = post(scoped, path.format(foreign, foreign), body, method)
    assert refused.status == teams.call(method, path.format(missing, missing), body).status == 404, refused
    assert refused.json()["message"] == expected.json()["message"].replace(missing, foreign)
    assert teams.call("GET", f"/containers/{teams.names['ops']['container']}/json").json()["State"]["Running"]


@pytest.mark.parametrize("path", ["/containers/{}/json", "/exec/{}/json", "/networks/{}", "/volumes/{}"])
def test_the_words_are_the_engines(scoped, teams, path):
    missing = path.format("f" * 64)
    assert post(scoped, missing, method="GET").json() == teams.call("GET", missing).json()


@pytest.mark.parametrize("kind, method, path, body", [row for row in NAMED if row[1] == "GET"],
                         ids=[f"{m} {p}" for _, m, p, _ in NAMED if m == "GET"])
def test_what_is_own_is_as_without_the_proxy(scoped, teams, kind, method, path, body):
    own = teams.names["ci"][kind]
    assert post(scoped, path.format(own), body, method).status == 200


def test_names_and_prefixes_are_looked_up(scoped, teams):
    for team, status in (("ci", 200), ("ops", 404)):
        full = teams.names[team]["container"]
        name = teams.call("GET", f"/containers/{full}/json").json()["Name"].strip("/")
        for reference in (full[:12], name):
            assert post(scoped, f"/containers/{reference}/json", method="GET").status == status, reference
        assert post(scoped, f"/networks/net-{team}", method="GET").status == status


def test_lists_are_narrowed(scoped, teams):
    """In every form of the filters that clients send."""
    filters = ["", *(quote(form) for form in (
        '{"label":["team=ci"]}', '{"label":{"team":true}}', '{"status":["running"]}', '{"label":[]}', "{}", "null"))]
    for form in filters:
        query = f"filters={form}" if form else ""
        listed = post(scoped, f"/containers/json?all=1&{query}", method="GET").json()
        assert {each["Labels"].get("team") for each in listed} == {"ci"}, form
        assert teams.names["ci"]["container"] in {each["Id"] for each in listed}
    networks = post(scoped, "/networks", method="GET").json()
    assert [each["Name"] for each in networks] == ["net-ci"]
    volumes = post(scoped, "/volumes", method="GET").json()["Volumes"]
    assert [each["Name"] for each in volumes] == ["vol-ci"]


def test_a_filter_for_the_label_of_others_is_refused(scoped, teams):
    refused = post(scoped, "/containers/json?filters=" + quote('{"label":{"team=ops":false}}'), method="GET")
    assert refused.status == 403
    assert "'scope'" in refused.json()["message"]


def test_what_is_made_gets_the_label(scoped, teams):
    body = {"Image": IMAGE, "Labels": {"a": "b"}, "HostConfig": {"Binds": ["made-volume:/x"]}}
    made = post(scoped, "/containers/create", body)
    assert made.status == 201, made
    container = made.json()["Id"]
    network = post(scoped, "/networks/create", {"Name": "made"}).json()["Id"]
    volume = post(scoped, "/volumes/create", {"Name": "made-other", "Labels": None}).json()["Name"]
    try:
        inspected = teams.call("GET", f"/containers/{container}/json").json()
        assert inspected["Config"]["Labels"] == {"a": "b", **LABELS}
        assert teams.call("GET", f"/networks/{network}").json()["Labels"] == LABELS
        assert teams.call("GET", f"/volumes/{volume}").json()["Labels"] == LABELS
        # The Engine would have made it without the label.
        assert teams.call("GET", "/volumes/made-volume").json()["Labels"] == LABELS
    finally:
        for path in (f"/containers/{container}?v=1", f"/networks/{network}", f"/volumes/{volume}",
                     "/volumes/made-volume"):
            assert post(scoped, path, method="DELETE").status == 204, path


def test_another_value_of_the_label_is_refused(scoped):
    for labels in ({"team": "ops"}, {"team": ""}):
        refused = post(scoped, "/containers/create", {"Image": IMAGE, "Labels": labels})
        assert refused.status == 403
        assert "/Labels/team" in refused.json()["message"]


def test_bodies_name_no_foreign_object(scoped, teams):
    own, foreign = teams.names["ci"], teams.names["ops"]
    for reference, kind in (
        ({"HostConfig": {"PidMode": "container:{}"}}, "container"),
        ({"HostConfig": {"IpcMode": "container:{}"}}, "container"),
        ({"HostConfig": {"NetworkMode": "container:{}"}}, "container"),
        ({"HostConfig": {"VolumesFrom": ["{}:ro"]}}, "container"),
        ({"HostConfig": {"Links": ["{}:db"]}}, "container"),
        ({"HostConfig": {"NetworkMode": "{}"}}, "network"),
        ({"NetworkingConfig": {"EndpointsConfig": {"{}": {}}}}, "network"),
        ({"HostConfig": {"Binds": ["{}:/x"]}}, "volume"),
        ({"HostConfig": {"Mounts": [{"Type": "volume", "Source": "{}", "Target": "/x"}]}}, "volume"),
    ):
        text = json.dumps({"Image": IMAGE, **reference})
        refused = post(scoped, "/containers/create", json.loads(text.replace("{}", foreign[kind], 1)
                                                                if '"{}"' in text or "{}:" in text or ":{}" in text
                                                                else text))
        assert refused.status == 404, (reference, refused)
        made = post(scoped, "/containers/create", json.loads(text.replace("{}", own[kind], 1)))
        assert made.status == 201, (reference, made)
        teams.call("DELETE", f"/containers/{made.json()['Id']}?force=1")


def test_a_network_takes_no_foreign_container(scoped, teams):
    own, foreign = teams.names["ci"], teams.names["ops"]
    for path in ("connect", "disconnect"):
        refused = post(scoped, f"/networks/{own['network']}/{path}", {"Container": foreign["container"]})
        assert refused.status == 404, refused
    assert post(scoped, f"/networks/{own['network']}/connect", {"Container": own["container"]}).status == 200
    assert post(scoped, f"/networks/{own['network']}/disconnect", {"Container": own["container"]}).status == 200


def test_events_are_those_of_the_scope(scoped, teams):
    with scoped.connect() as connection:
        connection.request("GET", "/events?since=0&until=" + str(2**31 - 1))
        connection.head()
        connection.close()
    listed = post(scoped, "/events?since=1&until=1", method="GET")
    assert listed.status == 200


def test_prune_leaves_what_is_foreign(scoped, teams):
    names = {}
    for team in ("ci", "ops"):
        body = {"Image": IMAGE, "Labels": {"team": team}}
        names[team] = teams.make("/containers/create", body)["Id"]
    pruned = post(scoped, "/containers/prune")
    assert names["ci"] in pruned.json()["ContainersDeleted"]
    assert names["ops"] not in pruned.json()["ContainersDeleted"]
    assert teams.call("DELETE", f"/containers/{names['ops']}").status == 204


@pytest.mark.parametrize("path", ["/system/df", "/v1.41/system/df"])
def test_disk_usage_is_that_of_the_scope(scoped, teams, path):
    own, foreign = teams.names["ci"], teams.names["ops"]
    whole, shown = teams.call("GET", path), post(scoped, path, method="GET")
    assert shown.status == 200, shown
    for name in ("container", "volume", "network"):
        assert foreign[name] not in shown.body.decode()
    assert foreign["container"] in whole.body.decode()
    listed = shown.json()
    assert own["container"] in [each["Id"] for each in listed["Containers"]]
    assert [each["Name"] for each in listed["Volumes"] if each["Name"].startswith("vol-")] == [own["volume"]]
    assert not listed.get("BuildCache")
    assert listed["Images"] and listed["LayersSize"] == whole.json()["LayersSize"]


def test_what_cannot_be_narrowed_is_refused(scoped):
    for method, path in (("POST", "/build/prune"), ("GET", "/plugins"), ("GET", "/swarm"),
                         ("GET", "/something"), ("GET", "/containers/a/b/json")):
        refused = post(scoped, path, method=method)
        assert refused.status == 403, (path, refused)


def test_a_name_that_moves_is_never_foreign(scoped, teams):
    """Two containers exchange a name, 1,000 times: the other one is never reached."""
    name = f"moving-{uuid.uuid4().hex[:8]}"
    ids = [teams.container(team, HostConfig={"NetworkMode": "none"}) for team in ("ci", "ops")]
    done = threading.Event()

    def exchange() -> None:
        while not done.is_set():
            for each in ids:
                teams.call("POST", f"/containers/{each}/rename?name={name}")
                teams.call("POST", f"/containers/{each}/rename?name={name}-{each[:6]}")

    thread = threading.Thread(target=exchange)
    thread.start()
    seen = {}
    try:
        with scoped.connect() as connection:
            for _ in range(1000):
                response = connection.roundtrip("GET", f"/containers/{name}/json")
                seen[response.status] = seen.get(response.status, 0) + 1
                if response.status == 200:
                    assert response.json()["Config"]["Labels"]["team"] == "ci"
                else:
                    assert response.status == 404, response
                    connection.close()
                    connection = scoped.connect()
    finally:
        done.set()
        thread.join()
        for each in ids:
            teams.call("DELETE", f"/containers/{each}?force=1")
    assert seen.get(200, 0) > 20 and seen.get(404, 0) > 20, seen


def test_a_network_of_the_scope_leads_to_no_other(scoped, teams):
    """The Engine looks for a container's network again at its start. When that one is gone, its name may
    be the beginning of the id of another."""
    foreign = teams.names["ops"]["network"]
    for name in (foreign, foreign[:12], foreign[0], "net-ops"):
        refused = post(scoped, "/networks/create", {"Name": name})
        assert refused.status == 403, (name, refused)
        assert "/Name" in refused.json()["message"]
    assert teams.call("GET", "/networks/net-ops").json()["Id"] == foreign


@pytest.mark.parametrize("kind", ["container", "network"])
def test_a_build_enters_nothing_foreign(scoped, teams, kind):
    prefix = "container:" if kind == "container" else ""
    for team, status in (("ops", 404), ("ci", 200)):
        mode = quote(prefix + teams.names[team][kind])
        built = scoped.roundtrip("POST", f"/build?networkmode={mode}", {"Content-Type": "application/x-tar"},
                                 context(b"FROM " + IMAGE.encode() + b"\nRUN true\n"))
        assert built.status == status, built
        assert status == 404 or b"Successfully built" in built.body
    mode = quote(prefix + teams.names["ci"][kind][:12])
    refused = scoped.roundtrip("POST", f"/build?networkmode={mode}", {"Content-Type": "application/x-tar"}, b"")
    assert refused.status == 403
    assert "full id" in refused.json()["message"]


def context(dockerfile: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))
    return buffer.getvalue()


def test_a_volume_without_a_name_gets_no_foreign_label(scoped):
    mount = {"Type": "volume", "Target": "/x", "VolumeOptions": {"Labels": {"team": "ops"}}}
    refused = post(scoped, "/containers/create", {"Image": IMAGE, "HostConfig": {"Mounts": [mount]}})
    assert refused.status == 403
    assert "/VolumeOptions/Labels/team" in refused.json()["message"]


@pytest.mark.parametrize("name", ["before", "since"])
def test_a_filter_tells_of_no_foreign_object(scoped, teams, name):
    """The Engine says whether there is such a container, by the beginning of its id too."""
    seen = set()
    for reference in (teams.names["ops"]["container"], "f" * 64):
        listed = post(scoped, "/containers/json?filters=" + quote(json.dumps({name: [reference]})), method="GET")
        seen.add((listed.status, listed.json()["message"]))
    assert len(seen) == 1 and seen.pop()[0] == 403


def test_references_are_spelled_as_the_engine_spells_them(scoped, teams):
    """A slash in front of a name, and a link without an alias: the name of the container is the alias."""
    own = teams.names["ci"]["container"]
    name = teams.call("GET", f"/containers/{own}/json").json()["Name"]
    host = {"VolumesFrom": [name], "PidMode": f"container:{name}", "Links": [name.strip("/")]}
    made = post(scoped, "/containers/create", {"Image": IMAGE, "HostConfig": host})
    assert made.status == 201, made
    container = made.json()["Id"]
    try:
        host = teams.call("GET", f"/containers/{container}/json").json()["HostConfig"]
        assert host["VolumesFrom"] == [own]
        assert host["PidMode"] == f"container:{own}"
        assert host["Links"][0].split("/")[-1] == name.strip("/")
    finally:
        teams.call("DELETE", f"/containers/{container}?force=1")


def test_a_network_is_the_one_that_was_looked_at(scoped, teams):
    """The Engine looks for a network by name at each start: by then the name may be another team's."""
    name = f"squat-{uuid.uuid4().hex[:8]}"
    bodies = (
        {"HostConfig": {"NetworkMode": name}},
        {"HostConfig": {"NetworkMode": name}, "NetworkingConfig": None},
        {"HostConfig": {"NetworkMode": name}, "NetworkingConfig": {"EndpointsConfig": None}},
        {"HostConfig": {"NetworkMode": name}, "NetworkingConfig": {"EndpointsConfig": {name: {"Aliases": ["db"]}}}},
        {"HostConfig": {"NetworkMode": name}, "NetworkingConfig": {"EndpointsConfig": {name: None}}},
        {"NetworkingConfig": {"EndpointsConfig": {name: {"NetworkID": ""}}}},
    )
    network = post(scoped, "/networks/create", {"Name": name}).json()["Id"]
    made = [post(scoped, "/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "9"], **body}) for body in bodies]
    assert [each.status for each in made] == [201] * len(bodies), made
    first = made[0].json()["Id"]
    assert post(scoped, f"/containers/{first}/start").status == 204
    networks = teams.call("GET", f"/containers/{first}/json").json()["NetworkSettings"]["Networks"]
    assert [(key, each["NetworkID"]) for key, each in networks.items()] == [(name, network)]
    teams.call("DELETE", f"/containers/{first}?force=1")
    assert post(scoped, f"/networks/{network}", method="DELETE").status == 204
    other = teams.make("/networks/create", {"Name": name, "Labels": {"team": "ops"}})["Id"]
    try:
        for response in made[1:]:
            container = response.json()["Id"]
            assert post(scoped, f"/containers/{container}/start").status == 404
            joined = teams.call("GET", f"/networks/{other}").json()["Containers"]
            assert not joined, container
    finally:
        for response in made[1:]:
            teams.call("DELETE", f"/containers/{response.json()['Id']}?force=1")
        teams.call("DELETE", f"/networks/{other}")


def test_a_connection_goes_on_after_what_is_not_there(scoped):
    with scoped.connect() as connection:
        assert connection.roundtrip("GET", "/containers/nothing/json").status == 404
        assert connection.roundtrip("GET", "/_ping").status == 200


def test_an_image_of_a_container_owns_no_others(scoped, teams):
    """The Engine gives an image the labels of its container, and a container those of its image."""
    own = teams.names["ci"]["container"]
    changes = quote('LABEL team="ops" image.team="ops"')
    image = post(scoped, f"/commit?container={own}&changes={changes}", {"Labels": {"a": "b"}}).json()["Id"]
    made = teams.make("/containers/create", {"Image": image, "Cmd": ["true"]})["Id"]
    try:
        labels = teams.call("GET", f"/images/{image}/json").json()["Config"]["Labels"]
        assert labels == {"a": "b", "team": "", "image.team": "ci"}
        assert post(scoped, f"/containers/{made}/json", method="GET").status == 404
    finally:
        teams.call("DELETE", f"/containers/{made}")
        assert post(scoped, f"/images/{image}", method="DELETE").status == 200


@pytest.mark.parametrize("path", ["/services/x", "/tasks/x", "/secrets/x", "/configs/x", "/nodes/x"])
def test_without_a_swarm_there_is_nothing_of_one(scoped, path):
    """Clients try one kind after the other, until one is not missing."""
    assert post(scoped, path, method="GET").status == 404


def test_a_dockerfile_makes_no_containers_of_the_scope(scoped, teams):
    """What a build gives its image counts more than what its Dockerfile says."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        text = f"FROM {IMAGE}\nLABEL team=ci other=kept\n".encode()
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    built = scoped.roundtrip("POST", "/build?t=scope-built", {"Content-Type": "application/x-tar"}, context.getvalue())
    assert built.status == 200 and b"Successfully tagged" in built.body, built
    labels = teams.call("GET", "/images/scope-built/json").json()["Config"]["Labels"]
    assert labels == {"team": "", "image.team": "ci", "other": "kept"}
    assert post(scoped, "/images/scope-built", method="DELETE").status == 200


@pytest.mark.parametrize("format", ["-oargs=PID", "-oargs,uid,pid", "-o%aPID", "-Oargs,pid", "--format args,pid"])
def test_a_list_of_processes_shows_none_of_the_host(scoped, teams, format):
    """ps may list any process, and the Engine quotes what stands in the column PID and is no number."""
    foreign = teams.call("GET", f"/containers/{teams.names['ops']['container']}/json").json()["State"]["Pid"]
    path = f"/containers/{teams.names['ci']['container']}/top?ps_args="
    shown = teams.call("GET", path + quote(f"{format} -p {foreign}"))
    hidden = post(scoped, path + quote(f"{format} -p {foreign}"), method="GET")
    assert shown.status in (200, 500) and hidden.status == 403, (shown, hidden)
    assert b"?ps_args: " in hidden.body
    for usual in ("", "aux", "-ef", "axeww", f"-f -p {foreign}"):
        own = post(scoped, path + quote(usual), method="GET")
        assert own.status == 200 and str(foreign) not in str(own.json()["Processes"]), own


@pytest.mark.parametrize("spelled", [slice(0), slice(12), slice(64)], ids=["name", "prefix", "id"])
def test_a_network_that_is_gone_is_replaced_by_no_other(scoped, teams, spelled):
    """However the body names it: the Engine keeps the name, and looks for it at the start."""
    name = f"gone-{uuid.uuid4().hex[:8]}"
    network = post(scoped, "/networks/create", {"Name": name}).json()["Id"]
    host = {"NetworkMode": network[spelled] or name}
    made = post(scoped, "/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "60"], "HostConfig": host})
    assert made.status == 201, made
    assert post(scoped, f"/networks/{network}", method="DELETE").status == 204
    other = teams.make("/networks/create", {"Name": name, "Labels": {"team": "ops"}})["Id"]
    try:
        assert post(scoped, f"/containers/{made.json()['Id']}/start").status == 404
    finally:
        teams.call("DELETE", f"/containers/{made.json()['Id']}?force=1")
        teams.call("DELETE", f"/networks/{other}")


@pytest.mark.parametrize("endpoint", [{}, {"EndpointConfig": None}, {"EndpointConfig": {"Aliases": ["db"]}},
                                      {"EndpointConfig": {"NetworkID": "id"}}])
def test_a_connection_is_to_the_network_that_was_looked_at(scoped, teams, endpoint):
    """A container that does not run keeps the name of the network until its start."""
    name = f"joined-{uuid.uuid4().hex[:8]}"
    network = post(scoped, "/networks/create", {"Name": name}).json()["Id"]
    container = post(scoped, "/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "9"]}).json()["Id"]
    body = json.loads(json.dumps({"Container": container, **endpoint}).replace('"id"', f'"{network[:9]}"'))
    assert post(scoped, f"/networks/{name}/connect", body).status == 200
    assert post(scoped, f"/networks/{network}", method="DELETE").status == 204
    other = teams.make("/networks/create", {"Name": name, "Labels": {"team": "ops"}})["Id"]
    try:
        assert post(scoped, f"/containers/{container}/start").status == 404
        assert not teams.call("GET", f"/networks/{other}").json()["Containers"]
    finally:
        teams.call("DELETE", f"/containers/{container}?force=1")
        teams.call("DELETE", f"/networks/{other}")
