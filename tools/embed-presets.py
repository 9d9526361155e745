#!/usr/bin/python3
"""Writes the presets as a C table, policy/presets.h's, so that the program carries them.

    tools/embed-presets.py OUTPUT.c ENDPOINTS.def PRESET.yaml...

The texts are embedded as they are: a message that names a preset's line is right about the file. Beside each
text stands what the preset allows, a bit for each row of ENDPOINTS.def, so that presets can be compared
without reading them. A preset is a list of operations and of presets that it extends, blocks and a scope, which
only take away; whatever else is in one stops the build. A unit test holds the bits against what the program makes of the text.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BYTES_PER_LINE = 24
BITS = 64  # of a word

HEAD = """\
/* Written by tools/embed-presets.py from presets/ and docker/endpoints.def. */
#include "policy/presets.h"
"""

PROSE = re.compile(r"#.*|(description|costs): >-|  +\S.*|rules:|(create|exec|build|image):( \{\}| any)?|scope: .+|")
LIST = re.compile(r"(extends|  - allow): \[([^\]]*)\]")


class Refused(Exception):
    """A preset that cannot be embedded."""


def read(path: Path) -> dict[str, list[str]]:
    """What a preset allows by itself, and what it extends."""
    lists: dict[str, list[str]] = {"extends": [], "  - allow": []}
    text = path.read_bytes()
    if not text.isascii():
        raise Refused(f"{path.name}: not ASCII; messages show it to any terminal")
    for number, line in enumerate(text.decode().split("\n"), 1):
        found = LIST.fullmatch(line)
        if found:
            lists[found[1]] += found[2].split(", ")
        elif not PROSE.fullmatch(line) or line.startswith("  - "):
            raise Refused(f"{path.name}:{number}: neither a list of operations nor prose: {line}")
    return lists


def operations(name: str, presets: dict[str, dict[str, list[str]]]) -> set[str]:
    """What a preset allows, with what it extends."""
    inherited = [operations(base, presets) for base in presets[name]["extends"]]
    return set(presets[name]["  - allow"]).union(*inherited)


def words(name: str, allowed: set[str], rows: list[str]) -> str:
    """A bit for each row, in words of C."""
    unknown = allowed - set(rows)
    if unknown:
        raise Refused(f"{name}.yaml: no operation is called {min(unknown)}")
    bits = sum(1 << number for number, row in enumerate(rows) if row in allowed)
    count = -(-len(rows) // BITS)
    return ", ".join(f"UINT64_C({bits >> BITS * i & (1 << BITS) - 1:#x})" for i in range(count))


def text_array(number: int, text: bytes) -> str:
    """The array that holds one text; a string literal may not be long enough for it."""
    lines = [text[i:i + BYTES_PER_LINE] for i in range(0, len(text), BYTES_PER_LINE)]
    body = "\n".join("\t" + ", ".join(str(byte) for byte in line) + "," for line in lines)
    return f"\nstatic const char text_{number}[{len(text)}] = {{\n{body}\n}};\n"


def table_row(number: int, path: Path) -> str:
    """The entry of one preset."""
    return (f'\t{{"{path.stem}", "presets/{path.name}", '
            f"{{text_{number}, sizeof(text_{number})}}, allows_{number}}},\n")


def table(paths: list[Path], rows: list[str]) -> str:
    """The whole C file."""
    presets = {path.stem: read(path) for path in paths}
    arrays = [text_array(i, path.read_bytes()) +
              f"static const uint64_t allows_{i}[] = {{\n"
              f"\t{words(path.stem, operations(path.stem, presets), rows)},\n}};\n"
              for i, path in enumerate(paths)]
    entries = [table_row(i, path) for i, path in enumerate(paths)]
    return (f"{HEAD}{''.join(arrays)}\nconst struct policy_preset policy_presets[] = {{\n"
            f"{''.join(entries)}}};\nconst unsigned policy_preset_count = {len(paths)};\n")


def main() -> int:
    output, endpoints, *names = sys.argv[1:]
    rows = re.findall(r'^ENDPOINT\("([^"]+)"', Path(endpoints).read_text(), re.MULTILINE)
    paths = sorted((Path(name) for name in names), key=lambda path: path.stem)
    try:
        Path(output).write_text(table(paths, rows))
    except Refused as problem:
        print(f"embed-presets: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
