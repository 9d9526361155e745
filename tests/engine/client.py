"""The docker command line, as people and scripts call it: with pipes, and in a terminal."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import docker
import way

COMMAND_SECONDS = 120
RESPONSE_SECONDS = 60
SDK_SECONDS = 60
PLACES = ("/usr/bin/docker", "/usr/local/bin/docker")


def variables(docker_host: str, home: Path | None = None) -> dict[str, str]:
    """The environment of a client that finds the Engine by variables."""
    where = {"PATH": os.environ["PATH"], "DOCKER_HOST": docker_host, **way.environment(docker_host)}
    return where if home is None else {**where, "HOME": str(home)}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Cli:
    """One docker client program, with a configuration folder of its own."""

    path: str
    version: str
    config: Path

    def environment(self, docker_host: str, extra: dict[str, str] | None = None) -> dict[str, str]:
        return {
            **variables(docker_host, self.config),
            "DOCKER_CONFIG": str(self.config),
            "DOCKER_BUILDKIT": "0",
            "TERM": "xterm",
            **(extra or {}),
        }

    def run(
        self,
        docker_host: str,
        *args: object,
        stdin: bytes = b"",
        env: dict[str, str] | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> Done:
        done = subprocess.run(
            [self.path, *map(str, args)], env=self.environment(docker_host, env),
            input=stdin, capture_output=True, timeout=seconds,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, docker_host: str, *args: object, **more) -> bytes:
        """The standard output of a command that must succeed."""
        done = self.run(docker_host, *args, **more)
        assert done.status == 0, f"docker {args}: status {done.status}: {done.err.decode()}"
        return done.out

    def start(self, docker_host: str, *args: object) -> "Running":
        return Running(
            subprocess.Popen(
                [self.path, *map(str, args)], env=self.environment(docker_host),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            )
        )

    def terminal(self, docker_host: str, *args: object, rows: int, columns: int) -> "Terminal":
        command = [self.path, *map(str, args)]
        return Terminal(command, self.environment(docker_host), rows, columns)


def installed_clients() -> list[tuple[str, str]]:
    """(path, version) of each docker client on this machine that differs from the ones before."""
    found: dict[str, str] = {}
    for path in PLACES:
        if not shutil.which(path):
            continue
        out = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
        match = re.search(r"version ([\w.]+)", out)
        if match:
            found.setdefault(match[1], path)
    return [(path, version) for version, path in found.items()]


def docker_py(docker_host: str) -> docker.DockerClient:
    """The Python SDK, as it finds the Engine by variables."""
    return docker.from_env(version="auto", timeout=SDK_SECONDS, environment=variables(docker_host))


def curl(docker_host: str, path: str, *options: object) -> subprocess.CompletedProcess:
    """One request of the curl command to an Engine."""
    if docker_host.startswith("unix://"):
        base, where = "http://localhost", ["--unix-socket", docker_host.removeprefix("unix://")]
    elif folder := way.environment(docker_host).get("DOCKER_CERT_PATH"):
        base = docker_host.replace("tcp:", "https:")
        where = ["--cacert", f"{folder}/ca.pem", "--cert", f"{folder}/cert.pem", "--key", f"{folder}/key.pem"]
    else:
        base, where = docker_host.replace("tcp:", "http:"), []
    command = ["curl", "-sS", "--max-time", str(RESPONSE_SECONDS), *where, *map(str, options), base + path]
    return subprocess.run(command, capture_output=True, env={"PATH": os.environ["PATH"]})


class Running:
    """A docker command with its pipes open, read as its output comes."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.pending = bytearray()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self, seconds: float = RESPONSE_SECONDS) -> bytes:
        """The next line of standard output."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.pending:
            wait_readable(self.process.stdout.fileno(), deadline, self.pending)
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError(f"output ended: {self.process.stderr.read()!r}")
            self.pending += data
        line, _, rest = bytes(self.pending).partition(b"\n")
        self.pending = bytearray(rest)
        return line

    def some(self, seconds: float = RESPONSE_SECONDS) -> None:
        """Until something has come."""
        wait_readable(self.process.stdout.fileno(), time.monotonic() + seconds, self.pending)
        self.pending += os.read(self.process.stdout.fileno(), 65536)

    def type(self, data: bytes) -> None:
        self.process.stdin.write(data)

    def end_of_input(self) -> None:
        self.process.stdin.close()

    def finish(self, seconds: float = RESPONSE_SECONDS) -> Done:
        """Close standard input, read the rest, wait for the end."""
        out, err = self.process.communicate(timeout=seconds)
        return Done(self.process.returncode, bytes(self.pending) + out, err)


class Terminal:
    """A docker command whose standard streams are a pseudo terminal."""

    def __init__(
        self, command: list[str], env: dict[str, str], rows: int, columns: int
    ) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.seen = bytearray()

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command, env=env, stdin=slave, stdout=slave, stderr=slave, preexec_fn=take_terminal
        )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def resize(self, rows: int, columns: int) -> None:
        """As a user who drags the corner of the window: the kernel tells docker with SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def resize_until(self, rows: int, columns: int, mark: bytes) -> None:
        """Resize, and read up to the mark that shows it. A window tells of each step while it is
        dragged: docker misses those before it listens for them."""
        self.resize(rows, columns)
        deadline = time.monotonic() + RESPONSE_SECONDS
        while True:
            try:
                self.wait_for(mark, 1)
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                self.process.send_signal(signal.SIGWINCH)

    def wait_for(self, mark: bytes, seconds: float = RESPONSE_SECONDS) -> bytes:
        """Read what the screen shows up to and including the mark."""
        deadline = time.monotonic() + seconds
        while mark not in self.seen:
            wait_readable(self.master, deadline, self.seen)
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:  # EIO: the other side is closed
                raise AssertionError(f"no {mark!r} before the end: {bytes(self.seen)!r}") from None
        before, _, rest = bytes(self.seen).partition(mark)
        self.seen = bytearray(rest)
        return before + mark

    def finish(self, seconds: float = RESPONSE_SECONDS) -> int:
        """The exit status; what it still prints is kept in seen."""
        deadline = time.monotonic() + seconds
        while True:
            wait_readable(self.master, deadline, self.seen)
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                return self.process.wait(seconds)


def wait_readable(descriptor: int, deadline: float, seen: bytes) -> None:
    left = max(0.0, deadline - time.monotonic())
    if not select.select([descriptor], [], [], left)[0]:
        raise AssertionError(f"nothing more came after {bytes(seen)!r}")


def new_config_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dsp-tests-docker-config-"))
    (folder / "config.json").write_text("{}")
    return folder
