"""Responses that continue: logs, events, stats, wait. Each piece at once, and an end for both sides."""

import json
import time

import pytest
from conftest import await_handlers, eventually

# Says one line per SIGUSR1, and one on standard error per SIGUSR2.
ON_SIGNAL = (
    "n=0; trap 'n=$((n+1)); echo line $n' USR1; trap 'echo problem >&2' USR2; "
    "echo ready; while :; do sleep 0.02; done"
)


@pytest.fixture
def speaker(containers) -> str:
    """A container that speaks when it is told to, and is known to listen."""
    container = containers.shell(ON_SIGNAL)
    eventually(lambda: b"ready" in containers.logs(container).get(1, b""), "no first line")
    return container


def test_logs_of_a_finished_container(cli, same, containers):
    """docker logs: both streams, each where it belongs."""
    container = containers.shell("echo out; echo err >&2; exit 1")
    containers.wait(container)
    done = same(lambda t: cli.run(t.docker_host, "logs", container))
    assert (done.status, done.out, done.err) == (0, b"out\n", b"err\n")


def test_large_logs_arrive_whole(older_cli, same, containers):
    """docker logs of a container that wrote 1 MiB."""
    container = containers.shell("yes 0123456789abcde | head -c 1048576")
    containers.wait(container)
    done = same(lambda t: older_cli.run(t.docker_host, "logs", container))
    assert done.out == b"0123456789abcde\n" * (1048576 // 16)


def test_logs_follow_line_by_line(cli, target, containers, speaker):
    """docker logs -f shows each line when it is written, not when a buffer is full."""
    with cli.start(target.docker_host, "logs", "-f", speaker) as running:
        assert running.line() == b"ready"
        for number in (1, 2, 3):
            containers.signal(speaker, "USR1")
            assert running.line() == b"line %d" % number
        containers.signal(speaker, "KILL")
        assert running.finish().status == 0


def test_logs_follow_is_chunked_line_by_line(target, containers, speaker):
    """On the wire: the head comes at once, and each line is a chunk of its own."""
    path = f"/containers/{speaker}/logs?follow=1&stdout=1&stderr=1"
    with target.connect() as connection:
        connection.request("GET", path)
        head = connection.head()
        assert (head.status, head.header("Transfer-Encoding")) == (200, "chunked")
        assert connection.chunk().endswith(b"ready\n")
        for signal, stream, text in (("USR1", 1, b"line 1\n"), ("USR2", 2, b"problem\n")):
            containers.signal(speaker, signal)
            assert connection.chunk() == bytes([stream, 0, 0, 0, 0, 0, 0, len(text)]) + text


def test_events_one_by_one(cli, target, containers, unique):
    """docker events shows each event when it happens."""
    label, now = unique("label"), f"{time.time():.9f}"
    # Since now: an event that happens before the Engine has the listener is not missed.
    arguments = ("--since", now, "--filter", f"label={label}", "--format", "{{.Action}}")
    with cli.start(target.docker_host, "events", *arguments) as running:
        container = containers.create("sleep", "60", start=False, Labels={label: ""})
        assert running.line() == b"create"
        containers.start(container)
        assert running.line() == b"start"
        containers.call("POST", f"/containers/{container}/pause")
        assert running.line() == b"pause"
        containers.call("POST", f"/containers/{container}/unpause")
        assert running.line() == b"unpause"


def test_events_of_the_past_end(older_cli, same, containers):
    """docker events --since --until prints the past and ends."""
    container = containers.shell("true")
    containers.wait(container)
    now = f"{time.time():.9f}"
    done = same(
        lambda t: older_cli.run(
            t.docker_host, "events", "--since", "1", "--until", now,
            "--filter", f"container={container}", "--format", "{{.Action}} {{.Actor.ID}}",
        )
    )
    actions = [line.split()[0] for line in done.out.splitlines()]
    assert actions[:2] == [b"create", b"start"]


def test_stats_once(cli, target, containers):
    """docker stats --no-stream prints one table and ends."""
    container = containers.sleeping()
    shown = cli.ok(
        target.docker_host, "stats", "--no-stream", "--format", "{{.Container}} {{.PIDs}}",
        container,
    )
    assert shown.split() == [container.encode(), b"1"]


def test_stats_keep_coming(target, containers):
    """docker stats: a new sample each second, each in a chunk of its own."""
    container = containers.idle()
    with target.connect() as connection:
        connection.request("GET", f"/containers/{container}/stats?stream=1")
        assert connection.head().status == 200
        samples = [json.loads(connection.chunk()) for _ in range(2)]
    assert [sample["id"] for sample in samples] == [container, container]
    assert samples[0]["read"] < samples[1]["read"]


def test_wait_gives_the_status(cli, target, containers):
    """docker wait blocks until the container ends and prints its status."""
    container = containers.shell("trap 'exit 4' USR1; echo ready; while :; do sleep 0.02; done")
    eventually(lambda: containers.logs(container), "the container does not start")
    await_handlers(containers.engine, "postContainersWait", 0)
    with cli.start(target.docker_host, "wait", container) as running:
        await_handlers(containers.engine, "postContainersWait", 1)
        containers.signal(container, "USR1")
        assert running.line() == b"4"
        assert running.finish().status == 0


def test_wait_responds_in_two_parts(target, containers):
    """The head of wait comes at once, long before the body: docker run depends on it."""
    container = containers.create("true", start=False)
    with target.connect() as connection:
        path = f"/containers/{container}/wait?condition=next-exit"
        connection.request("POST", path, {"Content-Length": "0"})
        head = connection.head()
        assert (head.status, head.header("Transfer-Encoding")) == (200, "chunked")
        assert not connection.pending
        containers.start(container)
        body = b"".join(connection.chunks())
        assert json.loads(body)["StatusCode"] == 0


def test_top_and_port_and_diff(cli, same, containers):
    """The short looks into a container give the same tables."""
    container = containers.shell("touch /made; exec sleep 3600")
    eventually(lambda: b'"sleep 3600"' in containers.call("GET", f"/containers/{container}/top").body,
               "the container does not come to its last command")
    for command in (("top", container, "-o", "pid,args"), ("port", container), ("diff", container)):
        assert same(lambda t, c=command: cli.run(t.docker_host, *c)).status == 0


STREAMS = {
    "events": ("GET", "/events", "getEvents"),
    "logs": ("GET", "/containers/{}/logs?follow=1&stdout=1", "getContainersLogs"),
    "stats": ("GET", "/containers/{}/stats?stream=1", "getContainersStats"),
    "wait": ("POST", "/containers/{}/wait", "postContainersWait"),
}


@pytest.mark.parametrize("how", ["close", "half-close"])
@pytest.mark.parametrize("stream", STREAMS)
def test_engine_learns_that_the_client_left(target, containers, engine, stream, how):
    """Ctrl-C on docker logs -f or events ends the work in the Engine too: a monitoring tool that
    reconnects all day must not pile up followers there. Seen in the Engine's own stacks."""
    method, path, handler = STREAMS[stream]
    container = containers.idle()
    await_handlers(engine, handler, 0)
    with target.connect() as connection:
        connection.request(method, path.format(container))
        assert connection.head().status == 200
        await_handlers(engine, handler, 1)
        if how == "close":
            connection.close()
        else:
            connection.half_close()
        await_handlers(engine, handler, 0)


def test_engine_learns_that_an_attached_client_left(target, containers, engine):
    """A terminal window that is closed does not stay attached in the Engine."""
    container = containers.create("sh", Tty=True, OpenStdin=True)
    with target.connect() as connection:
        path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1"
        connection.request("POST", path, {"Connection": "Upgrade", "Upgrade": "tcp"}, b"")
        assert connection.head().status == 101
        connection.send(b"echo seen\r")
        connection.until(b"seen\r\n")
    containers.signal(container, "KILL")
    await_handlers(engine, "postContainersAttach", 0)


def test_stream_ends_when_the_container_does(same, containers):
    """logs -f of a container that ends: the last chunk says so, the connection stays usable."""

    def act(target) -> tuple:
        container = containers.shell("echo one; echo two")
        with target.connect() as connection:
            path = f"/containers/{container}/logs?follow=1&stdout=1"
            logs = connection.roundtrip("GET", path)
            return logs.comparable(), connection.roundtrip("GET", "/_ping").comparable()

    logs, ping = same(act)
    assert logs[4].endswith(b"two\n")
    assert ping[4] == b"OK"
