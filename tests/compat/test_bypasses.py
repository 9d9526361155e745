"""Other spellings of a path: what the peers' patterns take for the beginning of one.

Ours looks at segments, so that a spelling either is an endpoint or nothing; whatever the peers
let through on the strength of how a path begins is not let through here.
"""

from __future__ import annotations

import random
import re

import pytest

import catalogue
from catalogue import Request
from harness import Proxy, ask, encode
from peers import LINUXSERVER, TECNATIVA, Peer

OPEN = {"CONTAINERS": "1", "ALLOW_START": "1", "POST": "0"}
SEED = 1
MUTATIONS = 3000


def statuses(address: str, targets: list[Request], fields: dict[str, str] | None = None):
    return ask(address, encode((request[:3] for request in targets), fields))


def fields_of(peer: Peer, env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in peer.environment(env).items() if value != "0"}


# What is asked with CONTAINERS=1 and ALLOW_START=1; whether linuxserver's rules let it pass; what
# ours responds; and the difference that docs/compatibility.md lists it under.
SPELLINGS = [
    ("GET", "/containersfoo", True, 403, "prefix"),
    ("GET", "/versionx", True, 403, "prefix"),
    ("GET", "/_pingfoo", True, 403, "prefix"),
    ("GET", "/v1.41/containersfoo/json", True, 403, "prefix"),
    ("POST", "/containers/x/startfoo", True, 403, "prefix"),
    ("POST", "/containers/x/start/../../../secrets/create", True, 400, "canonical-path"),
    ("GET", "/CONTAINERS/json", True, 403, "letter-case"),
    ("GET", "/Version", True, 403, "letter-case"),
    ("GET", "/V1.41/containers/json", True, 403, "letter-case"),
    ("GET", "/containers/../secrets", True, 400, "canonical-path"),
    ("GET", "/containers/%2e%2e/secrets", True, 400, "canonical-path"),
    ("GET", "/containers/.%2E/secrets", True, 400, "canonical-path"),
    ("GET", "/containers/./json", True, 400, "canonical-path"),
    ("GET", "/containers//json", True, 400, "canonical-path"),
    ("GET", "/containers/x%2fjson", True, 400, "canonical-path"),
    ("POST", "/containers/x%2fstart", True, 400, "canonical-path"),
    ("GET", "/containers/x%00/json", True, 400, "canonical-path"),
    ("GET", "/containers/x%0a/json", True, 400, "canonical-path"),
    ("GET", "/containers/x/json;v=1", True, 200, None),
    ("GET", "/containers/json", True, 200, None),
    ("GET", "/%63ontainers/json", True, 200, None),
    ("GET", "/v1.41/containers/json", True, 200, None),
    ("GET", "//containers/json", False, 400, None),
    ("GET", "/./containers/json", False, 400, None),
    ("GET", "/v1.41//containers/json", False, 400, None),
    ("GET", "/%2563ontainers/json", False, None, None),
    ("GET", "/%2fcontainers/json", False, 400, None),
    ("GET", "/v/containers/json", False, 403, None),
    ("GET", "/secrets/containers/json", False, 403, None),
    ("GET", "/", False, 403, None),
]


@pytest.fixture(scope="module")
def ours(folder: str, engine: str):
    path = f"{folder}/bypasses.sock"
    with Proxy({**OPEN, "SOCKET_PATH": engine, "LOG_LEVEL": "crit"}, path):
        yield path


@pytest.mark.parametrize("method,target,theirs,status,_difference", SPELLINGS)
def test_spelling(
    method: str,
    target: str,
    theirs: bool,
    status: int | None,
    _difference: str | None,
    ours: str,
    peers: dict[str, str],
) -> None:
    request = [Request(method, target)]
    their_status = statuses(peers["linuxserver"], request, fields_of(LINUXSERVER, OPEN))[0]
    if their_status != 400:  # HAProxy itself refuses some bytes
        assert (their_status == 200) is theirs
    got = statuses(ours, request)[0]
    assert got == status or (status is None and got in (400, 403)), got


def mutate(generator: random.Random, request: Request) -> Request:
    """The same path with one thing about it changed."""
    target = request.target
    at = generator.randrange(len(target))
    change = generator.choice(
        ("escape", "case", "slash", "dot", "dots", "suffix", "cut", "hidden", "version", "method")
    )
    if change == "escape":
        target = f"{target[:at]}%{ord(target[at]):02x}{target[at + 1 :]}"
    elif change == "case":
        target = target[:at] + target[at].swapcase() + target[at + 1 :]
    elif change in ("slash", "dot", "dots", "hidden"):
        inserted = {"slash": "/", "dot": "/.", "dots": "/..", "hidden": "%2f"}[change]
        target = target[:at] + inserted + target[at:]
    elif change == "suffix":
        target += generator.choice(("x", "/", "/x", "%00", ".", "%20", "/json", "/start"))
    elif change == "cut":
        target = target[: at + 1]
    elif change == "version":
        target = generator.choice(("/v1", "/v1.41.0", "/v1.041", "/v0", "/v.", "/v1.")) + target
    else:
        return request._replace(method=generator.choice(("HEAD", "PUT", "PATCH", "OPTIONS")))
    return request._replace(target=target if target.startswith("/") else "/" + target)


# What ours lets through and linuxserver's rules do not, and no Engine has: detail-other-method and
# action-name.
DETAIL_PATH = re.compile(r"/(containers|pods)/[^/]+/(archive|changes|export|logs|top)", re.I)
ODD_NAME = re.compile(r"/(containers|pods)/[^/]*[^a-zA-Z0-9_.\-/][^/]*/", re.I)


@pytest.mark.parametrize("sample", range(6))
def test_no_spelling_opens_more_than_it_did(
    sample: int, folder: str, engine: str, peers: dict[str, str]
) -> None:
    """Whatever a path is made to look like: what linuxserver's rules deny is not let through."""
    generator = random.Random(SEED + sample)
    env = {name: generator.choice("01") for name in LINUXSERVER.variables}
    asked = [
        mutate(generator, generator.choice(catalogue.requests())) for _ in range(MUTATIONS // 6)
    ]
    path = f"{folder}/mutations-{sample}.sock"
    with Proxy({**env, "SOCKET_PATH": engine, "LOG_LEVEL": "crit"}, path):
        ours = statuses(path, asked)
    theirs = statuses(peers["linuxserver"], asked, fields_of(LINUXSERVER, env))
    looser = [
        f"{request}: {env}"
        for request, their, our in zip(asked, theirs, ours)
        if our == 200
        and their == 403
        and not DETAIL_PATH.search(request.target)
        and not ODD_NAME.search(request.target)
    ]
    assert not looser, "\n".join(looser[:10])
    assert 200 in ours, "nothing was let through: the sample shows nothing"


def test_other_methods_of_details_and_actions(
    folder: str, engine: str, peers: dict[str, str]
) -> None:
    """What no Engine has follows its section, where the peers look at the path alone."""
    asked = [Request("HEAD", "/containers/x/logs"), Request("GET", "/containers/x/start")]
    env = {"CONTAINERS": "1", "ALLOW_LOGS": "0", "POST": "0"}
    path = f"{folder}/methods.sock"
    with Proxy({**env, "SOCKET_PATH": engine}, path):
        assert statuses(path, asked) == [200, 200]
    assert statuses(peers["linuxserver"], asked, fields_of(LINUXSERVER, env)) == [403, 200]
    env = {"CONTAINERS": "0", "ALLOW_START": "1"}
    path = f"{folder}/methods-2.sock"
    with Proxy({**env, "SOCKET_PATH": engine}, path):
        assert statuses(path, asked) == [403, 403]
    assert statuses(peers["linuxserver"], asked, fields_of(LINUXSERVER, env)) == [403, 200]


def test_names_that_do_not_exist(folder: str, engine: str, peers: dict[str, str]) -> None:
    """action-name: the peers' actions want names of certain letters, which all names have."""
    env = {"CONTAINERS": "0", "ALLOW_START": "1"}
    asked = [Request("POST", "/containers/a%20b/start")]
    path = f"{folder}/names.sock"
    with Proxy({**env, "SOCKET_PATH": engine}, path):
        assert statuses(path, asked) == [200]
    assert statuses(peers["linuxserver"], asked, fields_of(LINUXSERVER, env)) == [403]


def test_tecnativa_lets_the_same_spellings_through(peers: dict[str, str]) -> None:
    """Both peers match alike: what is said of one in the table holds for the other."""
    env = {"CONTAINERS": "1"}
    for method, target, theirs, _, difference in SPELLINGS:
        if difference is not None and method == "GET":
            request = [Request(method, target)]
            got = statuses(peers["tecnativa"], request, fields_of(TECNATIVA, env))[0]
            assert got in ((200, 400) if theirs else (403,)), target
