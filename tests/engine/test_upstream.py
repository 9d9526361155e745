"""An Engine behind TLS, with the files of `certs`: docker itself, and docker through the proxy, whose
listener is a unix socket or speaks TLS too."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from client import Cli
from engine import IMAGE, Engine, new_engine
from machine import free_port, public_folder

ENGINE = "tcp://127.0.0.1:2376"
PATIENCE = 60
pytestmark = pytest.mark.own_wire


@pytest.fixture(scope="module")
def files(binary: Path) -> Iterator[Path]:
    folder = Path(public_folder("dsp-tests-certs-"))
    for words in (["--host", "127.0.0.1"], ["--client", "proxy"]):
        subprocess.run([binary, "certs", folder / "certs", *words], check=True, capture_output=True)
    yield folder / "certs"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tls_engine(files: Path) -> Iterator[Engine]:
    options = [f"--host={ENGINE}", "--tlsverify", f"--tlscacert={files}/ca.pem",
               f"--tlscert={files}/server-cert.pem", f"--tlskey={files}/server-key.pem"]
    with closing(new_engine(*options)) as engine:
        yield engine


def beside(engine: Engine) -> list[str]:
    """Runs a program in the network of the Engine."""
    return ["nsenter", f"--net=/proc/{engine.first_process}/ns/net"]


@contextmanager
def proxy_at(engine: Engine, binary: Path, files: Path, **more: str) -> Iterator[Path]:
    """A proxy in the Engine's network; its log."""
    folder = Path(public_folder("dsp-tests-upstream-"))
    environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": ENGINE, "DOCKER_TLS_VERIFY": "1",
                   "DOCKER_CERT_PATH": f"{files}/proxy", "LISTEN": f"unix://{folder}/docker.sock", **more}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*beside(engine), binary], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while "listening on" not in (folder / "log").read_text():
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.01)
        yield folder
        process.terminate()
        assert process.wait(PATIENCE) == 0, (folder / "log").read_text()
    finally:
        process.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def host(tls_engine: Engine, binary: Path, files: Path) -> Iterator[str]:
    with proxy_at(tls_engine, binary, files) as folder:
        yield f"unix://{folder}/docker.sock"


@pytest.fixture(scope="module")
def docker(clients: dict[str, Cli]) -> Cli:
    return next(iter(clients.values()))


def test_ps_and_run(docker: Cli, host: str) -> None:
    assert docker.ok(host, "run", "--rm", IMAGE, "echo", "hello") == b"hello\n"
    assert b"CONTAINER ID" in docker.ok(host, "ps", "--all")


def test_standard_input_ends(docker: Cli, host: str) -> None:
    """Half-close over TLS: close_notify of one direction, while the other goes on."""
    data = os.urandom(3_000_000)
    wanted = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True).stdout
    assert docker.ok(host, "run", "--rm", "-i", IMAGE, "sha256sum", stdin=data) == wanted


def test_output_of_a_megabyte(docker: Cli, host: str) -> None:
    out = docker.ok(host, "run", "--rm", IMAGE, "sh", "-c", "yes 0123456789abcde | head -c 5000000")
    assert len(out) == 5_000_000 and out.startswith(b"0123456789abcde\n")


def test_exec_logs_and_cp(docker: Cli, host: str, tmp_path: Path) -> None:
    name = docker.ok(host, "run", "-d", IMAGE, "sh", "-c", "echo one; sleep 1; echo two; exec sleep 300").decode().strip()
    try:
        with docker.start(host, "logs", "-f", name) as running:
            lines = running.process.stdout.readline() + running.process.stdout.readline()
        assert lines == b"one\ntwo\n"
        assert docker.ok(host, "exec", "-i", name, "cat", stdin=b"through exec") == b"through exec"
        assert docker.run(host, "exec", name, "sh", "-c", "exit 7").status == 7
        (tmp_path / "file").write_bytes(os.urandom(2_000_000))
        docker.ok(host, "cp", tmp_path / "file", f"{name}:/tmp/file")
        docker.ok(host, "cp", f"{name}:/tmp/file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    finally:
        docker.ok(host, "rm", "-f", name)


def test_build(docker: Cli, host: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY file /file\nRUN cat /file\n")
    (tmp_path / "file").write_text("built over TLS\n")
    assert b"built over TLS" in docker.ok(host, "build", "--no-cache", "--network=none", tmp_path)


def test_a_policy_asks_the_engine_itself(tls_engine: Engine, binary: Path, files: Path, docker: Cli, tmp_path: Path) -> None:
    """The questions of a scope go the same way."""
    config = files / "scope.yaml"
    config.write_text("policy: mine\npolicies: {mine: {scope: {labels: {team: a}}, rules: [{allow: ['*']}]}}\n")
    other = docker.ok(f"unix://{tls_engine.socket}", "create", IMAGE).decode().strip()
    with proxy_at(tls_engine, binary, files, CONFIG=str(config)) as folder:
        host = f"unix://{folder}/docker.sock"
        mine = docker.ok(host, "create", IMAGE).decode().strip()
        assert docker.ok(host, "ps", "-aq", "--no-trunc").decode().split() == [mine]
        assert b"No such container" in docker.run(host, "inspect", "--type=container", other).err
        docker.ok(host, "rm", mine)
    docker.ok(f"unix://{tls_engine.socket}", "rm", other)


def inside(docker: Cli, engine: Engine, tmp_path: Path) -> Cli:
    """The client in the network of the Engine."""
    script = tmp_path / "docker"
    script.write_text("#!/bin/sh\nexec " + " ".join(beside(engine)) + f' {docker.path} "$@"\n')
    script.chmod(0o755)
    return replace(docker, path=str(script))


@pytest.mark.parametrize("client", ["", "proxy"])
def test_docker_itself(docker: Cli, tls_engine: Engine, files: Path, tmp_path: Path, client: str) -> None:
    """The folders are what docker takes, both ways."""
    folder = files / client
    inner = inside(docker, tls_engine, tmp_path)
    verify = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
    assert inner.ok(ENGINE, "run", "--rm", "-i", IMAGE, "cat", stdin=b"direct", env=verify) == b"direct"
    words = ["--tlsverify", f"--tlscacert={folder}/ca.pem", f"--tlscert={folder}/cert.pem", f"--tlskey={folder}/key.pem"]
    assert b"Server:" in inner.ok(ENGINE, *words, "version")
    assert inner.run(ENGINE, "--tls", "version").status != 0, "the Engine demands a certificate"


def test_tls_on_both_sides(docker: Cli, tls_engine: Engine, binary: Path, files: Path, tmp_path: Path) -> None:
    port = free_port()
    settings = {"LISTEN": f"tls://127.0.0.1:{port}", "TLS_CERT": f"{files}/server-cert.pem",
                "TLS_KEY": f"{files}/server-key.pem", "TLS_CLIENT_CA": f"{files}/ca.pem"}
    inner = inside(docker, tls_engine, tmp_path)
    verify = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files)}
    with proxy_at(tls_engine, binary, files, **settings):
        host = f"tcp://127.0.0.1:{port}"
        data = os.urandom(1_000_000)
        assert inner.ok(host, "run", "--rm", "-i", IMAGE, "cat", stdin=data, env=verify) == data
        assert inner.run(host, "version", env={"DOCKER_TLS": "1"}).status != 0
