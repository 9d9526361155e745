"""`certs DIR`: an authority, a server and clients, as openssl(1) and Python's ssl see them."""

from __future__ import annotations

import os
import pathlib
import re
import resource
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wire import BINARY, PATIENCE

SET = ["ca-key.pem", "ca.pem", "cert.pem", "key.pem", "server-cert.pem", "server-key.pem"]


def certs(*words: str | os.PathLike, code: int = 0, **options) -> str:
    """What it prints: its output, or its complaint."""
    result = subprocess.run(
        [BINARY, "certs", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


def openssl(*words: str | os.PathLike) -> str:
    command = ["openssl", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


def shown(certificate: pathlib.Path) -> str:
    return openssl("x509", "-in", certificate, "-noout", "-text")


def tree(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def made(tmp_path: pathlib.Path) -> pathlib.Path:
    certs(tmp_path / "certs", "--host", "engine", "--host", "192.0.2.7")
    return tmp_path / "certs"


def test_the_set_of_dockers_documentation(made: pathlib.Path) -> None:
    assert sorted(tree(made)) == SET
    modes = {name: stat.S_IMODE((made / name).stat().st_mode) for name in SET}
    assert modes == {name: 0o400 if "key" in name else 0o444 for name in SET}
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_openssl_verifies_each_purpose(made: pathlib.Path) -> None:
    verify = ("verify", "-x509_strict", "-CAfile", made / "ca.pem", "-purpose")
    openssl(*verify, "sslserver", "-verify_hostname", "engine", made / "server-cert.pem")
    openssl(*verify, "sslserver", "-verify_ip", "192.0.2.7", made / "server-cert.pem")
    openssl(*verify, "sslserver", "-verify_ip", "::1", made / "server-cert.pem")
    openssl(*verify, "sslclient", made / "cert.pem")
    for purpose, other in (("sslclient", "server-cert.pem"), ("sslserver", "cert.pem")):
        with pytest.raises(AssertionError, match="purpose"):
            openssl(*verify, purpose, made / other)


def test_what_the_certificates_say(made: pathlib.Path) -> None:
    authority, server, client = (
        shown(made / name) for name in ("ca.pem", "server-cert.pem", "cert.pem")
    )
    assert "CA:TRUE, pathlen:0" in authority and "Certificate Sign, CRL Sign" in authority
    for text in (authority, server, client):
        assert "NIST CURVE: P-256" in text and "ecdsa-with-SHA256" in text
        assert "Version: 3 (0x2)" in text
    assert "CA:FALSE" in server and "CA:FALSE" in client
    assert "Subject: CN = engine" in server and "Subject: CN = client" in client
    names = "DNS:engine, IP Address:192.0.2.7, DNS:localhost, IP Address:127.0.0.1, "
    assert names + "IP Address:0:0:0:0:0:0:0:1" in server
    serials = {re.search(r"Serial Number:\s+(\S+)", text)[1] for text in (authority, server, client)}
    assert len(serials) == 3 and all(len(serial) > 40 for serial in serials), "random"


def test_days(tmp_path: pathlib.Path) -> None:
    certs(tmp_path, "--days", "2")
    openssl("x509", "-in", tmp_path / "cert.pem", "-noout", "-checkend", 2 * 86400 - 600)
    with pytest.raises(AssertionError):
        openssl("x509", "-in", tmp_path / "cert.pem", "-noout", "-checkend", 2 * 86400 + 600)
    openssl("x509", "-in", tmp_path / "ca.pem", "-noout", "-checkend", 3649 * 86400)


def test_a_client_does_not_outlive_its_authority(tmp_path: pathlib.Path) -> None:
    certs(tmp_path)
    certs(tmp_path, "--client", "old", "--days", "36500")
    ends = [openssl("x509", "-in", path, "-noout", "-enddate") for path in (tmp_path / "old/cert.pem", tmp_path / "ca.pem")]
    assert ends[0] == ends[1]


def test_the_name_of_this_machine_is_the_default(tmp_path: pathlib.Path) -> None:
    output = certs(tmp_path)
    assert f"DNS:{socket.gethostname()}" in output or "DNS:localhost" in output
    assert "DNS:localhost, IP Address:127.0.0.1" in shown(tmp_path / "server-cert.pem")


def test_it_says_what_to_do_next(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    output = certs(tmp_path / "b", "--host", "proxy.example.org", "--client", "ci")
    folder = tmp_path / "b"
    assert f"{folder}/ca-key.pem\n" in output and f"{folder}/ci/key.pem\n" in output
    assert f"TLS_CERT={folder}/server-cert.pem TLS_KEY={folder}/server-key.pem" in output
    assert f"TLS_CLIENT_CA={folder}/ca.pem" in output
    assert f"DOCKER_HOST=tcp://proxy.example.org:3277 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={folder}/ci docker ps" in output
    assert "[2001:db8::1]:3277" in certs(tmp_path / "c", "--host", "2001:db8::1")


# ── Further clients and servers ───────────────────────────────────────────────────────────────


def test_further_clients_of_the_same_authority(made: pathlib.Path) -> None:
    before = tree(made)
    certs(made, "--client", "ci", "--client", "ops.team-1")
    for name in ("ci", "ops.team-1"):
        assert sorted(tree(made / name)) == ["ca.pem", "cert.pem", "key.pem"]
        assert f"Subject: CN = {name}" in shown(made / name / "cert.pem")
        openssl("verify", "-purpose", "sslclient", "-CAfile", made / name / "ca.pem", made / name / "cert.pem")
    assert {name: data for name, data in tree(made).items() if "/" not in name} == before


def test_clients_with_names_at_once(tmp_path: pathlib.Path) -> None:
    """Without an unnamed one, which nobody asked for."""
    certs(tmp_path, "--client", "ci")
    assert sorted(tree(tmp_path)) == sorted(
        ["ca-key.pem", "ca.pem", "server-cert.pem", "server-key.pem", "ci/ca.pem", "ci/cert.pem", "ci/key.pem"]
    )


def test_a_server_is_renewed(made: pathlib.Path) -> None:
    assert "server-key.pem: it exists, and nothing is overwritten" in certs(made, "--host", "new", code=2)
    for name in ("server-cert.pem", "server-key.pem"):
        (made / name).unlink()
    certs(made, "--host", "new")
    openssl("verify", "-CAfile", made / "ca.pem", "-verify_hostname", "new", made / "server-cert.pem")


def test_an_authority_of_openssl(tmp_path: pathlib.Path) -> None:
    """The folder of Docker's documentation, with RSA keys."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=mine", "-keyout", tmp_path / "ca-key.pem", "-out", tmp_path / "ca.pem")
    certs(tmp_path, "--client", "ci", "--host", "engine")
    openssl("verify", "-purpose", "sslclient", "-CAfile", tmp_path / "ca.pem", tmp_path / "ci/cert.pem")
    openssl("verify", "-purpose", "sslserver", "-CAfile", tmp_path / "ca.pem", tmp_path / "server-cert.pem")


# ── Nothing is lost, nothing is left ──────────────────────────────────────────────────────────


def test_nothing_is_overwritten(made: pathlib.Path) -> None:
    before = tree(made)
    assert "has a certificate authority already" in certs(made, code=2)
    certs(made, "--client", "ci")
    assert "ci/key.pem: it exists" in certs(made, "--client", "new", "--client", "ci", code=2)
    assert not (made / "new").exists(), "all or nothing"
    assert {name: data for name, data in tree(made).items() if "/" not in name} == before


@pytest.mark.parametrize("name", SET)
def test_each_file_is_kept(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    words = "has a certificate authority" if name.startswith("ca") else f"{name}: it exists"
    assert words in certs(tmp_path, code=2)
    assert tree(tmp_path) == {name: b"mine"}


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))


def test_a_full_disk_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """SIGXFSZ is ignored, as Python does: write(2) fails in the middle of the set."""
    folder = tmp_path / "certs"
    complaint = certs(folder, "--client", "ci", code=2, preexec_fn=small_files, restore_signals=False)
    assert "File too large" in complaint
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file: it is not a directory" in certs(tmp_path / "file", code=2)
    assert "No such file or directory" in certs(tmp_path / "no/such", code=2)


def test_an_authority_that_cannot_sign(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    certs(other)
    (made / "ca-key.pem").unlink()
    assert "ca-key.pem: it cannot be read as a key" in certs(made, "--client", "ci", code=2)
    (made / "ca-key.pem").write_bytes((other / "ca-key.pem").read_bytes())
    assert "the key is not that of the certificate" in certs(made, "--client", "ci", code=2)
    (made / "ca.pem").unlink()
    (made / "ca.pem").write_bytes((made / "cert.pem").read_bytes())
    (made / "ca-key.pem").write_bytes((made / "key.pem").read_bytes())
    assert "not that of a certificate authority" in certs(made, "--client", "ci", code=2)
    (made / "ca.pem").unlink()
    assert "ca.pem: it cannot be read as a certificate" in certs(made, "--client", "ci", code=2)
    assert not (made / "ci").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--host", "a b"],
        ["--host", "a,DNS:b"],
        ["--host", "[::1]"],
        ["--host", "a:80"],
        ["--host", "-a"],
        ["--host", "a..b"],
        ["--host", "a.*"],
        ["--host", "x" * 64],
        ["--client", "../a"],
        ["--client", ".a"],
        ["--client", "a/b"],
        ["--client", "x" * 65],
        ["--client", "a", "--client", "a"],
        ["--days", "0"],
        ["--days", "36501"],
        ["--days", "x"],
        ["--days"],
        ["--policy", "open"],
        ["another"],
    ],
)
def test_mistakes_make_nothing(tmp_path: pathlib.Path, words: list[str]) -> None:
    folder = tmp_path / "certs"
    assert (words[0] if words[0] != "another" else "one argument too many") in certs(folder, *words, code=2)
    assert not folder.exists()


def test_the_folder_is_missing() -> None:
    assert "give 'certs DIR'" in certs(code=2)


# ── In use ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def tls_server(folder: pathlib.Path) -> Iterator[int]:
    """A server that demands a certificate, and answers with the name in it; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server-cert.pem", folder / "server-key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def serve() -> None:
            sock, _ = listener.accept()
            with context.wrap_socket(sock, server_side=True) as stream:
                stream.sendall(dict(part[0] for part in stream.getpeercert()["subject"])["commonName"].encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE)


def test_a_handshake_with_both_certificates(made: pathlib.Path) -> None:
    certs(made, "--client", "ci")
    for folder, name in ((made, b"client"), (made / "ci", b"ci")):
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        with tls_server(made) as port, socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            with context.wrap_socket(sock, server_hostname="engine") as stream:
                assert stream.recv(100) == name
