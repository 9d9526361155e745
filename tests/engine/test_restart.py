"""An Engine that goes and comes back under a running proxy."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import proxy as program
import pytest
import wire
from engine import Engine, new_engine


@pytest.fixture(scope="module")
def second_engine() -> Iterator[Engine]:
    """An Engine that tests may stop, kill and start."""
    with closing(new_engine()) as private:
        yield private


@pytest.fixture
def own_engine(second_engine: Engine) -> Engine:
    if second_engine.process is None:
        second_engine.start()
    return second_engine


@pytest.fixture
def running(binary: Path, own_engine: Engine) -> Iterator[program.Proxy]:
    one = program.Proxy(binary, own_engine.socket)
    yield one
    one.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_next_request_works_after_a_restart(running, own_engine, older_cli, how):
    """systemctl restart docker: the proxy is not restarted, and the next request works. The first
    one after it, too, though the proxy may have kept connections to the old Engine."""
    for _ in range(3):
        assert running.get("/_ping").body == b"OK"
    getattr(own_engine, how)()
    away = running.get("/version")
    assert away.status == 502
    assert str(own_engine.socket) in away.json()["message"]
    assert running.get("/health").status == 503
    own_engine.start()
    assert running.get("/version").status == 200
    assert running.get("/health").status == 200
    assert older_cli.ok(running.docker_host, "run", "--rm", "busybox", "echo", "back") == b"back\n"


def test_a_client_connection_survives_the_restart(running, own_engine):
    """A client with a kept connection gets 502 while the Engine is away and responses afterwards."""
    with running.connect() as connection:
        assert connection.roundtrip("GET", "/_ping").status == 200
        own_engine.stop()
        assert connection.roundtrip("GET", "/_ping").status == 502
        own_engine.start()
        assert connection.roundtrip("GET", "/_ping").status == 200


def test_restart_unseen_between_two_requests(running, own_engine):
    """The Engine restarts while nobody asks: connections the proxy kept are dead and nobody
    notices. Requests that may not be repeated are no exception."""
    with running.connect() as connection:
        for _ in range(2):
            assert connection.roundtrip("GET", "/_ping").status == 200
            own_engine.stop()
            own_engine.start()
            body = b'{"Image":"busybox","Cmd":["true"]}'
            made = connection.roundtrip(
                "POST", "/containers/create", {"Content-Type": "application/json"}, body
            )
            assert made.status == 201


def test_streams_end_with_the_engine(running, own_engine):
    """docker events ends when the Engine does; it does not hang on a dead stream."""
    with running.connect() as connection, running.connect() as attached:
        connection.request("GET", "/events")
        assert connection.head().status == 200
        made = running_container(own_engine)
        path = f"/containers/{made}/attach?stream=1&stdin=1&stdout=1"
        attached.request("POST", path, {"Connection": "Upgrade", "Upgrade": "tcp"}, b"")
        assert attached.head().status == 101
        own_engine.kill()
        connection.until_close()
        attached.until_close()


def running_container(engine: Engine) -> str:
    body = b'{"Image":"busybox","Cmd":["cat"],"OpenStdin":true}'
    with wire.connect_unix(engine.socket) as connection:
        made = connection.roundtrip(
            "POST", "/containers/create", {"Content-Type": "application/json"}, body
        )
        container = made.json()["Id"]
        assert connection.roundtrip("POST", f"/containers/{container}/start").status == 204
    return container


def test_stale_bind_mount_is_named(binary, own_engine, open_folder):
    """docker run -v /var/run/docker.sock:…: after an Engine restart the mounted socket is a dead
    file. The proxy says so, and what to do."""
    mounted = open_folder / "docker.sock"
    mounted.touch()
    subprocess.run(["mount", "--bind", own_engine.socket, mounted], check=True)
    try:
        one = program.Proxy(binary, mounted)
        try:
            assert one.get("/_ping").body == b"OK"
            own_engine.stop()
            own_engine.start()
            response = one.get("/version")
            assert response.status == 502
            message = response.json()["message"]
            assert str(mounted) in message
            assert "stale" in message.lower()
            assert str(mounted) in one.log_line("stale")
        finally:
            one.close()
    finally:
        subprocess.run(["umount", mounted], check=True)
