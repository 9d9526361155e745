#!/usr/bin/python3
"""Writes the bill of materials of one release binary: an SPDX 2.3 document in JSON.

    tools/sbom.py BINARY BUILD-FOLDER [SYSROOT] >BINARY.spdx.json

The program is static: the libraries in it are the distribution's, so the document names the Debian
packages they came from, as they are on this machine or, cross-compiled, in SYSROOT. A dependency
that Meson reports and that the table here does not know is an error, not an omission.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Library(NamedTuple):
    """A library that ends up inside the binary."""

    package: str
    licence: str


ALWAYS = [Library("libc6-dev", "LGPL-2.1-or-later")]
# Name of the dependency in meson.build: where it comes from. None: not in the program.
DEPENDENCIES: dict[str, Library | None] = {
    "cmocka": None,
    "libcrypto": Library("libssl-dev", "Apache-2.0"),
    "libssl": None,  # of the package of libcrypto
    "libpcre2-8": Library("libpcre2-dev", "BSD-3-Clause"),
    "threads": None,
    "yaml-0.1": Library("libyaml-dev", "MIT"),
}


def output(*command: str | Path) -> str:
    """What a command prints."""
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()


def libraries(build: Path) -> list[Library]:
    """The libraries in the binary, from what Meson found."""
    found = list(ALWAYS)
    for dependency in json.loads(output("meson", "introspect", "--dependencies", build)):
        library = DEPENDENCIES[dependency["name"]]
        if library:
            found.append(library)
    return found


def package_version(package: str, sysroot: Path | None) -> str:
    """The version of a Debian package here, or of the one unpacked into the sysroot."""
    if sysroot:
        versions = dict(line.split() for line in (sysroot / "versions").read_text().splitlines())
        return versions[package]
    return output("dpkg-query", "-W", "-f=${Version}", package)


def commit_time() -> str:
    """The time of the last commit, so that the same tree gives the same document."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct")
    when = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def library_entry(library: Library, sysroot: Path | None) -> dict:
    """The SPDX entry of a library."""
    version = package_version(library.package, sysroot)
    architecture = "arm64" if sysroot else output("dpkg", "--print-architecture")
    return {
        "SPDXID": f"SPDXRef-{library.package}",
        "name": library.package,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": library.licence,
        "licenseDeclared": library.licence,
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": f"pkg:deb/debian/{library.package}@{version}?arch={architecture}",
        }],
    }


def program_entry(binary: Path, version: str) -> dict:
    """The SPDX entry of the program itself."""
    return {
        "SPDXID": "SPDXRef-program",
        "name": "docker-socket-proxy",
        "versionInfo": version,
        "packageFileName": binary.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "MIT",
        "licenseDeclared": "MIT",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "APPLICATION",
        "checksums": [{
            "algorithm": "SHA256",
            "checksumValue": hashlib.sha256(binary.read_bytes()).hexdigest(),
        }],
    }


def document(binary: Path, build: Path, sysroot: Path | None) -> dict:
    """The whole SPDX document."""
    version = json.loads(output("meson", "introspect", "--projectinfo", build))["version"]
    program = program_entry(binary, version)
    inside = [library_entry(library, sysroot) for library in libraries(build)]
    digest = program["checksums"][0]["checksumValue"]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": binary.name,
        "documentNamespace": f"https://spdx.org/spdxdocs/docker-socket-proxy-{version}-{digest}",
        "creationInfo": {"created": commit_time(), "creators": ["Tool: tools/sbom.py"]},
        "packages": [program, *inside],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
             "relatedSpdxElement": "SPDXRef-program"},
            *({"spdxElementId": "SPDXRef-program", "relationshipType": "STATIC_LINK",
               "relatedSpdxElement": entry["SPDXID"]} for entry in inside),
        ],
    }


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    binary, build = Path(sys.argv[1]), Path(sys.argv[2])
    sysroot = Path(sys.argv[3]) if len(sys.argv) == 4 else None
    try:
        json.dump(document(binary, build, sysroot), sys.stdout, indent=2)
    except KeyError as missing:
        print(f"sbom: tools/sbom.py does not know the dependency {missing}", file=sys.stderr)
        return 1
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
