#!/usr/bin/python3
"""Writes the tables of docs/looking-inside.md from the tables of src/inspect/.

    tools/document-keys.py           writes them
    tools/document-keys.py --check   exits 1 when they are not what the sources say

One table for each block of a policy. The row of a key: its default, what it accepts, and what it decides about: fields
of bodies (JSON pointers, where a star stands for a name or a number), parameters of queries, operations. A field
is opened by the key in its row of fields.def, and by those that its check asks for.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from written_tables import ROOT, write

INSPECT = ROOT / "src" / "inspect"
HEAD = "| key | default | accepts | decides about |\n|---|---|---|---|\n"

# What a key of each kind accepts; {} is its example.
ACCEPTS = {
    "WORDS": "`any`, `none`, [words](#words): `{}`",
    "NETWORKS": "`any`, `none`, [words](#words): `{}`",
    "SUBNETS": "`any`, `none`, subnets, each with its parts: `{}`",
    "IMAGES": "`any`, `none`, [images](#images): `{}`",
    "PATHS": "`any`, `none`, [paths](#paths): `{}`",
    "CAPABILITIES": "`any`, `none`, names of capabilities: `{}`",
    "COMMANDS": "`any`, `none`, [commands](#commands): `{}`",
    "REQUIRE": "[limits](#limits): `{}`",
    "SOCKET": "[the address of a listener](#the-engines-socket): `{}`",
}


class Key(NamedTuple):
    block: str
    name: str
    kind: str
    choices: str
    standard: str
    guarded: str


class Field(NamedTuple):
    name: str
    shape: str
    type: str
    check: str
    key: str
    fine: str


class Operation(NamedTuple):
    name: str
    block: str
    object: str
    check: str
    query: str


def rows(file: str, macro: str) -> list[tuple[str, ...]]:
    """The arguments of each line of a table that is a call of `macro`, without their quotes."""
    lines = re.findall(rf"^{macro}\((.*)\)$", (INSPECT / file).read_text(), re.MULTILINE)
    return [tuple(quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^\s,"]+)(?:,|$)', line)) for line in lines]


def objects() -> dict[str, list[Field]]:
    """The fields of each object."""
    found: dict[str, list[Field]] = {}
    for part in re.split(r"^OBJECT\(", (INSPECT / "fields.def").read_text(), flags=re.MULTILINE)[1:]:
        name = part.partition(")")[0]
        lines = re.findall(r"^FIELD\((\w+), \"(.*)\", (\w+), (\w+), (\w+), \"(.*)\"\)$", part, re.MULTILINE)
        found[name] = [Field(*line) for line in lines]
        if len(lines) != part.count("\nFIELD("):
            sys.exit(f"{INSPECT.name}/fields.def: a row of {name} has another form than the others")
    return found


def asked_keys() -> dict[str, set[str]]:
    """For each check, the keys that its function names, and those of the functions it calls."""
    text = "".join(file.read_text() for file in sorted(INSPECT.glob("*.[ch]")))
    keys_of = {name: {key} for name, key in re.findall(r"^static const struct row (\w+) = \{\.key = KEY_(\w+)", text, re.MULTILINE)}
    bodies = {f"check_{name}": body for name, body in re.findall(r"^CHECK\((\w+)\)\n\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)}
    bodies |= dict(re.findall(r"^static \w[^;{]*?\b(\w+)\([^;{]*\)\n\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))

    def closure(name: str, seen: set[str]) -> set[str]:
        found: set[str] = set()
        for word in re.findall(r"\w+", bodies[name]):
            if word.startswith("KEY_"):
                found.add(word.removeprefix("KEY_"))
            elif word in keys_of:
                found |= keys_of[word]
            elif word in bodies and word not in seen:
                seen.add(word)
                found |= closure(word, seen)
        return found

    return {name.removeprefix("check_"): closure(name, {name}) for name in bodies if name.startswith("check_")}


class Tables:
    """All tables, and what each key opens."""

    def __init__(self) -> None:
        self.keys = [Key(*row[:6]) for row in rows("keys.def", "KEY")]
        self.operations = [Operation(*row) for row in rows("operations.def", "OPERATION")]
        self.objects = objects()
        self.asked = asked_keys()
        self.inner = {field.type for fields in self.objects.values() for field in fields}
        self.opened: dict[str, list[tuple[str, str]]] = {f"{key.block}_{key.name}": [] for key in self.keys}
        for operation in self.operations:
            self.walk_operation(operation)

    def walk_operation(self, operation: Operation) -> None:
        """Note what the keys open in one operation."""
        self.note(operation.name, "", Field("", "", "", operation.check, "ANYTHING", ""))
        for name, *row in rows("query.def", "PARAMETER"):
            if name == operation.name:
                parameter = Field(row[0], *row[2:])
                self.walk_field(operation.name, "?" + parameter.name, parameter)
        if operation.object not in self.inner:
            self.walk_object(operation.name, "", operation.object)

    def walk_object(self, operation: str, pointer: str, name: str) -> None:
        for field in self.objects.get(name, []):
            self.walk_field(operation, f"{pointer}/{field.name}", field)

    def walk_field(self, operation: str, pointer: str, field: Field) -> None:
        pointer += "/*" * len(field.shape)
        self.note(operation, pointer, field)
        self.walk_object(operation, pointer, field.type)

    def note(self, operation: str, pointer: str, field: Field) -> None:
        """Of keys that the check asks for, those of the field itself come first."""
        for key in {field.key, *self.asked.get(field.check, ())} - {"ANYTHING"}:
            fine = [word for word in field.fine.split() if key == field.key and not word.endswith(("=", ":"))]
            words = ", ".join(f"`{word}`" for word in fine)
            text = f"`{pointer}`" + (f" but {words}" if words else "") if pointer else ""
            self.opened[key].append((operation, text))

    def opens(self, key: Key) -> str:
        """The cell: each operation once, with its fields."""
        if key.name == "unknown":
            return "fields and parameters that this version does not know"
        parts: dict[str, list[str]] = {}
        for operation, text in self.opened[f"{key.block}_{key.name}"]:
            parts.setdefault(operation, []).append(text)
        if not parts:
            sys.exit(f"{INSPECT.name}/keys.def: the key {key.name} of {key.block} opens nothing")
        alike: dict[tuple[str, ...], list[str]] = {}
        for operation, texts in parts.items():
            alike.setdefault(tuple(texts), []).append(operation)
        return "<br>".join(
            ", ".join(operations) + (f": {', '.join(text or 'the request as a whole' for text in texts)}" if any(texts) else "")
            for texts, operations in alike.items()
        )


def listed(words: str) -> str:
    """The default of a key that takes a list: as it is written in YAML."""
    if words in ("any", "none"):
        return f"`{words}`"
    return "`[" + ", ".join(f"'{word}'" if "*" in word else word for word in words.split()) + "]`"


def default(key: Key) -> str:
    if key.kind in ("REQUIRE", "SOCKET"):
        return "nothing"
    if key.kind == "CHOICE":
        return f"`{key.standard}`"
    guarded = ", ".join(f"`{word}{'*' if word[-1] in ':.' else ''}`" for word in key.guarded.split())
    return listed(key.standard) + (f"; {guarded} only by name" if guarded else "")


def accepts(key: Key) -> str:
    if key.kind == "CHOICE":
        return ", ".join(f"`{word}`" for word in key.choices.split())
    return ACCEPTS[key.kind].format(key.choices)


def list_operations(tables: Tables, block: str) -> str:
    """What becomes of the operations of a block."""
    own = [o for o in tables.operations if o.block == block]
    refused = [o for o in own if o.object == "NOTHING"]
    covered = [o for o in own if o.object == "UNREAD" and o.check == "FREE" and o.query == "ANY"]
    judged = [o for o in own if o not in refused and o not in covered]
    text = f"* Looks into {names(judged)}."
    text += "".join(f" `{o.name}` has the fields of `{field}` at its top level." for o in judged for field in inner_fields(tables, o))
    text += f"\n* Covers {names(covered)}: what it acts on was judged before.\n" if covered else "\n"
    return text + (f"* Refuses {names(refused)}: this version cannot look into their bodies.\n" if refused else "")


def names(operations: list[Operation]) -> str:
    return ", ".join(f"`{operation.name}`" for operation in operations)


def inner_fields(tables: Tables, operation: Operation) -> list[str]:
    """Where the object of an operation stands in another one: its fields are not listed twice."""
    return [f"/{field.name}" for fields in tables.objects.values() for field in fields
            if field.type == operation.object and field.type in tables.objects]


def text_of(tables: Tables) -> str:
    """All blocks."""
    text = ""
    for block in dict.fromkeys(key.block for key in tables.keys):
        text += f"\n### `{block.lower()}:`\n\n{list_operations(tables, block)}\n{HEAD}"
        for key in tables.keys:
            if key.block == block:
                text += f"| `{key.name}` | {default(key)} | {accepts(key)} | {tables.opens(key)} |\n"
    return text + "\n"


if __name__ == "__main__":
    sys.exit(write("looking-inside.md", "src/inspect/", text_of(Tables())))
