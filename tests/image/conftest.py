"""An Engine of its own and the image built on it, once for all tests of this folder.

No registry is asked: the base image debian:bookworm-slim is made with debootstrap from the mirror
that this machine's apt uses, and kept as a tarball in the tests' cache folder for a month.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

import machine  # noqa: E402
from private_engine import PrivateEngine  # noqa: E402

BASE_SECONDS = 30 * 24 * 3600  # how long a base image is used
BASE = "debian:bookworm-slim"
REPOSITORY = "acme/x"  # where a workflow of GitHub says that the sources are
PROXY_SETTINGS = ("http_proxy", "https_proxy", "no_proxy")


def run(*command: str | Path,
        env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure shows both its streams."""
    result = subprocess.run([str(c) for c in command], text=True, capture_output=True,
                            timeout=1800, check=False, env=env)
    if result.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}: exit {result.returncode}\n"
                    f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
    return result


def debian_mirror() -> list[str]:
    """The mirror of Debian's main archive that apt uses here; none: debootstrap's own choice."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"],
        text=True, capture_output=True, check=False).stdout
    for line in targets.splitlines():
        uri, _, name = line.partition(" ")
        if name == "Debian Debian" and urllib.parse.urlsplit(uri).scheme in ("http", "https"):
            return [uri.rstrip("/")]
    return []


def base_tarball() -> Path:
    """The tarball of a minimal Debian 12, made on first use."""
    tarball = machine.cache_folder() / "debian-bookworm-minbase.tar"
    if not tarball.exists() or time.time() - tarball.stat().st_mtime > BASE_SECONDS:
        folder = Path(tempfile.mkdtemp(dir=tarball.parent))
        tree, partial = folder / "tree", folder / tarball.name
        run("debootstrap", "--variant=minbase", "bookworm", tree, *debian_mirror())
        run("rm", "-rf", tree / "var/cache/apt/archives", tree / "var/lib/apt/lists")
        run("tar", "--create", "--numeric-owner", "--one-file-system", "--file", partial,
            "--directory", tree, ".")
        partial.rename(tarball)
        run("rm", "-rf", folder)
    return tarball


class Docker:
    """The docker command against the private Engine."""

    def __init__(self, engine: PrivateEngine) -> None:
        self.engine = engine
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{engine.socket}",
                            "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(engine.folder)}

    def __call__(self, *arguments: str | Path) -> str:
        return run("docker", *arguments, env=self.environment).stdout.strip()

    def make(self, *arguments: str) -> str:
        """A verb of the Makefile, with the containers of the build on the host's network."""
        flags = ["--network", "host"]
        for name in PROXY_SETTINGS:
            if name in os.environ:
                flags += ["--build-arg", f"{name}={os.environ[name]}"]
        environment = {**self.environment, "DOCKER_BUILD_FLAGS": " ".join(flags), "GITHUB_REPOSITORY": REPOSITORY,
                       "GITHUB_SERVER_URL": "https://github.com"}
        return run("make", "-C", ROOT, *arguments, env=environment).stdout


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A running private Engine that has the base image."""
    if os.geteuid() != 0:
        pytest.fail("an Engine needs root; run this test as root or with sudo")
    tarball = base_tarball()
    with PrivateEngine() as engine:
        client = Docker(engine)
        client("import", tarball, BASE)
        yield client


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    """The image, built as the README says."""
    docker.make("IMAGE=dsp-test", "TAG=c-test", "docker-build")
    return "dsp-test:c-test"
