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


def test_what_a_reload_can_change_is_what_the_options_say() -> None:
    """docs/architecture.md has the column `change` of options.def."""
    options = (ROOT / "src/config/options.def").read_text(encoding="utf-8")
    row = re.compile(r'^OPTION\(\w+, (?:NULL|"[^"]+"), "(\w+)", \w+, (LIVE|START),', re.MULTILINE)
    wanted = {variable: change for variable, change in row.findall(options)}
    assert len(wanted) == len(re.findall(r"^OPTION\(\w+,", options, re.MULTILINE))
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (LIVE|START) \| (.*) \|$", text, re.MULTILINE)
    found = {name: change for change, names in table for name in re.findall(r"`(\w+)`", names)}
    assert found == wanted
