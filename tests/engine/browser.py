"""A headless Chromium, driven by its DevTools protocol: what pages can make it send.

Names below `.example` are this machine to it, as a page's own name is after DNS rebinding.
"""

import json
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import websocket

START_SECONDS = 60
RESPONSE_SECONDS = 30


class Browser:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dsp-tests-browser-"))
        self.calls = 0
        self.process = subprocess.Popen(
            [
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--remote-debugging-port=0",
                "--host-resolver-rules=MAP *.example 127.0.0.1",
                f"--user-data-dir={self.folder}", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            self.page = websocket.create_connection(
                self._page_address(), timeout=RESPONSE_SECONDS, suppress_origin=True
            )
            self.call("Page.enable")
        except BaseException:
            self.close()
            raise

    def _page_address(self) -> str:
        file = self.folder / "DevToolsActivePort"
        deadline = time.monotonic() + START_SECONDS
        while not (file.is_file() and "\n" in file.read_text()):
            assert self.process.poll() is None and time.monotonic() < deadline, "no Chromium"
            time.sleep(0.05)
        address = f"http://127.0.0.1:{file.read_text().split()[0]}/json/list"
        with urllib.request.urlopen(address, timeout=RESPONSE_SECONDS) as response:
            targets = json.load(response)
        return next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")

    def call(self, method: str, event: str = "", **parameters) -> dict:
        """The result of the call, once it and the event are there."""
        self.calls += 1
        self.page.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        result, seen = None, not event
        while result is None or not seen:
            message = json.loads(self.page.recv())
            seen |= message.get("method") == event
            if message.get("id") == self.calls:
                assert "error" not in message, message
                result = message["result"]
        return result

    def open(self, url: str) -> None:
        self.call("Page.navigate", "Page.loadEventFired", url=url)

    def run(self, script: str):
        """What the script, in which may be awaited, returns on the page that is open."""
        result = self.call(
            "Runtime.evaluate", expression=f"(async () => {{ {script} }})()",
            awaitPromise=True, returnByValue=True,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Site:
    """A web server that remembers what it was asked for, and responds to every request with a page."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                site.requests.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", "6")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"<body>")

            do_GET = do_HEAD = do_POST = do_OPTIONS = respond

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
