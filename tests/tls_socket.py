"""A socket that speaks TLS, over bytes in memory.

A test can send records in any pieces, end one direction alone, or end without close_notify, which
Python's own sockets cannot.
"""

from __future__ import annotations

import socket
import ssl
import threading


class TlsSocket:
    """As much of a socket as the tests use. One thread may read while another one writes."""

    def __init__(
        self,
        sock: socket.socket,
        settings: ssl.SSLContext,
        session: ssl.SSLSession | None = None,
        name: str = "localhost",
        step: int | None = None,
        server: bool = False,
    ):
        self.sock = sock
        self.step = step  # bytes of each send of the socket below; None: all
        self.first_sent = self.first_received = b""
        self.lock = threading.RLock()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = settings.wrap_bio(
            self.incoming, self.outgoing, server, None if server else name, session
        )

    def __getattr__(self, name: str):
        return getattr(self.sock, name)

    def handshake(self) -> TlsSocket:
        self._drive(self.tls.do_handshake)
        return self

    def _flush(self) -> None:
        data = self.outgoing.read()
        self.first_sent = self.first_sent or data
        step = self.step or max(1, len(data))
        for at in range(0, len(data), step):
            self.sock.sendall(data[at : at + step])

    def _attempt(self, work):
        """(True, what the work gives), or (False, None) if bytes of the peer are needed first."""
        with self.lock:
            try:
                return True, work()
            except ssl.SSLWantReadError:
                return False, None
            finally:
                self._flush()

    def _drive(self, work):
        while True:
            done, result = self._attempt(work)
            if done:
                return result
            data = self.sock.recv(65536)
            self.first_received = self.first_received or data
            with self.lock:
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def recv(self, count: int) -> bytes:
        try:
            return self._drive(lambda: self.tls.read(count))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            raise ConnectionResetError("the end without close_notify") from None

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._drive(lambda: self.tls.write(view)) :]

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def shutdown(self, how: int) -> None:
        """close_notify; the other direction goes on."""
        assert how == socket.SHUT_WR
        self._attempt(self.tls.unwrap)
