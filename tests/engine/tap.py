"""A wire tap: a unix socket that relays to the Engine's and keeps what the proxy sent.

The real Engine shows nobody the headers it got; this does. It can also cut some connections, and let others live.
"""

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from machine import public_folder

HEAD = re.compile(rb"[A-Za-z]+ \S+ HTTP/1\.1\r\n.*?\r\n\r\n", re.DOTALL)


@dataclass
class Link:
    """A connection of the proxy, which goes on to the Engine."""

    downstream: socket.socket
    upstream: socket.socket
    sent: bytearray = field(default_factory=bytearray)
    reader: threading.Thread | None = None  # takes what the proxy sends, until its end

    def asks(self, start: bytes) -> bool:
        """Whether the last request so far begins so."""
        heads = HEAD.findall(bytes(self.sent))
        return bool(heads) and heads[-1].startswith(start)


class Tap:
    def __init__(self, engine_socket: Path) -> None:
        self.engine_socket = engine_socket
        self.folder = Path(public_folder("dsp-tests-tap-"))
        self.path = self.folder / "tap.sock"
        self.links: list[Link] = []
        self.refused: bytes | None = None  # a request that begins so gets the end of its connection
        self.listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> "Tap":
        self.listener.bind(str(self.path))
        os.chmod(self.path, 0o660)
        os.chown(self.path, 0, self.engine_socket.stat().st_gid)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.listener.close()
        shutil.rmtree(self.folder)

    def heads(self) -> list[str]:
        """All request heads that went to the Engine so far."""
        return [head.decode() for link in self.links for head in HEAD.findall(bytes(link.sent))]

    def cut(self, start: bytes) -> int:
        """End each connection whose last request begins so; how many. The proxy has let go of them then."""
        found = [link for link in self.links if link.asks(start) and link.reader.is_alive()]
        for link in found:
            link.downstream.shutdown(socket.SHUT_WR)
        for link in found:
            link.reader.join(10)
            assert not link.reader.is_alive(), "the proxy keeps a connection that has ended"
        return len(found)

    def _accept(self) -> None:
        while True:
            try:
                downstream, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(str(self.engine_socket))
            link = Link(downstream, upstream)
            link.reader = threading.Thread(target=relay, args=(downstream, upstream, self._keeper(link)), daemon=True)
            self.links.append(link)
            link.reader.start()
            threading.Thread(target=relay, args=(upstream, downstream), daemon=True).start()

    def _keeper(self, link: Link) -> Callable[[bytes], None]:
        def keep(data: bytes) -> None:
            link.sent += data
            if self.refused and link.asks(self.refused):
                raise ConnectionAbortedError

        return keep


def relay(source: socket.socket, sink: socket.socket, look: Callable[[bytes], None] | None = None) -> None:
    """Pass bytes on until the end of the source, then the end itself. What look() raises ends both."""
    try:
        while data := source.recv(1 << 18):
            if look is not None:
                look(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
