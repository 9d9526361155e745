"""The RPM package has what the Debian package has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import debian
from conftest import ROOT, run
from engine import Engine
from service import CONFIGURATION, SERVICE, Load, allow_events, give_engine, status

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


def newer(rpm: Path, folder: Path, processor: str) -> None:
    """The same package, as a later version of it: newer.rpm."""
    staged, work = folder / "staged", folder / "work"
    archive = folder / "rpm.tar.gz"
    with rpm.open("rb") as package, archive.open("wb") as output:
        subprocess.run(["rpm2archive", "-"], stdin=package, stdout=output, check=True)
    staged.mkdir()
    subprocess.run(["tar", "--extract", "--gzip", "--file", archive, "--directory", staged], check=True)
    definitions = {"_topdir": work, "_rpmdir": folder, "_rpmfilename": "newer.rpm", "_dbpath": work / "database",
                   "staged": staged, "program_version": "99.0"}
    result = run("rpmbuild", "--quiet", "-bb", "--target", f"{processor}-linux",
                 *(word for name, value in definitions.items() for word in ("--define", f"{name} {value}")),
                 ROOT / "deploy/rpm/docker-socket-proxy.spec")
    assert result.returncode == 0, result.stdout + result.stderr
    for path in (staged, work):
        shutil.rmtree(path)
    archive.unlink()


def carry_rpm(folder: Path) -> list[str]:
    """Puts rpm of this machine, with its libraries, where a machine has /mnt/out/rpm; how it is called there."""
    program = shutil.which("rpm")
    assert program
    shutil.copytree("/usr/lib/rpm", folder / "lib")
    for path in [program, *re.findall(r"(/\S+) \(0x", run("ldd", program).stdout)]:
        shutil.copy(path, folder)
    (loader,) = folder.glob("ld-linux*")
    return ["env", "RPM_CONFIGDIR=/mnt/out/rpm/lib", f"/mnt/out/rpm/{loader.name}", "--library-path", "/mnt/out/rpm",
            "/mnt/out/rpm/rpm", "--dbpath", "/var/lib/rpm"]


@pytest.mark.parametrize("machine", debian.BOOKWORM, ids="-".join, indirect=True)
def test_its_scripts_hand_over_and_stop(machine: debian.Machine, dist: Path, tmp_path: Path) -> None:
    """On a machine with systemd. The first installation starts nothing; an upgrade and the way back fail no request; a removal
    stops what runs, and keeps a configuration that was changed."""
    tmp_path.chmod(0o755)
    processor = MACHINES[machine.architecture]
    (released,) = dist.glob(f"*.{processor}.rpm")
    shutil.copy(released, tmp_path / "first.rpm")
    newer(released, tmp_path, processor)
    first, later = "/mnt/out/first.rpm", "/mnt/out/newer.rpm"

    rpm_there = carry_rpm(tmp_path / "rpm")

    def rpm(*arguments: str) -> str:
        # rpm is that of this machine, and so is what it takes for the processor.
        other = [] if arguments[0] == "--erase" else ["--ignorearch"]
        result = machine(*rpm_there, "--nodeps", *other, *arguments)
        assert "scriptlet failed" not in result.stderr, result.stderr
        return result.stderr

    with Engine(tmp_path / "engine.sock") as engine:
        rpm("--install", first)
        assert "docker" in machine("id", "--name", "--groups", "docker-socket-proxy").stdout.split()
        assert machine.show("ActiveState") == "inactive"
        give_engine(machine)
        allow_events(machine)
        machine("systemctl", "enable", "--now", SERVICE)
        assert (machine.show("User"), status(machine, "GET", "/info")) == ("docker-socket-proxy", 200)
        machine("sh", "-c", f"echo '# changed here' >> {CONFIGURATION}")
        pids = [machine.show("MainPID")]
        with Load(machine, engine) as load:
            machine("sh", "-c", "while ! docker-socket-proxy status --json | grep -q '\"streams\"'; do sleep 0.1; done")
            for arguments in (["--upgrade", later], ["--upgrade", "--oldpackage", first]):
                said = rpm(*arguments)
                assert machine.show("ActiveState") == "active" and status(machine, "GET", "/info") == 200, said + machine.log()
                pids.append(machine.show("MainPID"))
        assert len(set(pids)) == 3, "each was handed over"
        assert load.result["failures"] == []
        assert set(load.result["answers"]) == {"200", "slow", "events"} and load.result["answers"]["200"] > 50, load.result
        assert machine("tail", "-n", "1", CONFIGURATION).stdout == "# changed here\n"
        rpm("--erase", "docker-socket-proxy")
    assert machine.show("ActiveState") == "inactive"
    left = machine("find", "/etc", "/usr", "-name", "*docker-socket-proxy*").stdout.split()
    assert left == [str(Path(CONFIGURATION).parent)]
    assert "# changed here" in machine("cat", f"{CONFIGURATION}.rpmsave").stdout
