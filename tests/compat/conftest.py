"""The Engine that responds with 200, and the peers in front of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import BINARY, HAProxy
from machine import public_folder
from peers import ALL_PEERS, configuration, engine_configuration, from_header


def pytest_configure(config: pytest.Config) -> None:
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"no binary at {BINARY}: build first (make), or set DSP_BINARY")


@pytest.fixture(scope="session")
def folder() -> Iterator[str]:
    """A folder that the proxy can reach after it has given up its privileges."""
    path = public_folder("compat-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def engine(folder: str) -> Iterator[str]:
    """The socket of an Engine that responds with 200 to everything."""
    path = f"{folder}/engine.sock"
    with HAProxy(folder, "engine", engine_configuration(path), path):
        yield path


@pytest.fixture(scope="session")
def peers(folder: str, engine: str) -> Iterator[dict[str, str]]:
    """The sockets of the peers, by name, with variables in header fields."""
    started = []
    try:
        for peer in ALL_PEERS:
            path = f"{folder}/{peer.name}.sock"
            text = configuration(peer, from_header, path, engine)
            started.append(HAProxy(folder, peer.name, text, path))
        yield {peer.name: program.address for peer, program in zip(ALL_PEERS, started)}
    finally:
        for program in started:
            program.__exit__()
