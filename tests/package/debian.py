"""Machines with Debian and systemd that last for one test.

A machine is systemd as the first process of namespaces, over a copy of a minimal Debian that is gone afterwards. The minimal
Debian comes from the mirror that apt of this machine uses, and is kept in the tests' cache folder for a month.

Machines of arm64, systemd included, are run by QEMU, a process at a time: the kernel is that of this machine. To make one takes
minutes, so that they are there with DSP_ARM64=1 only.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import machine

SUITES = ("bookworm", "sid")
WITH_ARM64 = "DSP_ARM64" in os.environ
MACHINES = [(suite, architecture) for suite in SUITES for architecture in (("amd64", "arm64") if WITH_ARM64 else ("amd64",))]
# That of sid starts no service under QEMU, neither this one nor its own (systemd 262, QEMU 7.2).
SERVING = [machine for machine in MACHINES if machine != ("sid", "arm64")]
BOOKWORM = [machine for machine in MACHINES if machine[0] == "bookworm"]
BINFMT = Path("/proc/sys/fs/binfmt_misc")
BASE_SECONDS = 30 * 24 * 3600
BOOT_SECONDS = 60
COMMAND_SECONDS = 120
PACKAGES = "systemd,adduser"

# In memory: dpkg waits for the disk after each file.
# Arguments: a folder, which gets `tree`; the release, the architecture, packages, mirror.
BOOTSTRAP = r"""
set -eu
mkdir "$1/memory"
mount -t tmpfs -o size=2g tmpfs "$1/memory"
debootstrap --arch="$3" --variant=minbase --include="$4" --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$2" "$1/memory/tree" "$5"
rm -rf "$1/memory/tree/var/cache/apt/archives" "$1/memory/tree/var/lib/apt/lists"
cp -a "$1/memory/tree" "$1/tree"
umount "$1/memory"
"""

# Arguments: the minimal Debian, the folder of the test, the control group of this machine.
BOOT = r"""
set -eu
base=$1 work=$2
mkdir -p "$work/layers"
mount -t tmpfs tmpfs "$work/layers"
mkdir "$work/layers/upper" "$work/layers/work" "$work/layers/root"
root=$work/layers/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/layers/upper,workdir=$work/layers/work" "$root"
mkdir -p "$root/mnt/out" "$root/mnt/old"
mount --bind "$work" "$root/mnt/out"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
# Of its own: nothing of it is seen in the control groups of another machine.
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
for folder in run tmp; do mount -t tmpfs -o mode=0755 tmpfs "$root/$folder"; done
chmod 1777 "$root/tmp"
rm -f "$root/usr/sbin/policy-rc.d"
cd "$root"
pivot_root . mnt/old
umount -l /mnt/old
exec env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
"""


def mirror() -> str:
    """The mirror of Debian's main archive that apt uses here, else Debian's own."""
    targets = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"],
                             text=True, capture_output=True, check=False).stdout
    for line in targets.splitlines():
        uri, _, name = line.partition(" ")
        if name == "Debian Debian" and urllib.parse.urlsplit(uri).scheme in ("http", "https"):
            return uri.rstrip("/")
    return "http://deb.debian.org/debian"


def run_foreign(architecture: str) -> None:
    """Let the kernel give programs of arm64 to QEMU, until the next boot, where it does not run them itself."""
    if architecture == "amd64" or platform.machine() == "aarch64":
        return
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    if not (BINFMT / "qemu-aarch64").exists():
        (BINFMT / "register").write_text(Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_text())


def base(suite: str, architecture: str) -> Path:
    """A minimal Debian with systemd in a folder, made on first use. Nothing writes into it."""
    run_foreign(architecture)
    foreign = "" if architecture == "amd64" else f"-{architecture}"
    folder = machine.cache_folder() / f"debian-{suite}-systemd{foreign}"
    if folder.exists() and time.time() - folder.stat().st_mtime < BASE_SECONDS:
        return folder
    partial = Path(tempfile.mkdtemp(dir=folder.parent))
    (partial / "bootstrap").write_text(BOOTSTRAP)
    result = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", str(partial / "bootstrap"), str(partial), suite, architecture, PACKAGES,
         mirror()],
        text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    os.utime(partial / "tree")
    shutil.rmtree(folder, ignore_errors=True)
    (partial / "tree").rename(folder)
    shutil.rmtree(partial)
    return folder


def unified() -> Path:
    """Where this machine has control groups of version 2."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(point)
    raise AssertionError("no cgroup2 is mounted here")


class Machine:
    """A booted Debian. `out` is /mnt/out there."""

    def __init__(self, suite: str, architecture: str, out: Path) -> None:
        self.suite = suite
        self.architecture = architecture
        self.out = out
        self.group = unified() / f"dsp-package-{os.getpid()}-{suite}-{architecture}"
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Machine:
        folder = base(self.suite, self.architecture)
        (self.out / "boot").write_text(BOOT)
        self.group.mkdir()
        try:
            self._start(folder)
            self._await_boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, folder: Path) -> None:
        # The shell enters the control group before the namespace takes it for the root of all.
        enter = f'echo $$ > "{self.group}/cgroup.procs" && exec "$@"'
        self._process = subprocess.Popen(
            ["sh", "-c", enter, "sh", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc",
             "--cgroup", "--propagation", "private", "sh", str(self.out / "boot"), str(folder), str(self.out)],
            stdin=subprocess.DEVNULL)

    def _await_boot(self) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for _ in range(BOOT_SECONDS * 10):
            if not self.pid and children.exists() and children.read_text().split():
                self.pid = int(children.read_text().split()[0])
            if self.pid and self("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                self("ip", "link", "set", "lo", "up", check=False)
                return
            assert self._process.poll() is None, "the machine ended while it booted"
            time.sleep(0.1)
        raise AssertionError("the machine did not boot")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # and so, by --kill-child, all that it has started
            self._process.wait()
        for _ in range(100):
            groups = sorted(self.group.rglob("*/"), reverse=True)
            try:
                for path in [*groups, self.group]:
                    path.rmdir()
                return
            except OSError:
                time.sleep(0.1)  # the kernel still ends what was in them

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command on the machine."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup",
                "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *command]

    def beside(self, *command: str) -> list[str]:
        """The command line that runs a program of this machine in the network of that one."""
        return ["nsenter", "--target", str(self.pid), "--net", *command]

    def __call__(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine to its end."""
        result = subprocess.run(self.enter(*command), text=True, capture_output=True, check=False,
                                timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL)
        assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result

    def show(self, name: str) -> str:
        """A property of the service."""
        return self("systemctl", "show", "docker-socket-proxy.service", f"--property={name}", "--value").stdout.strip()

    def program(self, pid: str) -> str:
        """The file that a process runs, or that QEMU runs for it; what was replaced ends with "(deleted)"."""
        if self.architecture == "amd64":
            return self("readlink", f"/proc/{pid}/exe").stdout.strip()
        for line in self("cat", f"/proc/{pid}/maps").stdout.splitlines():
            if "docker-socket-proxy" in line:
                return line.split(maxsplit=5)[5]
        return ""

    def log(self) -> str:
        """What systemd and the service said, but for requests."""
        lines = self("journalctl", "--quiet", "--no-pager", "--output=cat", "--unit", "docker-socket-proxy.service").stdout.splitlines()
        return "\n".join(line for line in lines if " method=" not in line)
