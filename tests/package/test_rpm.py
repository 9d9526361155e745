"""The RPM package has what the Debian package has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import run

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def files_of_deb(path: Path) -> set[str]:
    """The files in a Debian package, where Debian has them."""
    names = run("dpkg-deb", "--contents", path).stdout.splitlines()
    return {line.split()[5].lstrip(".") for line in names if not line.startswith("d")}


@pytest.mark.parametrize("architecture", MACHINES)
def test_it_has_the_same_files(dist: Path, architecture: str) -> None:
    """Two lists of files that are kept apart would grow apart."""
    (rpm,) = dist.glob(f"*.{MACHINES[architecture]}.rpm")
    (deb,) = dist.glob(f"*_{architecture}.deb")
    listed = run("rpm", "--query", "--package", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\\n]", rpm).stdout
    names = {line.split()[1] for line in listed.splitlines() if not line.startswith("d")}
    # Debian's names for licence and changelogs, its overrides, and the place of its units.
    own = {"changelog.gz", "copyright", "docker-socket-proxy"}
    here = {name.replace("/lib/systemd/", "/usr/lib/systemd/", 1) if name.startswith("/lib/") else name for name in files_of_deb(deb)}
    assert {name for name in here if not (Path(name).name in own and "/share/" in name)} == {
        name for name in names if not (Path(name).name in own and "/share/" in name)}


def test_it_installs_into_an_empty_folder(dist: Path, tmp_path: Path) -> None:
    """The program is the release's; an upgrade and a removal keep a configuration that was changed."""
    (rpm,) = dist.glob("*.x86_64.rpm")
    root = tmp_path / "root"
    rpm_there = ["rpm", "--root", root, "--nodeps", "--noscripts"]
    subprocess.run([*rpm_there, "--install", "--ignorearch", rpm], check=True)
    program = root / "usr/bin/docker-socket-proxy"
    assert program.read_bytes() == (dist / "docker-socket-proxy-linux-amd64").read_bytes()
    configuration = root / "etc/docker-socket-proxy/proxy.yaml"
    configuration.write_text(configuration.read_text() + "# changed here\n")
    subprocess.run([*rpm_there, "--upgrade", "--force", "--ignorearch", rpm], check=True)
    assert "# changed here" in configuration.read_text()
    subprocess.run([*rpm_there, "--erase", "docker-socket-proxy"], check=True)
    assert not program.exists()
    assert "# changed here" in configuration.with_suffix(".yaml.rpmsave").read_text()
