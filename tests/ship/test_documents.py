"""What is written agrees with what there is: options, variables, links, workflows."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from conftest import BINARY, ROOT, TOOLS, run

DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
COMPLETIONS = sorted((ROOT / "completion").iterdir())


@pytest.fixture(scope="module", name="help_text")
def help_output() -> str:
    """What the program itself says."""
    return run(BINARY, "--help").stdout


def variables_in(text: str) -> set[str]:
    """The variables that --help names."""
    beside_an_option = re.findall(r"\[environment: ([A-Z0-9_]+)", text)
    alone = re.findall(r"^  ([A-Z0-9_]+)=.*\[environment only", text, re.MULTILINE)
    assert beside_an_option and alone
    return {*beside_an_option, *alone}


def switches_in(text: str) -> set[str]:
    """The section switches that --help names."""
    lines = re.findall(r"^      ((?:[A-Z_]+ ?)+)$", text.partition("\nSection switches")[2], re.MULTILINE)
    assert lines
    return set(" ".join(lines).split())


def sample_variables() -> set[str]:
    """The variables of .env.sample that the program reads, so not those of docker-compose.yml."""
    text = (ROOT / ".env.sample").read_text()
    return set(re.findall(r"^#?([A-Z0-9_]+)=", text, re.MULTILINE)) - {"DOCKER_GID", "IMAGE", "TAG"}


def test_sample_names_what_compose_replaces() -> None:
    """A ${VARIABLE} of docker-compose.yml that .env.sample leaves out is found by nobody."""
    text = (ROOT / "docker-compose.yml").read_text()
    sample = re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.sample").read_text(), re.MULTILINE)
    replaced = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert {"IMAGE", "TAG", "DOCKER_GID"} <= replaced <= set(sample)


def test_sample_names_every_variable(help_text: str) -> None:
    """A setting that .env.sample leaves out is lost on `make run` through sudo, and on readers."""
    assert sample_variables() == variables_in(help_text)


@pytest.mark.parametrize("document", ["README.md", "man/docker-socket-proxy.8"])
def test_every_variable_is_explained(document: str) -> None:
    """A setting nobody can look up is guessed at."""
    text = (ROOT / document).read_text()
    assert [name for name in sorted(sample_variables()) if not re.search(rf"\b{name}\b", text)] == []


def test_what_the_log_shows_of_queries_is_documented() -> None:
    """Whoever keeps logs must know what of a request is in them."""
    rows = re.findall(
        r'^ENDPOINT\("([a-z._]+)"(.*)\)$', (ROOT / "src/docker/endpoints.def").read_text(), re.MULTILINE
    )
    shown = {
        (operation, field, key)
        for operation, rest in rows
        for field, key in re.findall(r'\.(name|image|tag) = "(\w+)"', rest)
    }
    text = (ROOT / "docs/configuration.md").read_text().partition("\n## The log\n")[2]
    documented = set()
    for operations, names, images in re.findall(r"^\| (`[a-z._`, ]+`) \| (.*?) ?\| (.*?) ?\|$", text, re.MULTILINE):
        for operation in re.findall(r"`([a-z._]+\.[a-z_]+)`", operations):
            documented |= {(operation, "name", key) for key in re.findall(r"`(\w+)`", names)}
            for key in re.findall(r"`(\w+)`", images):
                documented.add((operation, "tag" if key == "tag" else "image", key))
    assert len(shown) > 20
    assert documented == shown


def options_in(text: str) -> set[str]:
    """The long options that --help lists, without their dashes."""
    return set(re.findall(r"^  (?:-\w, )?--([a-z-]+)", text, re.MULTILINE))


def test_every_option_is_in_the_manual(help_text: str) -> None:
    """The manual and --help must not tell different stories."""
    manual = (ROOT / "man/docker-socket-proxy.8").read_text()
    documented = set(re.findall(r"^\.It Fl (?:\w , )?-([a-z-]+)", manual, re.MULTILINE))
    assert documented == options_in(help_text)


def test_what_a_reload_can_change_is_documented() -> None:
    """Whoever changes a setting must know whether it needs another start."""
    rows = re.findall(r'^OPTION\(\w+, \S+, "(\w+)", \w+, (\w+),', (ROOT / "src/config/options.def").read_text(), re.MULTILINE)
    document = (ROOT / "docs/architecture.md").read_text()
    for change in ("LIVE", "START"):
        documented = re.search(rf"^\| {change} \| (.*) \|$", document, re.MULTILINE)
        assert documented, change
        assert re.findall(r"`(\w+)`", documented[1]) == [name for name, column in rows if column == change]
    assert {name for name, _ in rows} == sample_variables()


def commands_in(text: str) -> set[str]:
    """The commands that --help lists."""
    return set(re.findall(r"^  ([a-z]+)  +\w", text.partition("\nCommands:")[2].partition("\nOptions")[0], re.MULTILINE))


def test_every_command_is_written_about(help_text: str) -> None:
    """A command that only the source knows is used by nobody."""
    commands = commands_in(help_text)
    assert {"run", "check", "explain", "learn", "convert", "healthcheck"} <= commands
    manual = (ROOT / "man/docker-socket-proxy.8").read_text()
    assert set(re.findall(r"^\.It Cm ([a-z]+)(?: O[op] .*| Fl .*| Ar .*)?$", manual, re.MULTILINE)) >= commands
    for path in COMPLETIONS:
        assert [name for name in sorted(commands) if not re.search(rf"\b{name}\b", path.read_text())] == [], path
    for name in sorted(commands - {"run"}):
        assert re.search(rf"`(docker-socket-proxy )?{name}\b|docker-socket-proxy {name}\b", (ROOT / "README.md").read_text()), name


@pytest.mark.parametrize("path", COMPLETIONS, ids=lambda path: path.name)
def test_every_option_completes(path: Path, help_text: str) -> None:
    """An option that does not complete looks as if it did not exist."""
    text = path.read_text()
    missing = [option for option in sorted(options_in(help_text))
               if f"--{option}" not in text and f"-l {option}" not in text]
    assert missing == []


@pytest.mark.parametrize("path", [*COMPLETIONS, ROOT / "man/docker-socket-proxy.8"], ids=lambda path: path.name)
def test_every_kind_of_listener_is_named(path: Path) -> None:
    """Whoever looks for TLS beside --listen has to find it there."""
    place = re.search(r"(?:--listen\b|-l listen\b|Fl -listen )(?:(?!--|Fl -|-l )[^\0]){0,400}", path.read_text())[0]
    assert set(re.findall(r"\b(tcp|tls|unix|fd)\b", place)) == {"tcp", "tls", "unix", "fd"}, place


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """A dead link in the first document somebody reads says that nobody looks."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_each_source_folder_is_explained() -> None:
    """The folder map is how a newcomer finds the file."""
    text = (ROOT / "docs/architecture.md").read_text()
    folders = sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir() and any(p.iterdir()))
    assert [name for name in folders if not re.search(rf"^\| `(src/)?{name}/` \|", text, re.MULTILINE)] == []


def test_presets_of_the_readme_say_what_is_root() -> None:
    """Who chooses by the first page must see which presets are enough to take over the host."""
    table = (ROOT / "README.md").read_text().partition("\n## Presets")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| `([a-z-]+)` \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) > 10
    for name, does in rows:
        costs = yaml.safe_load((ROOT / f"presets/{name}.yaml").read_text())["costs"]
        assert ("root on the host" in does) == costs.startswith("Root"), name


def test_index_names_every_document() -> None:
    """A document that the index leaves out is found by nobody."""
    text = (ROOT / "docs/README.md").read_text()
    names = [str(path.relative_to(ROOT / "docs")) for path in sorted(ROOT.glob("docs/**/*.md")) if path.name != "README.md"]
    assert [name for name in names if f"]({name}" not in text] == []


def anchors_of(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_anchors_lead_somewhere(document: Path) -> None:
    """A link that ends at the top of a long page leaves its reader searching."""
    targets = re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#([^)\s]+)\)", document.read_text())
    assert [(path, anchor) for path, anchor in targets
            if anchor not in anchors_of(document.parent / path if path else document)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_start_with_no_rights(path: Path) -> None:
    """A job that is taken over must not be able to write to the repository."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    """A tag can be moved to other code by whoever takes over its repository."""
    uses = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert uses
    loose = [name for name, comment in uses if not name.startswith("./")
             and not (re.search(r"@[0-9a-f]{40}$", name) and re.match(r" # v\d", comment))]
    assert loose == []


def test_compose_passes_every_variable_on(help_text: str) -> None:
    """POLICY=traefik docker compose up, and CONTAINERS=1: one that compose drops leaves everything
    open. DOCKER_HOST and its like are compose's own."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["docker-socket-proxy"]
    names = [entry.partition("=")[0] for entry in service["environment"]]
    assert len(names) == len(set(names))
    assert set(names) == (variables_in(help_text) | switches_in(help_text)) - {"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"}
    assert service["env_file"] == ".env", "a slip in .env has to reach the program, too"


def test_compose_publishes_the_port_that_is_listened_on() -> None:
    """Section switches move the port to 2375 where PORT is not set; what is published stays."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["docker-socket-proxy"]
    port = "${PORT:-3277}"
    assert f"PORT={port}" in service["environment"]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_unit_listens_on_loopback_until_told_otherwise() -> None:
    """On a host a port without a policy would be root for the whole network. What the file of
    settings says counts (systemd.exec(5): EnvironmentFile= over Environment=)."""
    unit = (ROOT / "deploy/systemd/docker-socket-proxy.service").read_text()
    assert "\nEnvironment=LOOPBACK=1\n" in unit
    assert "\nEnvironmentFile=-/etc/default/docker-socket-proxy\n" in unit
    assert "--listen" not in unit and "PORT=" not in unit


def test_the_unit_may_make_the_sockets_of_the_examples() -> None:
    """unix:///run/docker-socket-proxy/ci.sock stands in the documents; elsewhere the unit may not write."""
    unit = (ROOT / "deploy/systemd/docker-socket-proxy.service").read_text()
    assert "\nRuntimeDirectory=docker-socket-proxy\n" in unit
    addresses = re.findall(r"address: unix://(/run/\S+)", (ROOT / "docs/configuration.md").read_text())
    assert addresses and all(path.startswith("/run/docker-socket-proxy/") for path in addresses)


def test_compose_gives_the_container_nothing_it_can_do_without() -> None:
    """The file that everybody copies decides how the proxy runs."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["docker-socket-proxy"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "healthcheck" not in service, "the image has its own"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("document", ["docs/README.md", "docs/configuration.md", "docs/clients.md"])
def test_what_explain_prints_is_what_is_written(document: str, tmp_path: Path) -> None:
    """A reader compares the example with the own screen: a line that differs looks like a mistake."""
    text = (ROOT / document).read_text()
    examples = re.findall(r"^\$ docker-socket-proxy (explain .*)\n((?:(?!\$|```).*\n)+)", text, re.MULTILINE)
    assert examples
    file = re.search(r"^```yaml\n(listeners:\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if file:
        (tmp_path / "proxy.yaml").write_text(file[1])
    for command, written in examples:
        assert run(BINARY, *shlex.split(command), cwd=tmp_path).stdout == written, command


def test_clients_are_as_written(tmp_path: Path) -> None:
    """The file of docs/clients.md loads, `check` has the lines that stand there, and the hash is one."""
    text = (ROOT / "docs/clients.md").read_text()
    file = re.search(r"^```yaml\n(listeners:\n.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "proxy.yaml").write_text(file)
    printed = run(BINARY, "check", "-c", "proxy.yaml", cwd=tmp_path).stdout.splitlines()
    written = re.search(r"^\$ docker-socket-proxy check .*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    assert [line for line in written.splitlines() if line != "…" and line not in printed] == []


def test_the_two_apps_of_one_proxy_are_its_clients(tmp_path: Path) -> None:
    """The entries name services of the compose file above them."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/README.md").read_text(), re.MULTILINE | re.DOTALL)
    file = next(block for block in blocks if block.startswith("clients:"))
    (tmp_path / "proxy.yaml").write_text(file)
    assert run(BINARY, "check", "-c", "proxy.yaml", cwd=tmp_path).returncode == 0
    services = yaml.safe_load(next(block for block in blocks if "./proxy.yaml:" in block))["services"]
    named = [client["match"]["container"]["service"] for client in yaml.safe_load(file)["clients"]]
    assert sorted([*named, "docker-socket-proxy"]) == sorted(services)


def configurations(text: str) -> list[str]:
    """The whole configuration files among the examples of a document."""
    return re.findall(
        r"^```yaml\n(?:#[^\n]*\n)?((?:listeners|policy|clients|limits|upstream):.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if configurations(path.read_text())], ids=lambda path: path.name)
def test_every_file_in_the_documents_is_accepted(document: Path, tmp_path: Path) -> None:
    """Examples are pasted. The files of TLS are those that `certs` makes; an entry by a certificate needs the listener above it."""
    for folder in ("certs", "nodes"):
        assert run(BINARY, "certs", folder, cwd=tmp_path).returncode == 0
    listener = ""
    for file in configurations(document.read_text()):
        listener = file if "client_ca:" in file else listener
        (tmp_path / "proxy.yaml").write_text(listener + file if "{cert:" in file else file)
        result = run(BINARY, "check", "-c", "proxy.yaml", cwd=tmp_path)
        assert result.returncode == 0 and "fits nobody" not in result.stderr, f"{file}\n{result.stderr}"


def test_a_fleet_costs_the_same_on_both_pages() -> None:
    """docs/fleet.md repeats some rows of docs/performance.md: a new measurement changes both."""
    rows = {name: set(re.findall(r"^\| .* \|$", (ROOT / "docs" / name).read_text().partition(head)[2].partition("\n## ")[0], re.MULTILINE))
            for name, head in (("fleet.md", "\n## What it costs\n"), ("performance.md", "\n## Many Engines\n"))}
    assert len(rows["fleet.md"]) > 5 and rows["fleet.md"] <= rows["performance.md"]


def test_a_fleet_is_made_as_written(tmp_path: Path) -> None:
    """The commands of docs/fleet.md make the files that its configuration names, and add nodes to one; no client has the Engines' authority."""
    text = (ROOT / "docs/fleet.md").read_text().replace("$(seq 1 50)", "1 2")
    certificates, nodes = re.findall(
        r"^```bash\n(docker-socket-proxy certs .*?|for n in [^`]*? >> proxy\.yaml\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "docker-socket-proxy").symlink_to(BINARY)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    made = run("bash", "-euc", certificates, cwd=tmp_path, env=env)
    assert made.returncode == 0, made.stderr
    for node in ("node-1", "node-2"):
        verified = run("openssl", "verify", "-x509_strict", "-verify_hostname", f"{node}.internal", "-CAfile", "nodes/ca.pem",
                       f"nodes/{node}/server-cert.pem", cwd=tmp_path)
        assert verified.returncode == 0, verified.stderr
    assert run("openssl", "verify", "-CAfile", "nodes/ca.pem", "certs/ops/cert.pem", cwd=tmp_path).returncode != 0
    file = re.search(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "proxy.yaml").write_text(file)
    examples = re.findall(r"^\$ docker-socket-proxy (explain .*)\n((?:(?!```).*\n)+)", text, re.MULTILINE)
    assert len(examples) == 2
    for command, written in examples:
        assert run(BINARY, *shlex.split(command), cwd=tmp_path).stdout == written
    (tmp_path / "proxy.yaml").write_text("policy: read-only\nengines:\n")
    added = run("bash", "-euc", nodes, cwd=tmp_path, env=env)
    assert added.returncode == 0 and "node-2: tls://node-2.internal:2376" in added.stdout, added.stderr


def test_a_certificate_is_taken_back_as_written(tmp_path: Path) -> None:
    """The lines of docs/tls.md make a list that the listener takes, and it has the certificate of the client."""
    text = (ROOT / "docs/tls.md").read_text()
    lines = re.search(r"^```sh\n(printf .*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    assert run(BINARY, "certs", "certs", "--client", "ci", cwd=tmp_path).returncode == 0
    made = run("sh", "-ec", lines, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    listener = re.search(r"^```yaml\n(listeners:.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "proxy.yaml").write_text(listener + "      crl: revoked.pem\n")
    result = run(BINARY, "check", "-c", "proxy.yaml", cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    verdict = run("openssl", "verify", "-crl_check", "-CAfile", "certs/ca.pem", "-CRLfile", "revoked.pem", "certs/ci/cert.pem", cwd=tmp_path)
    assert "certificate revoked" in verdict.stdout + verdict.stderr


def test_images_in_the_documents_have_the_tag_that_is_made() -> None:
    """`make docker-build` makes c-latest; a name without a tag is looked for as latest, and is not there."""
    for document in DOCUMENTS:
        for number, line in enumerate(document.read_text().splitlines(), 1):
            assert not re.search(r"docker run .*(?<!--name) docker-socket-proxy(?: |$)", line), f"{document.name}:{number}"


def files_in(document: str, folder: Path) -> None:
    """Save the file of a document's examples, and what its `cat` shows."""
    for file in re.findall(r"^```yaml\n((?:listeners|policy):.*?)^```$", document, re.MULTILINE | re.DOTALL):
        (folder / "proxy.yaml").write_text(file)
        assert run(BINARY, "check", "-c", folder / "proxy.yaml").returncode == 0, file
    first = re.search(r"^```yaml\n(policy:.*?)^```$", document, re.MULTILINE | re.DOTALL)
    (folder / "proxy.yaml").write_text(first[1])
    for name, content in re.findall(r"^\$ cat (\w+\.json)\n(.*\n)", document, re.MULTILINE):
        (folder / name).write_text(content)


@pytest.mark.parametrize("document", ["docs/scope.md", "docs/redaction.md"])
def test_policies_over_objects_and_responses_are_as_written(document: str, tmp_path: Path) -> None:
    """The files start without a warning, and `explain` prints what stands below them."""
    text = (ROOT / document).read_text()
    files_in(text, tmp_path)
    examples = re.findall(r"^\$ docker-socket-proxy (explain .*)\n((?:(?!\$|```).*\n)+)", text, re.MULTILINE)
    assert examples
    for command, written in examples:
        assert run(BINARY, *shlex.split(command), cwd=tmp_path).stdout == written, command


def test_the_first_page_has_the_same_policy() -> None:
    """The short section of README.md shows what docs/looking-inside.md explains."""
    policies = []
    for document in ("README.md", "docs/looking-inside.md"):
        file = re.search(r"^```yaml\n(policy: ci\n.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
        policies.append(yaml.safe_load(file[1]))
    assert policies[0] == policies[1]


def test_bodies_are_judged_as_is_written(tmp_path: Path) -> None:
    """Who tries a block goes by this document; an ellipsis stands for lines that are left out."""
    text = (ROOT / "docs/looking-inside.md").read_text()
    files_in(text, tmp_path)
    examples = re.findall(r"^\$ docker-socket-proxy ((?:explain|check) .*)\n((?:(?!\$|```).*\n)+)", text, re.MULTILINE)
    assert len(examples) == 3
    for command, written in examples:
        printed = run(BINARY, *shlex.split(command), cwd=tmp_path).stdout
        if "…\n" in written:
            lines = iter(printed.splitlines())
            assert [line for line in written.splitlines() if line != "…" and line not in lines] == [], command
        else:
            assert printed == written, command


@pytest.mark.parametrize("tool", ["document-keys.py", "document-redaction.py"])
def test_tables_are_what_the_sources_say(tool: str) -> None:
    """A key that its table leaves out is found by nobody; these tools write them."""
    result = run(TOOLS / tool, "--check")
    assert result.returncode == 0, result.stderr


def key_rows() -> list[tuple[str, str, str]]:
    """Block, key, and its example, of the tables of docs/looking-inside.md."""
    text = (ROOT / "docs/looking-inside.md").read_text()
    found = []
    for block, table in re.findall(r"^### `(\w+):`\n(.*?)(?=^###|^<!-- end)", text, re.MULTILINE | re.DOTALL):
        for key, default, accepts in re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| .* \|$", table, re.MULTILINE):
            examples = re.findall(r"`([^`]+)`", accepts) + re.findall(r"`([^`]+)`", default.partition(";")[0])
            found += [(block, key, example) for example in examples]
    return found


def test_every_value_in_the_tables_of_keys_is_accepted(tmp_path: Path) -> None:
    """Examples are copied; one that stops the start teaches nothing."""
    rows = key_rows()
    assert len({(block, key) for block, key, _ in rows}) > 50
    for block, key, example in rows:
        (tmp_path / "proxy.yaml").write_text(f"policy: p\npolicies:\n  p:\n    {block}:\n      {key}: {example}\n")
        result = run(BINARY, "check", "-c", tmp_path / "proxy.yaml")
        assert result.returncode == 0 and re.search(rf"\b{key}\s", result.stdout), (block, key, example, result.stderr)
