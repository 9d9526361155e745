"""Sockets that systemd opened and passed: fd://NAME, after sd_listen_fds(3)."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from machine import free_port
from secure import Authority, context
from tls_socket import TlsSocket
from wire import PATIENCE, Client, Engine, Proxy, eventually, run_binary

# Runs a program as a service manager does: descriptors from 3 on, and the variables about them.
MANAGER = """
import fcntl, os, sys
numbers, settings = sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2].split())
copies = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in numbers.split(",") if n]
for at, copy in enumerate(copies):
    os.dup2(copy, 3 + at)
os.closerange(3 + len(copies), 200)
os.environ.update({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(copies))} | settings)
os.execv(sys.argv[3], sys.argv[3:])
"""


def passing(sockets: list[socket.socket], **settings: str) -> dict:
    """Arguments for `start`: the proxy gets these sockets."""
    numbers = [sock.fileno() for sock in sockets]
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    prefix = [sys.executable, "-c", MANAGER, ",".join(map(str, numbers)), words]
    return {"prefix": prefix, "pass_fds": numbers}


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def unix(folder: str) -> Iterator[socket.socket]:
    path = f"{folder}/passed.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        os.chmod(path, 0o666)
        sock.listen()
        yield sock
    os.unlink(path)


def connect(sock: socket.socket) -> Client:
    client = socket.socket(sock.family)
    client.settimeout(PATIENCE)
    client.connect(sock.getsockname())
    return Client(client)


def wait_serving(proxy: Proxy) -> None:
    proxy.wait_log(lambda line: "policy '" in line, what="of the start")


def assert_serves(sock: socket.socket, engine: Engine) -> None:
    with connect(sock) as client:
        client.get("/version")
        engine.request().respond(body=b"through")
        assert client.response().body == b"through"


def ended(proxy: Proxy) -> str:
    """The last words of a proxy that does not start."""
    assert proxy.wait_exit() == 1
    return proxy.lines[-1]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_names_choose_listeners(start, own_engine: Engine, tcp, unix, folder, workers) -> None:
    file = pathlib.Path(folder, "passed.yaml")
    listeners = [
        {"address": "fd://web", "policy": "deny"},
        {"address": "fd://ci", "policy": "open"},
    ]
    file.write_text(json.dumps({"listeners": listeners}))
    options = passing([tcp, unix], LISTEN_FDNAMES="web:ci")
    proxy = start("--config", str(file), "--workers", workers, ready=False, **options)
    wait_serving(proxy)
    for _ in range(6):  # whichever worker accepts
        assert_serves(unix, own_engine)
        with connect(tcp) as client:
            client.get("/version")
            assert client.response().status == 403
    for listener in (f"fd://ci (unix://{unix.getsockname()})", f"fd://web (tcp://127.0.0.1:{tcp.getsockname()[1]})"):
        proxy.wait_log(lambda line, listener=listener: listener in line, what=listener)


@pytest.mark.parametrize("address", ["fd://", "fd://*"])
def test_all_other_names(start, own_engine: Engine, tcp, unix, address: str) -> None:
    """docker's own `-H fd://`; sockets of one unit have the same name."""
    options = passing([tcp, unix], LISTEN_FDNAMES="some.socket:some.socket")
    wait_serving(start("--listen", address, ready=False, **options))
    assert_serves(tcp, own_engine)
    assert_serves(unix, own_engine)


def test_without_names(start, own_engine: Engine, tcp) -> None:
    wait_serving(start("--listen", "fd://unknown", ready=False, **passing([tcp])))
    assert_serves(tcp, own_engine)


def test_beside_an_address_of_its_own(start, own_engine: Engine, unix) -> None:
    port = free_port()
    own = f"tcp://127.0.0.1:{port}"
    proxy = start("--listen", "fd://", "--listen", own, port=port, **passing([unix]))
    assert_serves(unix, own_engine)
    with proxy.connect() as client:
        client.get("/version")
        own_engine.request().respond(body=b"own")
        assert client.response().body == b"own"


def test_a_socket_that_no_listener_names_is_closed(start, own_engine: Engine, tcp, unix) -> None:
    proxy = start("--listen", "fd://ci", ready=False, **passing([tcp, unix], LISTEN_FDNAMES="web:ci"))
    wait_serving(proxy)
    assert_serves(unix, own_engine)
    warning = proxy.wait_log(lambda line: "closed the passed socket 3" in line)
    assert "no listener names it" in warning and "fd://web" in warning
    inode = os.fstat(tcp.fileno()).st_ino
    links = proxy.links()
    assert f"socket:[{inode}]" not in links
    assert f"socket:[{os.fstat(unix.fileno()).st_ino}]" in links


def test_sockets_of_a_manager_stay(start, own_engine: Engine, tcp, unix) -> None:
    """A restart loses nobody: who connects meanwhile waits for the next process."""
    first = start("--listen", "fd://", ready=False, **passing([tcp, unix]))
    wait_serving(first)
    first.terminate()
    assert first.wait_exit() == 0
    assert os.path.exists(unix.getsockname()), "the file belongs to systemd"
    with connect(tcp) as client, connect(unix) as other:
        client.get("/version")
        other.get("/version")
        wait_serving(start("--listen", "fd://", ready=False, **passing([tcp, unix])))
        for _ in (client, other):  # in either order: there are two workers
            own_engine.request().respond(body=b"late")
        for waiting in (client, other):
            assert waiting.response().body == b"late"


def test_users_of_a_passed_unix_socket(start, own_engine: Engine, unix, tcp, folder) -> None:
    """What a condition on users asks for is known of unix sockets alone."""
    file = pathlib.Path(folder, "passed-users.yaml")
    clients = [{"name": "me", "match": {"uid": os.getuid()}, "policy": "open"}]
    listeners = [{"address": "fd://", "policy": "deny"}]
    file.write_text(json.dumps({"listeners": listeners, "clients": clients}))
    wait_serving(start("--config", str(file), ready=False, **passing([unix, tcp])))
    assert_serves(unix, own_engine)
    with connect(tcp) as client:
        client.get("/version")
        assert client.response().status == 403


@pytest.mark.parametrize("workers", ["1", "2"])
def test_passed_sockets_speak_tls(start, own_engine: Engine, tcp, unix, tmp_path, workers) -> None:
    """Those of the listener with `tls`, TCP and unix, and no others."""
    os.chmod(tmp_path, 0o755)
    authority = Authority(tmp_path)
    server = authority.server()
    tls = {"cert": "server.pem", "key": "server-key.pem", "client_ca": "authority.pem"}
    listeners = [
        {"address": "fd://edge", "policy": "deny", "tls": tls},
        {"address": "fd://plain", "policy": "deny"},
    ]
    clients = [{"name": "ops", "match": {"cert": {"cn": "ops"}}, "policy": "open"}]
    file = tmp_path / "passed.yaml"
    file.write_text(json.dumps({"listeners": listeners, "clients": clients}))
    with socket.create_server(("127.0.0.1", 0)) as plain:
        sockets = passing([tcp, unix, plain], LISTEN_FDNAMES="edge:edge:plain")
        proxy = start("-c", str(file), "--workers", workers, ready=False, **sockets)
        wait_serving(proxy)
        settings = context(authority, authority.make("ops", "ops"))
        for _ in range(4):  # whichever worker accepts
            for sock in (tcp, unix):
                with Client(TlsSocket(connect(sock).sock, settings).handshake()) as client:
                    client.get("/version")
                    own_engine.request().respond(body=b"through")
                    assert client.response().body == b"through"
            with connect(tcp) as client:
                client.get("/version")
                assert "this port speaks TLS" in client.expect_refusal(400)
            with connect(plain) as client:
                client.get("/version")
                assert client.response().status == 403
    port = tcp.getsockname()[1]
    proxy.wait_log(lambda line: f"fd://edge (tcp://127.0.0.1:{port}, unix://" in line and " with TLS," in line)
    shown = run_binary("check", "-c", str(file)).stdout
    assert f"must present a certificate of {authority.path}" in shown
    assert server.path in shown


def test_variables_of_tls_do_not_reach_passed_sockets(tcp, tmp_path) -> None:
    """They would be without effect, which is said."""
    server = Authority(tmp_path).server()
    env = {"TLS_CERT": server.path, "TLS_KEY": server.key}
    proxy = Proxy("--listen", "fd://", env=env, **passing([tcp]))
    assert proxy.wait_exit() == 2
    assert "TLS_CERT has no effect: no listener is a tls:// address" in proxy.log()


# ── What was not passed, or cannot be served ──────────────────────────────────────────────────


def test_nothing_was_passed() -> None:
    assert "cannot listen on fd://api: no such socket was passed: there are none" in ended(
        Proxy("--listen", "fd://api")
    )


def test_another_name_was_passed(tcp) -> None:
    words = ended(Proxy("--listen", "fd://api", **passing([tcp], LISTEN_FDNAMES="web")))
    assert "cannot listen on fd://api" in words
    assert f"the passed sockets are 3 ('web', tcp://127.0.0.1:{tcp.getsockname()[1]})" in words


def test_no_address_was_given(tcp) -> None:
    """A socket unit beside a service that nobody told of it: its clients would wait for ever."""
    words = ended(Proxy(**passing([tcp])))
    assert "the socket 3 ('unknown', tcp://127.0.0.1:" in words
    assert "LISTEN=fd:// serves it" in words


def test_passed_to_another_process(tcp) -> None:
    words = ended(Proxy("--listen", "fd://", **passing([tcp], LISTEN_PID="1")))
    assert "LISTEN_PID is 1 and this process is" in words and "exec" in words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"LISTEN_FDS": "2"}, "descriptor 4 was not passed"),
        ({"LISTEN_FDS": "33"}, "'33' is not a number of sockets: at most 32"),
        ({"LISTEN_FDS": "-1"}, "'-1' is not a number of sockets"),
        ({"LISTEN_PID": "me"}, "LISTEN_PID: 'me'"),
        ({"LISTEN_FDNAMES": "a:b"}, "more names than LISTEN_FDS=1"),
    ],
)
def test_variables_that_contradict(tcp, settings: dict[str, str], words: str) -> None:
    assert words in ended(Proxy("--listen", "fd://", **passing([tcp], **settings)))


def test_too_few_names(tcp, unix) -> None:
    words = ended(Proxy("--listen", "fd://", **passing([tcp, unix], LISTEN_FDNAMES="a")))
    assert "LISTEN_FDNAMES has 1 names, but LISTEN_FDS=2" in words


def test_a_connection_is_no_listening_socket(tcp) -> None:
    """Accept=yes of a socket unit."""
    with socket.create_connection(tcp.getsockname(), PATIENCE) as connection:
        words = ended(Proxy("--listen", "fd://", **passing([connection])))
    assert "descriptor 3 ('unknown'): it does not listen" in words and "Accept=no" in words


def test_datagrams_and_files() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        assert "not a stream socket" in ended(Proxy("--listen", "fd://", **passing([datagrams])))
    with open("/dev/null", "rb") as file:
        options = passing([])
        options["prefix"][3], options["pass_fds"] = str(file.fileno()), [file.fileno()]
        assert "it is not a socket" in ended(Proxy("--listen", "fd://", **options))


@pytest.mark.parametrize("name", ["a:b", "/run/a.sock", "a b", "a*", "x" * 256])
def test_names_that_no_socket_has(name: str) -> None:
    proxy = Proxy("--listen", f"fd://{name}")
    assert proxy.wait_exit() == 2
    assert "--listen: 'fd://" in proxy.log()


def test_mode_of_a_passed_socket(folder: str) -> None:
    file = pathlib.Path(folder, "passed-mode.yaml")
    file.write_text("listeners: [{address: 'fd://api', mode: '0600'}]\n")
    proxy = Proxy("--config", str(file))
    assert proxy.wait_exit() == 2
    assert "SocketMode=" in proxy.log()


def test_systemd_socket_activate(start, own_engine: Engine) -> None:
    """The real thing, which sets the variables: the first connection starts the program."""
    program = shutil.which("systemd-socket-activate")
    assert program is not None, "package systemd"
    number = free_port()
    settings = [f"--setenv=SOCKET_PATH={own_engine.path}", "--fdname=api"]
    proxy = start(
        "--listen",
        "fd://api",
        prefix=[program, f"--listen=127.0.0.1:{number}", *settings],
        ready=False,
    )

    def connected() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", number), PATIENCE)
        except ConnectionRefusedError:
            return None

    sock = eventually(connected, "systemd-socket-activate to listen")
    with Client(sock) as client:
        client.get("/version")
        own_engine.request().respond(body=b"activated")
        assert client.response().body == b"activated"
    proxy.wait_log(lambda line: f"fd://api (tcp://127.0.0.1:{number})" in line)


def test_check_needs_no_socket(folder: str) -> None:
    """`check` runs outside of the service."""
    result = subprocess.run(
        [os.environ.get("DSP_BINARY", "build/docker-socket-proxy"), "check", "--listen", "fd://x"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "listener fd://x" in result.stdout
