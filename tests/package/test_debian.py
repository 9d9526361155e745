"""The Debian package: what is in it, and what happens when it is installed, upgraded, removed and purged."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

import debian
from conftest import ROOT, run
from engine import Engine
from service import CONFIGURATION, PORT, SERVICE, Load, allow_events, give_engine, status
from steps import Release, copy_tree

SOCKET = "docker-socket-proxy.socket"
ARCHITECTURES = ("amd64", "arm64")


def package(dist: Path, architecture: str) -> Path:
    """The package of a release."""
    (path,) = dist.glob(f"docker-socket-proxy_*_{architecture}.deb")
    return path


def newer(path: Path, folder: Path) -> Path:
    """The same package, as a later version of it."""
    tree = folder / "newer"
    assert run("dpkg-deb", "--raw-extract", path, tree).returncode == 0
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 99."))
    built = folder / "newer.deb"
    # Not compressed, which takes long.
    result = run("dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, built)
    assert result.returncode == 0, result.stderr
    shutil.rmtree(tree)
    return built


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lintian_finds_no_fault(dist: Path, architecture: str) -> None:
    """Debian's own measure of a package; the reasons of two exceptions are in debian/."""
    result = run("lintian", "--allow-root", "--fail-on", "error,warning", package(dist, architecture))
    assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_that_of_the_release(dist: Path, tmp_path: Path, architecture: str) -> None:
    """Who has verified the binary of the release page has verified what the package installs, and what it runs as."""
    assert run("dpkg-deb", "--extract", package(dist, architecture), tmp_path).returncode == 0
    program = tmp_path / "usr/bin/docker-socket-proxy"
    assert program.read_bytes() == (dist / f"docker-socket-proxy-linux-{architecture}").read_bytes()
    command = [program] if architecture == "amd64" else ["qemu-aarch64-static", program]
    result = run(*command, "check", "--config", tmp_path / CONFIGURATION.lstrip("/"))
    assert result.returncode == 0 and "warning" not in (result.stdout + result.stderr).lower(), result.stdout + result.stderr
    digest = json.loads((tmp_path / "usr/share/doc/docker-socket-proxy/sbom.spdx.json").read_text())
    assert {entry["name"] for entry in digest["packages"]} >= {"docker-socket-proxy", "libssl-dev", "libc6-dev"}


def listening(machine: debian.Machine) -> set[str]:
    """The addresses at which anything on the machine listens for TCP."""
    result = run(*machine.beside("ss", "--no-header", "--listening", "--tcp", "--numeric"))
    assert result.returncode == 0, result.stderr
    return {line.split()[3] for line in result.stdout.splitlines()}


def version(machine: debian.Machine) -> str:
    """The version of the package on the machine."""
    return machine("dpkg-query", "--show", "--showformat", "${Version}", "docker-socket-proxy").stdout


def test_an_upgrade_fails_no_request(machine: debian.Machine, dist: Path, tmp_path: Path) -> None:
    """From the first installation to the purge, with clients that never pause over the upgrade."""
    tmp_path.chmod(0o755)
    shutil.copy(package(dist, machine.architecture), tmp_path / "first.deb")
    newer(tmp_path / "first.deb", tmp_path)
    with Engine(tmp_path / "engine.sock") as engine:
        machine("dpkg", "--install", "/mnt/out/first.deb")
        give_engine(machine)
        assert (machine.show("ActiveState"), machine.show("UnitFileState")) == ("active", "enabled")
        assert machine.show("User") == "docker-socket-proxy"
        assert listening(machine) == {f"127.0.0.1:{PORT}"}, "nobody else may reach what asks nobody who they are"
        assert (status(machine, "GET", "/info"), status(machine, "POST", "/containers/create")) == (200, 403)
        assert "docker-socket-proxy" in machine("docker-socket-proxy", "status").stdout
        allow_events(machine)
        machine("systemctl", "reload", SERVICE)
        former = machine.show("MainPID")
        machine("sh", "-c", f"echo '# changed here' >> {CONFIGURATION}")

        with Load(machine, engine) as load:
            machine("sh", "-c", "while ! docker-socket-proxy status streams | grep -q system.events; do sleep 0.1; done")
            said = machine("dpkg", "--install", "/mnt/out/newer.deb")
            assert version(machine).startswith("99.")
            later = machine.show("MainPID")
            assert later != former and machine.show("ActiveState") == "active", said.stdout + said.stderr + machine.log()
            assert machine.program(later) == "/usr/bin/docker-socket-proxy"
            assert status(machine, "GET", "/info") == 200
            # Back again, as docs/upgrade.md writes it.
            machine("apt-get", "install", "--yes", "--allow-downgrades", "/mnt/out/first.deb")
            assert not version(machine).startswith("99.") and status(machine, "GET", "/info") == 200
            assert machine.show("MainPID") != later and machine.show("ActiveState") == "active", machine.log()
        assert load.result["failures"] == []
        assert set(load.result["answers"]) == {"200", "slow", "events"} and load.result["answers"]["200"] > 50, load.result
        assert "# changed here" in machine("cat", CONFIGURATION).stdout
        assert machine.show("NRestarts") == "0"

        files = machine("dpkg", "--listfiles", "docker-socket-proxy").stdout.split()
        machine("dpkg", "--remove", "docker-socket-proxy")
        assert machine("systemctl", "is-active", SERVICE, check=False).stdout == "inactive\n", (
            machine("systemctl", "show", SERVICE).stdout[:1500] + machine.log())
        assert machine("test", "-e", CONFIGURATION, check=False).returncode == 0, "the configuration outlives a removal"
        machine("dpkg", "--purge", "docker-socket-proxy")
        left = [path for path in files if "docker-socket-proxy" in path and machine("test", "-e", path, check=False).returncode == 0]
        assert left == []
        assert machine("find", "/etc", "/var/log", "-name", "*docker-socket-proxy*").stdout == ""


@pytest.mark.parametrize("machine", debian.BOOKWORM, ids="-".join, indirect=True)
def test_an_upgrade_ends_no_proxy_for_one_that_cannot_start(machine: debian.Machine, dist: Path, tmp_path: Path) -> None:
    """A mistake in the configuration at the time of an upgrade must not take the proxy away."""
    shutil.copy(package(dist, machine.architecture), tmp_path / "first.deb")
    newer(tmp_path / "first.deb", tmp_path)
    machine("dpkg", "--install", "/mnt/out/first.deb")
    former = machine.show("MainPID")
    machine("sh", "-c", f"cp {CONFIGURATION} /root/right && echo 'no_such_key: 1' >> {CONFIGURATION}")
    result = machine("dpkg", "--install", "/mnt/out/newer.deb")
    assert "the former version goes on serving" in result.stderr
    assert (machine.show("MainPID"), machine.show("ActiveState")) == (former, "active")
    machine("cp", "/root/right", CONFIGURATION)
    machine("systemctl", "reload", SERVICE)
    assert machine.show("MainPID") != former

    # Without an admin listener nobody can hand over: the new program starts all the same.
    machine("sh", "-c", f"sed -i '/^admin:/,$d' {CONFIGURATION} && systemctl restart {SERVICE}")
    former = machine.show("MainPID")
    result = machine("dpkg", "--install", "/mnt/out/newer.deb")
    assert "the service is restarted" in result.stdout
    assert machine.show("MainPID") != former and machine.show("ActiveState") == "active"


class UnixConnection(http.client.HTTPConnection):
    """HTTP at a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@pytest.mark.parametrize("machine", debian.BOOKWORM, ids="-".join, indirect=True)
def test_the_socket_of_the_package_serves_and_goes(machine: debian.Machine, dist: Path, tmp_path: Path) -> None:
    """For who wants it: systemd opens it, the first connection starts the service, and a removal leaves nothing of it."""
    tmp_path.chmod(0o755)
    shutil.copy(package(dist, machine.architecture), tmp_path / "first.deb")
    path = Path(f"/proc/{machine.pid}/root/run/docker-socket-proxy.sock")

    def state(unit: str) -> str:
        return machine("systemctl", "is-active", unit, check=False).stdout.strip()

    def get() -> int:
        connection = UnixConnection(path)
        try:
            connection.request("GET", "/info")
            return connection.getresponse().status
        except OSError as error:
            raise AssertionError(machine.log() + machine("systemctl", "status", SOCKET, check=False).stdout) from error

    with Engine(tmp_path / "engine.sock"):
        machine("dpkg", "--install", "/mnt/out/first.deb")
        give_engine(machine)
        assert (state(SOCKET), machine("systemctl", "is-enabled", SOCKET, check=False).stdout) == ("inactive", "disabled\n")
        # The lines that the file has for it.
        machine("sed", "--in-place", "/#- address: fd:/,/#  policy:/s/#//", CONFIGURATION)
        machine("systemctl", "stop", SERVICE)
        machine("systemctl", "enable", "--now", SOCKET)
        assert (state(SOCKET), state(SERVICE)) == ("active", "inactive")
        assert machine("stat", "--format", "%A %G", "/run/docker-socket-proxy.sock").stdout == "srw-rw---- docker\n"
        assert get() == 200, machine.log()
        assert state(SERVICE) == "active" and status(machine, "GET", "/info") == 200
        machine("systemctl", "restart", SERVICE)
        assert get() == 200, machine.log()
        machine("dpkg", "--remove", "docker-socket-proxy")
        assert (state(SOCKET), state(SERVICE)) == ("inactive", "inactive")
        assert not path.exists()
        machine("dpkg", "--purge", "docker-socket-proxy")
        assert machine("find", "/etc", "/run", "/usr", "-name", "*docker-socket-proxy*").stdout == ""


@pytest.mark.parametrize("machine", debian.MACHINES, ids="-".join, indirect=True)
def test_the_package_of_arm64_installs_and_goes(machine: debian.Machine, dist: Path, tmp_path: Path) -> None:
    """On amd64 as a foreign architecture: files, scripts and dependencies are those of arm64, and no service is started."""
    shutil.copy(package(dist, "arm64"), tmp_path / "first.deb")
    newer(tmp_path / "first.deb", tmp_path)
    machine("sh", "-c", "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d")
    machine("dpkg", "--add-architecture", "arm64")
    for name in ("first", "newer"):
        machine("dpkg", "--install", f"/mnt/out/{name}.deb")
    assert "docker" in machine("id", "--name", "--groups", "docker-socket-proxy").stdout.split()
    assert version(machine).startswith("99.")
    machine("dpkg", "--remove", "docker-socket-proxy")
    assert machine("find", "/etc/docker-socket-proxy", "/usr/bin/docker-socket-proxy", check=False).stdout.split() == [
        str(Path(CONFIGURATION).parent), CONFIGURATION], "the configuration outlives a removal, the program does not"
    machine("dpkg", "--purge", "docker-socket-proxy")
    assert machine("find", "/etc", "/usr", "-name", "*docker-socket-proxy*").stdout == ""


def test_what_the_build_needs_is_what_make_needs() -> None:
    """A list that lacks a package stops the build of whoever has no network."""
    control = (ROOT / "debian/control").read_text().partition("Build-Depends:")[2].partition("\nStandards")[0]
    wanted = {line.split(",")[0].split(" (")[0].strip() for line in control.strip().splitlines()}
    listed = {line.split("#")[0].strip() for line in (ROOT / "tools/apt/build.txt").read_text().splitlines()} - {""}
    assert wanted - {"debhelper-compat"} == listed - {"gcc", "libc6-dev"}, "those two are in build-essential"


def test_the_version_is_that_of_the_program() -> None:
    """A package that says another version than its program is reported against the wrong one."""
    version = run("dpkg-parsechangelog", "--file", ROOT / "debian/changelog", "--show-field", "Version").stdout.strip()
    assert f"version: '{version}'" in (ROOT / "meson.build").read_text()


@pytest.mark.parametrize(("architecture", "machine_name", "build"), [
    ("amd64", "x86_64", "build"),
    pytest.param("arm64", "aarch64", "build-arm64", marks=pytest.mark.skipif(
        "DSP_REPRODUCE" not in os.environ, reason="takes minutes: DSP_REPRODUCE=1")),
])
def test_another_folder_gives_the_same_files(
        release: Release, dist: Path, tmp_path: Path, architecture: str, machine_name: str, build: str) -> None:
    """Who does not trust what the release page has builds it and compares: program, Debian package and RPM."""
    copy = tmp_path / "elsewhere" / "tree"
    copy.mkdir(parents=True)
    copy_tree(copy, release.environment)
    environment = {"CCACHE_DISABLE": "1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)}
    for tool, folder, pattern in (("deb", "build-deb", f"*_{architecture}.deb"), ("rpm", "build-rpm", f"*.{machine_name}.rpm")):
        result = run(copy / "tools" / tool, architecture, timeout=1800, env=environment)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        (built,) = (copy / folder).glob(pattern)
        assert built.read_bytes() == (dist / built.name).read_bytes(), built.name
    program = dist / f"docker-socket-proxy-linux-{architecture}"
    assert (copy / build / "docker-socket-proxy").read_bytes() == program.read_bytes()
