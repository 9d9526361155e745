"""Spellings that have got past other proxies, on an Engine that really decodes and cleans paths.

What is forwarded gets the same response as without the proxy; what could be read in two ways
never reaches it. The tests that run `direct` show that the Engine would have done it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import proxy as program
import pytest
from conftest import eventually
from engine import IMAGE
from tap import Tap
from test_files import tar_of

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def tap(engine) -> Iterator[Tap]:
    with Tap(engine.socket) as tapped:
        yield tapped


@pytest.fixture(scope="module")
def tapped(binary, tap) -> Iterator[program.Proxy]:
    """A proxy of which is seen what it sends."""
    with closing(program.Proxy(binary, tap.path)) as running:
        yield running


@pytest.fixture(scope="module")
def denying_debug(binary, engine, tmp_path_factory) -> Iterator[program.Proxy]:
    folder = tmp_path_factory.mktemp("policy")
    file = folder / "proxy.yaml"
    file.write_text(
        "policy: careful\npolicies:\n  careful:\n    rules:\n"
        "      - deny: [debug.*]\n      - allow: ['*']\n"
    )
    with closing(program.Proxy(binary, engine.socket, {"CONFIG": str(file)})) as running:
        yield running


def lines(tap: Tap) -> Counter[str]:
    """All request lines that went to the Engine so far, on whichever connection."""
    return Counter(head.split("\r\n")[0] for head in tap.heads())


# one spelling: the Engine's response is the same


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        ("GET /%63ontainers/json?all=1", "GET /containers/json?all=1"),
        ("GET /%76%31.41/%63ontainers/js%6fn", "GET /v1.41/containers/json"),
        ("GET /v1.041/version", "GET /v1.41/version"),
        ("GET /v01.41.0/version", "GET /v1.41.0/version"),
        ("GET /networks/", "GET /networks"),
        ("GET /v1/version", "GET /v1/version"),
        ("GET /images/busybox%3Alatest/json", "GET /images/busybox:latest/json"),
        ("GET /containers/json/json", "GET /containers/json/json"),
        ("GET /containers/%252e%252e/json", "GET /containers/%252e%252e/json"),
        ("GET /containers/a/b/json", "GET /containers/a/b/json"),
        ("GET /containers/json/", "GET /containers/json/"),
        ("GET /containersfoo", "GET /containersfoo"),
        ("GET /Containers/json", "GET /Containers/json"),
        ("GET /V1.41/info", "GET /V1.41/info"),
        ("GET /v/info", "GET /v/info"),
        ("GET /v1.41", "GET /v1.41"),
        ("GET /containers/json%3Fall=1", "GET /containers/json%3Fall=1"),
        ("GET /containers/json%23x", "GET /containers/json%23x"),
        ("HEAD /containers/json", "HEAD /containers/json"),
        ("HEAD /version", "HEAD /version"),
        ("get /_ping", "get /_ping"),
        ("PROPFIND /_ping", "PROPFIND /_ping"),
        ("OPTIONS /containers/json", "OPTIONS /containers/json"),
        ("GET /containers/none/attach", "GET /containers/none/attach"),
        ("DELETE /debug/vars/none", "DELETE /debug/vars/none"),
    ],
)
def test_the_canonical_spelling_gets_the_response_of_the_engine(
    same, tap, tapped, sent, forwarded
):
    method, _, path = sent.partition(" ")
    same(lambda t: t.roundtrip(method, path).comparable())
    before = lines(tap)
    with tapped.connect() as connection:
        connection.roundtrip(method, path)
    assert lines(tap) - before == {f"{forwarded} HTTP/1.1": 1}


@pytest.mark.parametrize("spelling", ["{}/{}/{}", "{}%2F{}%2F{}", "{}%2f{}/{}", "{}/{}%2F{}"])
def test_image_names_hold_slashes(same, containers, unique, spelling):
    """dockerode escapes a name as a whole, the docker command does not."""
    tag = unique("tag")
    name = f"registry.example:5000/team/app:{tag}"
    path = f"/images/{IMAGE}/tag?repo=registry.example:5000/team/app&tag={tag}"
    assert containers.call("POST", path).status == 201
    spelled = spelling.format("registry.example:5000", "team", f"app%3a{tag}")
    response = same(lambda t: t.roundtrip("GET", f"/v1.41/images/{spelled}/json").comparable())
    assert response[1] == 200
    assert name in json.loads(response[4])["RepoTags"]
    containers.call("DELETE", f"/images/{name}")


def test_network_names_hold_anything_else(same, containers, unique):
    name = f"café 100% {unique('net')} [x]"
    assert containers.call("POST", "/networks/create", {"Name": name}).status == 201
    escaped = name.replace("%", "%25").replace(" ", "%20").replace("é", "%c3%a9")
    response = same(lambda t: t.roundtrip("GET", f"/networks/{escaped}").comparable())
    assert (response[1], json.loads(response[4])["Name"]) == (200, name)
    assert containers.call("DELETE", f"/networks/{escaped}").status == 204


@pytest.mark.parametrize("spelling", ["/containers/{}/attach", "/%63ontainers/{}/att%61ch"])
def test_attach_in_any_spelling_is_a_tunnel(target, containers, spelling):
    container = containers.create("cat", stdin=True)
    with target.connect() as connection:
        path = f"{spelling.format(container)}?stream=1&stdin=1&stdout=1"
        connection.request("POST", path, {**UPGRADE, "Content-Length": "0"})
        assert connection.head().status == 101
        connection.send(b"through\n")
        connection.half_close()
        assert connection.output() == {1: b"through\n"}


def test_a_websocket_client_attaches(target, containers):
    """The Engine demands an Origin there; a client that is no browser names the Host."""
    container = containers.create("cat", stdin=True)
    with target.connect() as connection:
        fields = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Origin": "http://localhost",
        }
        path = f"/containers/{container}/attach/ws?stream=1&stdin=1&stdout=1"
        connection.request("GET", path, fields)
        assert connection.head().status == 101


def test_a_parameter_given_twice_does_not_hide_an_import(target, containers, unique):
    """fromImage given, but first as nothing: the Engine imports the body. The proxy asks which."""
    repository = unique("imported")
    query = f"fromImage=&fromImage=none.invalid/x&fromSrc=-&repo={repository}"
    fields = {"Content-Type": "application/x-tar"}
    response = target.roundtrip("POST", f"/images/create?{query}", fields, tar_of(a=b"a"))
    if target.name == "direct":
        assert response.status == 200
        assert b"sha256:" in response.body
        assert containers.call("DELETE", f"/images/{repository}").status == 200
    else:
        assert response.status == 400
        assert "twice" in response.json()["message"]
        assert containers.call("GET", f"/images/{repository}/json").status == 404


# two readings: the Engine never sees it


@pytest.mark.parametrize(
    "sent",
    [
        "GET //containers/json",
        "GET /./containers/json",
        "GET /images/../containers/json",
        "GET /images/%2e%2e/containers/json",
        "GET /images%2f..%2fcontainers/json",
        "GET /containers//json",
        "GET /v1.41%2fcontainers%2fjson",
        "GET /v1.41/containers%2fjson",
        "GET /containers/web1%2fjson",
        "GET /containers/web1%2Farchive?path=/",
        "GET /containers/%2Fweb1/json",
        "GET /containers/web1%00/json",
        "GET /containers/web1%0a/json",
        "GET /containers/web1%5cjson",
        "GET /c%c3%b6ntainers/json",
        "GET /containers/%zz/json",
        "GET /v1..41/version",
        "GET /v.1.41/version",
        "GET /v1.41./version",
        "GET /v1.41.0.0/version",
        "GET /v99999999999999999999.41/version",
        "GET /containers/json?all=1;size=1",
        "GET /containers/json?all=%z",
        "POST //containers/web1/start",
        "DELETE /volumes/a%2fb",
        "CONNECT /_ping",
    ],
)
def test_what_has_two_readings_never_reaches_the_engine(tap, tapped, sent):
    method, _, path = sent.partition(" ")
    before = lines(tap)
    with tapped.connect() as connection:
        response = connection.roundtrip(method, path)
        refused = 405 if method == "CONNECT" else 400
        assert (response.status, response.header("Connection")) == (refused, "close")
        assert response.json()["message"]
        assert connection.until_close() == b""
    tapped.get("/_ping")
    assert lines(tap) - before == {"GET /_ping HTTP/1.1": 1}


@pytest.mark.parametrize(
    "media", [FORM, f"{FORM.upper()};charset=utf-8", f"\u00a0{FORM}", "applİcation" + FORM[11:]]
)
def test_a_form_overrides_no_query(target, containers, unique, media):
    """The Engine renames to what the form says; through the proxy nothing is renamed."""
    container, good, evil = containers.create("true", start=False), unique("good"), unique("evil")
    body = f"name={evil}".encode()
    response = target.roundtrip(
        "POST", f"/containers/{container}/rename?name={good}", {"Content-Type": media}, body
    )
    name = containers.call("GET", f"/containers/{container}/json").json()["Name"]
    if target.name == "direct":
        assert (response.status, name) == (204, f"/{evil}")
    else:
        assert response.status == 400
        assert name not in (f"/{good}", f"/{evil}")


def test_an_empty_form_is_served(target, containers):
    """curl -X POST -d '' announces a form of nothing."""
    container = containers.create("true", start=False)
    path, fields = f"/containers/{container}/start", {"Content-Type": FORM}
    assert target.roundtrip("POST", path, fields, b"").status == 204


def test_an_old_version_in_another_spelling_is_the_old_version(engine, tap, tapped, containers):
    """Start takes a whole configuration below 1.24: who judges must see that it is below. Engines from
    25 on (API 1.44) serve nothing below 1.24."""
    served = engine.api < (1, 44)
    container = containers.create("true", start=False)
    body = json.dumps({"Memory": 64 << 20}).encode()
    fields = {"Content-Type": "application/json"}
    with tapped.connect() as connection:
        path = f"/v1.023/containers/{container}/start"
        assert connection.roundtrip("POST", path, fields, body).status == (204 if served else 400)
    assert lines(tap)[f"POST /v1.23/containers/{container}/start HTTP/1.1"] == 1
    eventually(
        lambda: containers.call("GET", f"/containers/{container}/json").json()["HostConfig"][
            "Memory"
        ]
        == (64 << 20 if served else 0),
        "the Engine takes the configuration",
    )


# who may speak


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin", "Upgrade": "websocket"},
        {"Origin": "http://evil.example", "Upgrade": "websocket"},
    ],
)
def test_browsers_do_not_reach_the_engine(tap, tapped, fields):
    before = lines(tap)
    response = tapped.get("/containers/json", fields)
    assert response.status == 403
    assert response.json()["message"]
    assert lines(tap) == before


# what the Engine serves though its documents do not say so


def test_a_linked_name_is_no_way_around_a_denial(binary, engine, direct, containers, unique):
    """With links, app/db is a container to the Engine; who may not read logs reads none of it."""
    web, app = unique("web"), unique("app")
    alone = {"NetworkMode": "none"}
    linked = containers.create("sleep", "3600", HostConfig=alone)
    assert containers.call("POST", f"/containers/{linked}/rename?name={web}").status == 204
    linking = containers.create("sleep", "3600", HostConfig={**alone, "Links": [f"{web}:db"]})
    assert containers.call("POST", f"/containers/{linking}/rename?name={app}").status == 204
    logs = f"/containers/{app}/db/logs?stdout=1"
    assert direct.roundtrip("GET", logs).status == 200
    switches = {"CONTAINERS": "1", "ALLOW_LOGS": "0"}
    with closing(program.Proxy(binary, engine.socket, env=switches)) as running:
        assert running.get(logs).status == 403
        assert running.get(f"/containers/{app}/db/json").json()["Id"] == linked


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/debug/vars", "/debug/pprof/", "/debug/pprof/cmdline"])
def test_a_method_is_no_way_around_a_denial_of_debug(
    engine, denying_debug, direct, method, path
):
    """Engines up to 27 (API 1.47) show these pages whatever the method."""
    shown = method == "GET" or engine.api < (1, 48)
    assert direct.roundtrip(method, path).status == (200 if shown else 404)
    with denying_debug.connect() as connection:
        assert connection.roundtrip(method, path).status == 403
