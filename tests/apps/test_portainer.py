"""docs/apps/portainer.md: the snapshot that Portainer takes (pkg/snapshot/docker.go), its pages, and stacks of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from attacks import LIMITS, answers, documented, same_files
from engine import Engine
from project import APPS, HOST, App, Project

PAGE = "portainer.md"
SNAPSHOT = ("GET /info", "GET /containers/json?all=1", "GET /images/json", "GET /volumes", "GET /networks", "GET /version")
PAGES = ("GET /plugins", "GET /events?since=1&until=2", "GET /volumes/other", "GET /images/busybox:latest/json", "GET /images/busybox:latest/history",
         "GET /containers/other/json", "GET /containers/other/stats?stream=false", "GET /networks/other-docker-api",
         "GET /volumes?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D")
BUTTONS = ("POST /containers/other/stop", "POST /containers/other/restart", "DELETE /containers/other", "POST /images/create?fromImage=busybox&tag=latest",
           "DELETE /volumes/other", "DELETE /networks/other-docker-api", "POST /build?t=x", "GET /containers/other/logs?stdout=1")


@pytest.fixture(scope="module")
def project(engine: Engine, other: str) -> Iterator[Project]:
    with closing(Project(engine, "portainer")) as made:
        yield made


def test_the_page_shows_the_files() -> None:
    assert same_files(PAGE, "portainer/compose.yml", "portainer/proxy.yaml", "portainer/stacks.yaml") == []


def test_it_shows_everything(project: Project) -> None:
    """The snapshot, with an inspection of each container that runs, and what its pages show."""
    portainer = project.app("portainer")
    assert project.container("portainer")["Config"]["Cmd"] == ["-H", HOST]
    assert portainer.ask("HEAD /_ping").status == 200
    for request in (*SNAPSHOT, *PAGES):
        portainer.ok(request)
    for entry in portainer.ok("GET /containers/json?all=1"):
        assert b"of-another" not in portainer.ask(f"GET /containers/{entry['Id']}/json").body


@pytest.mark.parametrize("request_", BUTTONS)
def test_its_buttons_say_why_not(project: Project, request_: str) -> None:
    assert "not allowed by policy 'display'" in project.app("portainer").refusal(request_)


def test_attacks_get_the_answers_of_the_page(project: Project) -> None:
    assert answers(project, "portainer", PAGE) == documented(PAGE)


@pytest.fixture
def stacks(engine: Engine, project: Project) -> Iterator[App]:
    """Portainer after its owner has put stacks.yaml in the place of proxy.yaml, and given SIGHUP."""
    before = (project.folder / "proxy.yaml").read_text()

    def change(text: str) -> None:
        (project.folder / "proxy.yaml").write_text(text)  # the same file, which is mounted
        project.compose("exec", "-T", "docker-socket-proxy", "/docker-socket-proxy", "reload")

    change((APPS / "portainer/stacks.yaml").read_text())
    yield project.app("portainer")
    change(before)


def test_it_makes_stacks_of_its_own(engine: Engine, stacks: App) -> None:
    """A network, a volume, a container with a port; its console, logs and statistics; and all of it goes again."""
    labels = {"com.docker.compose.project": "shop"}
    stacks.ok("POST /networks/create", {"Name": "shop_default", "Driver": "bridge", "Labels": labels})
    stacks.ok("POST /volumes/create", {"Name": "shop_data", "Labels": labels})
    made = stacks.ok("POST /containers/create?name=shop-web", {
        "Image": "busybox:latest", "Cmd": ["sleep", "1000000"], "Labels": labels,
        "HostConfig": {"Binds": ["shop_data:/data"], "NetworkMode": "shop_default", "RestartPolicy": {"Name": "always"},
                       "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
        "NetworkingConfig": {"EndpointsConfig": {"shop_default": {"Aliases": ["web"]}}}, "ExposedPorts": {"80/tcp": {}}})["Id"]
    stacks.ok(f"POST /containers/{made}/start")
    console = stacks.ok(f"POST /containers/{made}/exec", {"Cmd": ["echo", "hello"], "AttachStdout": True, "AttachStdin": True, "Tty": True})["Id"]
    with stacks.stream(f"POST /exec/{console}/start", {"Detach": False, "Tty": True}) as stream:
        assert stream.until(b"hello")
    stacks.ok(f"GET /containers/{made}/stats?stream=false")
    assert stacks.ask(f"GET /containers/{made}/logs?stdout=1").status == 200
    assert [entry["Id"] for entry in stacks.ok("GET /containers/json?all=1")] == [made], "it sees its own containers alone"
    assert engine.get(f"/containers/{made}/json").json()["Config"]["Labels"]["docker-api"] == "portainer"
    for request in (f"DELETE /containers/{made}?force=1&v=1", "DELETE /volumes/shop_data", "DELETE /networks/shop_default"):
        stacks.ok(request)


@pytest.mark.usefixtures("stacks")
def test_attacks_on_stacks_get_their_answers(project: Project) -> None:
    """The second table of the page."""
    head = "answer with `stacks.yaml`"
    assert answers(project, "portainer", PAGE, head) == documented(PAGE, head)


def test_a_container_as_an_inspection_shows_it_is_refused(project: Project, stacks: App) -> None:
    """"Recreate" sends the Engine's own lists of masked paths back."""
    shown = project.container("portainer")["HostConfig"]["MaskedPaths"]
    refused = stacks.refusal("POST /containers/create", {"Image": "busybox:latest", "HostConfig": {"MaskedPaths": shown}})
    assert "masked" in refused


def test_a_container_of_another_is_not_there(stacks: App) -> None:
    for request in ("GET /containers/other/json", "POST /containers/other/stop", "DELETE /containers/other?force=1"):
        assert stacks.refusal(request) == "No such container: other"
    refused = stacks.refusal("POST /containers/create", {
        "Image": "busybox:latest", "HostConfig": {**LIMITS, "Binds": ["other:/data"]}})
    assert "other" in refused and "of-another" not in json.dumps(refused)
