"""Helpers for tests of what surrounds the program: scripts, files that ship, documents."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
BINARY = Path(os.environ.get("DSP_BINARY", ROOT / "build" / "docker-socket-proxy"))

sys.path[:0] = [str(TOOLS), str(ROOT / "tests")]


def run(*command: str | Path, timeout: float = 600, env: dict[str, str] | None = None,
        cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    return subprocess.run([str(c) for c in command], text=True, capture_output=True, env=env,
                          cwd=cwd, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
