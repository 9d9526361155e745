"""The rows of src/docker/endpoints.def as requests, their names filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).resolve().parents[1] / "src" / "docker" / "endpoints.def"
ROW = re.compile(
    r'^ENDPOINT\("(?P<operation>[a-z0-9_.]+)", (?P<method>[A-Z]+), (?P<section>[A-Z_]+), '
    r'"(?P<path>[^"]+)", \d+, (?P<traits>[A-Z| ]+)(?P<conditions>.*)\)$',
    re.MULTILINE,
)


class Request(NamedTuple):
    """What is asked, and the row it is made from; operation "" where no row fits."""

    method: str
    target: str
    body: str = ""
    operation: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.target}{' with a body' if self.body else ''}"


class Row(NamedTuple):
    operation: str
    method: str
    section: str
    path: str
    traits: frozenset[str]
    query: str
    before: int  # an API version below this one, 100 * major + minor
    body: bool

    def request(self, version: str = "") -> Request:
        """With `version`, "/v1.41", in front; podman's own have theirs."""
        if version and self.path.startswith("/libpod"):
            version = "/v4.0.0"
        if self.before:
            version = "/v{}.{}".format(*divmod(self.before - 1, 100))
        path = re.sub(r"\{[a-z]+\.\.\.\}", "docker.io/library/busybox", self.path)
        path = re.sub(r"\{[a-z]+\}", "some-name", path)
        query = f"?{self.query}=busybox" if self.query else ""
        body = "{}" if self.body else ""
        return Request(self.method, version + path + query, body, self.operation)


def condition(name: str, text: str) -> str:
    found = re.search(rf'\.{name} = "?([A-Za-z0-9]+)', text)
    return found.group(1) if found else ""


def rows() -> list[Row]:
    """Every row; the count is held against that of the file, so that none is lost."""
    text = FILE.read_text(encoding="utf-8")
    found = [
        Row(
            match["operation"],
            match["method"],
            match["section"],
            match["path"],
            frozenset(match["traits"].split(" | ")),
            condition("query", match["conditions"]),
            int(condition("before", match["conditions"]) or 0),
            bool(condition("body", match["conditions"])),
        )
        for match in ROW.finditer(text)
    ]
    assert len(found) == len(re.findall(r"^ENDPOINT\(", text, re.MULTILINE)) > 200
    return found


def requests() -> list[Request]:
    """Every row without and with a version in front."""
    return [row.request(version) for row in rows() for version in ("", "/v1.41")]
