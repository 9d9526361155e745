"""The compose files of README.md and docs/README.md run as they are pasted.

No registry is asked. The image that was built takes the proxy's name. Stand-ins take the names of
the apps: each asks the proxy for what the app asks for, and writes the responses to its log.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from conftest import BASE, ROOT, Docker
from machine import DOCKER_COMPOSE, free_port

DOCUMENTS = ("README.md", "docs/README.md", "docs/presets.md", "docs/status.md")
PROXY = "docker-socket-proxy:c-latest"
SOCKET = "/var/run/docker.sock"
PATIENCE = 60

# One line for each response: method, path, status line, fields, body.
ASK = r"""
ask() {
	perl -MIO::Socket::INET -MIO::Socket::UNIX -e '
		my ($endpoint, $method, $path) = @ARGV;
		my $socket = $endpoint =~ m,^unix://(.*), ? IO::Socket::UNIX->new(Peer => $1)
			: IO::Socket::INET->new($endpoint =~ s,^tcp://,,r) or exit 1;
		print $socket "$method $path HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";
		my $response = join("", <$socket>) or exit 1;
		print "$method $path ", $response =~ s/[\r\n]+/ /gr, "\n"' "$endpoint" "$1" "$2"
}
until ask GET /version; do sleep 0.1; done
"""

# What Traefik asks for at the endpoint in its arguments, and one request that its preset denies.
TRAEFIK = r"""
endpoint=${*##*.endpoint=}
endpoint=${endpoint%% *}
""" + ASK + r"""
ask GET /v1.24/containers/json
ask GET "/v1.24/containers/$HOSTNAME/json"
ask POST /v1.24/containers/create
echo all asked
exec sleep infinity
"""

CLIENT = "endpoint=${DOCKER_HOST:-$DOZZLE_REMOTE_HOST}" + ASK + r"""
ask GET /containers/json
ask POST /containers/create
echo all asked
exec sleep infinity
"""

STAND_INS = {
    "traefik:v3": TRAEFIK,
    "traefik/whoami": "exec sleep infinity",
    "amir20/dozzle": CLIENT,
    "your-image": CLIENT,
}


def compose_files(document: str) -> list[str]:
    """The blocks of a document that are whole compose files."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.search(r"^services:$", block, re.MULTILINE)]


@pytest.fixture(name="images", scope="module")
def images_of_the_documents(docker: Docker, image: str) -> None:
    """Every image that the documents name."""
    docker("tag", image, PROXY)
    container = docker("create", BASE, "true")
    for name, script in STAND_INS.items():
        entry = json.dumps(["bash", "-c", script, name])
        docker("commit", "--change", f"ENTRYPOINT {entry}", "--change", "CMD []", container, name)
    docker("rm", container)


@contextmanager
def pasted(docker: Docker, folder: Path, text: str) -> Iterator[Callable[..., str]]:
    """docker-compose with the file up. The Engine's socket and the port of the host are this test's."""
    assert f"{SOCKET}:{SOCKET}" in text
    text = text.replace(f"{SOCKET}:{SOCKET}", f"{docker.engine.socket}:{SOCKET}")
    text = text.replace('"80:80"', f'"{free_port()}:80"')
    (folder / "docker-compose.yml").write_text(text)
    environment = {**os.environ, "DOCKER_HOST": f"unix://{docker.engine.socket}",
                   "DOCKER_GID": str(docker.engine.socket.stat().st_gid)}

    def compose(*arguments: str) -> str:
        result = subprocess.run([*DOCKER_COMPOSE, "-p", "pasted", *arguments],
                                cwd=folder, env=environment, text=True, capture_output=True,
                                timeout=2 * PATIENCE, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    try:
        compose("up", "-d")
        yield compose
    finally:
        compose("down", "--timeout", "0", "--volumes")


def responses(compose: Callable[..., str], service: str) -> str:
    """What a stand-in wrote, as soon as it has asked for everything.

    The last line says that. The words alone say nothing: the inspection of the stand-in's own
    container holds its script.
    """
    return said(compose, service, r"^all asked$")


def said(compose: Callable[..., str], service: str, pattern: str) -> str:
    """The log of a service, as soon as it has this."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        log = compose("logs", "--no-color", "--no-log-prefix", service)
        if re.search(pattern, log, re.MULTILINE):
            return log
        time.sleep(0.1)
    pytest.fail(log + compose("logs", "--no-color"))


def test_traefik_as_pasted(docker: Docker, images: None, tmp_path: Path) -> None:
    """The first thing that a reader tries: Traefik sees its containers and can do nothing else."""
    text = compose_files("README.md")[0]
    with pasted(docker, tmp_path, text) as compose:
        log = responses(compose, "traefik")
        assert re.search(r"^GET /version HTTP/1.1 200 ", log, re.MULTILINE), log
        listed = re.search(r"^GET /v1.24/containers/json HTTP/1.1 200 .*$", log, re.MULTILINE)
        assert listed and "traefik.http.routers.whoami.rule" in listed[0], log
        assert re.search(r"^GET /v1.24/containers/\w+/json HTTP/1.1 200 ", log, re.MULTILINE), log
        assert re.search(r"^POST /v1.24/containers/create HTTP/1.1 403 .*policy 'traefik'", log, re.MULTILINE), log


def test_the_proxy_is_for_traefik_alone() -> None:
    """The port of the proxy is neither on the host nor on a network of other services."""
    services = yaml.safe_load(compose_files("README.md")[0])["services"]
    assert "ports" not in services["docker-socket-proxy"]
    proxy = set(services["docker-socket-proxy"]["networks"])
    assert [name for name, service in services.items() if proxy & set(service["networks"])] == [
        "docker-socket-proxy", "traefik"]


def test_other_proxys_file_as_pasted(docker: Docker, images: None, tmp_path: Path) -> None:
    """Who comes from Tecnativa changes the image and adds the group: variables and port stay."""
    text = next(text for text in compose_files("README.md") if "CONTAINERS: 1" in text)
    with pasted(docker, tmp_path, text) as compose:
        def get(path: str) -> str:
            return compose("exec", "-T", "socket-proxy", "wget", "-qO-", f"http://localhost:2375{path}")

        assert "socket-proxy" in get("/containers/json")
        with pytest.raises(AssertionError, match="not allowed by policy 'switches'.*IMAGES=1"):
            get("/images/json")


def test_two_apps_as_pasted(docker: Docker, images: None, tmp_path: Path) -> None:
    """Each app gets the policy of its own proxy."""
    text = next(text for text in compose_files("docs/README.md") if "POLICY: dozzle" in text)
    with pasted(docker, tmp_path, text) as compose:
        assert "policy 'traefik'" in responses(compose, "traefik")
        assert "policy 'dozzle'" in responses(compose, "dozzle")


def test_one_proxy_for_two_apps_as_pasted(docker: Docker, images: None, tmp_path: Path) -> None:
    """Each app gets its own policy, by the name of its service, and everybody else none."""
    text = next(text for text in compose_files("docs/README.md") if "./proxy.yaml:" in text)
    blocks = re.findall(r"^```yaml\n(clients:.*?)^```$", (ROOT / "docs/README.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "proxy.yaml").write_text(blocks[0])
    with pasted(docker, tmp_path, text.replace("./proxy.yaml", str(tmp_path / "proxy.yaml"))) as compose:
        for app in ("traefik", "dozzle"):
            log = responses(compose, app)
            assert re.search(r"^GET \S*/containers/json HTTP/1.1 200 ", log, re.MULTILINE), log
            assert f"policy '{app}'" in log, log


def test_unix_socket_in_a_volume_as_pasted(docker: Docker, images: None, tmp_path: Path) -> None:
    """A client that wants a socket file gets one, and the policy with it."""
    text = next(text for text in compose_files("docs/README.md") if "LISTEN: unix://" in text)
    with pasted(docker, tmp_path, text) as compose:
        log = responses(compose, "client")
        assert re.search(r"^GET /containers/json HTTP/1.1 200 ", log, re.MULTILINE), log
        assert re.search(r"^POST /containers/create HTTP/1.1 403 ", log, re.MULTILINE), log


def test_status_as_pasted(docker: Docker, images: None, tmp_path: Path) -> None:
    """The admin socket in a volume that the image makes, and `docker exec` as the document writes it."""
    (text,) = compose_files("docs/status.md")
    with pasted(docker, tmp_path, text) as compose:
        said(compose, "proxy", "admin listener")
        assert ": ready" in docker("exec", "proxy", "/docker-socket-proxy", "status")
        assert docker("exec", "proxy", "/docker-socket-proxy", "status", "streams") == "no streams are open"
        assert docker("exec", "proxy", "/docker-socket-proxy", "reload")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_compose_files_are_understood(document: str, tmp_path: Path) -> None:
    """A key that compose does not know stops whoever pastes the file."""
    texts = compose_files(document)
    assert texts
    for text in texts:
        expect_understood(text, tmp_path)


def expect_understood(text: str, folder: Path) -> None:
    (folder / "docker-compose.yml").write_text(text)
    result = subprocess.run([*DOCKER_COMPOSE, "config", "--quiet"], cwd=folder, text=True,
                            env={**os.environ, "DOCKER_GID": "999"}, capture_output=True, check=False)
    assert result.returncode == 0, text + result.stderr


def test_the_change_for_an_admin_listener_fits_the_first_file(tmp_path: Path) -> None:
    """README.md shows it as a difference: what comes out is a file that compose understands."""
    lines = compose_files("README.md")[0].splitlines()
    (change,) = re.findall(r"^```diff\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    at = 0
    for kind, words in ((line[:1], line[1:]) for line in change.splitlines()):
        if kind == "+":
            lines.insert(at, words)
            at += 1
        elif kind == "…":
            at = len(lines)
        else:
            at = next(i for i, line in enumerate(lines) if i >= at and line.startswith(words))
            if kind == "-":
                del lines[at]
            else:
                at += 1
    text = "\n".join(lines) + "\n"
    expect_understood(text, tmp_path)
    service = yaml.safe_load(text)["services"]["docker-socket-proxy"]
    assert service["environment"]["ADMIN"] == "unix:///run/docker-socket-proxy/admin.sock"
    assert service["volumes"] == [f"{SOCKET}:{SOCKET}", "admin:/run/docker-socket-proxy"]
