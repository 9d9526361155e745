"""The files of presets/: complete, in one form, all of them compiled in and written about."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import BINARY, FOLDER, NAMES, OPERATIONS, ROOT, expected, preset

EMBED = ROOT / "tools" / "embed-presets.py"
ENDPOINTS = ROOT / "src" / "docker" / "endpoints.def"
DOCUMENT = ROOT / "tools" / "document-presets.py"


BLOCKS = ["create", "exec", "build", "image", "scope"]


def own_rules(name: str) -> list[str]:
    """The operations that a preset's own rules allow."""
    return [op for rule in preset(name).get("rules", []) for op in rule["allow"]]


def granted(name: str) -> set[str]:
    """With those of what it extends."""
    inherited = [granted(base) for base in preset(name).get("extends", [])]
    return set(own_rules(name)).union(*inherited)


def test_every_required_preset_is_there() -> None:
    """The names that people look for."""
    wanted = """read-only traefik traefik-swarm portainer portainer-read-only watchtower homepage homarr
        dozzle diun uptime-kuma beszel netdata telegraf prometheus datadog cadvisor glances docker-gen
        caddy-docker-proxy ofelia autoheal gitlab-runner act-runner testcontainers lazydocker ctop
        promtail trivy dockge compose arcane dockhand komodo coolify yacht tugtainer nextcloud-aio
        nextcloud-appapi drydock forgejo-runner ai-agent""".split()
    assert sorted(set(wanted) - set(NAMES)) == []


def test_the_build_knows_every_file() -> None:
    """A preset that is not compiled in is not there for anybody with the image."""
    listed = re.findall(r"'([\w-]+)\.yaml'", (FOLDER / "meson.build").read_text())
    assert sorted(listed) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_form(name: str) -> None:
    """One form, so that a reader of one file can read them all."""
    content = preset(name)
    blocks = [block for block in BLOCKS if block in content]
    assert list(content) in (["description", "costs", "rules", *blocks],
                             ["description", "costs", "extends", "rules", *blocks],
                             ["description", "costs", "extends", *blocks])
    assert content["description"].endswith(".") and content["costs"].endswith(".")
    assert all(list(rule) == ["allow"] for rule in content.get("rules", []))


@pytest.mark.parametrize("name", NAMES)
def test_rules_name_single_operations_once(name: str) -> None:
    """A glob would open what a later version of the catalogue adds; a repetition hides a line."""
    operations = own_rules(name)
    assert [op for op in operations if op not in OPERATIONS] == []
    inherited = set().union(*(granted(base) for base in preset(name).get("extends", [])))
    assert len(operations) == len(set(operations))
    assert set(operations) & inherited == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_client_can_negotiate(name: str) -> None:
    """Without HEAD and GET /_ping and /version clients fall back to API versions of years ago."""
    assert {"system.ping", "system.version"} <= granted(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_added_is_not_there_yet(name: str) -> None:
    """The advice in a file must be a rule that works and that changes something."""
    text = (FOLDER / f"{name}.yaml").read_text()
    for advice in re.findall(r"^# .*allow: \[([^\]]+)\]", text, re.MULTILINE):
        operations = advice.split(", ")
        assert [op for op in operations if op not in OPERATIONS] == []
        assert [op for op in operations if op not in granted(name)] != []
    for other in re.findall(r"\buse ([a-z]+(?:-[a-z]+)*)\b", text):
        assert other in NAMES


def block(name: str, of: str) -> dict | str:
    """A block of a preset, or of what it extends; "any" without one."""
    content = preset(name)
    inherited = [found for base in content.get("extends", []) if (found := block(base, of)) != "any"]
    return content.get(of, inherited[0] if inherited else "any")


def is_open(name: str) -> bool:
    """Whether containers can have a part of the host, by a link too."""
    create = block(name, "create")
    return create == "any" or ("bind_sources" in create and create.get("bind_below", True))


@pytest.mark.parametrize("name", NAMES)
def test_root_is_called_root(name: str) -> None:
    """Whoever can create containers or services is root; a preset that hides it is a trap."""
    grants = set(expected(name)["grants"])
    costs = preset(name)["costs"]
    root = is_open(name) and bool(grants & {"container.create", "service.create", "service.update"})
    assert root == costs.startswith("Root on")
    if "exec.create" in grants and not root:
        assert "any command in any container" in costs
    if {"container.inspect", "service.list", "service.inspect"} & grants and "Root" not in costs:
        assert "environment" in costs or "any container" in costs
    if "container.logs" in grants and "Root" not in costs:
        assert "logs" in costs or "any container" in costs


def embed(output: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    """The build's step that makes C of presets."""
    return subprocess.run([EMBED, output, ENDPOINTS, *files], text=True, capture_output=True, check=False)


def test_embedded_text_is_the_file(tmp_path: Path) -> None:
    """file:line in a message is right only when the program has the very text of the file."""
    output = tmp_path / "presets.c"
    one = tmp_path / "zebra.yaml"
    one.write_text('costs: >-\n  "quotes \\ and\ttabs"\n# ??/ trigraphs\n')
    assert embed(output, one, FOLDER / "traefik.yaml").returncode == 0
    text = output.read_text()
    arrays = re.findall(r"text_(\d+)\[(\d+)\] = \{(.*?)\};", text, re.DOTALL)
    decoded = [bytes(map(int, re.findall(r"\d+", body))) for _, _, body in arrays]
    assert decoded == [(FOLDER / "traefik.yaml").read_bytes(), one.read_bytes()]
    assert re.findall(r'"([\w-]+)", "presets/', text) == ["traefik", "zebra"]


@pytest.mark.parametrize("line", [
    "costs: d\u00e9j\u00e0 vu",  # messages quote presets on terminals of every kind
    "  - deny: [container.list]", "  - allow: ['*']", "  - allow: [container.lists]",
    "  - allow: {operations: [container.list]}", "  - allow: [container.list] # why",
    "  - allow: container.list", "mode: observe", "create: {privileged: true}", "redact:",
])
def test_what_the_build_does_not_understand_does_not_build(tmp_path: Path, line: str) -> None:
    """It reads presets by itself: what could mean something else to the program is an error."""
    one = tmp_path / "odd.yaml"
    one.write_text(f"rules:\n{line}\n")
    done = embed(tmp_path / "out.c", one)
    assert done.returncode == 1 and "odd.yaml" in done.stderr


def test_document_is_what_the_presets_say() -> None:
    """docs/presets.md is how people choose; tools/document-presets.py writes its table."""
    done = subprocess.run([DOCUMENT, "--check"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_documents_example_is_a_configuration(tmp_path: Path) -> None:
    """What people copy from docs/presets.md must start, and do what the text beside it says."""
    example = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/presets.md").read_text(), re.DOTALL)
    file = tmp_path / "config.yaml"
    file.write_text(example[1])
    for policy, allowed in (("mine", True), ("telegraf", False)):
        done = subprocess.run([BINARY, "explain", "-c", file, "--policy", policy,
                               "GET /containers/web/logs"], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == allowed, done


def test_every_file_of_the_document_is_a_configuration(tmp_path: Path) -> None:
    """The files and the environments that people paste start, without a warning."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/presets.md").read_text(), re.DOTALL)
    files = [block for block in blocks if "policies:" in block]
    services = [yaml.safe_load(block)["services"] for block in blocks if block.startswith("services:")]
    assert len(files) == 3 and len(services) == 4
    for file in files:
        (tmp_path / "proxy.yaml").write_text(file)
        done = subprocess.run([BINARY, "check", "-c", tmp_path / "proxy.yaml"], text=True, capture_output=True,
                              check=False, env={})
        assert done.returncode == 0 and "warning" not in done.stdout + done.stderr, done
    for service in services:
        done = subprocess.run([BINARY, "check"], text=True, capture_output=True, check=False,
                              env=service["docker-socket-proxy"]["environment"])
        assert done.returncode == 0 and "warning" not in done.stdout + done.stderr, done


def test_the_program_lists_them_and_says_what_they_cost() -> None:
    """Whoever has the image has neither the manual page nor the files."""
    text = subprocess.run([BINARY, "--help"], text=True, capture_output=True, check=True).stdout
    listed = re.search(r"\nPresets.*\n\n((?:      .*\n)+)", text)
    assert listed and listed[1].split() == NAMES
    for name in NAMES:
        checked = subprocess.run([BINARY, "check", "--policy", name], text=True, capture_output=True,
                                 check=True, env={}).stdout
        assert " ".join(preset(name)["costs"].split()) in " ".join(checked.split()), name


@pytest.mark.parametrize("document", ["man/docker-socket-proxy.8", "completion/docker-socket-proxy.bash",
                                      "completion/_docker-socket-proxy",
                                      "completion/docker-socket-proxy.fish"])
def test_every_preset_is_offered(document: str) -> None:
    """A preset that nothing lists is found by nobody."""
    text = (ROOT / document).read_text()
    assert [name for name in ["open", "deny", *NAMES] if not re.search(rf"(?<![\w-]){name}(?![\w-])", text)] == []


def test_the_manual_describes_presets_as_their_files_do() -> None:
    """Two descriptions of one preset leave a reader with the question which of them is true."""
    manual = (ROOT / "man/docker-socket-proxy.8").read_text()
    entries = dict(re.findall(r"^\.It Cm ([a-z-]+)\n((?:[^.\n].*\n)+)", manual, re.MULTILINE))
    for name in NAMES:
        assert entries[name].split() == preset(name)["description"].split(), name


def test_apps_and_presets_are_the_same() -> None:
    """A preset without its app's requests is untested."""
    apps = sorted(path.stem for path in (Path(__file__).parent / "apps").glob("*.yaml"))
    assert apps == NAMES
