"""Clients that show a key, as the docker command line and curl send it."""

import base64
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import client
import proxy as program
import pytest
from tap import Tap

KEY = "correct-horse-battery-staple"
FIELDS = {"x-api-key": {"X-Api-Key": KEY}, "bearer": {"Authorization": f"Bearer {KEY}"}}


@pytest.fixture
def tap(engine) -> Iterator[Tap]:
    """A wire tap between the proxy and the Engine."""
    with Tap(engine.socket) as tapped:
        yield tapped


@pytest.fixture
def guarded(binary, tap, open_folder: Path) -> Iterator[program.Proxy]:
    """A proxy that asks for a key."""
    keys = open_folder / "keys"
    keys.write_text(f"ci:{KEY}\n")
    running = program.Proxy(binary, tap.path, env={"CLIENT_KEYS_FILE": str(keys)})
    yield running
    assert KEY not in running.log(), "the key is in the log"
    running.close()


@pytest.fixture
def keyed(tmp_path: Path) -> Callable[..., client.Cli]:
    """keyed(cli, fields) → the client with these HttpHeaders in its config.json."""

    def change(cli: client.Cli, fields: dict[str, str], **more) -> client.Cli:
        (tmp_path / "config.json").write_text(json.dumps({"HttpHeaders": fields, **more}))
        return dataclasses.replace(cli, config=tmp_path)

    return change


def test_client_without_a_key_is_told_what_to_send(cli, guarded):
    done = cli.run(guarded.docker_host, "ps")
    assert done.status == 1
    assert b"this proxy asks for a key: send 'x-api-key: KEY' or 'Authorization: Bearer KEY'" in done.err


def test_client_with_a_wrong_key_is_told_so(cli, keyed, guarded):
    done = keyed(cli, {"X-Api-Key": f"{KEY}x"}).run(guarded.docker_host, "ps")
    assert done.status == 1
    assert b"the key is not accepted" in done.err


@pytest.mark.parametrize("field", FIELDS)
def test_client_sends_its_key_with_every_request(cli, keyed, guarded, tap, containers, field):
    """Requests and streams that become tunnels: all of a command works, and no key gets through."""
    with_key = keyed(cli, FIELDS[field])
    host = guarded.docker_host
    assert with_key.ok(host, "run", "--rm", "-i", "busybox", "cat", stdin=b"input") == b"input"
    container = containers.shell("read -r word; echo got $word", stdin=True)
    with with_key.start(host, "attach", container) as running:
        running.type(b"one\n")
        assert running.line() == b"got one"
        assert running.finish().status == 0
    with with_key.terminal(host, "exec", "-it", containers.idle(), "sh", rows=24, columns=80) as shell:
        shell.type(b"echo $((6 * 7)); exit 3\n")
        shell.wait_for(b"42")
        assert shell.finish() == 3
    heads = tap.heads()
    assert len(heads) > 10, "the docker client made fewer requests than it does"
    for head in heads:
        assert not re.search(r"(?im)^(x-api-key|authorization):", head), head
    assert all("identity=ci" in line for line in guarded.log().splitlines() if " path=/v1." in line)


def test_credentials_for_a_registry_go_through(older_cli, keyed, guarded, tap):
    """X-Registry-Auth is the Engine's, beside a key in Authorization."""
    login = base64.b64encode(b"user:password").decode()
    with_key = keyed(older_cli, FIELDS["bearer"], auths={"localhost:1": {"auth": login}})
    with_key.run(guarded.docker_host, "pull", "localhost:1/image")
    sent = [re.search(r"(?im)^x-registry-auth: *(\S+)", head) for head in tap.heads() if "/images/create" in head]
    assert [json.loads(base64.urlsafe_b64decode(match[1]))["username"] for match in sent] == ["user"]


def test_buildkit_session_has_the_key(clients, keyed, guarded, tap, tmp_path, leftovers):
    """The session is an HTTP/2 tunnel, which begins with a request that has the key."""
    cli = next((c for c in clients.values() if c.version.startswith(("19.", "20."))), None)
    if cli is None:
        pytest.skip("no docker client with BuildKit built in (docker.io 20.10)")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nCOPY data /data\n")
    (context / "data").write_text("of the context")
    leftovers.append("/images/keyed-image?force=1")
    with_key = keyed(cli, FIELDS["x-api-key"])
    with_key.ok(
        guarded.docker_host, "build", "--no-cache", "--network", "none", "-t", "keyed-image", context,
        env={"DOCKER_BUILDKIT": "1"},
    )
    shown = with_key.ok(guarded.docker_host, "run", "--rm", "keyed-image", "cat", "/data")
    assert shown == b"of the context"
    assert any("/session" in head for head in tap.heads())


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize(("field", "status"), [
    (f"Authorization: Bearer {KEY}", "200"), (f"X-Api-Key: {KEY}", "200"), ("X-Nothing: ", "401"),
    (f"Authorization: Basic {KEY}", "401"),
])
def test_curl_sends_a_key(guarded, field, status):
    done = client.curl(
        guarded.docker_host, "/containers/json", "-o", "/dev/null", "-w", "%{http_code}", "-H", field)
    assert done.stdout.decode() == status, done
