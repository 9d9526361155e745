#!/usr/bin/python3
"""Writes the tables of docs/redaction.md from the tables of src/redact/.

    tools/document-redaction.py           writes them
    tools/document-redaction.py --check   exits 1 when they are not what the sources say
"""

from __future__ import annotations

import re
import sys

from written_tables import ROOT, write

REDACT = ROOT / "src" / "redact"
# What stays of a value, by its shape.
SHOWN = {
    "STRINGS": "",
    "VALUES": " (names stay)",
    "LABELED": " (names that fit)",
    "MAP": " (an object)",
    "PROCESSES": " (the command)",
    "ACTION": " (behind the colon)",
}


def places(kind: str) -> str:
    found = []
    for line in re.findall(r"^ROW\((.*)\)$", (REDACT / "rows.def").read_text(), re.MULTILINE):
        match = re.fullmatch(r'"(.*)", ([A-Z |]+), ([A-Z]+), "(.*)"', line)
        if match is None:
            sys.exit(f"rows.def: a row has another form than the others: {line}")
        path, kinds, shape, operations = match.groups()
        always = kind == "LABELS" and shape == "LABELED"
        if kind in kinds.split(" | ") or always:
            where = f" of `{operations.replace(' ', '`, `')}`" if operations else ""
            found.append(f"`{path}`{SHOWN[shape]}{where}")
    return ", ".join(found)


def operations(answer: str) -> str:
    lines = re.findall(rf'^OPERATIONS\("(.*)", {answer}\)$', (REDACT / "operations.def").read_text(), re.MULTILINE)
    return ", ".join(f"`{glob}`" for line in lines for glob in line.split())


def errors() -> str:
    lines = re.findall(r'^ERRORS\("(.*)", (\d+)\)$', (REDACT / "operations.def").read_text(), re.MULTILINE)
    return "; then ".join(f"from {status} on of `{globs.replace(' ', '`, `')}`" for globs, status in lines)


def text_of() -> str:
    text = "\n| word | hides | where |\n|---|---|---|\n"
    for name, word, what in re.findall(r'^KIND\((\w+), "(.*)", "(.*)"\)$', (REDACT / "kinds.def").read_text(), re.MULTILINE):
        text += f"| `{word}{':PATTERN' if name == 'LABELS' else ''}` | {what} | {places(name)} |\n"
    text += f"\n* Responses that are bytes and cannot be redacted: {operations('BYTES')}.\n"
    text += f"* Responses that hold nothing to hide, and are relayed as they are: {operations('PLAIN')}, and all of operations"
    text += f" that change something, but for {operations('DOCUMENT')}.\n"
    text += f"* Errors whose message is hidden: {errors()}.\n\n"
    return text


if __name__ == "__main__":
    sys.exit(write("redaction.md", "src/redact/", text_of()))
