"""`make run` and .env: each setting reaches the program, or the start stops."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT

PROGRAM = '#!/bin/sh\nprintf "POLICY=%s\\n" "${POLICY-unset}"\nprintf "POST=%s\\n" "${POST-unset}"\n'
# An Engine's socket that this user may not open, and a sudo that says what it would do.
DENIED = '#!/bin/sh\nif [ "$1" = - ]; then echo denied; else exec /usr/bin/python3 "$@"; fi\n'
SUDO = '#!/bin/sh\necho "$@"\n'


def make_executable(path: Path, text: str) -> None:
    """A script at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(name="clone")
def make_clone(tmp_path: Path) -> Path:
    """What tools/run needs of a clone, with a program that says what reaches it."""
    (tmp_path / "tools").mkdir()
    for name in ("run", "env_file.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools" / name)
    make_executable(tmp_path / "build/docker-socket-proxy", PROGRAM)
    return tmp_path


def run(clone: Path, env: dict[str, str], path: str = os.environ["PATH"]) -> subprocess.CompletedProcess:
    """tools/run, with nothing in the environment but `env`."""
    return subprocess.run([clone / "tools/run"], env={"PATH": path} | env, text=True,
                          capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("text", [
    "POLICY=read-only\n", "POLICY=read-only", "A=1\nPOLICY=read-only", "export POLICY=read-only\n",
    "  POLICY=read-only\n", "\tPOLICY=read-only \n", "POLICY = read-only\n", "POLICY: read-only\n",
    'POLICY="read-only"\n', "POLICY='read-only' # the app\n", "POLICY=read-only # the app\n",
    "POLICY=read-only\r\n", "\ufeffPOLICY=read-only\n", "POLICY=open\nPOLICY=read-only\n",
    "# comment\n\n   \nPOLICY=read-only\n",
])
def test_each_way_to_write_a_setting_counts(clone: Path, text: str) -> None:
    """What docker compose reads from .env, `make run` reads too: a lost POLICY is an open proxy."""
    (clone / ".env").write_bytes(text.encode())
    result = run(clone, {"SOCKET_PATH": "/none"})
    assert "POLICY=read-only\n" in result.stdout, result.stderr


@pytest.mark.parametrize("text", ["POLICY\n", "POLICY read-only\n", "POLICY='read-only\n", "POLI-CY=read-only\n",
                                  'POLICY="read-\\only"\n', "POLICY='a'b\n", "=read-only\n"])
def test_what_cannot_be_read_stops_the_start(clone: Path, text: str) -> None:
    """The line that is dropped may be the one that restricts."""
    (clone / ".env").write_text("A=1\n" + text)
    result = run(clone, {"SOCKET_PATH": "/none"})
    assert result.returncode != 0
    assert ".env:2" in result.stderr
    assert "POLICY=" not in result.stdout


def test_the_caller_comes_before_the_file(clone: Path) -> None:
    """An empty variable is one, too: an empty switch closes."""
    (clone / ".env").write_text("POLICY=open\nPOST=1\n")
    result = run(clone, {"SOCKET_PATH": "/none", "POLICY": "deny", "POST": ""})
    assert result.stdout == "POLICY=deny\nPOST=\n"


def test_a_value_is_no_command(clone: Path) -> None:
    """What stands in .env is text."""
    (clone / ".env").write_text("POLICY=$(touch pwned)`touch pwned`;touch pwned\nPOST='\"; touch pwned; \"'\n")
    result = run(clone, {"SOCKET_PATH": "/none"})
    assert result.stdout == 'POLICY=$(touch pwned)`touch pwned`;touch pwned\nPOST="; touch pwned; "\n'
    assert not list(clone.rglob("pwned"))


def test_sudo_carries_each_setting_on(clone: Path) -> None:
    """Also the misspelt ones and other proxies', which the program refuses if it sees them."""
    make_executable(clone / "bin/python3", DENIED)
    make_executable(clone / "bin/sudo", SUDO)
    (clone / ".env").write_text("ALLOW_RESUME=1\nlower=1\n")
    result = run(clone, {"POLCY": "traefik", "SP_ALLOW_GET": "/x"}, f"{clone}/bin:{os.environ['PATH']}")
    option = result.stdout.split()[0]
    assert option.startswith("--preserve-env="), result.stderr
    names = option.removeprefix("--preserve-env=").split(",")
    assert {"POLCY", "SP_ALLOW_GET", "ALLOW_RESUME", "lower", "LOOPBACK"} <= set(names)
    assert not {"PATH", "HOME", "USER"} & set(names)
