#!/usr/bin/env python3
"""Print the settings of an env file as `export` lines for a shell, read as docker compose reads it.

    tools/env_file.py .env

A variable that the environment has already keeps its value, be it empty. Of two lines with one name
the last counts. A line that is no setting is an error: a setting that is dropped may be the one that
restricts.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

SETTING = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(?P<value>.*)", re.DOTALL)
QUOTED = re.compile(r"""(?:'(?P<single>[^']*)'|"(?P<double>[^"\\]*)")(?:\s+\#.*)?""")
COMMENT = re.compile(r"(?:^|\s+)#.*")


def read_value(text: str) -> str | None:
    """The value without its quotes or the comment behind it; None: it cannot be read."""
    quoted = QUOTED.fullmatch(text)
    if quoted:
        return quoted["single"] if quoted["single"] is not None else quoted["double"]
    return None if text[:1] in ("'", '"') else COMMENT.sub("", text)


def read(path: Path) -> dict[str, str]:
    """The settings of the file."""
    settings = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        setting = SETTING.fullmatch(text)
        value = read_value(setting["value"]) if setting else None
        if setting is None or value is None:
            sys.exit(f"{path}:{number}: this is no setting: write NAME=value, or NAME='value'")
        settings[setting["name"]] = value
    return settings


def main() -> None:
    """See the head of this file."""
    for name, value in read(Path(sys.argv[1])).items():
        if name not in os.environ:
            print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
