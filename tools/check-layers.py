#!/usr/bin/python3
"""Proves that the folders under src/ depend on each other only in the directions allowed here.

    tools/check-layers.py [SRC]

A file may include, from its own folder, anything; from a folder that its own folder links according
to src/meson.build, the public header <folder>/<folder>.h alone, unless PUBLIC names others; and
system headers. main.c at the top of src/ puts everything together. Nothing includes a .c file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# The table of folders, each with what it links: ['http', files(…), ['base']],
BUILD = Path(__file__).parent.parent / "src" / "meson.build"
ROW = re.compile(r"^  \['(\w+)',.*?\[([^\[\]]*)\]\],$", re.MULTILINE | re.DOTALL)


def read_table() -> dict[str, set[str]]:
    """folder: the folders that it may use. What is not here does not exist."""
    rows = {folder: set(re.findall(r"'(\w+)'", uses)) for folder, uses in ROW.findall(BUILD.read_text())}
    return {folder: uses & rows.keys() for folder, uses in rows.items()}


ALLOWED = read_table()
# Folders that are a set of small headers rather than one noun.
PUBLIC = {
    "docker": {"docker.h", "image.h", "sections.def"},
    "address": {"address.h", "network.h"},
    "audit": {"audit.h", "denials.h", "recent.h", "record.h"},
    "engines": {"engines.h", "read.h"},
    "health": {"health.h", "secure.h", "target.h"},
    "identity": {"attempts.h", "certificate.h", "clients.h", "container.h", "identity.h", "key.h"},
    "limits": {"accounts.h", "limits.h"},
    "metrics": {"meter.h", "metrics.h"},
    "net": {"listener.h", "loop.h", "stream.h", "tls.h"},
    "policy": {"load.h", "policy.h", "presets.h"},
    "session": {"session.h", "snapshot.h"},
    "switches": {"bind.h", "switches.h"},
    "systemd": {"notify.h", "passed.h"},
    "upstream": {"diagnosis.h", "resolve.h", "upstream.h"},
    "yaml": {"write.h", "yaml.h"},
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def owner(path: Path, src: Path) -> str:
    """The folder a file belongs to; empty for a file at the top of src/."""
    parts = path.relative_to(src).parts
    return parts[0] if len(parts) > 1 else ""


def is_public(name: str) -> bool:
    """Whether other folders may include this header, written as folder/file.h."""
    folder, _, file = name.partition("/")
    if folder == "base":
        return file.endswith(".h")
    return file in PUBLIC.get(folder, {f"{folder}.h"})


def judge(path: Path, name: str, src: Path) -> str | None:
    """What is wrong with one #include "name" in a file; None when nothing is."""
    here = owner(path, src)
    if name.endswith(".c"):
        return "includes a .c file"
    if "/" not in name:
        # A neighbour, or a header that the build writes.
        return None
    target = name.split("/")[0]
    if target == here:
        return None
    if target == ".." or not (src / name).is_file():
        return f"{name} is no file below {src}: write it as folder/file.h"
    if target not in (ALLOWED[here] if here else ALLOWED):
        return f"{here}/ may use {', '.join(sorted(ALLOWED[here])) or 'nothing'}, not {target}/"
    if not is_public(name):
        return f"{name} is private to {target}/"
    return None


def problems(src: Path) -> list[str]:
    """Every include that breaks a rule, as file:line: text."""
    found = []
    for path in sorted([*src.rglob("*.c"), *src.rglob("*.h"), *src.rglob("*.def")]):
        here = owner(path, src)
        if here and here not in ALLOWED:
            found.append(f"{path}:1: {here}/ has no place in the table of src/meson.build")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            reason = judge(path, match.group(1), src)
            if reason:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path}:{line}: {reason}")
    return found


def main() -> int:
    src = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "src")
    found = problems(src)
    print("\n".join(found) or f"check-layers: {src}: dependencies point one way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
