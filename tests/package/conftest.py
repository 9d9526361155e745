"""The release as its workflow makes it, once for all tests of this folder, and machines to install it on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
BINARY = ROOT / "build" / "docker-socket-proxy"
BUILD_SECONDS = 1800

sys.path[:0] = [str(TOOLS), str(ROOT / "tests")]

import debian  # noqa: E402
import steps  # noqa: E402


def run(*command: str | Path, timeout: float = 300, env: dict[str, str] | None = None,
        cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    return subprocess.run([str(c) for c in command], text=True, capture_output=True, env=env, cwd=cwd,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session", name="release")
def make_release(tmp_path_factory: pytest.TempPathFactory) -> steps.Release:
    """What release.yml has made on its way to the push: the files are in build-dist/."""
    return steps.Release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session", name="dist")
def make_dist(release: steps.Release) -> Path:
    """The folder of what a release carries: DSP_DIST, to try a test, or made by the workflow."""
    if "DSP_DIST" in os.environ:
        folder = Path(os.environ["DSP_DIST"])
        shutil.copytree(folder, release.folder / "artifacts/dist")
        return folder
    result = release.run_job("release", "binaries", timeout=BUILD_SECONDS)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return ROOT / "build-dist"


@pytest.fixture(name="machine", params=debian.SERVING, ids="-".join)
def boot_machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[debian.Machine]:
    """A Debian of each release that is supported, booted, without the package."""
    if os.geteuid() != 0:
        pytest.fail("a machine of its own needs root; run this test as root or with sudo")
    with debian.Machine(*request.param, tmp_path) as machine:
        yield machine
