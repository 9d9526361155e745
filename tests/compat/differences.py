"""Where this program decides otherwise than the two peers, and why: all there is.

Each difference is a row here and a row of the table in docs/compatibility.md, under the same
name. A verdict that differs without one of them fails the tests, and so does a difference that
never occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalogue import Request
from peers import DETAILS, LINUXSERVER, TECNATIVA, Peer

DETAIL_OPERATIONS = {
    "ALLOW_ARCHIVE": ("archive_get", "archive_stat", "archive_put"),
    "ALLOW_CHANGES": ("changes",),
    "ALLOW_EXPORT": ("export",),
    "ALLOW_LOGS": ("logs",),
    "ALLOW_TOP": ("top",),
}
ACTION_VERBS = {
    "ALLOW_RESTARTS": ("stop", "restart", "kill"),
    "ALLOW_START": ("start",),
    "ALLOW_STOP": ("stop",),
}


@dataclass(frozen=True)
class Case:
    """One request in one environment, judged differently."""

    peer: Peer
    env: Mapping[str, str]
    request: Request
    theirs: bool  # let through
    ours: bool

    @property
    def noun(self) -> str:
        return self.request.operation.rpartition(".")[0]

    @property
    def verb(self) -> str:
        return self.request.operation.rpartition(".")[2]

    def is_on(self, variable: str) -> bool:
        return self.env.get(variable) == "1"


@dataclass(frozen=True)
class Difference:
    name: str
    applies: Callable[[Case], bool]


def is_attach_ws(case: Case) -> bool:
    """Ours wants POST besides CONTAINERS: the request writes to standard input."""
    return (
        case.theirs
        and case.request.operation == "container.attach_ws"
        and case.is_on("CONTAINERS")
        and not case.is_on("POST")
    )


def is_action_without_post(case: Case) -> bool:
    """Tecnativa's ALLOW_START opens nothing without POST; ours and linuxserver's does."""
    return (
        case.ours
        and case.peer is TECNATIVA
        and not case.is_on("POST")
        and case.noun == "container"
        and any(case.is_on(name) and case.verb in verbs for name, verbs in ACTION_VERBS.items())
    )


def is_libpod_action(case: Case) -> bool:
    """Tecnativa's ALLOW_START is for the Engine's containers; ours and linuxserver's podman's too."""
    return (
        case.ours
        and case.peer is TECNATIVA
        and case.noun in ("libpod.container", "libpod.pod")
        and any(case.is_on(name) and case.verb in verbs for name, verbs in ACTION_VERBS.items())
    )


def is_libpod_hello(case: Case) -> bool:
    """Tecnativa knows no podman; LIBPOD_PING and LIBPOD_VERSION are on by default, as linuxserver's are."""
    return (
        case.ours
        and case.peer is TECNATIVA
        and case.request.operation in ("libpod.system.ping", "libpod.system.version")
    )


def is_detail_not_set(case: Case) -> bool:
    """linuxserver closes logs and the like until ALLOW_LOGS=1; ours only when ALLOW_LOGS=0."""
    return (
        case.ours
        and case.peer is LINUXSERVER
        and any(
            name not in case.env and case.verb in DETAIL_OPERATIONS[name] for name in DETAILS
        )
        and case.noun in ("container", "libpod.container", "libpod.pod")
    )


def is_start_with_config(case: Case) -> bool:
    """A start that brings a configuration along (API before 1.24) creates; ALLOW_START is for starting."""
    return (
        case.theirs
        and case.request.operation == "container.start_with_config"
        and case.is_on("ALLOW_START")
    )


DIFFERENCES = (
    Difference("attach-ws", is_attach_ws),
    Difference("action-without-post", is_action_without_post),
    Difference("libpod-action", is_libpod_action),
    Difference("libpod-hello", is_libpod_hello),
    Difference("detail-not-set", is_detail_not_set),
    Difference("start-with-config", is_start_with_config),
)

# Of spellings and of values, which test_bypasses.py and test_values.py try one by one.
OTHER_DIFFERENCES = ("prefix", "letter-case", "canonical-path", "words", "numbers", "nothing-set")


def explain(case: Case) -> str | None:
    """The name of the difference that covers it."""
    for difference in DIFFERENCES:
        if difference.applies(case):
            return difference.name
    return None
