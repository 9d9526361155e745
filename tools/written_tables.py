"""Tables of a document that are written from what they describe: between a line that names the script, and `<!-- end -->`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
END = "<!-- end -->\n"


def write(name: str, sources: str, text: str) -> int:
    """Write the text into docs/NAME, or with --check say whether it stands there. The exit code of the script."""
    script = f"tools/{Path(sys.argv[0]).name}"
    document = ROOT / "docs" / name
    begin = f"<!-- written by {script} -->\n"
    former = document.read_text()
    before, found, rest = former.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        sys.exit(f"docs/{name} has no place for the tables")
    wanted = before + begin + text + END + after
    if sys.argv[1:] == ["--check"]:
        if former != wanted:
            print(f"docs/{name} is not what {sources} says: run {script}", file=sys.stderr)
        return int(former != wanted)
    document.write_text(wanted)
    return 0
