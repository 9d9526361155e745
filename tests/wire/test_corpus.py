"""Every request of tests/corpus, sent at once and byte by byte, comes out as its .want file says.

A refused one gets its reason and a clean close, and the Engine sees nothing of it; an accepted one
reaches the Engine in the one canonical form.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field

import pytest

from wire import Client, EndOfStream, Engine, Proxy, show

CORPUS = pathlib.Path(__file__).parents[1] / "corpus"
NAMES = sorted(path.stem for path in CORPUS.glob("*.req"))
ESCAPES = {b"\\r": b"\r", b"\\n": b"\n", b"\\\\": b"\\"}


@dataclass
class Accept:
    """One `accept` block."""

    line: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    body: bytes = b""


@dataclass
class Refuse:
    """One `refuse` block."""

    status: int
    in_body: bool
    to_head: bool


def unescape(text: bytes) -> bytes:
    result, at = b"", 0
    while at < len(text):
        step = 2 if text[at : at + 2] in ESCAPES else 1
        result += ESCAPES.get(text[at : at + step], text[at : at + step])
        at += step
    return result


def read_want(name: str) -> list[Accept | Refuse]:
    blocks: list[Accept | Refuse] = []
    for raw in (CORPUS / f"{name}.want").read_bytes().removesuffix(b"\n").split(b"\n"):
        if raw.startswith(b"#"):
            continue
        word, _, rest = raw.partition(b" ")
        text = rest.decode("latin-1")
        if word == b"accept":
            blocks.append(Accept())
        elif word == b"refuse":
            blocks.append(Refuse(int(text.split()[0]), text.endswith(" body"), text.endswith(" head")))
        elif word == b"forward:":
            blocks[-1].line = text
        elif word == b"header:":
            key, _, value = text.partition(":")
            blocks[-1].headers.append((key, value.strip(" ")))
        elif word == b"absent:":
            blocks[-1].absent.append(text)
        elif word == b"body:":
            blocks[-1].body = unescape(rest)
        else:
            raise ValueError(f"{name}.want: {raw!r}")
    return blocks


def check_accepted(engine: Engine, client: Client, wanted: Accept) -> None:
    request = engine.request()
    assert request.line == wanted.line
    for name in {key.lower() for key, _ in wanted.headers}:
        values = [value for key, value in wanted.headers if key.lower() == name]
        assert request.headers.all(name) == values, f"header {name} as forwarded"
    for name in wanted.absent:
        assert not request.headers.all(name), f"{name} must not be forwarded"
    assert request.body == wanted.body
    request.respond(body=b"")
    assert client.response("HEAD" if request.method == "HEAD" else "GET").status == 200


def check_refused(proxy: Proxy, engine: Engine, client: Client, wanted: Refuse) -> None:
    client.expect_refusal(wanted.status, to_head=wanted.to_head)
    if wanted.in_body:
        check_unfinished(engine)
    # Whatever of it was on its way to the Engine would get there before a request sent now.
    with proxy.connect() as witness:
        witness.get("/witness")
        request = engine.request()
        assert request.line == "GET /witness HTTP/1.1", "the refused request reached the Engine"
        request.respond()
        witness.response()
    rest = engine.received()
    assert not rest, f"of the refused request this reached the Engine: {show(rest)}"


def check_unfinished(engine: Engine) -> None:
    """If the head was forwarded: good chunks may follow, then the connection ends, and no last
    chunk."""
    engine.accept_waiting()
    for conn in list(engine.conns):
        if not conn.readable():
            continue
        try:
            request = conn.read_request()
        except EndOfStream:
            conn.close()
            continue
        pytest.fail(f"a malformed body reached the Engine as a good one: {request.body!r}")


def run_case(proxy: Proxy, engine: Engine, name: str, step: int | None) -> None:
    data = (CORPUS / f"{name}.req").read_bytes()
    blocks = read_want(name)
    with proxy.connect() as client:
        if step is None:
            client.send_through(data)
        else:
            client.send_slowly(data, step)
        for block in blocks:
            if isinstance(block, Accept):
                check_accepted(engine, client, block)
            else:
                check_refused(proxy, engine, client, block)
        if isinstance(blocks[-1], Accept):
            assert not engine.received(), "more than the wanted requests reached the Engine"


@pytest.mark.parametrize("name", NAMES)
def test_sent_whole(proxy: Proxy, engine: Engine, name: str) -> None:
    run_case(proxy, engine, name, None)


@pytest.mark.parametrize("name", NAMES)
def test_sent_byte_by_byte(proxy: Proxy, engine: Engine, name: str) -> None:
    """Long ones go in pieces of a length that shares no factor with any buffer."""
    size = (CORPUS / f"{name}.req").stat().st_size
    run_case(proxy, engine, name, 1 if size < 4096 else 997)


def test_every_case_is_a_pair() -> None:
    """A case without its .want would be a case that nobody checks."""
    stems = Counter(path.stem for path in CORPUS.iterdir() if path.suffix in (".req", ".want"))
    assert [stem for stem, count in stems.items() if count != 2] == []
    for name in NAMES:
        blocks = read_want(name)
        assert blocks, f"{name}.want wants nothing"
        for block in blocks[:-1]:
            assert isinstance(block, Accept), f"{name}.want goes on after a refusal"


def test_large_cases_are_what_their_generator_writes(tmp_path: pathlib.Path) -> None:
    subprocess.run([sys.executable, str(CORPUS / "make-large.py"), str(tmp_path)], check=True)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in CORPUS.glob("l*.*")}
