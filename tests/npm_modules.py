"""Packages of npm that tests use: installed once per lock file into the tests' cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import machine

INSTALL_SECONDS = 240
LISTS = ("package.json", "package-lock.json")


def cache_folder(source: Path) -> Path:
    content = b"".join((source / name).read_bytes() for name in LISTS)
    return machine.cache_folder() / f"{source.name}-{hashlib.sha256(content).hexdigest()[:16]}"


def install(source: Path, folder: Path) -> None:
    """npm ci beside the final place, then a rename: a broken install is never taken for one."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        for name in (*LISTS, ".npmrc"):
            if (source / name).exists():
                shutil.copy(source / name, partial)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=partial, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False,
        )
        assert done.returncode == 0, f"npm ci: {done.stderr}"
        try:
            partial.rename(folder)
        except OSError:
            assert folder.is_dir()  # another run was quicker
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def modules(source: Path) -> Path:
    """What the lists in `source` name, installed."""
    folder = cache_folder(source)
    if not folder.is_dir():
        install(source, folder)
    return folder / "node_modules"
