#!/usr/bin/python3
"""Writes the requests of class l (limits), which are too long to be written by hand.

    ./make-large.py [FOLDER]

They are committed like all the others, so that every reader of the corpus finds plain files.
"""

import pathlib
import sys

KIB = 1024
PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"

# name, why, request, what is wanted
Case = tuple[str, str, bytes, str]


def accepted(name: str, why: str, line: str, *headers: str) -> Case:
    request = "\r\n".join([f"{line} HTTP/1.1", "Host: docker", *headers, "", ""]).encode()
    wanted = [f"accept\nforward: {line} HTTP/1.1\n", *(f"header: {header}\n" for header in headers)]
    return name, why, request, "".join(wanted)


def refused(name: str, why: str, request: bytes, wanted: str = "refuse 431\n") -> Case:
    return name, why, request, wanted


def cases() -> list[Case]:
    many = [f"X-Header-{number}: {number}" for number in range(256)]
    crowd = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(5000))
    bulk = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 100) for number in range(3000))
    return [
        accepted(
            "l001-header-64k",
            "X-Registry-Config holds every credential of a client: tens of KiB.",
            "GET /v1.41/images/json",
            "X-Registry-Config: " + "Ab1-" * (16 * KIB),
        ),
        accepted(
            "l002-target-100k",
            "Filters, build arguments and labels travel in the target.",
            "GET /v1.41/containers/json?filters=" + "%7Bx%7D" * (100 * KIB // 7),
        ),
        accepted(
            "l003-head-250k",
            "Just under the ceiling of 256 KiB.",
            "GET /v1.41/images/json",
            "X-Registry-Config: " + "Ab1-" * (250 * KIB // 4),
        ),
        accepted("l004-headers-256", "", "GET /_ping", *many),
        refused(
            "l005-header-300k",
            "One header above the ceiling of 256 KiB.",
            PING + b"X-Registry-Config: " + b"Ab1-" * (75 * KIB) + b"\r\n\r\n",
        ),
        refused(
            "l006-target-300k",
            "",
            b"GET /containers/json?filters="
            + b"x" * (300 * KIB)
            + b" HTTP/1.1\r\nHost: docker\r\n\r\n",
        ),
        refused("l007-headers-300k", "Many headers, each of them harmless.", PING + bulk + b"\r\n"),
        refused(
            "l008-headers-5000",
            "Few bytes (55 KiB) and yet far more headers than anyone sends.",
            PING + crowd + b"\r\n",
        ),
        refused("l009-header-name-300k", "", PING + b"X" * (300 * KIB) + b": v\r\n\r\n"),
        refused(
            "l010-head-without-end",
            "No blank line ever comes.",
            PING + b"X-A: " + b"v" * (300 * KIB),
        ),
        refused(
            "l011-chunk-extension-300k",
            "An extension is read and dropped, but not without end.",
            CHUNKED + b"5;a=" + b"x" * (300 * KIB) + b"\r\nhello\r\n0\r\n\r\n",
            "refuse 400 body\n",
        ),
        refused(
            "l012-trailers-300k",
            "The same for trailers.",
            CHUNKED + b"5\r\nhello\r\n0\r\n" + bulk + b"\r\n",
            "refuse 400 body\n",
        ),
    ]


def main(folder: pathlib.Path) -> None:
    for name, why, request, wanted in cases():
        (folder / f"{name}.req").write_bytes(request)
        (folder / f"{name}.want").write_text((f"# {why}\n" if why else "") + wanted)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
