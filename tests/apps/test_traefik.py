"""docs/apps/traefik.md: Traefik's docker provider. The requests are those of pkg/provider/docker/pdocker.go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from attacks import answers, documented, same_files
from engine import Engine
from project import HOST, App, Project, docker

PAGE = "traefik.md"


@pytest.fixture(scope="module")
def project(engine: Engine, other: str) -> Iterator[Project]:
    with closing(Project(engine, "traefik")) as made:
        yield made


@pytest.fixture
def traefik(project: Project) -> App:
    return project.app("traefik")


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, "traefik/compose.yml", "traefik/proxy.yaml") == []


def test_its_setting_leads_to_the_proxy(project: Project, traefik: App) -> None:
    """The name in the arguments is that of the proxy on the network that both share."""
    assert f"--providers.docker.endpoint={HOST}" in project.container("traefik")["Config"]["Cmd"]
    assert traefik.run("curl", "-sS", "http://docker-socket-proxy:3277/_ping").stdout == "OK"


@pytest.mark.parametrize("version", ["", "/v1.24"])
def test_it_finds_the_services(traefik: App, version: str) -> None:
    """Labels, network and address of each container; newer versions agree on a version, older ones send 1.24."""
    traefik.ok(f"GET {version}/version")
    assert traefik.ask("HEAD /_ping").status == 200
    listed = traefik.ok(f"GET {version}/containers/json?all=1")
    seen = {one["Config"]["Labels"].get("com.docker.compose.service"): one
            for one in (traefik.ok(f"GET {version}/containers/{entry['Id']}/json") for entry in listed)}
    whoami = seen["whoami"]
    assert whoami["Config"]["Labels"]["traefik.http.routers.whoami.rule"] == "PathPrefix(`/`)"
    assert whoami["NetworkSettings"]["Networks"]["traefik-web"]["IPAddress"]
    assert whoami["State"]["Running"]


def test_it_sees_containers_come(engine: Engine, traefik: App) -> None:
    """The stream of events of containers, whose filter Traefik sends. `since`: the Engine responds before it listens."""
    target = f'/events?since={int(time.time())}&filters={{"type":{{"container":true}}}}'
    with traefik.connect() as connection:
        connection.request("GET", target.replace('"', "%22").replace("{", "%7B").replace("}", "%7D"))
        assert connection.head().status == 200
        docker(engine, "run", "--rm", "--detach", "busybox:latest", "true")
        while '"Action":"start"' not in connection.chunk().decode():
            pass


def test_secrets_of_other_apps_are_hidden(traefik: App) -> None:
    """Traefik may inspect all containers; their environment, commands and mounts are not for it."""
    inspected = traefik.ask("GET /containers/other/json")
    assert b"PASSWORD=redacted" in inspected.body and b"of-another" not in inspected.body
    assert inspected.json()["Mounts"][0]["Source"] == "redacted"


def test_attacks_get_the_answers_of_the_page(project: Project) -> None:
    assert answers(project, "traefik", PAGE) == documented(PAGE)


def test_others_on_its_network_may_do_nothing(engine: Engine, project: Project) -> None:
    """Whoever joins the network later is not Traefik."""
    address = project.app("traefik").address
    stranger = docker(engine, "run", "--detach", "--network", "traefik-docker-api", "busybox:latest", "sleep", "1000000")
    assert "not allowed by policy 'deny'" in App(engine, stranger, address).refusal("GET /containers/json")
    docker(engine, "rm", "--force", stranger)


def test_the_record_has_its_requests(project: Project, traefik: App) -> None:
    """The audit record on standard output, and status by the admin socket."""
    traefik.ok("GET /version")
    project.await_log('"client":"traefik"')
    assert "traefik" in project.compose("exec", "-T", "docker-socket-proxy", "/docker-socket-proxy", "status")
