"""Clients that are known by their containers, with an Engine that says what the test wants.

127.0.0.0/8 is a network of this Engine, so that each address there can be that of a container.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from machine import free_port
from wire import Client, Engine, EngineConn, Proxy, Request, chunk, eventually

Start = Callable[..., Proxy]
OLD = "2001-02-03T04:05:06.123456789Z"
EDGE = "- {name: edge, match: {container: {label: role=edge}}, policy: read-only}\n"


def id_of(number: int) -> str:
    return f"{number:064x}"


class World:
    """What the Engine knows, and how often it was asked."""

    def __init__(self) -> None:
        self.networks = [{"Name": "web", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "127.0.0.0/8"}]}}]
        self.listed: dict[str, dict] = {}
        self.inspected: dict[str, dict] = {}
        self.asked: Counter[str] = Counter()
        self.streams: list[EngineConn] = []
        self.since: list[int] = []
        self.refuses: set[str] = set()
        self.held: dict[str, list[Request]] = {}  # questions that are not answered for now
        self.lock = threading.Lock()
        self.slowly = False  # each byte of an answer is a chunk and a segment of its own

    def add(self, number: int, address: str, started: str = OLD, running: bool = True, **labels: str) -> str:
        """A container that has this address."""
        endpoints = {"web": {"IPAddress": address, "GlobalIPv6Address": ""}}
        container = id_of(number)
        self.listed[container] = {"Id": container, "NetworkSettings": {"Networks": endpoints}}
        self.inspected[container] = {
            "Id": container, "Name": f"/container-{number}",
            "State": {"Running": running, "Pid": 1, "StartedAt": started},
            "Config": {"Image": "busybox", "Labels": labels}, "NetworkSettings": {"Networks": endpoints},
        }
        return container

    def endpoint(self, number: int) -> dict:
        """Where a container is connected, in the list and in the inspection."""
        return self.listed[id_of(number)]["NetworkSettings"]["Networks"]["web"]

    def remove(self, number: int) -> None:
        self.listed.pop(id_of(number), None)
        self.inspected.pop(id_of(number), None)

    def answer(self, request: Request) -> None:
        path = request.target.partition("?")[0]
        kind = {"/events": "events", "/networks": "networks", "/containers/json": "list"}.get(path, "other")
        container = re.fullmatch(r"/containers/([0-9a-f]{64})/json", path)
        kind = "inspect" if container else kind
        with self.lock:
            self.asked[kind] += 1
            if kind in self.held:
                self.held[kind].append(request)
                return
        if kind in self.refuses:
            request.respond(500, b'{"message":"no"}')
        elif kind == "events":
            self.since.append(int(re.search(r"since=(\d+)", request.target)[1]))
            request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.streams.append(request.conn)
        elif kind == "networks":
            self.respond(request, self.networks)
        elif kind == "list":
            self.respond(request, list(self.listed.values()))
        elif container and container[1] in self.inspected:
            self.respond(request, self.inspected[container[1]])
        elif container:
            request.respond(404, b'{"message":"No such container"}')
        else:
            request.respond(200, b"passed")

    def respond(self, request: Request, value: object) -> None:
        body = json.dumps(value).encode()
        if not self.slowly:
            request.respond(200, body)
            return
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for byte in head + b"".join(chunk(body[i : i + 1]) for i in range(len(body))) + chunk(b""):
            request.conn.send(bytes([byte]))
        request.conn.idle = True

    def hold(self, kind: str) -> None:
        with self.lock:
            self.held[kind] = []

    def let_go(self, kind: str) -> None:
        with self.lock:
            held = self.held.pop(kind)
            for request in held:
                self.asked[kind] -= 1
        for request in held:
            with suppress(OSError):  # the proxy may want no answer any more
                self.answer(request)

    def tell(self, action: str, number: int, ns: int | None = None, kind: str = "container") -> None:
        """An event on all streams."""
        actor = ({"ID": id_of(number)} if kind == "container"
                 else {"ID": "n", "Attributes": {"container": id_of(number)}})
        event = {"Type": kind, "Action": action, "Actor": actor}
        self.say(json.dumps({**event, **({"timeNano": ns} if ns else {})}).encode())

    def say(self, event: bytes) -> None:
        for conn in self.streams:
            if conn.sock.fileno() >= 0:
                conn.send(chunk(event + b"\n"))

    def cut(self) -> None:
        """The streams of events end."""
        for conn in self.streams:
            conn.sock.shutdown(socket.SHUT_RDWR)
        self.streams.clear()


@pytest.fixture
def world(own_engine: Engine) -> Iterator[World]:
    made = World()
    with own_engine.responding(made.answer):
        yield made


@pytest.fixture
def serve(start: Start, tmp_path: Path, world: World) -> Callable[..., Proxy]:
    os.chmod(tmp_path, 0o755)

    def serve_clients(clients: str = EDGE, **options) -> Proxy:
        port = free_port()
        (tmp_path / "proxy.yaml").write_text(
            f"listeners:\n- {{address: 'tcp://127.0.0.1:{port}', policy: deny}}\nclients:\n{clients}")
        return start("-c", str(tmp_path / "proxy.yaml"), "--workers", "1", port=port, **options)

    return serve_clients


def connect(proxy: Proxy, source: str) -> Client:
    sock = socket.socket()
    sock.settimeout(20)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", proxy.port))
    return Client(sock)


def ask(client: Client, path: str = "/version") -> int:
    client.get(path)
    return client.response().status


def status(proxy: Proxy, source: str) -> int:
    with connect(proxy, source) as client:
        return ask(client)


# ── Who is found ────────────────────────────────────────────────────────────


def test_a_container_is_inspected_for_each_connection(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert [ask(client) for _ in range(3)] == [200] * 3
    assert status(proxy, "127.0.1.1") == 200
    assert world.asked == {"events": 1, "networks": 1, "list": 1, "inspect": 2, "other": 4}


def test_an_address_of_no_network_of_the_engine_costs_no_question(serve, world: World) -> None:
    world.networks[0]["IPAM"]["Config"][0]["Subnet"] = "127.9.0.0/16"
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    assert [status(proxy, "127.0.1.1") for _ in range(3)] == [403] * 3
    assert world.asked == {"events": 1, "networks": 1}


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan", "host", "null", "weave"])
def test_only_networks_of_bridges_count(serve, world: World, driver: str) -> None:
    """In others a stranger may have the address."""
    world.networks[0]["Driver"] = driver
    world.add(1, "127.0.1.1", role="edge")
    assert status(serve(), "127.0.1.1") == 403
    assert world.asked["list"] == 0


def bridge_of_nodes(world: World) -> None:
    """The manager of a swarm lists a bridge that is on each node without addresses."""
    world.networks.append({"Id": "nodes", "Name": "nodes", "Driver": "bridge", "Scope": "swarm", "IPAM": {"Config": []}})
    world.networks[0]["IPAM"]["Config"][0]["Subnet"] = "127.9.0.0/16"


def test_a_container_in_a_bridge_of_the_swarms_nodes_is_found(serve, world: World) -> None:
    bridge_of_nodes(world)
    world.add(1, "127.0.1.1", role="edge")
    world.endpoint(1)["NetworkID"] = "nodes"
    proxy = serve()
    assert [status(proxy, "127.0.1.1") for _ in range(3)] == [200] * 3
    world.tell("create", 9, kind="network")
    eventually(lambda: status(proxy, "127.0.1.1") == 200 and world.asked["networks"] == 2, "the networks are asked for again")


def node_with_addresses(world: World) -> None:
    """On this node the bridge is 127.0.1.0/24: each of its containers says so."""
    bridge_of_nodes(world)
    world.add(1, "127.0.1.1", role="edge")
    world.endpoint(1).update(NetworkID="nodes", IPPrefixLen=24, Gateway="127.0.1.254")


def test_who_is_outside_of_a_bridge_of_nodes_waits_for_one_list(serve, world: World) -> None:
    """No container can have the address: nobody waits for one that is starting."""
    node_with_addresses(world)
    proxy = serve()
    assert [status(proxy, f"127.7.0.{i}") for i in (1, 2, 3)] == [403] * 3
    assert status(proxy, "127.0.1.254") == 403, "the gateway is this machine"
    assert world.asked == {"events": 1, "networks": 1, "list": 1}
    world.tell("start", 9)
    eventually(lambda: status(proxy, "127.7.0.1") == 403 and world.asked["list"] == 2, "another container may say more")


def test_who_is_inside_of_a_bridge_of_nodes_may_be_starting(serve, world: World) -> None:
    node_with_addresses(world)
    proxy = serve()
    assert status(proxy, "127.7.0.1") == 403
    with connect(proxy, "127.0.1.2") as client:
        client.get("/version")
        eventually(lambda: world.asked["list"] >= 3, "the list is asked for again")
        world.add(2, "127.0.1.2", role="edge")
        world.endpoint(2)["NetworkID"] = "nodes"
        world.tell("start", 2)
        assert client.response().status == 200


def test_a_bridge_of_nodes_without_containers_may_have_any_address(serve, world: World) -> None:
    node_with_addresses(world)
    world.networks.append({"Id": "empty", "Name": "empty", "Driver": "bridge", "Scope": "swarm", "IPAM": {"Config": []}})
    with connect(serve(), "127.7.0.1") as client:
        client.get("/version")
        eventually(lambda: world.asked["list"] >= 2, "the list is asked for again")
        world.add(2, "127.7.0.1", role="edge")
        world.endpoint(2).update(NetworkID="empty", IPPrefixLen=24)
        world.tell("start", 2)
        assert client.response().status == 200


@pytest.mark.parametrize("network", ["other", ""])
def test_beside_a_bridge_of_nodes_other_networks_do_not_count(serve, world: World, network: str) -> None:
    """The address of a macvlan may still be that of a stranger."""
    bridge_of_nodes(world)
    world.add(1, "127.0.1.1", role="edge")
    world.endpoint(1)["NetworkID"] = network
    assert status(serve(), "127.0.1.1") == 403
    assert world.asked["inspect"] == 0


def test_the_gateway_is_this_machine(serve, world: World) -> None:
    world.networks[0]["IPAM"]["Config"][0]["Gateway"] = "127.0.1.1"
    world.add(1, "127.0.1.1", role="edge")
    assert status(serve(), "127.0.1.1") == 403


def test_an_address_of_two_containers_is_that_of_none(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    world.add(2, "127.0.1.1", role="edge")
    assert status(serve(), "127.0.1.1") == 403
    assert world.asked["inspect"] == 0


def test_an_address_that_a_second_container_gets(serve, world: World) -> None:
    """In another network, whose addresses overlap."""
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    assert status(proxy, "127.0.1.1") == 200
    world.add(2, "127.0.1.1")
    world.tell("start", 2)
    eventually(lambda: status(proxy, "127.0.1.1") == 403, "the list is asked for again")


def test_the_list_alone_convinces_nobody(serve, world: World) -> None:
    """The list is older than the inspection: the container has stopped, or has another address."""
    proxy = serve()
    world.add(1, "127.0.1.1", role="edge", running=False)
    assert status(proxy, "127.0.1.1") == 403
    world.add(1, "127.0.1.2", role="edge")
    world.listed[id_of(1)] = {"Id": id_of(1), "NetworkSettings": {"Networks": {"web": {"IPAddress": "127.0.1.1"}}}}
    assert status(proxy, "127.0.1.1") == 403
    world.add(3, "127.0.1.3", role="edge")
    world.inspected[id_of(3)]["Id"] = id_of(4)
    assert status(proxy, "127.0.1.3") == 403


def test_an_unknown_address_waits_for_a_container_that_is_starting(serve, world: World) -> None:
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        eventually(lambda: world.asked["list"] >= 2, "the list is asked for again")
        world.add(1, "127.0.1.1", role="edge")
        world.tell("start", 1)
        assert client.response().status == 200


def test_many_who_are_unknown_share_their_questions(serve, world: World) -> None:
    proxy = serve()
    clients = [connect(proxy, "127.0.1.1") for _ in range(100)]
    for client in clients:
        client.get("/version")
    assert {client.response().status for client in clients} == {403}
    for client in clients:
        client.close()
    assert world.asked["list"] < 200 and world.asked["networks"] == 1 and world.asked["inspect"] == 0


# ── What holds no longer ────────────────────────────────────────────────────


def test_what_has_changed_is_asked_again(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert ask(client) == 200
        world.inspected[id_of(1)]["Config"]["Labels"] = {}
        assert ask(client) == 200, "nobody has said so"
        world.tell("rename", 1)
        eventually(lambda: ask(client) == 403, "the event counts")


def test_networks_of_a_container_that_change(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert ask(client) == 200
        world.remove(1)
        world.add(2, "127.0.1.1")
        world.tell("disconnect", 1, kind="network")
        eventually(lambda: ask(client) == 403, "the event counts")
        world.remove(2)
        world.add(1, "127.0.1.1", role="edge")
        world.tell("connect", 1, kind="network")
        eventually(lambda: ask(client) == 200, "it has its address again")


def test_who_was_nobody_may_be_somebody_now(serve, world: World) -> None:
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert ask(client) == 403
        world.add(1, "127.0.1.1", role="edge", started="2100-01-01T00:00:00Z")
        assert ask(client) == 403, "nobody has said so"
        world.tell("start", 1)
        eventually(lambda: ask(client) == 200, "the event counts")


def test_what_nobody_has_sent_is_not_of_a_container_that_was_there(serve, world: World) -> None:
    """The address belonged to a container that cannot be told apart; another one has it now."""
    world.add(1, "127.0.1.1", **{f"label-{i}": "x" for i in range(300)})
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert ask(client) == 403
        world.remove(1)
        world.add(2, "127.0.1.1", role="edge")
        world.tell("connect", 2, kind="network")
        eventually(lambda: status(proxy, "127.0.1.1") == 200, "the event has come")
        assert ask(client) == 403


def test_answers_a_byte_at_a_time(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    world.slowly = True
    assert status(serve(), "127.0.1.1") == 200


def test_a_stream_ends_with_its_container(serve, world: World, own_engine: Engine) -> None:
    world.add(1, "127.0.1.1", role="edge")
    world.add(2, "127.0.1.2", role="edge")
    proxy = serve("- {name: edge, match: {container: {label: role=edge}}, policy: open}\n")
    world.hold("other")
    with connect(proxy, "127.0.1.1") as client, connect(proxy, "127.0.1.2") as other:
        client.get("/containers/x/logs?follow=1")
        other.get("/containers/x/logs?follow=1")
        eventually(lambda: len(world.held["other"]) == 2, "both requests have come")
        for request in world.held["other"]:
            request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"line"))
        assert client.read_response_head().status == other.read_response_head().status == 200
        world.tell("die", 1)
        client.expect_gone()
        proxy.wait_log(lambda line: "the container of the client has stopped" in line)
        assert other.expect(chunk(b"line")) is None
        other.expect_silence()


def test_an_old_end_is_not_that_of_a_container_that_runs(serve, world: World) -> None:
    """A container that was started again: the event of its end comes late."""
    world.add(1, "127.0.1.1", role="edge", started="2020-01-01T00:00:00.5Z")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert ask(client) == 200
        world.tell("die", 1, ns=1577836800 * 10**9)
        assert ask(client) == 200
        asked = world.asked["inspect"]
        world.tell("die", 1, ns=1577836801 * 10**9)
        eventually(lambda: ask(client) == 200 and world.asked["inspect"] > asked, "the container is searched again")


def test_without_events_nothing_holds(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        assert ask(client) == 200
        world.cut()
        world.remove(1)
        world.add(2, "127.0.1.1")
        eventually(lambda: ask(client) == 403, "all is asked again")
        assert world.asked["events"] == 2 and world.asked["networks"] == 2
    assert len(world.since) == 2 and world.since[0] <= world.since[1]


def test_an_event_that_cannot_be_read_is_as_none(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    for bad in (b"{}", b'{"Type":"container","Action":"x","y":' + b'"' + b"z" * 70000 + b'"}', b'{"Type":1}', b"{nonsense}"):
        with connect(proxy, "127.0.1.1") as client:
            assert ask(client) == 200
            asked = world.asked["inspect"]
            world.say(bad)
            eventually(lambda: ask(client) == 200 and world.asked["inspect"] > asked, f"{bad[:40]!r} loses all")
    assert world.asked["events"] == 1, "the Engine would tell it again"


def test_a_container_that_changes_while_it_is_inspected(serve, world: World) -> None:
    """The answer is older than the event."""
    world.add(1, "127.0.1.1", role="edge")
    world.add(2, "127.0.1.2", role="edge")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client, connect(proxy, "127.0.1.2") as other:
        assert ask(other) == 200
        world.hold("inspect")
        client.get("/version")
        eventually(lambda: world.held["inspect"], "it is inspected")
        held = world.held.pop("inspect")
        old = json.dumps(world.inspected[id_of(1)]).encode()
        world.remove(1)
        world.tell("die", 1)
        world.inspected[id_of(2)]["Config"]["Labels"] = {}
        world.tell("rename", 2)
        eventually(lambda: ask(other) == 403, "the events have come")
        held[0].respond(200, old)
        assert client.response().status == 403


def test_a_container_that_changes_all_the_time(serve, world: World) -> None:
    """No inspection is of use: that is not to be in no container, which may be allowed more."""
    world.add(1, "127.0.1.1", role="edge")
    world.add(2, "127.0.1.2")
    proxy = serve("- {name: edge, match: {container: {label: role=edge}}, policy: deny}\n"
                  "- {name: all, match: {cidr: 127.0.1.0/24}, policy: read-only}\n")
    with connect(proxy, "127.0.1.1") as client, connect(proxy, "127.0.1.2") as other:
        assert ask(other) == 200
        world.hold("inspect")
        client.get("/version")
        for _ in range(8):
            eventually(lambda: world.held["inspect"], "it is inspected")
            world.tell("rename", 1)
            assert ask(other) == 200, "the event has come"
            held = world.held["inspect"].pop()
            held.respond(200, json.dumps(world.inspected[id_of(1)]).encode())
        assert client.response().status == 504


# ── Who was there before ────────────────────────────────────────────────────


@pytest.mark.parametrize("ended", [True, False])
def test_a_connection_that_is_older_than_the_container(serve, world: World, ended: bool) -> None:
    """It may be that of another container, which had the address and has stopped: its end has come then. A container
    that connects at once is there before the Engine says that it runs."""
    world.add(1, "127.0.1.1", role="edge", started="2100-01-01T00:00:00Z")
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        if ended:
            client.finish_sending()
        assert client.response().status == (403 if ended else 200)


def test_what_a_container_has_sent_is_not_of_another(serve, world: World) -> None:
    """A request that waits behind another one, while its sender loses the address to a container that runs since long."""
    world.add(1, "127.0.1.1")
    proxy = serve("- {name: others, match: {container: {label: role=edge}}, policy: open}\n"
                  "- {name: all, match: {cidr: 127.0.1.0/24}, policy: read-only}\n")
    world.hold("other")
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        eventually(lambda: world.held["other"], "the first request waits")
        client.send(b"POST /containers/x/stop HTTP/1.1\r\nHost: x\r\n\r\n")
        world.remove(1)
        world.add(2, "127.0.1.1", role="edge")
        world.tell("disconnect", 1, kind="network")
        world.tell("connect", 2, kind="network")
        world.let_go("other")
        assert client.response().status == 200
        assert client.response().status == 403
        assert status(proxy, "127.0.1.1") == 200
    assert world.asked["inspect"] == 3


# ── The Engine does not answer ──────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["events", "networks", "list", "inspect"])
def test_an_engine_that_does_not_say(serve, world: World, kind: str) -> None:
    world.add(1, "127.0.1.1", role="edge")
    world.refuses.add(kind)
    proxy = serve()
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        response = client.response()
        assert response.status == 502
        assert "the Engine did not say in which container the sender is" in response.message()
    if kind != "inspect":
        proxy.wait_log(lambda line: "the Engine responds to GET /" in line and "with status 500: clients" in line)
    world.refuses.clear()
    assert status(proxy, "127.0.1.1") == 200, "the next one is asked anew"


@pytest.mark.parametrize("kind", ["list", "inspect"])
def test_a_question_that_an_old_connection_did_not_answer(serve, world: World, kind: str) -> None:
    """The Engine ended the connection, which had been used before, as the question came: it is asked once more."""
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    world.hold(kind)
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        eventually(lambda: world.held[kind], "the question has come")
        for request in world.held.pop(kind):
            request.conn.sock.shutdown(socket.SHUT_RDWR)
        assert client.response().status == 200
    assert world.asked[kind] == 2


def test_clients_without_containers_need_no_answer(serve, world: World) -> None:
    world.refuses.add("events")
    proxy = serve("- {name: near, match: {cidr: 127.0.0.2}, policy: read-only}\n" + EDGE)
    assert status(proxy, "127.0.0.2") == 200
    assert world.asked["events"] == 0
    assert status(proxy, "127.0.0.3") == 502


def test_a_client_that_leaves_while_it_is_searched(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve()
    world.hold("inspect")
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        eventually(lambda: world.held["inspect"], "it is inspected")
        client.reset()
    world.let_go("inspect")
    assert status(proxy, "127.0.1.1") == 200


def test_the_proxy_stops_amid_a_search(serve, world: World) -> None:
    world.add(1, "127.0.1.1", role="edge")
    proxy = serve(env={"SHUTDOWN_GRACE": "1"})
    world.hold("list")
    with connect(proxy, "127.0.1.1") as client:
        client.get("/version")
        eventually(lambda: world.held["list"], "the list is asked for")
        proxy.terminate()
        assert client.response().status == 503
    assert proxy.wait_exit() == 0
    world.held.pop("list")
