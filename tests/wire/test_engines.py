"""Several Engines behind one proxy: what is meant for one never reaches another, whatever happens to connections,
addresses and the configuration."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from machine import free_port
from test_engine_tcp import PRIVATE, TcpEngine, needs_root
from test_tunnel import EXEC, UPGRADE, UPGRADED, both_ways
from wire import LAST_CHUNK, PINGS, STREAM_HEAD, Background, Client, Engine, EngineConn, Proxy, Request, chunk, eventually, nothing_reached, ready

POLICIES = "policies: {fleet: {extends: [open], engines: '*'}}\n"

# What the proxy asks for itself.
_numbers = itertools.count(1)


class Fleet:
    """A proxy and its Engines, which a test names and moves."""

    def __init__(self, start: Callable[..., Proxy], folder: str):
        self.start = start
        self.folder = Path(folder) / f"fleet-{next(_numbers)}"
        self.folder.mkdir()
        self.path = self.folder / "proxy.yaml"
        self.port = free_port()
        self.engines: dict[str, Engine] = {}
        self.stack = ExitStack()
        self.proxy: Proxy | None = None

    def engine(self, name: str, tcp: bool = False) -> Engine:
        """An Engine that a test calls so, whatever the configuration calls it."""
        engine = TcpEngine() if tcp else Engine(f"{self.folder}/{name}.sock", api_key=None)
        engine.pings = True
        self.engines[name] = self.stack.enter_context(engine)
        return engine

    def write(self, more: str = "", **engines: Engine | str) -> None:
        """The names of Engines and where they are."""
        rows = "".join(
            f"  {name}: {engine if isinstance(engine, str) else address_of(engine)}\n" for name, engine in engines.items()
        )
        listener = f"- {{address: 'tcp://127.0.0.1:{self.port}', policy: fleet}}\n"
        beside = self.path.with_suffix(".new")
        beside.write_text(f"listeners:\n{listener}{POLICIES}engines:\n{rows}{more}")
        os.replace(beside, self.path)

    def run(self, *args: str, **options) -> Proxy:
        self.proxy = self.start("-c", str(self.path), *args, port=self.port, **options)
        return self.proxy

    def reload(self, works: bool = True, **engines: Engine | str) -> str:
        self.write(**engines)
        since = len(self.proxy.lines)
        self.proxy.process.send_signal(signal.SIGHUP)
        line = self.proxy.wait_log(lambda line: " reloaded /" in line or "was not reloaded" in line, since)
        assert (" notice reloaded " in line) == works, line
        return line


def address_of(engine: Engine) -> str:
    return engine.path if engine.path.startswith("tcp://") else f"unix://{engine.path}"


@pytest.fixture
def fleet(start: Callable[..., Proxy], folder: str) -> Iterator[Fleet]:
    fleet = Fleet(start, folder)
    yield fleet
    if fleet.proxy is not None:
        fleet.proxy.stop()
    fleet.stack.close()


def ask(client: Client, engine: Engine, target: str, body: bytes = b"ok") -> EngineConn:
    """A whole exchange that this Engine gets; by the connection that it came over."""
    client.get(target)
    request = engine.request()
    assert request.target == "/" + target.split("/", 3)[3]
    request.respond(body=body)
    assert client.response().body == body
    return request.conn


def is_open(conn: EngineConn) -> bool:
    return not (ready([conn.sock]) and conn.sock.recv(1, socket.MSG_PEEK) == b"")


# ── Connections ────────────────────────────────────────────────────────────────────────────────


def test_requests_of_one_connection_alternate(fleet: Fleet) -> None:
    """Each Engine has a connection of its own, which stays its own."""
    engines = {name: fleet.engine(name, tcp=name == "c") for name in "abc"}
    fleet.write(**engines)
    conns: dict[str, set[EngineConn]] = {name: set() for name in engines}
    with fleet.run("--workers", "1").connect() as client:
        for name in "abcacbbaccbaabc":
            conns[name].add(ask(client, engines[name], f"/engines/{name}/containers/json?of={name}", name.encode()))
    assert all(len(used) <= 2 for used in conns.values())  # the proxy's own question may have had one
    nothing_reached(*engines.values())


def test_the_default_engine_is_one_of_several(fleet: Fleet, own_engine: Engine) -> None:
    a = fleet.engine("a")
    fleet.write(a=a)
    with fleet.run("--workers", "1").connect() as client:
        for _ in range(3):
            ask(client, a, "/engines/a/version")
            client.get("/version")
            own_engine.request().respond(body=b"default")
            assert client.response().body == b"default"
    nothing_reached(a, own_engine)


def test_requests_that_are_sent_at_once(fleet: Fleet) -> None:
    engines = {name: fleet.engine(name) for name in "ab"}
    fleet.write(**engines)
    order = "abbaababba"
    with fleet.run("--workers", "1").connect() as client:
        client.send(
            b"".join(
                b"GET /engines/%s/info?n=%d HTTP/1.1\r\nHost: docker\r\n\r\n" % (name.encode(), n)
                for n, name in enumerate(order)
            )
        )
        for n, name in enumerate(order):
            request = engines[name].request()
            assert request.target == f"/info?n={n}"
            request.respond(body=f"{name}{n}".encode())
            assert client.response().body == f"{name}{n}".encode()
    nothing_reached(*engines.values())


def test_a_connection_that_died_is_made_anew_to_the_same_engine(fleet: Fleet) -> None:
    engines = {name: fleet.engine(name) for name in "ab"}
    fleet.write(**engines)
    with fleet.run("--workers", "1").connect() as client:
        ask(client, engines["b"], "/engines/b/info")
        first = ask(client, engines["a"], "/engines/a/info")
        client.get("/engines/a/again")
        request = engines["a"].request()
        assert request.conn is first
        first.close()
        again = engines["a"].request()
        assert (again.target, again.conn is first) == ("/again", False)
        again.respond(body=b"second")
        assert client.response().body == b"second"
    nothing_reached(*engines.values())


def test_an_engine_that_is_down_harms_no_other(fleet: Fleet) -> None:
    """Its requests fail, and no other Engine gets them."""
    engines = {name: fleet.engine(name) for name in "ab"}
    fleet.write(**engines)
    with fleet.run("--workers", "1").connect() as client:
        ask(client, engines["a"], "/engines/a/info")
        ask(client, engines["b"], "/engines/b/info")
        engines["a"].stop()
        client.get("/engines/a/info")
        response = client.response()
        assert response.status == 502 and "the Engine 'a'" in response.message()
        ask(client, engines["b"], "/engines/b/info")
        engines["a"].start()
        ask(client, engines["a"], "/engines/a/info")
    nothing_reached(*engines.values())


def test_bodies_and_what_follows_them(fleet: Fleet) -> None:
    engines = {name: fleet.engine(name) for name in "ab"}
    fleet.write(**engines)
    head = b"POST /engines/a/images/load HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = os.urandom(300_000)
    with fleet.run("--workers", "1").connect() as client:
        sent = Background(
            lambda: client.send(
                head + chunk(body) + LAST_CHUNK + b"GET /engines/b/info HTTP/1.1\r\nHost: docker\r\n\r\n"
            )
        )
        request = engines["a"].request()
        assert request.body == body
        request.respond()
        assert client.response().status == 200
        request = engines["b"].request()
        assert request.target == "/info"
        request.respond(body=b"b")
        assert client.response().body == b"b"
        sent.result()
    nothing_reached(*engines.values())


def test_a_tunnel_is_to_one_engine(fleet: Fleet) -> None:
    engines = {name: fleet.engine(name) for name in "ab"}
    fleet.write(**engines)
    proxy = fleet.run("--workers", "1")
    with proxy.connect() as client, proxy.connect() as other:
        ask(client, engines["a"], "/engines/a/info")
        client.post(f"/engines/b{EXEC}", b"{}", (*UPGRADE, "Content-Type: application/json"))
        request = engines["b"].request()
        assert request.target == EXEC
        request.conn.send(UPGRADED)
        assert client.read_response_head().status == 101
        both_ways(client, request.conn)
        ask(other, engines["a"], "/engines/a/info")
        both_ways(client, request.conn)
    nothing_reached(engines["a"])


# ── Reloads ────────────────────────────────────────────────────────────────────────────────────


def open_events(client: Client, engine: Engine, name: str) -> EngineConn:
    client.get(f"/engines/{name}/events")
    request = engine.request()
    assert request.target == "/events"
    request.conn.send(STREAM_HEAD)
    assert client.read_response_head().status == 200
    return request.conn


def event(client: Client, conn: EngineConn) -> None:
    conn.send(chunk(b'{"status":"start"}\n'))
    assert b'"start"' in client.read_until(b"}\n\r\n")


def test_an_engine_that_is_removed_changed_and_there_again(fleet: Fleet) -> None:
    """Its stream ends, that of another goes on, and nothing of the former place is used for the new one."""
    a, b, elsewhere = (fleet.engine(name) for name in ("a", "b", "elsewhere"))
    fleet.write(a=a, b=b)
    proxy = fleet.run("--workers", "2")
    with proxy.connect() as watching, proxy.connect() as staying, proxy.connect() as client:
        of_a = open_events(watching, a, "a")
        of_b = open_events(staying, b, "b")
        idle = ask(client, a, "/engines/a/info")
        fleet.reload(b=b)
        watching.expect_gone()
        of_a.expect_gone()
        idle.expect_gone()
        event(staying, of_b)
        client.get("/engines/a/info")
        assert client.response().status == 403
        fleet.reload(b=b, a=elsewhere)  # another number, too
        ask(client, elsewhere, "/engines/a/info")
        kept = ask(client, b, "/engines/b/info")
        fleet.reload(a=a, b=b)
        ask(client, a, "/engines/a/info")
        ask(client, b, "/engines/b/info")
        assert is_open(kept), "what stays keeps its connections"
        event(staying, of_b)
    nothing_reached(a, elsewhere)


def test_names_that_change_places(fleet: Fleet) -> None:
    """Who may use `a` has no stream to the machine that `b` names now."""
    one, two = fleet.engine("one"), fleet.engine("two")
    fleet.write(a=one, b=two)
    proxy = fleet.run("--workers", "1")
    with proxy.connect() as watching, proxy.connect() as client:
        open_events(watching, one, "a")
        ask(client, one, "/engines/a/info")
        ask(client, two, "/engines/b/info")
        fleet.reload(a=two, b=one)
        watching.expect_gone()
        ask(client, two, "/engines/a/info")
        ask(client, one, "/engines/b/info")
    proxy.wait_log(lambda line: "another address" in line)
    nothing_reached(one, two)


def test_reloads_under_load_send_nothing_astray(fleet: Fleet) -> None:
    """Engines come, go and change their numbers and places; each request has the name that it is meant for."""
    names = ["a", "b", "c"]
    engines = {name: fleet.engine(name, tcp=name == "c") for name in names}
    astray: list[str] = []

    def responder(name: str) -> Callable[[Request], None]:
        def respond(request: Request) -> None:
            if request.target not in (f"/info?of={name}", "/_ping"):
                astray.append(f"{request.target} at {name}")
            request.respond(body=name.encode())

        return respond

    fleet.write(**engines)
    proxy = fleet.run("--workers", "2")
    stopped = threading.Event()

    def load(first: int) -> dict[int, int]:
        statuses: dict[int, int] = {}
        with proxy.connect() as client:
            for n in itertools.count(first):
                if stopped.is_set():
                    return statuses
                name = names[n % len(names)]
                client.get(f"/engines/{name}/info?of={name}")
                response = client.response()
                statuses[response.status] = statuses.get(response.status, 0) + 1
                if response.status == 200 and response.body != name.encode():
                    astray.append(f"{response.body!r} for {name}")

    with ExitStack() as serving:
        for name, engine in engines.items():
            serving.enter_context(engine.responding(responder(name)))
        clients = [Background(lambda first=first: load(first)) for first in range(4)]
        for kept in ("ab", "cba", "b", "bca", "c", "acb", "a", "abc") * 3:
            fleet.reload(**{name: engines[name] for name in kept})
        stopped.set()
        statuses = [client.result() for client in clients]
    assert not astray
    assert {status for of_one in statuses for status in of_one} <= {200, 403}
    assert all(of_one.get(200) for of_one in statuses)


def test_a_port_that_the_sandbox_does_not_know(fleet: Fleet) -> None:
    """Landlock takes no rule later: the reload says so, and the former configuration stays."""
    a, c = fleet.engine("a"), fleet.engine("c", tcp=True)
    fleet.write(a=a)
    proxy = fleet.run("--workers", "1", env={"SANDBOX": "on"})
    knows = "(files, TCP" in proxy.wait_log(lambda line: " sandbox: " in line)
    with proxy.connect() as client:
        line = fleet.reload(works=not knows, a=a, c=c)
        if knows:
            assert "the Engine 'c' is at" in line and "restart the program, or let another process take over" in line
            client.get("/engines/c/info")
            assert client.response().status == 403
        ask(client, a, "/engines/a/info")


# ── Names ──────────────────────────────────────────────────────────────────────────────────────


@needs_root
def test_a_name_that_leads_elsewhere_moves_its_engine_alone(fleet: Fleet) -> None:
    here, other = fleet.engine("here", tcp=True), fleet.engine("other", tcp=True)
    hosts, servers = fleet.folder / "hosts", fleet.folder / "resolv.conf"
    servers.write_text("nameserver 127.0.0.1\n")
    hosts.write_text("127.0.0.1 node-a node-b\n")
    fleet.write(a=f"tcp://node-a:{here.port}", b=f"tcp://node-b:{other.port}")
    prefix = ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(hosts), str(servers)]
    proxy = fleet.run("--workers", "2", prefix=prefix)
    with proxy.connect() as client, TcpEngine("127.0.0.2", port=here.port) as moved:
        moved.pings = True
        former = ask(client, here, "/engines/a/info")
        kept = ask(client, other, "/engines/b/info")
        hosts.write_text("127.0.0.1 node-b\n127.0.0.2 node-a\n")
        proxy.wait_log(lambda line: "the Engine 'node-a' is at 127.0.0.2" in line)
        former.expect_gone()
        ask(client, moved, "/engines/a/info")
        ask(client, other, "/engines/b/info")
        assert is_open(kept)
        hosts.write_text("127.0.0.1 node-a node-b node-c\n")
        fleet.reload(
            a=f"tcp://node-a:{here.port}", b=f"tcp://node-b:{other.port}", c=f"tcp://node-c:{here.port}"
        )  # it looks all names up, the new one before it holds
        ask(client, here, "/engines/c/info")
        proxy.wait_log(lambda line: "the Engine 'node-a' is at 127.0.0.1" in line, len(proxy.lines) - 5)
        eventually(lambda: PINGS.fullmatch(moved.received()) and not moved.conns, "the former connections to close")
        ask(client, here, "/engines/a/info")
    nothing_reached(here, other)


# ── Ceilings ───────────────────────────────────────────────────────────────────────────────────


def test_idle_connections_to_all_engines_have_one_ceiling(fleet: Fleet) -> None:
    """The oldest closes first, and every Engine is served."""
    engines = {f"e{n}": fleet.engine(f"e{n}") for n in range(80)}
    fleet.write(**engines)
    proxy = fleet.run("--workers", "1", prefix=["prlimit", "--nofile=400:400"])
    before = proxy.open_files()
    with proxy.connect() as client:
        for name, engine in engines.items():
            ask(client, engine, f"/engines/{name}/info")
        assert eventually(lambda: proxy.open_files() - before <= 64 + 1, "idle connections to close")
        # Probes connect to some of them again, and change which one is the oldest.
        closed = [name for name, engine in engines.items() if PINGS.fullmatch(engine.received()) and not engine.conns]
        assert len(closed) >= 8
        ask(client, engines[closed[0]], f"/engines/{closed[0]}/info")
