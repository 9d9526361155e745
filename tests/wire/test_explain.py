"""`explain` and serving are one truth: for each request line of the corpus, and some that a client may
build, the first line of `explain` is what the log says became of the request."""

from __future__ import annotations

import json
import os
import pathlib
import re

import pytest

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


def what_was_served(proxy, requests: list[tuple[bytes, bytes]]) -> list[str]:
    ports = []
    for method, target in requests:
        with proxy.connect() as client:
            ports.append(client.port)
            head = b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (method, target, host_of(target))
            client.send(head)
            client.response(method.decode("latin-1"))
    proxy.wait_log(lambda line: f":{ports[-1]}" in line, what="about the last request")
    proxy.stop()
    records = [json.loads(line) for line in proxy.lines]
    by_port = {
        int(record["client"].rpartition(":")[2]): record
        for record in records
        if record["message"] == "request"
    }
    return [first_line_of(by_port[port]) for port in ports]


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
    explained = []
    for method, target in requests:
        result = run_binary("explain", *options, os.fsdecode(method), os.fsdecode(target))
        explained.append(result.stdout.partition("\n")[0])
        assert result.returncode == (0 if explained[-1].startswith("allow") else 1)
    different = [
        (request, one, other)
        for request, one, other in zip(requests, explained, served)
        if one != other
    ]
    assert different == []
    kinds = {line.split()[0] for line in explained} | {line.split()[1].rstrip(":") for line in explained}
    assert {"allow", "deny", "malformed", "unknown", "health"} <= kinds
    assert ("too_large" in kinds) == ("--max-head" in options)
