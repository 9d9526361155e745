"""What the variables may hold, and what holds beside them: port, address, POLICY, CONFIG."""

from __future__ import annotations

import os
import subprocess

import pytest

from harness import BINARY, Proxy, ask, connect, encode
from peers import LINUXSERVER, TECNATIVA, TECNATIVA_NEWEST

SECTION = ("GET", "/containers/json", "")


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments],
        env={"PATH": os.environ["PATH"], **(env or {})},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def listeners(env: dict[str, str]) -> list[str]:
    """The lines of `check` that say who listens where with which policy."""
    result = run("check", env=env)
    assert result.returncode == 0, result.stderr
    return [line for line in result.stdout.splitlines() if line.startswith("listener ")]


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "Yes", "on"])
def test_words_open(value: str, peers: dict[str, str]) -> None:
    """Where 1 and yes are one; of the words the peers take none for true."""
    assert run("explain", "GET /containers/json", env={"CONTAINERS": value}).returncode == 0
    for peer in (TECNATIVA, LINUXSERVER):
        fields = {"CONTAINERS": value}
        status = ask(peers[peer.name], encode([SECTION], fields))[0]
        assert status == (200 if value == "1" else 403)


@pytest.mark.parametrize("value", ["0", "false", "False", "no", "NO", "off"])
def test_words_close(value: str, peers: dict[str, str]) -> None:
    assert run("explain", "GET /version", env={"VERSION": value}).returncode == 1
    assert ask(peers["tecnativa"], encode([SECTION], {"CONTAINERS": value}))[0] == 403


@pytest.mark.parametrize("value", ["2", "-1", "01", " 1", "enable", "y", "1,"])
def test_anything_else_refuses_to_start(value: str) -> None:
    for variable in ("CONTAINERS", "POST", "ALLOW_START", "ALLOW_LOGS", "LIBPOD_PING"):
        result = run("check", env={variable: value})
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        for part in (variable, f"'{value}'", "yes", "off"):
            assert part in result.stderr


@pytest.mark.parametrize("value", ["2", "-1", "01"])
def test_numbers_that_the_peers_take_for_true(value: str, peers: dict[str, str]) -> None:
    assert ask(peers["tecnativa"], encode([SECTION], {"CONTAINERS": value}))[0] == 200


def test_nothing_set_is_no_switch() -> None:
    """Without any of them nothing is replaced: the default is POLICY's."""
    assert listeners({"TZ": "Etc/UTC", "LOG_LEVEL": "info"}) == [
        "listener tcp://*:3277, policy open"
    ]


@pytest.mark.parametrize("name", ["CONTAINERS", "POST", "ALLOW_START", "ALLOW_LOGS", "DELETE"])
def test_an_empty_switch_is_one_that_is_0(name: str, peers: dict[str, str]) -> None:
    """An env file that was not found must not open everything."""
    assert listeners({name: ""}) == ["listener tcp://*:2375, policy switches"]
    assert run("explain", "GET /containers/json", env={name: ""}).returncode == 1
    assert ask(peers["tecnativa"], encode([SECTION], {"CONTAINERS": ""}))[0] == 403


@pytest.mark.parametrize("name,path", [("PING", "/_ping"), ("EVENTS", "/events"), ("VERSION", "/version")])
def test_what_is_on_by_default_is_closed_when_empty(name: str, path: str) -> None:
    assert run("explain", f"GET {path}", env={"INFO": "0"}).returncode == 0
    assert run("explain", f"GET {path}", env={name: ""}).returncode == 1


@pytest.mark.parametrize(
    "name,parts",
    [
        ("SP_ALLOW_GET", ["convert --from wollomatic"]),
        ("SP_LOGLEVEL", ["convert --from wollomatic"]),
        ("CETUSGUARD_RULES", ["convert --from cetusguard"]),
        ("CETUSGUARD_FRONTEND_ADDR", ["convert --from cetusguard", "LISTEN"]),
        ("SOCKGUARD_RULES", ["sockguard", "CONFIG"]),
        ("SOCKET_PROXY_UID", ["read-only"]),
        ("ALLOWED_HOSTS", ["ALLOW="]),
        ("ALLOWED_METHODS", ["ALLOW="]),
        ("ALLOWED_PATHS", ["ALLOW="]),
        ("CONTAINERS_READ", ["CONTAINERS=1"]),
        ("IMAGES_WRITE", ["POST=1"]),
        ("POLCY", ["mean POLICY?"]),
        ("policy", ["mean POLICY?"]),
        ("POLICIES", ["mean POLICY?"]),
        ("PRESET", ["mean POLICY?"]),
        ("CONFIG_FILE", ["mean CONFIG?"]),
        ("CONFG", ["mean CONFIG?"]),
        ("READ_ONLY", ["POLICY=read-only"]),
        ("SP_ALLOW_GET_" + "X" * 80, ["convert --from wollomatic"]),
        ("LISTN", ["mean LISTEN?"]),
        ("LOOPBAK", ["mean LOOPBACK?"]),
        ("LISTEN_ADDRESS", ["mean LISTEN?"]),
        ("LISTEN_HOST", ["mean LISTEN?"]),
        ("LISTEN_INTERFACE", ["mean LISTEN?"]),
        ("BIND_HOST", ["mean LISTEN?"]),
        ("BINDCONFIG", ["mean BIND_CONFIG?"]),
        ("bind_config", ["mean BIND_CONFIG?"]),
        ("LOOPBACK_ONLY", ["mean LOOPBACK?"]),
        ("CONFIG_YAML", ["mean CONFIG?"]),
        ("CONFIGURATION", ["mean CONFIG?"]),
        ("ALLOWLIST", ["ALLOW="]),
        ("ALLOW_METHODS", ["--help lists the variables"]),
        ("ALLOW_GET", ["no such variable"]),
        ("LIBPOD_PATHS", ["no such variable"]),
    ],
)
def test_what_is_set_to_restrict_and_is_not_read_stops_the_start(
    name: str, parts: list[str]
) -> None:
    """Whatever its value, an empty one too: who sets it does not want everything open."""
    for value in ("traefik", ""):
        result = run("check", env={name: value})
        assert result.returncode == 2, name
        assert result.stderr.count("\n") == 1
        for part in (name, *parts):
            assert part in result.stderr
    settled = {"POLICY": "open", "LISTEN": "tcp://*:3277"}
    result = run("check", env={name: "traefik", **settled})
    assert result.returncode == 0 and name in result.stderr


@pytest.mark.parametrize("name", ["DENY"])
def test_what_this_program_cannot_do_is_refused_beside_a_policy(name: str) -> None:
    result = run("check", env={name: "x", "POLICY": "traefik", "LISTEN": "tcp://*:3277"})
    assert result.returncode == 2 and f"{name}=x" in result.stderr


def test_all_slips_are_said_at_once() -> None:
    result = run("check", env={"ALLOW_SECRETS": "1", "ALLOW_IMAGES": "1", "PORTS": "1"})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    for part in (
        "ALLOW_SECRETS=1: there is no such variable; did you mean SECRETS?",
        "ALLOW_IMAGES=1: there is no such variable; did you mean IMAGES?",
        "PORTS=1: there is no such variable; did you mean PORT?",
    ):
        assert part in result.stderr


@pytest.mark.parametrize("name", ["POLCY", "POLICIES", "PRESET"])
def test_a_policy_that_is_set_was_not_meant(name: str) -> None:
    result = run("check", env={name: "x", "POLICY": "traefik"})
    assert result.returncode == 0
    assert f"{name}=x: there is no such variable; --help" in result.stderr


def test_what_is_set_already_was_not_meant() -> None:
    env = {"PORTS": "1", "POST": "1", "PORT": "4000"}
    result = run("check", env=env)
    assert result.returncode == 0
    assert "PORTS=1: there is no such variable; --help lists" in result.stderr


def test_one_sentence_names_all_variables_of_another_proxy() -> None:
    result = run("check", env={"SP_ALLOW_GET": "/x", "SP_LISTENIP": "127.0.0.1"})
    assert result.returncode == 2
    assert result.stderr.count("wollomatic's") == 1
    assert "SP_ALLOW_GET" in result.stderr and "SP_LISTENIP" in result.stderr


def test_a_former_name_counts_and_is_remarked_on() -> None:
    env = {"ALLOW_RESUME": "1"}
    assert run("explain", "POST /containers/x/unpause", env=env).returncode == 0
    assert "ALLOW_UNPAUSE" in run("check", env=env).stderr


@pytest.mark.parametrize(
    "name,meant",
    [
        ("ALLOW_LOG", "ALLOW_LOGS"),
        ("CONTAINER", "CONTAINERS"),
        ("ALLOW_EVERYTHING", "--help lists the variables"),
        ("LOGS", "ALLOW_LOGS"),
    ],
)
def test_a_mistyped_switch_alone_does_not_leave_everything_open(name: str, meant: str) -> None:
    result = run("check", env={name: "0"})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    for part in (f"{name}=0", meant, "POLICY"):
        assert part in result.stderr
    assert run("check", env={name: "0", "POLICY": "open"}).returncode == 0
    assert run("check", "--policy", "open", env={name: "0"}).returncode == 0


@pytest.mark.parametrize(
    "slip,meant",
    [
        ({"post": "0"}, "POST"),
        ({"POSTS": "1"}, "POST"),
        ({"EXPORT": "0"}, "ALLOW_EXPORT"),
        ({"allow_exec": "0"}, "ALLOW_EXEC"),
        ({"Delete": "0"}, "DELETE"),
        ({"PORTS": "1"}, "PORT"),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(slip: dict[str, str], meant: str) -> None:
    """Of options and switches together; a name in other letters is that name."""
    assert f"did you mean {meant}?" in run("check", env=slip).stderr


def test_a_section_that_is_set_was_not_meant() -> None:
    """ALLOW_CONTAINERS is CONTAINERS, and no other section where that is set."""
    result = run("check", env={"ALLOW_CONTAINERS": "1", "CONTAINERS": "1"})
    assert "ALLOW_CONTAINERS=1: there is no such variable; --help" in result.stderr


@pytest.mark.parametrize("name", ["ALLOW_LOG", "LIBPOD_CONTAINER", "ALLOW_EVERYTHING"])
def test_what_can_only_be_a_mistyped_switch_is_refused_beside_others(name: str) -> None:
    """What it was to close would stay open."""
    result = run("check", env={"CONTAINERS": "1", name: "0"})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and f"{name}=0" in result.stderr
    for value in ("", "never"):
        assert run("check", env={"CONTAINERS": "1", name: value}).returncode == 2
    assert run("check", env={"POLICY": "traefik", name: "0"}).returncode == 0


@pytest.mark.parametrize(
    "name,meant", [("LOGS", "ALLOW_LOGS"), ("CONTAINER", "CONTAINERS")]
)
def test_what_is_like_a_switch_is_said_beside_others(name: str, meant: str) -> None:
    result = run("check", env={"IMAGES": "1", name: "1"})
    assert result.returncode == 0
    assert f"{name}=1" in result.stderr and f"mean {meant}?" in result.stderr


def test_a_slip_that_was_to_close_is_refused_beside_others() -> None:
    """LOGS=0 leaves logs open, VERSIONS=0 the version."""
    for name in ("LOGS", "VERSIONS"):
        result = run("check", env={"CONTAINERS": "1", name: "0"})
        assert result.returncode == 2 and f"{name}=0" in result.stderr


@pytest.mark.parametrize("name,value", [("CONTAINER", "docker"), ("DEBUG", "1"), ("CI", "true")])
def test_other_programs_variables_are_no_switches(name: str, value: str) -> None:
    result = run("check", env={name: value})
    assert result.returncode == 0 and result.stderr == ""


def test_port_is_2375_with_switches_unless_it_is_given() -> None:
    assert listeners({"PING": "1"}) == ["listener tcp://*:2375, policy switches"]
    assert listeners({"PING": "1", "PORT": "4000"}) == ["listener tcp://*:4000, policy switches"]
    assert listeners({"PING": "1", "LISTEN": "tcp://127.0.0.1:99"}) == [
        "listener tcp://127.0.0.1:99, policy switches"
    ]


def test_the_port_of_switches_is_no_setting_that_could_go_unused() -> None:
    env = {"PING": "1", "LISTEN": "tcp://127.0.0.1:99"}
    assert "PORT" not in run("check", env=env).stderr
    assert "PORT=4000 does not count" in run("check", env={**env, "PORT": "4000"}).stderr


@pytest.mark.parametrize("value,host", [("1", "0.0.0.0"), ("true", "0.0.0.0"), ("0", "*")])
def test_disable_ipv6(value: str, host: str) -> None:
    assert listeners({"PING": "1", "DISABLE_IPV6": value}) == [
        f"listener tcp://{host}:2375, policy switches"
    ]


def test_disable_ipv6_is_no_section_switch() -> None:
    assert listeners({"DISABLE_IPV6": "yes"}) == ["listener tcp://0.0.0.0:3277, policy open"]
    result = run("check", env={"DISABLE_IPV6": "perhaps"})
    assert result.returncode == 2 and "DISABLE_IPV6" in result.stderr


@pytest.mark.parametrize(
    "words,expected",
    [
        ("127.0.0.1:2375", ["tcp://127.0.0.1:2375"]),
        ("ipv4@127.0.0.1:2375", ["tcp://127.0.0.1:2375"]),
        (":2375", ["tcp://0.0.0.0:2375"]),
        ("*:2376", ["tcp://0.0.0.0:2376"]),
        (":::2375 v4v6", ["tcp://*:2375"]),
        ("ipv6@:2375", ["tcp://*:2375"]),
        ("ipv6@*:2375", ["tcp://*:2375"]),
        ("ipv4@:2375", ["tcp://0.0.0.0:2375"]),
        ("[::]:2375 v4v6", ["tcp://*:2375"]),
        ("::1:2375 v6only", ["tcp://[::1]:2375"]),
        ("[::1]:2375", ["tcp://[::1]:2375"]),
        ("127.0.0.1:2375,127.0.0.1:2376", ["tcp://127.0.0.1:2375", "tcp://127.0.0.1:2376"]),
        ("/shared/podman.sock mode 660", ["unix:///shared/podman.sock"]),
        ("  unix@/shared/x.sock   mode  0600 ", ["unix:///shared/x.sock"]),
    ],
)
def test_bind_config_is_translated(words: str, expected: list[str]) -> None:
    """Ignored, it would listen on every interface."""
    found = listeners({"PING": "1", "BIND_CONFIG": words})
    assert [line.split(",")[0].removeprefix("listener ") for line in found] == expected
    if "mode" in words:
        assert f"mode 0{words.split()[-1][-3:]}" in found[0]


@pytest.mark.parametrize(
    "words,part",
    [
        (":::2375 v6only", "v6only"),
        (":2375 ssl crt /x.pem", "ssl"),
        ("/run/x.sock user proxy mode 660", "user"),
        ("/run/x.sock mode", "mode"),
        ("/run/x.sock mode 8", "8"),
        (":2375-2380", "2375-2380"),
        ("abns@x", "abns@x"),
        ("fd@3", "fd@3"),
        ("2375", "2375"),
        ("eth0:2375", "eth0:2375"),
        (":2375 accept-proxy", "accept-proxy"),
        ("ipv6@:2375 v6only", "v6only"),
    ],
)
def test_what_bind_config_says_besides_stops_the_start(words: str, part: str) -> None:
    result = run("check", env={"PING": "1", "BIND_CONFIG": words})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "BIND_CONFIG" in result.stderr and part in result.stderr


def test_an_action_that_is_0_and_open_all_the_same_is_said() -> None:
    """As with the peers, CONTAINERS and POST open what ALLOW_START=0 does not."""
    env = {"CONTAINERS": "1", "POST": "1", "ALLOW_START": "0", "ALLOW_STOP": "0"}
    assert "ALLOW_START=0, ALLOW_STOP=0: this closes nothing" in run("check", env=env).stderr
    assert run("check", env={**env, "POST": "0"}).stderr == ""


def test_listen_counts_before_bind_config() -> None:
    env = {"LISTEN": "tcp://127.0.0.1:99", "BIND_CONFIG": ":2375", "POLICY": "traefik"}
    assert listeners(env) == ["listener tcp://127.0.0.1:99, policy traefik"]
    del env["LISTEN"]
    assert run("check", "--listen", "tcp://127.0.0.1:98", env=env).stdout.count("0.0.0.0") == 0


def test_switches_replace_policy_and_say_so() -> None:
    result = run("check", env={"CONTAINERS": "1", "POLICY": "traefik"})
    assert result.returncode == 0
    assert "policy switches" in result.stdout
    assert "POLICY=traefik" in result.stderr and "CONTAINERS" in result.stderr


def test_policy_on_the_command_line_counts_before_switches() -> None:
    result = run("check", "--policy", "traefik", env={"CONTAINERS": "1"})
    assert result.returncode == 0
    assert "listener tcp://*:3277, policy traefik" in result.stdout
    assert "--policy traefik" in result.stderr and "CONTAINERS" in result.stderr


@pytest.mark.parametrize("by_flag", [True, False])
def test_file_and_switches_are_an_error(by_flag: bool, tmp_path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("policy: traefik\n")
    arguments = ["-c", str(file)] if by_flag else []
    env = {"IMAGES": "1"} | ({} if by_flag else {"CONFIG": str(file)})
    result = run("check", *arguments, env=env)
    assert result.returncode == 2
    assert "IMAGES" in result.stderr
    assert ("--config" if by_flag else "CONFIG") in result.stderr


def test_a_denial_names_the_switches(folder: str, engine: str) -> None:
    path = f"{folder}/denial.sock"
    with Proxy({"CONTAINERS": "1", "SOCKET_PATH": engine}, path):
        with connect(path) as client:
            client.sendall(
                b"POST /images/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\n"
                b"Content-Length: 0\r\n\r\n"
            )
            with client.makefile("rb") as stream:
                response = stream.read().decode()
    assert "policy 'switches'" in response
    assert "set IMAGES=1 and POST=1" in response


def test_help_lists_every_switch() -> None:
    words = run("--help").stdout.replace(",", " ").split()
    for variable in (*LINUXSERVER.variables, *TECNATIVA_NEWEST.variables):
        assert variable in words, variable
