"""`make test` says the same wherever the tree is and whoever runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BINARY, ROOT

# Tests in which the program runs as another user, who has to reach and execute it.
OTHER_USERS = "anyone_else_stays or may_not_open or without_any_permission or root_drops"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_tests_pass_below_a_private_folder(tmp_path: Path) -> None:
    """A clone in root's home, which is 0700 on Debian, made with a umask that gives others nothing."""
    private = tmp_path / "home"
    private.mkdir(mode=0o700)
    shutil.copytree(ROOT / "tests/wire", private / "tests/wire")
    shutil.copy(ROOT / "tests/machine.py", private / "tests")
    shutil.copy(BINARY, private)
    for path in private.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", OTHER_USERS,
         private / "tests/wire/test_lifecycle.py"],
        env={**os.environ, "DSP_BINARY": str(private / BINARY.name), "PYTHONDONTWRITEBYTECODE": "1"},
        umask=0o077, text=True, capture_output=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout
