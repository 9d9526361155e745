"""`convert`: what people have for another proxy becomes YAML that decides alike.

What comes out is loaded with `check`, run, and asked for every endpoint of the catalogue, beside
the original: HAProxy with the rules of Tecnativa and linuxserver, and for wollomatic and CetusGuard
a model of what their documentation says, written here in Python's own regular expressions.
"""

from __future__ import annotations

import os
import pathlib
import random
import re
import subprocess
from collections.abc import Callable, Mapping

import pytest
import yaml

import catalogue
from catalogue import Request
from differences import STARTS_THAT_ARE_MORE
from harness import BINARY, Proxy, ask, encode
from peers import PEERS, TECNATIVA_NEWEST, Peer

SEED = 7
VERSION = re.compile(r"^/v[0-9][0-9.]*(?=/)")
# Spellings with and without a version are one to the Engine, and to what is converted.
SPELLINGS = ("", "/v1.24", "/v1.41", "/v4.0.0")
# No endpoints; some are what patterns without parentheses let through.
OTHERS = [
    Request(method, target)
    for method in ("GET", "HEAD", "POST", "DELETE")
    for target in (
        "/secrets/containers",
        "/secrets/containers/json",
        "/_pingfoo",
        "/images/info",
        "/v1.41/containers/json/version",
        "/containersfoo",
        "/nothing",
    )
]


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments],
        env={"PATH": os.environ["PATH"], "CONTAINERS": "nonsense", "CONFIG": "/nowhere"},
        input=text,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


class Converted:
    """What `convert` made of a text, and `check` of that."""

    def __init__(self, folder: pathlib.Path, source: str, text: str):
        given = folder / "given"
        given.write_text(text)
        result = run("convert", "--from", source, str(given))
        assert result.returncode == 0, result.stderr
        self.source = source
        self.yaml = result.stdout
        self.warnings = result.stderr
        self.document = yaml.safe_load(result.stdout)
        self.comments = " ".join(
            line.strip().removeprefix("# ")
            for line in result.stdout.splitlines()
            if line.strip().startswith("#")
        )
        self.file = folder / "converted.yaml"
        self.file.write_text(result.stdout)
        check = subprocess.run(
            [BINARY, "check", "-c", str(self.file)],
            env={},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert check.returncode == 0, f"{check.stderr}\n{result.stdout}"

    @property
    def addresses(self) -> list[str]:
        return [listener["address"] for listener in self.document["listeners"]]

    def rules(self, policy: str | None = None) -> list[dict]:
        return self.document["policies"][policy or self.source]["rules"]

    def verdicts(self, folder: str, engine: str, asked: list[Request], policy: str = ""):
        """Whether each request is let through, by a running proxy."""
        path = f"{folder}/converted.sock"
        os.chmod(self.file.parent, 0o755)
        flags = ("-c", str(self.file), "--policy", policy or self.source)
        with Proxy({"SOCKET_PATH": engine, "LOG_LEVEL": "crit"}, path, *flags):
            return [status == 200 for status in ask(path, encode(r[:3] for r in asked))]


@pytest.fixture
def convert(tmp_path: pathlib.Path) -> Callable[[str, str], Converted]:
    return lambda source, text: Converted(tmp_path, source, text)


def test_a_byte_order_mark_is_no_part_of_a_name(convert: Callable[[str, str], Converted]) -> None:
    converted = convert("tecnativa", "\ufeffCONTAINERS=1\r\nPOST=1\r\n")
    assert {"allow": {"path": "/containers(/.*)?"}} in converted.rules()


def differing(asked: list[Request], ours: list[bool], theirs: list[bool]) -> str:
    return "\n".join(
        f"{request}: theirs {their}, ours {our}"
        for request, our, their in zip(asked, ours, theirs)
        if our != their
    )


# ---------------------------------------------------------------------------------------------
# Tecnativa and linuxserver, beside HAProxy


def env_file(env: Mapping[str, str]) -> str:
    return "# variables\n" + "".join(f"{name}={value}\n" for name, value in env.items())


def compose_map(env: Mapping[str, str], image: str) -> str:
    lines = "".join(f'      {name}: "{value}"\n' for name, value in env.items())
    return f"services:\n  app:\n    image: nginx\n  proxy:\n    image: {image}\n    environment:\n{lines}"


def compose_list(env: Mapping[str, str], image: str) -> str:
    lines = "".join(f"      - {name}={value} #optional\n" for name, value in env.items())
    return f"services:\n  proxy:\n    image: {image}:latest\n    environment:\n{lines}"


IMAGES = {
    "tecnativa": "ghcr.io/tecnativa/docker-socket-proxy",
    "linuxserver": "lscr.io/linuxserver/socket-proxy",
}
FORMS: dict[str, Callable[[Peer, Mapping[str, str]], str]] = {
    "env": lambda peer, env: env_file(env),
    "map": lambda peer, env: compose_map(env, IMAGES[peer.name]),
    "list": lambda peer, env: compose_list(env, IMAGES[peer.name]),
}
WORTHY = {
    "traefik": {"CONTAINERS": "1"},
    "watchtower": {"CONTAINERS": "1", "IMAGES": "1", "NETWORKS": "1", "POST": "1"},
    "restarts": {"CONTAINERS": "1", "POST": "1", "ALLOW_RESTARTS": "1", "ALLOW_START": "1"},
    "actions": {"ALLOW_START": "1", "ALLOW_STOP": "1"},
    "portainer": {
        name: "1" for name in ("CONTAINERS", "INFO", "TASKS", "SERVICES", "NODES", "VOLUMES")
    },
    "nothing": {"PING": "0", "VERSION": "0", "EVENTS": "0"},
    "words": {"CONTAINERS": "true", "IMAGES": "yes", "NETWORKS": "2", "VOLUMES": "01"},
}


def theirs_of(peer: Peer, env: Mapping[str, str], address: str, asked: list[Request]):
    fields = {name: value for name, value in peer.environment(env).items() if value != "0"}
    return [status == 200 for status in ask(address, encode((r[:3] for r in asked), fields))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WORTHY)
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_variables(peer: Peer, name: str, form: str, convert, folder, engine, peers) -> None:
    env = WORTHY[name]
    converted = convert(peer.name, FORMS[form](peer, env))
    asked = [r for r in catalogue.requests() if r.operation not in STARTS_THAT_ARE_MORE]
    ours = converted.verdicts(folder, engine, asked)
    assert not differing(asked, ours, theirs_of(peer, env, peers[peer.name], asked))


@pytest.mark.parametrize("sample", range(12))
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_random_variables(peer: Peer, sample: int, convert, folder, engine, peers) -> None:
    generator = random.Random(SEED + sample)
    env = {
        name: generator.choice(("0", "1", "1", "true", "3", ""))
        for name in peer.variables
        if generator.random() < 0.5
    }
    converted = convert(peer.name, env_file(env))
    asked = [r for r in catalogue.requests() if r.operation not in STARTS_THAT_ARE_MORE]
    ours = converted.verdicts(folder, engine, asked)
    assert not differing(asked, ours, theirs_of(peer, env, peers[peer.name], asked))


@pytest.mark.parametrize("sample", range(8))
def test_random_variables_of_the_newest_template(
    sample: int, convert, folder, engine, peers
) -> None:
    """It is told by a variable that no release has."""
    generator = random.Random(SEED + sample)
    env = {
        name: generator.choice(("0", "1", "1", "true", "3", ""))
        for name in TECNATIVA_NEWEST.variables
        if name == "DELETE" or generator.random() < 0.6
    }
    converted = convert("tecnativa", env_file(env))
    assert "only the newest template knows" in converted.warnings
    asked = [r for r in catalogue.requests() if r.operation not in STARTS_THAT_ARE_MORE]
    ours = converted.verdicts(folder, engine, asked)
    theirs = theirs_of(TECNATIVA_NEWEST, env, peers[TECNATIVA_NEWEST.name], asked)
    assert not differing(asked, ours, theirs)
    assert True in ours and False in ours


@pytest.mark.parametrize(
    "source,env,closed,said",
    [
        ("tecnativa", "DELETE=0", ["container.remove"], "newest template"),
        ("tecnativa", "ALLOW_EXEC=0", ["exec.create"], "newest template"),
        ("linuxserver", "DELETE=0", ["container.remove"], "NOT CONVERTED: DELETE=0"),
        ("linuxserver", "ALLOW_EXEC=0", ["exec.create"], "NOT CONVERTED: ALLOW_EXEC=0"),
        ("linuxserver", "ALLOW_KILL=1", [], "NOT CONVERTED: ALLOW_KILL=1"),
        ("tecnativa", "LIBPOD_INFO=1", ["libpod.system.info"], "NOT CONVERTED: LIBPOD_INFO=1"),
        ("tecnativa", "IAMGES=1", ["image.list"], "NOT CONVERTED: IAMGES: the original has no"),
        ("tecnativa", "PORTS=1", [], "NOT CONVERTED: PORTS: the original has no"),
        ("tecnativa", "LOGS=0", ["container.logs", "container.list"], "everything is denied"),
        ("linuxserver", "LOGS=", ["container.logs", "container.list"], "everything is denied"),
    ],
)
def test_what_is_not_known_is_said_and_closed(
    source: str, env: str, closed: list[str], said: str, convert, folder, engine
) -> None:
    converted = convert(source, f"CONTAINERS=1\nEXEC=1\nPOST=1\n{env}\n")
    assert said in converted.comments and said in converted.warnings
    asked = [r for r in catalogue.requests() if r.operation in (*closed, "container.stats")]
    for request, ours in zip(asked, converted.verdicts(folder, engine, asked)):
        assert ours is (request.operation not in closed and "LOGS" not in env), request


@pytest.mark.parametrize(
    "words,addresses",
    [
        ("127.0.0.1:2375", ["tcp://127.0.0.1:2375"]),
        (":::2375 v4v6", ["tcp://*:2375"]),
        ("/run/proxy.sock mode 660", ["unix:///run/proxy.sock"]),
        (":2375 ssl crt /x.pem", ["tcp://127.0.0.1:2375"]),
    ],
)
def test_bind_config_is_where_it_listens(words: str, addresses: list[str], convert) -> None:
    converted = convert("tecnativa", f"PING=1\nBIND_CONFIG={words}\n")
    assert converted.addresses == addresses
    assert ("NOT CONVERTED: BIND_CONFIG" in converted.warnings) is ("ssl" in words)
    assert converted.document["listeners"][0].get("mode") == ("0660" if "mode" in words else None)


def test_addresses_of_switched_proxies(convert) -> None:
    converted = convert("tecnativa", "SOCKET_PATH=/run/user/1000/docker.sock\nPING=1\n")
    assert converted.addresses == ["tcp://*:2375"]
    assert converted.document["upstream"] == {"address": "unix:///run/user/1000/docker.sock"}
    assert convert("tecnativa", "DISABLE_IPV6=yes\n").addresses == ["tcp://0.0.0.0:2375"]
    assert convert("linuxserver", "DISABLE_IPV6=1\n").addresses == ["tcp://0.0.0.0:2375"]
    assert convert("linuxserver", "DISABLE_IPV6=yes\n").addresses == ["tcp://*:2375"]


@pytest.mark.parametrize(
    "source,text,wanted",
    [
        ("tecnativa", "CONTAINERS=true", "CONTAINERS=true was closed"),
        ("tecnativa", "CONTAINERS=maybe", "CONTAINERS=maybe was closed"),
        ("tecnativa", "ALLOW_START=1", "ALLOW_START=1 opened nothing"),
        ("linuxserver", "ALLOW_EXEC=1", "ALLOW_EXEC=1: it did nothing"),
        ("tecnativa", "CONTAINERS=1", "attach/ws passes, as it did"),
        ("tecnativa", "CONTAINERS=1", "/containersfoo"),
        ("linuxserver", "CONTAINERS=yes", "CONTAINERS=yes was closed"),
        ("linuxserver", "CONTAINERS=1", "attach/ws passes, as it did"),
        ("tecnativa", "LOG_LEVEL=debug", "LOG_LEVEL=debug goes on as a variable"),
    ],
)
def test_comments_of_switched_proxies(source: str, text: str, wanted: str, convert) -> None:
    assert wanted in convert(source, text + "\n").comments


def test_no_comment_about_attach_where_post_is_open(convert) -> None:
    assert "attach/ws" not in convert("tecnativa", "CONTAINERS=1\nPOST=1\n").comments


# ---------------------------------------------------------------------------------------------
# wollomatic


def spelled(target: str) -> list[str]:
    """The path of a target in every spelling that the Engine takes for the same."""
    bare = VERSION.sub("", target.partition("?")[0])
    return [version + bare for version in SPELLINGS]


# Where these have the API version, they may have something else: they see it as the original does.
AS_SENT = ("/.*/json", "/v1\\..*/(start|stop)", "/[^/]+/containers/[^/]+/json")


def model(rules: list[tuple[str, str]], request: Request, as_sent: bool = False) -> bool:
    """Rules of a method and a pattern for the whole path, each alternative of which is one."""
    sent = request.target.partition("?")[0]
    return any(
        method == request.method and re.fullmatch(f"(?:{pattern})", path)
        for method, pattern in rules
        for path in ([sent] if as_sent or pattern in AS_SENT else spelled(request.target))
    )


WOLLOMATIC = {
    "traefik": ["-allowGET=/v1\\..{1,2}/(version|containers/.*|events.*)"],
    "traefik-any-version": ["-allowGET=/(v1\\..{1,2}/)?(version|containers/.*|events.*|_ping)"],
    "dozzle": [
        "-allowGET=/v1\\..{1,2}/(info|version|containers/json|containers/[^/]+/(json|stats|logs))",
        "-allowHEAD=/_ping",
    ],
    "watchtower": [
        "-allowGET=/v1\\..{1,2}/(containers/.*|images/.*)",
        "-allowPOST=/v1\\..{1,2}/(containers/.*|images/.*|networks/.*)",
        "-allowDELETE=/v1\\..{1,2}/(containers/.*|images/.*)",
    ],
    "everything": ["-allowGET=.*", "-allowHEAD=.*", "-allowPOST=.*", "-allowDELETE=.*"],
    "several": ["-allowGET=/version", "-allowGET=/v1\\.[0-9]+/info", "-allowGET=(/v[\\d.]+)?/_ping"],
    "leak": ["-allowGET=/_ping|/(v1\\..{1,2}/)?(info|version|containers|events).*"],
    "wildcards": ["-allowGET=/.*/json", "-allowPOST=/v1\\..*/(start|stop)"],
    "segments": ["-allowGET=/[^/]+/containers/[^/]+/json", "-allowPOST=/containers/[^/]+/start"],
    "literal": ["-allowGET=/containers/json", "-allowPOST=/containers/create"],
}


def rules_of(flags: list[str]) -> list[tuple[str, str]]:
    """["-allowGET=x"] → [("GET", "x")]"""
    return [(flag[len("-allow") :].partition("=")[0], flag.partition("=")[2]) for flag in flags]


def wollomatic_flags(flags: list[str]) -> str:
    return "".join(f"'{flag}'\n" if " " in flag else f"{flag}\n" for flag in flags)


def wollomatic_variables(flags: list[str]) -> str:
    pairs = [(f"SP_ALLOW_{method}_{i}", re_) for i, (method, re_) in enumerate(rules_of(flags))]
    return "".join(f"export {name}='{value}'\n" for name, value in pairs)


def wollomatic_compose(flags: list[str]) -> str:
    services = {
        "web": {"image": "traefik:v3"},
        "proxy": {"image": "ghcr.io/wollomatic/socket-proxy:1", "command": flags},
    }
    return yaml.safe_dump({"services": services})


@pytest.mark.parametrize(
    "form", [wollomatic_flags, wollomatic_variables, wollomatic_compose], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("name", WOLLOMATIC)
def test_patterns(name: str, form: Callable, convert, folder, engine) -> None:
    converted = convert("wollomatic", form(WOLLOMATIC[name]))
    asked = catalogue.requests() + OTHERS
    ours = converted.verdicts(folder, engine, asked)
    rules = rules_of(WOLLOMATIC[name])
    assert not differing(asked, ours, [model(rules, request) for request in asked])
    assert ("versioned_path" in converted.yaml) is (
        name == "everything" or any(pattern in AS_SENT for _, pattern in rules)
    )
    assert True in ours


def test_what_the_original_let_through_passes(convert, folder, engine) -> None:
    """As it was sent: for every pattern above, whatever it becomes."""
    for name, flags in WOLLOMATIC.items():
        converted = convert("wollomatic", wollomatic_flags(flags))
        asked = catalogue.requests()
        ours = converted.verdicts(folder, engine, asked)
        closed = [
            str(request)
            for request, our in zip(asked, ours)
            if not our and model(rules_of(flags), request, as_sent=True)
        ]
        assert not closed, (name, closed)


UNLIKE = [
    r"/\pN",
    r"/[\pL]+",
    r"/\p{Greek}",
    r"/\Ca",
    r"/\Q.*\E",
    r"/\x{1F600}",
    r"/\xff",
    r"/\Kinfo",
    r"/\Rinfo",
    r"/\h",
    r"/info\Z",
    r"/(a)\1",
    r"/(?=info).*",
    r"/(?!info).*",
    r"/(?<!x)info",
    r"/(?>a+)info",
    r"/(?|a|b)",
    r"/(?R)?",
    r"/(?#info)",
    r"/(?x)info",
    r"/(*ACCEPT)",
    r"/a*+",
    r"/a{,3}",
    "/" + "a" * 1100,
]


@pytest.mark.parametrize("pattern", UNLIKE)
def test_what_two_libraries_read_differently_stays_closed(pattern: str, convert) -> None:
    converted = convert("wollomatic", f"SP_ALLOW_HEAD=/_ping\nSP_ALLOW_GET='{pattern}'\n")
    assert f"NOT CONVERTED: {pattern}: " in converted.warnings
    assert "NOT CONVERTED" in converted.comments
    assert [rule["allow"]["methods"] for rule in converted.rules()] == [["HEAD"]]


@pytest.mark.parametrize(
    "pattern,opens",
    [
        (r"/(?i)INFO", True),
        (r"/(?i:INFO)", True),
        (r"(?s)/inf.", True),
        (r"(?U)/i.*o", True),
        (r"/(?P<what>info)", True),
        (r"/(?<what>info)", True),
        (r"^/info$", True),
        (r"\A/info\z", True),
        (r"/\x69nfo", True),
        (r"/[[:alpha:]]+", True),
        (r"/[]i]nf[^]]", True),
        (r"/info(\?.*)?", True),
        (r"/\binfo\b", True),
        (r"/INFO", False),
        (r"/inf", False),
        (r"nfo", None),
    ],
)
def test_what_both_read_alike_is_carried_over(
    pattern: str, opens: bool | None, convert, folder, engine, tmp_path
) -> None:
    if opens is None:
        (tmp_path / "given").write_text(f"-allowGET={pattern}\n")
        assert run("convert", "--from", "wollomatic", str(tmp_path / "given")).returncode == 2
        return
    converted = convert("wollomatic", f"SP_ALLOW_GET='{pattern}'\n")
    assert converted.verdicts(folder, engine, [Request("GET", "/info")]) == [opens]


def test_a_doubled_backslash_stays_closed(convert, folder, engine) -> None:
    """The original never matches it: no path has a backslash."""
    converted = convert("wollomatic", r"-allowGET=/info|/v1\\..{1,2}/version" + "\n")
    assert r"NOT CONVERTED: \\ in /info" in converted.comments
    assert "a backslash in the path itself" in converted.warnings
    asked = [Request("GET", target) for target in ("/version", "/v1.41/version", "/info")]
    assert converted.verdicts(folder, engine, asked) == [False, False, True]


def test_operations_where_a_pattern_is_exactly_some(convert) -> None:
    converted = convert("wollomatic", "-allowGET=(/v[\\d.]+)?/(containers/json|info|version)\n")
    (rule,) = converted.rules()
    assert sorted(rule["allow"]) == ["container.list", "system.info", "system.version"]
    converted = convert("wollomatic", "-allowGET=/containers/[^/]+/json\n")
    assert converted.rules() == [{"allow": ["container.inspect"]}]
    # GET is not all of system.ping, and ".*" is more than one operation's paths.
    converted = convert("wollomatic", "-allowGET=/_ping\n")
    named = {"operations": ["system.ping"], "methods": ["GET"]}
    assert converted.rules() == [{"allow": named}]
    for pattern, key in (
        ("/containers/.*", "path"),
        ("/images/[^/]+/json", "path"),
        ("/info.*", "path"),
        ("/[a-z]+", "path"),
        ("/containers/[a-z0-9]+/json", "path"),
        ("/containers/[^/]+/[a-z]+", "path"),
        (".*/json", "versioned_path"),
    ):
        converted = convert("wollomatic", f"-allowGET={pattern}\n")
        assert converted.rules() == [{"allow": {"methods": ["GET"], key: pattern}}], pattern


def test_versions_are_cut_off_where_they_are_plain(convert) -> None:
    for given, bare in (
        (r"/v1\..{1,2}/events.*", "/events.*"),
        (r"/v[\d.]+/events.*", "/events.*"),
        (r"(/v[\d\.]+)?/events.*", "/events.*"),
        (r"(?:/v[0-9]+(?:\.[0-9]+)*)?/events.*", "/events.*"),
        (r"/(v1\..{1,2}/)?events.*", "/events.*"),
        (r"/(v1\.\d+/(events.*|version)|_ping)", "/((events.*|version)|_ping)"),
        (r"/v1\.[0-9]+(/events.*|/info)", "(/events.*|/info)"),
        (r"^/v1\.41/events.*|/_ping", "/events.*|/_ping"),
        ("/v(olumes.*|ersion)", "/v(olumes.*|ersion)"),
    ):
        converted = convert("wollomatic", f"-allowGET={given}\n")
        assert converted.rules() == [{"allow": {"methods": ["GET"], "path": bare}}], given
    for given in (
        r"/v1\.41(/v1\.41/info.*|/v1\.41/x.*)",
        r"(/v1\.41)?/v1\.41/info.*",
        r"/v.*/events.*", r"/v1\..*/json", r"/v1\.41/v1\.41/info.*",
        r"/v1\.41",
        "/v[^/]+/x.*",
    ):
        converted = convert("wollomatic", f"-allowGET={given}\n")
        assert converted.rules() == [{"allow": {"methods": ["GET"], "versioned_path": given}}]


def test_flags_take_variables_of_their_method_out(convert) -> None:
    text = """
services:
  proxy:
    image: wollomatic/socket-proxy
    command: -allowGET=/version
    environment:
      SP_ALLOW_GET: /info
      SP_ALLOW_HEAD: /_ping
"""
    allowed = [rule["allow"] for rule in convert("wollomatic", text).rules()]
    assert allowed == [{"operations": ["system.ping"], "methods": ["HEAD"]}, ["system.version"]]


@pytest.mark.parametrize(
    "flags,address",
    [
        ("", "tcp://127.0.0.1:2375"),
        ("-proxyport=99", "tcp://127.0.0.1:99"),
        ("-listenip=0.0.0.0 -allowfrom=0.0.0.0/0", "tcp://0.0.0.0:2375"),
        ("-listenip=:: -allowfrom=0.0.0.0/0,::/0", "tcp://*:2375"),
        ("-listenip=:: -allowfrom=0.0.0.0/0", "tcp://0.0.0.0:2375"),
        ("-listenip=192.0.2.1 -allowfrom=0.0.0.0/0", "tcp://192.0.2.1:2375"),
        ("-listenip=fd00::1 -allowfrom=0.0.0.0/0,::/0", "tcp://[fd00::1]:2375"),
    ],
)
def test_listeners_of_wollomatic(flags: str, address: str, convert) -> None:
    converted = convert("wollomatic", f"-allowGET=/info {flags}\n")
    assert converted.addresses == [address]
    assert "NOT CONVERTED" not in converted.yaml


@pytest.mark.parametrize(
    "flags",
    [
        "-listenip=0.0.0.0",
        "-listenip=0.0.0.0 -allowfrom=traefik",
        "-listenip=0.0.0.0 -allowfrom=10.0.0.0/8,traefik",
        "-listenip=:: -allowfrom=::/0",
        "-listenip=fd00::1 -allowfrom=0.0.0.0/0",
    ],
)
def test_clients_that_cannot_be_told_apart_close_the_listener(flags: str, convert) -> None:
    converted = convert("wollomatic", f"-allowGET=/info {flags}\n")
    assert converted.addresses == ["tcp://127.0.0.1:2375"]
    assert "NOT CONVERTED: allowfrom=" in converted.comments
    assert "NOT CONVERTED: allowfrom=" in converted.warnings
    assert "make its address tcp://" in converted.comments


@pytest.mark.parametrize(
    "text,mode",
    [
        ("-proxysocketendpoint=/run/p.sock", "0600"),
        ("-proxysocketendpoint=/run/p.sock -proxysocketendpointfilemode=0660", "0660"),
        ("-proxysocketendpoint=/run/p.sock -proxysocketendpointfilemode=0o640", "0640"),
        ("-proxysocketendpoint=/run/p.sock -proxysocketendpointfilemode=432", "0660"),
        ("SP_PROXYSOCKETENDPOINT=/run/p.sock\nSP_PROXYSOCKETENDPOINTFILEMODE=660", "0660"),
    ],
)
def test_unix_socket_of_wollomatic(text: str, mode: str, convert) -> None:
    converted = convert("wollomatic", text + "\n")
    assert converted.document["listeners"] == [
        {"address": "unix:///run/p.sock", "mode": mode, "policy": "wollomatic"}
    ]
    assert "NOT CONVERTED" not in converted.yaml


def test_bind_mounts_that_were_looked_at_are_denied(convert, folder, engine) -> None:
    text = "-allowPOST=.*\n-allowbindmountfrom=/srv,/tmp\n"
    converted = convert("wollomatic", text)
    assert "NOT CONVERTED: allowbindmountfrom=/srv,/tmp" in converted.comments
    asked = [
        Request("POST", target)
        for target in (
            "/containers/create",
            "/v1.41/containers/x/update",
            "/services/create",
            "/services/x/update",
            "/volumes/create",
            "/containers/x/start",
        )
    ]
    assert converted.verdicts(folder, engine, asked) == [False] * 5 + [True]


LABELS = """
services:
  proxy:
    image: wollomatic/socket-proxy:1
    command:
      - -listenip=0.0.0.0
      - -allowfrom=0.0.0.0/0
      - -allowGET=/version
      %s
  dozzle:
    image: dozzle
    labels:
      socket-proxy.allow.get: /v1\\..{1,2}/info
      socket-proxy.allow.get.1: .*/containers/json
      socket-proxy.allow.head: /_ping
      socket-proxy.allow.bindmountfrom: /srv
      traefik.enable: "true"
  other:
    image: other
    labels:
      - socket-proxy.allow.post=/containers/.*
"""


def test_labels_become_policies_that_nobody_has(convert, folder, engine) -> None:
    converted = convert("wollomatic", LABELS % "- -proxycontainername=proxy")
    assert set(converted.document["policies"]) == {"wollomatic", "client-dozzle", "client-other"}
    assert converted.addresses == ["tcp://127.0.0.1:2375"]
    assert converted.comments.count("NOT CONVERTED: the labels of") == 2
    asked = [Request("GET", "/info"), Request("GET", "/v1.41/containers/json")]
    asked += [Request("HEAD", "/_ping"), Request("GET", "/version")]
    verdicts = converted.verdicts(folder, engine, asked, "client-dozzle")
    assert verdicts == [True, True, True, False]
    assert converted.verdicts(folder, engine, asked) == [False, False, False, True]


def test_labels_count_only_for_a_proxy_that_knows_its_name(convert) -> None:
    converted = convert("wollomatic", LABELS % "- -loglevel=debug")
    assert "labels socket-proxy.allow.* did nothing" in converted.comments
    assert set(converted.document["policies"]) == {"wollomatic"}
    assert converted.addresses == ["tcp://0.0.0.0:2375"]


@pytest.mark.parametrize(
    "flags,wanted",
    [
        ("-allowGET=/_ping|/info", "The original was looser"),
        ("-allowTRACE=.*", "NOT CONVERTED: allowTRACE"),
        ("-allowGET=/containers/.*", "attach/ws passes, as it did"),
        ("-allowGET=/info -logjson", "LOG_FORMAT=json"),
        ("-allowGET=/info -alowPOST=/build", "NOT CONVERTED: -alowPOST"),
        ("SP_ALLOWGET=/info", "NOT CONVERTED: SP_ALLOWGET"),
    ],
)
def test_comments_of_wollomatic(flags: str, wanted: str, convert) -> None:
    assert wanted in convert("wollomatic", flags + "\n").comments


def test_settings_that_are_the_originals_own_are_not_strange(convert) -> None:
    text = "-allowfrom=127.0.0.1\n-watchdoginterval=3600\n-stoponwatchdog\n-allowGET=/info\n"
    variables = "SP_ALLOW_GET_7=/info\nSP_LISTENIP=127.0.0.1\nPATH=/bin\n"
    guard = "CETUSGUARD_RULES=GET /info\nCETUSGUARD_LOG_LEVEL=6\nCETUSGUARD_FRONTEND_ADDR=tcp://127.0.0.1:1\n"
    for source, given in (("wollomatic", text), ("wollomatic", variables), ("cetusguard", guard)):
        assert "no such setting" not in convert(source, given).comments
    comments = convert("cetusguard", "CETUSGUARD_RULE=GET /build\n").comments
    assert "NOT CONVERTED: CETUSGUARD_RULE:" in comments


# ---------------------------------------------------------------------------------------------
# CetusGuard

PREFIX = r"(?:/v[0-9]+(?:\.[0-9]+)*)?"
OBJECT = r"(?:[a-fA-F0-9]+|[a-zA-Z0-9][a-zA-Z0-9_.-]+)"
REFERENCE = r"(?:[a-z0-9.]+(?::[0-9]+)?/)?[a-zA-Z0-9]+(?:[._-]+[a-zA-Z0-9]+)*(?:/[a-zA-Z0-9]+)*"
BUILTIN = [
    ("GET", f"{PREFIX}(?:/v[0-9.]+/libpod)?/(?:_ping|version|info)"),
    ("HEAD", f"{PREFIX}(?:/v[0-9.]+/libpod)?/_ping"),
]
CETUSGUARD = {
    "traefik": (
        """
! Monitor events
GET %API_PREFIX_EVENTS%
! List and inspect containers
GET %API_PREFIX_CONTAINERS%/json
GET %API_PREFIX_CONTAINERS%/%CONTAINER_ID_OR_NAME%/json
""",
        [
            ("GET", f"{PREFIX}/events"),
            ("GET", f"{PREFIX}/containers/json"),
            ("GET", f"{PREFIX}/containers/{OBJECT}/json"),
        ],
    ),
    "writes": (
        """
\tGET,POST,DELETE   %API_PREFIX_NETWORKS%/%NETWORK_ID_OR_NAME%\t
POST %API_PREFIX_CONTAINERS%/%CONTAINER_ID%(/start|/stop)
PUT,HEAD,GET %API_PREFIX%/containers/[^/]+/archive
GET %API_PREFIX_VOLUMES%(/%VOLUME_NAME%)?
""",
        [
            *((method, f"{PREFIX}/networks/[^/]+") for method in ("GET", "POST", "DELETE")),
            ("POST", f"{PREFIX}/containers/[a-fA-F0-9]+/(?:start|stop)"),
            *((method, f"{PREFIX}/containers/[^/]+/archive") for method in ("PUT", "HEAD", "GET")),
            ("GET", f"{PREFIX}/volumes(?:/[a-zA-Z0-9][a-zA-Z0-9_.-]+)?"),
        ],
    ),
    "images": (
        "GET %API_PREFIX_IMAGES%/%IMAGE_ID_OR_REFERENCE%/(json|history)\n",
        [("GET", f"{PREFIX}/images/{REFERENCE}/(?:json|history)")],
    ),
    "podman": (
        "GET,POST %API_PREFIX_LIBPOD_PODS%/.+\nGET %API_PREFIX_LIBPOD%/containers/json\n",
        [
            ("GET", r"/v[0-9.]+/libpod/pods/.+"),
            ("POST", r"/v[0-9.]+/libpod/pods/.+"),
            ("GET", r"/v[0-9.]+/libpod/containers/json"),
        ],
    ),
    "leak": (
        "GET /_ping|%API_PREFIX_CONTAINERS%/json\n",
        [("GET", f"/_ping|{PREFIX}/containers/json")],
    ),
}


@pytest.mark.parametrize("builtin", [True, False])
@pytest.mark.parametrize("name", CETUSGUARD)
def test_rules(name: str, builtin: bool, convert, folder, engine) -> None:
    text, rules = CETUSGUARD[name]
    if builtin:
        converted = convert("cetusguard", text)
    else:
        environment = {"CETUSGUARD_RULES": text, "CETUSGUARD_NO_BUILTIN_RULES": "true"}
        service = {"image": "docker.io/hectorm/cetusguard:v1", "environment": environment}
        services = {"guard": service, "web": {"image": "traefik"}}
        converted = convert("cetusguard", yaml.safe_dump({"services": services}))
    asked = catalogue.requests() + OTHERS
    ours = converted.verdicts(folder, engine, asked)
    rules = rules + (BUILTIN if builtin else [])
    assert not differing(asked, ours, [model(rules, request) for request in asked])


@pytest.mark.parametrize(
    "text,addresses",
    [
        ("GET /info\n", ["tcp://127.0.0.1:2375"]),
        ("-frontend-addr=tcp://:2375\n", ["tcp://*:2375"]),
        (
            "-frontend-addr=unix:///run/a.sock -frontend-addr tcp://10.0.0.1:99\n",
            ["unix:///run/a.sock", "tcp://10.0.0.1:99"],
        ),
        ("CETUSGUARD_FRONTEND_ADDR=tcp://127.0.0.1:5\n", ["tcp://127.0.0.1:5"]),
        ("services: {c: {image: hectorm/cetusguard}}\n", ["tcp://*:2375"]),
    ],
)
def test_listeners_of_cetusguard(text: str, addresses: list[str], convert) -> None:
    converted = convert("cetusguard", text)
    assert converted.addresses == addresses
    assert "NOT CONVERTED" not in converted.yaml


def test_tls_closes_the_listener(convert) -> None:
    text = "-frontend-addr=tcp://:2375\n-frontend-tls-cacert=ca.pem -frontend-tls-key=k.pem\n"
    converted = convert("cetusguard", text)
    assert converted.addresses == ["tcp://127.0.0.1:2375"]
    assert "NOT CONVERTED: TLS" in converted.comments
    assert "make its address tcp://*:2375" in converted.comments


def test_upstream_of_cetusguard(convert) -> None:
    converted = convert("cetusguard", "CONTAINER_HOST=unix:///run/podman.sock\nDOCKER_HOST=unix:///x\n")
    assert converted.document["upstream"] == {"address": "unix:///run/podman.sock"}


def test_rules_of_another_file_are_missed_loudly(convert) -> None:
    converted = convert("cetusguard", "-rules-file=/etc/rules.list\n")
    assert "NOT CONVERTED: the rules of /etc/rules.list" in converted.warnings


# ---------------------------------------------------------------------------------------------
# Errors, and what is around


def test_standard_input_is_the_default() -> None:
    for arguments in ((), ("-",)):
        result = run("convert", "--from", "tecnativa", *arguments, text="CONTAINERS=1\n")
        assert result.returncode == 0
        assert "/containers(/.*)?" in result.stdout


TWO = """
services:
  a: {image: wollomatic/socket-proxy}
  b: {image: wollomatic/socket-proxy:2}
"""


SERVICES = """
services:
  web: {image: nginx, environment: {CONTAINERS: 1}}
  mine: {image: registry.example.com/socket-proxy, environment: {IMAGES: 1}}
"""


def test_a_service_is_chosen_by_its_name(tmp_path: pathlib.Path) -> None:
    given = tmp_path / "compose.yaml"
    given.write_text(SERVICES)
    arguments = ("convert", "--from", "tecnativa", str(given))
    refused = run(*arguments)
    assert refused.returncode == 2
    assert "web, mine" in refused.stderr and "--service NAME" in refused.stderr
    chosen = run(*arguments, "--service", "mine")
    assert chosen.returncode == 0
    assert "/images(" in chosen.stdout and "/containers(" not in chosen.stdout
    absent = run(*arguments, "--service", "nginx")
    assert absent.returncode == 2
    assert "no service is called nginx" in absent.stderr


@pytest.mark.parametrize(
    "source,text,wanted",
    [
        ("tecnativa", "services: {web: {image: nginx}}", ["no service has an image", "web"]),
        ("wollomatic", "CONTAINERS=1\nPOST=0\n", ["given:1", "CONTAINERS", "wollomatic's"]),
        ("cetusguard", "-allowGET=/info\n", ["given:1", "allowGET", "CetusGuard"]),
        ("tecnativa", "SP_ALLOW_GET=/info\n", ["given:1", "SP_ALLOW_GET", "Tecnativa's"]),
        ("linuxserver", "-allowGET=/info\n", ["given:1", "allowGET", "linuxserver's"]),
        ("tecnativa", "", ["given:1", "empty"]),
        ("tecnativa", "# only this\n", ["given:1"]),
        ("tecnativa", "CONTAINERS=1\nnonsense\n", ["given:2", "nonsense", "NAME=value"]),
        ("tecnativa", 'CONTAINERS="1\n', ["given:1", "quote"]),
        ("tecnativa", "- a\n- b\n", ["given:1", "compose"]),
        ("tecnativa", "services:\n  a: {image: x}\n  b: {image: y}\n", ["given:", "a, b"]),
        ("wollomatic", TWO, ["more than one", "a, b"]),
        ("tecnativa", "services:\n  p:\n    image: tecnativa/docker-socket-proxy\n    environment:\n      CONTAINERS: ${C}\n", ["given:5", "${C}"]),
        ("tecnativa", "a: &x 1\n", ["given:1"]),
        ("wollomatic", "-allowGET=/info\n-allowPOST=(\n", ["given:2", "'('"]),
        ("wollomatic", "-allowGET=/inf[o\n", ["given:1", "/inf[o"]),
        ("wollomatic", "-allowGET\n", ["given:1", "allowGET", "value"]),
        ("wollomatic", "-allowGET=/info stray\n", ["given:1", "stray"]),
        ("wollomatic", "-proxyport=0\n", ["given:1", "proxyport", "'0'"]),
        (
            "wollomatic",
            "-proxysocketendpoint=/x\n-proxysocketendpointfilemode=600\n",
            ["given:2", "proxysocketendpointfilemode", "'600'"],
        ),
        ("cetusguard", "GET /info\nget /info\n", ["given:2", "get /info"]),
        ("cetusguard", "GET /info\nPOST\n", ["given:2", "POST"]),
        ("cetusguard", "GET,,POST /info\n", ["given:1", "GET,,POST"]),
        ("cetusguard", "-backend-addr=tcp://engine:2375\n", ["given:1", "tcp://engine:2375", "unix"]),
        ("cetusguard", "-frontend-addr=tls://:1\n", ["given:1", "tls://:1"]),
    ],
)
def test_errors(source: str, text: str, wanted: list[str], tmp_path: pathlib.Path) -> None:
    given = tmp_path / "given"
    given.write_text(text)
    result = run("convert", "--from", source, str(given))
    assert result.returncode == 2, result.stdout
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    for part in wanted:
        assert part in result.stderr


def test_command_line_errors(tmp_path: pathlib.Path) -> None:
    for arguments, wanted in (
        (["convert"], "--from"),
        (["convert", "--from"], "--from"),
        (["convert", "--from", "traefik"], "'traefik'"),
        (["convert", "--from", "tecnativa", str(tmp_path / "none")], "none"),
        (["convert", "--from", "tecnativa", "a", "b"], "'b'"),
        (["--from", "tecnativa"], "--from"),
    ):
        result = run(*arguments)
        assert result.returncode == 2, arguments
        assert wanted in result.stderr
        assert result.stderr.count("\n") == 1


def test_nothing_that_was_typed_leaves_its_comment(convert) -> None:
    """A value with a line end in it stays in its comment, where YAML does not see it."""
    text = "IMAGES='1\npolicies: {tecnativa: {rules: [{allow: [\"*\"]}]}}'\n"
    converted = convert("tecnativa", text)
    assert "'*'" not in str(converted.document["policies"])
    text = "LOG_LEVEL='a\nlisteners: [{address: tcp://*:1}]'\n"
    assert convert("linuxserver", text).addresses == ["tcp://*:2375"]


