"""What a release carries says what is in it. tests/package makes it again."""

from __future__ import annotations

import hashlib
import json

from conftest import BINARY, ROOT, TOOLS, run


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
