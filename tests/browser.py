"""A headless Chromium, driven by its DevTools protocol: what pages can make it send, and what they show.

Names below `.example` are this machine to it, as a page's own name is after DNS rebinding.
"""

import base64
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
# The key of each name, as Windows numbers them: Chromium acts on these numbers.
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
# What a policy of a page refused, from its first script on.
WATCH = (
    "window.refused = []; addEventListener('securitypolicyviolation', "
    "(event) => refused.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));"
)


class Browser:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dsp-tests-browser-"))
        self.calls = 0
        self.faults: list[str] = []  # exceptions of scripts that no script caught
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
            self.call("Runtime.enable")
            self.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
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
            if message.get("method") == "Runtime.exceptionThrown":
                self.faults.append(json.dumps(message["params"]["exceptionDetails"]))
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

    def press(self, key: str, shift: bool = False) -> None:
        """A key, as a user presses it."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        same = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **same)
        self.call("Input.dispatchKeyEvent", type="keyUp", **same)

    def write(self, text: str) -> None:
        """Text into what has the focus."""
        self.call("Input.insertText", text=text)

    def window(self, width: int, height: int, scheme: str = "light", *, phone: bool = False, still: bool = False) -> None:
        """How large the page is shown, and what its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce" if still else ""}
        self.call("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()])

    def picture(self, whole: bool = False) -> bytes:
        """What the window shows, or the whole page, as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

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
