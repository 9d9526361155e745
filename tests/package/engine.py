"""A stand-in for the Engine at a unix socket: every request is answered, one of them slowly, and one has no end."""

from __future__ import annotations

import http.server
import itertools
import json
import socketserver
import threading
from pathlib import Path

SLOW_PARTS = 30


class Handler(http.server.BaseHTTPRequestHandler):
    """GET answers JSON; with ?slow in SLOW_PARTS pieces, or until the Engine is told to hurry. Until then, events."""

    protocol_version = "HTTP/1.1"

    def send_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in itertools.count():
            is_last = self.server.hurry.wait(0.1)
            line = json.dumps({"Type": "container", "number": number, "last": is_last}).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if is_last:
                break
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        if self.path.endswith("/events"):
            self.send_events()
            return
        slow = "slow" in self.path
        parts = [b"[1", *[b",1"] * (SLOW_PARTS if slow else 1), b"]"]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)
            if slow:
                self.server.hurry.wait(0.5)

    do_HEAD = do_GET  # noqa: N815

    def address_string(self) -> str:
        return "proxy"

    def log_message(self, *_: object) -> None:
        pass


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves until the block ends."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.hurry = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> Engine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hurry.set()
        self.shutdown()
        self.server_close()
