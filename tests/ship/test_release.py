"""What a release carries can be made again by anybody, and says what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from conftest import BINARY, ROOT, TOOLS, run


def test_another_folder_gives_the_same_binary(tmp_path: Path) -> None:
    """Who does not trust the binary on the release page builds it and compares."""
    copy = tmp_path / "elsewhere" / "tree"
    copy.mkdir(parents=True)
    for name in ("meson.build", "meson_options.txt", "presets", "src", "tools"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy2(source, copy / name)
    result = run(copy / "tools" / "build", "release", timeout=1800, env={**os.environ, "CCACHE_DISABLE": "1"})
    assert result.returncode == 0, result.stdout + result.stderr
    assert (copy / "build" / BINARY.name).read_bytes() == BINARY.read_bytes()


def test_bill_of_materials_names_the_binary_and_what_is_linked_into_it() -> None:
    """A scanner finds the C library inside a static binary only through this document."""
    result = run(TOOLS / "sbom.py", BINARY, ROOT / "build")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    packages = {package["name"]: package for package in document["packages"]}
    digest = hashlib.sha256(BINARY.read_bytes()).hexdigest()
    assert packages["docker-socket-proxy"]["checksums"][0]["checksumValue"] == digest
    installed = run("dpkg-query", "-W", "-f=${Version}", "libc6-dev").stdout
    assert packages["libc6-dev"]["versionInfo"] == installed
    linked = {r["relatedSpdxElement"] for r in document["relationships"]
              if r["relationshipType"] == "STATIC_LINK"}
    assert linked == {p["SPDXID"] for p in document["packages"]} - {"SPDXRef-program"}
