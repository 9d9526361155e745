"""Node.js clients: runs their cases with the packages that npm installed (tests/npm_modules.py)."""

import json
import subprocess
from pathlib import Path

from client import COMMAND_SECONDS, variables
from npm_modules import INSTALL_SECONDS, modules

__all__ = ["INSTALL_SECONDS", "modules", "run"]


def run(script: Path, docker_host: str, *arguments: str, modules: Path | None = None):
    """The JSON that the script prints; an exception in it is a failure."""
    environment = variables(docker_host)
    if modules is not None:
        environment["NODE_PATH"] = str(modules)
    done = subprocess.run(
        ["node", script, *arguments],
        env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
