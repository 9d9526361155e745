"""The program under test, as a user starts it: SOCKET_PATH=… PORT=… docker-socket-proxy."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import way
import wire
from machine import free_port, public_folder

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60
UNPRIVILEGED = 65532

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: (Thread|Memory)Sanitizer|runtime error:"
)


def binary_under_test() -> Path:
    return Path(os.environ.get("DSP_BINARY") or REPOSITORY / "build" / "docker-socket-proxy")


def copy_binary() -> Path:
    """A copy that an unprivileged user can run, and that a rebuild does not replace under us."""
    original = binary_under_test()
    if not original.is_file():
        raise RuntimeError(f"{original} is not there: build it first, or set DSP_BINARY")
    folder = Path(public_folder("dsp-tests-binary-"))
    copy = folder / "docker-socket-proxy"
    shutil.copy(original, copy)
    copy.chmod(0o755)
    return copy


class Program:
    """A process of the program under test, and its log. Whoever is one sets `process` and `log_file`."""

    process: subprocess.Popen
    log_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def log_line(self, *words: str, seconds: float = 60) -> str:
        """The first log line that has all these words; waits for it to be written."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.log().splitlines():
                if all(word in line for word in words):
                    return line
            assert time.monotonic() < deadline, f"no log line with {words} in:\n{self.log()}"
            time.sleep(0.01)

    def fault(self) -> str | None:
        """What is wrong with the process: it died, or a sanitizer spoke."""
        if self.process.poll() is not None:
            return f"the proxy died with status {self.process.returncode}:\n{self.log()}"
        if SANITIZER_REPORT.search(self.log()):
            return f"a sanitizer reported:\n{self.log()}"
        return None

    def terminate(self, how: signal.Signals = signal.SIGTERM, seconds: float = 60) -> int:
        """Ask it to stop; its exit status."""
        os.kill(self.pid, how)
        return self.process.wait(seconds)

    def close(self) -> None:
        """Stop it and fail if it did not live and end well."""
        fault = self.fault()
        try:
            status = self.terminate() if self.process.poll() is None else 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"SIGTERM does not end it:\n{self.log()}") from None
        fault = fault or (SANITIZER_REPORT.search(self.log()) and self.log())
        assert not fault, fault
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.log()}"


class Proxy(Program):
    """One running proxy, and the way to it."""

    def __init__(
        self, binary: Path, socket_path: Path, env: dict[str, str] | None = None,
        wire_settings: dict[str, str] | None = None, **popen
    ) -> None:
        """popen goes to subprocess.Popen: user, group and extra_groups choose who runs it. wire_settings: the
        variables with which it listens, in place of those of way.py; {} for TCP whatever DSP_WAY is."""
        self.port = free_port()
        wires = way.settings(binary, self.port) if wire_settings is None else wire_settings
        descriptor, name = tempfile.mkstemp(prefix="log-", dir=binary.parent)
        self.log_file = Path(name)
        environment = {
            "PATH": os.environ["PATH"],
            "SOCKET_PATH": str(socket_path),
            "PORT": str(self.port),
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
            **wires,
            **(env or {}),
        }
        self.docker_host = way.docker_host(binary, wires, self.port)
        self.process = subprocess.Popen(
            [binary], env=environment, stdin=subprocess.DEVNULL,
            stdout=descriptor, stderr=descriptor, **popen,
        )
        os.close(descriptor)
        self._wait_until_it_accepts()

    def _wait_until_it_accepts(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"exit status {self.process.returncode} at start:\n{self.log()}")
            try:
                return self.connect().close()
            except (ConnectionRefusedError, FileNotFoundError):
                if time.monotonic() > deadline:
                    self.process.kill()
                    raise RuntimeError(f"does not accept on its port:\n{self.log()}") from None
            time.sleep(0.01)

    def connect(self, host: str = "127.0.0.1") -> wire.Connection:
        sock = way.connect(self.docker_host, host)
        sock.settimeout(wire.TIMEOUT_SECONDS)
        return wire.Connection(sock)

    def get(self, target: str, headers: wire.Headers | None = None) -> wire.Response:
        with self.connect() as connection:
            return connection.roundtrip("GET", target, headers)
