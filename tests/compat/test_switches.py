"""The same variables, the same requests: ours and the peers' proxies let the same through.

Every endpoint of the catalogue is asked in every environment below, through a running HAProxy with
the peer's rules and through our running binary. Verdicts may differ only where differences.py
says so.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

import catalogue
from differences import DIFFERENCES, Case, explain
from harness import HAProxy, Proxy, ask, encode
from peers import ALL_PEERS, LINUXSERVER, Peer, configuration, from_environment

Environment = Mapping[str, str]
SEED = 20260818
SAMPLES = 120
ALLOWED = (200,)
# Which rows of differences.py were needed, over all tests.
occurred: Counter[str] = Counter()


def alone_and_with_post(peer: Peer) -> Iterator[Environment]:
    for variable in (*peer.sections, *peer.actions, *peer.details, *peer.methods):
        for value in ("1", "0"):
            yield {variable: value}
            yield {variable: value, "POST": "1"}
    yield {"POST": "1"}
    yield {"POST": "0"}


def pairs(peer: Peer) -> Iterator[Environment]:
    for section, fine in itertools.product(peer.sections, (*peer.actions, *peer.details)):
        yield {section: "1", fine: "1"}
    # What a detail is when it is 0 shows only where its section is open.
    for section, detail in itertools.product(
        ("CONTAINERS", "LIBPOD_CONTAINERS", "LIBPOD_PODS"), peer.details
    ):
        if section in peer.sections:
            yield {section: "1", detail: "0", "POST": "1"}
    for section, method in itertools.product(peer.sections, peer.methods):
        yield {section: "1", method: "1"}
        yield {section: "1", method: "0", "POST": "1"}


def samples(peer: Peer) -> Iterator[Environment]:
    """Some variables set, to either value, among them those of the image's defaults."""
    generator = random.Random(SEED)
    for _ in range(SAMPLES):
        share = generator.choice((0.1, 0.3, 0.6, 1.0))
        env = {
            name: generator.choice("01")
            for name in peer.variables
            if generator.random() < share
        }
        yield env or {"PING": "1"}


ENVIRONMENTS = {"alone": alone_and_with_post, "pairs": pairs, "samples": samples}


def ask_ours(folder: str, engine: str, number: int, env: Environment, asked: list) -> list[bool]:
    path = f"{folder}/ours-{number}.sock"
    with Proxy({**env, "SOCKET_PATH": engine, "LOG_LEVEL": "crit"}, path):
        return [status in ALLOWED for status in ask(path, encode(r[:3] for r in asked))]


def ask_theirs(peer: Peer, address: str, env: Environment, asked: list) -> list[bool]:
    fields = {name: value for name, value in peer.environment(env).items() if value != "0"}
    statuses = ask(address, encode((r[:3] for r in asked), fields))
    assert set(statuses) <= {200, 403}, set(statuses)
    return [status in ALLOWED for status in statuses]


def unexplained(cases: list[Case]) -> list[str]:
    """Cases that no difference covers, as a reader wants to see them."""
    lines = []
    for case in cases:
        name = explain(case)
        if name is None:
            settings = " ".join(f"{key}={value}" for key, value in sorted(case.env.items()))
            theirs, ours = ("lets" if verdict else "denies" for verdict in (case.theirs, case.ours))
            lines.append(f"{settings}: {case.request}: {case.peer.name} {theirs}, ours {ours}")
        else:
            occurred[name] += 1
    return lines


@pytest.mark.parametrize("kind", ENVIRONMENTS)
@pytest.mark.parametrize("peer", ALL_PEERS, ids=lambda peer: peer.name)
def test_verdicts_agree(
    peer: Peer, kind: str, folder: str, engine: str, peers: dict[str, str]
) -> None:
    requests = catalogue.requests()
    environments = list(ENVIRONMENTS[kind](peer))
    share = 4 if kind == "pairs" else 1  # of the many pairs each asks another quarter

    def compare(number: int) -> list[Case]:
        env, asked = environments[number], requests[number % share::share]
        ours = ask_ours(folder, engine, number, env, asked)
        theirs = ask_theirs(peer, peers[peer.name], env, asked)
        return [
            Case(peer, env, request, *verdicts)
            for request, *verdicts in zip(asked, theirs, ours)
            if verdicts[0] != verdicts[1]
        ]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        cases = list(itertools.chain(*pool.map(compare, range(len(environments)))))
    wrong = unexplained(cases)
    assert not wrong, f"{len(wrong)} verdicts differ:\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("peer", ALL_PEERS, ids=lambda peer: peer.name)
def test_headers_stand_for_the_environment(
    peer: Peer, folder: str, engine: str, peers: dict[str, str]
) -> None:
    """The peers read variables; one process with header fields in their place judges alike."""
    asked = catalogue.requests()
    environments = [env for env in alone_and_with_post(peer) if "0" not in env.values()]
    for number, env in enumerate(environments[::3]):
        path = f"{folder}/env-{number}.sock"
        text = configuration(peer, from_environment, path, engine)
        with HAProxy(folder, f"env-{number}", text, path, peer.environment(env)):
            by_environment = [s in ALLOWED for s in ask(path, encode(r[:3] for r in asked))]
        assert by_environment == ask_theirs(peer, peers[peer.name], env, asked), env


def test_linuxserver_with_every_variable_set(
    folder: str, engine: str, peers: dict[str, str]
) -> None:
    """Where nothing is left to defaults, what ours demands or closes in addition is left to differ."""
    asked = catalogue.requests()
    generator = random.Random(SEED)
    for number in range(20):
        env = {name: generator.choice("01") for name in LINUXSERVER.variables}
        ours = ask_ours(folder, engine, number, env, asked)
        theirs = ask_theirs(LINUXSERVER, peers["linuxserver"], env, asked)
        differing = {
            explain(Case(LINUXSERVER, env, request, a, b))
            for request, a, b in zip(asked, theirs, ours)
            if a != b
        }
        assert differing <= {"attach-ws", "start-that-is-more", "action-closed"}, env


def test_every_difference_occurred() -> None:
    """A row of the table that no verdict needs says something that is not so."""
    if not occurred:
        pytest.skip("the comparison did not run")
    assert set(occurred) == {difference.name for difference in DIFFERENCES}
