"""TLS for the wire tests: authorities that a test makes, and clients that speak TLS."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tls_socket import TlsSocket
from wire import Client, Proxy

DAY = datetime.timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def now() -> datetime.datetime:
    return datetime.datetime.utcnow()


class Authority:
    """A certificate authority with a folder for what it makes."""

    def __init__(self, folder: Path, name: str = "authority"):
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.cert = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - DAY)
            .not_valid_after(now() + 10 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.path = str(self._write(f"{name}.pem", self.cert.public_bytes(serialization.Encoding.PEM)))

    def _write(self, name: str, data: bytes, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        os.chmod(path, mode)
        return path

    def make(
        self,
        file: str,
        cn: str | None = None,
        names: Iterable[x509.GeneralName] = (),
        usage: x509.ObjectIdentifier = CLIENT,
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = DAY,
        common_names: Iterable[str] = (),
    ) -> Pair:
        """A certificate and its key: FILE.pem and FILE-key.pem."""
        key = ec.generate_private_key(ec.SECP256R1())
        texts = [*([cn] if cn is not None else []), *common_names]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts]))
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + begins)
            .not_valid_after(now() + ends)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        cert = builder.sign(self.key, hashes.SHA256())
        self._write(f"{file}.pem", cert.public_bytes(serialization.Encoding.PEM))
        self._write(
            f"{file}-key.pem",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            0o600,
        )
        return Pair(self.folder / f"{file}.pem", self.folder / f"{file}-key.pem", cert)

    def server(self, file: str = "server", **options) -> Pair:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self.make(file, file, options.pop("names", names), usage=SERVER, **options)

    def revoke(self, *pairs: Pair, ends: datetime.timedelta = DAY) -> str:
        """The list of revoked certificates."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.subject)
            .last_update(now() - 2 * DAY)
            .next_update(now() + ends)
        )
        for pair in pairs:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(pair.cert.serial_number)
                .revocation_date(now() - DAY)
                .build()
            )
        crl = builder.sign(self.key, hashes.SHA256())
        return str(
            self._write(f"{self.name}-crl.pem", crl.public_bytes(serialization.Encoding.PEM))
        )


class Pair:
    """A certificate and its key, as files."""

    def __init__(self, path: Path, key_path: Path, cert: x509.Certificate):
        self.path = str(path)
        self.key = str(key_path)
        self.cert = cert

    def fingerprint(self) -> str:
        return self.cert.fingerprint(hashes.SHA256()).hex()


def context(
    authority: Authority | None = None,
    pair: Pair | None = None,
    version: ssl.TLSVersion | None = None,
    alpn: list[str] | None = None,
) -> ssl.SSLContext:
    """What a client accepts and presents."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = authority is not None
    made.verify_mode = ssl.CERT_NONE if authority is None else ssl.CERT_REQUIRED
    if authority is not None:
        made.load_verify_locations(authority.path)
    if pair is not None:
        made.load_cert_chain(pair.path, pair.key)
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if alpn is not None:
        made.set_alpn_protocols(alpn)
    return made


def connect(
    proxy: Proxy,
    settings: ssl.SSLContext,
    session: ssl.SSLSession | None = None,
    port: int | None = None,
    **options,
) -> Client:
    """A client that has done its handshake."""
    sock = socket.create_connection(("127.0.0.1", port or proxy.port), 10)
    try:
        return Client(TlsSocket(sock, settings, session, **options).handshake())
    except BaseException:
        sock.close()
        raise


def is_refused(proxy: Proxy, settings: ssl.SSLContext, **options) -> str:
    """The handshake fails, or what follows it in TLS 1.3; the error of the client."""
    try:
        with connect(proxy, settings, **options) as client:
            client.get("/_ping")
            client.sock.recv(1)
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)
    raise AssertionError("the proxy accepts the client")
