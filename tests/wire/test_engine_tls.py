"""An Engine behind TLS: files of `certs` and of the configuration, and what a 502 says."""

from __future__ import annotations

import pathlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest

from machine import free_port
from test_certs import certs, openssl
from wire import PATIENCE, Proxy

BODY = b"over TLS"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class TlsEngine:
    """Responds to each request over TLS; `names` are the clients' certificates."""

    def __init__(self, folder: pathlib.Path, demand: bool = True, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server-cert.pem", folder / "server-key.pem")
        self.context.maximum_version = version
        if demand:
            self.context.load_verify_locations(folder / "ca.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.names: list[str | None] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self.context.wrap_socket(sock, server_side=True) as stream:
                subject = (stream.getpeercert() or {}).get("subject", ())
                self.names.append(dict(part[0] for part in subject).get("commonName"))
                pending = b""
                while data := stream.recv(65536):
                    pending += data
                    while b"\r\n\r\n" in pending:
                        pending = pending.partition(b"\r\n\r\n")[2]
                        stream.sendall(RESPONSE)
        except OSError:
            sock.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("tls") / "certs"
    certs(folder, "--host", "engine")
    certs(folder, "--client", "proxy")
    return folder


@pytest.fixture
def engine(files: pathlib.Path) -> Iterator[TlsEngine]:
    engine = TlsEngine(files)
    yield engine
    engine.listener.close()


def get(proxy: Proxy) -> tuple[int, bytes]:
    with proxy.connect() as client:
        client.get("/version")
        response = client.response()
        return response.status, response.body


def docker(folder: pathlib.Path, port: int, **more: str) -> dict[str, str]:
    """The variables that docker(1) takes."""
    host = f"tcp://127.0.0.1:{port}"
    return {"SOCKET_PATH": "", "DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)} | more


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_dockers_variables(start, files: pathlib.Path, version: ssl.TLSVersion) -> None:
    engine = TlsEngine(files, version=version)
    proxy = start(env=docker(files, engine.port))
    for _ in range(3):
        assert get(proxy) == (200, BODY)
    assert set(engine.names) == {"client"}
    proxy.wait_log(lambda line: f"forwarding to tcp://127.0.0.1:{engine.port} with TLS," in line)
    engine.listener.close()


def test_the_folder_in_home(start, files: pathlib.Path, engine: TlsEngine, tmp_path: pathlib.Path) -> None:
    (tmp_path / ".docker").symlink_to(files / "proxy")
    settings = docker(files, engine.port, DOCKER_CERT_PATH="", HOME=str(tmp_path))
    assert get(start(env=settings)) == (200, BODY)
    assert engine.names == ["proxy"]


def test_without_a_certificate_of_the_client(start, files: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "ca.pem").write_bytes((files / "ca.pem").read_bytes())
    engine = TlsEngine(files, demand=False)
    assert get(start("--upstream", f"tls://localhost:{engine.port}", env={"DOCKER_CERT_PATH": str(tmp_path)})) == (200, BODY)
    assert engine.names == [None]
    engine.listener.close()


def test_the_file(start, files: pathlib.Path, engine: TlsEngine) -> None:
    """Files are beside the configuration; the name need not be that of the address."""
    file = files / "proxy.yaml"
    tls = "{ca: ca.pem, cert: cert.pem, key: key.pem, name: engine}"
    file.write_text(f"policy: open\nupstream: {{address: 'tls://127.0.0.1:{engine.port}', tls: {tls}}}\n")
    proxy = start("-c", str(file), env={"SOCKET_PATH": ""})
    assert get(proxy) == (200, BODY)
    proxy.wait_log(lambda line: f"forwarding to tls://127.0.0.1:{engine.port} with TLS," in line)


# ── It cannot be spoken to ────────────────────────────────────────────────────────────────────


def refusal(proxy: Proxy) -> str:
    with proxy.connect() as client:
        client.get("/version")
        response = client.response()
        assert response.status == 502
        return response.message()


def test_another_name(start, files: pathlib.Path, engine: TlsEngine) -> None:
    file = files / "name.yaml"
    file.write_text(f"policy: open\nupstream: {{address: 'tls://127.0.0.1:{engine.port}', tls: {{ca: ca.pem, name: other}}}}\n")
    words = refusal(start("-c", str(file), env={"SOCKET_PATH": ""}))
    assert f"cannot speak TLS with the Engine at tls://127.0.0.1:{engine.port}, expected as 'other'" in words
    assert "its certificate is for another name" in words
    assert engine.names == []


def test_another_authority(start, engine: TlsEngine, tmp_path: pathlib.Path) -> None:
    certs(tmp_path / "other")
    words = refusal(start(env=docker(tmp_path / "other", engine.port)))
    assert "its certificate is of an authority that is not accepted here" in words


def test_an_expired_certificate(start, files: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    request, key = tmp_path / "request.pem", tmp_path / "server-key.pem"
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", request)
    database = tmp_path / "index.txt"
    database.write_text("")
    settings = tmp_path / "ca.conf"
    settings.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={database}\nserial={tmp_path}/serial\nrand_serial=yes\n"
        f"new_certs_dir={tmp_path}\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n"
        "[e]\nsubjectAltName=IP:127.0.0.1\n"
    )
    openssl("ca", "-batch", "-config", settings, "-cert", files / "ca.pem", "-keyfile", files / "ca-key.pem", "-in", request, "-out", tmp_path / "server-cert.pem", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-notext")
    engine = TlsEngine(tmp_path)
    assert "its certificate has expired" in refusal(start(env=docker(files, engine.port)))
    engine.listener.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_the_engine_demands_a_certificate(start, files: pathlib.Path, tmp_path: pathlib.Path, version: ssl.TLSVersion) -> None:
    (tmp_path / "ca.pem").write_bytes((files / "ca.pem").read_bytes())
    engine = TlsEngine(files, version=version)
    words = refusal(start(env=docker(tmp_path, engine.port)))
    assert "cannot speak TLS with the Engine" in words
    assert "demand" in words and "certificate of this proxy" in words
    engine.listener.close()


def test_an_engine_without_tls(start, files: pathlib.Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = listener.accept()
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request")
        sock.close()

    threading.Thread(target=serve, daemon=True).start()
    assert "it does not speak TLS" in refusal(start(env=docker(files, listener.getsockname()[1])))
    listener.close()


def test_nobody_listens(start, files: pathlib.Path) -> None:
    port = free_port()
    words = refusal(start(env=docker(files, port)))
    assert f"cannot connect to tcp://127.0.0.1:{port}: no program listens there" in words


# ── Settings ──────────────────────────────────────────────────────────────────────────────────


def ended(*args: str, **env: str) -> str:
    proxy = Proxy(*args, env=env)
    assert proxy.wait_exit() == 2
    return proxy.lines[-1]


def test_a_folder_without_verification(files: pathlib.Path) -> None:
    """The command line of docker would speak no TLS, its libraries would not verify."""
    words = ended(DOCKER_HOST="tcp://engine", DOCKER_CERT_PATH=str(files))
    assert "DOCKER_CERT_PATH is set without DOCKER_TLS_VERIFY" in words


def test_no_authority_is_known(tmp_path: pathlib.Path) -> None:
    words = ended("--upstream", "tls://engine", HOME="")
    assert "tls://engine (--upstream) needs the certificate of the Engine's authority" in words
    assert "ca.pem" in ended("--upstream", "tls://engine", DOCKER_CERT_PATH=str(tmp_path))


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ("{address: 'tcp://engine', tls: {ca: ca.pem}}", "'tls' is for an Engine at tls://HOST:PORT"),
        ("{address: 'tls://engine', tls: {cert: cert.pem, key: key.pem}}", "'ca' is missing"),
        ("{address: 'tls://engine', tls: {ca: ca.pem, cert: cert.pem}}", "'key' is missing"),
        ("{address: 'tls://engine', tls: {ca: none.pem}}", "none.pem"),
        ("{address: 'tls://engine', tls: {ca: ca.pem, client_ca: ca.pem}}", "unknown key 'client_ca'"),
    ],
)
def test_mistakes_in_the_file(files: pathlib.Path, upstream: str, words: str) -> None:
    file = files / "wrong.yaml"
    file.write_text(f"policy: open\nupstream: {upstream}\n")
    complaint = ended("-c", str(file))
    assert words in complaint and "wrong.yaml:2" in complaint


def test_verification_of_a_unix_socket(start, own_engine, files: pathlib.Path) -> None:
    proxy = start(env={"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files)})
    proxy.wait_log(lambda line: "DOCKER_TLS_VERIFY does not count: the Engine is unix://" in line)


def test_check_reads_the_files(files: pathlib.Path) -> None:
    from wire import BINARY

    result = subprocess.run(
        [BINARY, "check", "--upstream", "tls://engine"],
        env={"DOCKER_CERT_PATH": str(files)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0 and f"engine   tls://engine:2376, with TLS, verified by {files}/ca.pem\n" in result.stdout
