#!/usr/bin/python3
"""Writes the dashboard as a C file, admin/dashboard.h's, so that the program carries it.

    tools/embed-dashboard.py OUTPUT.c page.html style.css script.js

Style and script stand in the page, so that one request without a key loads all of it. Indentation and lines that are
comments are left out. Beside the page stands its Content-Security-Policy: the browser runs what has these two
hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from pathlib import Path

BYTES_PER_LINE = 24
PARTS = {"style": "@style.css@", "script": "@script.js@"}
COMMENT = re.compile(r"//.*|/\*.*\*/")

# What is not named is not loaded. The icon is a data: URL of the page.
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEAD = """\
/* Written by tools/embed-dashboard.py from admin/dashboard/. */
#include "admin/dashboard.h"
"""


def shrink(text: str) -> str:
    """Without indentation, empty lines and lines that are comments. No line may be within a string."""
    lines = [line.strip() for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines if line and not COMMENT.fullmatch(line))


def source(text: str) -> str:
    """How a policy names a style or script that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def assemble(page: str, parts: dict[str, str]) -> tuple[str, str]:
    """The page, and its policy."""
    page = shrink(page)
    parts = {name: shrink(text) for name, text in parts.items()}
    for name, mark in PARTS.items():
        if page.count(mark) != 1 or f"</{name}" in parts[name]:
            raise SystemExit(f"embed-dashboard: page.html needs one {mark}, and the part may not end its element")
        page = page.replace(mark, parts[name])
    return page, POLICY.format(**{name: source(text) for name, text in parts.items()})


def c_file(page: str, policy: str) -> str:
    data = page.encode()
    rows = [data[i:i + BYTES_PER_LINE] for i in range(0, len(data), BYTES_PER_LINE)]
    body = "\n".join("\t" + ", ".join(f"(char){byte}" if byte > 127 else str(byte) for byte in row) + "," for row in rows)
    return (f"{HEAD}\nconst char dashboard_page[] = {{\n{body}\n}};\n"
            f"const size_t dashboard_page_len = sizeof(dashboard_page);\n"
            f'const char dashboard_policy[] = "{policy}";\n')


def main() -> int:
    output, page, style, script = sys.argv[1:]
    parts = {"style": Path(style).read_text(), "script": Path(script).read_text()}
    Path(output).write_text(c_file(*assemble(Path(page).read_text(), parts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
