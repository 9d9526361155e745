"""Records of TLS as no library sends them, behind a handshake of Python's ssl module.

The keys come from the key log of the ssl module (SSLKEYLOGFILE), so that a test can seal whatever
it wants: empty records, messages of the handshake in pieces, thousands of key updates.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import struct
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tls_socket import TlsSocket

ALERT, HANDSHAKE, DATA = 21, 22, 23
KEY_UPDATE = bytes([24, 0, 0, 1, 0])
KEY_UPDATE_REQUESTED = bytes([24, 0, 0, 1, 1])
HELLO_REQUEST = bytes(4)
USER_CANCELED = bytes([1, 90])


def log_keys(settings: ssl.SSLContext, path: Path) -> None:
    """Write the keys of its connections to the file; the ciphers are those that are known here."""
    settings.keylog_filename = str(path)
    settings.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")


def _logged(path: Path, label: str) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith(label + " ")][-1].split()


class Sealer13:
    """What one side sends in TLS 1.3 behind its handshake, by AES-GCM (RFC 8446 section 5.2)."""

    def __init__(self, keys: Path, side: str = "CLIENT"):
        self._use(bytes.fromhex(_logged(keys, f"{side}_TRAFFIC_SECRET_0")[2]))

    def _expand(self, label: str, length: int) -> bytes:
        name = b"tls13 " + label.encode()
        info = struct.pack("!HB", length, len(name)) + name + b"\0"
        kind = hashes.SHA256() if len(self.secret) == 32 else hashes.SHA384()
        return HKDFExpand(kind, length, info).derive(self.secret)

    def _use(self, secret: bytes) -> None:
        self.secret, self.number = secret, 0
        self.key = AESGCM(self._expand("key", 16 if len(secret) == 32 else 32))
        self.iv = int.from_bytes(self._expand("iv", 12), "big")

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        inner = content + bytes([kind]) + bytes(padding)
        head = bytes([DATA, 3, 3]) + struct.pack("!H", len(inner) + 16)
        nonce = (self.iv ^ self.number).to_bytes(12, "big")
        self.number += 1
        return head + self.key.encrypt(nonce, inner, head)

    def update(self, message: bytes = KEY_UPDATE) -> bytes:
        """The record, after which everything has the next keys."""
        record = self.seal(HANDSHAKE, message)
        self._use(self._expand("traffic upd", len(self.secret)))
        return record


class Sealer12:
    """The same in TLS 1.2, by AES-128-GCM (RFC 5288). Finished was number 0."""

    def __init__(self, keys: Path, server_random: bytes, side: str = "CLIENT"):
        _, client_random, master = _logged(keys, "CLIENT_RANDOM")
        block = self._expand(bytes.fromhex(master), server_random + bytes.fromhex(client_random))
        own = ("CLIENT", "SERVER").index(side)
        self.key = AESGCM(block[16 * own : 16 * own + 16])
        self.salt = block[32 + 4 * own : 36 + 4 * own]
        self.number = 1

    @staticmethod
    def _expand(secret: bytes, seed: bytes) -> bytes:
        """P_SHA256 (RFC 5246 section 5): two keys of 16 bytes, two salts of 4."""
        seed = a = b"key expansion" + seed
        out = b""
        for _ in range(2):
            a = hmac.digest(secret, a, hashlib.sha256)
            out += hmac.digest(secret, a + seed, hashlib.sha256)
        return out

    def seal(self, kind: int, content: bytes) -> bytes:
        number = struct.pack("!Q", self.number)
        self.number += 1
        extra = number + bytes([kind, 3, 3]) + struct.pack("!H", len(content))
        sealed = number + self.key.encrypt(self.salt + number, content, extra)
        return bytes([kind, 3, 3]) + struct.pack("!H", len(sealed)) + sealed


def sealer(sock: TlsSocket, keys: Path, side: str = "CLIENT") -> Sealer12 | Sealer13:
    """For the bytes that this side of the connection sends next."""
    if sock.tls.version() == "TLSv1.3":
        return Sealer13(keys, side)
    flight = sock.first_received if side == "CLIENT" else sock.first_sent
    assert flight[0] == HANDSHAKE and flight[5] == 2, "a ServerHello"
    return Sealer12(keys, flight[11:43], side)


# ── Hellos ──────────────────────────────────────────────────────────────────────────────────────


def _with_length(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def record(kind: int, content: bytes, version: int = 0x0301) -> bytes:
    return bytes([kind]) + version.to_bytes(2, "big") + _with_length(content, 2)


def server_name(name: bytes) -> tuple[int, bytes]:
    return 0, _with_length(b"\0" + _with_length(name, 2), 2)


EARLY_DATA = (42, b"")


def client_hello(*more: tuple[int, bytes], version: int = 0x0304, group: int = 29, share: bytes = bytes(range(32))) -> bytes:
    """A ClientHello as a message of the handshake, with these extensions too."""
    extensions = [
        (10, _with_length(group.to_bytes(2, "big"), 2)),
        (13, _with_length(bytes.fromhex("0403080408050806"), 2)),
    ]
    if version > 0x0303:
        extensions += [
            (43, _with_length(version.to_bytes(2, "big"), 1)),
            (51, _with_length(group.to_bytes(2, "big") + _with_length(share, 2), 2)),
        ]
    body = min(version, 0x0303).to_bytes(2, "big") + bytes(32) + b"\0"
    body += _with_length(bytes.fromhex("1301c02bc02fc009"), 2) + b"\1\0"
    body += _with_length(b"".join(kind.to_bytes(2, "big") + _with_length(data, 2) for kind, data in [*extensions, *more]), 2)
    return b"\1" + _with_length(body, 3)
