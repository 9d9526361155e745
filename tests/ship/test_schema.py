"""The verb `schema`: what an editor says of a file is what the program says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from conftest import BINARY, ROOT, run

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


class Loader(yaml.SafeLoader):
    """As editors read YAML 1.2: a time is a text."""


Loader.yaml_implicit_resolvers = {
    first: [row for row in rows if row[0] != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(scope="module", name="schema")
def printed_schema() -> Draft7Validator:
    schema = json.loads(run(BINARY, "schema").stdout)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def faults(schema: Draft7Validator, text: str) -> list[str]:
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in schema.iter_errors(yaml.load(text, Loader))]


def configurations(document: Path, schema: Draft7Validator) -> list[str]:
    """The blocks of YAML that are files of --config, or parts of one."""
    known = set(schema.schema["definitions"]["configuration"]["properties"])
    blocks = re.findall(r"^```yaml\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks
            if isinstance(root := yaml.load(block, Loader), dict) and set(root) <= known and root != {}]


def test_every_configuration_of_the_documents_fits(schema: Draft7Validator) -> None:
    blocks = [block for document in DOCUMENTS for block in configurations(document, schema)]
    assert len(blocks) > 15
    assert [(block, said) for block in blocks if (said := faults(schema, block))] == []


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_fits(schema: Draft7Validator, path: Path) -> None:
    policy = yaml.load(path.read_text(), Loader)
    assert faults(schema, yaml.safe_dump({"policies": {"some": policy}})) == []


LISTENER = "{address: 'tcp://127.0.0.1:1'}"
CLIENT = "{name: a, match: {cidr: 192.0.2.1}, policy: deny}"
GOOD = [
    f"listeners: [{LISTENER}]",
    "upstream: unix:///run/docker.sock",
    "upstream: {address: 'tcp://127.0.0.1:2375'}",
    "policies: {a: {rules: []}}",
    "policies: {a: {extends: read-only, create: any, exec: {privileged: true, user: ['1000']}}}",
    "policies: {a: {rules: [{allow: container.list}, {deny: {methods: [POST], path: /a}}]}}",
    "policies: {a: {create: {require: {memory: 2g, ulimits: {nofile: 1024}}, restart: 'no'}}}",
    "limits: {rate: 5/s, body: none, total: {builds: 4}}",
    f"clients: [{CLIENT}]",
    "clients: [{name: a, match: {uid: 0, gid: [1, 2]}, policy: deny, until: 2027-01-31T18:00:00Z, limits: {streams: 2}}]",
]
BAD = [
    "listener: []",
    f"listeners: {LISTENER}",
    "listeners: [{policy: deny}]",
    "listeners: [{address: 'tcp://127.0.0.1:1', browsers: perhaps}]",
    "listeners: [{address: 'tls://127.0.0.1:1', tls: {certs: [{cert: a.pem}]}}]",
    "listeners: [{address: 'tls://127.0.0.1:1', tls: {cert: a, key: b, client_ca: c, client_cert: wanted}}]",
    "upstream: {adress: 'tcp://127.0.0.1:2375'}",
    "policies: [a]",
    "policies: {a: {mode: perhaps}}",
    "policies: {a: {rules: {allow: [container.list]}}}",
    "policies: {a: {rules: [{permit: [container.list]}]}}",
    "policies: {a: {rules: [{allow: {operation: container.list}}]}}",
    "policies: {a: {create: {priviledged: true}}}",
    "policies: {a: {create: {privileged: perhaps}}}",
    "policies: {a: {exec: {bind_sources: [/srv]}}}",
    "policies: {a: {create: {require: {memory: 2g, swap: 1g}}}}",
    "policies: {a: {create: some}}",
    "policies: {a: {scope: {owner: false}}}",
    "policies: {a: {scope: {label: {a: b}}}}",
    "limits: {rates: 5/s}",
    "limits: {total: {total: {builds: 4}}}",
    "clients: [{name: a, policy: deny}]",
    "clients: [{name: a, match: {address: 192.0.2.1}, policy: deny}]",
    "clients: [{name: a, match: {cert: {name: a}}, policy: deny}]",
    "clients: [{name: a, match: {label: a}, policy: deny}]",
    "clients: [{name: a, match: {cidr: 192.0.2.1}, policy: deny, limits: {total: {builds: 4}}}]",
    "label_prefix: [a]",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_the_program_takes_fits(schema: Draft7Validator, tmp_path: Path, text: str) -> None:
    (tmp_path / "proxy.yaml").write_text(text + "\n")
    result = run(BINARY, "check", "-c", tmp_path / "proxy.yaml")
    assert (result.returncode, result.stderr if result.returncode else "") == (0, "")
    assert faults(schema, text) == []


@pytest.mark.parametrize("text", BAD)
def test_what_the_program_refuses_for_its_shape_does_not_fit(schema: Draft7Validator, tmp_path: Path, text: str) -> None:
    (tmp_path / "proxy.yaml").write_text(text + "\n")
    assert run(BINARY, "check", "-c", tmp_path / "proxy.yaml").returncode == 2
    assert faults(schema, text) != []


def test_every_value_is_described(schema: Draft7Validator) -> None:
    """Editors show it where the cursor is."""
    def described(value: dict) -> bool:
        return "$ref" in value or "description" in value or all(map(described, value.get("anyOf", [{}])))

    bare = [f"{name}.{key}" for name, definition in schema.schema["definitions"].items()
            for key, value in definition["properties"].items() if not described(value)]
    assert bare == []


def test_schema_takes_nothing(tmp_path: Path) -> None:
    for words in (["schema", "more"], ["schema", "--policy", "open"]):
        result = run(BINARY, *words)
        assert result.returncode == 2
        assert "schema" in result.stderr or "more" in result.stderr
