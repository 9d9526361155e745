"""SIGHUP: the configuration changes while the program serves."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin
from secure import Authority, Pair, connect, context
from test_listen import has_ipv6
from test_tunnel import both_ways, open_tunnel
from wire import Background, Client, Engine, EngineConn, Proxy, WireError, chunk, eventually, ping_passes, refuses_connection, sanitized

Start = Callable[..., Proxy]

# Of the test with many: `DSP_RELOADS=10000` for a long run.
RELOADS = int(os.environ.get("DSP_RELOADS", "300"))
WARM_UP = 50


class Served:
    """A proxy and its file, which a test writes anew."""

    def __init__(self, start: Start, folder: Path):
        self.start = start
        self.path = folder / "proxy.yaml"
        self.port = free_port()
        self.proxy: Proxy | None = None

    def listener(self, policy: str = "open", more: str = "") -> str:
        return f"- {{address: 'tcp://127.0.0.1:{self.port}', name: main, policy: {policy}{more}}}\n"

    def write(self, policy: str = "open", more: str = "", listeners: str | None = None) -> None:
        """The whole file, in the place of the former one."""
        beside = self.path.with_suffix(".new")
        beside.write_text(f"listeners:\n{listeners or self.listener(policy)}{more}")
        os.replace(beside, self.path)

    def run(self, *args: str, **options) -> Proxy:
        self.proxy = self.start("-c", str(self.path), *args, port=self.port, **options)
        return self.proxy

    def signal(self) -> str:
        """Reload; the line that says how it ended."""
        since = len(self.proxy.lines)
        self.proxy.process.send_signal(signal.SIGHUP)
        return self.proxy.wait_log(is_result, since, "about the reload")

    def reload(self, *args, **options) -> str:
        self.write(*args, **options)
        line = self.signal()
        assert " notice reloaded " in line, line
        return line

    def refused(self, *args, **options) -> str:
        self.write(*args, **options)
        line = self.signal()
        assert " err the configuration was not reloaded" in line, line
        return line


def is_result(line: str) -> bool:
    return " reloaded /" in line or " reloaded all files" in line or "was not reloaded" in line


_numbers = itertools.count(1)


@pytest.fixture
def place(folder: str) -> Path:
    """A folder of the test's own, which the program can read after it has given up root."""
    path = Path(folder) / f"reload-{next(_numbers)}"
    path.mkdir()
    return path


@pytest.fixture
def served(start: Start, place: Path) -> Served:
    return Served(start, place)


def status_of(client: Client, target: str = "/containers/json", headers: tuple[str, ...] = ()) -> int:
    client.get(target, headers=headers)
    return client.response().status


def test_port_on_loopback_stays_at_both_addresses(start: Start) -> None:
    """`make run` and the systemd unit set LOOPBACK=1. Whether there is an ::1 is tried with a port that the
    sandbox allows: localhost is ::1 to many clients."""
    hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
    proxy = start(env={"LOOPBACK": "1", "SANDBOX": "on"})
    proxy.process.send_signal(signal.SIGHUP)
    line = proxy.wait_log(is_result, what="about the reload")
    assert f": {len(hosts)} listener" in line and f"({len(hosts)} before)" in line, line
    for host in hosts:
        socket.create_connection((host, proxy.port), 5).close()


# ── What is read again ─────────────────────────────────────────────────────────────────────────


def test_the_next_request_of_the_same_connection_is_judged_by_the_new_policy(
    served: Served, own_engine: Engine
) -> None:
    served.write("open")
    with served.run().connect() as client:
        ping_passes(client, own_engine)
        served.reload("deny")
        assert status_of(client) == 403
        served.reload("open")
        ping_passes(client, own_engine)


def test_an_error_in_the_file_leaves_the_running_configuration(
    served: Served, own_engine: Engine
) -> None:
    served.write("open")
    with served.run().connect() as client:
        line = served.refused("open", "policies:\n  a: {rules: [{allow: [container.lst]}]}\n")
        assert f"{served.path}:3" in line or f"{served.path}:4" in line
        assert "container.lst" in line
        ping_passes(client, own_engine)


def test_a_file_that_is_gone_or_cannot_be_read_changes_nothing(
    served: Served, own_engine: Engine
) -> None:
    served.write("open")
    proxy = served.run()
    served.path.unlink()
    assert f"{served.path}: cannot be read: No such file" in served.signal()
    with proxy.connect() as client:
        ping_passes(client, own_engine)


def test_a_request_under_way_ends_under_the_policy_that_judged_it(
    served: Served, own_engine: Engine
) -> None:
    served.write("open")
    with served.run().connect() as client:
        client.get("/containers/json")
        asked = own_engine.request()
        served.reload("deny")
        asked.respond(200, b"[]")
        assert client.response().body == b"[]"
        assert status_of(client) == 403


def test_clients_and_their_keys_come_and_go(served: Served, own_engine: Engine) -> None:
    entry = "clients:\n- {{name: ci, match: {{key_sha256: {}}}, policy: open}}\n"
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a" * 20, "b" * 20)}
    first, second = keys
    served.write("deny", entry.format(keys[first]))
    with served.run().connect() as client:
        client.get("/_ping", headers=(f"x-api-key: {first}",))
        own_engine.request().respond()
        assert client.response().status == 200
        served.reload("deny", entry.format(keys[second]))
        assert status_of(client, headers=(f"x-api-key: {first}",)) == 401
        client.get("/_ping", headers=(f"x-api-key: {second}",))
        own_engine.request().respond()
        assert client.response().status == 200
        served.reload("deny")
        assert status_of(client, headers=(f"x-api-key: {second}",)) == 403


def test_a_file_of_keys_is_read_again(served: Served, own_engine: Engine, place: Path) -> None:
    keys = place / "keys"
    keys.write_text("ci:" + "a" * 20 + "\n")
    served.write("open")
    with served.run("--client-keys", str(keys)).connect() as client:
        keys.write_text("ci:" + "b" * 20 + "\n")
        assert " notice reloaded " in served.signal()
        assert status_of(client, headers=("x-api-key: " + "a" * 20,)) == 401


def test_limits_count_from_the_next_request_on(served: Served, own_engine: Engine) -> None:
    served.write("open")
    with served.run().connect() as client:
        with own_engine.responding():
            assert [status_of(client) for _ in range(3)] == [200] * 3
            served.reload("open", "limits: {rate: 1/h}\n")
            assert [status_of(client) for _ in range(3)] == [200, 429, 429]
            served.reload("open")
            assert status_of(client) == 200


def test_the_log_level_of_the_file_can_change(served: Served, own_engine: Engine) -> None:
    served.write("open", "log_level: warning\n")
    proxy = served.run()
    with own_engine.responding(), proxy.connect() as client:
        status_of(client, "/containers/before/json")
        served.reload("open", "log_level: info\n")
        status_of(client, "/containers/after/json")
        proxy.wait_log(lambda line: "/containers/after/json" in line)
    assert "/containers/before/json" not in proxy.log()


def test_another_engine_needs_another_start(start: Start, own_engine: Engine, place: Path) -> None:
    served = Served(start, place)
    served.write("open", f"upstream: {own_engine.path}\n")
    with served.run(env={"SOCKET_PATH": ""}).connect() as client:
        line = served.refused("deny", "upstream: unix:///elsewhere.sock\n")
        assert f"from 'unix://{own_engine.path}'" in line and "to 'unix:///elsewhere.sock'" in line
        assert "restart the program" in line
        ping_passes(client, own_engine)


def test_the_configuration_of_standard_input_cannot_be_read_again(served: Served, own_engine: Engine) -> None:
    served.write("open")
    served.proxy = served.start("-c", "-", port=served.port, prefix=("sh", "-c", f'exec "$@" <{served.path}', "sh"))
    served.proxy.wait_log(lambda line: "is standard input, which cannot be read again" in line)
    assert "standard input, which cannot be read again: name a file" in served.signal()
    with served.proxy.connect() as client:
        ping_passes(client, own_engine)


def test_a_file_that_only_root_can_read_is_named_at_the_start_and_by_the_reload(
    served: Served, own_engine: Engine
) -> None:
    if os.geteuid() != 0:
        pytest.skip("the program is not started as root")
    served.write("open")
    served.path.chmod(0o600)
    proxy = served.run()
    warning = proxy.wait_log(lambda line: "cannot be reloaded (SIGHUP)" in line)
    assert " notice " in warning and str(served.path) in warning and "65532" in warning
    line = served.signal()
    assert f"{served.path}: cannot be read: Permission denied" in line and "65532" in line
    with proxy.connect() as client:
        ping_passes(client, own_engine)


def test_a_reload_that_comes_during_another_one_follows_it(served: Served, own_engine: Engine) -> None:
    served.write("open")
    proxy = served.run()
    served.write("deny")
    for _ in range(50):
        proxy.process.send_signal(signal.SIGHUP)
    with proxy.connect() as client:
        with own_engine.responding():
            eventually(lambda: status_of(client) == 403, "the last configuration to hold")


def test_sighup_at_the_end_does_not_kill_the_program(served: Served, own_engine: Engine) -> None:
    served.write("open")
    proxy = served.run()
    with proxy.connect() as client:
        client.get("/containers/json")
        asked = own_engine.request()
        proxy.terminate()
        proxy.wait_log(lambda line: "SIGTERM: stopping" in line)
        proxy.process.send_signal(signal.SIGHUP)
        asked.respond(200, b"last")
        assert client.response().body == b"last"
    assert proxy.wait_exit() == 0


def test_what_observed_policies_recorded_outlives_the_configuration(
    served: Served, own_engine: Engine
) -> None:
    """The entry of the client is printed at the end, when its configuration is long gone."""
    watched = "policies:\n  a: {mode: observe, extends: [deny]}\n"
    entry = "clients:\n- {name: near, match: {cidr: [127.0.0.0/8]}, policy: a}\n"
    served.write("deny", watched + entry)
    proxy = served.run()
    with own_engine.responding(), proxy.connect() as client:
        assert status_of(client) == 200
        for _ in range(3):
            served.reload("deny", watched + entry)
            assert status_of(client) == 200
        served.reload("deny")
        assert status_of(client) == 403
    proxy.stop()
    assert "match: {cidr: ['127.0.0.0/8']}" in proxy.log()
    assert "# client 'near': 4 requests" in proxy.log()


# ── TLS ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def authority(place: Path) -> Authority:
    return Authority(place)


class ServedTls(Served):
    """The listener speaks TLS; what verifies its clients is `trust`."""

    server = ""

    def listener(self, policy: str = "open", more: str = "") -> str:
        return (
            f"- {{address: 'tls://127.0.0.1:{self.port}', name: main, policy: {policy}, "
            f"tls: {{{self.server}{more}}}}}\n"
        )


@pytest.fixture
def secure(start: Start, place: Path, authority: Authority) -> ServedTls:
    served = ServedTls(start, place)
    server = readable(authority.server())
    served.server = f"cert: {server.path}, key: {server.key}"
    return served


def readable(pair: Pair) -> Pair:
    os.chmod(pair.key, 0o644)
    return pair


OPS = "clients:\n- {name: ops, match: {cert: {cn: ops}}, policy: open}\n"


def test_new_connections_get_the_new_certificate(
    secure: ServedTls, own_engine: Engine, authority: Authority
) -> None:
    secure.write()
    proxy = secure.run()
    address = ("127.0.0.1", proxy.port)
    first = ssl.get_server_certificate(address)
    with connect(proxy, context(authority)) as before:
        # The same names of files, as when a tool renews them in place.
        readable(authority.server())
        assert " notice reloaded " in secure.signal()
        ping_passes(before, own_engine)
        with connect(proxy, context(authority)) as after:
            assert ssl.get_server_certificate(address) != first
            ping_passes(after, own_engine)


def test_a_pair_that_does_not_fit_leaves_the_former_one(
    secure: ServedTls, own_engine: Engine, authority: Authority, place: Path
) -> None:
    """Certificates that are replaced in the wrong order: the key is still the former one."""
    secure.write()
    proxy = secure.run()
    former = (place / "server-key.pem").read_bytes()
    authority.server()
    renewed = (place / "server-key.pem").read_bytes()
    (place / "server-key.pem").write_bytes(former)
    readable(Pair(place / "server.pem", place / "server-key.pem", authority.cert))
    assert "is not the key of the first certificate" in secure.signal()
    with connect(proxy, context()) as client:
        ping_passes(client, own_engine)
    (place / "server-key.pem").write_bytes(renewed)
    assert " notice reloaded " in secure.signal()


def test_an_open_connection_whose_certificate_was_revoked_ends_before_its_next_request(
    secure: ServedTls, own_engine: Engine, authority: Authority
) -> None:
    ops, other = authority.make("ops", "ops"), authority.make("other", "ops")
    crl = authority.revoke()
    demands = f", client_ca: {authority.path}, crl: {crl}"
    secure.write("deny", OPS, secure.listener("deny", demands))
    proxy = secure.run()
    with connect(proxy, context(authority, ops)) as client, connect(proxy, context(authority, other)) as kept:
        ping_passes(client, own_engine)
        ping_passes(kept, own_engine)
        authority.revoke(ops)
        assert " notice reloaded " in secure.signal()
        client.send_through(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        client.expect_gone()
        assert client.buffer == b""
        proxy.wait_log(lambda line: "ended the connection of" in line and "revoked" in line)
        ping_passes(kept, own_engine)


def test_an_open_connection_ends_when_its_authority_is_not_accepted_any_more(
    secure: ServedTls, own_engine: Engine, authority: Authority, place: Path
) -> None:
    ops = authority.make("ops", "ops")
    secure.write("deny", OPS, secure.listener("deny", f", client_ca: {authority.path}"))
    proxy = secure.run()
    with connect(proxy, context(authority, ops)) as client:
        ping_passes(client, own_engine)
        stranger = Authority(place, "stranger")
        secure.reload("deny", OPS, secure.listener("deny", f", client_ca: {stranger.path}"))
        client.send_through(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        client.expect_gone()
    assert own_engine.received() == b""


def test_an_open_connection_without_a_certificate_ends_when_one_is_demanded(
    secure: ServedTls, own_engine: Engine, authority: Authority
) -> None:
    secure.write()
    proxy = secure.run()
    with connect(proxy, context(authority)) as client:
        ping_passes(client, own_engine)
        secure.reload(listeners=secure.listener(more=f", client_ca: {authority.path}"))
        client.send_through(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        client.expect_gone()
    assert own_engine.received() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_of_before_does_not_let_a_revoked_certificate_in(
    secure: ServedTls, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    ops = authority.make("ops", "ops")
    demands = f", client_ca: {authority.path}, crl: {authority.revoke()}"
    secure.write("deny", OPS, secure.listener("deny", demands))
    proxy = secure.run()
    made = context(authority, ops, version)

    def resume(session: ssl.SSLSession | None) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", proxy.port), 10)
        return made.wrap_socket(raw, server_hostname="localhost", session=session)

    def asked(sock: ssl.SSLSocket) -> bytes:
        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        own_engine.request().respond()
        return sock.recv(4096)

    with resume(None) as first:
        assert asked(first).startswith(b"HTTP/1.1 200")
        session = first.session
    with resume(session) as second:
        assert second.session_reused, "the ticket is of use before the reload"
        assert asked(second).startswith(b"HTTP/1.1 200")
    authority.revoke(ops)
    assert " notice reloaded " in secure.signal()
    with pytest.raises(OSError):  # an alert, or a reset
        with resume(session) as third:
            third.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
            assert third.recv(4096) == b""
            raise OSError("ended")
    assert own_engine.received() == b""


# ── Requests in progress ───────────────────────────────────────────────────────────────────────


def stream(client: Client, engine: Engine, target: str = "/events", headers: tuple[str, ...] = ()) -> EngineConn:
    """An endless response, of which the client has the head."""
    client.get(target, headers=headers)
    conn = engine.request().conn
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.read_response_head()
    return conn


def goes_on(client: Client, conn: EngineConn) -> None:
    conn.send(chunk(b"more"))
    client.expect(chunk(b"more"))


def is_ended(client: Client, conn: EngineConn, proxy: Proxy, reason: str) -> None:
    client.expect_gone()
    conn.expect_gone()
    line = proxy.wait_log(lambda line: "op=" in line and "reason=" in line and reason in line)
    assert "the reloaded configuration" in line


EVENTS = "policies:\n  a: {rules: [{allow: [system.events]}]}\n  b: {rules: [{allow: [container.logs]}]}\n"


def test_a_stream_that_is_not_allowed_any_more_ends_and_all_others_go_on(
    served: Served, own_engine: Engine
) -> None:
    served.write("open", EVENTS)
    proxy = served.run()
    with proxy.connect() as client, proxy.connect() as other:
        events, logs = stream(client, own_engine), stream(other, own_engine, "/containers/a/logs?follow=1")
        served.reload("a", EVENTS)
        is_ended(other, logs, proxy, "denies the operation to the client")
        goes_on(client, events)
        assert "ended 1 request in progress" in served.reload("b", EVENTS)
        is_ended(client, events, proxy, "denies the operation to the client")


def test_a_reload_that_changes_nothing_ends_nothing(served: Served, own_engine: Engine) -> None:
    served.write("a", EVENTS)
    with served.run().connect() as client:
        conn = stream(client, own_engine)
        for _ in range(20):
            assert "ended" not in served.reload("a", EVENTS)
            goes_on(client, conn)


def test_a_tunnel_that_is_not_allowed_any_more_ends(served: Served, own_engine: Engine) -> None:
    served.write("open")
    proxy = served.run()
    with proxy.connect() as client, proxy.connect() as other:
        conn, kept = (open_tunnel(each, own_engine) for each in (client, other))
        served.reload("open")
        both_ways(client, conn)
        both_ways(other, kept)
        served.reload("deny")
        client.expect_gone()
        conn.expect_gone()
        other.expect_gone()
        kept.expect_gone()


def test_a_pattern_for_the_path_decides_about_a_stream_again(served: Served, own_engine: Engine) -> None:
    def logs_of(name: str) -> str:
        return f"policies:\n  a: {{rules: [{{allow: {{methods: [GET], path: '/containers/{name}/logs'}}}}]}}\n"

    served.write("a", logs_of("[ab]"))
    proxy = served.run()
    with proxy.connect() as first, proxy.connect() as second:
        ended = stream(first, own_engine, "/v1.41/containers/a/logs?follow=1&tail=" + "9" * 2000)
        kept = stream(second, own_engine, "/containers/b/logs?follow=1")
        served.reload("a", logs_of("b"))
        is_ended(first, ended, proxy, "denies the operation")
        goes_on(second, kept)


def test_the_streams_of_a_key_that_was_removed_end(served: Served, own_engine: Engine) -> None:
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a" * 20, "b" * 20)}
    lines = [f"- {{name: c{at}, match: {{key_sha256: {digest}}}, policy: open}}\n" for at, digest in enumerate(keys.values())]
    served.write("deny", "clients:\n" + "".join(lines))
    proxy = served.run()
    with proxy.connect() as first, proxy.connect() as second:
        conns = [stream(c, own_engine, headers=(f"x-api-key: {key}",)) for c, key in zip((first, second), keys)]
        served.reload("deny", "clients:\n" + lines[1])
        is_ended(first, conns[0], proxy, "does not know the client")
        goes_on(second, conns[1])
        served.reload("deny")
        is_ended(second, conns[1], proxy, "denies the operation")


def test_the_end_of_an_entry_that_a_reload_brings_ends_its_streams(served: Served, own_engine: Engine) -> None:
    entry = "clients:\n- {{name: near, match: {{cidr: 127.0.0.1}}, policy: open{}}}\n"
    served.write("deny", entry.format(""))
    with served.run().connect() as client:
        conn = stream(client, own_engine)
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        served.reload("deny", entry.format(f", until: '{soon:%Y-%m-%dT%H:%M:%SZ}'"))
        goes_on(client, conn)
        served.proxy.wait_log(lambda line: "(until)" in line)
        client.expect_gone()


def test_a_stream_of_another_scope_or_with_other_secrets_ends(served: Served, own_engine: Engine) -> None:
    def policy(scope: str, redact: str) -> str:
        return f"policies:\n  a: {{extends: [open], scope: {{labels: {{team: {scope}}}}}, redact: [{redact}]}}\n"

    served.write("a", policy("ci", "env"))
    proxy = served.run()
    reasons = ["has another scope", "hides other values"]
    for reason, change in zip(reasons, [policy("web", "env"), policy("web", "'labels:*'")]):
        with proxy.connect() as client:
            client.get("/events")
            conn = own_engine.request().conn
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.read_response_head()
            served.reload("a", served.path.read_text().split("\n", 2)[2])
            assert not client.readable()
            served.reload("a", change)
            is_ended(client, conn, proxy, reason)


def test_a_stream_of_a_certificate_that_was_revoked_ends(
    secure: ServedTls, own_engine: Engine, authority: Authority
) -> None:
    ops, other = authority.make("ops", "ops"), authority.make("other", "ops")
    secure.write("deny", OPS, secure.listener("deny", f", client_ca: {authority.path}, crl: {authority.revoke()}"))
    proxy = secure.run()
    with connect(proxy, context(authority, ops)) as client, connect(proxy, context(authority, other)) as kept:
        conns = [stream(each, own_engine) for each in (client, kept)]
        assert " notice reloaded " in secure.signal()
        goes_on(client, conns[0])
        authority.revoke(ops)
        assert " notice reloaded " in secure.signal()
        is_ended(client, conns[0], proxy, "does not accept the certificate")
        goes_on(kept, conns[1])


def test_a_request_that_lasts_long_is_judged_again_whatever_it_is(served: Served, own_engine: Engine) -> None:
    served.write("open")
    proxy = served.run()
    with proxy.connect() as client:
        client.get("/containers/json")
        conn = own_engine.request().conn
        served.reload("deny")
        client.expect_silence(2)
        proxy.wait_log(lambda line: "reason=" in line and "denies the operation" in line)
        client.expect_gone()
        conn.expect_gone()


# ── Listeners ──────────────────────────────────────────────────────────────────────────────────


def further(port: int, policy: str = "open") -> str:
    return f"- {{address: 'tcp://127.0.0.1:{port}', policy: {policy}}}\n"


def connect_to(port: int) -> Client:
    return Client(socket.create_connection(("127.0.0.1", port), 10))


def test_a_listener_comes_and_goes(served: Served, own_engine: Engine) -> None:
    port = free_port()
    served.write()
    proxy = served.run()
    served.reload()  # so that the start is over
    files = proxy.open_files()
    for _ in range(3):
        served.reload(listeners=further(port, "deny") + served.listener())
        with connect_to(port) as client, proxy.connect() as other:
            assert status_of(client) == 403
            ping_passes(other, own_engine)
        own_engine.forget()
        served.reload()
        assert refuses_connection(port)
    with proxy.connect() as client:
        ping_passes(client, own_engine)
    own_engine.forget()
    eventually(lambda: proxy.open_files() <= files, "all sockets to be closed")


def test_the_connections_of_a_listener_that_is_gone_end(served: Served, own_engine: Engine) -> None:
    """Those without a request at once, those with one behind it, streams as revoked."""
    port = free_port()
    served.write(listeners=further(port) + served.listener())
    proxy = served.run()
    idle, half, busy, endless = (connect_to(port) for _ in range(4))
    with idle, half, busy, endless, proxy.connect() as kept:
        ping_passes(idle, own_engine)
        half.send(b"GET /_ping HT")
        busy.get("/containers/json")
        asked = own_engine.request()
        conn, kept_conn = stream(endless, own_engine), stream(kept, own_engine)
        served.reload()
        idle.expect_end()
        half.expect_gone()
        is_ended(endless, conn, proxy, "has no such listener")
        asked.respond(200, b"[]")
        assert busy.response().body == b"[]"
        busy.expect_end()
        goes_on(kept, kept_conn)


def test_open_connections_keep_their_listener_when_the_order_changes(
    served: Served, own_engine: Engine
) -> None:
    port = free_port()
    orders = [further(port) + served.listener("deny"), served.listener("deny") + further(port)]
    served.write(listeners=orders[1])
    proxy = served.run()
    with proxy.connect() as closed, connect_to(port) as opened:
        for listeners in orders:
            served.reload(listeners=listeners)
            assert status_of(closed) == 403
            ping_passes(opened, own_engine)
            with proxy.connect() as new:
                assert status_of(new) == 403


def test_a_unix_listener_comes_with_its_mode_changes_it_and_goes(
    served: Served, own_engine: Engine, place: Path
) -> None:
    place.chmod(0o777)
    path = place / "api.sock"
    first = f"- {{address: 'unix://{place}/first.sock', policy: deny}}\n"
    served.write(listeners=served.listener() + first)
    served.run()
    for mode in ("0600", "0666"):
        added = f"- {{address: 'unix://{path}', policy: open, mode: '{mode}'}}\n"
        served.reload(listeners=served.listener() + added)
        assert path.stat().st_mode & 0o777 == int(mode, 8)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    with Client(sock) as client:
        ping_passes(client, own_engine)
        served.reload()
        client.expect_end()
    eventually(lambda: not path.exists(), "the file of the socket to be gone")


def test_what_the_sandbox_keeps_out_of_reach_is_said(served: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Folders that no setting named at the start, whatever their permissions are."""
    other = tmp_path_factory.mktemp("other")
    for folder in (other, *other.parents[:2]):
        folder.chmod(0o777)
    (other / "server.pem").write_text("")
    served.write()
    served.run()
    socket_there = f"- {{address: 'unix://{other}/api.sock', policy: open}}\n"
    assert "the sandbox lets sockets be made" in served.refused(listeners=served.listener() + socket_there)
    file_there = (f"- {{address: 'tls://127.0.0.1:{free_port()}', policy: open, "
                  f"tls: {{cert: {other}/server.pem, key: {other}/server.pem}}}}\n")
    assert "the sandbox opens files of those folders alone" in served.refused(listeners=served.listener() + file_there)


def test_a_listener_that_cannot_be_opened_changes_nothing(
    served: Served, own_engine: Engine, place: Path
) -> None:
    free = free_port()
    served.write()
    proxy = served.run()
    served.reload()  # so that the start is over
    files = proxy.open_files()
    with socket.socket() as taken, proxy.connect() as client:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = served.refused(listeners=further(free) + further(port) + served.listener("deny"))
        assert f"cannot listen on tcp://127.0.0.1:{port}" in line and "in use" in line
        line = served.refused(listeners=served.listener() + f"- {{address: 'unix://{place}/sub/a.sock', policy: open}}\n")
        assert "sub" in line
        ping_passes(client, own_engine)
    assert refuses_connection(free)
    own_engine.forget()
    eventually(lambda: proxy.open_files() <= files, "all sockets to be closed")


def test_the_same_port_can_go_on_with_tls(secure: ServedTls, own_engine: Engine, authority: Authority) -> None:
    secure.write(listeners=further(secure.port))
    proxy = secure.run()
    with proxy.connect() as before:
        ping_passes(before, own_engine)
        secure.reload()
        before.expect_end()
    with connect(proxy, context(authority)) as client:
        ping_passes(client, own_engine)


# ── watch: true ────────────────────────────────────────────────────────────────────────────────

WATCH = "watch: true\n"
LOOKS = 0.9  # seconds, in which a change would have been seen


def results(proxy: Proxy) -> list[str]:
    return [line for line in proxy.lines if is_result(line)]


def test_a_file_that_is_replaced_or_written_in_place_is_read_again(served: Served, own_engine: Engine) -> None:
    served.write("open", WATCH)
    proxy = served.run()
    with proxy.connect() as client, own_engine.responding():
        served.write("deny", WATCH)
        eventually(lambda: status_of(client) == 403, "the file that was put in place")
        served.path.write_text(served.path.read_text().replace("deny", "open"))
        eventually(lambda: status_of(client) == 200, "the file that was written in place")
        served.write("deny")  # the last one that is watched
        eventually(lambda: status_of(client) == 403, "the last file that is watched")
        time.sleep(LOOKS)  # its line in the log may come after its effect
        before = len(results(proxy))
        served.write("open")
        time.sleep(LOOKS)
        assert status_of(client) == 403
    assert len(results(proxy)) == before


class Volume:
    """A folder as the kubelet fills it: each file is a link into `..data`, which is one to a folder of this version."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.versions = itertools.count(1)

    def swap(self, **files: bytes) -> None:
        """All files at once; the former version is removed."""
        data = self.folder / "..data"
        former = data.resolve() if data.exists() else None
        version = self.folder / f"..{next(self.versions)}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_bytes(content)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..data_tmp").symlink_to(version.name)
        os.replace(self.folder / "..data_tmp", data)
        if former is not None:
            shutil.rmtree(former)


def test_the_swap_of_a_link_by_kubernetes_is_seen(served: Served, own_engine: Engine, place: Path) -> None:
    volume = Volume(place)

    def swap(policy: str) -> None:
        volume.swap(**{"proxy.yaml": f"listeners:\n{served.listener(policy)}{WATCH}".encode()})

    swap("open")
    with served.run().connect() as client, own_engine.responding():
        for policy, status in (("deny", 403), ("open", 200), ("deny", 403)):
            swap(policy)
            eventually(lambda status=status: status_of(client) == status, "the version behind the link")


def test_a_certificate_behind_the_link_of_kubernetes_is_read_again(
    secure: ServedTls, own_engine: Engine, authority: Authority, place: Path
) -> None:
    """A Secret of the type kubernetes.io/tls, which cert-manager renews."""
    volume = Volume(place / "tls")

    def renew() -> str:
        server = authority.server()
        volume.swap(**{"tls.crt": Path(server.path).read_bytes(), "tls.key": Path(server.key).read_bytes()})
        return Path(server.path).read_text()

    renew()
    secure.server = f"cert: {volume.folder}/tls.crt, key: {volume.folder}/tls.key"
    secure.write(more=WATCH)
    proxy = secure.run()
    for _ in range(2):
        renewed = renew()
        eventually(lambda: ssl.get_server_certificate(("127.0.0.1", proxy.port)) == renewed, "the certificate behind the link")
    assert not any("was not reloaded" in line for line in proxy.lines), "both files change at once"


def test_a_list_of_revoked_certificates_that_changes_is_read_again(
    secure: ServedTls, own_engine: Engine, authority: Authority
) -> None:
    ops, other = authority.make("ops", "ops"), authority.make("other", "ops")
    demands = f", client_ca: {authority.path}, crl: {authority.revoke()}"
    secure.write("deny", OPS + WATCH, secure.listener("deny", demands))
    proxy = secure.run()

    def is_served(client: Client) -> bool:
        try:
            return status_of(client) == 200
        except (OSError, WireError):
            return False

    with connect(proxy, context(authority, ops)) as client, connect(proxy, context(authority, other)) as kept:
        with own_engine.responding():
            assert is_served(client) and is_served(kept)
            authority.revoke(ops)
            eventually(lambda: not is_served(client), "the end of a connection whose certificate is revoked")
            assert is_served(kept)
    proxy.wait_log(lambda line: "ended the connection of" in line and "revoked" in line)


def test_a_file_of_keys_that_changes_is_read_again(served: Served, own_engine: Engine, place: Path) -> None:
    former, later = "a" * 20, "b" * 20
    keys = place / "keys"
    keys.write_text(f"ci:{former}\n")
    served.write("open", WATCH)
    with served.run("--client-keys", str(keys)).connect() as client, own_engine.responding():
        assert status_of(client, headers=(f"x-api-key: {former}",)) == 200
        keys.write_text(f"ci:{later}\n")
        eventually(lambda: status_of(client, headers=(f"x-api-key: {former}",)) == 401, "the end of the key that went")
        assert status_of(client, headers=(f"x-api-key: {later}",)) == 200


def test_a_broken_file_is_logged_once_and_the_next_change_is_read(served: Served, own_engine: Engine) -> None:
    served.write("open", WATCH)
    proxy = served.run()
    whole = served.path.read_text()
    served.path.write_text(whole[:-8])
    proxy.wait_log(lambda line: "was not reloaded" in line)
    time.sleep(LOOKS)
    assert sum("was not reloaded" in line for line in proxy.lines) == 1
    served.path.write_text(whole.replace("open", "deny"))
    with proxy.connect() as client, own_engine.responding():
        eventually(lambda: status_of(client) == 403, "the whole file")


def test_a_certificate_that_is_renewed_is_read_again_and_other_files_are_not(
    secure: ServedTls, own_engine: Engine, authority: Authority, place: Path
) -> None:
    secure.write(more=WATCH)
    proxy = secure.run()
    time.sleep(LOOKS)  # the files are younger than the program
    since = len(proxy.lines)
    (place / "log").write_text("a file of somebody else")
    time.sleep(LOOKS)
    assert not any(is_result(line) for line in proxy.lines[since:])
    readable(authority.server())
    proxy.wait_log(lambda line: " notice reloaded " in line, since)


@pytest.mark.parametrize("pause", [0.02, 0.6])
def test_a_file_that_is_written_by_halves_is_read_when_it_is_whole(served: Served, own_engine: Engine, pause: float) -> None:
    """In place, a line at a time: quicker than `watch` looks, and slower, so that it sees halves. No half decides."""
    served.write("a", ALTERNATING + WATCH)
    proxy = served.run()
    whole = served.path.read_text().replace("policy: a", "policy: b").splitlines(keepends=True)
    stopped = threading.Event()
    statuses: list[int] = []

    def load() -> None:
        with proxy.connect() as client:
            while not stopped.is_set():
                statuses.append(status_of(client, SIDES[0]))

    with own_engine.responding():
        seen = Background(load)
        with served.path.open("w") as file:
            for line in whole:
                time.sleep(pause)
                file.write(line)
                file.flush()
        eventually(lambda: 403 in statuses, "the whole file")  # the log has its line before the next request
        stopped.set()
        seen.result()
    assert statuses == sorted(statuses) and set(statuses) == {200, 403}, "from the former policy to the new one, once"
    refused = [line for line in proxy.lines if "was not reloaded" in line]
    assert bool(refused) == (pause > LOOKS / 2), refused


@pytest.mark.parametrize("first", ["key", "certificate"])
def test_a_pair_that_is_renewed_one_file_after_the_other(
    secure: ServedTls, own_engine: Engine, authority: Authority, place: Path, first: str
) -> None:
    """With `watch`, and slower than it looks: clients get the former certificate until both files are there, and the
    log says why."""
    secure.write(more=WATCH)
    proxy = secure.run()
    files = {"certificate": place / "server.pem", "key": place / "server-key.pem"}
    former = {name: file.read_bytes() for name, file in files.items()}
    authority.server("renewed")
    renewed = {name: (place / file.name.replace("server", "renewed")).read_bytes() for name, file in files.items()}
    address = ("127.0.0.1", proxy.port)
    second = next(name for name in files if name != first)
    since = len(proxy.lines)
    files[first].write_bytes(renewed[first])
    proxy.wait_log(lambda line: "was not reloaded" in line and "is not the key of the first certificate" in line, since)
    assert ssl.get_server_certificate(address).encode() == former["certificate"]
    with connect(proxy, context()) as client:
        ping_passes(client, own_engine)
        files[second].write_bytes(renewed[second])
        proxy.wait_log(lambda line: " notice reloaded " in line, since)
        assert ssl.get_server_certificate(address).encode() == renewed["certificate"]
        ping_passes(client, own_engine)


# ── Many ───────────────────────────────────────────────────────────────────────────────────────

SIDES = ("/containers/json", "/images/json")  # the policies a and b allow one each
ALTERNATING = "policies:\n" + "".join(
    f"  {name}: {{rules: [{{allow: [{operation}, system.events]}}]}}\n"
    for name, operation in (("a", "container.list"), ("b", "image.list"))
)


class Alternation:
    """Which policies may hold at a moment: those between the last reload that ended and the last one that
    began."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def check(self, client: Client, number: int) -> None:
        since = self.ended
        status = status_of(client, SIDES[number % 2])
        held = {at % 2 for at in range(since, self.begun + 1)}
        right = {200 if side == number % 2 else 403 for side in held}
        assert status in right, f"{SIDES[number % 2]}: {status} under {held}"


def allocated_kib(proxy: Proxy) -> int:
    """Without pages of the program's file, which a reload gives back and requests touch again."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])


def test_many_reloads_under_load_fail_no_request_leak_nothing_and_leave_no_stale_verdict(
    served: Served, own_engine: Engine
) -> None:
    served.write("a", ALTERNATING)
    proxy = served.run("--workers", "2", "--log-level", "notice")
    alternation = Alternation()
    stopped = threading.Event()

    def load() -> int:
        count = 0
        with proxy.connect() as client:
            while not stopped.is_set():
                alternation.check(client, count := count + 1)
        return count

    def reload() -> None:
        alternation.begun += 1
        served.reload("ab"[alternation.begun % 2], ALTERNATING)
        alternation.ended = alternation.begun

    with proxy.connect() as watcher:
        events = stream(watcher, own_engine)
        own_engine.conns.remove(events)
        with own_engine.responding():
            loads = [Background(load) for _ in range(4)]
            for _ in range(WARM_UP):
                reload()
            resident, files = allocated_kib(proxy), proxy.open_files()
            for _ in range(RELOADS):
                reload()
            grown = allocated_kib(proxy) - resident
            stopped.set()
            counts = [each.result() for each in loads]
            assert proxy.open_files() <= files + 8  # connections to the Engine come and go
        goes_on(watcher, events)
        events.close()
    assert min(counts) > RELOADS
    print(f"{RELOADS} reloads, {sum(counts)} requests, {grown} KiB more of {resident} KiB")
    assert sanitized() or grown < 1024, f"{grown} KiB more after {RELOADS} reloads"


# ── Asked for at the admin listener ────────────────────────────────────────────────────────────


@pytest.fixture
def operated(served: Served, place: Path) -> Admin:
    place.chmod(0o777)
    served.admin = f"admin: {{address: 'unix://{place}/admin.sock'}}\n"
    served.write("open", served.admin)
    served.run()
    return Admin(str(place / "admin.sock"))


def test_the_answer_comes_when_all_threads_judge_by_it(served: Served, operated: Admin, own_engine: Engine) -> None:
    with served.proxy.connect() as client:
        for policy, status in (("deny", 403), ("open", 200)) * 5:
            served.write(policy, served.admin)
            answer = operated.post("/api/reload")
            assert answer.status == 200, answer.body
            told = json.loads(answer.body)
            assert told["result"] == "ok" and told["message"].startswith(f"reloaded {served.path} in ")
            client.get("/containers/json")
            if status == 200:
                own_engine.request().respond(body=b"[]")
            assert client.response().status == status


def test_an_error_is_answered_with_its_line(served: Served, operated: Admin) -> None:
    served.write("open", served.admin + "policies: {a: {rules: [{allow: [container.lst]}]}}\n")
    answer = operated.post("/api/reload")
    message = json.loads(answer.body)["message"]
    assert answer.status == 422 and f"{served.path}:4: " in message and "container.lst" in message
    served.proxy.wait_log(lambda line: "was not reloaded" in line and message in line)


def test_many_ask_at_once_and_all_are_answered(served: Served, operated: Admin) -> None:
    clients = [operated.connect() for _ in range(40)]
    for client in clients:
        client.post("/api/reload", headers=["X-Requested-With: test"])
    assert {client.response().status for client in clients} == {200}
    for client in clients:
        client.close()


@pytest.mark.parametrize("headers", [
    [], ["Content-Type: application/x-www-form-urlencoded"], ["Content-Type: text/plain"], ["Content-Type: multipart/form-data"],
    ["Content-Type: application/json", "Origin: https://evil.example"],
    ["Content-Type: application/json", "Sec-Fetch-Site: cross-site"],
    ["X-Requested-With: page", "Sec-Fetch-Site: same-site"],
])
def test_pages_of_other_sites_cannot_ask(served: Served, operated: Admin, headers: list[str]) -> None:
    for target in ("/api/reload", "/api/streams/0000000100000001/close"):
        with operated.connect() as client:
            client.post(target, headers=headers)
            assert client.response().status == 403
    assert not any("reloaded" in line for line in served.proxy.lines)


def test_only_post_reloads_and_without_a_body(served: Served, operated: Admin) -> None:
    answer = operated.get("/api/reload", "Content-Type: application/json")
    assert answer.status == 405 and answer.header("allow") == "POST"
    assert operated.post("/api/state").status == 405
    with operated.connect() as client:
        client.post("/api/reload", b"{}", headers=["Content-Type: application/json"])
        assert client.response().status == 413


def test_reload_needs_the_key_at_tcp(served: Served, place: Path) -> None:
    key, port = "a-key-with-many-letters", free_port()
    served.write("open", f"admin: {{address: 'tcp://127.0.0.1:{port}', key_sha256: {hashlib.sha256(key.encode()).hexdigest()}}}\n")
    served.run()
    admin = Admin(port)
    for target in ("/api/reload", "/api/streams/0000000100000001/close"):
        assert admin.post(target).status == 401
        assert admin.post(target, "X-Api-Key: another-key").status == 401
    assert admin.get("/api/state").status == 401
    assert admin.post("/api/reload", f"X-Api-Key: {key}").status == 200
    assert admin.get("/api/state", f"Authorization: Bearer {key}").status == 200
    assert admin.post("/api/streams/0000000100000001/close", f"X-Api-Key: {key}").status == 404


def test_a_reload_while_the_proxy_stops_is_refused(served: Served, operated: Admin, own_engine: Engine) -> None:
    with served.proxy.connect() as client:
        client.get("/events")
        request = own_engine.request()
        with operated.connect() as operator:
            operator.get("/health")
            operator.response()
            served.proxy.terminate()
            served.proxy.wait_log(lambda line: "SIGTERM" in line)
            operator.post("/api/reload", headers=["Content-Type: application/json"])
            assert operator.response().status == 503
        request.respond()
        client.response()
    assert served.proxy.wait_exit() == 0
