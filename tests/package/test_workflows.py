"""The workflows are what GitHub accepts, and a release of this tree would go through them up to the push."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

import npm_modules
from conftest import ROOT, run
from steps import REPOSITORY, PullRequest, Push, Release

SOURCE = Path(__file__).with_name("actionlint")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
IMAGE = f"ghcr.io/{REPOSITORY}"
# What GitHub has had since this actionlint was made, which is the newest that npm has.
NEWER = ('label "ubuntu-24.04" is unknown', 'label "ubuntu-24.04-arm" is unknown', 'unknown permission scope "attestations"')


def test_actionlint_finds_no_fault(tmp_path: Path) -> None:
    """A workflow that GitHub refuses is noticed by nobody until the day of a release."""
    def found(*paths: Path) -> list[dict]:
        environment = {**os.environ, "NODE_PATH": str(npm_modules.modules(SOURCE))}
        result = run("node", SOURCE / "lint.cjs", *paths, env=environment)
        assert result.returncode == 0, result.stderr
        return [fault for fault in json.loads(result.stdout) if not fault["message"].startswith(NEWER)]

    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert found(broken), "it looks"
    assert found(*WORKFLOWS) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_shell_of_the_steps_has_no_fault(path: Path, tmp_path: Path) -> None:
    """actionlint looks at the shell of steps only where it can start shellcheck, which here it cannot."""
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    scripts = [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]
    for number, script in enumerate(scripts):
        file = tmp_path / f"{number}.sh"
        file.write_text("#!/bin/bash\nset -eo pipefail\n" + script)
        result = run("shellcheck", "--severity=style", file)
        assert result.returncode == 0, result.stdout


def test_what_would_be_uploaded(release: Release, dist: Path) -> None:
    """Everything that the page of a release promises is there, has its sum, and is signed before the upload."""
    names = sorted(path.name for path in dist.iterdir())
    version = release.version
    wanted = ["SHA256SUMS", "docker-socket-proxy-share.tar.gz", "presets.tar.gz"]
    for debian, rpm in (("amd64", "x86_64"), ("arm64", "aarch64")):
        wanted += [f"docker-socket-proxy-linux-{debian}", f"docker-socket-proxy-linux-{debian}.spdx.json",
                   f"docker-socket-proxy_{version}_{debian}.deb", f"docker-socket-proxy-{version}-1.{rpm}.rpm"]
    assert names == sorted(wanted)

    result = release.run_job("release", "publish")
    assert result.returncode == 0, result.stdout + result.stderr
    attest, sign, amd64, arm64, upload = release.calls[-5:]
    assert attest == "attest " + json.dumps(names)
    assert sign == "cosign sign-blob --yes --bundle SHA256SUMS.cosign.bundle SHA256SUMS"
    for line, architecture in ((amd64, "amd64"), (arm64, "arm64")):
        program = f"docker-socket-proxy-linux-{architecture}"
        assert line == f"cosign attest-blob --yes --type spdxjson --predicate {program}.spdx.json --bundle {program}.sbom.bundle {program}"
    assert upload.startswith(f"gh release upload {release.tag} ./")
    assert {Path(name).name for name in upload.split()[4:]} == {
        *names, "SHA256SUMS.cosign.bundle", *(f"docker-socket-proxy-linux-{a}.sbom.bundle" for a in ("amd64", "arm64"))}
    sums = dict(reversed(line.split()) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((dist / name).read_bytes()).hexdigest() for name in names if name != "SHA256SUMS"}


def publish_images(release: Release) -> list[str]:
    """Builds for both machines and publishes; the tags that are given and what is signed, in this order."""
    for architecture in ("amd64", "arm64"):
        result = release.run_job("image", "build", matrix={"arch": architecture, "runner": "any"})
        assert result.returncode == 0, result.stdout + result.stderr
    result = release.run_job("image", "publish")
    assert result.returncode == 0, result.stdout + result.stderr
    return [line.split()[-1] if "cosign" in line else line.split("--tag ")[1] for line in release.calls
            if "create --tag" in line or line.startswith("cosign")]


def test_images_of_both_machines_get_the_tags_of_the_release(tmp_path: Path) -> None:
    """From the build for each machine to the tags that people follow."""
    release = Release(tmp_path)
    assert release.makes_an_image()
    made = publish_images(release)
    builds = [line for line in release.calls if line.startswith("docker buildx build ")]
    assert len(builds) == 2
    for line in builds:
        for part in (f"VERSION={release.version} ", "--sbom=true", "--provenance=mode=max", "push-by-digest=true",
                     f"SOURCE=https://github.com/{REPOSITORY} ", "SOURCE_DATE_EPOCH="):
            assert part in line
    minor = release.tag.rpartition(".")[0]
    assert made == [f"{IMAGE}:c-{release.tag} {IMAGE}@sha256:amd64 {IMAGE}@sha256:arm64", f"{IMAGE}@sha256:joined",
                    f"{IMAGE}:c-latest {IMAGE}@sha256:joined", f"{IMAGE}:c-{minor} {IMAGE}@sha256:joined"]


def test_images_of_main_move_edge_and_nothing_else(tmp_path: Path) -> None:
    """Who follows c-latest gets releases only, however many commits main gets."""
    push = Push(tmp_path)
    commit = push.github()["github.sha"]
    assert push.makes_an_image() and push.known("image", {})["inputs.release"] == ""
    assert publish_images(push) == [
        f"{IMAGE}:c-{commit} {IMAGE}@sha256:amd64 {IMAGE}@sha256:arm64", f"{IMAGE}@sha256:joined",
        f"{IMAGE}:c-edge {IMAGE}@sha256:joined"]
    assert not any("c-latest" in line for line in push.calls)


@pytest.mark.parametrize("event", [PullRequest, Release])
def test_tests_alone_make_no_image(tmp_path: Path, event: type[Release]) -> None:
    """Of a proposed change nobody can pull one; a release makes its own after them, under its own tag."""
    run_of_tests = event(tmp_path)
    run_of_tests.caller = "test"
    assert not run_of_tests.makes_an_image()


def test_a_tag_of_another_version_stops_before_anything_is_built(tmp_path: Path) -> None:
    """v1.3.0 on a tree of 1.2.0."""
    release = Release(tmp_path)
    release.tag = "v99.0.0"
    for workflow, job in (("release", "binaries"), ("image", "build")):
        result = release.run_job(workflow, job, matrix={"arch": "amd64"})
        assert result.returncode != 0 and "99.0.0" in result.stderr
    assert release.calls == []
