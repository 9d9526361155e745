"""The scripts that people and CI start do what they say, also on machines unlike this one."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from conftest import BINARY, ROOT, TOOLS, run

JUNIT = ('<testsuites><testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase>'
         '{}</testsuite></testsuites>')


def summary(tmp_path: Path, stages: dict[str, tuple[int, str | None]]) -> tuple[int, str]:
    """Exit code and last line for these stages: name to exit code and JUnit text."""
    (tmp_path / "stages").write_text("".join(f"{n} {c} 1\n" for n, (c, _) in stages.items()))
    for name, (_, text) in stages.items():
        if text:
            (tmp_path / f"{name}.xml").write_text(text)
    result = run(TOOLS / "test-summary.py", tmp_path)
    return result.returncode, result.stdout.splitlines()[-1]


def test_summary_adds_up_what_ran(tmp_path: Path) -> None:
    """The last line of a CI run is what people read."""
    failure = '<testcase name="c"><failure/></testcase>'
    assert summary(tmp_path, {
        "unit": (0, JUNIT.format("")), "wire": (1, JUNIT.format(failure)), "lint": (0, None),
    }) == (1, "3 passed, 1 failed, 2 skipped")


def test_summary_counts_the_tests_within_a_program(tmp_path: Path) -> None:
    """Meson counts programs; a program without its tests would still count as one."""
    records = [
        {"result": "OK", "stderr": "[  PASSED  ] 12 test(s).\n[  SKIPPED ] 2 test(s), listed below"},
        {"result": "FAIL", "stdout": "[  PASSED  ] 3 test(s).", "stderr": "[  FAILED  ] 2 test(s)"},
        {"result": "FAIL", "stderr": "Segmentation fault"},
        {"result": "OK", "stdout": "no word of cmocka's"},
        {"result": "SKIP"},
    ]
    (tmp_path / "unit.json").write_text("\n".join(map(json.dumps, records)) + "\n")
    assert summary(tmp_path, {"unit": (1, None)}) == (1, "16 passed, 3 failed, 3 skipped")


def test_summary_never_loses_a_failed_stage(tmp_path: Path) -> None:
    """A stage that did not build has no failed test to show."""
    assert summary(tmp_path, {"unit": (1, JUNIT.format(""))}) == (1, "1 passed, 1 failed, 1 skipped")


def test_summary_of_nothing_is_a_failure(tmp_path: Path) -> None:
    """A run that ran no test must not be green."""
    code, _ = summary(tmp_path, {"unit": (0, "<testsuites/>")})
    assert code == 1


FAILED = JUNIT.format('<testcase name="c"><failure/></testcase>')


def test_what_failed_by_chance_counts_as_it_ends_alone(tmp_path: Path) -> None:
    """A test that raced with other stages is named, and nothing else is forgiven."""
    alone = '<testsuites><testsuite><testcase classname="tests.wire.test_x" name="c"/></testsuite></testsuites>'
    ended = {"wire": (1, FAILED), "unit": (0, JUNIT.format("")), "wire-again": (0, alone)}
    assert summary(tmp_path, ended) == (0, "3 passed, 0 failed, 2 skipped")
    assert "tests.wire.test_x::c" in run(TOOLS / "test-summary.py", tmp_path).stdout
    assert summary(tmp_path, {**ended, "wire-again": (1, FAILED)})[0] == 1
    assert summary(tmp_path, {**ended, "wire-again": (2, None)})[0] == 1


def test_only_few_failures_may_be_chance(tmp_path: Path) -> None:
    many = JUNIT.format(4 * '<testcase name="c"><failure/></testcase>')
    summary(tmp_path, {"wire": (1, FAILED), "engine": (1, many), "ship": (2, JUNIT.format("")),
                       "compat": (0, JUNIT.format("")), "lint": (1, None)})
    assert run(TOOLS / "test-summary.py", "--few", "3", tmp_path).stdout.split() == ["wire"]


def test_unknown_stage_is_refused() -> None:
    """A typing error in STAGES must not pass as a run without failures."""
    kept = ROOT / "build-test" / "of-an-earlier-stage"
    kept.parent.mkdir(exist_ok=True)
    kept.touch()
    result = run(TOOLS / "test", "unti")
    assert result.returncode == 2
    assert "unti" in result.stderr
    assert kept.exists(), "the results of what ran before are gone"
    kept.unlink()


class Machine:
    """A machine as install-deps sees it: its own dpkg-query, apt-cache, apt-get, id and maybe sudo."""

    def __init__(self, folder: Path, installed: str = "", offered: str = "") -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        for command in ("cat", "cmp", "env", "find", "grep", "head", "mktemp", "rm", "sed", "sort",
                        "sh", "tr"):
            (folder / command).symlink_to(f"/usr/bin/{command}")
        self.script("dpkg-query", f'for p; do :; done; case " {installed} " in *" $p "*) '
                    'printf installed;; *) exit 1;; esac')
        self.script("apt-cache", f'case " {offered} " in *" $2 "*) echo "  Candidate: 1";; '
                    '*) echo "  Candidate: (none)";; esac')
        self.script("apt-get", f'echo "$*" >>"{self.calls}"')
        self.script("id", "echo 0")

    def script(self, name: str, text: str) -> None:
        """Put a command on this machine."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def install(self, *packages: str) -> tuple[int, str, str]:
        """Exit code, what apt-get was told last, and what was said on stderr."""
        wanted = self.folder / "list.txt"
        wanted.write_text("# a comment\n" + "\n".join(packages) + "\n")
        result = run(TOOLS / "install-deps", wanted, env={"PATH": str(self.folder)})
        calls = self.calls.read_text().splitlines()
        return result.returncode, calls[-1] if calls else "", result.stderr


def test_nothing_is_installed_when_all_is_there(tmp_path: Path) -> None:
    """`make` on a prepared machine must not need root or the network."""
    assert Machine(tmp_path, installed="gcc meson").install("gcc", "meson") == (0, "", "")


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    """Installing again what is there would upgrade it behind the user's back."""
    code, call, _ = Machine(tmp_path, installed="gcc", offered="meson").install("gcc", "meson")
    assert code == 0
    assert call.endswith("install --no-install-recommends meson")


def test_an_alternative_that_is_there_will_do(tmp_path: Path) -> None:
    """docker.io must not replace Docker's own docker-ce."""
    machine = Machine(tmp_path, installed="docker-ce", offered="docker.io")
    assert machine.install("docker.io | docker-ce") == (0, "", "")


def test_a_command_from_elsewhere_will_do(tmp_path: Path) -> None:
    """Node.js or Docker installed without Debian's package must stay as they are."""
    machine = Machine(tmp_path, offered="nodejs")
    machine.script("node", "exit 0")
    assert machine.install("nodejs node") == (0, "", "")
    assert machine.install("nodejs nodejs")[1].endswith("install --no-install-recommends nodejs")


def test_the_first_alternative_on_offer_is_taken(tmp_path: Path) -> None:
    """Distributions name packages differently."""
    _, call, _ = Machine(tmp_path, offered="clang-format").install("clang-format-14 | clang-format")
    assert call.endswith(" clang-format")


def test_without_root_the_command_to_run_is_named(tmp_path: Path) -> None:
    """Who has neither root nor sudo must know what to ask for."""
    machine = Machine(tmp_path, offered="gcc meson")
    machine.script("id", "echo 1000")
    code, call, said = machine.install("gcc", "meson")
    assert (code, call) == (1, "")
    assert "apt-get install --no-install-recommends gcc meson" in said


def test_with_sudo_the_installation_goes_through_it(tmp_path: Path) -> None:
    """On a desktop nobody is root."""
    machine = Machine(tmp_path, offered="gcc")
    machine.script("id", "echo 1000")
    machine.script("sudo", f'echo sudo >>"{machine.calls}"; exec "$@"')
    assert machine.install("gcc")[0] == 0
    assert machine.calls.read_text().splitlines()[-2] == "sudo"


def test_a_failed_installation_fails_the_verb(tmp_path: Path) -> None:
    """Going on without the package would end in an error that nobody understands."""
    machine = Machine(tmp_path, offered="gcc")
    machine.script("apt-get", f'echo "$*" >>"{machine.calls}"; echo E: no; exit 100')
    code, _, said = machine.install("gcc")
    assert code == 1
    assert "E: no" in said and "could not install gcc" in said


def test_other_systems_are_told_what_is_needed(tmp_path: Path) -> None:
    """A machine without apt may have everything under other names: it goes on."""
    machine = Machine(tmp_path)
    (tmp_path / "apt-get").unlink()
    code, _, said = machine.install("gcc")
    assert code == 0
    assert "gcc" in said


@pytest.mark.parametrize("verb", ["release", "run", "test", "lint", "fuzz", "oracle", "bench", "install",
                                  "docker-build", "docker-binary", "docker-push-ghcr",
                                  "docker-push-dockerhub", "dist", "clean", "help"])
def test_every_verb_exists_and_is_listed(verb: str) -> None:
    """`make help` is how people find the verbs."""
    assert run("make", "-C", ROOT, "-n", verb).returncode == 0
    assert f"\n{verb} " in "\n" + run("make", "-C", ROOT, "-s", "help").stdout


def test_a_fleet_is_measured() -> None:
    """bench/fleet.py is run by hand and seldom: a change of the program or of the file must not break it unnoticed."""
    result = run(sys.executable, ROOT / "bench/fleet.py", BINARY, "--engines", "5", "--connections", "20", "--streams", "5",
                 "--requests", "50", "--settling", "0.1", "--idle", "0.5", timeout=120)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    for row in ("start, ms", "memory with all Engines, KiB", "CPU for each request, one Engine by its path, us",
                "CPU for each request, all Engines in turn, us", "CPU to open each stream, us"):
        assert found[row] > 0, found
    assert found["CPU for each idle Engine, us each second"] == pytest.approx(found["CPU of an idle fleet, us each second"] / 5, abs=0.01)


def test_a_push_without_an_account_says_what_is_missing(tmp_path: Path) -> None:
    """Pushing to a name that was guessed would be worse than failing."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho \"$@\"\n")
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "IMAGE": "proxy",
                   "TAG": "c-1"}
    result = run(TOOLS / "image", "push", "ghcr.io", env=environment)
    assert result.returncode == 2 and "OWNER=" in result.stderr
    result = run(TOOLS / "image", "push", "ghcr.io", env={**environment, "OWNER": "acme"})
    assert result.stdout.splitlines()[-1] == "push ghcr.io/acme/proxy:c-1"
    result = run(TOOLS / "image", "push", "docker.io",
                 env={**environment, "IMAGE": "docker.io/acme/proxy"})
    assert result.stdout.splitlines()[-1] == "push docker.io/acme/proxy:c-1"


def test_install_puts_everything_in_its_place(tmp_path: Path) -> None:
    """A package is made of `make install DESTDIR=…`."""
    result = run("make", "-C", ROOT, "install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert result.returncode == 0, result.stderr
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    presets = {f"usr/share/doc/docker-socket-proxy/presets/{path.name}"
               for path in (ROOT / "presets").glob("*.yaml")}
    documents = {f"usr/share/doc/docker-socket-proxy/{path.relative_to(ROOT)}"
                 for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/images/*"), ROOT / "LICENSE",
                              ROOT / "docker-compose.yml", ROOT / ".env.sample",
                              *ROOT.glob("deploy/prometheus/*"), *ROOT.glob("deploy/grafana/*"),
                              *(path for name in ("apps", "swarm", "kubernetes", "helm") for path in (ROOT / "deploy" / name).rglob("*") if path.is_file())]}
    assert presets and len(documents) > 10
    assert files == presets | documents | {
        "usr/bin/docker-socket-proxy",
        "usr/lib/systemd/system/docker-socket-proxy.service",
        "usr/lib/systemd/system/docker-socket-proxy.socket",
        "usr/share/bash-completion/completions/docker-socket-proxy",
        "usr/share/fish/vendor_completions.d/docker-socket-proxy.fish",
        "usr/share/man/man8/docker-socket-proxy.8",
        "usr/share/zsh/site-functions/_docker-socket-proxy",
    }
    unit = (tmp_path / "usr/lib/systemd/system/docker-socket-proxy.service").read_text()
    assert "ExecStart=/usr/bin/docker-socket-proxy" in unit


def mutants_of(tmp_path: Path, source: str) -> list[str]:
    """Each change that tools/mutate can make of this source, as OLD -> NEW."""
    file = tmp_path / "source.c"
    file.write_text(source)
    result = run(TOOLS / "mutate", "--list", "--file", file)
    assert result.returncode == 0, result.stderr
    return [line.split(": ")[1] for line in result.stdout.splitlines()]


def test_mutate_changes_operators(tmp_path: Path) -> None:
    assert mutants_of(tmp_path, "return a && !b;\n") == ["&& -> ||", "! -> nothing"]
    assert mutants_of(tmp_path, "x = i < 3 ? true : y + 1;\n") == [
        "< -> <=", "< -> >=", "true -> false", "+ -> -"]


def test_mutate_leaves_text_alone(tmp_path: Path) -> None:
    """A change of a comment would survive, and count as a missing test."""
    assert mutants_of(tmp_path, '''#if A == B
/* a == b */ // c == d
char *p = "e == f", q = '<', *r = &x->y;
#endif
''') == []


def test_links_of_installed_documents_lead_somewhere(tmp_path: Path) -> None:
    """What is installed is read there, without the source tree."""
    result = run("make", "-C", ROOT, "install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "usr/share/doc/docker-socket-proxy"
    dead = {target for document in folder.rglob("*.md")
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
            if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists()}
    assert dead == set()


def test_install_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Documents that only root may read are no documents."""
    result = run("sh", "-c", f"umask 077 && DESTDIR='{tmp_path}' '{TOOLS}/install'")
    assert result.returncode == 0, result.stderr
    wanted = {True: 0o755, False: 0o644}
    modes = {path.relative_to(tmp_path): path.stat().st_mode & 0o777
             for path in (tmp_path / "usr").rglob("*") if path.name != BINARY.name}
    assert modes and all(mode == wanted[(tmp_path / path).is_dir()] for path, mode in modes.items())


def test_what_a_release_carries_beside_the_program(tmp_path: Path) -> None:
    """Somebody who takes the binary needs its man page, unit and completions."""
    result = run("sh", "-c", f"DESTDIR='{tmp_path}' '{TOOLS}/install' --without-program")
    assert result.returncode == 0, result.stderr
    tree = tmp_path / "usr/local"
    assert not (tree / "bin").exists()
    for path in ("share/man/man8/docker-socket-proxy.8", "lib/systemd/system/docker-socket-proxy.service",
                 "share/bash-completion/completions/docker-socket-proxy",
                 "share/doc/docker-socket-proxy/README.md"):
        assert (tree / path).is_file()
    dist = (TOOLS / "dist").read_text()
    assert "tools/install --without-program" in dist
