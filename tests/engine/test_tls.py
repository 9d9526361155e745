"""docker --tlsverify: every test with a docker client, once more over TLS, each side with a certificate."""

from __future__ import annotations

import inspect
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import client
import proxy as program
import pytest
import test_attach
import test_build
import test_exec
import test_files
import test_run
import test_streams
from conftest import CLIENTS, Target
from engine import Engine
from machine import public_folder
from test_build import buildkit_cli, context, image  # fixtures
from test_streams import speaker  # fixtures

pytestmark = pytest.mark.own_wire


@dataclass(frozen=True)
class SecureCli(client.Cli):
    """A docker client that verifies an Engine at a TCP address, and proves who it is: DOCKER_TLS_VERIFY, with the
    files where `docker` looks for them."""

    def environment(self, docker_host: str, extra: dict[str, str] | None = None) -> dict[str, str]:
        verify = {"DOCKER_TLS_VERIFY": "1"} if docker_host.startswith("tcp://") else {}
        return super().environment(docker_host, verify | (extra or {}))


def make(folder: Path, cert: str, key: str, subject: str, *options: str) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", subject, "-keyout", key, "-out", cert, *options],
        cwd=folder, check=True, capture_output=True,
    )


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """What the docker documentation makes: ca.pem, cert.pem and key.pem, and a pair for the server."""
    folder = Path(public_folder("dsp-tests-certs-"))
    authority = ("-CA", "ca.pem", "-CAkey", "ca-key.pem")
    make(folder, "ca.pem", "ca-key.pem", "/CN=ca")
    make(folder, "cert.pem", "key.pem", "/CN=client", "-addext", "extendedKeyUsage=clientAuth", *authority)
    make(folder, "server.pem", "server-key.pem", "/CN=server", "-addext", "extendedKeyUsage=serverAuth",
         "-addext", "subjectAltName=IP:127.0.0.1", *authority)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def secured(binary: Path, engine: Engine, certificates: Path) -> Iterator[program.Proxy]:
    names = {"TLS_CERT": "server.pem", "TLS_KEY": "server-key.pem", "TLS_CLIENT_CA": "ca.pem"}
    proxy = program.Proxy(binary, engine.socket, {name: str(certificates / file) for name, file in names.items()},
                          wire_settings={})
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def clients(certificates: Path) -> Iterator[dict[str, client.Cli]]:
    folders = {version: client.new_config_folder() for _, version in CLIENTS}
    for folder in folders.values():
        for file in ("ca.pem", "cert.pem", "key.pem"):
            shutil.copy(certificates / file, folder)
    yield {version: SecureCli(path, version, folders[version]) for path, version in CLIENTS}
    for folder in folders.values():
        shutil.rmtree(folder)


@pytest.fixture
def target(secured: program.Proxy) -> Iterator[Target]:
    yield Target("secured", secured.docker_host, secured.connect)
    fault = secured.fault()
    assert not fault, fault


def test_a_client_without_a_certificate_is_told(secured, older_cli, tmp_path: Path, certificates: Path) -> None:
    """docker and the log both say what is missing."""
    shutil.copy(certificates / "ca.pem", tmp_path)
    alone = SecureCli(older_cli.path, older_cli.version, older_cli.config)
    done = alone.run(secured.docker_host, "version", env={"DOCKER_CERT_PATH": str(tmp_path)})
    assert done.status != 0
    assert b"certificate" in done.err, done.err
    secured.log_line("no TLS with", "it has no certificate, which this listener demands")


def test_a_client_without_tls_is_told(secured, older_cli) -> None:
    done = older_cli.run(secured.docker_host, "version", env={"DOCKER_TLS_VERIFY": ""})
    assert done.status != 0
    assert b"this port speaks TLS" in done.err, done.err


USERS = {"cli", "older_cli", "buildkit_cli"}
for _module in (test_attach, test_build, test_exec, test_files, test_run, test_streams):
    for _name, _test in list(vars(_module).items()):
        if _name.startswith("test_") and USERS & set(inspect.signature(_test).parameters):
            globals()[f"{_module.__name__}_{_name.removeprefix('test_')}"] = _test
