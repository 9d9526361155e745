"""Bodies for requests of the API that a policy may look into: as small as an Engine takes them, and with limits."""

from __future__ import annotations

import json
import re

HOST = {"Memory": 1 << 30, "NanoCpus": 10**9, "PidsLimit": 100}
VERSION = r"POST (/v[\d.]+)?"
BODIES = [
    (re.compile(VERSION + r"/containers/create(\?|$)"), {"Image": "no-such-image", "HostConfig": HOST}),
    (re.compile(VERSION + r"/containers/[^/]+/exec$"), {"Cmd": ["true"]}),
    (re.compile(VERSION + r"/containers/[^/]+/update$"), HOST),
    (re.compile(VERSION + r"/(networks|volumes)/create$"), {"Name": "made-by-tests"}),
    (re.compile(VERSION + r"/networks/[^/]+/(dis)?connect$"), {"Container": "web"}),
    (re.compile(VERSION + r"/commit(\?|$)"), {}),
]


def body_of(request: str) -> bytes | None:
    """The body with which a request, METHOD and target, is sent; None: it has none."""
    return next((json.dumps(body).encode() for pattern, body in BODIES if pattern.match(request)), None)
