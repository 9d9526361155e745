"""The program's own behaviour on a real Engine: its responses, its log, its privileges, its end."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import proxy as program
import pytest
import wire
from conftest import await_handlers, eventually
from machine import has_ipv6
from tap import Tap

NOBODY = 65534
GRACE_SECONDS = 5
DOCKER_STOP_SECONDS = 10
COMMAND_SECONDS = 60


@pytest.fixture
def start(binary, engine) -> Iterator:
    """Starts proxies for one test; each has to end well."""
    running: list[program.Proxy] = []

    def start_one(socket_path: Path | None = None, **options) -> program.Proxy:
        running.append(program.Proxy(binary, socket_path or engine.socket, **options))
        return running[-1]

    yield start_one
    for one in running:
        if one.process.returncode is None:
            one.close()


@pytest.fixture
def tap(engine) -> Iterator[Tap]:
    """A wire tap between the proxy and the Engine."""
    with Tap(engine.socket) as tapped:
        yield tapped


@pytest.fixture
def no_engine(open_folder) -> Path:
    """The path of a socket that is not there."""
    return open_folder / "no.sock"


def process_status(pid: int) -> list[dict[str, str]]:
    """/proc/PID/status of every thread."""
    threads = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except FileNotFoundError:
            continue  # the thread has ended since
        threads.append({k: v.strip() for k, _, v in (line.partition(":") for line in lines)})
    assert threads, "the process has ended"
    return threads


# What it adds to requests


def test_api_key_is_sent_once(start, tap, older_cli):
    """API_KEY: every forwarded request carries the key, and a client cannot send its own."""
    running = start(tap.path, env={"API_KEY": "the-key"})
    running.get("/_ping", {"X-Api-Key": "forged", "x-api-KEY": "forged-too"})
    older_cli.ok(running.docker_host, "run", "--rm", "-i", "busybox", "cat", stdin=b"input")
    heads = tap.heads()
    assert len(heads) > 5, "the docker client made fewer requests than it does"
    for head in heads:
        assert re.findall(r"(?im)^x-api-key:\s*(.*?)\r?$", head) == ["the-key"], head
    assert "the-key" not in running.log(), "the key is in the log"


def test_log_says_that_the_key_authenticates_nobody(start):
    """Whoever sets API_KEY and believes to be safe now is told otherwise."""
    with_key = start(env={"API_KEY": "the-key"})
    assert re.search(r"(?i)authenticat", with_key.log_line("API_KEY"))
    assert "API_KEY" not in start().log()


def test_no_key_is_sent_without_one(start, tap):
    """Without API_KEY the proxy adds no x-api-key."""
    running = start(tap.path)
    assert running.get("/_ping").status == 200
    assert all("api-key" not in head.lower() for head in tap.heads())


def test_hop_by_hop_headers_stop_here(start, tap):
    """What belongs to the client's connection does not reach the Engine; Host is localhost."""
    running = start(tap.path)
    response = running.get(
        "/_ping",
        {
            "Host": "attacker.example", "Connection": "keep-alive, X-Mine", "X-Mine": "1",
            "Keep-Alive": "timeout=5", "TE": "trailers", "Proxy-Connection": "keep-alive",
            "X-Kept": "yes",
        },
    )
    assert response.status == 200
    (head,) = tap.heads()
    names = [line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line]
    assert not {"x-mine", "keep-alive", "te", "proxy-connection"} & set(names), head
    assert "x-kept" in names
    assert re.findall(r"(?im)^host:\s*(.*?)\r?$", head) == ["localhost"]


# Local responses


def test_health(start, engine):
    """GET /health is 200 while the Engine's socket accepts."""
    response = start().get("/health")
    assert (response.status, response.json()) == (200, {"status": "healthy"})
    assert response.header("Content-Type").startswith("application/json")


def test_health_is_503_when_the_engine_is_away(start, no_engine):
    """GET /health is 503 with the reason when nobody listens on the Engine's socket."""
    response = start(no_engine).get("/health")
    assert response.status == 503
    assert "no.sock" in response.body.decode()
    assert response.json()["status"] != "healthy"


def test_health_is_not_logged(start):
    """A health check every few seconds does not fill the log."""
    running = start()
    running.get("/health")
    running.get("/version")
    running.log_line("/version")
    assert "/health" not in running.log()


def test_healthcheck_command(start, binary, no_engine):
    """docker-socket-proxy healthcheck, as a HEALTHCHECK runs it: 0 when well, not 0 when not."""

    def check(running: program.Proxy) -> subprocess.CompletedProcess:
        environment = {"PORT": str(running.port)}
        return subprocess.run(
            [binary, "healthcheck"], env=environment, capture_output=True, text=True,
            timeout=COMMAND_SECONDS,
        )

    assert check(start()).returncode == 0
    failed = check(start(no_engine))
    assert failed.returncode != 0
    assert failed.stderr + failed.stdout, "it fails without a word"


def test_ipv4_and_ipv6(start):
    """One port, both families."""
    running = start()
    for host in ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",):
        with running.connect(host) as connection:
            assert connection.roundtrip("GET", "/_ping").body == b"OK"


def test_docker_host_names_the_socket(binary, engine):
    """DOCKER_HOST=unix://… is honoured in place of SOCKET_PATH."""
    running = program.Proxy(binary, engine.socket, env={"DOCKER_HOST": f"unix://{engine.socket}",
                                                        "SOCKET_PATH": ""})
    try:
        assert running.get("/_ping").body == b"OK"
    finally:
        running.close()


# What it logs


def test_one_log_line_per_request(start):
    """Method, path, status, bytes, milliseconds and the client's real address."""
    running = start()
    response = running.get("/version?made=up", {"X-Forwarded-For": "203.0.113.9"})
    line = running.log_line("GET", "/version", "200", "127.0.0.1")
    assert re.search(rf"\b{len(response.body)}\b", line), f"no byte count in {line}"
    assert "203.0.113.9" not in running.log(), "X-Forwarded-For was believed"
    running.get("/containers/none/json")
    running.log_line("/containers/none/json", "404")
    running.get("/_ping")
    running.log_line("/_ping")
    assert len([line for line in running.log().splitlines() if "/version" in line]) == 1


def test_log_lines_cannot_be_forged(start):
    """A path with line breaks and terminal escapes in it stays one harmless line."""
    running = start()
    running.get("/containers/%0aGET%20/forged%1b[31m/json")
    running.get("/_ping")
    running.log_line("/_ping")
    assert "\x1b" not in running.log()
    assert not [line for line in running.log().splitlines() if line.startswith("GET /forged")]


def test_streams_are_logged_too(start, containers):
    """A tunnel leaves a line as well when it ends: who attached and for how long."""
    running = start()
    container = containers.shell("read -r word; echo got $word", stdin=True)
    with running.connect() as connection:
        path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1"
        connection.request("POST", path, {"Connection": "Upgrade", "Upgrade": "tcp"}, b"")
        connection.head()
        connection.send(b"word\n")
        connection.until_close()
    assert "101" in running.log_line("POST", f"/containers/{container}/attach")


# Who it is


def test_root_is_given_up(start, engine):
    """Started as root it runs as 65532 with the socket's group and nothing else, in each thread,
    and can gain nothing back."""
    running = start()
    assert running.get("/_ping").status == 200
    group = engine.socket.stat().st_gid
    for status in process_status(running.pid):
        assert status["Uid"].split() == [str(program.UNPRIVILEGED)] * 4
        assert status["Gid"].split() == [str(program.UNPRIVILEGED)] * 4
        assert set(status["Groups"].split()) <= {str(group), str(program.UNPRIVILEGED)}
        assert str(group) in status["Groups"].split()
        assert status["NoNewPrivs"] == "1"
        for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(status[capabilities], 16) == 0, capabilities


def test_root_is_kept_where_it_is_needed(start, tap):
    """A socket only root may open (0600): it stays root, works, and says that it does."""
    os.chmod(tap.path, 0o600)
    running = start(tap.path)
    assert running.get("/_ping").status == 200
    statuses = process_status(running.pid)
    assert all(status["Uid"].split()[1] == "0" for status in statuses)
    assert all(status["NoNewPrivs"] == "1" for status in statuses)
    assert re.search(r"(?i)root", running.log_line(str(tap.path)))


def test_other_users_stay_who_they_are(start, tap):
    """Started as somebody with access it stays that user."""
    os.chown(tap.path, NOBODY, NOBODY)
    running = start(tap.path, user=NOBODY, group=NOBODY, extra_groups=[])
    assert running.get("/_ping").status == 200
    for status in process_status(running.pid):
        assert status["Uid"].split() == [str(NOBODY)] * 4
        assert status["NoNewPrivs"] == "1"


def test_permission_denied_says_what_to_do(start, engine):
    """No access to the socket: the response and the log name the file, its owner and mode, who we
    are, and the option that fixes it."""
    running = start(user=NOBODY, group=NOBODY, extra_groups=[])
    response = running.get("/version")
    group = engine.socket.stat().st_gid
    assert response.status == 502
    assert response.header("Content-Type").startswith("application/json")
    for words in (response.json()["message"], running.log_line("--group-add")):
        assert str(engine.socket) in words
        assert "660" in words, "the mode is missing"
        assert str(NOBODY) in words, "who we are is missing"
        assert f"--group-add {group}" in words
    assert re.search(rf"\b0:{group}\b|root:docker|uid.?0", response.json()["message"])


# How it ends


def test_sigterm_ends_open_streams_within_the_grace(start, engine):
    """docker stop on the proxy's container: exit 0 in time although somebody follows events."""
    running = start()
    await_handlers(engine, "getEvents", 0)
    with running.connect() as connection:
        connection.request("GET", "/events")
        assert connection.head().status == 200
        began = time.monotonic()
        assert running.terminate() == 0
        assert time.monotonic() - began < DOCKER_STOP_SECONDS
        assert connection.until_close() in (b"", b"0\r\n\r\n")
    await_handlers(engine, "getEvents", 0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_an_idle_proxy_ends_at_once(start, how):
    """With nothing to finish it does not wait; idle keep-alive connections are nothing."""
    running = start()
    with running.connect() as connection:
        assert connection.roundtrip("GET", "/_ping").status == 200
        began = time.monotonic()
        assert running.terminate(how) == 0
        assert time.monotonic() - began < GRACE_SECONDS
        assert connection.until_close() == b""


def test_what_is_short_is_finished(start, containers):
    """A response that is on its way when SIGTERM comes arrives whole."""
    container = containers.shell("trap 'exit 3' USR1; echo ready; while :; do sleep 0.02; done")
    eventually(lambda: containers.logs(container), "the container does not start")
    running = start(env={"SHUTDOWN_GRACE": "600"})
    with running.connect() as connection:
        connection.request("POST", f"/containers/{container}/wait", {"Content-Length": "0"})
        head = connection.head()
        ended = threading.Thread(target=running.terminate)
        ended.start()
        eventually(lambda: refuses(running.port), "it still accepts connections after SIGTERM")
        containers.signal(container, "USR1")
        head.body = b"".join(connection.body(head, "POST"))
        assert head.json()["StatusCode"] == 3
        ended.join()
    assert running.process.returncode == 0


def refuses(port: int) -> bool:
    """Whether nobody listens any more. A handshake that is under way while the listener closes
    is reset by the kernel: then nobody does, either."""
    try:
        wire.connect_tcp(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


# When the Engine is away


def test_engine_away_is_502_at_once(start, no_engine):
    """No Engine: 502 in the Engine's own JSON, at once, so that docker prints the reason."""
    running = start(no_engine)
    began = time.monotonic()
    response = running.get("/version")
    assert time.monotonic() - began < 5
    assert response.status == 502
    assert "no.sock" in response.json()["message"]
    assert response.header("Content-Type").startswith("application/json")


def test_docker_prints_why_the_engine_is_away(start, older_cli, no_engine):
    """docker ps against a proxy without an Engine prints the proxy's reason."""
    running = start(no_engine)
    done = older_cli.run(running.docker_host, "ps")
    assert done.status == 1
    assert b"no.sock" in done.err


def test_engine_that_accepts_and_hangs_up(start, open_folder):
    """An Engine that dies in the middle of a head: 502, not an empty response."""
    dying = open_folder / "dying.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dying))
        dying.chmod(0o666)
        listener.listen()

        def die_each_time() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted:
                    if accepted.recv(65536):
                        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-")

        threading.Thread(target=die_each_time, daemon=True).start()
        response = start(dying).get("/version")
        assert response.status == 502
        assert response.json()["message"]


def test_socket_in_a_closed_folder(start, open_folder):
    """A folder on the way to the socket that the proxy may not enter: 502 that names the path."""
    (open_folder / "closed").mkdir(mode=0o700)
    path = open_folder / "closed" / "docker.sock"
    response = start(path, user=NOBODY, group=NOBODY, extra_groups=[]).get("/version")
    assert response.status == 502
    assert str(path) in response.json()["message"]
    assert "ermission denied" in response.json()["message"]


# The command line


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--no-such-flag"], {}, ["--no-such-flag"]),
        ([], {"PORT": "70000"}, ["PORT", "70000"]),
        ([], {"PORT": "http"}, ["PORT", "http"]),
        ([], {"DOCKER_HOST": "ftp://engine"}, ["DOCKER_HOST", "ftp://engine"]),
    ],
    ids=["flag", "port-too-large", "port-no-number", "scheme"],
)
def test_mistakes_are_named(binary, arguments, env, words):
    """A mistake in a flag or variable is one clear line and exit status 2."""
    done = subprocess.run(
        [binary, *arguments], env=env, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_version_and_help(binary):
    """--version and --help print to standard output and succeed."""
    for flag, word in (("--version", "docker-socket-proxy"), ("--help", "SOCKET_PATH")):
        done = subprocess.run([binary, flag], capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert done.returncode == 0
        assert word in done.stdout
