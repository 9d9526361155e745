"""An Engine behind TCP: by address and by name, raw streams included; loops; when it cannot be
reached."""

from __future__ import annotations

import itertools
import os
import pathlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from machine import free_port, has_ipv6
from test_streams import *  # noqa: F403  all of them, over TCP
from test_tunnel import *  # noqa: F403
from wire import API_KEY, PATIENCE, Engine, Proxy, eventually


class TcpEngine(Engine):
    """The scripted Engine at a TCP port."""

    def __init__(self, host: str = "127.0.0.1", api_key: str | None = None, port: int = 0):
        self.host, self.port = host, port or free_port()
        shown = f"[{host}]" if ":" in host else host
        super().__init__(f"tcp://{shown}:{self.port}", api_key)

    def start(self, backlog: int = 1024, mode: int = 0) -> TcpEngine:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self.listener = socket.create_server((self.host, self.port), family=family, backlog=backlog)
        return self

    def stop(self) -> None:
        self.hang_up()
        if self.listener:
            self.listener.close()
            self.listener = None


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[TcpEngine]:
    with TcpEngine(api_key=API_KEY) as engine:
        yield engine


@pytest.fixture(scope="module")
def shared_proxy(shared_engine: TcpEngine) -> Iterator[Proxy]:
    proxy = Proxy(env={"DOCKER_HOST": shared_engine.path, "API_KEY": API_KEY})
    try:
        yield proxy.wait_ready()
    finally:
        proxy.stop()


@pytest.fixture
def engine(shared_engine: TcpEngine) -> Iterator[TcpEngine]:
    shared_engine.forget()
    yield shared_engine
    shared_engine.forget()


@pytest.fixture
def own_engine() -> Iterator[TcpEngine]:
    with TcpEngine() as engine:
        yield engine


def assert_serves(proxy: Proxy, engine: Engine) -> None:
    with proxy.connect() as client:
        client.get("/version")
        engine.request().respond(body=b"through")
        assert client.response().body == b"through"


def await_all_workers(proxy: Proxy, engine: Engine) -> None:
    """The log has an address before each worker has it."""

    def status() -> int:
        with proxy.connect() as client:
            client.get("/version")
            return client.response().status

    with engine.responding():
        eventually(lambda: {status() for _ in range(4)} == {200}, "each worker to serve")


def message(proxy: Proxy) -> tuple[int, str]:
    with proxy.connect() as client:
        client.get("/version")
        response = client.response()
        return response.status, response.message()


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")
def test_ipv6(start) -> None:
    with TcpEngine("::1") as engine:
        assert_serves(start("--upstream", engine.path), engine)


def test_plain_string_in_the_file(start, own_engine: Engine, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(f"upstream: {own_engine.path}\npolicy: open\n")
    proxy = start("-c", str(file), env={"SOCKET_PATH": ""})
    assert_serves(proxy, own_engine)
    proxy.wait_log(lambda line: f"forwarding to {own_engine.path}," in line)


def test_no_root_is_needed(start, own_engine: Engine) -> None:
    """No file has to be opened, so that nothing of root stays."""
    proxy = start("--upstream", own_engine.path)
    assert_serves(proxy, own_engine)  # it accepts before it has given up root, and serves after
    if os.geteuid() == 0:
        assert proxy.status("Uid").split() == ["65532"] * 4
        assert proxy.status("Groups") == ""
        assert int(proxy.status("CapEff"), 16) == 0


def test_vanished_engines_are_found(start, own_engine: Engine) -> None:
    """TCP keepalive on the connections to the Engine, too."""
    proxy = start("--upstream", own_engine.path)
    with proxy.connect() as client:
        client.get("/events")
        request = own_engine.request()
        port = request.conn.sock.getpeername()[1]
        listing = subprocess.run(
            ["ss", "-tnoH", f"sport = :{port}"], capture_output=True, text=True, check=True
        ).stdout
        assert "timer:(keepalive" in listing
        request.respond()
        client.response()


# ── It cannot be reached ──────────────────────────────────────────────────────────────────────


def test_nobody_listens(start) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    proxy = start("--upstream", address)
    status, text = message(proxy)
    assert status == 502
    assert text.endswith(
        f"cannot connect to {address}: no program listens there: the Engine is not running, or does "
        "not listen on this address and port"
    )
    with TcpEngine(port=int(address.rpartition(":")[2])) as engine:
        assert_serves(proxy, engine)


def test_nothing_answers(start) -> None:
    """A listener whose queue is full drops what comes, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            waiting.append(sock)
        proxy = start("--upstream", f"tcp://127.0.0.1:{port}")
        with proxy.connect() as client:
            client.get("/version")
            response = client.response()
            assert response.status == 504
            assert "nothing answers" in response.message()
        for sock in waiting:
            sock.close()


# ── Names ─────────────────────────────────────────────────────────────────────────────────────

# Shows another /etc/hosts, and a resolv.conf without a server, to one program.
PRIVATE = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'

_numbers = itertools.count(1)


@pytest.fixture
def hosts(folder: str) -> Callable[[str], dict]:
    """hosts(text) → the arguments of `start` that give the proxy this /etc/hosts."""
    path = pathlib.Path(folder, f"hosts-{next(_numbers)}")
    servers = pathlib.Path(folder, "resolv.conf")
    servers.write_text("nameserver 127.0.0.1\n")

    def write(text: str) -> dict:
        path.write_text(text)
        words = ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(path), str(servers)]
        return {"prefix": words}

    return write


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@needs_root
def test_a_name(start, own_engine: Engine, hosts) -> None:
    options = hosts("# 127.0.0.9 engine\n127.0.0.1\tother Engine.Example # engine\n")
    proxy = start("--upstream", f"tcp://engine.example:{own_engine.port}", **options)
    assert_serves(proxy, own_engine)
    proxy.wait_log(lambda line: f"the Engine 'engine.example' is at 127.0.0.1:{own_engine.port}" in line)


@needs_root
def test_a_name_that_is_not_known_yet(start, own_engine: Engine, hosts) -> None:
    """Compose starts both at the same time; and an Engine that moves is found again."""
    options = hosts("127.0.0.1 localhost\n")
    proxy = start("--upstream", f"tcp://engine:{own_engine.port}", "--workers", "2", **options)
    status, text = message(proxy)
    assert status == 502
    assert f"cannot connect to tcp://engine:{own_engine.port}: the name has no address" in text
    unknown = "cannot look up the Engine's name 'engine'"
    proxy.wait_log(lambda line: unknown in line)
    assert len([line for line in proxy.lines if unknown in line]) == 1
    hosts("127.0.0.1 engine\n")
    proxy.wait_log(lambda line: "the Engine 'engine' is at 127.0.0.1" in line)
    await_all_workers(proxy, own_engine)
    with TcpEngine("127.0.0.2", port=own_engine.port) as moved:
        hosts("127.0.0.2 engine\n")
        proxy.wait_log(lambda line: "the Engine 'engine' is at 127.0.0.2" in line)
        for conn in list(own_engine.conns):
            conn.expect_gone()  # each worker has let go of what it kept
        await_all_workers(proxy, moved)


@needs_root
def test_a_stop_does_not_wait_for_dns(start, own_engine: Engine, hosts) -> None:
    proxy = start("--upstream", "tcp://engine:1", **hosts(""))
    began = time.monotonic()
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert time.monotonic() - began < 5


class DnsServer:
    """Answers each question for an IPv4 address with the same one."""

    def __init__(self, answer: str):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.53", 53))
        self.answer = socket.inet_aton(answer)
        self.questions: list[bytes] = []

    def serve(self, count: int) -> None:
        for _ in range(count):
            self.sock.settimeout(PATIENCE)
            question, peer = self.sock.recvfrom(512)
            self.questions.append(question)
            end = question.index(b"\0", 12) + 5
            is_a = question[end - 4 : end - 2] == b"\0\x01"
            head = question[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if is_a else b"\0\0") + b"\0\0\0\0"
            record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + self.answer if is_a else b""
            self.sock.sendto(head + question[12:end] + record, peer)


@needs_root
def test_a_name_of_dns(own_engine: Engine, folder: str) -> None:
    """In a network of its own, where port 53 of 127.0.0.53 is free. The Engine is not in it."""
    resolv = pathlib.Path(folder, "dns.conf")
    resolv.write_text("nameserver 127.0.0.53\nsearch example.org\n")
    hosts_file = pathlib.Path(folder, "dns.hosts")
    hosts_file.write_text("")
    try:
        server = DnsServer("127.0.0.7")
    except OSError:
        pytest.skip("port 53 of 127.0.0.53 is taken")
    words = ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(hosts_file), str(resolv)]
    with server.sock:
        proxy = Proxy("--upstream", "tcp://engine:1", prefix=words)
        server.serve(2)
        proxy.wait_log(lambda line: "the Engine 'engine' is at 127.0.0.7:1" in line)
        assert b"\x06engine\x07example\x03org\0" in server.questions[0]
        proxy.stop()


class Nameserver:
    """At 127.0.0.53, in a process of its own name space; answers as `answer` says, or not at all."""

    def __init__(self, folder: str, answer: Callable[[bytes], bytes | None], hosts: str = ""):
        self.answer = answer
        self.hosts = pathlib.Path(folder, "nameserver.hosts")
        self.hosts.write_text(hosts)
        resolv = pathlib.Path(folder, "nameserver.conf")
        resolv.write_text("nameserver 127.0.0.53\nsearch .\n")
        self.prefix = ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(self.hosts), str(resolv)]
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.bind(("127.0.0.53", 53))
        except OSError:
            self.sock.close()
            pytest.skip("port 53 of 127.0.0.53 is taken")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, peer = self.sock.recvfrom(512)
            if not question:
                return
            response = self.answer(question)
            if response is not None:
                self.sock.sendto(response, peer)

    def move(self, hosts: str) -> None:
        """In place: of an empty file in between, the proxy would learn that the name is gone."""
        with self.hosts.open("r+") as file:
            assert len(hosts) == len(file.read())
            file.seek(0)
            file.write(hosts)

    def __enter__(self) -> Nameserver:
        return self

    def __exit__(self, *_) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.53", 53))
        self.sock.close()


def several(folder: str, port: int, engines: dict[str, str]) -> str:
    """A file with these Engines."""
    path = pathlib.Path(folder, f"several-{next(_numbers)}.yaml")
    rows = "".join(f"  {name}: '{address}'\n" for name, address in engines.items())
    path.write_text(
        f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ops}}]\n"
        f"policies: {{ops: {{engines: '*', rules: [{{allow: ['*']}}]}}}}\nengines:\n{rows}"
    )
    return str(path)


@needs_root
def test_a_moved_engine_is_found_while_other_names_time_out(own_engine: Engine, folder: str) -> None:
    """25 names that take two seconds each."""
    port = free_port()
    dead = {f"d{i}": f"tcp://d{i}.dead:1" for i in range(25)}
    file = several(folder, port, {"good": f"tcp://good:{own_engine.port}"} | dead)
    with Nameserver(folder, lambda question: None, "127.0.0.1 good\n") as server:
        proxy = Proxy("-c", file, prefix=server.prefix, port=port).wait_ready()
        proxy.wait_log(lambda line: "cannot look up the Engine's name 'd2.dead'" in line, timeout=40)
        with TcpEngine("127.0.0.2", port=own_engine.port) as moved:
            server.move("127.0.0.2 good\n")
            own_engine.stop()

            def is_served() -> bool:
                with proxy.connect() as client:
                    client.get("/engines/good/version")
                    return client.response().status == 200

            with moved.responding():
                eventually(is_served, "a request at the new address", 30)
                proxy.stop()


@needs_root
def test_an_error_of_dns_is_that_of_one_name(own_engine: Engine, folder: str) -> None:
    """SERVFAIL to one: the others are looked up when the file is read."""
    port = free_port()
    file = several(folder, port, {"bad": "tcp://bad.example:1", "good": "tcp://good.example:1"})

    def answer(question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5
        is_a = question[end - 4 : end - 2] == b"\0\x01"
        if b"\x03bad" in question:
            return question[:2] + b"\x81\x82\0\x01" + b"\0" * 6 + question[12:end]
        head = question[:2] + b"\x81\x80\0\x01\0" + bytes([is_a]) + b"\0" * 4 + question[12:end]
        return head + (b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x07" if is_a else b"")

    with Nameserver(folder, answer) as server:
        proxy = Proxy("-c", file, prefix=server.prefix, port=port).wait_ready()
        proxy.wait_log(lambda line: "the Engine 'good.example' is at 127.0.0.7:1" in line, timeout=6)
        assert any("'bad.example': DNS responds with an error" in line for line in proxy.lines)
        proxy.stop()


# ── Loops ─────────────────────────────────────────────────────────────────────────────────────


def ended(*args: str, **options) -> str:
    proxy = Proxy(*args, **options)
    assert proxy.wait_exit() in (1, 2)
    return proxy.log()


def test_the_engine_is_a_listener() -> None:
    port = free_port()
    for engine in (f"tcp://127.0.0.1:{port}", f"tcp://localhost:{port}", f"tcp://127.8.8.8:{port}"):
        words = ended("--upstream", engine, port=port)
        assert f"'{engine}' is both the address of a listener and the Engine's address" in words


@needs_root
def test_the_engine_is_a_listener_by_name(hosts) -> None:
    port = free_port()
    options = hosts("127.0.0.1 engine\n")
    words = ended("--upstream", f"tcp://engine:{port}", port=port, **options)
    assert f"the Engine's address tcp://engine:{port} (--upstream) leads to the listener" in words


def test_the_engine_is_a_listener_by_a_link(folder: str) -> None:
    os.symlink("loop.sock", f"{folder}/loop-link.sock")
    words = ended(
        "--listen", f"unix://{folder}/loop.sock", "--upstream", f"{folder}/loop-link.sock"
    )
    assert "leads to the listener" in words
    assert not os.path.exists(f"{folder}/loop.sock"), "it is removed again"
