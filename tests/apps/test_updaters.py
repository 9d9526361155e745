"""docs/apps/updaters.md: Diun looks; Watchtower replaces a container, as pkg/container of both its branches does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from attacks import answers, documented, same_files
from engine import Engine
from project import APPS, HOST, App, Project, docker

PAGE = "updaters.md"
ENABLED = "com.centurylinklabs.watchtower.enable"
RUNNING = "filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D"


@pytest.fixture(scope="module")
def diun_project(engine: Engine, other: str) -> Iterator[Project]:
    with closing(Project(engine, "diun")) as made:
        yield made


@pytest.fixture(scope="module")
def project(engine: Engine, other: str) -> Iterator[Project]:
    policy = (APPS / "watchtower/proxy.yaml").read_text()
    if docker(engine, "info", "--format", "{{.CgroupVersion}}") == "1":
        policy = policy.replace("# namespaces:", "namespaces:")  # as the line says
    with closing(Project(engine, "watchtower", policy=policy)) as made:
        yield made


@pytest.fixture
def watchtower(project: Project) -> App:
    return project.app("watchtower")


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, *(f"{app}/{name}" for app in ("diun", "watchtower") for name in ("compose.yml", "proxy.yaml"))) == []


# ── Diun ────────────────────────────────────────────────────────────────────────────────────────


def test_diun_looks_at_images(diun_project: Project) -> None:
    """Every container, and the digest of its image; no environment."""
    diun = diun_project.app("diun")
    assert f"DIUN_PROVIDERS_DOCKER_ENDPOINT={HOST}" in diun_project.container("diun")["Config"]["Env"]
    assert diun.ask("HEAD /_ping").status == 200
    for entry in diun.ok(f"GET /v1.41/containers/json?{RUNNING}"):
        inspected = diun.ask(f"GET /v1.41/containers/{entry['Id']}/json")
        assert inspected.status == 200 and b"of-another" not in inspected.body
        assert diun.ok(f"GET /v1.41/images/{entry['ImageID']}/json")["Id"] == entry["ImageID"]


def test_attacks_on_diun_get_the_answers_of_the_page(diun_project: Project) -> None:
    assert answers(diun_project, "diun", PAGE) == documented(PAGE)


# ── Watchtower ──────────────────────────────────────────────────────────────────────────────────


def test_watchtower_sees_labelled_containers_alone(project: Project, watchtower: App) -> None:
    listed = watchtower.ok(f"GET /containers/json?{RUNNING}")
    assert [one["Labels"]["com.docker.compose.service"] for one in listed] == ["web"]
    assert watchtower.refusal("GET /containers/other/json") == "No such container: other"


@pytest.mark.parametrize("branch", ["containrrr", "nicholas-fedor"])
def test_watchtower_replaces_a_container(engine: Engine, project: Project, watchtower: App, branch: str) -> None:
    """Pull, kill, remove, create as an inspection showed it, networks, start."""
    former = watchtower.ok(f"GET /containers/{project.container('web')['Id']}/json")
    assert watchtower.ok(f"GET /images/{former['Image']}/json")["Id"] == former["Image"]
    pulled = watchtower.ask("POST /images/create?fromImage=docker.io%2Flibrary%2Fnginx&tag=stable")
    assert b"not allow" not in pulled.body, "it is the Engine that has no registry here"
    docker(engine, "commit", former["Id"], "nginx:stable")  # the newer image
    watchtower.ok("GET /images/nginx:stable/json")
    watchtower.ok(f"POST /containers/{former['Id']}/kill?signal=SIGKILL")
    watchtower.ok(f"DELETE /containers/{former['Id']}?force=1&v=0")
    networks = former["NetworkSettings"]["Networks"]
    for endpoint in (former["Config"], *networks.values()):
        endpoint.pop("MacAddress", None)  # that of the former container
    body = {**former["Config"], "HostConfig": former["HostConfig"], "NetworkingConfig": {"EndpointsConfig": networks}}
    name = former["Name"].lstrip("/")
    created = watchtower.ok("POST /containers/create" + (f"?name={name}" if branch == "containrrr" else ""), body)["Id"]
    if branch == "containrrr":
        for network, endpoint in networks.items():
            watchtower.ok(f"POST /networks/{network}/disconnect", {"Container": created, "Force": True})
            watchtower.ok(f"POST /networks/{network}/connect", {"Container": created, "EndpointConfig": endpoint})
    else:
        watchtower.ok(f"POST /containers/{created}/rename?name={name}")
    watchtower.ok(f"POST /containers/{created}/start")
    found = project.container("web")
    assert found["Id"] == created and found["Image"] != former["Image"] and found["State"]["Running"]
    assert (found["Mounts"][0]["Name"], list(found["NetworkSettings"]["Networks"])) == ("watchtower-web", ["watchtower-web"])
    assert found["Config"]["Labels"][ENABLED] == "true"


def test_an_update_that_the_block_denies(watchtower: App) -> None:
    """A container that had a folder of the host is not made again: the reason why the page says to look first."""
    refused = watchtower.refusal("POST /containers/create", {
        "Image": "nginx:stable", "Labels": {ENABLED: "true"}, "HostConfig": {"Binds": ["/srv/web:/web"], "Runtime": "runc"}})
    assert "bind of the host's path '/srv/web' is not allowed" in refused and "runtime" not in refused


def test_attacks_on_watchtower_get_the_answers_of_the_page(project: Project) -> None:
    head = "answer of Watchtower's proxy"
    assert answers(project, "watchtower", PAGE, head) == documented(PAGE, head)
