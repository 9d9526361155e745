"""The audit record and the programs that keep and read it: Debian's logrotate, tail -F, rsyslogd."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from test_audit import START, Burst, Trail, ask, configured, is_ready, place, started, verify  # noqa: F401
from wire import Background, Engine, eventually

ROTATIONS = int(os.environ.get("DSP_ROTATIONS", "5"))
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as logrotate of the system does")


@pytest.fixture
def rotating(place: pathlib.Path) -> pathlib.Path:  # noqa: F811
    """The folder of docs/audit.md: of the user as whom the proxy runs."""
    folder = place / "docker-socket-proxy"
    folder.mkdir(mode=0o755)
    os.chown(folder, 65532, 65532)
    return folder


def block(path: pathlib.Path, more: str = "") -> str:
    """What docs/audit.md shows for logrotate, for another file."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    text = re.search(r"```\n(/var/log/docker-socket-proxy/audit\.jsonl \{\n.*?\n)\}\n```", page, re.DOTALL)[1]
    return text.replace("/var/log/docker-socket-proxy/audit.jsonl", str(path), 1) + more + "}\n"


def rotate(place: pathlib.Path, text: str) -> None:  # noqa: F811
    config = place / "logrotate.conf"
    config.write_text(text)
    config.chmod(0o644)
    done = subprocess.run(["logrotate", "--force", "--state", place / "state", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def kept(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files, the oldest first, as text."""
    paths = sorted(folder.glob("audit.jsonl.*"), key=lambda path: -int(path.name.split(".")[2]))
    for packed in [path for path in paths if path.suffix == ".gz"]:
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    return [path.with_suffix("") if path.suffix == ".gz" else path for path in paths] + [folder / "audit.jsonl"]


class TailReader:
    """`tail -F`, told of changes by inotify. It leaves a former file as soon as the name is another's, and misses what is written there
    later: on a busy machine it may lack records in the middle."""

    def __init__(self, path: pathlib.Path):
        self.out = path.parent.parent / "followed"
        with self.out.open("wb") as stdout:
            self.process = subprocess.Popen(["tail", "-n", "+1", "-F", path], stdout=stdout, stderr=subprocess.DEVNULL)

    def has_read(self, files: list[pathlib.Path]) -> bool:
        """Each record once at most, whole, and all of the last file."""
        seen, written = self.out.read_bytes(), set(b"".join(path.read_bytes() for path in files).splitlines())
        lines = seen.splitlines()
        return len(set(lines)) == len(lines) and set(lines) <= written and seen.endswith(files[-1].read_bytes())

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


class PollingReader:
    """Looks at the file now and then, as promtail does: when its name is another file's, it reads the former one to
    its end, once, and goes on with the new one."""

    def __init__(self, path: pathlib.Path):
        self.path, self.pieces, self.over = path, [], threading.Event()
        self.file = path.open("rb")
        self.work = Background(self.read)

    def read(self) -> None:
        while not self.over.wait(0.05):
            if self.path.exists() and not os.path.samestat(self.path.stat(), os.fstat(self.file.fileno())):
                new = self.path.open("rb")
                self.pieces.append(self.file.read())
                self.file.close()
                self.file = new
            self.pieces.append(self.file.read())

    def has_read(self, files: list[pathlib.Path]) -> bool:
        """Each record once."""
        return b"".join(self.pieces) == b"".join(path.read_bytes() for path in files)

    def end(self) -> None:
        self.over.set()
        self.work.result()
        self.file.close()


@ROOT
@pytest.mark.parametrize("told", [False, True], ids=["found", "SIGHUP"])
@pytest.mark.parametrize("follow", [TailReader, PollingReader])
def test_logrotate_under_load(start: START, rotating: pathlib.Path, place: pathlib.Path, told: bool, follow: type) -> None:  # noqa: F811
    """Each record is in one file, whole and once; the chain goes through all files; a reader who follows the name sees each once."""
    trail = Trail(rotating / "audit.jsonl")  # noqa: F811
    proxy = start(*configured(place, trail, "policy: deny", ", chain: true"))
    text = block(trail.path, f"    postrotate\n        kill -HUP {proxy.pid}\n    endscript\n" if told else "")
    eventually(trail.path.exists, "the file")
    reader = follow(trail.path)
    burst = Burst()
    for name in ("a", "b"):
        burst.add(proxy, name)
    for _ in range(ROTATIONS):
        time.sleep(0.3)
        before = trail.path.stat().st_ino
        rotate(place, text)
        eventually(lambda: trail.path.exists() and trail.path.stat().st_ino != before and trail.path.stat().st_size > 0, "the next file")
    asked = burst.end()
    proxy.terminate()
    assert proxy.wait_exit() == 0
    files = kept(rotating)
    assert len(files) == ROTATIONS + 1 and any(rotating.glob("*.gz"))
    records = [record for path in files for record in Trail(path).records()]
    assert len(asked) > 50 * ROTATIONS
    assert sorted(record["target"] for record in records) == sorted(asked)
    code, said = verify(*files)
    assert code == 0 and f"whole: {len(asked)} lines" in said, said
    eventually(lambda: reader.has_read(files), "the reader to have read all, and each once")
    reader.end()


# syslog


class Rsyslog:
    """A real rsyslogd with a socket of its own, that writes what came behind the head."""

    def __init__(self, place: pathlib.Path):  # noqa: F811
        self.socket, self.out, self.config = place / "log", place / "out", place / "rsyslog.conf"
        self.config.write_text(f"""
module(load="imuxsock" SysSock.Use="off")
template(name="whole" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname%%msg%\\n")
input(type="imuxsock" Socket="{self.socket}" RateLimit.Interval="0")
action(type="omfile" file="{self.out}" template="whole")
""")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", self.config, "-i", self.config.with_suffix(".pid")])
        eventually(self.socket.exists, "the socket of rsyslogd")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        self.process = None

    def records(self) -> list[dict]:
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        heads = {line.split("{", 1)[0] for line in lines}
        assert heads <= {"authpriv.info docker-socket-proxy "}, heads
        return [json.loads("{" + line.split("{", 1)[1]) for line in lines]


@pytest.fixture
def rsyslog(place: pathlib.Path) -> Iterator[Rsyslog]:  # noqa: F811
    rsyslog = Rsyslog(place)
    yield rsyslog
    rsyslog.stop()


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="needs rsyslogd")
def test_rsyslogd_gets_whole_records(start: START, own_engine: Engine, rsyslog: Rsyslog, place: pathlib.Path) -> None:  # noqa: F811
    """Long ones and those of other languages too; after it was restarted, also those that were made meanwhile."""
    rsyslog.start()
    proxy, admin = started(start, place, f"{{path: 'syslog://{rsyslog.socket}', on_failure: deny, chain: true}}", "policy: deny")
    long = "x" * 200
    targets = ["web", "caf%C3%A9", "a%22%2C%22verdict%22%3A%22allow", long]
    for target in targets * 20:
        assert ask(proxy, f"/containers/{target}/json") == 403
    eventually(lambda: len(rsyslog.records()) == 80, "all records")
    wanted = ["web", "café", 'a","verdict":"allow', long]
    assert sorted(record["target"] for record in rsyslog.records()) == sorted(wanted * 20)
    assert {record["verdict"] for record in rsyslog.records()} == {"deny"}
    rsyslog.stop()
    eventually(lambda: not is_ready(admin), "the reader to be missed")
    assert ask(proxy, "/containers/meanwhile/json") in (403, 503)
    rsyslog.start()
    eventually(lambda: is_ready(admin), "the reader to be found")
    ask(proxy, "/containers/after/json")
    eventually(lambda: {record["target"] for record in rsyslog.records()[80:]} == {"meanwhile", "after"}, "the records")
    lines = place / "lines"
    lines.write_text("".join("{" + line.split("{", 1)[1] + "\n" for line in rsyslog.out.read_text().splitlines()))
    assert verify(lines)[0] == 0
