"""docker attach: by the docker clients, over WebSocket, and byte by byte on the wire."""

import json

import pytest
import websocket
import wire

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
RAW_STREAM = "application/vnd.docker.raw-stream"
FRAMES = "application/vnd.docker.multiplexed-stream"
ECHO = "while read -r word; do echo got $word; echo err $word >&2; done; echo end; exit 5"


def attach_path(container: str, streams: str = "stream=1&stdin=1&stdout=1&stderr=1") -> str:
    return f"/containers/{container}/attach?{streams}"


def test_client_sees_what_the_container_says(cli, target, containers):
    """docker attach shows the output from now on and ends with the container's status."""
    script = "trap 'echo seen; exit 3' USR1; while :; do echo tick; sleep 0.05; done"
    container = containers.shell(script)
    with cli.start(target.docker_host, "attach", "--sig-proxy=false", container) as running:
        assert running.line() == b"tick"
        containers.signal(container, "USR1")
        while (line := running.line()) == b"tick":
            pass
        assert line == b"seen"
        assert running.finish().status == 3


def test_client_types_into_the_container(cli, target, containers):
    """docker attach to a container with open stdin is a dialogue until the end of input."""
    container = containers.shell(ECHO, stdin=True)
    with cli.start(target.docker_host, "attach", container) as running:
        running.type(b"one\n")
        assert running.line() == b"got one"
        running.type(b"two\n")
        assert running.line() == b"got two"
        done = running.finish()
        assert (done.status, done.out, done.err) == (5, b"end\n", b"err one\nerr two\n")


def test_missing_container(cli, same):
    """A wrong name is reported with that name."""
    done = same(lambda t: cli.run(t.docker_host, "attach", "no-such-container"))
    assert done.status == 1
    assert b"No such container: no-such-container" in done.err


@pytest.mark.parametrize("headers", [{}, UPGRADE], ids=["plain-200", "upgrade-101"])
def test_dialogue_and_half_close(same, engine, containers, headers):
    """Both forms of attach carry bytes both ways, and the output that follows the end of input. From
    API 1.42 on, a client that upgrades is told that the streams come in frames."""

    def act(target) -> tuple:
        container = containers.shell(ECHO, stdin=True)
        with target.connect() as connection:
            connection.request("POST", attach_path(container), {**headers, "Content-Length": "0"})
            head = connection.head()
            connection.send(b"one\n")
            frames = connection.frames()
            first = dict([next(frames), next(frames)])
            connection.half_close()
            return head.comparable(), first, connection.output()

    head, first, rest = same(act)
    assert head[1] == (101 if headers else 200)
    kind = FRAMES if headers and engine.api >= (1, 42) else RAW_STREAM
    assert ("content-type", kind) in head[3]
    assert first == {1: b"got one\n", 2: b"err one\n"}
    assert rest == {1: b"end\n"}


def test_upgrade_header_alone_is_enough(same, containers):
    """The Engine upgrades on any Upgrade header; a client that sends no Connection works."""

    def act(target) -> tuple:
        container = containers.shell("read -r word; echo got $word", stdin=True)
        with target.connect() as connection:
            connection.request("POST", attach_path(container), {"Upgrade": "tcp"})
            head = connection.head()
            connection.send(b"word\n")
            return head.status, connection.output()

    status, output = same(act)
    assert status in (101, 200)
    assert output == {1: b"got word\n"}


def test_body_of_the_request_is_not_typed_into_the_container(target, containers):
    """dockerode sends its options as a JSON body; they must not arrive on the container's stdin."""
    container = containers.shell(ECHO, stdin=True)
    body = json.dumps({"stream": True, "stdin": True, "stdout": True}).encode()
    headers = {**UPGRADE, "Content-Type": "application/json"}
    with target.connect() as connection:
        connection.request("POST", attach_path(container), headers, body)
        assert connection.head().status == 101
        connection.send(b"word\n")
        connection.half_close()
        assert connection.output() == {1: b"got word\nend\n", 2: b"err word\n"}


def test_chunked_request_that_never_ends(target, containers):
    """docker-modem announces a chunked body, sends none and goes on raw: the response comes at once
    and what follows is the container's input."""
    container = containers.shell(ECHO, stdin=True)
    with target.connect() as connection:
        connection.request(
            "POST", attach_path(container), {**UPGRADE, "Transfer-Encoding": "chunked"}
        )
        assert connection.head().status == 101
        connection.send(b"raw\n")
        connection.half_close()
        assert connection.output() == {1: b"got raw\nend\n", 2: b"err raw\n"}


def test_attach_before_the_start(same, containers):
    """docker run attaches first and starts then: input sent in between is not lost."""

    def act(target) -> dict:
        container = containers.shell(ECHO, stdin=True, start=False)
        with target.connect() as connection:
            connection.request("POST", attach_path(container), {**UPGRADE, "Content-Length": "0"})
            assert connection.head().status == 101
            connection.send(b"early\n")
            connection.half_close()
            containers.start(container)
            return connection.output()

    assert same(act) == {1: b"got early\nend\n", 2: b"err early\n"}


def test_detach_keys_leave_the_container_running(target, containers):
    """Ctrl-P Ctrl-Q ends the attachment and not the container; its state is found again.

    On the wire, because the docker clients themselves miss their detach keys on any plain TCP
    connection: Go wraps the reader's error there, and the client does not look inside.
    """
    container = containers.create("sh", Tty=True, OpenStdin=True)
    with target.connect() as connection:
        connection.request("POST", attach_path(container), UPGRADE, b"")
        assert connection.head().status == 101
        connection.send(b"word=kept; echo $((6*7))\r")
        connection.until(b"42\r\n")
        connection.send(b"\x10\x11")
        connection.until_close()
    with target.connect() as connection:
        connection.request("POST", attach_path(container), UPGRADE, b"")
        assert connection.head().status == 101
        connection.send(b"echo got $word\r")
        connection.until(b"got kept\r\n")


def test_error_that_ends_with_the_connection(same):
    """The Engine's response to attach to a missing container has no length and ends with a close: the whole
    message arrives and the connection ends."""

    def act(target) -> tuple:
        with target.connect() as connection:
            response = connection.roundtrip("POST", attach_path("none"), UPGRADE, b"")
            return response.status, response.body

    assert same(act) == (404, b"No such container: none\r\n")


def test_old_output_and_the_end(same, containers):
    """attach with logs=1 and no stream replays what was said and closes."""
    container = containers.shell("echo before; echo problem >&2")
    containers.wait(container)

    def act(target) -> dict:
        with target.connect() as connection:
            path = attach_path(container, "logs=1&stdout=1&stderr=1")
            connection.request("POST", path, UPGRADE, b"")
            connection.head()
            return connection.output()

    assert same(act) == {1: b"before\n", 2: b"problem\n"}


def open_websocket(target, container: str, streams: str) -> websocket.WebSocket:
    return websocket.create_connection(
        f"ws://localhost/containers/{container}/attach/ws?{streams}",
        socket=target.connect().sock, timeout=wire.TIMEOUT_SECONDS,
    )


def as_bytes(frame: str | bytes) -> bytes:
    """Engines before API 1.28 sent text frames, later ones binary frames."""
    return frame.encode() if isinstance(frame, str) else frame


def test_websocket_dialogue(target, containers):
    """A terminal in a browser: the input arrives, and the output comes back."""
    container = containers.shell("while read -r word; do echo got $word; done", stdin=True)
    socket = open_websocket(target, container, "stream=1&stdin=1&stdout=1")
    try:
        for word in ("one", "two", "w" * 3000):
            socket.send(word + "\n")
            response = b""
            while not response.endswith(b"\n"):
                response += as_bytes(socket.recv())
            assert response == f"got {word}\n".encode()
    finally:
        socket.shutdown()


def test_websocket_ends_with_the_container(target, containers):
    """When the container ends, the WebSocket is closed and not left hanging."""
    container = containers.shell("read -r word; echo last", stdin=True)
    socket = open_websocket(target, container, "stream=1&stdin=1&stdout=1")
    try:
        socket.send("go\n")
        received = b""
        try:
            while piece := as_bytes(socket.recv()):
                received += piece
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            pass
        assert received == b"last\n"
    finally:
        socket.shutdown()


def test_websocket_path_without_a_websocket(same, containers):
    """A plain request to the WebSocket path gets the Engine's own words, which end by a close."""
    container = containers.idle()

    def act(target) -> tuple:
        response = target.roundtrip("GET", f"/containers/{container}/attach/ws?stream=1")
        return response.status, response.body

    status, body = same(act)
    assert status == 400
    assert b"not websocket protocol" in body
