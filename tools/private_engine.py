#!/usr/bin/python3
"""Runs a command beside a Docker Engine of its own.

    tools/private_engine.py COMMAND [ARGUMENT...]

Starts dockerd in a temporary folder, without networks or firewall rules, so that it changes nothing
on this machine; waits until it serves; runs COMMAND with SOCKET_PATH and DOCKER_HOST pointing at it;
stops it and removes the folder when COMMAND ends or a signal arrives. Needs root.

Tests import it: `with PrivateEngine() as engine: ...engine.socket...`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

START_SECONDS = 120
STOP_SECONDS = 60


class EngineFailed(Exception):
    """dockerd did not come up; the text has the end of its log."""


class PrivateEngine:
    """One dockerd with all its state below one temporary folder."""

    def __init__(self, parent: Path | None = None, data_root: Path | None = None) -> None:
        # Unix socket paths end at 107 bytes: keep the folder's name short.
        self.folder = Path(tempfile.mkdtemp(prefix="dsp-engine.", dir=parent))
        # The socket's own mode decides who may open it, also after the proxy has given up root.
        self.folder.chmod(0o711)
        self.data_root = data_root or self.folder / "data"
        self.socket = self.folder / "docker.sock"
        self.log = self.folder / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        # With a containerd of the system the names must not meet those of the system's own Engine.
        name = "dsp-" + uuid.uuid4().hex[:8]
        return [
            # dockerd must not outlive us, however we end.
            "setpriv", "--pdeathsig", "TERM", "--",
            "dockerd",
            "--config-file", str(self.folder / "daemon.json"),
            "--data-root", str(self.data_root),
            "--exec-root", str(self.folder / "exec"),
            "--pidfile", str(self.folder / "dockerd.pid"),
            "--host", f"unix://{self.socket}",
            "--containerd-namespace", name,
            "--containerd-plugins-namespace", name + "-plugins",
            "--bridge", "none", "--iptables=false", "--ip6tables=false",
        ]

    def start(self) -> None:
        """Start dockerd and return when it says that it serves."""
        (self.folder / "daemon.json").write_text("{}")
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(str(self.folder / "notify.sock"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify.sock")}
        # Settings of a client have no business with the daemon.
        for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            environment.pop(name, None)
        with notices, self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
            self._await_ready(notices)

    def _await_ready(self, notices: socket.socket) -> None:
        assert self._process is not None
        notices.settimeout(0.5)
        for _ in range(START_SECONDS * 2):
            try:
                if b"READY=1" in notices.recv(4096):
                    return
            except TimeoutError:
                if self._process.poll() is not None:
                    break
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise EngineFailed(f"dockerd does not serve; the end of its log:\n{tail}")

    def stop(self) -> None:
        """Stop dockerd and remove everything it left. Safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for mount in self._mounts_left():
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mounts_left(self) -> list[str]:
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [p for p in reversed(points) if p.startswith(f"{self.folder}/")]

    def __enter__(self) -> PrivateEngine:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run_beside(command: list[str]) -> int:
    """Run the command beside an Engine; its exit code, or 128 + the signal that ended it."""
    with PrivateEngine() as engine:
        print(f"private-engine: a Docker Engine of its own at {engine.socket}", file=sys.stderr)
        environment = {**os.environ, "SOCKET_PATH": str(engine.socket),
                       "DOCKER_HOST": f"unix://{engine.socket}"}
        # A process group of its own: Ctrl-C reaches it through us, once.
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                 start_new_session=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: child.send_signal(received))
        code = child.wait()
        print("private-engine: stopping the Engine and removing its folder", file=sys.stderr)
    return code if code >= 0 else 128 - code


def main() -> int:
    command = sys.argv[1:]
    if not command:
        print("usage: tools/private_engine.py COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("private-engine: dockerd needs root; run this through sudo", file=sys.stderr)
        return 1
    if not shutil.which("dockerd"):
        print("private-engine: there is no dockerd; install docker.io", file=sys.stderr)
        return 1
    # A signal while dockerd starts must still remove its folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run_beside(command)
    except EngineFailed as failure:
        print(f"private-engine: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
