"""An Engine of the tests' own with the image of the proxy, and stand-ins with the names of the apps' images."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/engine"), str(ROOT / "tests/apps")]

from engine import Engine  # noqa: E402
from machine import public_folder  # noqa: E402
from project import APPS, PROXY, docker  # noqa: E402

BINARY = Path(os.environ.get("DSP_BINARY", ROOT / "build" / "docker-socket-proxy"))
TEST_SECONDS = 240
# It does nothing but live, so that the tests can be the app in its network.
IDLE = ("--change", 'ENTRYPOINT ["sh", "-c", "exec sleep 1000000"]', "--change", "CMD []")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deadline(seconds): let this test run longer")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.exit("an Engine of one's own needs root", returncode=1)
        for item in items:
            item.add_marker(pytest.mark.skip(reason="an Engine of one's own needs root"))


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs is a failure with a traceback, not a stuck run."""
    marker = request.node.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else TEST_SECONDS

    def expire(*_) -> None:
        raise TimeoutError(f"the test took longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def build_image(engine: Engine) -> None:
    """The image, by the last part of the Dockerfile on the program under test."""
    folder = Path(public_folder("dsp-tests-image-"))
    try:
        subprocess.run([ROOT / "tools/image-root", BINARY, folder / "image"], check=True)
        (folder / "folders/docker-socket-proxy").mkdir(parents=True)
        last = "FROM scratch" + (ROOT / "Dockerfile").read_text().partition("\nFROM scratch")[2]
        last, copies = re.subn(r"COPY --from=build (--chown=\S+ )?/", r"COPY \1", last)
        assert copies == 3
        (folder / "Dockerfile").write_text(last)
        docker(engine, "build", "--tag", PROXY, folder)
    finally:
        shutil.rmtree(folder)


def images_of_the_files() -> set[str]:
    """Every image that a compose file names."""
    files = [yaml.safe_load((folder / "compose.yml").read_text()) for folder in APPS.iterdir()]
    return {service["image"] for file in files for service in file["services"].values()}


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """As on a machine: with rules of iptables, and the bridge that containers get who name no network."""
    made = Engine("--iptables=true", "--bridge=")
    with closing(made):
        made.start()
        made.import_busybox()
        build_image(made)
        container = docker(made, "create", "busybox:latest", "true")
        for name in images_of_the_files() - {PROXY}:
            docker(made, "commit", *IDLE, container, name)
        docker(made, "rm", container)
        yield made


@pytest.fixture(scope="session")
def other(engine: Engine) -> str:
    """Another app on the same Engine, with a secret in its environment and a network of its own."""
    docker(engine, "network", "create", "other-docker-api")
    docker(engine, "run", "--detach", "--name", "other", "--network", "other-docker-api", "--env", "PASSWORD=of-another",
           "--volume", "other:/data", "busybox:latest", "sleep", "1000000")
    return "other"
