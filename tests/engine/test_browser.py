"""No page in a real browser reaches the Engine: not of another site, and not under a rebound name.

Each way to send a request is first tried on a plain web server, which must get it.
"""

from collections.abc import Iterator
from contextlib import closing

import proxy as program
import pytest
from browser import Browser, Site
from tap import Tap

pytestmark = pytest.mark.own_wire  # browsers have TCP, and would ask their user about our authority

# To loopback a browser says what page a request comes from, to other plain HTTP addresses it does not.
TARGETS = {"loopback": "127.0.0.1", "address": "proxy.example"}
NO_TRACE = "mode: 'no-cors', referrerPolicy: 'no-referrer'"
WAYS = {
    "fetch": "await fetch(`http://${target}/way`, {" + NO_TRACE + "}).catch(() => 0);",
    "fetch-as-node": "await fetch(`http://${target}/way`, {" + NO_TRACE + ", "
    "headers: {'Accept-Language': '*', 'Accept': '*/*'}}).catch(() => 0);",
    "fetch-cors": "await fetch(`http://${target}/way`).catch(() => 0);",
    "fetch-head": "await fetch(`http://${target}/way`, {method: 'HEAD', " + NO_TRACE + "}).catch(() => 0);",
    "fetch-post": "await fetch(`http://${target}/way`, {method: 'POST', body: '{}', " + NO_TRACE
    + "}).catch(() => 0);",
    "image": "await new Promise((done) => { const image = new Image(); image.onload = image.onerror = done; "
    "image.referrerPolicy = 'no-referrer'; image.src = `http://${target}/way`; });",
    "form": "await new Promise((done) => { const frame = document.createElement('iframe'); "
    "frame.name = 'frame'; document.body.append(frame); const form = document.createElement('form'); "
    "form.method = 'POST'; form.enctype = 'text/plain'; form.target = 'frame'; "
    "form.action = `http://${target}/way`; document.body.append(form); frame.onload = done; form.submit(); });",
    "websocket": "await new Promise((done) => { new WebSocket(`ws://${target}/way`).onclose = done; });",
}
# A page under the name that its site has given the proxy's address may set more, and read the responses.
REBOUND = {
    "get": "{}",
    "head": "{method: 'HEAD'}",
    "post": "{method: 'POST', body: '{}'}",
    "forged": "{headers: {'User-Agent': 'curl/8.0', 'Accept-Language': '*', 'X-Forwarded-For': '192.0.2.1'}}",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with closing(Browser()) as running:
        yield running


@pytest.fixture(scope="module")
def evil() -> Iterator[Site]:
    with closing(Site()) as site:
        yield site


@pytest.fixture(scope="module")
def recorder() -> Iterator[Site]:
    with closing(Site()) as site:
        yield site


@pytest.fixture(scope="module")
def tap(engine) -> Iterator[Tap]:
    with Tap(engine.socket) as tapped:
        yield tapped


@pytest.fixture(scope="module")
def tapped(binary, tap) -> Iterator[program.Proxy]:
    with closing(program.Proxy(binary, tap.path, wire_settings={})) as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", TARGETS)
def test_pages_of_other_sites(browser, evil, recorder, tap, tapped, target: str, way: str) -> None:
    def send_to(port: int) -> None:
        browser.open(f"http://evil.example:{evil.port}/")
        browser.run(f"const target = '{TARGETS[target]}:{port}'; {WAYS[way]}")

    before = len(recorder.requests)
    send_to(recorder.port)
    assert any(request.endswith(" /way") for request in recorder.requests[before:])
    send_to(tapped.port)
    assert not tap.heads()


@pytest.mark.parametrize("options", REBOUND)
def test_pages_under_a_rebound_name(browser, recorder, tap, tapped, options: str) -> None:
    script = f"return (await fetch('/way', {REBOUND[options]})).status;"
    browser.open(f"http://evil.example:{recorder.port}/")
    assert browser.run(script) == 200
    browser.open(f"http://evil.example:{tapped.port}/")
    assert browser.run(script) == 403
    assert not tap.heads()


def test_websocket_under_a_rebound_name(browser, tap, tapped) -> None:
    """Its Origin is the Host, as that of clients is which are no browsers."""
    browser.open(f"http://evil.example:{tapped.port}/")
    browser.run(WAYS["websocket"].replace("${target}/way", "${location.host}/containers/x/attach/ws"))
    assert not tap.heads()


def test_what_the_user_is_told(browser, tapped) -> None:
    browser.open(f"http://127.0.0.1:{tapped.port}/_ping")
    assert "browsers: true" in browser.run("return document.body.innerText;")
    assert "browsers: true" in tapped.log_line("denied: ", "client=127.0.0.1")
