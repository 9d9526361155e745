"""The command line: what is asked for is printed, what is wrong is named, and the exit status says
which."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import signal
import socket
import subprocess
import termios

import pytest

from machine import free_port
from wire import BINARY, PATIENCE, Engine, clean_environment, eventually, run_binary


def one_clear_line(result, *wanted: str) -> None:
    """Exit 2 and one line on stderr that holds every one of `wanted`."""
    assert result.returncode == 2, f"exit {result.returncode}: {result.stdout}{result.stderr}"
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, f"not one line: {result.stderr!r}"
    for text in wanted:
        assert text in lines[0], f"{text!r} is not in {lines[0]!r}"


def test_help_names_every_command_and_option() -> None:
    result = run_binary("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for word in (
        "healthcheck",
        "--version",
        "--listen",
        "--upstream",
        "--workers",
        "--log-level",
        "PORT",
        "SOCKET_PATH",
        "API_KEY",
        "LOG_LEVEL",
    ):
        assert word in result.stdout, word
    assert max(len(line) for line in result.stdout.splitlines()) <= 100


def test_version_is_one_line() -> None:
    result = run_binary("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"docker-socket-proxy \S+.*\n", result.stdout)


def test_unknown_flag() -> None:
    one_clear_line(run_binary("--no-such-flag"), "--no-such-flag")


def test_unknown_flag_with_value() -> None:
    one_clear_line(run_binary("--no-such-flag=1"), "--no-such-flag")


def test_unknown_short_flag() -> None:
    one_clear_line(run_binary("-Z"), "-Z")


def test_unknown_command() -> None:
    one_clear_line(run_binary("frobnicate"), "frobnicate")


def test_missing_value() -> None:
    one_clear_line(run_binary("--log-level"), "--log-level")


@pytest.mark.parametrize(
    "args,wanted",
    [
        (["--workers", "many"], ["--workers", "many"]),
        (["--workers", "65"], ["--workers", "65"]),
        (["--workers", "-1"], ["--workers", "-1"]),
        (["--workers", "99999999999999999999"], ["--workers", "99999999999999999999"]),
        (["--workers="], ["--workers"]),
        (["--log-level", "loud"], ["--log-level", "loud", "debug", "info", "warning"]),
        (["--listen", "nonsense"], ["--listen", "nonsense", "tcp://"]),
        (["--listen", "tcp://127.0.0.1:99999"], ["--listen", "99999"]),
        (["--listen", "tcp://127.0.0.1"], ["--listen", "tcp://127.0.0.1"]),
        (["--upstream", "ftp://x"], ["--upstream", "ftp://x", "unix://"]),
        (["--config", ""], ["--config", "missing", "FILE"]),
        (["--policy="], ["--policy", "missing", "NAME"]),
        (["convert", "--from", "tecnativa", "-c", "x"], ["--config", "convert takes"]),
        (["lern"], ["lern", "'learn'"]),
        (["convrt"], ["convrt", "'convert'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_value_of_a_flag(args: list[str], wanted: list[str]) -> None:
    one_clear_line(run_binary(*args), *wanted)


@pytest.mark.parametrize(
    "name,value,accepted",
    [
        ("PORT", "http", "65535"),
        ("PORT", "0x10", "65535"),
        ("PORT", "65536", "65535"),
        ("PORT", "-1", "65535"),
        ("PORT", " 3277", "65535"),
        ("PORT", "3277 ", "65535"),
        ("PORT", "+3277", "65535"),
        ("LOG_LEVEL", "loud", "debug"),
        ("LOG_FORMAT", "xml", "json"),
        ("DOCKER_HOST", "ssh://host", "unix://"),
    ],
)
def test_bad_value_of_a_variable(name: str, value: str, accepted: str) -> None:
    """The variable, its value and what would do: nobody has to open the manual."""
    one_clear_line(run_binary(**{name: value}), name, value, accepted)


@pytest.mark.parametrize(
    "level", ["debug", "info", "notice", "warning", "err", "error", "crit", "alert", "emerg"]
)
def test_every_log_level_is_accepted(start, own_engine: Engine, level: str) -> None:
    """syslog's words, as HAProxy-based images take them."""
    proxy = start(env={"LOG_LEVEL": level})
    with proxy.connect() as client:
        client.get("/health")
        assert client.response().status == 200


@pytest.mark.parametrize("key", ["line\nbreak", "carriage\rreturn", "nul-like\x01"])
def test_api_key_that_no_header_can_carry_is_refused(key: str) -> None:
    """Sent as it is, it would add headers of its own to every request."""
    result = run_binary(API_KEY=key)
    assert result.returncode == 2
    assert "API_KEY" in result.stderr
    assert key not in result.stderr, "the key is printed"


def test_flag_beats_environment(start, own_engine: Engine) -> None:
    port = free_port()
    proxy = start(
        "--listen",
        f"tcp://127.0.0.1:{port}",
        "--upstream",
        f"unix://{own_engine.path}",
        env={"SOCKET_PATH": "/nowhere.sock", "PORT": str(free_port())},
        port=port,
    )
    with proxy.connect() as client:
        client.get("/version")
        own_engine.request().respond()
        assert client.response().status == 200


def test_port_in_use_is_named(own_engine: Engine) -> None:
    """Another program has the port: which one, and that it is taken."""
    with socket.socket(socket.AF_INET) as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        result = run_binary(PORT=str(port), SOCKET_PATH=own_engine.path)
        assert result.returncode not in (0, -6, -11)
        assert str(port) in result.stderr
        assert "in use" in result.stderr


def test_two_proxies_on_one_port_are_refused(start, own_engine: Engine) -> None:
    """With SO_REUSEPORT a forgotten first one would take half of the connections."""
    proxy = start()
    result = run_binary(PORT=str(proxy.port), SOCKET_PATH=own_engine.path)
    assert result.returncode not in (0, -6, -11)
    assert str(proxy.port) in result.stderr


def test_own_listener_as_upstream_is_refused(folder: str) -> None:
    """A proxy that forwards to itself would eat the machine with the first request."""
    path = f"{folder}/loop.sock"
    result = run_binary("--listen", f"unix://{path}", "--upstream", f"unix://{path}")
    assert result.returncode == 2
    assert path in result.stderr


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("ssh://engine", "use tls://HOST:PORT, or unix:///PATH on its host"),
        ("http://engine", "unix:///PATH, or tcp://HOST:PORT"),
        ("http://engine:2375", "did you mean tcp://engine:2375?"),
        ("https://engine:2376", "did you mean tls://engine:2376?"),
        ("engine:2375", "did you mean tcp://engine:2375?"),
    ],
)
def test_an_engine_that_cannot_be_reached_this_way_is_refused(value: str, instead: str) -> None:
    one_clear_line(run_binary(SOCKET_PATH=value), "SOCKET_PATH", value, instead)


def test_the_format_of_the_log_is_taken_in_any_case(start, own_engine: Engine) -> None:
    proxy = start(env={"LOG_FORMAT": "JSON"})
    assert proxy.wait_log(lambda line: line.startswith("{"), what="in JSON")


def test_a_socket_that_everybody_may_open_is_warned_of(start, own_engine: Engine, folder: str) -> None:
    file = f"{folder}/everybody.yaml"
    with open(file, "w", encoding="ascii") as text:
        text.write(f"listeners: [{{address: 'unix://{folder}/everybody.sock', mode: '0666', policy: traefik}}]\n")
    result = run_binary("check", "-c", file)
    assert result.returncode == 0
    assert "mode 0666: every user who reaches the file may connect" in result.stderr


def test_start_up_says_where_it_listens_and_what_it_forwards_to(start, own_engine: Engine) -> None:
    proxy = start()
    with proxy.connect() as client:
        client.get("/health")
        client.response()
    line = proxy.wait_log(lambda line: f":{proxy.port}," in line, what="about where it listens")
    assert own_engine.path in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "has no key: a line is 'name:key'"),
        ("# none\n\n", "has no key: a line is 'name:key'"),
        ("ci\n", "keys:1: a line is 'name:key', or 'name:HASH'"),
        ("ci:\n", "keys:1: the key behind ':' is not accepted: it is empty"),
        ("ci:a key\n", "keys:1: the key behind ':' is not accepted: a key has only visible ASCII"),
        ("ci:caf\u00e9-caf\u00e9-caf\u00e9\n", "keys:1: the key behind ':' is not accepted: a key has only visible"),
        ("c i:0123456789abcdef\n", "keys:1: what stands in front of ':' is no name"),
        ("ci:0123456789abcdef\nci:fedcba9876543210\n", "keys:2: two clients have the name 'ci'"),
        ("ci:0123456789abcdef\n\nops:0123456789abcdef\n", "keys:3: the clients 'ci' and 'ops' have the same key"),
        (
            "ci:0123456789abcdef\nops:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f\n",
            "keys:2: the clients 'ci' and 'ops' have the same key",
        ),
        ("ci:" + "k" * 4097, "keys:1: the key behind ':' is not accepted: a key has at most 4096 characters"),
        ("ci:" + "k" * 1048576, "cannot be read: it is longer than 1 MiB"),
    ],
)
def test_a_file_of_keys_that_is_not_understood_stops_the_start(
    tmp_path, content: str | None, words: str
) -> None:
    """Whoever asks for keys must not get a proxy that serves everyone."""
    keys = tmp_path / "keys"
    if content is not None:
        keys.write_text(content)
    for done in (run_binary(CLIENT_KEYS_FILE=str(keys)), run_binary("--client-keys", str(keys))):
        assert done.returncode == 2
        assert words in done.stderr, done.stderr
        assert "0123456789abcdef" not in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("typed", "end"), [
    (b"a-key-that-is-long-enough\n", 0), (b"\x03", -signal.SIGINT), (b"\x1c", -signal.SIGQUIT)])
def test_a_key_that_is_typed_is_not_shown_and_what_follows_is(typed: bytes, end: int) -> None:
    terminal, keeper = pty.openpty()
    pid = os.fork()
    if pid == 0:
        os.login_tty(os.dup(keeper))
        os.execv(BINARY, [str(BINARY), "hash-key"])

    def shows() -> bool:
        return bool(termios.tcgetattr(keeper)[3] & termios.ECHO)

    eventually(lambda: not shows(), "the terminal hides what is typed")
    os.write(terminal, typed)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == end
    assert shows()
    said = os.read(terminal, 4096)
    assert said.startswith(b"key: ")
    assert b"long-enough" not in said
    os.close(keeper)
    os.close(terminal)


def test_an_empty_name_of_the_file_of_keys_stops_the_start() -> None:
    done = run_binary(CLIENT_KEYS_FILE="")
    assert done.returncode == 2
    assert "CLIENT_KEYS_FILE is empty" in done.stderr


def test_keys_that_are_badly_kept_are_a_warning(tmp_path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("ci:k\nops:0123456789abcdef\n")
    keys.chmod(0o644)
    done = run_binary("check", CLIENT_KEYS_FILE=str(keys), LOOPBACK="1")
    assert done.returncode == 0
    assert "keys:1: the key of 'ci' has fewer than 16 characters and can be guessed" in done.stderr
    assert f"CLIENT_KEYS_FILE: '{keys}' has keys and mode 0644: every user can read them" in done.stderr
    keys.write_text(f"ci:{64 * 'a'}\n")
    assert run_binary("check", CLIENT_KEYS_FILE=str(keys), LOOPBACK="1").stderr == ""
    keys.write_text("ci:0123456789abcdef\n")
    keys.chmod(0o640)
    assert run_binary("check", CLIENT_KEYS_FILE=str(keys), LOOPBACK="1").stderr == ""


def test_hash_key_prints_what_the_configuration_keeps(tmp_path) -> None:
    def hash_key(key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BINARY, "hash-key", *arguments], input=key, text=True, capture_output=True, check=False
        )

    key = "0123456789abcdef"
    digest = hashlib.sha256(key.encode()).hexdigest()
    for text in (key, f"{key}\n", f"{key}\r\n"):
        done = hash_key(text)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{digest}\n", "")
    salt, _, salted = hash_key(key, "--salt").stdout.strip().partition(":")
    assert hashlib.sha256(bytes.fromhex(salt) + key.encode()).hexdigest() == salted
    assert "can be guessed" in hash_key("short").stderr
    for text in ("", "\n", "a key", "k" * 4097):
        done = hash_key(text)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("docker-socket-proxy: hash-key: ")


def test_a_port_without_use_is_said(tmp_path) -> None:
    done = run_binary("check", "--listen", "tcp://127.0.0.1:4000", PORT="4001")
    assert done.returncode == 0
    assert "PORT=4001 does not count" in done.stderr


@pytest.mark.parametrize("names", [",", ",,", ",traefik", "traefik,", " , traefik", "traefik,,dozzle"])
def test_a_comma_without_a_name(names: str, tmp_path) -> None:
    """In the environment and in a file: a slip of the hand, not the end of the process."""
    one_clear_line(run_binary("check", POLICY=names), "POLICY", "comma")
    file = tmp_path / "proxy.yaml"
    file.write_text(f"policy: '{names}'\n")
    one_clear_line(run_binary("check", "-c", str(file)), f"{file}:1", "comma")
    file.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:3277', policy: '{names}'}}]\n")
    one_clear_line(run_binary("check", "-c", str(file)), f"{file}:1", "comma")


def test_united_policies_and_added_operations_are_what_is_served(start, own_engine: Engine) -> None:
    """Named in the log and in the response as they were given."""
    proxy = start(env={"POLICY": "traefik,dozzle", "ALLOW": "image.list"})
    for target in ("/containers/json", "/containers/x/logs", "/images/json"):
        with proxy.connect() as client:
            client.get(target)
            own_engine.request().respond()
            assert client.response().status == 200, target
    with proxy.connect() as client:
        client.get("/volumes")
        response = client.response()
        assert response.status == 403
        assert b"policy 'traefik,dozzle+ALLOW'" in response.body
        assert b"add volume.list to ALLOW" in response.body
    proxy.wait_log(lambda line: "policy=traefik,dozzle+ALLOW" in line, what="of the policy")


def test_operations_alone_are_all_that_is_served(start, own_engine: Engine) -> None:
    proxy = start(env={"ALLOW": "container.list"})
    with proxy.connect() as client:
        client.get("/containers/json")
        own_engine.request().respond()
        assert client.response().status == 200
    with proxy.connect() as client:
        client.get("/version")
        assert client.response().status == 403


@pytest.mark.parametrize("method", ["get", "Get", "GET"])
def test_a_method_in_the_wrong_case_is_remarked_on(method: str) -> None:
    result = run_binary("explain", f"{method} /containers/json", POLICY="traefik")
    assert ("did you mean GET?" in result.stdout) == (method != "GET")
    assert result.returncode == (0 if method == "GET" else 1)


DEFAULT_FILE = "/etc/docker-socket-proxy/proxy.yaml"
# Nothing but that file, or what Docker makes in its place, is in /etc then.
WITH_DEFAULT_FILE = f"""
mount -t tmpfs none /etc
case $1 in
"") ;;
directory) mkdir -p {DEFAULT_FILE} ;;
*) mkdir -p /etc/docker-socket-proxy && printf %s "$1" >{DEFAULT_FILE} ;;
esac
shift
exec "$@"
"""
in_its_own_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def run_with_default_file(content: str, *args: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", WITH_DEFAULT_FILE, "sh", content, BINARY, *args],
        env=clean_environment(**env),
        timeout=PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )


@in_its_own_mounts
def test_a_file_in_the_usual_place_is_read_where_none_is_named(tmp_path) -> None:
    """Mounted where every image has its file, it must not be ignored: everything would be open."""
    assert "policy open" in run_with_default_file("", "check").stdout
    result = run_with_default_file("policy: traefik\n", "check")
    assert result.returncode == 0, result.stderr
    assert "listener tcp://*:3277, policy traefik" in result.stdout
    assert "policy deny" in run_with_default_file("policies: {}\n", "check").stdout

    other = tmp_path / "other.yaml"
    other.write_text("policy: dozzle\n")
    for arguments, env in ((["-c", str(other)], {}), ([], {"CONFIG": str(other)})):
        result = run_with_default_file("policy: traefik\n", "check", *arguments, **env)
        assert "listener tcp://*:3277, policy dozzle" in result.stdout
    result = run_with_default_file("policy: traefik\n", "check", CONFIG="")
    assert "listener tcp://*:3277, policy traefik" in result.stdout


@in_its_own_mounts
def test_the_usual_file_is_held_to_the_rules_of_any_other() -> None:
    one_clear_line(run_with_default_file("policy: nonsense\n", "check"), f"{DEFAULT_FILE}:1:", "nonsense")
    one_clear_line(run_with_default_file("policy: traefik\n", "check", POST="0"), DEFAULT_FILE, "POST")
    one_clear_line(run_with_default_file("directory", "check"), DEFAULT_FILE, "it is a directory")
