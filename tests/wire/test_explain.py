"""`explain` and serving are one truth: for each request line of the corpus, and some that a client may
build, the first line of `explain` is what the log says became of the request."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from machine import free_port
from wire import Engine, run_binary

CORPUS = pathlib.Path(__file__).parents[1] / "corpus"
ARGUMENT_MAX = 100_000  # the kernel takes 128 KiB
LONG = "x" * 20_000


def corpus_lines() -> set[tuple[bytes, bytes]]:
    """Method and target of each request line that can be an argument of `explain`."""
    lines = set()
    for path in CORPUS.glob("*.req"):
        line = path.read_bytes().partition(b"\r\n")[0]
        match = re.fullmatch(rb"(\S+) (\S+) HTTP/1\.1", line)
        if match and b"\0" not in line and len(line) < ARGUMENT_MAX:
            lines.add((match[1], match[2]))
    return lines


BUILT = [
    (b"GET", f"/containers/json?filters={LONG}".encode()),
    (b"POST", f"/build?buildargs={LONG}".encode()),
    (b"GET", b"/" + b"a" * 5000),
    (b"POST", b"/images/create?fromImage=a&fromImage=b"),
    (b"HEAD", b"/health"),
    (b"GET", b"/v1.41/health"),
    (b"DELETE", b"/containers/a%2fb"),
    (b"OPTIONS", b"*"),
    (b"GET", b"http://docker?all=1"),
]
OF_CONTAINERS = [
    (b"POST", b"/containers/web/start"),
    (b"DELETE", b"/containers/web"),
    (b"GET", b"/v1.41/images/busybox/json"),
    (b"POST", b"/v1.41/images/busybox/tag?repo=a"),
    (b"POST", b"/build?t=a"),
]
REQUESTS = sorted(corpus_lines() | set(BUILT))


def host_of(target: bytes) -> bytes:
    match = re.match(rb"[^/]*://([^/?]*)", target)
    return match[1] if match else b"docker"


def first_line_of(record: dict) -> str:
    """The first line of `explain` for a request with this line in the log."""
    outcome = record.get("outcome", "forwarded")
    if outcome == "forwarded":
        return f"allow {record['op']}"
    if outcome == "healthy":
        return "allow health"
    if outcome == "denied":
        return f"deny {record['op']}"
    return f"deny {outcome}: the response is {record['status']}, whatever the policy"


def what_was_served(proxy, requests: list[tuple[bytes, bytes]], key: bytes = b"") -> list[str]:
    ports = []
    field = b"X-Api-Key: %b\r\n" % key if key else b""
    for method, target in requests:
        with proxy.connect() as client:
            ports.append(client.port)
            head = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, target, host_of(target), field)
            client.send(head)
            client.response(method.decode("latin-1"))
    proxy.wait_log(lambda line: f":{ports[-1]}" in line, what="about the last request")
    proxy.stop()
    records = [json.loads(line) for line in proxy.lines if line.startswith("{")]
    by_port = {
        int(record["client"].rpartition(":")[2]): record
        for record in records
        if record["message"] == "request"
    }
    return [first_line_of(by_port[port]) for port in ports]


def what_is_explained(options: list[str], requests: list[tuple[bytes, bytes]]) -> list[str]:
    def explain(request: tuple[bytes, bytes]) -> str:
        result = run_binary("explain", *options, *map(os.fsdecode, request))
        line = result.stdout.partition("\n")[0]
        assert result.returncode == (0 if line.startswith("allow") else 1), result.stderr
        return line

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(explain, requests))


def differences(requests: list, explained: list[str], served: list[str]) -> list[tuple]:
    return [row for row in zip(requests, explained, served, strict=True) if row[1] != row[2]]


@pytest.mark.parametrize(
    ("options", "requests"),
    [(["--policy", "read-only"], REQUESTS), (["--policy", "open", "--max-head", "4096"], BUILT)],
    ids=["corpus", "small-heads"],
)
def test_explain_says_what_serving_does(
    start, own_engine: Engine, options: list[str], requests: list[tuple[bytes, bytes]]
) -> None:
    proxy = start(*options, env={"LOG_FORMAT": "json", "LOG_LEVEL": "debug"})
    with own_engine.responding():
        served = what_was_served(proxy, requests)
    explained = what_is_explained(options, requests)
    assert differences(requests, explained, served) == []
    kinds = {line.split()[0] for line in explained} | {line.split()[1].rstrip(":") for line in explained}
    assert {"allow", "deny", "malformed", "unknown", "health"} <= kinds
    assert ("too_large" in kinds) == ("--max-head" in options)


CLIENTS = """
listeners: [{{address: 'tcp://127.0.0.1:{port}', name: main, policy: deny}}]
policies:
  some: {{extends: [read-only], rules: [{{deny: [container.remove]}}, {{allow: ['container.*']}}, {{allow: {{path: '/images/[a-z]+/json'}}}}]}}
  builder: {{mode: observe, rules: [{{allow: [image.build]}}]}}
clients:
- {{name: nobody, match: {{cidr: 192.0.2.1, key_sha256: {keys[everything]}}}, policy: deny}}
- {{name: everything, match: {{listener: main, key_sha256: {keys[everything]}}}, policy: open}}
- {{name: some, match: {{cidr: 127.0.0.0/8, key_sha256: {keys[some]}}}, policy: some}}
- {{name: builder, match: {{key_sha256: {keys[builder]}}}, policy: builder}}
- {{name: nothing, match: {{key_sha256: [{keys[nothing]}]}}, policy: deny}}
"""


@pytest.mark.parametrize("name", ["everything", "some", "builder", "nothing"])
def test_explain_says_of_each_client_what_serving_does(start, own_engine: Engine, tmp_path: pathlib.Path, name: str) -> None:
    names = ("everything", "some", "builder", "nothing")
    port = free_port()
    path = tmp_path / "proxy.yaml"
    path.write_text(CLIENTS.format(port=port, keys={one: hashlib.sha256(one.encode()).hexdigest() for one in names}))
    os.chmod(tmp_path, 0o755)
    requests = sorted({*REQUESTS[::4], *BUILT, *OF_CONTAINERS})
    proxy = start("-c", str(path), port=port, env={"LOG_FORMAT": "json", "LOG_LEVEL": "debug"})
    with own_engine.responding():
        served = what_was_served(proxy, requests, key=name.encode())
    explained = what_is_explained(["-c", str(path), "--client", name], requests)
    assert differences(requests, explained, served) == []
    assert ("allow container.start" in explained) == (name != "nothing")
    assert ("deny container.remove" in explained) == (name in ("some", "nothing"))
