#!/usr/bin/python3
"""Writes the table of docs/presets.md from the files of presets/.

    tools/document-presets.py           writes it
    tools/document-presets.py --check   exits 1 when it is not what the files say

The row of a preset: its name, its app, the operations that it allows, what somebody can do who takes over
the app (`costs`), and what can be added, which is the comment at the end of the file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from written_tables import ROOT, write

HEAD = "| preset | app | allows | who takes over the app | can be added |\n|---|---|---|---|---|\n"


def read(name: str) -> dict:
    """One preset."""
    return yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text())


def grants(content: dict) -> str:
    """The operations of a preset's own rules by noun, without those that every preset allows."""
    nouns: dict[str, list[str]] = {}
    for rule in content.get("rules", []):
        for operation in rule["allow"]:
            if operation not in ("system.ping", "system.version"):
                noun, verb = operation.split(".")
                nouns.setdefault(noun, []).append(verb)
    parts = [f"all of `{base}`" for base in content.get("extends", [])]
    parts += [f"{noun}: {' '.join(verbs)}" for noun, verbs in nouns.items()]
    return "; ".join(parts)


def additions(name: str) -> str:
    """The comment at the end of the file, one remark a line."""
    text = (ROOT / "presets" / f"{name}.yaml").read_text()
    tail = re.search(r"\n\n((?:# .*\n)+)\Z", text)
    remarks = re.findall(r"# (.*)\n", tail[1]) if tail else []
    return "<br>".join(re.sub(r"(allow: \[[^\]]+\])", r"`\1`", remark) for remark in remarks)


def row(path: Path) -> str:
    """The row of one preset."""
    content = read(path.stem)
    cells = [f"[{path.stem}](../presets/{path.name})", content["description"], grants(content),
             content["costs"], additions(path.stem)]
    return "| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |\n"


def table() -> str:
    """The whole table."""
    return HEAD + "".join(map(row, sorted((ROOT / "presets").glob("*.yaml"), key=lambda p: p.stem)))


if __name__ == "__main__":
    sys.exit(write("presets.md", "presets/", table()))
