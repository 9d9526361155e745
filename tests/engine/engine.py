"""A private Docker Engine in a temporary folder.

It lives in network, mount and process namespaces of its own: its bridges, its swarm port and its
mounts are not the machine's, other Engines on the machine do not meet it, and when its first
process ends nothing of it is left running.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from functools import cached_property
from pathlib import Path

import wire
from machine import public_folder

START_SECONDS = 120
STOP_SECONDS = 60
BUSYBOX = Path("/bin/busybox")
IMAGE = "busybox:latest"

# The Engine under the program under test: the machine's, or another one.
DOCKERD = os.environ.get("DSP_DOCKERD") or "dockerd"

# First process of the namespaces: brings up loopback, then becomes the Engine.
BOOT = 'busybox ip link set lo up && exec "$0" "$@"'


def environment() -> dict[str, str]:
    """That of dockerd, which finds containerd, runc and the others in PATH: beside itself, if it is not
    the machine's."""
    folder = os.path.dirname(DOCKERD)
    return {**os.environ, "PATH": ":".join(filter(None, [folder, os.environ["PATH"]]))}


def busybox_root_filesystem() -> bytes:
    """A tar of a root file system that holds busybox and nothing else."""
    applets = subprocess.run(
        [BUSYBOX, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "root"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        tar.add(BUSYBOX.resolve(), "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        passwd = b"root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    return buffer.getvalue()


class Engine:
    """One dockerd. Start, stop and start it again; its data stays until close()."""

    def __init__(self, *options: str) -> None:
        self.options = options  # further ones of dockerd
        self.folder = Path(public_folder("dsp-tests-engine-"))
        self.socket = self.folder / "docker.sock"
        self.log = self.folder / "dockerd.log"
        self.process: subprocess.Popen | None = None
        self.network = ["unshare", "--net"]  # how it gets its network
        self.idle = "none"  # a container, see Containers.idle()

    def start(self) -> None:
        """Start dockerd and wait until it responds."""
        # What a killed Engine leaves: as after a reboot, the pids in these files are other
        # processes now, here even for certain, as the namespace counts from 1 again.
        (self.folder / "pid").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        command = [
            "setpriv", "--pdeathsig", "KILL",  # a test run that is killed leaves no Engine behind
            *self.network, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            "tini", "--", "sh", "-c", BOOT, DOCKERD,
            "--data-root", self.folder / "data",
            "--exec-root", self.folder / "exec",
            "--pidfile", self.folder / "pid",
            "--host", f"unix://{self.socket}",
            "--exec-opt", "native.cgroupdriver=cgroupfs",
            "--iptables=false", "--ip6tables=false", "--bridge=none", *self.options,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.responds():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"dockerd did not start:\n{self.log_tail()}")
            time.sleep(0.02)

    @property
    def first_process(self) -> int:
        """The process whose namespaces are the Engine's."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def responds(self) -> bool:
        try:
            return self.get("/_ping").status == 200
        except (OSError, wire.Closed):
            return False

    @cached_property
    def api(self) -> tuple[int, int]:
        """The newest version of the API that it serves: (1, 41) in Engine 20.10, (1, 51) in 28.5."""
        major, minor = self.get("/version").json()["ApiVersion"].split(".")
        return int(major), int(minor)

    def get(self, target: str) -> wire.Response:
        """Ask the Engine itself, past the program under test."""
        with wire.connect_unix(self.socket) as connection:
            return connection.roundtrip("GET", target)

    def stop(self) -> None:
        """Stop as an administrator would: SIGTERM to dockerd, which stops its containers."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would: the socket file stays behind."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            for pid in children.read_text().split():
                os.kill(int(pid), how)
            self.process.wait(STOP_SECONDS)
        self.process = None

    def close(self) -> None:
        if self.process is not None:
            self.remove_containers()
            self.stop()
        shutil.rmtree(self.folder)

    def remove_containers(self) -> None:
        """Remove what tests left, so that stopping does not wait for shells that ignore SIGTERM."""
        for container in self.get("/containers/json?all=1").json():
            with wire.connect_unix(self.socket) as connection:
                connection.roundtrip("DELETE", f"/containers/{container['Id']}?force=1&v=1")

    def import_busybox(self) -> None:
        with wire.connect_unix(self.socket) as connection:
            response = connection.roundtrip(
                "POST",
                "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D",
                {"Content-Type": "application/x-tar"},
                busybox_root_filesystem(),
            )
        if response.status != 200 or b"errorDetail" in response.body:
            raise RuntimeError(f"cannot import busybox: {response}")

    def handlers(self, function: str) -> int:
        """How many requests are inside the handler of this name right now, seen in the Engine."""
        stacks = self.get("/debug/pprof/goroutine?debug=2").body.decode()
        return len(re.findall(rf"\){re.escape('.' + function)}\(", stacks))

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-40:])


def new_engine(*options: str) -> Engine:
    """An Engine that runs and has the busybox image."""
    engine = Engine(*options)
    try:
        engine.start()
        engine.import_busybox()
    except BaseException:
        engine.close()
        raise
    return engine
