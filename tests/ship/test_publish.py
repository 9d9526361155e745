"""Which tags an image gets, and that none of them ever goes back to an older commit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, TOOLS, run

DOCKER = r"""#!/bin/sh
# A registry in a folder: for each tag a file with the commit of its image.
shift 2
case $1 in
create)
	shift 2
	echo "create $*" >>"$REGISTRY/calls"
	git rev-parse HEAD >"$REGISTRY/tag-${1##*:}"
	;;
inspect)
	if [ -e "$REGISTRY/broken" ]; then
		echo 'ERROR: dial tcp: i/o timeout' >&2
		exit 1
	fi
	# What was pushed by its digest is of this commit, unless a test says otherwise.
	case $2 in
	*@*) commit=$(cat "$REGISTRY/pushed" 2>/dev/null || git rev-parse HEAD) ;;
	*)
		if [ ! -e "$REGISTRY/tag-${2##*:}" ]; then
			echo "ERROR: $2: not found" >&2
			exit 1
		fi
		commit=$(cat "$REGISTRY/tag-${2##*:}")
		;;
	esac
	labels="\"org.opencontainers.image.revision\":\"$commit\",\"org.opencontainers.image.version\":\"$VERSION\""
	case $4 in
	*Digest*) echo sha256:joined ;;
	*) echo "{\"linux/amd64\":{\"config\":{\"Labels\":{$labels}}}}" ;;
	esac
	;;
esac
"""


class Publisher:
    """A repository with tools/publish, and a registry."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.registry = folder / "registry"
        self.commits = 0
        self.version = ""
        commands = folder / "commands"
        for path in (self.tree / "tools", self.registry, commands):
            path.mkdir(parents=True)
        shutil.copy2(TOOLS / "publish", self.tree / "tools")
        (commands / "docker").write_text(DOCKER)
        (commands / "cosign").write_text('#!/bin/sh\necho "cosign $*" >>"$REGISTRY/calls"\n')
        for path in commands.iterdir():
            path.chmod(0o755)
        self.environment = {
            "PATH": f"{commands}:{os.environ['PATH']}", "REGISTRY": str(self.registry),
            "HOME": str(folder), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
            **{f"GIT_{who}_{what}": "somebody@example.org"
               for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """What git says in this repository."""
        result = run("git", "-C", self.tree, *arguments, env=self.environment)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def commit(self) -> str:
        """A new commit on what is checked out."""
        self.commits += 1
        self.git("commit", "--quiet", "--allow-empty", "--message", f"change {self.commits}")
        return self.git("rev-parse", "HEAD")

    def publish(self, tag: str, at: str | None = None) -> subprocess.CompletedProcess[str]:
        """Publish a commit under this tag, with an image of the tag's version unless the registry has another one."""
        if at:
            self.git("checkout", "--quiet", at)
        version = self.version or tag.removeprefix("c-").removeprefix("v")
        return run(self.tree / "tools" / "publish", "r.example/proxy", tag, "sha256:a", "sha256:b",
                   env={**self.environment, "VERSION": version})

    def tags(self) -> dict[str, str]:
        """Each tag and the commit of its image."""
        return {path.name.removeprefix("tag-"): path.read_text().strip()
                for path in self.registry.glob("tag-*")}


@pytest.fixture(name="publisher")
def make_publisher(tmp_path: Path) -> Publisher:
    """A repository with one commit, and a registry without images."""
    return Publisher(tmp_path)


def test_both_machines_are_joined_and_signed_before_anybody_follows(publisher: Publisher) -> None:
    """Who follows c-latest must never pull what is not signed yet."""
    publisher.commit()
    assert publisher.publish("c-v0.3.1").returncode == 0
    assert (publisher.registry / "calls").read_text().splitlines() == [
        "create r.example/proxy:c-v0.3.1 r.example/proxy@sha256:a r.example/proxy@sha256:b",
        "cosign sign --yes r.example/proxy@sha256:joined",
        "create r.example/proxy:c-latest r.example/proxy@sha256:joined",
        "create r.example/proxy:c-v0.3 r.example/proxy@sha256:joined"]


def test_edge_goes_forward_alone(publisher: Publisher) -> None:
    """Two pushes whose runs overtake each other."""
    older, newer = publisher.commit(), publisher.commit()
    assert publisher.publish(f"c-{newer}", at=newer).returncode == 0
    result = publisher.publish(f"c-{older}", at=older)
    assert result.returncode == 0 and "c-edge stays" in result.stdout
    assert publisher.tags() == {f"c-{newer}": newer, "c-edge": newer, f"c-{older}": older}
    publisher.git("checkout", "--quiet", newer)
    newest = publisher.commit()
    assert publisher.publish(f"c-{newest}").returncode == 0
    assert publisher.tags()["c-edge"] == newest


def test_a_commit_that_history_lost_is_no_obstacle(publisher: Publisher) -> None:
    """After a forced push c-edge must not stay where it is for ever."""
    (publisher.registry / "tag-c-edge").write_text("0" * 40)
    commit = publisher.commit()
    assert publisher.publish(f"c-{commit}").returncode == 0
    assert publisher.tags()["c-edge"] == commit


def test_a_registry_out_of_reach_moves_nothing(publisher: Publisher) -> None:
    """What cannot be looked at may be newer."""
    publisher.commit()
    (publisher.registry / "broken").touch()
    assert publisher.publish("c-v1.0.0").returncode != 0
    assert publisher.tags() == {}


@pytest.mark.parametrize(("release", "followed"), [
    ("v1.2.3", {"c-latest", "c-v1.2", "c-v1"}),
    ("1.2.3", {"c-latest", "c-1.2", "c-1"}),
    ("v0.3.1", {"c-latest", "c-v0.3"}),
    ("v2.0.0-rc1", set()),
    ("0123456789abcdef0123456789abcdef01234567", {"c-edge"}),
])
def test_tags_that_people_follow(publisher: Publisher, release: str, followed: set[str]) -> None:
    """c-v1 for whoever wants corrections and no surprises; c-latest is a release, c-edge is what was merged last."""
    publisher.commit()
    assert publisher.publish(f"c-{release}").returncode == 0
    assert set(publisher.tags()) == {f"c-{release}"} | followed


def test_an_image_of_something_else_gets_no_tag(publisher: Publisher) -> None:
    """A release whose image is another version, or of another commit, must stop before anybody can pull it."""
    publisher.commit()
    publisher.version = "1.2.2"
    result = publisher.publish("c-v1.2.3")
    assert result.returncode == 1 and "version 1.2.2" in result.stderr and publisher.tags() == {}
    publisher.version = ""
    (publisher.registry / "pushed").write_text("0" * 40)
    result = publisher.publish("c-v1.2.3")
    assert result.returncode == 1 and "not made of this commit" in result.stderr and publisher.tags() == {}


def test_a_correction_of_an_older_release_is_not_the_latest(publisher: Publisher) -> None:
    """1.1.1 after 1.2.0 is for who follows 1.1."""
    first = publisher.commit()
    assert publisher.publish("c-v1.1.0").returncode == 0
    second = publisher.commit()
    assert publisher.publish("c-v1.2.0").returncode == 0
    publisher.git("checkout", "--quiet", first)
    correction = publisher.commit()
    assert publisher.publish("c-v1.1.1").returncode == 0
    tags = publisher.tags()
    assert (tags["c-v1.1"], tags["c-v1.2"], tags["c-v1"], tags["c-latest"]) == (
        correction, second, second, second)


@pytest.fixture(scope="module", name="workflows")
def read_workflows() -> dict[str, dict]:
    """Each workflow. YAML 1.1 takes its key `on` for true."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}


def test_images_wait_for_the_tests(workflows: dict[str, dict]) -> None:
    """An image that people pull within minutes must not be one whose tests fail."""
    assert set(workflows["image"][True]) == {"workflow_call"}, "nothing else starts it"
    test = workflows["test"]["jobs"]
    assert set(test["image"]["needs"]) == set(test) - {"image"}
    release = workflows["release"]["jobs"]
    assert release["test"]["uses"] == "./.github/workflows/test.yml"
    assert release["image"]["needs"] == release["binaries"]["needs"] == "test"
    assert release["publish"]["needs"] == "binaries"
    assert workflows["image"]["jobs"]["publish"]["needs"] == "build"
    publish = workflows["image"]["jobs"]["publish"]
    assert publish["concurrency"] == {"group": "publish", "cancel-in-progress": False}
    assert publish["steps"][0]["with"]["fetch-depth"] == 0, "ancestors are looked for"


def test_a_pull_request_publishes_nothing(workflows: dict[str, dict]) -> None:
    """Who may propose a change may not give it to everybody. A release, which calls the tests, has an image of its own."""
    assert workflows["test"][True]["push"] == {"branches": ["main"]}
    assert set(workflows["test"][True]) == {"push", "pull_request", "workflow_call"}
    assert workflows["release"][True] == {"release": {"types": ["published"]}}
    image = workflows["test"]["jobs"]["image"]
    assert image["if"] == "github.event_name == 'push'"
    assert image["with"] == {"tag": "c-${{ github.sha }}"}, "no release: tools/publish moves c-edge alone"
    writers = {(name, job) for name, workflow in workflows.items() for job, keys in workflow["jobs"].items()
               if "write" in keys.get("permissions", {}).values() and "uses" not in keys}
    assert writers == {("image", "build"), ("image", "publish"), ("release", "publish")}
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in workflows.values())


def test_every_stage_of_make_test_is_in_a_job(workflows: dict[str, dict]) -> None:
    """A stage that no job runs fails on main, for everybody who clones it."""
    default = re.search(r"^stages=\$\{\*:-(.+)\}$", (TOOLS / "test").read_text(), re.MULTILINE)
    assert default
    scripts = [step.get("run", "") for job in workflows["test"]["jobs"].values() for step in job.get("steps", [])]
    run_there = {stage for script in scripts for stages in re.findall(r'make test STAGES="?([a-z0-9 -]+)', script)
                 for stage in stages.split()}
    assert workflows["test"]["jobs"]["lint"]["uses"] == "./.github/workflows/lint.yml"
    assert workflows["lint"]["jobs"]["lint"]["steps"][-1]["run"] == "make lint"
    named_only = {"engine-tls", "engine-unix"}
    assert (run_there - named_only) | {"lint"} == set(default[1].split())


def test_no_job_runs_for_hours(workflows: dict[str, dict]) -> None:
    """Without a limit of its own, a job that hangs does so for six hours, and all who wait for it do too."""
    limits = {f"{name}.{job}": keys.get("timeout-minutes", 360) for name, workflow in workflows.items()
              for job, keys in workflow["jobs"].items() if "steps" in keys}
    assert {job: limit for job, limit in limits.items() if limit > 120} == {}


def test_the_tag_of_a_release_is_the_version() -> None:
    """v1.3.0 on the image and 1.2.0 in it would leave nobody knowing what runs."""
    version = run(TOOLS / "image", "arguments").stdout.split("VERSION=")[1].split()[0]
    assert run(TOOLS / "image", "version", f"v{version}").returncode == 0
    assert run(TOOLS / "image", "version", version).returncode == 0
    result = run(TOOLS / "image", "version", "v99.0.0")
    assert result.returncode == 1 and version in result.stderr and "v99.0.0" in result.stderr


@pytest.mark.parametrize(("origin", "source"), [
    ("https://example.org/acme/proxy.git", "https://example.org/acme/proxy"),
    ("https://name:secret@example.org/acme/proxy", "https://example.org/acme/proxy"),
    ("git@example.org:acme/proxy.git", "https://example.org/acme/proxy"),
    ("ssh://git@example.org/acme/proxy.git", "https://example.org/acme/proxy"),
    ("/home/somebody/proxy", ""),
    ("", ""),
])
def test_label_says_where_the_source_is(tmp_path: Path, origin: str, source: str) -> None:
    """Scanners and renovate read org.opencontainers.image.source; nobody's password may be in it."""
    (tmp_path / "tools").mkdir()
    shutil.copy2(TOOLS / "image", tmp_path / "tools")
    shutil.copy2(ROOT / "meson.build", tmp_path)
    run("git", "-C", tmp_path, "init", "--quiet")
    if origin:
        run("git", "-C", tmp_path, "remote", "add", "origin", origin)
    environment = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
    assert run(tmp_path / "tools" / "image", "arguments", env=environment).stdout.rstrip("\n").endswith(
        f"--build-arg SOURCE={source}")
    environment["GITHUB_REPOSITORY"] = "acme/other"
    assert run(tmp_path / "tools" / "image", "arguments", env=environment).stdout.endswith(
        "SOURCE=https://github.com/acme/other\n")
