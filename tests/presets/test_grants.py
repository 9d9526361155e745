"""Each preset lets its app through and nothing else, asked of the program itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from conftest import BINARY, CATALOGUE, NAMES, expected, explain, explain_all, serving

# What a version-less path means to the Engine, an old client's prefix and a new one's.
VERSIONS = ["", "/v1.24", "/v1.44", "/v1.52"]

# Operations that no preset holds: code for the Engine itself, its memory, and requests in which an
# ordinary operation means another one.
NEVER = {
    "container.start_with_config", "container.start_from_checkpoint", "container.copy", "container.attach_ws",
    "swarm.unlockkey",
}
NEVER_FAMILIES = ("debug.", "libpod.", "checkpoint.")

# What shows more than lists and descriptions: in no preset that is called read-only.
MORE_THAN_READING = {
    "container.logs", "container.top", "container.changes", "container.export",
    "container.archive_get", "container.archive_stat", "image.save", "service.logs", "task.logs",
    "exec.inspect", "swarm.inspect", "secret.list", "secret.inspect", "config.list", "config.inspect",
    "system.df", "image.search", "distribution.inspect", "plugin.inspect", "plugin.privileges",
}

# Requests that no policy but `open` lets through, whatever it grants.
HOSTILE = [
    # Doors beside the ones the catalogue knows.
    "GET /containersfoo", "GET /versionx", "GET /_pingx", "GET /containers", "GET /", "GET /v1.41",
    "GET /containers/json/", "GET /Containers/json", "GET /containers/JSON", "GET /V1.41/version",
    "GET /containers/web/start", "POST /containers/json", "POST /version", "DELETE /_ping",
    "PATCH /containers/web", "get /containers/json", "TRACE /version", "PUT /containers/json",
    # HEAD goes where the API has it.
    "HEAD /version", "HEAD /info", "HEAD /containers/json", "HEAD /containers/web/json", "HEAD /events",
    "HEAD /containers/web/logs", "OPTIONS /version", "OPTIONS /containers/json", "CONNECT /_ping",
    # Paths that another reader understands differently.
    "GET //containers/json", "GET /v1.41//containers/json", "GET /./containers/json",
    "GET /containers/../version", "GET /containers/%2e%2e/version", "GET /_ping/../secrets",
    "GET /containers/%2Fweb/json", "GET /containers/web%2fattach%2fws", "GET /containers%2fjson",
    "GET /version%00", "GET /containers/web%0a/json", "GET /containers/json%3Fall=1",
    "GET /containers/json%23x", "GET /containers\\json", "GET /version%zz", "GET /version%",
    "GET /containers/json?all=1;x=2", "GET /images/..%2fcontainers/json",
    "GET /images/x/../../secrets/json", "GET /v/version", "GET /v1..41/version",
    # Interactive sessions by GET, in the spellings that reach the Engine's handler.
    "GET /containers/web/attach/ws", "GET /v1.41/containers/web/attach/ws?stream=1&stdin=1",
    "GET /containers/web/%61ttach/ws", "GET /%63ontainers/web/attach/%77s", "GET /containers/web%2Fattach/ws",
    # The Engine's memory and arguments.
    "GET /debug/pprof/heap", "GET /debug/pprof/cmdline", "GET /debug/vars", "GET /v1.41/debug/vars",
    "GET /debug/pprof/goroutine?debug=2", "POST /debug/vars", "DELETE /debug/vars",
    # Podman's own API stands beside the one the presets are about.
    "GET /libpod/containers/json", "POST /libpod/containers/create", "GET /v4.0.0/libpod/info",
    # Keys and membership of the swarm.
    "GET /swarm/unlockkey", "POST /swarm/init", "POST /swarm/join", "POST /swarm/leave?force=1",
    "POST /swarm/update?version=1", "POST /swarm/unlock",
    # Plugins are root on the machine.
    "POST /plugins/pull?remote=x", "POST /plugins/create?name=x", "POST /plugins/x/enable",
    "POST /plugins/x/set", "POST /plugins/x/upgrade?remote=y", "DELETE /plugins/x",
    "GET /plugins/privileges?remote=x",
    # A file out of a container, the old way.
    "POST /v1.23/containers/web/copy", "POST /v1.023/containers/web/copy", "POST /containers/web/copy",
    "POST /containers/web/checkpoints", "GET /containers/web/checkpoints",
]


def with_versions(requests: list[str]) -> list[str]:
    """Each request as it is, and with API versions in front of its path."""
    return [request.replace(" /", f" {version}/", 1) for request in requests for version in VERSIONS]


@pytest.mark.parametrize("name", NAMES)
def test_the_app_gets_through(name: str, engine: Path) -> None:
    """A preset that stops its app sends people back to POLICY=open."""
    with serving(name, engine) as proxy:
        statuses = proxy.ask_all(with_versions(expected(name)["sends"]))
    assert {request: status for request, status in statuses.items() if status != 200} == {}


LIBRARIES = ["act-runner", "compose", "gitlab-runner", "ryuk", "testcontainers"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_public_method_of_a_library_works(name: str, tmp_path: Path) -> None:
    """Which methods a program calls nobody knows: all must work, and nothing is granted for none."""
    interface = expected(name)["interface"]
    decisions = {method: explain_all(name, requests, tmp_path) for method, requests in interface.items()}
    assert {m: [a.request for a in of if not a.allowed] for m, of in decisions.items()
            if not all(a.allowed for a in of)} == {}
    reached = {a.text.split()[1] for of in decisions.values() for a in of}
    assert sorted(reached) == sorted(expected(name)["grants"])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_else_of_the_catalogue_gets_through(name: str, engine: Path) -> None:
    """The table of grants is what people read: one operation more is a hole, one less a lie."""
    rows = [row for row in CATALOGUE if not row.body]
    with serving(name, engine) as proxy:
        statuses = {row: proxy.ask(str(row.request())) for row in rows}
    assert set(statuses.values()) <= {200, 403, 404}  # 404: allowed, and no object of the scope is named
    allowed = {row.operation for row, status in statuses.items() if status != 403}
    assert sorted(allowed) == sorted(expected(name)["grants"])


@pytest.mark.parametrize("name", NAMES)
def test_requests_close_to_the_apps_own_are_refused(name: str, engine: Path) -> None:
    """What an attacker inside the app would try next."""
    with serving(name, engine) as proxy:
        statuses = proxy.ask_all(with_versions(expected(name)["refuses"]))
    assert {request: status for request, status in statuses.items() if status != 403} == {}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_requests_are_refused(name: str, engine: Path) -> None:
    """No preset opens a side door."""
    with serving(name, engine) as proxy:
        statuses = proxy.ask_all(HOSTILE)
    assert {request: status for request, status in statuses.items() if status not in (400, 403, 405)} == {}


def creators() -> list[str]:
    """Presets that can start a container."""
    return [name for name in NAMES if "container.start" in expected(name)["grants"]]


@pytest.mark.parametrize("name", creators())
@pytest.mark.parametrize("version", ["/v1.23", "/v1.12", "/v1.023", "/v01.23"])
def test_start_with_a_configuration_is_refused(name: str, version: str, tmp_path: Path) -> None:
    """Before API 1.24 a body of start replaces the container's settings: privileged, any mount."""
    body = tmp_path / "body.json"
    body.write_text('{"Binds": ["/:/host"], "Privileged": true}')
    decision = explain(name, f"POST {version}/containers/web/start", "--body", str(body))
    assert not decision.allowed


def pullers() -> list[str]:
    """Presets that may pull images and not import them."""
    return [name for name in NAMES
            if {"image.pull", "image.import"} & set(expected(name)["grants"]) == {"image.pull"}]


@pytest.mark.parametrize("name", pullers())
def test_import_in_the_clothes_of_a_pull_is_refused(name: str) -> None:
    """An empty fromImage is none to the Engine: the image then comes from fromSrc or the body."""
    for query in ("?fromImage=&fromSrc=-&repo=busybox", "?fromSrc=http://192.0.2.1/x", "", "?FROMIMAGE=x",
                  "?fromImage&fromSrc=-", "?fromImage=&fromImage=x&fromSrc=-"):
        assert not explain(name, f"POST /images/create{query}").allowed, query


@pytest.mark.parametrize("name", NAMES)
def test_what_no_preset_holds(name: str) -> None:
    """Even presets that are root keep to what their apps are known to ask."""
    grants = set(expected(name)["grants"])
    assert not grants & NEVER
    assert not [grant for grant in grants if grant.startswith(NEVER_FAMILIES)]


@pytest.mark.parametrize("name", [n for n in NAMES if "read-only" in n])
def test_read_only_is_reading_and_no_more(name: str) -> None:
    """Who reads 'read-only' expects lists and descriptions: no writing, no files, no logs."""
    grants = set(expected(name)["grants"])
    assert not grants & MORE_THAN_READING
    traits = {e.operation: e.traits for e in CATALOGUE if e.operation in grants}
    assert [operation for operation, of in traits.items() if "READ" not in of or "FAR" in of] == []


@pytest.mark.parametrize("name", ["traefik", "read-only", "watchtower"])
def test_a_denial_names_the_preset(name: str) -> None:
    """The message is what the user has: which policy, and where it is written."""
    decision = explain(name, "POST /containers/web/exec")
    assert not decision.allowed
    assert decision.text.startswith("deny exec.create")
    assert name in decision.text
    assert re.search(rf"presets/{name}\.yaml:\d+|presets/{name}\.yaml", decision.text)


def test_an_allowed_request_names_its_rule() -> None:
    """Who wants to take something away finds the line."""
    lines = Path(__file__).resolve().parents[2].joinpath("presets/traefik.yaml").read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "container.inspect" in line)
    assert f"presets/traefik.yaml:{number}" in explain("traefik", "GET /containers/web/json").text


def test_an_unknown_preset_is_refused() -> None:
    """A typing error must not start with another policy."""
    decision = explain("trafik", "GET /version")
    assert decision.status == 2 and not decision.text


@pytest.mark.parametrize(("name", "hint"), [
    ("trafik", "did you mean 'traefik'?"),
    ("gitlab", "did you mean 'gitlab-runner'?"),
    ("act", "did you mean 'act-runner'?"),
    ("forgejo", "did you mean 'forgejo-runner'?"),
    ("wud", "did you mean 'whats-up-docker'?"),
    ("docker-compose", "did you mean 'compose'?"),
    ("runner", "there are act-runner, ci-runner, forgejo-runner, gitlab-runner"),
    ("portainer-ro", "there are portainer, portainer-read-only, portainer-swarm"),
    ("portainer-readonly", "did you mean 'portainer-read-only'?"),
    ("nonsense", "--help lists the presets"),
])
def test_an_unknown_preset_is_refused_with_what_is_near(name: str, hint: str) -> None:
    """People know an app by its short name."""
    done = subprocess.run([BINARY, "check", "--policy", name], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, check=False, env={})
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(f"no policy or preset is called '{name}'; {hint}")
