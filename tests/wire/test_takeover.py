"""A new process takes the listening sockets of an old one: nobody is refused, no request fails, no stream ends."""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin
from secure import Authority, connect, context
from test_notify import Manager
from test_passed import passing
from wire import BINARY, LAST_CHUNK, PATIENCE, Client, Engine, Proxy, WireError, chunk, clean_environment, eventually, open_stream, ready

HANDOVERS = int(os.environ.get("DSP_HANDOVERS", "8"))
ASK = (
    b"POST /api/takeover HTTP/1.1\r\nHost: docker-socket-proxy\r\nConnection: Upgrade\r\n"
    b"Upgrade: docker-socket-proxy-takeover/1\r\n\r\n"
)
RECORD = struct.Struct("=IIQ256s")
LISTENER, PASSED, ADMIN, NOTIFY, END, READY, GO = range(1, 8)


@pytest.fixture
def family(start, folder: str) -> Iterator[Family]:
    yield Family(start, folder)


class Family:
    """Processes that follow each other at one port, one unix socket and one admin socket."""

    count = 0

    def __init__(self, start: Callable[..., Proxy], folder: str):
        Family.count += 1
        self.start_one = start
        self.port = free_port()
        place = f"{folder}/family-{Family.count}"
        os.mkdir(place)
        os.chmod(place, 0o777)  # the user of the proxy removes its files
        self.path = f"{place}/clients.sock"
        self.admin_path = f"{place}/admin.sock"
        self.admin = Admin(self.admin_path)

    def settings(self, **more: str) -> dict[str, str]:
        listen = f"tcp://127.0.0.1:{self.port},unix://{self.path}"
        return {"LISTEN": listen, "ADMIN": f"unix://{self.admin_path}"} | more

    def first(self, *args: str, **env: str) -> Proxy:
        proxy = self.start_one(*args, env=self.settings(**env), port=self.port)
        proxy.wait_log(lambda line: " admin listener on " in line, what="that all sockets listen")
        return proxy

    def next(self, former: Proxy, *args: str, **env: str) -> Proxy:
        """Another process, once it has taken over."""
        before = len(former.lines)
        proxy = self.try_next(*args, **env)
        try:
            former.wait_log(lambda line: f"process {proxy.pid} has taken over" in line, before, what="of a hand-over")
        except WireError as error:
            raise WireError(f"{error}\nthe other process:\n{proxy.log()}") from None
        proxy.wait_log(lambda line: "took over from process" in line, what="of a hand-over")
        return proxy

    def try_next(self, *args: str, **env: str) -> Proxy:
        words = ["--takeover", f"unix://{self.admin_path}", *args]
        return self.start_one(*words, env=self.settings(**env), port=self.port, ready=False)

    def over_unix(self) -> Client:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.path)
        return Client(sock)

    def asks(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.admin_path)
        return sock


def goes_on(client: Client, conn, word: bytes = b"still here") -> None:
    conn.send(chunk(word))
    client.expect(chunk(word))


def ping(client: Client, engine: Engine):
    client.get("/_ping")
    engine.request().respond(body=b"OK")
    response = client.response()
    assert (response.status, response.body) == (200, b"OK")
    return response


# What happens


@pytest.mark.parametrize("workers", [("1", "1"), ("3", "3"), ("1", "3"), ("3", "1")])
def test_a_new_process_takes_over(family: Family, own_engine: Engine, workers: tuple[str, str]) -> None:
    """Streams stay with the old process, everything new goes to the new one, whatever the numbers of workers are."""
    old = family.first(WORKERS=workers[0])
    with Client(socket.create_connection(("127.0.0.1", family.port))) as events, family.over_unix() as other:
        conns = [open_stream(client, own_engine) for client in (events, other)]
        new = family.next(old, WORKERS=workers[1])
        for client, conn in zip((events, other), conns):
            goes_on(client, conn)
        for _ in range(12):  # each socket of the port is served
            with new.connect() as client:
                ping(client, own_engine)
        with family.over_unix() as client:
            ping(client, own_engine)
        assert family.admin.get("/ready").status == 200
        assert old.process.poll() is None
        for client, conn in zip((events, other), conns):
            conn.send(LAST_CHUNK)
            client.expect(LAST_CHUNK)
            client.expect_silence()  # its next request may be on its way
    assert old.wait_exit() == 0
    assert os.path.exists(family.path) and os.path.exists(family.admin_path)
    with family.over_unix() as client:
        ping(client, own_engine)
    new.terminate()
    assert new.wait_exit() == 0
    assert not os.path.exists(family.path) and not os.path.exists(family.admin_path)


def test_an_old_process_without_clients_ends_at_once(family: Family, own_engine: Engine) -> None:
    old = family.first()
    new = family.next(old)
    assert old.wait_exit() == 0
    with new.connect() as client:
        ping(client, own_engine)


def test_kept_connections_end_with_their_next_response(family: Family, own_engine: Engine) -> None:
    """An idle connection is not closed, because its next request may be on its way."""
    old = family.first()
    with old.connect() as kept, family.over_unix() as other:
        ping(kept, own_engine)
        ping(other, own_engine)
        new = family.next(old)
        for client in (kept, other):
            client.expect_silence()
            response = ping(client, own_engine)
            assert (response.header("Connection") or "").lower() == "close"
            client.expect_end()
    assert old.wait_exit() == 0
    assert new.process.poll() is None


def test_a_request_in_progress_ends_in_the_old_process(family: Family, own_engine: Engine) -> None:
    old = family.first()
    with old.connect() as client, old.connect() as slow:
        slow.send(b"POST /containers/a/start HTTP/1.1\r\nHost: docker\r\nContent-Le")
        client.get("/slow")
        request = own_engine.request()
        family.next(old)
        request.respond(body=b"whole")
        assert client.response().body == b"whole"
        slow.send(b"ngth: 0\r\n\r\n")
        own_engine.request().respond(204)
        assert slow.response().status == 204
        client.expect_end()
    assert old.wait_exit() == 0


def test_a_chain_of_processes(family: Family, own_engine: Engine) -> None:
    """The first keeps its stream while others come and go, each with other workers."""
    processes = [family.first(WORKERS="2")]
    with processes[0].connect() as client:
        conn = open_stream(client, own_engine)
        for workers in ("1", "4", "2"):
            processes.append(family.next(processes[-1], WORKERS=workers))
            goes_on(client, conn, workers.encode())
        for gone in processes[1:-1]:
            assert gone.wait_exit() == 0
        for _ in range(12):
            with processes[-1].connect() as other:
                ping(other, own_engine)
        assert processes[0].process.poll() is None
        conn.close()
    assert processes[0].wait_exit() == 0


def test_the_new_configuration_decides(start, family: Family, own_engine: Engine) -> None:
    """Listeners that it has not are closed, with their files; new ones are opened; policies are its own."""
    old = family.first()
    port = free_port()
    listen = f"tcp://127.0.0.1:{family.port},tcp://127.0.0.1:{port}"
    new = family.next(old, LISTEN=listen, POLICY="deny")
    assert old.wait_exit() == 0
    assert not os.path.exists(family.path)
    for place in (family.port, port):
        with Client(socket.create_connection(("127.0.0.1", place))) as client:
            client.get("/_ping")
            assert client.response().status == 403
    assert new.process.poll() is None


def test_a_port_may_begin_to_speak_tls(family: Family, own_engine: Engine, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    authority = Authority(tmp_path)
    pair = authority.server()
    old = family.first()
    with old.connect() as client:
        conn = open_stream(client, own_engine)
        new = family.next(
            old, LISTEN=f"tls://127.0.0.1:{family.port}", TLS_CERT=pair.path, TLS_KEY=pair.key
        )
        goes_on(client, conn)
    with connect(new, context(authority)) as client:
        ping(client, own_engine)


def test_the_mode_of_a_socket_follows(start, family: Family, own_engine: Engine, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    file = tmp_path / "proxy.yaml"
    old = family.first()
    file.write_text(
        f"listeners: [{{address: 'unix://{family.path}', mode: '0666', policy: open}},"
        f" {{address: 'tcp://127.0.0.1:{family.port}', policy: open}}]\n"
    )
    assert os.stat(family.path).st_mode & 0o777 == 0o660
    new = start(
        "-c", str(file), "--takeover", f"unix://{family.admin_path}",
        env={"ADMIN": f"unix://{family.admin_path}"}, port=family.port, ready=False,
    )
    old.wait_log(lambda line: f"process {new.pid} has taken over" in line, what="of a hand-over")
    assert os.stat(family.path).st_mode & 0o777 == 0o666


def test_the_drain_has_an_end(family: Family, own_engine: Engine) -> None:
    """--drain-timeout: then streams end as after SIGTERM."""
    old = family.first("--drain-timeout", "1")
    with old.connect() as events, old.connect() as kept:
        open_stream(events, own_engine)
        ping(kept, own_engine)
        family.next(old)
        events.expect(LAST_CHUNK)
        events.expect_end()
        kept.expect_end()
    assert old.wait_exit() == 0


def test_a_signal_ends_the_drain(family: Family, own_engine: Engine) -> None:
    """SIGTERM, which systemd sends to all processes of a service, and its files stay those of the new one."""
    old = family.first("--shutdown-grace", "0")
    with old.connect() as events:
        open_stream(events, own_engine)
        new = family.next(old)
        old.process.send_signal(signal.SIGHUP)
        old.wait_log(lambda line: "SIGHUP: ignored" in line, what="of the signal")
        old.terminate()
        events.expect(LAST_CHUNK)
        events.expect_end()
    assert old.wait_exit() == 0
    assert os.path.exists(family.path) and os.path.exists(family.admin_path)
    with new.connect() as client:
        ping(client, own_engine)


class Relay:
    """Stands between an old process and a new one, and holds READY back."""

    def __init__(self, family: Family):
        self.path = f"{os.path.dirname(family.admin_path)}/relay.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.old = family.asks()

    def give(self) -> None:
        """The new process asks, and gets all sockets of the old one."""
        self.listener.settimeout(PATIENCE)
        self.new, _ = self.listener.accept()
        self.new.settimeout(PATIENCE)
        self.old.sendall(self.new.recv(65536))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.old.recv(1)
        self.new.sendall(head)
        kind = LISTENER
        while kind != END:
            data, fds, _, _ = socket.recv_fds(self.old, RECORD.size, 1, socket.MSG_WAITALL)
            socket.send_fds(self.new, [data], fds)
            close_all(fds)
            kind = RECORD.unpack(data)[0]

    def ready(self) -> bytes:
        return self.new.recv(RECORD.size, socket.MSG_WAITALL)

    def close(self) -> None:
        for sock in (self.listener, self.old, self.new):
            sock.close()


@pytest.mark.parametrize("told", [True, False], ids=["it says so later", "it never says so"])
def test_a_signal_leaves_the_sockets_to_a_process_that_has_them(family: Family, own_engine: Engine, told: bool) -> None:
    """SIGTERM to the old process while the new one starts: there is no moment without a listener. Clients wait in the
    queues until the new one serves, and find the files."""
    old = family.first("--shutdown-grace", "600", WORKERS="1")
    relay = Relay(family)
    with old.connect() as events:
        conn = open_stream(events, own_engine)
        new = family.start_one("--takeover", f"unix://{relay.path}", env=family.settings(WORKERS="1"), port=family.port, ready=False)
        relay.give()
        ready = relay.ready()
        old.terminate()
        old.wait_log(lambda line: f"process {os.getpid()} has the listening sockets" in line, what="that it leaves them")
        assert os.path.exists(family.path) and os.path.exists(family.admin_path)
        if told:
            relay.old.sendall(ready)
            relay.new.sendall(relay.old.recv(RECORD.size, socket.MSG_WAITALL))
            new.wait_log(lambda line: "took over from process" in line)
            old.wait_log(lambda line: f"process {os.getpid()} has taken over, with 3 of 3 sockets; connections and streams of this one may continue for 600 s" in line)
        relay.close()
        if not told:
            new.wait_log(lambda line: "serves all the same" in line)
        for client in (family.over_unix(), new.connect()):
            ping(client, own_engine)
            client.close()
        assert family.admin.get("/ready").status == 200
        conn.send(LAST_CHUNK)
        events.expect(LAST_CHUNK)
    assert old.wait_exit() == 0
    assert os.path.exists(family.path) and os.path.exists(family.admin_path)
    assert new.process.poll() is None


@pytest.mark.parametrize("told", [True, False], ids=["it says so later", "it never says so"])
def test_who_waits_in_a_queue_when_the_signal_comes_gets_a_response(family: Family, own_engine: Engine, told: bool) -> None:
    """The old process is told of new connections and of the signal at the same time."""
    old = family.first("--shutdown-grace", "600", WORKERS="1")
    relay = Relay(family)
    new = family.start_one("--takeover", f"unix://{relay.path}", env=family.settings(WORKERS="1"), port=family.port, ready=False)
    relay.give()
    ready = relay.ready()
    old.process.send_signal(signal.SIGSTOP)
    clients = [connect() for connect in (old.connect, family.over_unix) for _ in range(100)]
    old.terminate()
    old.process.send_signal(signal.SIGCONT)
    old.wait_log(lambda line: f"process {os.getpid()} has the listening sockets" in line)
    if told:
        relay.old.sendall(ready)
        relay.new.sendall(relay.old.recv(RECORD.size, socket.MSG_WAITALL))
    relay.close()
    new.wait_log(lambda line: "took over from process" in line or "serves all the same" in line)
    for client in clients:
        ping(client, own_engine)
        client.close()
    assert old.wait_exit() == 0


def test_a_signal_removes_what_the_other_process_does_not_use(family: Family, own_engine: Engine) -> None:
    old = family.first("--shutdown-grace", "600")
    with family.asks() as sock, old.connect() as events:
        conn = open_stream(events, own_engine)
        sock.sendall(ASK)
        _, fds = received(sock)
        old.terminate()
        old.wait_log(lambda line: "their files are left to it" in line)
        sock.sendall(RECORD.pack(READY, 0, 0, b""))
        assert RECORD.unpack(sock.recv(RECORD.size, socket.MSG_WAITALL))[0] == GO
        assert not os.path.exists(family.path) and not os.path.exists(family.admin_path)
        close_all(fds)
        conn.send(LAST_CHUNK)
        events.expect(LAST_CHUNK)
    assert old.wait_exit() == 0


def test_a_signal_ends_a_hand_over_of_which_the_other_process_has_a_part(family: Family, own_engine: Engine) -> None:
    """It does not read: there are more sockets than the connection takes."""
    ports = [family.port, *{free_port() for _ in range(7)}]
    listen = ",".join([f"tcp://127.0.0.1:{port}" for port in ports] + [f"unix://{family.path}"])
    old = family.first(LISTEN=listen, WORKERS="64")
    with family.asks() as sock:
        sock.sendall(ASK)
        old.wait_log(lambda line: "asks for the listening sockets" in line)
        old.terminate()
        assert "ends: it has taken" in old.wait_log(lambda line: "the hand-over to process" in line)
        assert old.wait_exit() == 0
        assert not os.path.exists(family.path) and not os.path.exists(family.admin_path)
        received_bytes = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                received_bytes += piece
    kinds = [RECORD.unpack_from(received_bytes, at)[0] for at in range(received_bytes.index(b"\r\n\r\n") + 4, len(received_bytes) - RECORD.size + 1, RECORD.size)]
    assert 10 < len(kinds) < 512 and END not in kinds


# What fails


def test_a_wrong_configuration_asks_for_nothing(family: Family, own_engine: Engine) -> None:
    old = family.first()
    failed = subprocess.run(
        [BINARY, "--takeover", f"unix://{family.admin_path}"],
        env=clean_environment(**family.settings(POLICY="no-such-policy")), capture_output=True, timeout=PATIENCE,
    )
    assert failed.returncode == 2 and b"no-such-policy" in failed.stderr
    with old.connect() as client:
        ping(client, own_engine)
    assert "asks for the listening sockets" not in old.log()


def test_a_socket_without_its_file_is_not_taken(family: Family, own_engine: Engine) -> None:
    """Clients would not find it: the new process says so, and the old one goes on."""
    old = family.first()
    os.unlink(family.path)
    new = family.try_next()
    assert new.wait_exit() == 1
    assert f"the socket of unix://{family.path} was taken over, and its file is gone: restart the program for it" in new.log()
    new.process.returncode = 0  # as expected
    old.wait_log(lambda line: f"the hand-over to process {new.pid} failed, and this one goes on" in line)
    with old.connect() as client:
        ping(client, own_engine)


def test_what_is_being_learned_is_not_handed_over(family: Family, own_engine: Engine) -> None:
    old = family.first("learn")
    new = family.try_next()
    assert new.wait_exit() == 1
    assert "the process is learning" in new.log()
    new.process.returncode = 0  # as expected
    with old.connect() as client:
        ping(client, own_engine)


def test_a_process_that_cannot_start_changes_nothing(family: Family, own_engine: Engine) -> None:
    """One of its listeners is another program's: the old process goes on, and its sockets' files stay."""
    old = family.first()
    with socket.create_server(("127.0.0.1", 0)) as taken, old.connect() as client:
        conn = open_stream(client, own_engine)
        listen = f"tcp://127.0.0.1:{family.port},unix://{family.path},tcp://127.0.0.1:{taken.getsockname()[1]}"
        failed = subprocess.run(
            [BINARY, "--takeover", f"unix://{family.admin_path}"],
            env=clean_environment(**family.settings(LISTEN=listen)), capture_output=True, timeout=PATIENCE,
        )
        assert failed.returncode == 1 and b"Address already in use" in failed.stderr
        line = old.wait_log(lambda line: "this one goes on" in line, what="of the failure")
        assert "hand-over" in line
        goes_on(client, conn)
        conn.close()
    with old.connect() as client:
        ping(client, own_engine)
    with family.over_unix() as client:
        ping(client, own_engine)
    new = family.next(old)
    assert old.wait_exit() == 0
    with new.connect() as client:
        ping(client, own_engine)


def received(sock: socket.socket) -> tuple[list[tuple[int, str]], list[int]]:
    """What an old process sends to whoever asks: kinds and names, and descriptors."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    records, fds = [], []
    while True:
        data, control, flags, _ = sock.recvmsg(RECORD.size, socket.CMSG_SPACE(16), socket.MSG_WAITALL)
        assert len(data) == RECORD.size
        kind, _, number, name = RECORD.unpack(data)
        for _, _, bytes_ in control:
            fds += array.array("i", bytes_)
        if kind == END:
            assert number == len(records) == len(fds)
            return records, fds
        records.append((kind, name.rstrip(b"\0").decode()))


def close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def test_each_socket_is_handed_over_once(family: Family, own_engine: Engine) -> None:
    """Three workers have three sockets for the port, and share that of the file."""
    old = family.first(WORKERS="3")
    with family.asks() as sock:
        sock.sendall(ASK)
        records, fds = received(sock)
        close_all(fds)
    assert records.count((LISTENER, f"tcp://127.0.0.1:{family.port}")) == 3
    assert records.count((LISTENER, f"unix://{family.path}")) == 1
    assert [kind for kind, _ in records].count(ADMIN) == 1 and len(records) == 5
    old.wait_log(lambda line: "this one goes on" in line)


@pytest.mark.parametrize("step", ["at once", "after the sockets", "half a record", "nonsense"])
def test_who_asks_and_leaves_changes_nothing(family: Family, own_engine: Engine, step: str) -> None:
    old = family.first()
    with family.asks() as sock:
        sock.sendall(ASK)
        if step != "at once":
            _, fds = received(sock)
            close_all(fds)
        if step == "half a record":
            sock.sendall(RECORD.pack(READY, 0, 0, b"\xff")[:100])
        if step == "nonsense":
            sock.sendall(b"\xff" * RECORD.size)
            assert sock.recv(1) == b""
    old.wait_log(lambda line: "this one goes on" in line, what="of the failure")
    with old.connect() as client:
        ping(client, own_engine)
    new = family.next(old)
    assert old.wait_exit() == 0
    assert new.process.poll() is None


def test_a_second_process_waits_for_nobody(family: Family, own_engine: Engine) -> None:
    """Two hand-overs at once: the second one is refused, with a reason."""
    old = family.first()
    with family.asks() as sock:
        sock.sendall(ASK)
        _, fds = received(sock)
        failed = family.try_next()
        assert failed.process.wait(PATIENCE) == 1
        failed._reader.join(PATIENCE)
        assert "another hand-over is in progress" in failed.log()
        failed.process.returncode = 0
        close_all(fds)
    old.wait_log(lambda line: "this one goes on" in line)
    family.next(old)


def test_connections_of_a_process_that_is_gone_are_served(family: Family, own_engine: Engine) -> None:
    """With EPOLLEXCLUSIVE one process is woken for a connection. If it dies, the other looks."""
    old = family.first(WORKERS="1")
    with family.asks() as sock, select.epoll() as waiter:
        sock.sendall(ASK)
        _, fds = received(sock)
        for fd in fds:
            waiter.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        clients = [Client(socket.create_connection(("127.0.0.1", family.port))) for _ in range(20)]
        close_all(fds)
    for client in clients:
        ping(client, own_engine)
        client.close()
    old.wait_log(lambda line: "this one goes on" in line)


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (ASK.replace(b"POST", b"GET"), 400),
        (ASK.replace(b"takeover/1", b"takeover/2"), 426),
        (ASK.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\nbody"), 400),
        (ASK + b"more", 400),
        (ASK.replace(b"\r\n\r\n", b"\r\nOrigin: https://example.org\r\n\r\n"), 403),
    ],
)
def test_other_questions_get_a_reason(family: Family, own_engine: Engine, question: bytes, status: int) -> None:
    old = family.first()
    client = Client(family.asks())
    client.send(question)
    response = client.response()
    assert response.status == status and response.message()
    client.close()
    assert "asks for the listening sockets" not in old.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_other_users_get_nothing(family: Family, own_engine: Engine) -> None:
    """Whatever the mode of the file is: who has the sockets has the clients."""
    old = family.first()
    os.chmod(family.admin_path, 0o666)
    os.chmod(os.path.dirname(family.admin_path), 0o755)
    script = (
        "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        f"s.sendall({ASK!r})\nprint(s.recv(4096).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, family.admin_path], user=12345, group=12345, extra_groups=[],
        capture_output=True, text=True, timeout=PATIENCE,
    )
    assert done.stdout.startswith("HTTP/1.1 403 "), done
    assert "asks for the listening sockets" not in old.log()


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_never_over_tcp(start, own_engine: Engine, tmp_path: Path, kind: str) -> None:
    """Not with a key or a certificate either."""
    os.chmod(tmp_path, 0o755)
    authority = Authority(tmp_path)
    pair = authority.server()
    place = free_port()
    env = {"ADMIN": f"{kind}://127.0.0.1:{place}", "TLS_CERT": pair.path, "TLS_KEY": pair.key}
    proxy = start(env=env if kind == "tls" else {"ADMIN": env["ADMIN"]}, ready=False)
    proxy.wait_log(lambda line: "admin listener" in line)
    with connect(proxy, context(authority), port=place) if kind == "tls" else Admin(place).connect() as client:
        client.send(ASK)
        response = client.response()
    assert response.status == 403 and "unix socket" in response.message()


def test_an_address_must_be_a_socket(own_engine: Engine, folder: str) -> None:
    for value, words in (("tcp://127.0.0.1:1", b"unix:///PATH"), (f"unix://{folder}/nobody.sock", b"No such file")):
        done = subprocess.run(
            [BINARY, "--takeover", value], env=clean_environment(), capture_output=True, timeout=PATIENCE
        )
        assert done.returncode in (1, 2) and words in done.stderr and b"--takeover" in done.stderr


def test_not_while_it_stops(family: Family, own_engine: Engine) -> None:
    old = family.first("--shutdown-grace", "600")
    with old.connect() as client:
        conn = open_stream(client, own_engine)
        old.terminate()
        old.wait_log(lambda line: "SIGTERM" in line)
        asking = Client(family.asks())
        asking.send(ASK)
        response = asking.response()
        assert response.status == 409 and "stopping" in response.message()
        asking.close()
        conn.send(LAST_CHUNK)
        client.expect(LAST_CHUNK)
    assert old.wait_exit() == 0


def test_a_reload_waits_for_a_hand_over(family: Family, own_engine: Engine) -> None:
    old = family.first()
    with family.asks() as sock, family.admin.connect() as operator:
        sock.sendall(ASK)
        _, fds = received(sock)
        before = len(old.lines)
        old.process.send_signal(signal.SIGHUP)
        old.wait_log(lambda line: "SIGHUP: reading" in line, before)
        operator.post("/api/reload", headers=["Content-Type: application/json"])
        operator.expect_silence()
        assert not any("reloaded" in line for line in old.lines[before:])
        close_all(fds)
        sock.close()
        assert operator.response().status == 200
    old.wait_log(lambda line: "reloaded" in line, before, what="of the reload that waited")


# The service manager


def test_passed_sockets_go_on(start, folder: str, own_engine: Engine) -> None:
    """systemd passes sockets to the first process alone."""
    admin = f"{folder}/passed-admin.sock"
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        settings = {"LISTEN": "fd://web,fd://", "ADMIN": f"unix://{admin}", "WORKERS": "2"}
        processes = [start(env=settings, ready=False, **passing([one, two], LISTEN_FDNAMES="web:other"))]
        for _ in range(2):
            processes[-1].wait_log(lambda line: "admin listener" in line)
            processes.append(start("--takeover", f"unix://{admin}", env=settings, ready=False))
            processes[-1].wait_log(lambda line: "took over from process" in line)
            assert processes[-2].wait_exit() == 0
            for sock in (one, two):
                with Client(socket.create_connection(sock.getsockname())) as client:
                    ping(client, own_engine)


@pytest.fixture
def manager(folder: str) -> Iterator[Manager]:
    manager = Manager(f"{folder}/notify-{time.monotonic_ns()}")
    yield manager
    manager.sock.close()


def test_the_manager_learns_which_process_is_the_main_one(family: Family, own_engine: Engine, manager: Manager) -> None:
    """ExecReload= ends once the new process serves; that is another one, which goes on. It tells the manager what
    the old one did, though nobody told it where."""
    old = family.first(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC="2000000")
    assert manager.message()[0] == "READY=1"
    with old.connect() as client:
        conn = open_stream(client, own_engine)
        command = [BINARY, "run", "--takeover", f"unix://{family.admin_path}"]
        env = clean_environment(**family.settings(MAINPID=str(old.pid), SOCKET_PATH=own_engine.path))
        log = Path(family.path + ".log")
        with log.open("wb") as out:
            done = subprocess.run(command, env=env, stdout=out, stderr=out, timeout=PATIENCE)
        assert done.returncode == 0, log.read_text()
        while not (line := manager.message()[0]).startswith("MAINPID="):
            assert line.startswith(("WATCHDOG", "STATUS"))
        new = int(line.removeprefix("MAINPID="))
        try:
            assert new != old.pid and os.readlink(f"/proc/{new}/exe") == os.path.realpath(BINARY)
            assert manager.message()[0] == "READY=1"
            for _ in range(3):
                manager.wait_for("WATCHDOG=1")
            goes_on(client, conn)
            with old.connect() as other:
                ping(other, own_engine)
        finally:
            os.kill(new, signal.SIGTERM)
        conn.close()
    manager.wait_for("STOPPING=1")
    assert old.wait_exit() == 0
    eventually(lambda: not os.path.exists(f"/proc/{new}") or "Z" in open(f"/proc/{new}/stat").read(), "the new process to end")


def test_the_command_of_a_reload_fails_with_the_new_process(family: Family, own_engine: Engine) -> None:
    old = family.first()
    command = [BINARY, "run", "--takeover", f"unix://{family.admin_path}"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        env = clean_environment(**family.settings(MAINPID="1", LISTEN=listen))
        done = subprocess.run(command, env=env, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1 and b"Address already in use" in done.stderr
    with old.connect() as client:
        ping(client, own_engine)


# Under load


class Load:
    """Clients that ask for /_ping without end: each with a connection a request, or with one that it keeps."""

    def __init__(self, family: Family, clients: int):
        self.failures: list[str] = []
        self.count = 0
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self.work, args=(family, i % 2 == 0, i % 4 < 2), daemon=True) for i in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def work(self, family: Family, keeps: bool, over_tcp: bool) -> None:
        client = None
        while not self.over.is_set():
            try:
                if client is None:
                    client = Client(socket.create_connection(("127.0.0.1", family.port), PATIENCE)) if over_tcp else family.over_unix()
                client.get("/_ping", headers=() if keeps else ("Connection: close",))
                response = client.response()
                assert response.status == 200, response
                self.count += 1
                if (response.header("Connection") or "").lower() == "close":
                    client.close()
                    client = None
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                client = None
        if client is not None:
            client.close()

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def test_many_hand_overs_under_load(family: Family, own_engine: Engine) -> None:
    """No request fails, no connection is refused or reset, and the streams of the first process live through all.
    DSP_HANDOVERS says how many there are."""
    first = family.first(WORKERS="2", LOG_LEVEL="notice")
    with first.connect() as events, family.over_unix() as terminal:
        conn = open_stream(events, own_engine)
        terminal.post("/exec/abc/start", headers=["Connection: Upgrade", "Upgrade: tcp"])
        tunnel = own_engine.request().conn
        tunnel.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        terminal.read_response_head()
        own_engine.conns.remove(conn)  # the test itself speaks at these
        own_engine.conns.remove(tunnel)
        with own_engine.responding():
            load = Load(family, 8)
            current, times = first, []
            for number in range(HANDOVERS):
                began = time.monotonic()
                former, current = current, family.next(current, WORKERS="2", LOG_LEVEL="notice")
                times.append(time.monotonic() - began)
                goes_on(events, conn, b"%d" % number)
                terminal.send(b"in %d" % number)
                tunnel.expect(b"in %d" % number)
                tunnel.send(b"out %d" % number)
                terminal.expect(b"out %d" % number)
                if former is not first:
                    assert former.wait_exit() == 0
            load.end()
        print(f"\n{HANDOVERS} hand-overs, {load.count} requests; a hand-over took {min(times):.3f} to {max(times):.3f} s")
        assert load.failures == []
        assert load.count > 10 * HANDOVERS
        assert first.process.poll() is None
        conn.close()
        tunnel.close()
    assert first.wait_exit() == 0
