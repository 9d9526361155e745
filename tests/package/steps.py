"""Runs the steps of the workflows as GitHub does, up to the push.

What would reach others is a stand-in that writes down what it was asked: docker, cosign and gh. Artifacts are folders, actions
and conditions that are not known are an error, and everything else is real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "acme/docker-socket-proxy"
# Actions that change nothing here.
QUIET = ("actions/checkout", "sigstore/cosign-installer")

STANDINS = {
    "docker": r"""#!/bin/sh
echo "docker $*" >>"$RECORD/calls"
case "$1 $2" in
"login "*) cat >/dev/null ;;
"buildx build")
	while [ $# -gt 0 ]; do
		case $1 in
		--metadata-file) echo '{"containerimage.digest":"sha256:'"$ARCH"'"}' >"$2" ;;
		VERSION=*) echo "${1#*=}" >"$RECORD/version" ;;
		REVISION=*) echo "${1#*=}" >"$RECORD/revision" ;;
		esac
		shift
	done
	;;
"buildx imagetools")
	[ "$3" = inspect ] || exit 0
	case $4 in
	*:c-latest | *:c-edge | *:c-v[0-9] | *:c-v[0-9].[0-9]) echo "ERROR: $4: not found" >&2 && exit 1 ;;
	esac
	case $6 in
	*Digest*) echo sha256:joined ;;
	*) echo '{"config":{"Labels":{"org.opencontainers.image.revision":"'"$(cat "$RECORD/revision")"'","org.opencontainers.image.version":"'"$(cat "$RECORD/version")"'"}}}' ;;
	esac
	;;
esac
""",
    "cosign": r"""#!/bin/sh
echo "cosign $*" >>"$RECORD/calls"
while [ $# -gt 0 ]; do
	[ "$1" != --bundle ] || echo bundle >"$2"
	shift
done
""",
    "gh": '#!/bin/sh\necho "gh $*" >>"$RECORD/calls"\n',
}


def read(workflow: str) -> dict:
    """A workflow. YAML 1.1 takes its key `on` for true."""
    return yaml.safe_load((ROOT / ".github/workflows" / f"{workflow}.yml").read_text())


def filled(text: str, known: dict[str, str]) -> str:
    """A text of a workflow with its expressions replaced."""
    return re.sub(r"\$\{\{ *(.*?) *\}\}", lambda match: known[match[1]], text)


def holds(condition: str, known: dict[str, str]) -> bool:
    """Whether an `if:` lets a job or step run, where nothing has failed before."""
    if condition == "failure()":
        return False
    compared = re.fullmatch(r"(\S+) (==|!=) '(.*)'", condition)
    assert compared, f"this test does not know what {condition} is"
    return (known[compared[1]] == compared[3]) == (compared[2] == "==")


class Release:
    """One run of the workflows for the release of this tree."""

    event = "release"
    caller = "release"  # the workflow whose job calls image.yml

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record"
        self.calls: list[str] = []
        commands = folder / "commands"
        for path in (commands, self.record, folder / "home"):
            path.mkdir()
        for name, text in STANDINS.items():
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())
        assert version
        self.version = version[1]
        self.tag = f"v{self.version}"
        home = Path.home()
        self.environment = {
            **os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "RECORD": str(self.record),
            "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_ACTOR": "somebody", "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(home / ".cache")),
            "CCACHE_DIR": os.environ.get("CCACHE_DIR", str(home / ".cache/ccache")),
            # The tree may belong to somebody else than root.
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}

    def clone(self) -> Path:
        """The tree with its history, for jobs that leave files in it."""
        tree = Path(self.folder / "clone")
        if not tree.exists():
            subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, tree], check=True,
                           env=self.environment)
            copy_tree(tree, self.environment)
        return tree

    def github(self) -> dict[str, str]:
        """What GitHub says of the event to every workflow."""
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], text=True, capture_output=True, check=True,
                                env=self.environment).stdout.strip()
        known = {"github.event_name": self.event, "github.sha": commit, "github.token": "token", "github.repository": REPOSITORY}
        return known | ({"github.event.release.tag_name": self.tag} if self.event == "release" else {})

    def makes_an_image(self) -> bool:
        """Whether the job that calls image.yml runs for this event."""
        condition = read(self.caller)["jobs"]["image"].get("if")
        return condition is None or holds(condition, self.github())

    def known(self, workflow: str, matrix: dict[str, str]) -> dict[str, str]:
        """What expressions of this workflow may name."""
        known = self.github() | {f"matrix.{name}": text for name, text in matrix.items()}
        if workflow != "image":
            return known
        declared = read("image")[True]["workflow_call"]["inputs"]
        given = read(self.caller)["jobs"]["image"]["with"]
        return known | {f"inputs.{name}": filled(given.get(name, declared[name].get("default")), known) for name in declared}

    def run_job(self, workflow: str, job: str, timeout: float = 120,
                matrix: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The steps of a job, until one fails; what the last one said."""
        steps = read(workflow)["jobs"][job]["steps"]
        known = self.known(workflow, matrix or {})
        has_tree = any("checkout" in step.get("uses", "") for step in steps)
        where = ROOT if job == "binaries" else self.clone() if has_tree else Path(self.folder / f"{workflow}-{job}")
        where.mkdir(exist_ok=True)
        result = subprocess.CompletedProcess([], 0, "", "")
        for step in steps:
            if "if" in step and not holds(step["if"], known):
                continue
            if "uses" in step:
                self.action(step, where, known)
                continue
            result = self.step(step, where, known, timeout)
            if result.returncode != 0:
                break
        record = self.record / "calls"
        self.calls = record.read_text().splitlines() if record.exists() else []
        return result

    def step(self, step: dict, where: Path, known: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        """One step with commands. tools/test has installed what the first ones install."""
        script = step["run"]
        if script.startswith("apt-get "):
            return subprocess.CompletedProcess([], 0, "", "")
        environment = {**self.environment, "ARCH": known.get("matrix.arch", ""), "GITHUB_WORKSPACE": str(where),
                       **{name: filled(text, known) for name, text in step.get("env", {}).items()}}
        assert "${{" not in script, "an expression in a script is a way in for whoever names a tag"
        return subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=where, env=environment,
                              text=True, capture_output=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL)

    def action(self, step: dict, where: Path, known: dict[str, str]) -> None:
        """What an action leaves here."""
        name = step["uses"].partition("@")[0]
        options = {key: filled(str(text), known) for key, text in step.get("with", {}).items()}
        kept = self.folder / "artifacts"
        if name == "actions/upload-artifact":
            source = where / options["path"]
            target = kept / options["name"]
            target.mkdir(parents=True, exist_ok=True)
            for path in source.iterdir() if source.is_dir() else [source]:
                shutil.copy2(path, target)
        elif name == "actions/download-artifact":
            if "name" in options:
                shutil.copytree(kept / options["name"], where / options["path"], dirs_exist_ok=True)
            else:
                for path in kept.glob(options["pattern"]):
                    shutil.copytree(path, where / path.name, dirs_exist_ok=True)
        elif name == "actions/attest-build-provenance":
            subjects = sorted(path.name for path in where.glob(options["subject-path"]))
            with (self.record / "calls").open("a") as record:
                record.write(f"attest {json.dumps(subjects)}\n")
        else:
            assert name in QUIET, f"this test does not know what {name} does"


class Push(Release):
    """One run of the workflows for a commit that was pushed to main."""

    event = "push"
    caller = "test"


class PullRequest(Push):
    """The same for a proposed change."""

    event = "pull_request"


def copy_tree(folder: Path, environment: dict[str, str] | None = None) -> None:
    """The files of the tree as they are now, without what a build left."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], text=True,
                           capture_output=True, check=True, env=environment).stdout
    for name in filter(None, names.split("\0")):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
