#!/usr/bin/python3
"""Finds in C sources what this project does not use.

    tools/check-source.py FILE...

* functions that cannot be used safely, or not without thought each time: the table below says what
  to use instead;
* static variables inside functions, which make a function depend on who called it before;
* TODO without the number of an issue;
* the cursors of a buffer outside base/buffer.h, whose verbs move them;
* files longer than 800 lines.

memcpy and memmove are for base/ and for sizes that the compiler knows: a length that was computed
belongs into base/, where it is checked once, or into a file that COPIERS names with the reason. A
line that has to break a rule says why in a comment `/* lint: REASON */` on itself.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MAX_LINES = 800
BANNED = {
    **dict.fromkeys(["strcpy", "strcat", "strncpy", "strncat", "stpcpy"],
                    "it trusts a terminator: use a slice or a bounded buffer"),
    **dict.fromkeys(["sprintf", "vsprintf"], "it knows no size: use snprintf"),
    **dict.fromkeys(["atoi", "atol", "atoll", "atof", "sscanf", "strtol", "strtoll", "strtoul",
                     "strtoull", "strtoumax", "strtoimax"],
                    "it takes signs, spaces and overflow in silence: use the parser of base/"),
    **dict.fromkeys(["strtok", "strtok_r"], "it writes into its input: walk a slice"),
    **dict.fromkeys(["gets", "alloca"], "it has no bound"),
    "accept": "it leaves the descriptor open to children and blocking: use accept4",
    **dict.fromkeys(["system", "popen"], "it starts a shell"),
    **dict.fromkeys(["setjmp", "longjmp"], "it skips cleanup"),
}
COPIES = {"memcpy", "memmove"}
# Files below src/ whose copies of computed lengths were read, with what bounds them.
COPIERS = {
    "audit/audit.c": "what write(2) left of the batch moves down within its own buffer",
    "http/chunks.c": "content moves down, in its buffer, over the framing that was removed",
}

# Comments, strings and character constants, in the order in which C reads them.
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
CALL = re.compile(r"(?<![\w.>])(\w+)[ \t]*\(")
STATIC_LOCAL = re.compile(r"^\t+static\s+(?!const\b|inline\b|_Thread_local\b|_Noreturn\b)\w[^;(]*[;=]", re.MULTILINE)
UNOWNED_TODO = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\s*\(?#\d+)")
CURSOR = re.compile(r"\bbuffer->(?:start|ready|raw|end|bytes)\b")
EXCUSE = re.compile(r"/\* lint: \S")
KNOWN_SIZE = re.compile(r"^\s*(?:sizeof\b|\d+\b|[A-Z][A-Z0-9_]*\s*$)")


def blank(text: str) -> str:
    """The text with comments and literals emptied, every line where it was."""
    def empty(match: re.Match[str]) -> str:
        token = match.group(0)
        kept = token[0] + token[-1] if token[0] in "\"'" else " "
        return kept + "\n" * token.count("\n")
    return TOKENS.sub(empty, text)


def last_argument(code: str, opening: int) -> str:
    """The last argument of the call whose parenthesis opens at this offset."""
    depth, start = 0, opening + 1
    for offset in range(opening, len(code)):
        char = code[offset]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return code[start:offset]
        elif char == "," and depth == 1:
            start = offset + 1
    return ""


def calls(path: Path, code: str) -> list[tuple[int, str]]:
    """Offsets and reasons of calls that are not allowed in this file."""
    found = []
    for match in CALL.finditer(code):
        name = match.group(1)
        if name in BANNED:
            found.append((match.start(), f"{name}: {BANNED[name]}"))
        if name in COPIES and path.parent.name != "base" and "/".join(path.parts[-2:]) not in COPIERS:
            if not KNOWN_SIZE.match(last_argument(code, match.end() - 1)):
                found.append((match.start(), f"{name} of a computed length outside base/"))
    return found


def problems(path: Path) -> list[str]:
    """Everything wrong with one file, as file:line: text."""
    text = path.read_text()
    lines = text.splitlines()
    code = blank(text)
    found = calls(path, code)
    # main runs once: what is static there only keeps something large off the stack.
    if path.name != "main.c":
        found += [(m.start(), "a static variable inside a function") for m in STATIC_LOCAL.finditer(code)]
    if path.parent.name != "base":
        found += [(m.start(), "a cursor of a buffer: base/buffer.h has the verbs") for m in CURSOR.finditer(code)]
    report = []
    for offset, reason in found:
        line = code.count("\n", 0, offset) + 1
        if not EXCUSE.search(lines[line - 1]):
            report.append(f"{path}:{line}: {reason}")
    for number, line_text in enumerate(lines, 1):
        if UNOWNED_TODO.search(line_text):
            report.append(f"{path}:{number}: a TODO names the number of its issue: TODO (#12)")
    if len(lines) > MAX_LINES:
        report.append(f"{path}:{MAX_LINES}: {len(lines)} lines; a file ends at {MAX_LINES}")
    return report


def main() -> int:
    found = [problem for name in sys.argv[1:] for problem in problems(Path(name))]
    if found:
        print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
