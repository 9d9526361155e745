"""Where this program decides otherwise than the peers, and why: all there is.

Each difference is a row here and a row of the table in docs/compatibility.md, under the same
name. A verdict that differs without one of them fails the tests, and so does a difference that
never occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalogue import Request
from peers import LINUXSERVER, TECNATIVA, TECNATIVA_NEWEST, Peer

# What the switches for less than a section are about, without podman's prefix.
OPERATIONS = {
    "ALLOW_ARCHIVE": ("container.archive_get", "container.archive_stat", "container.archive_put"),
    "ALLOW_ATTACH": ("container.attach", "container.attach_ws"),
    "ALLOW_CHANGES": ("container.changes",),
    "ALLOW_EXEC": ("exec.create",),
    "ALLOW_EXPORT": ("container.export",),
    "ALLOW_KILL": ("container.kill", "pod.kill"),
    "ALLOW_LOGS": ("container.logs",),
    "ALLOW_PAUSE": ("container.pause", "pod.pause"),
    "ALLOW_RESTARTS": tuple(
        f"{noun}.{verb}" for noun in ("container", "pod") for verb in ("stop", "restart", "kill")
    ),
    "ALLOW_START": ("container.start", "pod.start"),
    "ALLOW_STOP": ("container.stop", "pod.stop"),
    "ALLOW_TOP": ("container.top", "pod.top"),
    "ALLOW_UNPAUSE": ("container.unpause", "pod.unpause"),
}
# Those that open their operations here, whatever section and POST are.
OPENING = (
    "ALLOW_ATTACH ALLOW_EXEC ALLOW_KILL ALLOW_PAUSE ALLOW_RESTARTS ALLOW_START ALLOW_STOP"
    " ALLOW_UNPAUSE"
).split()
TECNATIVAS = (TECNATIVA, TECNATIVA_NEWEST)


@dataclass(frozen=True)
class Case:
    """One request in one environment, judged differently."""

    peer: Peer
    env: Mapping[str, str]
    request: Request
    theirs: bool  # let through
    ours: bool

    @property
    def is_podman(self) -> bool:
        return self.request.operation.startswith("libpod.")

    def is_on(self, variable: str) -> bool:
        return self.env.get(variable) == "1"

    def concerns(self, variable: str) -> bool:
        """Whether the request is what this switch is about."""
        return self.request.operation.removeprefix("libpod.") in OPERATIONS[variable]

    @property
    def is_opened_by_action(self) -> bool:
        return any(self.is_on(name) and self.concerns(name) for name in OPENING)


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
        and case.peer in TECNATIVAS
        and not case.is_on("POST")
        and not case.is_podman
        and case.is_opened_by_action
    )


def is_action_without_section(case: Case) -> bool:
    """Tecnativa's ALLOW_EXEC, KILL and ATTACH open nothing without CONTAINERS; ours do."""
    return (
        case.ours
        and case.peer is TECNATIVA_NEWEST
        and not case.is_on("CONTAINERS")
        and not case.is_podman
        and any(
            case.is_on(name) and case.concerns(name)
            for name in ("ALLOW_EXEC", "ALLOW_KILL", "ALLOW_ATTACH")
        )
    )


def is_libpod_action(case: Case) -> bool:
    """Tecnativa's ALLOW_START is for the Engine's containers; ours and linuxserver's podman's too."""
    return (
        case.ours
        and case.peer in TECNATIVAS
        and case.is_podman
        and case.is_opened_by_action
    )


def is_libpod_hello(case: Case) -> bool:
    """Tecnativa knows no podman; LIBPOD_PING and LIBPOD_VERSION are on by default, as linuxserver's are."""
    return (
        case.ours
        and case.peer in TECNATIVAS
        and case.request.operation in ("libpod.system.ping", "libpod.system.version")
    )


def is_detail_not_set(case: Case) -> bool:
    """Theirs closes logs and the like until ALLOW_LOGS=1; ours only when ALLOW_LOGS=0."""
    return (
        case.ours
        and case.peer in (LINUXSERVER, TECNATIVA_NEWEST)
        and any(name not in case.env and case.concerns(name) for name in case.peer.details)
    )


def is_method_not_set(case: Case) -> bool:
    """Tecnativa's newest closes DELETE, PUT and PATCH until they are 1; ours follow POST."""
    return (
        case.ours
        and case.peer is TECNATIVA_NEWEST
        and case.is_on("POST")
        and case.request.method in case.peer.methods
        and case.request.method not in case.env
    )


def is_action_closed(case: Case) -> bool:
    """An explicit 0 of ALLOW_PAUSE or ALLOW_UNPAUSE closes; theirs then follow CONTAINERS and POST."""
    return case.theirs and any(
        case.env.get(name) == "0" and case.concerns(name) for name in ("ALLOW_PAUSE", "ALLOW_UNPAUSE"))


STARTS_THAT_ARE_MORE = ("container.start_with_config", "container.start_from_checkpoint")


def is_start_that_is_more(case: Case) -> bool:
    """A start that brings a configuration along (API before 1.24) creates, and one from a checkpoint reads any
    directory of the host; ALLOW_START is for starting."""
    return (
        case.theirs
        and case.request.operation in STARTS_THAT_ARE_MORE
        and case.is_on("ALLOW_START")
    )


DIFFERENCES = (
    Difference("attach-ws", is_attach_ws),
    Difference("action-without-post", is_action_without_post),
    Difference("action-without-section", is_action_without_section),
    Difference("libpod-action", is_libpod_action),
    Difference("libpod-hello", is_libpod_hello),
    Difference("detail-not-set", is_detail_not_set),
    Difference("method-not-set", is_method_not_set),
    Difference("action-closed", is_action_closed),
    Difference("start-that-is-more", is_start_that_is_more),
)

# Of spellings and of values, which test_bypasses.py and test_values.py try one by one.
OTHER_DIFFERENCES = (
    "detail-other-method",
    "action-other-method",
    "action-name",
    "prefix",
    "letter-case",
    "canonical-path",
    "words",
    "numbers",
    "nothing-set",
)


def explain(case: Case) -> str | None:
    """The name of the difference that covers it."""
    for difference in DIFFERENCES:
        if difference.applies(case):
            return difference.name
    return None
