"""docs/compatibility.md says what the tests know."""

from __future__ import annotations

import re

from differences import DIFFERENCES, OTHER_DIFFERENCES
from harness import ROOT
from peers import LINUXSERVER, TECNATIVA_NEWEST

TEXT = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8")


def test_every_difference_is_a_row() -> None:
    """Whoever changes the image has to find what will be different."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:both|Tecnativa|linuxserver) \|", TEXT, re.MULTILINE)
    assert sorted(rows) == sorted([*(row.name for row in DIFFERENCES), *OTHER_DIFFERENCES])


def test_every_switch_is_named() -> None:
    """Those of podman with their prefix written once."""
    words = set(re.findall(r"`(?:…)?_?([A-Z_]+)`", TEXT))
    for variable in (*LINUXSERVER.variables, *TECNATIVA_NEWEST.variables):
        short = variable.removeprefix("LIBPOD_").removeprefix("ALLOW_").removeprefix("POD_")
        assert variable in words or short in words or f"ALLOW_{short}" in words, variable
