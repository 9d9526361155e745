"""docker exec, and the Engine's responses to exec start on the wire.

Peers are known to break here: an exec start has a body and then turns into a raw stream, or, when
detached, does not; a proxy that decides on seeing the request decides wrongly.
"""

import hashlib
import json
import os

import pytest
import wire
from conftest import eventually

JSON = {"Content-Type": "application/json"}
UPGRADE = {**JSON, "Connection": "Upgrade", "Upgrade": "tcp"}
RAW_STREAM = "application/vnd.docker.raw-stream"


def test_exit_status_and_streams(cli, same, containers):
    """docker exec: status, standard output and standard error are those of the command."""
    container = containers.idle()
    script = "echo out; echo err >&2; exit 6"
    done = same(lambda t: cli.run(t.docker_host, "exec", container, "sh", "-c", script))
    assert (done.status, done.out, done.err) == (6, b"out\n", b"err\n")


def test_output_long_after_the_start(cli, same, containers):
    """Without -i the client closes its side at once; what comes later is still shown."""
    container = containers.idle()
    done = same(
        lambda t: cli.run(t.docker_host, "exec", container, "sh", "-c", "sleep 0.4; echo late")
    )
    assert (done.status, done.out) == (0, b"late\n")


def test_unknown_command(cli, same, containers):
    """A typo in the command is explained in the same words as without the proxy."""
    container = containers.idle()
    done = same(lambda t: cli.run(t.docker_host, "exec", container, "no-such-command"))
    assert done.status in (126, 127)
    assert b"executable file not found" in done.out + done.err


def test_a_megabyte_of_stdin(cli, target, containers):
    """docker exec -i … < file: restoring a database dump loses no byte and comes to an end."""
    container, data = containers.idle(), os.urandom(1 << 20)
    done = cli.run(target.docker_host, "exec", "-i", container, "sha256sum", stdin=data)
    assert done.status == 0
    assert done.out.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_output_after_the_end_of_stdin(cli, same, containers):
    """The output that a command writes after it has read all its input arrives."""
    container = containers.idle()
    script = "wc -c; sleep 0.3; echo done >&2; exit 2"
    done = same(
        lambda t: cli.run(
            t.docker_host, "exec", "-i", container, "sh", "-c", script, stdin=b"12345"
        )
    )
    assert (done.status, done.out, done.err) == (2, b"5\n", b"done\n")


def test_detached_exec_runs(cli, target, containers, unique):
    """docker exec -d returns at once and the command runs on in the container."""
    container, made = containers.idle(), f"/tmp/{unique('made')}"
    assert cli.ok(target.docker_host, "exec", "-d", container, "touch", made) == b""
    eventually(
        lambda: cli.run(target.docker_host, "exec", container, "test", "-e", made).status == 0,
        "the detached command left no trace",
    )


def test_terminal_follows_the_window(cli, target, containers):
    """exec -it: the terminal has the window's size, follows a resize, and passes keys on."""
    container = containers.idle()
    script = (
        "trap 'echo size $(stty size).' WINCH; echo size $(stty size).; "
        "while :; do sleep 0.05; done"
    )
    with cli.terminal(
        target.docker_host, "exec", "-it", container, "sh", "-c", script, rows=20, columns=90
    ) as terminal:
        terminal.wait_for(b"size 20 90.")
        terminal.resize_until(50, 160, b"size 50 160.")
        terminal.type(b"\x03")
        assert terminal.finish() == 130


def test_shell_in_a_terminal(cli, target, containers):
    """exec -it sh: the shell people open most."""
    container = containers.idle()
    with cli.terminal(
        target.docker_host, "exec", "-it", container, "sh", rows=24, columns=80
    ) as terminal:
        terminal.wait_for(b"# ")
        terminal.type(b"echo $((6*7))\r")
        terminal.wait_for(b"42\r\n")
        terminal.type(b"exit 3\r")
        assert terminal.finish() == 3


def create_exec(containers, container: str, *command: str, stdin: bool = False) -> str:
    body = {
        "Cmd": list(command), "AttachStdout": True, "AttachStderr": True, "AttachStdin": stdin
    }
    return containers.call("POST", f"/containers/{container}/exec", body).json()["Id"]


def start_body(**fields: bool) -> bytes:
    return json.dumps({"Detach": False, "Tty": False, **fields}).encode()


def test_raw_stream_without_upgrade(target, containers):
    """A client that asks for no upgrade gets 200 and a raw stream both ways until the close."""
    execution = create_exec(containers, containers.idle(), "cat", stdin=True)
    with target.connect() as connection:
        connection.request("POST", f"/exec/{execution}/start", JSON, start_body())
        head = connection.head()
        assert head.status == 200
        assert head.header("Content-Type") == RAW_STREAM
        assert head.header("Content-Length") is None
        assert head.header("Transfer-Encoding") is None
        connection.send(b"ping\n")
        assert next(connection.frames()) == (1, b"ping\n")
        connection.send(b"pong\n")
        connection.half_close()
        assert connection.output() == {1: b"pong\n"}


def test_upgraded_stream(same, containers):
    """With Upgrade the response is 101 with the Engine's headers, then the raw stream."""
    container = containers.idle()

    def act(target) -> tuple:
        execution = create_exec(containers, container, "sh", "-c", "cat; echo bye >&2", stdin=True)
        with target.connect() as connection:
            connection.request("POST", f"/exec/{execution}/start", UPGRADE, start_body())
            head = connection.head()
            connection.send(b"to stdin\n")
            connection.half_close()
            return head.comparable(), connection.output()

    head, output = same(act)
    assert head[1] == 101
    assert ("upgrade", "tcp") in head[3]
    assert output == {1: b"to stdin\n", 2: b"bye\n"}


def test_body_in_a_later_segment(target, containers):
    """The older docker client sends head and body in two writes; the body is not lost."""
    execution = create_exec(containers, containers.idle(), "echo", "hello")
    body = start_body()
    whole = wire.request_bytes("POST", f"/exec/{execution}/start", UPGRADE, body)
    with target.connect() as connection:
        connection.send(whole[: -len(body)])
        connection.send(body[:5])
        connection.send(body[5:])
        assert connection.head().status == 101
        assert connection.output() == {1: b"hello\n"}


def test_chunked_body(target, containers):
    """An exec start whose body is chunked starts the command all the same."""
    execution = create_exec(containers, containers.idle(), "echo", "hello")
    headers = {**UPGRADE, "Transfer-Encoding": "chunked"}
    with target.connect() as connection:
        connection.request("POST", f"/exec/{execution}/start", headers)
        connection.send(wire.chunk_bytes(start_body()) + b"0\r\n\r\n")
        assert connection.head().status == 101
        assert connection.output() == {1: b"hello\n"}


@pytest.mark.parametrize("headers", [JSON, UPGRADE], ids=["plain", "upgrade"])
def test_detached_start_stays_http(same, containers, headers):
    """A detached start is an ordinary response: the next request on the connection gets its response too,
    as a request. A proxy that tunnels here would let anything through unread."""
    container = containers.idle()

    def act(target) -> tuple:
        execution = create_exec(containers, container, "true")
        with target.connect() as connection:
            path = f"/exec/{execution}/start"
            start = connection.roundtrip("POST", path, headers, start_body(Detach=True))
            return start.comparable(), connection.roundtrip("GET", "/_ping").comparable()

    start, ping = same(act)
    assert (start[1], start[4]) == (200, b"")
    assert (ping[1], ping[4]) == (200, b"OK")


def test_missing_exec_stays_http(same):
    """Starting an exec that does not exist is an ordinary 404; the connection can go on."""

    def act(target) -> tuple:
        with target.connect() as connection:
            missing = connection.roundtrip("POST", "/exec/none/start", UPGRADE, start_body())
            return missing.comparable(), connection.roundtrip("GET", "/_ping").comparable()

    missing, ping = same(act)
    assert missing[1] == 404
    assert json.loads(missing[4])["message"].startswith("No such exec instance")
    assert ping[4] == b"OK"


def test_second_start_is_refused_inside_the_stream(same, containers):
    """Starting an exec twice gives the Engine's complaint as output, then the end."""
    container = containers.idle()

    def act(target) -> tuple:
        execution = create_exec(containers, container, "true")
        for _ in range(2):
            with target.connect() as connection:
                connection.request("POST", f"/exec/{execution}/start", UPGRADE, start_body())
                status = connection.head().status
                output = connection.output()
        return status, {k: v.replace(execution.encode(), b"ID") for k, v in output.items()}

    status, output = same(act)
    assert status in (101, 409)
    assert b"has already run" in b"".join(output.values())
