"""Hand-overs under a real Engine and docker's own commands: streams live through all of them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import proxy as program
import pytest
from conftest import await_handlers
from engine import Engine

HANDOVERS = int(os.environ.get("DSP_HANDOVERS", "5"))


class Family:
    """Processes of the program that follow each other."""

    def __init__(self, binary: Path, engine: Engine) -> None:
        self.binary = binary
        self.folder = Path(tempfile.mkdtemp(prefix="takeover-"))
        self.folder.chmod(0o777)
        self.admin = f"unix://{self.folder}/admin.sock"
        self.first = program.Proxy(binary, engine.socket, {"ADMIN": self.admin})
        self.environment = dict(
            item.split("=", 1) for item in Path(f"/proc/{self.first.pid}/environ").read_text().split("\0") if item
        )
        self.processes = [self.first.process]
        self.logs: list[Path] = []

    def hand_over(self) -> None:
        """Returns when the new process serves and the former one accepts no more."""
        log = self.folder / f"{len(self.processes)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.binary, "run", "--takeover", self.admin], env=self.environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out,
            )
        self.processes.append(process)
        self.logs.append(log)
        deadline = time.monotonic() + 60
        while "took over from process" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        assert [process.wait(60) for process in self.processes] == [0] * len(self.processes)
        assert not any("refused system call" in log.read_text() for log in self.logs)
        shutil.rmtree(self.folder)


@pytest.fixture
def family(binary: Path, engine: Engine) -> Iterator[Family]:
    one = Family(binary, engine)
    yield one
    one.close()


@pytest.mark.deadline(120 + 5 * HANDOVERS)
def test_streams_live_through_hand_overs(older_cli, family, containers, unique):
    """docker events and a docker exec that talks are those of the first process to the end; docker ps works after
    each hand-over. DSP_HANDOVERS says how many there are."""
    label = unique("label")
    container = containers.idle()
    host = family.first.docker_host
    await_handlers(containers.engine, "getEvents", 0)
    with (
        older_cli.start(host, "events", "--filter", f"label={label}", "--format", "{{.Action}}") as events,
        older_cli.start(host, "exec", "-i", container, "cat") as terminal,
    ):
        await_handlers(containers.engine, "getEvents", 1)
        times = []
        for number in range(HANDOVERS):
            began = time.monotonic()
            family.hand_over()
            times.append(time.monotonic() - began)
            terminal.type(b"line %d\n" % number)
            terminal.process.stdin.flush()
            assert terminal.line() == b"line %d" % number
            assert container[:12].encode() in older_cli.ok(host, "ps", "-q")
        containers.create("true", start=False, Labels={label: ""})
        assert events.line() == b"create"
        assert terminal.finish().status == 0
        for process in family.processes[1:-1]:
            assert process.wait(60) == 0
        assert family.first.process.poll() is None
    print(f"{HANDOVERS} hand-overs, which took {min(times):.3f} to {max(times):.3f} s")
