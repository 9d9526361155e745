"""The image under podman, as root, with podman's default seccomp profile and without a capability."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT, Docker, run
from machine import free_port, public_folder

PATIENCE = 60

pytestmark = pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")


class Podman:
    """The podman command with images and containers of its own."""

    def __init__(self, folder: Path) -> None:
        # crun, podman's choice on Debian, does not start where cgroups of both versions are.
        self.command = [
            "podman", "--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", shutil.which("runc") or "runc",
        ]

    def __call__(self, *arguments: str | Path) -> str:
        return run(*self.command, *arguments).stdout.strip()

    def logs(self, container: str) -> str:
        """Both streams of the container."""
        return subprocess.run([*self.command, "logs", container], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=True).stdout


@pytest.fixture
def podman() -> Iterator[Podman]:
    folder = Path(public_folder("podman-"))
    yield Podman(folder)
    shutil.rmtree(folder)


def await_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the container does not listen"
            time.sleep(0.05)


def test_it_serves_inside_podmans_profile_and_its_own_sandbox(
        docker: Docker, image: str, podman: Podman, tmp_path: Path) -> None:
    """Both filters hold, podman's and the program's; requests, the health check and the end work."""
    port = free_port()
    docker("save", "--output", tmp_path / "image.tar", image)
    loaded = podman("load", "--quiet", "--input", tmp_path / "image.tar").split()[-1]
    engine = docker.engine.socket
    container = podman(
        "run", "--detach", "--network", "host", "--cap-drop", "ALL", "--read-only", "--ulimit", "nofile=1024:1024",
        "--ulimit", "nproc=1024:1024", "--group-add", str(engine.stat().st_gid), "--env", f"PORT={port}",
        "--volume", f"{engine}:/var/run/docker.sock", loaded).splitlines()[-1]
    try:
        await_listening(port)
        podman("exec", container, "/docker-socket-proxy", "healthcheck")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=PATIENCE) as response:
            assert b"ApiVersion" in response.read()
        status = Path(f"/proc/{podman('inspect', '--format', '{{.State.Pid}}', container)}/status").read_text()
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE) and "\nSeccomp_filters:\t2\n" in status, status
        assert re.search(r" sandbox: seccomp[,;]", podman.logs(container)), podman.logs(container)
        podman("stop", "--time", "20", container)
        assert podman("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
    finally:
        podman("rm", "--force", container)


def test_the_same_files_are_the_same_image(podman: Podman, tmp_path: Path) -> None:
    """Who builds the image of a commit again, anywhere and at another time, gets the one that was published: all layers, labels
    and history. The first part of the Dockerfile, which compiles, is left out here; the program is any file."""
    last_part = (ROOT / "Dockerfile").read_text().partition("\nFROM scratch\n")[2]
    images = []
    for number in (1, 2):
        folder = tmp_path / f"{number}{'x' * number}"
        (folder / "folders/docker-socket-proxy").mkdir(parents=True)
        (folder / "program").write_text("the program")
        run(ROOT / "tools/image-root", folder / "program", folder / "image")
        (folder / "Dockerfile").write_text(f"FROM scratch AS build\nCOPY . /\n\nFROM scratch\n{last_part}")
        podman("build", "--no-cache", "--timestamp", "1700000000", "--build-arg", "VERSION=1.2.3", "--tag", f"same:{number}", folder)
        images.append(podman("image", "inspect", "--format", "{{.Id}} {{.RootFS.Layers}}", f"same:{number}"))
        time.sleep(1.1)  # an image that has the time of its making is another one
    assert images[0] == images[1]
    assert images[0].count("sha256:") == 3, "one layer for each COPY"
