"""What Tecnativa's and linuxserver's proxies are documented to do, as configurations of HAProxy.

Both are HAProxy with a list of rules that look at environment variables. The rules here are
written from their documentation and from what was observed of them, for this comparison only: a
rule is a line of `Peer.rules`, in the order in which it is tried.

A variable can be looked up in two ways: in the environment, as the peers do it, for which each
set of variables takes a process of its own; or in a header field of the request (X-CONTAINERS:
1), with which one process stands for any number of environments. Both read the text as HAProxy's
boolean: a number that is not 0. test_switches.py shows that they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

VERSION = r"^(/v[\d\.]+)?"
NAME = r"[a-zA-Z0-9_.-]+"

SECTIONS = {
    name.upper().lstrip("_"): name
    for name in (
        "auth build commit configs containers distribution events exec grpc images info networks"
        " nodes _ping plugins secrets services session swarm system tasks version volumes"
    ).split()
}
LIBPOD_SECTIONS = {
    "LIBPOD_" + name.upper().lstrip("_"): name
    for name in (
        "containers events exec generate images info manifests networks _ping play pods secrets"
        " system version volumes"
    ).split()
}
# The last segments that a switch for an action opens.
ACTIONS = {
    "RESTARTS": "(stop|restart|kill)",
    "START": "start",
    "STOP": "stop",
    "PAUSE": "pause",
    "UNPAUSE": "unpause",
}
# The last segments that linuxserver closes until a switch opens them.
DETAILS = {
    "ALLOW_ARCHIVE": "archive",
    "ALLOW_CHANGES": "change",
    "ALLOW_EXPORT": "export",
    "ALLOW_LOGS": "logs",
    "ALLOW_TOP": "top",
}
# The last segments that Tecnativa's newest template closes until a switch opens them.
GUARDS = {
    "ALLOW_EXEC": "exec",
    "ALLOW_KILL": "kill",
    "ALLOW_ATTACH": "attach",
    "ALLOW_ARCHIVE": "archive",
    "ALLOW_EXPORT": "export",
    "ALLOW_LOGS": "logs",
}
# The methods that it has a switch of their own for, beside POST.
METHODS = ("DELETE", "PUT", "PATCH")
ON_BY_DEFAULT = ("EVENTS", "PING", "VERSION", "LIBPOD_PING", "LIBPOD_VERSION")

# The text of a condition, made from the name of a variable.
Lookup = Callable[[str], str]


def from_environment(variable: str) -> str:
    return f"{{ env({variable}) -m bool }}"


def from_header(variable: str) -> str:
    return f"{{ req.hdr(x-{variable.lower().replace('_', '-')}) -m bool }}"


def path_is(pattern: str) -> str:
    return f"{{ path,url_dec -m reg -i {VERSION}{pattern} }}"


def allow_sections(lookup: Lookup, sections: Mapping[str, str], prefix: str = "/") -> list[str]:
    return [
        f"allow if {path_is(prefix + segment)} {lookup(variable)}"
        for variable, segment in sections.items()
    ]


def allow_actions(lookup: Lookup, actions: list[str], prefix: str, objects: str) -> list[str]:
    return [
        f"allow if {path_is(f'{objects}/{NAME}/{ACTIONS[action]}')} {lookup(prefix + action)}"
        for action in actions
    ]


def deny_changes(lookup: Lookup) -> str:
    return f"deny unless METH_GET || {lookup('POST')}"


def tecnativa_rules(lookup: Lookup) -> list[str]:
    return [
        deny_changes(lookup),
        *allow_actions(lookup, ["RESTARTS", "START", "STOP"], "ALLOW_", "/containers"),
        *allow_sections(lookup, SECTIONS),
        "deny",
    ]


def tecnativa_newest_rules(lookup: Lookup) -> list[str]:
    """Each method has a switch; what is dangerous below a container is denied before all else."""
    methods = " || ".join(f"{{ method {name} }} {lookup(name)}" for name in ("POST", *METHODS))
    return [
        f"deny unless METH_GET || {methods}",
        *(
            f"deny if {path_is(f'/containers/{NAME}/{segment}')} !{lookup(variable)}"
            for variable, segment in GUARDS.items()
        ),
        *allow_actions(lookup, list(ACTIONS), "ALLOW_", "/containers"),
        *allow_sections(lookup, SECTIONS),
        "deny",
    ]


def linuxserver_rules(lookup: Lookup) -> list[str]:
    either = "(/libpod)?/(containers|pods)"
    return [
        *(
            f"deny if {path_is(f'{either}/{NAME}/{segment}')} !{lookup(variable)}"
            for variable, segment in DETAILS.items()
        ),
        *allow_actions(lookup, list(ACTIONS), "ALLOW_", either),
        *allow_actions(lookup, list(ACTIONS), "LIBPOD_ALLOW_", "/libpod/containers"),
        *allow_actions(lookup, list(ACTIONS), "LIBPOD_ALLOW_POD_", "/libpod/pods"),
        deny_changes(lookup),
        *allow_sections(lookup, SECTIONS),
        *allow_sections(lookup, LIBPOD_SECTIONS, "/libpod/"),
        "deny",
    ]


@dataclass(frozen=True)
class Peer:
    name: str
    rules: Callable[[Lookup], list[str]]
    sections: tuple[str, ...]
    actions: tuple[str, ...]
    details: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        return (*self.sections, *self.actions, *self.details, *self.methods, "POST")

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What its image makes of the variables that were given."""
        return {
            name: given.get(name, "1" if name in ON_BY_DEFAULT else "0")
            for name in self.variables
        }


TECNATIVA = Peer(
    "tecnativa",
    tecnativa_rules,
    sections=tuple(SECTIONS),
    actions=("ALLOW_RESTARTS", "ALLOW_START", "ALLOW_STOP"),
)
TECNATIVA_NEWEST = Peer(
    "tecnativa-newest",
    tecnativa_newest_rules,
    sections=tuple(SECTIONS),
    actions=tuple(f"ALLOW_{action}" for action in ACTIONS),
    details=tuple(GUARDS),
    methods=METHODS,
)
LINUXSERVER = Peer(
    "linuxserver",
    linuxserver_rules,
    sections=(*SECTIONS, *LIBPOD_SECTIONS),
    actions=tuple(
        prefix + action
        for prefix in ("ALLOW_", "LIBPOD_ALLOW_", "LIBPOD_ALLOW_POD_")
        for action in ACTIONS
    ),
    details=tuple(DETAILS),
)
PEERS = (TECNATIVA, LINUXSERVER)
# And what is not released yet.
ALL_PEERS = (*PEERS, TECNATIVA_NEWEST)


def configuration(peer: Peer, lookup: Lookup, listen: str, engine: str) -> str:
    """An HAProxy that listens on one unix socket, with the rules of `peer` in front of another."""
    rules = "\n".join(f"    http-request {rule}" for rule in peer.rules(lookup))
    return f"""\
global
    maxconn 200
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend proxy
    bind unix@{listen}
{rules}
    default_backend docker
backend docker
    server engine unix@{engine}
"""


def engine_configuration(listen: str) -> str:
    """An Engine that responds with 200 to every request."""
    return f"""\
global
    maxconn 2000
defaults
    mode http
    timeout client 60s
frontend engine
    bind unix@{listen} mode 666
    http-request return status 200 content-type application/json string {{}}
"""
