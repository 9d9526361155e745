"""TLS: handshakes, certificates of clients, and bytes that arrive as they were sent."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from cryptography import x509

from machine import free_port
from secure import DAY, SERVER, Authority, TlsSocket, connect, context, is_refused
from test_tunnel import both_ways, open_tunnel
from wire import (
    Background,
    Client,
    Engine,
    Proxy,
    WireError,
    eventually,
    ping_passes,
    run_binary,
    sanitized,
)

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
Serve = Callable[..., Proxy]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    os.chmod(tmp_path, 0o755)
    return Authority(tmp_path)


@pytest.fixture
def serve(start: Callable[..., Proxy], authority: Authority, tmp_path: Path) -> Serve:
    """serve(tls, clients) → a proxy with one listener of TLS, with a certificate of `authority`."""

    def serve_file(
        tls: str = "", clients: str = "", policy: str = "open", more: str = "", args: Iterable[str] = (), **options
    ) -> Proxy:
        port = free_port()
        server = authority.server()
        path = tmp_path / "proxy.yaml"
        path.write_text(
            f"listeners:\n- {{address: 'tls://127.0.0.1:{port}', name: edge, policy: {policy}, "
            f"tls: {{cert: {server.path}, key: {server.key}{tls}}}}}\n{more}"
            + (f"clients:\n{clients}" if clients else "")
        )
        return start("-c", str(path), *args, port=port, **options)

    return serve_file


def asks(authority: Authority, more: str = "") -> str:
    return f", client_ca: {authority.path}{more}"


def check_config(tmp_path: Path, text: str, **env: str) -> subprocess.CompletedProcess:
    path = tmp_path / "checked.yaml"
    path.write_text(text)
    return run_binary("check", "-c", str(path), **env)


# who may speak


@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_over_tls(serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion) -> None:
    proxy = serve()
    with connect(proxy, context(authority, version=version)) as client:
        for _ in range(3):
            ping_passes(client, own_engine)
        assert client.sock.tls.version() == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_required_certificate(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    proxy = serve(asks(authority))
    with connect(proxy, context(authority, authority.make("ops", "ops"), version)) as client:
        ping_passes(client, own_engine)
    assert is_refused(proxy, context(authority, version=version))
    proxy.wait_log(lambda line: "it has no certificate, which this listener demands" in line)
    assert own_engine.received() == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_an_optional_certificate(
    serve: Serve, own_engine: Engine, authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    proxy = serve(
        asks(authority, ", client_cert: optional"),
        "- {name: ops, match: {cert: {cn: ops}}, policy: open}\n",
        policy="deny",
    )
    with connect(proxy, context(authority, authority.make("ops", "ops"), version)) as client:
        ping_passes(client, own_engine)
    with connect(proxy, context(authority, version=version)) as client:
        client.get("/_ping")
        assert client.response().status == 403
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "other").make("ops", "ops")
    assert is_refused(proxy, context(authority, stranger, version))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "options, reason",
    [
        ({"ends": -DAY / 2}, "its certificate has expired"),
        ({"begins": DAY / 2}, "its certificate is not valid yet"),
        ({"usage": SERVER}, "its certificate is for another purpose"),
    ],
    ids=["expired", "early", "purpose"],
)
def test_a_certificate_that_does_not_hold(
    serve: Serve, own_engine: Engine, authority: Authority, options: dict, reason: str, version: ssl.TLSVersion
) -> None:
    proxy = serve(asks(authority))
    assert is_refused(proxy, context(authority, authority.make("ops", "ops", **options), version))
    proxy.wait_log(lambda line: reason in line and "127.0.0.1" in line)
    assert own_engine.received() == b""


def test_a_certificate_of_another_authority(
    serve: Serve, own_engine: Engine, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    # Its name is the same, so that the client has it to offer.
    stranger = Authority(tmp_path / "other", authority.name).make("ops", "ops")
    proxy = serve(asks(authority))
    for version in VERSIONS:
        assert is_refused(proxy, context(authority, stranger, version))
    proxy.wait_log(lambda line: "no TLS with 127.0.0.1" in line)
    assert own_engine.received() == b""


def test_a_revoked_certificate(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    good, bad = authority.make("good", "good"), authority.make("bad", "bad")
    proxy = serve(asks(authority, f", crl: {authority.revoke(bad)}"))
    with connect(proxy, context(authority, good)) as client:
        ping_passes(client, own_engine)
    for version in VERSIONS:
        assert is_refused(proxy, context(authority, bad, version))
    proxy.wait_log(lambda line: "its certificate is revoked" in line)


def test_an_expired_list_of_revoked_certificates_accepts_nobody(
    serve: Serve, authority: Authority
) -> None:
    proxy = serve(asks(authority, f", crl: {authority.revoke(ends=-DAY / 2)}"))
    proxy.wait_log(lambda line: "authority-crl.pem' has expired" in line)
    assert is_refused(proxy, context(authority, authority.make("ops", "ops")))
    proxy.wait_log(lambda line: "the list of 'crl' has expired" in line)


# certificates as conditions


@pytest.mark.parametrize(
    "condition, options",
    [
        ("cn: ops", {"cn": "ops"}),
        ("cn: [x, ops]", {"cn": "ops"}),
        ("dns: ci.example.org", {"names": [x509.DNSName("CI.example.org")]}),
        ("dns: '*.example.org'", {"names": [x509.DNSName("a.example.org")]}),
        ("uri: 'spiffe://example.org/ns/*/sa/ci'", {"names": [x509.UniformResourceIdentifier("spiffe://example.org/ns/x/sa/ci")]}),
    ],
)
def test_a_client_is_known_by_its_certificate(
    serve: Serve, own_engine: Engine, authority: Authority, condition: str, options: dict
) -> None:
    proxy = serve(
        asks(authority),
        f"- {{name: known, match: {{cert: {{{condition}}}}}, policy: open}}\n",
        policy="deny",
    )
    with connect(proxy, context(authority, authority.make("known", **options))) as client:
        ping_passes(client, own_engine)
    with connect(proxy, context(authority, authority.make("other", "other", [x509.DNSName("example.org")]))) as client:
        client.get("/_ping")
        assert "policy 'deny'" in client.response().message()
    proxy.wait_log(lambda line: "identity=known" in line)
    proxy.wait_log(lambda line: "warning denied" in line
                   and 'sender="certificate CN other, certificate DNS name example.org"' in line)


def test_a_fingerprint_is_one_certificate(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    pair, twin = authority.make("ops", "ops"), authority.make("twin", "ops")
    digits = pair.fingerprint().upper()
    colons = ":".join(digits[i : i + 2] for i in range(0, 64, 2))
    proxy = serve(
        asks(authority),
        f"- {{name: ops, match: {{cert: {{fingerprint: '{colons}'}}}}, policy: open}}\n",
        policy="deny",
    )
    with connect(proxy, context(authority, pair)) as client:
        ping_passes(client, own_engine)
    with connect(proxy, context(authority, twin)) as client:
        client.get("/_ping")
        assert client.response().status == 403


def test_names_that_two_readers_read_differently_are_no_names(
    serve: Serve, authority: Authority
) -> None:
    proxy = serve(
        asks(authority),
        "- {name: ops, match: {cert: {cn: ops}}, policy: open}\n"
        "- {name: dns, match: {cert: {dns: ops.example.org}}, policy: open}\n",
        policy="deny",
    )
    for pair in (
        authority.make("two", "ops", common_names=["other"]),
        authority.make("nul", "ops\0.example.org"),
        authority.make("long", names=[x509.DNSName(f"n{i}.example.org") for i in range(100)] + [x509.DNSName("ops.example.org")]),
        authority.make("first", names=[x509.DNSName("ops.example.org")] + [x509.DNSName(f"n{i}.example.org") for i in range(100)]),
    ):
        with connect(proxy, context(authority, pair)) as client:
            client.get("/_ping")
            assert client.response().status == 403, pair.path


def test_conditions_on_certificates_need_a_listener_that_asks_for_them(tmp_path: Path, authority: Authority) -> None:
    server = authority.server()
    done = check_config(
        tmp_path,
        f"listeners: [{{address: 'tls://127.0.0.1:1', tls: {{cert: {server.path}, key: {server.key}}}}}]\n"
        "clients: [{name: ops, match: {cert: {cn: ops}}, policy: open}]\n",
    )
    assert done.returncode == 2
    assert "no listener asks for one: give a tls:// listener a 'client_ca'" in done.stderr


@pytest.mark.parametrize(("listener", "warned"), [("edge", False), ("inner", True), ("plain", True)])
def test_a_condition_on_certificates_where_none_is_asked_for(
    tmp_path: Path, authority: Authority, listener: str, warned: bool
) -> None:
    server = authority.server()
    pair = f"cert: {server.path}, key: {server.key}"
    done = check_config(
        tmp_path,
        "listeners:\n"
        f"- {{address: 'tls://127.0.0.1:1', name: edge, policy: deny, tls: {{{pair}, client_ca: {authority.path}}}}}\n"
        f"- {{address: 'tls://127.0.0.1:2', name: inner, policy: deny, tls: {{{pair}}}}}\n"
        "- {address: 'tcp://127.0.0.1:3', name: plain, policy: deny}\n"
        f"clients: [{{name: ops, match: {{cert: {{cn: ops}}, listener: {listener}}}, policy: open}}]\n",
    )
    assert done.returncode == 0
    assert ("client 'ops' fits nobody" in done.stderr) is warned, done.stderr


# resumption


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_keeps_the_identity(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    until = datetime.datetime.utcnow().replace(microsecond=0) + datetime.timedelta(seconds=3)
    proxy = serve(
        asks(authority),
        f"- {{name: ops, match: {{cert: {{cn: ops}}}}, policy: open, until: '{until.isoformat()}Z'}}\n",
        policy="deny",
    )
    settings = context(authority, authority.make("ops", "ops"), version)
    with connect(proxy, settings) as client:
        ping_passes(client, own_engine)
        session = client.sock.tls.session
    with connect(proxy, settings, session) as client:
        assert client.sock.tls.session_reused
        ping_passes(client, own_engine)
        session = client.sock.tls.session
    # The entry is looked at for each request, whatever the connection was when it began.
    eventually(lambda: datetime.datetime.utcnow() > until, "the entry to end")
    with connect(proxy, settings, session) as client:
        assert client.sock.tls.session_reused
        client.get("/_ping")
        assert client.response().status == 403


@pytest.mark.parametrize("version", VERSIONS)
def test_an_expired_certificate_is_not_resumed(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    proxy = serve(asks(authority))
    pair = authority.make("brief", "brief", ends=datetime.timedelta(seconds=3))
    settings = context(authority, pair, version)
    with connect(proxy, settings) as client:
        ping_passes(client, own_engine)
        session = client.sock.tls.session
    eventually(lambda: datetime.datetime.utcnow() > pair.cert.not_valid_after + DAY / 86400, "it to expire")
    assert is_refused(proxy, settings, session=session)
    proxy.wait_log(lambda line: "its certificate has expired" in line)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_of_one_listener(
    serve: Serve, own_engine: Engine, authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    port = free_port()
    server = authority.server("second")
    proxy = serve(
        asks(authority),
        more=f"- {{address: 'tls://127.0.0.1:{port}', policy: open, tls: {{cert: {server.path}, key: {server.key}{asks(other)}}}}}\n",
    )
    settings = context(authority, authority.make("ops", "ops"), version)
    with connect(proxy, settings) as client:
        ping_passes(client, own_engine)
        session = client.sock.tls.session
    assert is_refused(proxy, settings, session=session, port=port)
    assert own_engine.received() == b""


# bytes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("step", [1, 7, None])
def test_a_large_body_in_each_direction(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion, step: int | None
) -> None:
    """With step 1, each record comes a byte at a time."""
    body = os.urandom(64 * 1024 if step else 20 * 1024 * 1024)
    proxy = serve()
    with connect(proxy, context(authority, version=version), step=step) as client:
        sending = Background(lambda: client.post("/images/load", body))
        request = own_engine.request()
        assert request.body == body
        sending.result()
        responding = Background(lambda: request.respond(200, body))
        assert client.response().body == body
        responding.result()
        ping_passes(client, own_engine)


@pytest.mark.parametrize("version", VERSIONS)
def test_records_of_one_byte(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    body = os.urandom(64 * 1024)
    proxy = serve()
    with connect(proxy, context(authority, version=version)) as client:
        client.send(f"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for byte in body:
            client.sock.tls.write(bytes([byte]))
        client.sock._flush()
        request = own_engine.request()
        assert request.body == body
        request.respond()
        assert client.response().status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chunked_response(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    proxy = serve()
    pieces = [os.urandom(size) for size in (1, 100, 9000, 70000, 300000)]
    with connect(proxy, context(authority, version=version)) as client:
        client.get("/events")
        conn = own_engine.request().conn
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        sending = Background(lambda: [conn.send(b"%x\r\n%s\r\n" % (len(piece), piece)) for piece in pieces] and conn.send(b"0\r\n\r\n"))
        assert client.response().body == b"".join(pieces)
        sending.result()


def test_a_client_that_reads_slowly(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    body = os.urandom(16 * 1024 * 1024)
    proxy = serve()
    with connect(proxy, context(authority)) as client:
        client.get("/images/x/get")
        request = own_engine.request()
        sending = Background(lambda: request.respond(200, body))
        time.sleep(0.5)  # until everything on the way is full
        assert sending.running
        assert client.response().body == body
        sending.result()


# the end


@pytest.mark.parametrize("version", VERSIONS)
def test_each_direction_of_a_tunnel_ends_by_itself(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    """docker run -i: the end of standard input, then all of the output."""
    proxy = serve()
    settings = context(authority, version=version)
    with connect(proxy, settings) as client, open_tunnel(client, own_engine) as conn:
        both_ways(client, conn)
        client.finish_sending()
        conn.expect_end()
        conn.send(b"output after the end of input")
        client.expect(b"output after the end of input")
        conn.close()
        client.expect_end()  # with close_notify
    with connect(proxy, settings) as client, open_tunnel(client, own_engine) as conn:
        conn.finish_sending()
        client.expect_end()
        client.send(b"input after the end of output")
        conn.expect(b"input after the end of output")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_end_without_close_notify_is_no_end_of_input(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    proxy = serve()
    with connect(proxy, context(authority, version=version)) as client:
        client.send(b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        request = own_engine.head()
        request.conn.expect(b"half")
        client.close()
        request.conn.expect_gone()
    # The next request is not harmed.
    with connect(proxy, context(authority, version=version)) as client:
        ping_passes(client, own_engine)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_response_that_is_cut_has_no_close_notify(
    serve: Serve, own_engine: Engine, authority: Authority, version: ssl.TLSVersion
) -> None:
    proxy = serve()
    with connect(proxy, context(authority, version=version)) as client:
        client.get("/events", version="1.0")
        conn = own_engine.request().conn
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        client.read_until(b"half")
        conn.close()
        with pytest.raises(WireError):
            client.expect_end()


def test_a_client_that_leaves_ends_a_stream(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    proxy = serve()
    for leave in (Client.finish_sending, Client.close):
        client = connect(proxy, context(authority))
        client.get("/containers/x/logs?follow=1")
        conn = own_engine.request().conn
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nline\r\n")
        client.read_until(b"line")
        leave(client)
        conn.expect_gone()
        client.close()
        conn.close()


# what is refused


def test_renegotiation_is_refused(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    proxy = serve()
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-tls1_2", "-CAfile", authority.path],
        input=b"R\n", capture_output=True, timeout=20, check=False,
    )
    assert b"RENEGOTIATING" in done.stderr
    assert b"no renegotiation" in done.stderr, done.stderr


def test_old_versions_are_refused(serve: Serve, authority: Authority) -> None:
    proxy = serve()
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        input=b"", capture_output=True, timeout=20, check=False,
    )
    assert b"protocol version" in done.stderr
    proxy.wait_log(lambda line: "TLS 1.1 or older" in line)


def test_protocols(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    proxy = serve()
    for alpn in (["http/1.1"], ["h2", "http/1.1"]):
        with connect(proxy, context(authority, alpn=alpn)) as client:
            assert client.sock.tls.selected_alpn_protocol() == "http/1.1"
            ping_passes(client, own_engine)
    assert "no application protocol" in is_refused(proxy, context(authority, alpn=["h2"]))
    proxy.wait_log(lambda line: "HTTP/2 is not spoken" in line)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_plain_http_gets_a_clear_response(serve: Serve, own_engine: Engine, method: str) -> None:
    proxy = serve()
    with proxy.connect() as client:
        client.send(f"{method} /_ping HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = client.response()
        assert response.status == 400
        assert "this port speaks TLS" in response.message()
        client.expect_end()
    assert own_engine.received() == b""
    proxy.wait_log(lambda line: "plain_http" in line or "speaks TLS" in line)


def test_a_half_handshake_ends(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    proxy = serve()
    hello = TlsSocket(socket.socket(), context(authority))
    with pytest.raises(ssl.SSLWantReadError):
        hello.tls.do_handshake()
    first = hello.outgoing.read()
    for count in (0, 1, 5, len(first) - 1, len(first)):
        with proxy.connect() as client:
            client.send(first[:count])
            client.finish_sending()
            client.expect_gone()
    with connect(proxy, context(authority)) as client:
        ping_passes(client, own_engine)


def test_a_handshake_has_a_deadline(serve: Serve, own_engine: Engine) -> None:
    proxy = serve()
    with proxy.connect() as client:
        before = time.monotonic()
        client.expect_gone()
        assert 9 < time.monotonic() - before < 15
    proxy.wait_log(lambda line: "did not complete the handshake in time" in line)


def test_handshakes_have_a_ceiling_and_others_are_served(
    serve: Serve, own_engine: Engine, authority: Authority, tmp_path: Path
) -> None:
    """The oldest one makes room: who comes with a handshake that goes on is served."""
    port = free_port()
    proxy = serve(more=f"- {{address: 'tcp://127.0.0.1:{port}', policy: open}}\n", env={"WORKERS": "1"})
    idle = [proxy.connect() for _ in range(600)]
    try:
        with connect(proxy, context(authority)) as client:
            ping_passes(client, own_engine)
        with Client(socket.create_connection(("127.0.0.1", port))) as client:
            ping_passes(client, own_engine)
        proxy.wait_log(lambda line: "too many handshakes are in progress" in line)
        idle[0].expect_gone()
        idle[-1].expect_silence()
    finally:
        for client in idle:
            client.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("more, args", [("limits: {connections: 1}\n", []), ("", ["--max-connections", "1"])])
def test_a_connection_too_many_gets_an_alert(
    serve: Serve, own_engine: Engine, authority: Authority, more: str, args: list[str], version: ssl.TLSVersion
) -> None:
    """It could not read a 429: nobody has its keys yet, and a handshake for each would be the attack."""
    proxy = serve("", more=more, args=args)
    settings = context(authority, version=version)
    with eventually(lambda: admitted(proxy, settings), "the fixture's connection to be gone") as first:
        ping_passes(first, own_engine)
        assert "alert internal error" in is_refused(proxy, settings)
        with proxy.connect() as bare:
            bare.expect(b"\x15\x03\x03\x00\x02\x02\x50")
            bare.expect_end()
        ping_passes(first, own_engine)
    proxy.wait_log(lambda line: "limit 'connections: 1'" in line or "(--max-connections)" in line)
    with eventually(lambda: admitted(proxy, settings), "the connection to be free") as client:
        ping_passes(client, own_engine)


def admitted(proxy: Proxy, settings: ssl.SSLContext) -> Client | None:
    try:
        return connect(proxy, settings)
    except (ssl.SSLError, ConnectionError):
        return None


def test_a_name_chooses_the_certificate(
    start: Callable[..., Proxy], own_engine: Engine, authority: Authority, tmp_path: Path
) -> None:
    port = free_port()
    pairs = [
        authority.server(file, names=[x509.DNSName(name)])
        for file, name in (("first", "localhost"), ("second", "proxy.example.org"), ("third", "*.ci.example.org"))
    ]
    path = tmp_path / "proxy.yaml"
    certs = ", ".join(f"{{cert: {Path(pair.path).name}, key: {Path(pair.key).name}}}" for pair in pairs)
    path.write_text(f"listeners: [{{address: 'tls://127.0.0.1:{port}', policy: open, tls: {{certs: [{certs}]}}}}]\n")
    proxy = start("-c", str(path), port=port)
    for name, pair in (("localhost", pairs[0]), ("proxy.example.org", pairs[1]), ("a.ci.example.org", pairs[2])):
        with connect(proxy, context(authority), name=name) as client:
            assert client.sock.tls.getpeercert(True) == ssl.PEM_cert_to_DER_cert(Path(pair.path).read_text())
            ping_passes(client, own_engine)


# settings


def test_the_environment_is_enough(
    start: Callable[..., Proxy], own_engine: Engine, authority: Authority
) -> None:
    server = authority.server()
    env = {"TLS_CERT": server.path, "TLS_KEY": server.key}
    proxy = start(env=env)
    with connect(proxy, context(authority)) as client:
        ping_passes(client, own_engine)
    proxy = start(env=env | {"TLS_CLIENT_CA": authority.path})
    assert is_refused(proxy, context(authority))
    with connect(proxy, context(authority, authority.make("ops", "ops"))) as client:
        ping_passes(client, own_engine)


@pytest.mark.parametrize(
    "env, wanted",
    [
        ({"TLS_CERT": "S"}, "TLS_CERT is set without TLS_KEY"),
        ({"TLS_KEY": "K"}, "TLS_KEY is set without TLS_CERT"),
        ({"TLS_CLIENT_CA": "A"}, "TLS_CLIENT_CA is set without TLS_CERT"),
        ({"TLS_CERT": "S", "TLS_KEY": "K", "LISTEN": "tcp://127.0.0.1:1"}, "TLS_CERT has no effect"),
        ({"TLS_CERT": "/nowhere", "TLS_KEY": "K"}, "TLS_CERT: '/nowhere' cannot be read: No such file"),
        ({"TLS_CERT": "S", "TLS_KEY": "/"}, "TLS_KEY: '/' cannot be read: it is a directory"),
        ({"TLS_CERT": "K", "TLS_KEY": "K"}, "has no certificate in PEM"),
        ({"TLS_CERT": "S", "TLS_KEY": "S"}, "has no private key in PEM"),
        ({"TLS_CERT": "S", "TLS_KEY": "O"}, "is not the key of the first certificate"),
        ({"TLS_CERT": "S", "TLS_KEY": "L"}, "has a passphrase"),
        ({"TLS_CERT": "S", "TLS_KEY": "K", "TLS_CLIENT_CA": "K"}, "TLS_CLIENT_CA: "),
        ({"TLS_CERT": "D", "TLS_KEY": "K"}, "has a damaged certificate"),
        ({"LISTEN": "tls://127.0.0.1:1"}, "tls://127.0.0.1:1 needs a certificate and its key"),
        ({"TLS_CLIENTCA": "A"}, "TLS_CLIENT_CA"),
        ({"TLS_CA_CERT": "A"}, "TLS_CLIENT_CA"),
    ],
)
def test_settings_of_the_environment_that_cannot_be(
    authority: Authority, tmp_path: Path, env: dict[str, str], wanted: str
) -> None:
    server, other = authority.server(), authority.server("other")
    locked, damaged = tmp_path / "locked.pem", tmp_path / "damaged.pem"
    subprocess.run(["openssl", "pkey", "-in", server.key, "-out", locked, "-aes256", "-passout", "pass:x"], check=True)
    damaged.write_text(Path(server.path).read_text() + "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n")
    files = {"S": server.path, "K": server.key, "O": other.key, "A": authority.path, "L": str(locked), "D": str(damaged)}
    done = run_binary("check", **{name: files.get(value, value) for name, value in env.items()})
    assert done.returncode == 2
    assert wanted in done.stderr


@pytest.mark.parametrize(
    "address, tls, wanted",
    [
        ("tcp://127.0.0.1:1", "{cert: S, key: K}", "'tls' is for addresses tls://HOST:PORT and fd://NAME; this one is"),
        ("tls://127.0.0.1:1", "{cert: S}", "'key' is missing"),
        ("tls://127.0.0.1:1", "{client_ca: A}", "'cert' is missing"),
        ("tls://127.0.0.1:1", "{certs: [{cert: S}]}", "'key' is missing"),
        ("tls://127.0.0.1:1", "{certs: [{cert: S, key: K}], cert: S, key: K}", "'cert' and 'certs' are both given"),
        ("tls://127.0.0.1:1", "{cert: S, key: K, client_cert: required}", "'client_cert' needs a 'client_ca'"),
        ("tls://127.0.0.1:1", "{cert: S, key: K, crl: A}", "'crl' needs a 'client_ca'"),
        ("tls://127.0.0.1:1", "{cert: S, key: K, client_ca: A, client_cert: maybe}", "'client_cert' is required or optional; found 'maybe'"),
        ("tls://127.0.0.1:1", "{cert: S, key: K, client_ca: A, crl: A}", "crl: "),
        ("tls://127.0.0.1:1", "{cert: S, key: K, client_ca: /nowhere}", "client_ca: '/nowhere' cannot be read"),
        ("tls://127.0.0.1:1", "{cert: S, key: K, ciphers: x}", "ciphers"),
    ],
)
def test_settings_of_the_file_that_cannot_be(
    authority: Authority, tmp_path: Path, address: str, tls: str, wanted: str
) -> None:
    server = authority.server()
    for letter, path in (("S", server.path), ("K", server.key), ("A", authority.path)):
        tls = tls.replace(f": {letter}", f": {path}")
    done = check_config(tmp_path, f"listeners:\n- address: {address}\n  tls: {tls}\n")
    assert done.returncode == 2
    assert wanted in done.stderr
    assert "checked.yaml:" in done.stderr


def test_what_is_probably_a_mistake_is_a_warning(authority: Authority, tmp_path: Path) -> None:
    old = authority.server("old", ends=-DAY / 2)
    os.chmod(old.key, 0o644)
    done = run_binary("check", TLS_CERT=old.path, TLS_KEY=old.key)
    assert done.returncode == 0
    assert f"TLS_CERT: '{old.path}' has expired" in done.stderr + done.stdout
    assert f"TLS_KEY: '{old.key}' can be read by every user (mode 0644)" in done.stderr + done.stdout


def test_check_says_what_a_listener_presents_and_asks_for(authority: Authority, tmp_path: Path) -> None:
    server = authority.server()
    done = check_config(
        tmp_path,
        f"listeners: [{{address: 'tls://127.0.0.1:1', tls: {{cert: {server.path}, key: {server.key}, client_ca: {authority.path}, client_cert: optional}}}}]\n",
    )
    assert done.returncode == 0
    ends = server.cert.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"certificate CN = server, until {ends}" in done.stdout
    assert f"clients may present a certificate of {authority.path}" in done.stdout


# cost


@pytest.mark.skipif(sanitized(), reason="a sanitizer has its own memory")
def test_an_idle_connection_keeps_little_memory(serve: Serve, own_engine: Engine, authority: Authority) -> None:
    proxy = serve(asks(authority), env={"WORKERS": "1"})
    settings = context(authority, authority.make("ops", "ops", [x509.DNSName("ops.example.org")]))

    def opened(count: int) -> list[Client]:
        clients = []
        for _ in range(count):
            client = connect(proxy, settings)
            ping_passes(client, own_engine)
            clients.append(client)
        return clients

    clients = opened(50)
    before = proxy.resident_kib()
    clients += opened(1000)
    used = (proxy.resident_kib() - before) / 1000
    for client in clients:
        client.close()
    assert used < 24, f"{used:.1f} KiB for each connection"


@pytest.mark.parametrize("asked", ["", "optional", "required"])
def test_the_health_check_speaks_tls(serve: Serve, own_engine: Engine, authority: Authority, asked: str) -> None:
    """A listener that demands a certificate is well if it says so."""
    proxy = serve(asks(authority, f", client_cert: {asked}") if asked else "")
    assert run_binary("healthcheck", f"tls://127.0.0.1:{proxy.port}").returncode == 0
    done = run_binary("healthcheck", f"tcp://127.0.0.1:{proxy.port}")
    assert done.returncode == 1
    own_engine.stop()
    done = run_binary("healthcheck", f"tls://127.0.0.1:{proxy.port}")
    assert done.returncode == (0 if asked == "required" else 1)
    own_engine.start()


def test_learn_prints_what_a_listener_of_tls_needs(start, own_engine: Engine, authority: Authority, tmp_path: Path) -> None:
    """The printed file loads, and asks its clients for the same."""
    server, port = authority.server(), free_port()
    source, learned = tmp_path / "proxy.yaml", tmp_path / "learned.yaml"
    source.write_text(
        f"listeners:\n- {{address: 'tls://127.0.0.1:{port}', policy: open, "
        f"tls: {{cert: {server.path}, key: {server.key}, client_ca: {authority.path}, client_cert: optional}}}}\n")
    prefix = ["sh", "-c", 'out=$1 && shift && exec "$@" >"$out"', "sh", str(learned)]
    proxy = start("learn", "-c", str(source), port=port, prefix=prefix)
    with connect(proxy, context(authority)) as client:
        ping_passes(client, own_engine)
    proxy.terminate()
    assert proxy.wait_exit() == 0
    before, after = (run_binary("check", "-c", str(path)) for path in (source, learned))
    assert after.returncode == 0, learned.read_text() + after.stderr
    shown = [line for line in before.stdout.splitlines() if "certificate" in line]
    assert shown and [line for line in after.stdout.splitlines() if "certificate" in line] == shown
