"""The dashboard: a page of the admin listener, in a real Chromium."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from browser import Browser, Site
from machine import free_port
from operators import Admin
from wire import BINARY, LAST_CHUNK, Engine, Proxy, chunk, eventually, open_stream

SOURCES = Path(__file__).parents[2] / "src/admin/dashboard"
KEY = "a key with many letters"
PAGE_MAX = 60 * 1024

# Each makes markup, or code, of a string.
MARKUP = [
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment",
    "srcdoc", "setHTML", "parseHTML", "eval(", "Function(", "javascript:", "import(", "setAttribute(\"on",
]


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def guarded(start, tmp_path: Path) -> Admin:
    place, port = free_port(), free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
                    f"admin: {{address: 'tcp://127.0.0.1:{place}', key_sha256: {hash_of(KEY)}}}\n")
    start("-c", str(file), port=port)
    return Admin(place)


# the page


def test_the_page_needs_no_key_and_is_small(guarded: Admin) -> None:
    response = guarded.get("/")
    assert (response.status, response.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert response.framing == "length" and 20_000 < len(response.body) < PAGE_MAX
    assert response.body.startswith(b"<!DOCTYPE html>") and response.body.endswith(b"</html>\n")
    assert guarded.get("/?anything").status == 200


def test_the_browser_is_told_to_refuse_everything_else(guarded: Admin) -> None:
    response = guarded.get("/")
    policy = dict(part.strip().split(" ", 1) for part in response.header("Content-Security-Policy").split(";"))
    page = response.body.decode()
    for name in ("style", "script"):
        parts = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        assert len(parts) == 1 and f"<{name} " not in page
        digest = base64.b64encode(hashlib.sha256(parts[0].encode()).digest()).decode()
        assert policy[f"{name}-src"] == f"'sha256-{digest}'"
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"):
        assert policy[name] == "'none'"
    assert (policy["connect-src"], policy["img-src"]) == ("'self'", "data:")
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("X-Frame-Options") == "DENY"
    assert response.header("Referrer-Policy") == "no-referrer"
    assert response.header("Cache-Control") == "no-store"


def test_the_page_comes_whole_to_whoever_reads_slowly(guarded: Admin) -> None:
    page = guarded.get("/").body
    clients = [guarded.connect() for _ in range(20)]
    for client in clients:
        client.get("/")
    for client in clients:
        assert client.read(1)
    for client in clients:
        client.buffer[:0] = b"H"
        assert client.response().body == page
        client.close()


def resident_pages(proxy: Proxy, data: bytes) -> int:
    """How many pages of what is in the program's file the program has in memory."""
    at, size = Path(BINARY).read_bytes().index(data), os.sysconf("SC_PAGESIZE")
    for line in Path(f"/proc/{proxy.pid}/maps").read_text().splitlines():
        span, _, offset, *_ = line.split()
        begin, end = (int(part, 16) for part in span.split("-"))
        start = begin + at - int(offset, 16)
        if line.endswith(Path(BINARY).name) and begin <= start < end:
            with open(f"/proc/{proxy.pid}/pagemap", "rb") as pagemap:
                pagemap.seek(start // size * 8)
                entries = pagemap.read(((start + len(data) - 1) // size - start // size + 1) * 8)
            return sum(entry >> 63 for entry, in struct.iter_unpack("Q", entries))
    raise AssertionError("the page is nowhere")


@pytest.mark.skipif(os.geteuid() != 0, reason="the memory of others is root's to see")
def test_the_page_does_not_stay_in_memory(start) -> None:
    """It is asked for once in a while, and the program is small when it is idle."""
    place = free_port()
    proxy = start("--workers", "1", env={"ADMIN": f"tcp://127.0.0.1:{place}"})
    page = Admin(place).get("/").body
    assert resident_pages(proxy, page) == 0


def test_head_and_http_1_0(guarded: Admin) -> None:
    with guarded.connect() as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = client.response("HEAD")
        client.get("/", version="1.0")
        response = client.response()
        assert int(head.header("Content-Length")) == len(response.body)
        client.expect_end()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_page_is_only_read(guarded: Admin, method: str) -> None:
    with guarded.connect() as client:
        client.send(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        response = client.response()
    assert response.status == 405 and response.message()


@pytest.mark.parametrize("host", ["localhost:9477", "127.0.0.1:9477", "[::1]:9477", "docker-socket-proxy:9477", "proxy.lan", "proxy.home.arpa"])
def test_names_of_ones_own_network_are_served(guarded: Admin, host: str) -> None:
    with guarded.connect() as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept-Language: en\r\nSec-Fetch-Site: none\r\n\r\n".encode())
        assert client.response().status == 200


@pytest.mark.parametrize(
    "headers",
    [
        ["Host: localhost", "Sec-Fetch-Site: cross-site"],
        ["Host: localhost", "Sec-Fetch-Site: same-site"],
        ["Host: localhost", "Origin: http://localhost:3000"],
        ["Host: localhost", "Origin: null"],
        ["Host: proxy.example.com", "Accept-Language: en"],
        ["Host: x.0.1.8.b.d.0.1.0.0.2.ip6.arpa:9477", "Accept-Language: en"],
        ["Host: home.arpa", "Accept-Language: en"],
    ],
)
def test_other_sites_do_not_get_the_page(guarded: Admin, headers: list[str]) -> None:
    with guarded.connect() as client:
        client.send("\r\n".join(["GET / HTTP/1.1", *headers]).encode() + b"\r\n\r\n")
        response = client.response()
    assert response.status == 403 and b"<" not in response.body and response.message()


def test_no_part_of_the_source_makes_markup_of_a_string() -> None:
    script = (SOURCES / "script.js").read_text()
    assert [word for word in MARKUP if word in script] == []
    page = (SOURCES / "page.html").read_text()
    assert not re.search(r"""\s(on\w+|style)\s*=""", page)
    for text in (script, page, (SOURCES / "style.css").read_text()):
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, "nothing is loaded from elsewhere"


# in a browser


READER, WRITER = "key of the reader", "key of the writer"
HOSTILE = "/containers/%22%3E%3Cimg%20src=x%20onerror=refused.push(1)%3E%3Cscript%3Erefused.push(2)%3C!--/kill"
HOSTILE_TEXT = '"><img src=x onerror=refused.push(1)><script>refused.push(2)<!--'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with closing(Browser()) as running:
        running.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        yield running


class Dashboard:
    """A proxy with two clients, and its page in the browser."""

    def __init__(self, start, browser: Browser, engine: Engine, folder: Path):
        for each in (folder, *folder.parents[:2]):  # a reload reads as somebody else
            each.chmod(each.stat().st_mode | 0o055)
        self.start, self.browser, self.engine = start, browser, engine
        self.port, self.place = free_port(), free_port()
        self.file = folder / "proxy.yaml"
        self.settings = (
            f"listeners: [{{address: 'tcp://127.0.0.1:{self.port}', policy: deny}}]\n"
            f"admin: {{address: 'tcp://127.0.0.1:{self.place}', key_sha256: {hash_of(KEY)}}}\n"
            "clients:\n"
            f"  - {{name: reader, match: {{key_sha256: {hash_of(READER)}}}, policy: some}}\n"
            f"  - {{name: writer, match: {{key_sha256: {hash_of(WRITER)}}}, policy: few}}\n"
            "policies: {some: {mode: observe, extends: [read-only]}, few: {extends: [read-only], rules: [{allow: system.events}]}}\n"
        )
        self.file.write_text(self.settings)
        self.file.chmod(0o644)
        self.url = f"http://127.0.0.1:{self.place}/"
        self.begin()

    def begin(self) -> Proxy:
        self.proxy = self.start("-c", str(self.file), port=self.port)
        return self.proxy

    def ask(self, target: str, key: str, method: str = "GET") -> int:
        """The status of a request to which the Engine responds if it gets there."""
        with self.proxy.connect() as client, self.engine.responding():
            client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\nX-Api-Key: {key}\r\n\r\n".encode())
            return client.response().status

    def ask_refused(self, target: str) -> int:
        """The status of a request while there is no Engine."""
        with self.proxy.connect() as client:
            client.get(target, headers=[f"X-Api-Key: {WRITER}"])
            return client.response().status

    def open(self) -> None:
        self.browser.faults.clear()
        self.browser.window(1280, 800)
        self.browser.open(self.url)
        self.give(KEY)  # each port has a storage of its own
        self.wait_text("#link", "Live")

    def give(self, key: str) -> None:
        """A key, to the page that asks for one."""
        self.wait("document.activeElement.id === 'key-value'", "the page to ask for a key")
        self.browser.write(key)
        self.browser.press("Enter")

    def text(self, selector: str) -> str:
        return self.browser.run(f"return document.querySelector({selector!r}).innerText")

    def wait(self, condition: str, what: str) -> object:
        return eventually(lambda: self.browser.run(f"return {condition}"), what)

    def wait_text(self, selector: str, words: str) -> str:
        eventually(lambda: words in self.text(selector), f"'{words}' in {selector}; there is '{self.text(selector)}'")
        return self.text(selector)

    def rows(self, name: str) -> list[dict[str, str]]:
        """A table as a user reads it."""
        return self.browser.run(
            f"return [...document.querySelectorAll('#{name}-table tbody tr')].map((row) => "
            "Object.fromEntries([...row.cells].map((cell) => [cell.dataset.label, cell.innerText.trim()])))")

    def wait_rows(self, name: str, count: int) -> list[dict[str, str]]:
        eventually(lambda: len(self.rows(name)) == count, f"{count} rows of {name}; there are {self.rows(name)}")
        return self.rows(name)

    def reach(self, condition: str) -> None:
        """With the keyboard alone: the element for which this holds."""
        for _ in range(100):
            if self.browser.run(f"const at = document.activeElement; return Boolean({condition})"):
                assert self.browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
            self.browser.press("Tab")
        raise AssertionError(f"no way to {condition}")

    def expect_clean(self) -> None:
        """No script failed, and the policy of the page had nothing to refuse."""
        assert (self.browser.run("return refused"), self.browser.faults) == ([], [])


@pytest.fixture
def dashboard(start, browser: Browser, own_engine: Engine, tmp_path: Path) -> Iterator[Dashboard]:
    own_engine.release = "20.10.24"
    made = Dashboard(start, browser, own_engine, tmp_path)
    yield made
    browser.open("about:blank")


def test_the_key_is_asked_for_once(dashboard: Dashboard, browser: Browser) -> None:
    browser.open(dashboard.url)
    dashboard.give("a wrong key")
    dashboard.wait_text("#key-error", "does not accept")
    assert not browser.run("return document.getElementById('content').checkVisibility()")
    dashboard.give(KEY)
    dashboard.wait_text("#link", "Live")
    assert browser.run("return [...Object.values(sessionStorage)]") == [KEY]
    browser.open(dashboard.url)
    dashboard.wait_text("#link", "Live")
    dashboard.reach("at.id === 'forget'")
    browser.press("Enter")
    dashboard.wait("document.activeElement.id === 'key-value'", "the page to ask again")
    assert browser.run("return sessionStorage.length + document.cookie.length + localStorage.length") == 0
    dashboard.expect_clean()


def test_an_empty_page_says_what_to_do(dashboard: Dashboard) -> None:
    dashboard.open()
    for name, words in {"denials": "Nothing was denied", "clients": "DOCKER_HOST=", "streams": "No stream is open",
                        "operations": "mode: observe", "requests": "No request has ended"}.items():
        if name != "clients":
            assert words in dashboard.text(f"#{name} .empty")
    dashboard.expect_clean()


def test_every_value_is_what_was_sent(dashboard: Dashboard, own_engine: Engine) -> None:
    for _ in range(3):
        assert dashboard.ask("/v1.41/containers/json", READER) == 200
    assert dashboard.ask("/v1.41/containers/web/start", READER, "POST") == 200  # observed
    for _ in range(2):
        assert dashboard.ask("/v1.41/containers/web/stop", WRITER, "POST") == 403
    with dashboard.proxy.connect() as client:
        conn = open_stream(client, own_engine, sent=chunk(b"hello"), headers=[f"X-Api-Key: {WRITER}"])
        dashboard.open()
        denied, observed = dashboard.wait_rows("denials", 2)
        assert denied["Client"].startswith("writer") and "127.0.0.1" in denied["Client"]
        assert "container.stop" in denied["Request"] and "POST /v1.41/containers/web/stop" in denied["Request"]
        assert "few" in denied["Why"] and denied["Count"] == "2"
        assert "container.stop" in denied["What would allow it"]
        assert observed["Client"].startswith("reader") and "observed" in observed["Why"]
        clients = {row["Client"].split("\n")[0]: row for row in dashboard.rows("clients")}
        reader, writer = clients["reader"], clients["writer"]
        assert (reader["Allowed"], reader["Denied"], reader["Would deny"], reader["Errors"]) == ("3", "0", "1", "0")
        assert "some" in reader["Policy"] and "observe" in reader["Policy"]
        assert (writer["Denied"], writer["Streams"], writer["Connections"]) == ("2", "1", "1")
        (stream,) = dashboard.wait_rows("streams", 1)
        assert stream["Operation"] == "system.events" and "writer" in stream["Client"]
        assert re.fullmatch(r"\d+ s", stream["Age"]) and stream["To the client"].endswith(" B")
        learned = dashboard.browser.run(
            "document.querySelectorAll('#operations summary').forEach((each) => each.click());"
            "await new Promise((done) => setTimeout(done, 100));"
            "return document.getElementById('operations').innerText")
        assert "container.list" in learned and "container.start" in learned and "policies:" in learned
        configuration = dashboard.text("#configuration")
        assert str(dashboard.file) in configuration
        assert hashlib.sha256(dashboard.settings.encode()).hexdigest() in configuration
        assert own_engine.path in dashboard.text("#engine") and dashboard.text("#engine-up") == "reachable"
        assert str(dashboard.proxy.pid) in dashboard.text("#process") and f":{dashboard.port}" in dashboard.text("#process")
        conn.send(LAST_CHUNK)
        dashboard.wait_rows("streams", 0)
    dashboard.expect_clean()


def test_events_come_without_loading_the_page_again(dashboard: Dashboard, browser: Browser) -> None:
    dashboard.open()
    browser.run("window.mark = 1")
    assert dashboard.ask("/containers/web/json", WRITER) == 200
    (row,) = dashboard.wait_rows("requests", 1)
    assert row["Operation"].startswith("container.inspect") and "web" in row["Operation"]
    assert (row["Verdict"], row["Status"]) == ("allow", "200") and row["Client"].startswith("writer")
    assert dashboard.ask("/containers/web/stop", WRITER, "POST") == 403
    dashboard.wait_rows("denials", 1)
    for _ in range(4):
        dashboard.ask("/containers/web/stop", WRITER, "POST")
    eventually(lambda: dashboard.rows("denials")[0]["Count"] == "5", "the count of the denial to rise")
    assert dashboard.text("#denials-count") == "1"
    for name in ("requests", "denials"):
        eventually(lambda name=name: re.fullmatch(r"at most [\d.]*[1-9][\d.]*", dashboard.text(f"#{name}-peak")), f"the {name} to be counted")
        curves = browser.run(f"return [...document.querySelectorAll('#{name}-chart .curve')].map((each) => each.getAttribute('d'))")
        heights = {point.split(" ")[1] for curve in curves for point in re.split("[ML]", curve)[1:]}
        assert len(heights) > 1, f"the {name} are drawn as a curve that rises: {curves}"
    assert browser.run("return window.mark") == 1
    dashboard.expect_clean()


def test_names_of_clients_are_text(dashboard: Dashboard, browser: Browser) -> None:
    assert dashboard.ask(HOSTILE, WRITER, "POST") == 403
    assert dashboard.ask("/containers/a%E2%80%AEb/pause", WRITER, "POST") == 403  # turns the direction of writing
    dashboard.open()
    eventually(lambda: any(HOSTILE_TEXT in row["Request"] for row in dashboard.rows("denials")), "the hostile name to be shown")
    assert dashboard.ask(HOSTILE, WRITER, "POST") == 403
    dashboard.wait_rows("requests", 1)
    assert browser.run("return document.querySelectorAll('img, script, iframe, object, embed').length") == 1, "its own script"
    assert any("a\\u202eb" in row["Request"] for row in dashboard.rows("denials"))
    assert "\u202e" not in browser.run("return document.body.textContent")
    dashboard.expect_clean()


def test_what_is_injected_does_not_run(dashboard: Dashboard, browser: Browser) -> None:
    """Should a value become markup after all: the policy of the page stops it."""
    with closing(Site()) as elsewhere:
        dashboard.open()
        ran = browser.run(f"""
            const ways = [
              () => {{ document.body.innerHTML += '<img src=x onerror="ran = 1">'; }},
              () => {{ const s = document.createElement('script'); s.append('ran = 2'); document.body.append(s); }},
              () => {{ const s = document.createElement('script'); s.src = 'http://127.0.0.1:{elsewhere.port}/x.js'; document.body.append(s); }},
              () => {{ document.body.append(Object.assign(document.createElement('img'), {{src: 'http://127.0.0.1:{elsewhere.port}/i'}})); }},
              () => {{ const f = document.createElement('form'); f.action = 'http://127.0.0.1:{elsewhere.port}/f'; document.body.append(f); f.submit(); }},
              () => {{ document.body.append(Object.assign(document.createElement('iframe'), {{src: 'http://127.0.0.1:{elsewhere.port}/p'}})); }},
              () => {{ const b = document.createElement('base'); b.href = 'http://127.0.0.1:{elsewhere.port}/'; document.head.append(b); }},
            ];
            window.ran = 0;
            for (const way of ways) try {{ way(); }} catch {{}}
            await import('http://127.0.0.1:{elsewhere.port}/module.js').catch(() => 0);
            await fetch('http://127.0.0.1:{elsewhere.port}/leak').catch(() => 0);
            return [ran, document.baseURI];
        """)
        assert ran == [0, dashboard.url]
        for directive in ("require-trusted-types-for", "script-src-elem", "img-src", "form-action", "frame-src", "base-uri", "connect-src"):
            dashboard.wait(f"refused.some((each) => each.startsWith('{directive} '))", f"{directive} to refuse")
        assert browser.run("return ran") == 0
        assert elsewhere.requests == []


def test_no_other_page_frames_it_or_uses_it(dashboard: Dashboard, browser: Browser) -> None:
    with closing(Site()) as evil:
        browser.open(f"http://127.0.0.1:{evil.port}/")
        browser.run(f"""
            const frame = document.createElement('iframe');
            frame.src = '{dashboard.url}';
            await new Promise((done) => {{ frame.onload = frame.onerror = done; document.body.append(frame); }});
        """)
        (frame,) = browser.call("Page.getFrameTree")["frameTree"]["childFrames"]
        assert frame["frame"]["mimeType"] == "application/json", "a refusal, not the page"
        for way in ("{mode: 'no-cors'}", "{method: 'POST', mode: 'no-cors', body: '{}'}",
                    "{method: 'POST', headers: {'Content-Type': 'application/json'}}"):
            browser.open(f"http://evil.example:{evil.port}/")
            assert browser.run(f"return fetch('{dashboard.url}api/reload', {way}).then((r) => r.status, () => 'refused')") in (0, "refused")
    browser.open(f"http://evil.example:{dashboard.place}/")
    assert "403" not in browser.run("return document.title")
    assert "docker-socket-proxy" != browser.run("return document.title")
    assert browser.run("return fetch('/api/reload', {method: 'POST', headers: {'X-Requested-With': 'x', 'X-Api-Key': '" + KEY + "'}}).then((r) => r.status)") == 403
    assert Admin(dashboard.place).metrics().get_one("config_reloads_total") == 0


# what it does


def test_reload_with_the_keyboard(dashboard: Dashboard, browser: Browser) -> None:
    dashboard.open()
    dashboard.reach("at.id === 'reload'")
    browser.press("Enter")
    dashboard.wait_text("#reload-result", "Reloaded at")
    dashboard.file.write_text(dashboard.settings.replace("[read-only]", "[read-onyl]"))
    browser.press(" ")
    words = dashboard.wait_text("#reload-error", f"{dashboard.file}:")
    assert "read-onyl" in words and dashboard.text("#reload-result") == ""
    dashboard.wait_text("#problems", "the former configuration holds")
    dashboard.wait_text("#ready", "Not ready: configuration")
    assert browser.run("return document.activeElement.id") == "reload", "the focus stays"
    dashboard.file.write_text(dashboard.settings)
    browser.press("Enter")
    dashboard.wait_text("#reload-result", "Reloaded at")
    dashboard.wait("document.getElementById('problems').innerText === ''", "the problem to go")
    assert not browser.run("return document.getElementById('reload-error').checkVisibility()")
    dashboard.expect_clean()


def test_a_fix_is_copied_with_the_keyboard(dashboard: Dashboard, browser: Browser) -> None:
    dashboard.ask("/containers/web/stop", WRITER, "POST")
    dashboard.open()
    dashboard.wait_rows("denials", 1)
    dashboard.reach("at.innerText === 'Copy YAML'")
    shown = browser.run("return document.activeElement.closest('.fix').querySelector('pre').textContent")
    browser.press("Enter")
    dashboard.wait("document.activeElement.innerText === 'Copied'", "the button to say so")
    assert browser.run("return navigator.clipboard.readText()") == shown and "container.stop" in shown
    dashboard.wait_text("#said", "Copied: ")
    dashboard.expect_clean()


def test_a_fix_is_copied_without_a_secure_context(dashboard: Dashboard, browser: Browser) -> None:
    """At an address of the network over plain HTTP, browsers have no navigator.clipboard."""
    dashboard.ask("/containers/web/stop", WRITER, "POST")
    dashboard.open()
    dashboard.wait_rows("denials", 1)
    browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined}); "
                "addEventListener('copy', () => { window.copied = String(getSelection()); })")
    dashboard.reach("at.innerText === 'Copy YAML'")
    browser.press("Enter")
    dashboard.wait("window.copied?.includes('container.stop')", "the text to be copied")


def test_closing_a_stream_asks_once(dashboard: Dashboard, browser: Browser, own_engine: Engine) -> None:
    with dashboard.proxy.connect() as client:
        conn = open_stream(client, own_engine, sent=chunk(b"hello"), headers=[f"X-Api-Key: {WRITER}"])
        dashboard.open()
        dashboard.wait_rows("streams", 1)
        dashboard.reach("at.innerText === 'Close'")
        browser.press("Enter")
        dashboard.wait("document.activeElement.innerText === 'Close now'", "to be asked")
        assert "system.events" in browser.run("return document.activeElement.getAttribute('aria-label')")
        browser.press("Escape")
        dashboard.wait("document.activeElement.innerText === 'Close'", "to be asked no more")
        browser.press("Enter")
        dashboard.wait("document.activeElement.innerText === 'Close now'", "to be asked again")
        browser.press("Enter")
        client.expect_gone()
        dashboard.wait_rows("streams", 0)
        assert browser.run("return document.activeElement.id") == "streams-title", "the focus is not lost"
        conn.close()
    dashboard.expect_clean()


# when something is not well


def test_events_that_were_left_out_are_counted(dashboard: Dashboard, browser: Browser) -> None:
    """To a page that is too slow the proxy says how many it did not send."""
    browser.window(360, 800, phone=True)
    browser.open(dashboard.url)
    dashboard.wait("document.activeElement.id === 'key-value'", "the page to ask for a key")
    browser.run("""
        const asked = fetch;
        const events = new ReadableStream({start: (to) => window.more = (text) => to.enqueue(new TextEncoder().encode(text))});
        window.fetch = (path, options) => path === 'api/events' ? Promise.resolve(new Response(events)) : asked(path, options);
    """)
    dashboard.give(KEY)
    dashboard.wait_text("#link", "Live")
    assert not browser.run("return document.getElementById('requests-lost').checkVisibility()")
    for lost, words in ((1, "1 event was left out"), (1499, "1,500 events were left out")):
        browser.run(f"more('event: lost\\ndata: {{\"lost\":{lost}}}\\n\\n')")
        dashboard.wait_text("#requests-lost", words)
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    dashboard.expect_clean()


def test_an_engine_that_goes_and_comes_back(dashboard: Dashboard, own_engine: Engine) -> None:
    dashboard.open()
    assert dashboard.text("#engine-up") == "reachable"
    own_engine.stop()
    assert dashboard.ask_refused("/containers/json") == 502
    dashboard.wait_text("#engine-up", "not reachable")
    assert own_engine.path in dashboard.wait_text("#problems", "The Engine cannot be reached.")
    own_engine.start()
    assert dashboard.ask("/containers/json", WRITER) == 200
    dashboard.wait("document.getElementById('engine-up').innerText === 'reachable'", "the Engine to be back")
    dashboard.wait("document.getElementById('problems').innerText === ''", "the problem to go")
    dashboard.expect_clean()


def test_a_proxy_that_goes_and_comes_back(dashboard: Dashboard, browser: Browser) -> None:
    dashboard.open()
    browser.run("window.mark = 1")
    dashboard.proxy.stop()
    dashboard.wait_text("#link", "Not connected")
    assert "values of" in dashboard.text("#link") and browser.run("return document.body.className") == "stale"
    # The waits of the page get longer: with the button nobody has to sit them out.
    tried = "Number(document.getElementById('link-wait').textContent.match(/[0-9]+/)?.[0]) > 4"
    eventually(lambda: browser.run(f"return {tried}"), "a long wait of the page", 60)
    dashboard.reach("at.id === 'link-now'")
    dashboard.begin()
    browser.press("Enter")
    dashboard.wait_text("#link", "Live")
    dashboard.wait_text("#process", str(dashboard.proxy.pid))
    assert browser.run("return window.mark") == 1


# for everybody


CONTRAST = """
  const number = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, under) => { const [r, g, b, a = 1] = top; return [r, g, b].map((c, i) => c * a + under[i] * (1 - a)); };
  const back = (element) => element === null ? [255, 255, 255]
    : over(number(getComputedStyle(element).backgroundColor), back(element.parentElement));
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const found = [];
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest('script, style, .visually-hidden, svg, .skip')) continue;
    const under = back(element);
    const [a, b] = [light(over(number(getComputedStyle(element).color), under)), light(under)];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.className} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
"""

# What a click opened has its rows, and each chart has the size of its place.
SETTLED = (
    "[...document.querySelectorAll('details')].every((each) => each.open && each.querySelector('tbody tr'))"
    " && [...document.querySelectorAll('svg[role]')].every((each) => Math.abs(each.viewBox.baseVal.width - each.clientWidth) < 1)"
    " && document.querySelector('#streams .actions button').innerText === 'Close now'"
)

BASICS = """
  const name = (e) => e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels[0]?.textContent) ||
    (e.getAttribute('aria-labelledby') || '').split(' ').map((id) => document.getElementById(id)?.textContent).join(' ').trim();
  const all = (selector) => [...document.querySelectorAll(selector)];
  const ids = all('[id]').map((e) => e.id);
  const problems = [];
  const hold = (what, elements) => elements.forEach((e) => problems.push(`${what}: ${e.outerHTML.slice(0, 80)}`));
  hold('without a name', all('button, input, a, summary, section, nav, svg[role], [tabindex="0"]').filter((e) => !name(e)));
  hold('the name lacks what is seen', all('button[aria-label]').filter((e) => !e.getAttribute('aria-label').startsWith(e.textContent)));
  hold('without a caption', all('table').filter((e) => !e.caption?.textContent));
  hold('without a scope', all('th').filter((e) => !e.scope));
  hold('no role of its own', all('table, thead, tbody, tr, th, td').filter((e) => !e.getAttribute('role')));
  hold('a positive tabindex', all('[tabindex]').filter((e) => e.tabIndex > 0));
  hold('a reference to nothing', all('[aria-labelledby], [aria-describedby]').filter((e) =>
    `${e.getAttribute('aria-labelledby') || ''} ${e.getAttribute('aria-describedby') || ''}`.trim().split(/ +/).some((id) => !document.getElementById(id))));
  hold('smaller than a finger', all('button, summary, nav a').filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24));
  if (new Set(ids).size !== ids.length) problems.push('an id is there twice');
  if (all('h1').length !== 1 || all('main').length !== 1 || !document.documentElement.lang || !document.title) problems.push('no landmark');
  if (all('h3').some((e) => !e.closest('section').querySelector('h2'))) problems.push('a heading skips a level');
  return problems;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 360])
def test_everybody_can_read_it(dashboard: Dashboard, browser: Browser, own_engine: Engine, scheme: str, width: int) -> None:
    dashboard.ask(HOSTILE, WRITER, "POST")
    dashboard.ask("/containers/" + "long" * 50 + "/start", READER, "POST")
    with dashboard.proxy.connect() as client:
        client.get("/events", headers=[f"X-Api-Key: {WRITER}"])
        own_engine.request()
        dashboard.open()
        dashboard.wait_rows("denials", 2)
        browser.window(width, 800, scheme, phone=width < 700, still=True)
        browser.run("document.querySelectorAll('summary').forEach((each) => each.click()); document.querySelector('#streams .actions button').click();")
        dashboard.wait(SETTLED, "the page to be drawn for this size")
        assert browser.run(BASICS) == []
        assert browser.run(CONTRAST) == []
        assert browser.run("return document.documentElement.scrollWidth") <= width, "nobody scrolls sideways"
        page = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in re.findall(r"\d+", page)) < 200) == (scheme == "dark")
        assert browser.run("return getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    dashboard.expect_clean()
