#!/usr/bin/python3
"""Writes the presets as a C table, policy/presets.h's, so that the program carries them.

    tools/embed-presets.py OUTPUT.c PRESET.yaml...

The texts are embedded as they are: a message that names a preset's line is right about the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

BYTES_PER_LINE = 24

HEAD = """\
/* Written by tools/embed-presets.py from presets/. */
#include "policy/presets.h"
"""


def text_array(number: int, text: bytes) -> str:
    """The array that holds one text; a string literal may not be long enough for it."""
    lines = [text[i:i + BYTES_PER_LINE] for i in range(0, len(text), BYTES_PER_LINE)]
    body = "\n".join("\t" + ", ".join(str(byte) for byte in line) + "," for line in lines)
    return f"\nstatic const char text_{number}[{len(text)}] = {{\n{body}\n}};\n"


def table_row(number: int, path: Path) -> str:
    """The entry of one preset."""
    return (f'\t{{"{path.stem}", "presets/{path.name}", '
            f"{{text_{number}, sizeof(text_{number})}}}},\n")


def table(paths: list[Path]) -> str:
    """The whole C file."""
    texts = [text_array(i, path.read_bytes()) for i, path in enumerate(paths)]
    rows = [table_row(i, path) for i, path in enumerate(paths)]
    return (f"{HEAD}{''.join(texts)}\nconst struct policy_preset policy_presets[] = {{\n"
            f"{''.join(rows)}}};\nconst unsigned policy_preset_count = {len(paths)};\n")


def main() -> int:
    output, *names = sys.argv[1:]
    paths = sorted((Path(name) for name in names), key=lambda path: path.stem)
    not_ascii = [path for path in paths if not path.read_bytes().isascii()]
    if not_ascii:
        print(f"embed-presets: {not_ascii[0]}: not ASCII; messages show it to any terminal",
              file=sys.stderr)
        return 1
    Path(output).write_text(table(paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
