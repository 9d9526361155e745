"""Several Engines: which of them are up, groups that go on with another member, and what is told of it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from machine import free_port, public_folder
from operators import Admin
from test_certs import certs
from wire import Client, Proxy, eventually, run_binary

PROBES = 45  # seconds in which an Engine that has come or gone is noticed, on a machine that is busy
KEY, OTHER = "a key with many letters", "another key with letters"
FILE = """\
engines:
{engines}
policies:
  ops: {{engines: '*', rules: [{{allow: ['*']}}]}}
  none: {{rules: []}}
  ours: {{engines: '*', rules: [{{allow: ['*']}}], scope: {{labels: {{team: ci}}}}}}
listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: {policy}}}]
admin: {{address: 'unix://{folder}/admin.sock'}}
{more}"""


class Node:
    """An Engine at a unix socket: answers with its name, and writes down what it was asked."""

    def __init__(self, path: str, name: str):
        self.path, self.name = path, name
        self.asked: list[tuple[str, str, bytes]] = []
        self.ping: int | None = 200  # the status; None: no answer
        self.respond: Callable[[Node, socket.socket], None] = Node.answer
        self.pings = 0
        self.listener: socket.socket | None = None
        self.conns: set[socket.socket] = set()

    def start(self) -> Node:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        pathlib.Path(self.path).chmod(0o666)
        self.listener.listen(1024)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
            if self.path:
                pathlib.Path(self.path).unlink()
        for conn in list(self.conns):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def answer(self, conn: socket.socket) -> None:
        body = self.name.encode()
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def cut(self, conn: socket.socket) -> None:
        conn.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            self.conns.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        try:
            with conn, conn.makefile("rb") as stream:
                while line := stream.readline():
                    method, target, _ = line.decode().split(" ", 2)
                    length = 0
                    while (header := stream.readline().strip()):
                        name, _, value = header.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    self._take(conn, method, target, stream.read(length))
        except (OSError, ValueError):
            pass
        finally:
            self.conns.discard(conn)

    def _take(self, conn: socket.socket, method: str, target: str, body: bytes) -> None:
        if target != "/_ping":
            self.asked.append((method, target, body))
            self.respond(self, conn)
            return
        self.pings += 1
        if self.ping is not None:
            conn.sendall(b"HTTP/1.1 %d Fine\r\nContent-Length: 2\r\n\r\nOK" % self.ping)


class RemoteNode(Node):
    """The same at a TCP port; `context`: with TLS."""

    def __init__(self, name: str, context: ssl.SSLContext | None = None):
        super().__init__("", name)
        self.context = context
        self.certificates: set[str | None] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        if self.context is not None:
            try:
                conn = self.context.wrap_socket(conn, server_side=True)
            except OSError:
                conn.close()
                return
            subject = (conn.getpeercert() or {}).get("subject", ())
            self.certificates.add(dict(part[0] for part in subject).get("commonName"))
        super()._serve(conn)


class Front:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.nodes = {name: Node(f"{folder}/{name}.sock", name) for name in ("a", "b")}
        self.proxy: Proxy | None = None
        self.admin = Admin(f"{folder}/admin.sock")

    def begin(self, engines: str = "", more: str = "", policy: str = "ops", *args: str) -> Front:
        port = free_port()
        rows = "".join(f"  {node.name}: 'unix://{node.path}'\n" for node in self.nodes.values())
        engines = engines or "  web: {members: [a, b]}\n"
        self.file = self.folder / "proxy.yaml"
        self.file.write_text(FILE.format(engines=rows + engines, port=port, folder=self.folder, more=more, policy=policy))
        self.proxy = Proxy("-c", str(self.file), "--workers", "2", *args, port=port).wait_ready()
        return self

    def ask(self, target: str, *headers: str) -> tuple[int, bytes]:
        with self.proxy.connect() as client:
            return on(client, target, *headers)

    def list(self, *headers: str) -> dict[str, dict]:
        status, body = self.ask("/engines", *headers)
        assert status == 200, body
        return {one["name"]: one for one in json.loads(body)["engines"]}

    def await_up(self, name: str, up: bool) -> dict:
        return eventually(lambda: self.list()[name]["up"] is up and self.list()[name], f"{name} up={up}", PROBES)


def on(client: Client, target: str, *headers: str) -> tuple[int, bytes]:
    client.get(target, headers=headers)
    response = client.response()
    return response.status, response.body


def take_and_end(sock: socket.socket, last_word: bytes = b"") -> None:
    """Read, so that the end is no reset, and end the connection."""
    with sock:
        sock.recv(65536)
        sock.sendall(last_word)


def message(body: bytes) -> str:
    return json.loads(body)["message"]


@pytest.fixture
def front() -> Iterator[Front]:
    folder = pathlib.Path(public_folder("fleet-"))
    folder.chmod(0o777)
    one = Front(folder)
    yield one
    if one.proxy is not None:
        one.proxy.stop()
    for node in one.nodes.values():
        node.stop()
    shutil.rmtree(folder)


@pytest.fixture
def a(front: Front) -> Node:
    return front.nodes["a"].start()


@pytest.fixture
def b(front: Front) -> Node:
    return front.nodes["b"].start()


# ── Health ─────────────────────────────────────────────────────────────────────────────────────


def test_probes_find_out_which_engines_are_up(front: Front, a: Node) -> None:
    front.begin()
    up, down = front.await_up("a", True), front.await_up("b", False)
    assert "error" not in up and down["error"] == "refused" and up["since"].endswith("Z")
    assert front.list()["web"] == {"name": "web", "up": True, "members": ["a", "b"], "active": "a"}
    assert front.proxy.wait_log(lambda line: "the Engine 'b'" in line and "is down: it refuses connections" in line)


def test_a_connection_of_a_client_counts_before_any_probe(front: Front, b: Node) -> None:
    front.begin()
    assert front.ask("/engines/a/version")[0] == 502
    assert front.ask("/engines/b/version") == (200, b"b")
    assert (front.list()["a"]["up"], front.list()["b"]["up"]) == (False, True)


def test_an_engine_that_comes_back_is_up_after_two_answers(front: Front, a: Node, b: Node) -> None:
    front.begin()
    front.await_up("a", True)
    a.stop()
    assert front.ask("/engines/a/version")[0] == 502
    asked = a.pings
    a.start()
    front.await_up("a", True)
    assert a.pings >= asked + 2
    assert front.proxy.wait_log(lambda line: "the Engine 'a'" in line and "is up again" in line)


@pytest.mark.parametrize(("ping", "error"), [(None, "silent"), (500, "error")])
def test_an_engine_that_accepts_and_does_not_answer_is_down(front: Front, a: Node, b: Node, ping, error) -> None:
    a.ping = ping
    front.begin()
    assert front.await_up("a", False)["error"] == error
    assert front.ask("/engines/web/version") == (200, b"b")


def test_the_default_engine_has_a_row_with_its_health(front: Front, a: Node, b: Node) -> None:
    front.begin(more=f"upstream: 'unix://{b.path}'\n")
    assert "error" not in front.await_up("default", True) and b.asked == []
    assert front.ask("/engines/default/health") == (200, b'{"status":"healthy"}')
    assert front.admin.metrics().get_one("engine_up", engine="default") == 1
    b.stop()
    assert front.ask("/version")[0] == 502
    assert front.list()["default"]["up"] is False
    front.await_up("a", True)
    assert front.ask("/engines/default/health")[0] == 503


@pytest.fixture
def nodes_of_others(tmp_path: pathlib.Path) -> pathlib.Path:
    """Certificates of an authority for Engines: of one that is called `engine`, and of the proxy."""
    certs(tmp_path / "nodes", "--host", "engine")
    return tmp_path / "nodes"


def rows_of(kind: str, nodes: pathlib.Path) -> tuple[RemoteNode, str, set[str]]:
    """An Engine, its rows, and the names by which it is asked over TLS."""
    if kind == "tcp":
        node = RemoteNode("remote")
        return node, f"  remote: 'tcp://{node.place}'\n", set()
    names: set[str] = set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(nodes / "server-cert.pem", nodes / "server-key.pem")
    context.load_verify_locations(nodes / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.sni_callback = lambda _sock, name, _context: names.add(name)
    node = RemoteNode("remote", context)
    tls = f"ca: {nodes}/ca.pem, cert: {nodes}/cert.pem, key: {nodes}/key.pem"
    return node, "".join(f"  {name}: {{address: 'tls://{node.place}', tls: {{{tls}, name: {expected}}}}}\n"
                         for name, expected in (("remote", "engine"), ("other", "other"))), names


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_an_engine_of_another_machine_is_up_and_is_asked(front: Front, nodes_of_others: pathlib.Path, kind: str) -> None:
    """With TLS, probes and requests show the same certificate, and ask for the Engine's own name."""
    node, rows, names = rows_of(kind, nodes_of_others)
    front.begin(rows)
    try:
        assert "error" not in front.await_up("remote", True)
        assert node.pings > 0 and node.asked == [], "by a probe alone"
        assert front.ask("/engines/remote/health") == (200, b'{"status":"healthy"}')
        assert front.ask("/engines/remote/version?a=b") == (200, b"remote")
        assert node.asked == [("GET", "/version?a=b", b"")]
        assert front.admin.metrics().get_one("engine_up", engine="remote") == 1
        if kind == "tls":  # one process at one address, which is `remote` and is not `other`
            assert front.await_up("other", False)["error"] == "tls"
            assert (node.certificates, names) == ({"client"}, {"engine", "other"})
    finally:
        front.proxy.stop()
        node.stop()


class Openings:
    """How often files are opened while the block runs (inotify(7))."""

    OPEN, CLOSE = 0x20, 0x10  # both, because the kernel makes one event of two that are alike

    def __init__(self, *files: pathlib.Path):
        self.files = files

    def __enter__(self) -> Openings:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC)
        for file in self.files:
            assert libc.inotify_add_watch(self.fd, os.fsencode(file), self.OPEN | self.CLOSE) > 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(self, *_: object) -> None:
        events = os.read(self.fd, 65536)
        os.close(self.fd)
        masks = [mask for _, mask, _, _ in struct.iter_unpack("iIII", events)]
        self.count = sum(1 for mask in masks if mask & self.OPEN)


def test_engines_with_the_same_files_read_them_once(nodes_of_others: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Of thirty Engines of one authority only the name is each one's own: they cost the memory and the time at a reload of one."""
    file = tmp_path / "proxy.yaml"
    links = [tmp_path / f"n{i}" for i in range(30)]
    for link in links:
        link.symlink_to(nodes_of_others)

    def openings(folders: list[pathlib.Path]) -> int:
        file.write_text("policy: deny\nengines:\n" + "".join(
            f"  e{i}: {{address: 'tls://127.0.0.1:{i + 1}', tls: {{ca: {at}/ca.pem, cert: {at}/cert.pem, key: {at}/key.pem, name: e{i}}}}}\n"
            for i, at in enumerate(folders)))
        with Openings(*(nodes_of_others / name for name in ("ca.pem", "cert.pem", "key.pem"))) as counted:
            result = run_binary("check", "-c", str(file))
        assert result.returncode == 0, result.stderr
        return counted.count

    one = openings(links[:1])
    assert one >= 3 and openings(links[:1] * 30) == one
    assert openings(links) == 30 * one, "files of other names are other files"


def test_an_engine_that_refuses_the_probe_is_up(front: Front, a: Node) -> None:
    """As another proxy does that asks for a key."""
    a.ping = 401
    front.begin()
    front.await_up("a", True)


def test_engines_that_do_not_answer_take_no_turns_from_others(front: Front, a: Node, b: Node) -> None:
    """4,000 of them keep all probes waiting. Each Engine has its turn, in the order of the file."""
    b.ping = None
    deaf = [f"  {name}: 'unix://{b.path}'\n" for name in (*(f"d{i}" for i in range(300)), *(f"f{i}" for i in range(3700)))]
    front.begin("".join([*deaf[:300], *(f"  e{i}: 'unix://{a.path}'\n" for i in range(40)), *deaf[300:]]))

    def all_answer() -> bool:
        listed = front.list()
        return all(listed[f"e{i}"]["up"] for i in range(40))

    eventually(all_answer, "answers of all that answer", 60)


def test_without_engines_the_list_is_a_path_of_the_engine(start, own_engine) -> None:
    with start().connect() as client:
        client.get("/engines")
        own_engine.request().respond(404, b"no")
        assert client.response().status == 404


# ── GET /engines ───────────────────────────────────────────────────────────────────────────────


def test_the_list_has_what_the_client_may_use_and_no_addresses(front: Front, a: Node, b: Node) -> None:
    keys = "".join(
        f"- {{name: {name}, match: {{key_sha256: {hashlib.sha256(key.encode()).hexdigest()}}}, engines: [{engines}], policy: ops}}\n"
        for name, key, engines in (("one", KEY, "a, web"), ("two", OTHER, "b")))
    front.begin(more=f"clients:\n{keys}", policy="none")
    listed = front.list(f"X-Api-Key: {KEY}")
    assert set(listed) == {"a", "web"} and listed["web"]["members"] == ["a"]
    assert set(front.list(f"X-Api-Key: {OTHER}")) == {"b"}
    _, body = front.ask("/engines", f"X-Api-Key: {KEY}")
    assert b".sock" not in body


def test_head_and_a_kept_connection(front: Front, a: Node) -> None:
    front.begin()
    with front.proxy.connect() as client:
        client.send(b"HEAD /engines HTTP/1.1\r\nHost: docker\r\n\r\n")
        response = client.response("HEAD")
        assert response.status == 200 and response.header("content-type") == "application/json"
        status, body = on(client, "/engines")
        assert status == 200 and json.loads(body)["engines"]


@pytest.mark.parametrize("groups", [False, True])
def test_the_longest_list_is_whole(front: Front, a: Node, groups: bool) -> None:
    """4,096 Engines with long names; of groups with many members these are left out."""
    long = "n" * 50
    names = [f"{'m' * 16}-{i}" for i in range(8)]
    rows = [f"  {name}: 'unix://{front.folder}/none.sock'\n" for name in names]
    value = f"{{members: [{', '.join(names)}]}}" if groups else f"'unix://{front.folder}/none.sock'"
    rows += [f"  {long}-{i}: {value}\n" for i in range(4096 - 2 - len(rows))]
    front.begin("".join(rows))
    listed = front.list()
    assert len(listed) == 4096
    assert not any("members" in one for one in listed.values())


def test_health_of_an_engine_and_of_a_group(front: Front, b: Node) -> None:
    front.begin()
    assert front.ask("/engines/b/health") == (200, b'{"status":"healthy"}')
    status, body = front.ask("/engines/a/health")
    assert status == 503 and json.loads(body)["status"] == "unhealthy"
    assert front.ask("/engines/web/health")[0] == 200
    assert b.asked == [], "a connection is enough"


# ── Groups ─────────────────────────────────────────────────────────────────────────────────────


def test_a_request_goes_on_to_the_next_member_unnoticed(front: Front, b: Node) -> None:
    front.begin()
    with front.proxy.connect() as client:
        client.post("/engines/web/containers/create", b'{"Image":"busybox"}', headers=("Content-Type: application/json",))
        assert client.response().body == b"b"
    assert b.asked == [("POST", "/containers/create", b'{"Image":"busybox"}')]


def test_a_request_that_was_sent_is_not_sent_again(front: Front, a: Node, b: Node) -> None:
    a.respond = Node.cut
    front.begin()
    with front.proxy.connect() as client:
        client.post("/engines/web/containers/create", b"{}", headers=("Content-Type: application/json",))
        assert client.response().status == 502
    assert len(a.asked) == 1 and b.asked == []


def test_a_post_on_a_kept_connection_that_ends_is_not_sent_again(front: Front, a: Node, b: Node) -> None:
    front.begin()
    with front.proxy.connect() as client:
        assert on(client, "/engines/web/version") == (200, b"a")
        a.respond = Node.cut
        client.post("/engines/web/containers/create", b"{}", headers=("Content-Type: application/json",))
        assert client.response().status == 502
    assert b.asked == []


def test_a_get_on_a_kept_connection_leaves_a_member_that_is_known_to_be_down(front: Front, a: Node, b: Node) -> None:
    front.begin()
    with front.proxy.connect() as client:
        assert on(client, "/engines/web/version") == (200, b"a")
        a.stop()
        assert front.ask("/engines/a/health")[0] == 503  # it marks the member
        assert on(client, "/engines/web/version") == (200, b"b")


def test_all_members_down_is_a_502_that_names_the_group(front: Front) -> None:
    front.begin()
    status, body = front.ask("/engines/web/version")
    assert status == 502 and "the Engine 'web'" in message(body) and "'b'" not in message(body)
    assert front.list()["web"]["up"] is False


def test_a_connection_keeps_its_member_while_that_is_up(front: Front, a: Node, b: Node) -> None:
    front.begin()
    a.stop()
    with front.proxy.connect() as kept:
        assert on(kept, "/engines/web/version") == (200, b"b")
        a.start()
        front.await_up("a", True)
        assert front.ask("/engines/web/version") == (200, b"a")
        assert on(kept, "/engines/web/version") == (200, b"b")
        b.stop()
        assert front.ask("/engines/b/health")[0] == 503  # it marks the member
        assert on(kept, "/engines/web/version") == (200, b"a")


@pytest.mark.parametrize("policy", ["ops", "ours"])
def test_a_member_that_does_not_accept_is_left_after_two_seconds(front: Front, b: Node, policy: str) -> None:
    """Whether the request itself waits or its look-up."""
    own = json.dumps({"Id": "0123456789ab", "Config": {"Labels": {"team": "ci"}}}).encode()
    b.respond = lambda _, conn: conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(own), own))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as stuck:
        port = stuck.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        front.begin(f"  stuck: 'tcp://127.0.0.1:{port}'\n  web: {{members: [stuck, b]}}\n", policy=policy)
        began = time.monotonic()
        assert front.ask("/engines/web/containers/x/json") == (200, own)
        assert time.monotonic() - began < 6
        assert front.list()["stuck"]["error"] == "timeout"
        for filler in fillers:
            filler.close()


@pytest.fixture
def safe(front: Front, tmp_path: pathlib.Path) -> Iterator[Callable[..., None]]:
    """safe(serve): a group of an Engine with TLS, whose connections `serve` takes, and of `b`."""
    listener = socket.create_server(("127.0.0.1", 0))
    certs(tmp_path / "ours", "--host", "127.0.0.1")
    ca = front.folder / "ca.pem"
    shutil.copy(tmp_path / "ours" / "ca.pem", ca)
    ca.chmod(0o644)

    def begin(serve: Callable[[socket.socket], object], policy: str = "ops") -> None:
        def run() -> None:
            while True:
                try:
                    serve(listener.accept()[0])
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        address = f"tls://127.0.0.1:{listener.getsockname()[1]}"
        front.begin(f"  safe: {{address: '{address}', tls: {{ca: {ca}}}}}\n  web: {{members: [safe, b]}}\n", policy=policy)

    with listener:
        yield begin
        listener.shutdown(socket.SHUT_RDWR)


def test_a_wrong_certificate_does_not_move_the_request_on(front: Front, b: Node, safe, tmp_path: pathlib.Path) -> None:
    certs(tmp_path / "theirs", "--host", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "theirs" / "server-cert.pem", tmp_path / "theirs" / "server-key.pem")
    safe(lambda sock: context.wrap_socket(sock, server_side=True))
    for _ in range(2):
        status, body = front.ask("/engines/web/version")
        assert status == 502 and "TLS" in message(body)
    listed = front.list()
    assert listed["safe"]["error"] == "tls" and listed["web"]["active"] == "safe"
    assert b.asked == []


def test_an_end_before_tls_moves_the_request_on(front: Front, b: Node, safe) -> None:
    safe(take_and_end)
    assert front.ask("/engines/web/version") == (200, b"b")
    listed = front.list()
    assert listed["safe"]["error"] == "cut" and listed["web"]["active"] == "b"


@pytest.mark.parametrize("policy", ["ops", "ours"])
def test_an_end_within_tls_does_not_move_the_request_on(front: Front, b: Node, safe, policy: str) -> None:
    """Whether the request itself or its look-up meets it: somebody answered."""
    safe(lambda sock: take_and_end(sock, b"\x16"), policy)
    assert front.ask("/engines/web/containers/x/json")[0] == 502
    listed = front.list()
    assert listed["safe"]["error"] == "tls" and listed["web"]["active"] == "safe"
    assert b.asked == []


def test_the_key_of_the_default_engine_goes_to_no_group(front: Front, a: Node, b: Node) -> None:
    seen: list[bytes] = []
    front.begin()
    front.proxy.stop()
    port = front.proxy.port
    front.proxy = Proxy("-c", str(front.file), env={"API_KEY": "secret-of-default", "SOCKET_PATH": b.path + ".none"}, port=port).wait_ready()
    raw = socket.socket(socket.AF_UNIX)
    a.stop()
    raw.bind(a.path)
    pathlib.Path(a.path).chmod(0o666)
    raw.listen(8)

    def serve() -> None:
        while True:
            try:
                conn, _ = raw.accept()
            except OSError:
                return
            seen.append(conn.recv(65536))
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na")
            conn.close()

    threading.Thread(target=serve, daemon=True).start()
    assert front.ask("/engines/web/version")[0] == 200
    assert seen and not any(b"secret-of-default" in data for data in seen)
    raw.close()
    pathlib.Path(a.path).unlink()


# ── What is told of it ─────────────────────────────────────────────────────────────────────────


def test_metrics_state_and_status(front: Front, a: Node) -> None:
    front.begin()
    assert front.ask("/engines/a/version") == (200, b"a")
    assert front.ask("/engines/b/version")[0] == 502
    samples = front.admin.metrics()
    assert samples.get_one("engine_up", engine="a") == 1
    assert ("engine_up", (("engine", "b"),)) in samples and samples.get_one("engine_up", engine="b") == 0
    assert samples.get_one("engine_connect_failures_total", engine="b") >= 1
    state = {one["name"]: one for one in front.admin.state()["engines"]}
    assert list(state) == ["a", "b", "web"]
    assert state["a"]["up"] is True and state["a"]["address"] == f"unix://{a.path}" and state["a"]["error"] is None
    assert state["b"]["up"] is False and "refuses connections" in state["b"]["error"]
    assert (state["web"]["members"], state["web"]["active"]) == (["a", "b"], "a")
    shown = run_binary("status", f"unix://{front.admin.place}").stdout
    rows = [line.split() for line in shown.splitlines()]
    assert any(row[:1] == ["a"] and row[2:4] == ["up", "0"] for row in rows), shown
    assert any(row[:5] == ["web", "a,", "b", "up:", "a"] for row in rows), shown


def test_without_engines_the_state_has_none(start, own_engine, tmp_path: pathlib.Path) -> None:
    place = pathlib.Path(own_engine.path).parent / "none-admin.sock"
    own_engine.release = "20.10.24"
    start(env={"ADMIN": f"unix://{place}"})
    admin = Admin(str(place))
    assert admin.state()["engines"] == []
    assert not any(name.startswith("engine_") for name, _ in admin.metrics())


def test_a_reload_that_moves_an_engine_begins_its_health_anew(front: Front, a: Node, b: Node) -> None:
    a.stop()
    front.begin()
    front.await_up("a", False)
    front.file.write_text(front.file.read_text().replace(a.path, b.path))
    assert front.admin.post("/api/reload").status == 200
    assert front.ask("/engines/a/version") == (200, b"b")
    assert front.list()["a"]["up"] is True
    assert front.admin.metrics().get_one("engine_up", engine="a") == 1


def test_audit_records_name_the_engine_and_the_member(front: Front, b: Node) -> None:
    file = front.folder / "audit.jsonl"
    front.begin("  web: {members: [a, b]}\n", f"audit: {{path: {file}}}\n")
    assert "web" in front.list()
    assert front.ask("/engines/web/version") == (200, b"b")
    assert front.ask("/engines/b/version") == (200, b"b")
    assert front.ask("/engines/none/version")[0] == 403

    def written() -> list[dict] | None:
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return lines if len(lines) >= 4 else None

    records = eventually(written, "four records")
    assert {(one["engine"], one["member"]) for one in records} == {("web", "b"), ("b", None), (None, None)}


def test_the_line_of_a_request_names_the_engine_and_the_member(front: Front, b: Node) -> None:
    front.begin()
    assert front.ask("/engines/web/version") == (200, b"b")
    assert front.ask("/engines/b/version") == (200, b"b")
    front.proxy.wait_log(lambda line: "path=/engines/web/version" in line and " engine=web member=b op=" in line)
    front.proxy.wait_log(lambda line: "path=/engines/b/version" in line and " engine=b op=" in line)


def test_clients_get_no_address_of_an_engine_and_the_log_does(front: Front, tmp_path: pathlib.Path) -> None:
    front.begin(f"  c: 'tcp://127.0.0.1:{free_port()}'\n  web: {{members: [a, b]}}\n")
    for name in ("a", "b", "c", "web"):
        for target in (f"/engines/{name}/version", f"/engines/{name}/health"):
            status, body = front.ask(target)
            assert status in (502, 503) and f"the Engine '{name}'".encode() in body
            assert b".sock" not in body and b"127.0.0.1" not in body
    front.proxy.wait_log(lambda line: f"Engine 'a': cannot open {front.nodes['a'].path}" in line)


def test_a_denied_engine_counts_for_its_client_and_tells_the_operator_what_allows_it(front: Front, b: Node) -> None:
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    front.begin(more=f"clients: [{{name: one, match: {{key_sha256: {hashed}}}, engines: [a], policy: ops}}]\n", policy="none")
    for target in ("/engines/b/version", "/version"):
        assert front.ask(target, f"X-Api-Key: {KEY}")[0] == 403
    assert b.asked == []
    denials = {one["operation"]: one for one in front.admin.state()["denials"]}
    assert {one["client"] for one in denials.values()} == {"one"}
    place = f"{front.file}:{len(front.file.read_text().splitlines())}"
    assert denials["engine_denied"]["allow"]["yaml"] == f"# client 'one' ({place})\nengines: [a, b]"
    assert "add b to 'engines' of client 'one'" in denials["engine_denied"]["reason"]
    assert front.admin.metrics().get_one("requests_total", client="one", verdict="deny") == 2


def test_without_a_default_engine_nothing_is_said_of_it(front: Front, a: Node) -> None:
    front.begin()
    assert not any(name == "upstream_up" for name, _ in front.admin.metrics())
    ready = front.admin.get("/ready")
    assert ready.status == 200 and json.loads(ready.body)["engine"] is None


def test_healthcheck_asks_for_the_engine_that_its_address_names(front: Front, a: Node) -> None:
    front.begin()
    address = f"tcp://127.0.0.1:{front.proxy.port}"
    assert run_binary("healthcheck", f"{address}/engines/a").returncode == 0
    assert run_binary("healthcheck", f"{address}/engines/b/").returncode == 1
    assert "is not accepted" in run_binary("healthcheck", f"{address}/engines/a b").stderr


# ── What check and explain say ─────────────────────────────────────────────────────────────────

SAID = """\
listeners:
  - {address: 'tcp://127.0.0.1:1', policy: deny}
  - {address: 'tcp://127.0.0.1:2', policy: deny, engine: node-1}
engines:
  node-1: tcp://10.0.0.1
  node-2: {address: 'tcp://10.0.0.2:2375', sni: two.example.org}
  node-3: tcp://10.0.0.1:2375
clients:
  - {name: a, match: {cidr: 10.0.0.0/8}, engines: node-1, policy: full}
  - {name: b, match: {cidr: 11.0.0.0/8}, policy: some}
  - {name: c, match: {cidr: 12.0.0.0/8}, engines: node-3, policy: some}
policies:
  full: {extends: [open]}
  some: {extends: [open], engines: node-2}
"""


@pytest.fixture
def said(tmp_path: pathlib.Path) -> str:
    file = tmp_path / "proxy.yaml"
    file.write_text(SAID)
    return str(file)


def test_check_says_which_engines_clients_have(said: str) -> None:
    result = run_binary("check", "-c", said)
    assert "engine   node-1: tcp://10.0.0.1:2375\n" in result.stdout
    assert "tcp://10.0.0.2:2375, named by TLS clients as two.example.org\n" in result.stdout
    assert "policy some, engines node-2, by its policy\n" in result.stdout
    assert "policy some, engines none in common with its policy\n" in result.stdout
    assert f"{said}:11: client 'c' may use no Engine: 'engines' of the entry" in result.stderr
    assert f"{said}:7: 'node-1' and 'node-3' are one Engine" in result.stderr
    assert "client 'a'" not in result.stderr and "client 'b'" not in result.stderr


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--client", "a", "GET /engines/node-2/info"], "add node-2 to 'engines' of client 'a' ({file}:9)"),
        (["--client", "b", "GET /engines/node-1/info"], "add node-1 to 'engines' of policy 'some' ({file}:14)"),
        (["--client", "c", "GET /engines/node-1/info"], "client 'c' ({file}:11) and of policy 'some' ({file}:14)"),
        (["GET /engines/node1/info"], "there is no Engine 'node1'; did you mean 'node-1'?"),
        (["GET /engines/node-2/info"], "add an entry with 'engines: [node-2]' to 'clients'"),
        (["GET /info"], "write /engines/NAME in front of the path, or give the listener an 'engine'"),
        (["POST /session"], "docker leaves /engines/NAME out for BuildKit: use DOCKER_BUILDKIT=0"),
    ],
)
def test_explain_says_what_gives_an_engine(said: str, args: list[str], wanted: str) -> None:
    result = run_binary("explain", "-c", said, *args)
    assert wanted.format(file=said) in result.stdout and result.returncode == 1, result.stdout


NAMED = """\
listeners:
  - {address: 'tcp://127.0.0.1:1', policy: deny}
  - {address: 'tls://127.0.0.1:2', policy: full, engine: node-1, tls: {cert: nodes/server-cert.pem, key: nodes/server-key.pem}}
engines:
  node-1: tcp://10.0.0.1
  node-2: {address: 'tcp://10.0.0.2', sni: two.example.org}
policies:
  full: {extends: [open], engines: '*'}
"""


def test_explain_takes_the_name_that_a_client_asks_for_in_tls(nodes_of_others: pathlib.Path) -> None:
    file = nodes_of_others.parent / "proxy.yaml"
    file.write_text(NAMED)

    def explained(*args: str) -> str:
        result = run_binary("explain", "-c", str(file), *args)
        assert result.returncode == 0, result
        return result.stdout

    by_name = explained("--server-name", "TWO.example.org", "POST /session")
    assert "allow buildkit.session\nengine: node-2, by its name in TLS (tcp://10.0.0.2:2375)\nlistener: tls://127.0.0.1:2\n" in by_name
    assert "engine: node-1, by the listener" in explained("--server-name=three.example.org", "GET /info")
    assert "engine: node-1, by its path" in explained("--server-name", "two.example.org", "GET /engines/node-1/info")
    without = run_binary("explain", "-c", str(file), "GET /info")
    assert without.returncode == 1 and without.stdout.startswith("deny engine_unnamed")


@pytest.mark.parametrize(("text", "wanted"), [
    (SAID, "no listener speaks TLS"), ("policy: open\n", "there are no 'engines'"), (SAID, "give --server-name NAME")])
def test_a_name_in_tls_that_cannot_count_is_refused(tmp_path: pathlib.Path, text: str, wanted: str) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(text)
    name = "" if "give" in wanted else "two.example.org"
    result = run_binary("explain", "-c", str(file), "--server-name", name, "GET /info")
    assert result.returncode == 2 and wanted in result.stderr
