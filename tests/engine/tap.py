"""A wire tap: a unix socket that relays to the Engine's and keeps what the proxy sent.

The real Engine shows nobody the headers it got; this does.
"""

import os
import re
import shutil
import socket
import threading
from pathlib import Path

from machine import public_folder

HEAD = re.compile(rb"[A-Za-z]+ \S+ HTTP/1\.1\r\n.*?\r\n\r\n", re.DOTALL)


class Tap:
    def __init__(self, engine_socket: Path) -> None:
        self.engine_socket = engine_socket
        self.folder = Path(public_folder("dsp-tests-tap-"))
        self.path = self.folder / "tap.sock"
        self.sent: list[bytearray] = []
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
        return [head.decode() for sent in self.sent for head in HEAD.findall(bytes(sent))]

    def _accept(self) -> None:
        while True:
            try:
                downstream, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(str(self.engine_socket))
            sent = bytearray()
            self.sent.append(sent)
            for source, sink, copy in ((downstream, upstream, sent), (upstream, downstream, None)):
                threading.Thread(target=relay, args=(source, sink, copy), daemon=True).start()


def relay(source: socket.socket, sink: socket.socket, copy: bytearray | None) -> None:
    """Pass bytes on until the end of the source, then the end itself."""
    try:
        while data := source.recv(1 << 18):
            if copy is not None:
                copy += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
