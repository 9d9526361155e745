"""docker run: what a user types most, with every docker client on the machine."""

import hashlib
import os

import pytest

MEGABYTE = 1 << 20
MANY_BYTES = 16 * MEGABYTE
LINE = b"0123456789abcde\n"


@pytest.mark.parametrize("status", [0, 3, 255])
def test_exit_status_is_the_containers(cli, same, status):
    """A script that checks `$?` after docker run sees what the container returned."""
    done = same(
        lambda t: cli.run(t.docker_host, "run", "--rm", "busybox", "sh", "-c", f"exit {status}")
    )
    assert done.status == status


def test_unknown_command_is_127(cli, same):
    """A typo in the command gives 127 and the Engine's explanation."""

    def act(target) -> tuple:
        done = cli.run(target.docker_host, "run", "--rm", "busybox", "no-such-command")
        # Before or behind it, the older client may log its wait.
        return done.status, [line for line in done.err.splitlines() if b"from daemon" in line]

    status, (reason,) = same(act)
    assert status == 127
    assert b"executable file not found" in reason


def test_unknown_image_names_the_image(cli, target):
    """A missing image is reported with its name, status 125."""
    done = cli.run(target.docker_host, "run", "--rm", "--pull", "never", "no-such-image")
    assert done.status == 125
    assert b"No such image: no-such-image" in done.err


def test_standard_error_comes_apart(cli, same):
    """2>errors.txt holds the errors and nothing but the errors."""
    script = "echo one; echo two >&2; echo three; exit 5"
    done = same(lambda t: cli.run(t.docker_host, "run", "--rm", "busybox", "sh", "-c", script))
    assert (done.status, done.out, done.err) == (5, b"one\nthree\n", b"two\n")


def test_a_large_output_arrives_whole(cli, target):
    """docker run … | tar x: not a byte of a large output is lost or changed."""
    done = cli.run(
        target.docker_host, "run", "--rm", "--log-driver", "none", "busybox", "sh", "-c",
        f"yes 0123456789abcde | head -c {MANY_BYTES}",
    )
    assert done.status == 0
    assert len(done.out) == MANY_BYTES
    assert done.out == LINE * (MANY_BYTES // len(LINE))


def test_a_megabyte_of_stdin_reaches_the_container(cli, target):
    """docker run -i … < file: the container gets each byte, and the end of the file."""
    data = os.urandom(MEGABYTE)
    done = cli.run(target.docker_host, "run", "-i", "--rm", "busybox", "sha256sum", stdin=data)
    assert done.status == 0
    assert done.out.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_stdin_comes_back_through_cat(cli, target):
    """docker run -i as a filter in a pipe: a megabyte goes through it in both directions."""
    data = os.urandom(MEGABYTE)
    done = cli.run(target.docker_host, "run", "-i", "--rm", "busybox", "cat", stdin=data)
    assert done.status == 0
    assert done.out == data


def test_output_after_the_end_of_stdin(cli, same):
    """What a container says after it read its input to the end is still shown."""
    script = "cat >/dev/null; sleep 0.3; echo late; echo later >&2; exit 7"
    done = same(
        lambda t: cli.run(
            t.docker_host, "run", "-i", "--rm", "busybox", "sh", "-c", script, stdin=b"input"
        )
    )
    assert (done.status, done.out, done.err) == (7, b"late\n", b"later\n")


def test_a_container_that_does_not_read_its_stdin(cli, target):
    """A container that ends without reading its input ends docker run as well."""
    done = cli.run(
        target.docker_host, "run", "-i", "--rm", "busybox", "sh", "-c", "exit 4",
        stdin=bytes(MEGABYTE),
    )
    assert done.status == 4


def test_responses_come_while_stdin_is_open(cli, target):
    """A dialogue: the output for each line arrives before the next line is sent."""
    with cli.start(target.docker_host, "run", "-i", "--rm", "busybox", "cat") as running:
        for word in (b"first", b"second", b"third"):
            running.type(word + b"\n")
            assert running.line() == word
        assert running.finish().status == 0


def test_detached_container_is_named_and_runs(cli, target, unique):
    """docker run -d prints the id at once; docker rm -f takes the container away again."""
    name = unique("detached")
    container = cli.ok(target.docker_host, "run", "-d", "--name", name, "busybox", "sleep", "60")
    shown = cli.ok(target.docker_host, "inspect", "--format", "{{.Id}} {{.State.Running}}", name)
    assert shown == container.strip() + b" true\n"
    assert cli.ok(target.docker_host, "rm", "-f", name) == name.encode() + b"\n"
    assert name.encode() not in cli.ok(target.docker_host, "ps", "-a")


def test_an_interrupt_stops_the_container(cli, target, unique):
    """Ctrl-C on docker run reaches the container as SIGINT: its own handler decides the status."""
    script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    with cli.start(target.docker_host, "run", "--rm", "busybox", "sh", "-c", script) as running:
        assert running.line() == b"ready"
        running.process.send_signal(2)
        assert running.line() == b"interrupted"
        assert running.finish().status == 9


SIZES = "trap 'echo size $(stty size).' WINCH; echo size $(stty size).; echo ready; "


def test_terminal_follows_the_window(cli, target):
    """run -it: the container's terminal has the window's size, at the start and after a resize."""
    script = SIZES + "while :; do sleep 0.05; done"
    with cli.terminal(
        target.docker_host, "run", "-it", "--rm", "busybox", "sh", "-c", script,
        rows=33, columns=101,
    ) as terminal:
        terminal.wait_for(b"size 33 101.")
        terminal.resize_until(44, 132, b"size 44 132.")
        terminal.type(b"\x03")
        assert terminal.finish() == 130


def test_shell_in_a_terminal(cli, target):
    """run -it sh: a prompt, the output of what is typed, and the status of exit."""
    with cli.terminal(
        target.docker_host, "run", "-it", "--rm", "busybox", "sh", rows=24, columns=80
    ) as terminal:
        terminal.wait_for(b"# ")
        terminal.type(b"echo $((6*7))\r")
        terminal.wait_for(b"42\r\n")
        terminal.type(b"exit 6\r")
        assert terminal.finish() == 6
