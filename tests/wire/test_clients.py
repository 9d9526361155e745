"""Clients: who is calling, and by which policy each is judged."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port, has_ipv6
from wire import Client, Engine, Proxy, eventually, ping_passes, run_binary

Start = Callable[..., Proxy]
KEY = "correct-horse-battery-staple"
HASH = hashlib.sha256(KEY.encode()).hexdigest()


@pytest.fixture
def serve(start: Start, tmp_path: Path) -> Callable[..., Proxy]:
    """serve(clients) → a proxy whose file has these clients, and a listener that denies all."""
    os.chmod(tmp_path, 0o755)

    def serve_file(clients: str, policy: str = "deny", more: str = "", **options) -> Proxy:
        port = free_port()
        path = tmp_path / "proxy.yaml"
        path.write_text(
            f"listeners:\n- {{address: 'tcp://127.0.0.1:{port}', name: main, policy: {policy}}}\n"
            f"{more}clients:\n{clients}"
        )
        return start("-c", str(path), port=port, **options)

    return serve_file


def connect_unix(path: Path) -> Client:
    """The first listener may serve before the one at `path` is there."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    eventually(lambda: sock.connect_ex(str(path)) == 0, f"a listener at {path}")
    return Client(sock)


def is_denied(client: Client, path: str = "/containers/json", headers: tuple[str, ...] = ()) -> str:
    client.get(path, headers=headers)
    response = client.response()
    assert response.status == 403, response
    return response.message()


def test_the_first_entry_whose_conditions_hold_is_the_client(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = serve(
        "- {name: far, match: {cidr: 192.0.2.0/24}, policy: open}\n"
        "- {name: near, match: {cidr: [198.51.100.1, 127.0.0.0/8], listener: main}, policy: read-only}\n"
        "- {name: late, match: {cidr: 127.0.0.1}, policy: open}\n"
    )
    with proxy.connect() as client:
        ping_passes(client, own_engine)
        client.post("/containers/web/stop")
        assert "policy 'read-only'" in client.response().message()


def test_who_is_no_client_is_judged_by_the_policy_of_the_listener(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = serve("- {name: far, match: {cidr: 192.0.2.0/24}, policy: open}\n")
    with proxy.connect() as client:
        assert "policy 'deny'" in is_denied(client)


def test_a_unix_peer_is_known_by_user_and_group(
    serve: Callable[..., Proxy], own_engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "api.sock"
    proxy = serve(
        f"- {{name: root, match: {{uid: 4242}}, policy: open}}\n"
        f"- {{name: me, match: {{uid: {os.getuid()}, gid: [4242, {os.getgid()}]}}, policy: read-only}}\n"
        f"- {{name: rest, match: {{uid: {os.getuid()}}}, policy: open}}\n"
    , more=f"- {{address: 'unix://{path}', policy: deny}}\n")
    with connect_unix(path) as client:
        ping_passes(client, own_engine)
        client.post("/containers/web/stop")
        assert "policy 'read-only'" in client.response().message()
    with proxy.connect() as client:
        assert "policy 'deny'" in is_denied(client)


@pytest.mark.parametrize("field", [f"X-Api-Key: {KEY}", f"Authorization: Bearer {KEY}", f"authorization: bearer  {KEY}"])
@pytest.mark.parametrize("value", [HASH, HASH.upper(),
    "00112233445566778899aabbccddeeff:"
    + hashlib.sha256(bytes.fromhex("00112233445566778899aabbccddeeff") + KEY.encode()).hexdigest()])
def test_a_key_makes_a_client_and_stays_here(
    serve: Callable[..., Proxy], own_engine: Engine, field: str, value: str
) -> None:
    proxy = serve(f"- {{name: ci, match: {{key_sha256: '{value}'}}, policy: read-only}}\n", env={"API_KEY": "upstream-key"})
    with proxy.connect() as client:
        client.get("/containers/json", headers=[field])
        request = own_engine.request()
        assert request.header("authorization") is None
        assert request.headers.all("x-api-key") == ["upstream-key"]
        request.respond(200, b"[]")
        assert client.response().status == 200
    assert KEY not in proxy.log()


def test_a_wrong_key_and_a_missing_key_get_a_401(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = serve(f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: open}}\n")
    for headers in ([f"X-Api-Key: {KEY}x"], [f"X-Api-Key: {KEY}", "Authorization: Bearer other"], []):
        with proxy.connect() as client:
            client.get("/containers/json", headers=headers)
            response = client.response()
            assert response.status == 401
            assert response.header("WWW-Authenticate") == 'Bearer realm="docker-socket-proxy"'
    assert own_engine.received() == b""


@pytest.mark.parametrize("line", [f"{KEY}==:ci", f"{KEY}=={':' + KEY}", f"{KEY}:", f"{KEY} = ci", f"ci:{KEY} {KEY}"])
def test_a_mistake_in_the_file_of_keys_shows_no_key(tmp_path: Path, line: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{line}\n")
    done = run_binary("check", CLIENT_KEYS_FILE=str(keys))
    assert done.returncode == 2
    assert f"{keys}:1: " in done.stderr
    assert KEY not in done.stderr


def test_the_file_of_keys_is_enough(start: Start, own_engine: Engine, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    keys = tmp_path / "keys"
    keys.write_text(f"# of the team\nci:{KEY}\n\nops:{hashlib.sha256(b'another-long-key').hexdigest()}\n")
    proxy = start(env={"CLIENT_KEYS_FILE": str(keys)})
    with proxy.connect() as client:
        client.get("/containers/json")
        assert client.response().status == 401
        for key in (KEY, "another-long-key"):
            client.get("/containers/json", headers=[f"X-Api-Key: {key}"])
            own_engine.request().respond(200, b"[]")
            assert client.response().status == 200
        client.get("/health")
        assert client.response().status == 200


def test_the_log_says_at_the_start_who_is_known(serve: Callable[..., Proxy]) -> None:
    proxy = serve(
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: read-only}}\n"
        "- {name: near, match: {cidr: 127.0.0.1, listener: main}, policy: open}\n"
    )
    proxy.wait_log(lambda line: line.endswith(
        "2 clients, known by listener, cidr, key; the policy of the listener judges everybody else"))
    proxy.wait_log(lambda line: "notice client 'ci': policy 'read-only'" in line)
    proxy.wait_log(lambda line: line.endswith(
        "warning client 'near': policy 'open': it may do everything and is root on the host"))
    proxy.wait_log(lambda line: line.endswith("policy 'deny': only clients are served"))


def test_the_log_warns_at_the_start_where_nobody_is_served(serve: Callable[..., Proxy]) -> None:
    proxy = serve("- {name: near, match: {cidr: 127.0.0.1}, policy: deny}\n")
    proxy.wait_log(lambda line: "policy 'deny': every request is denied" in line)


def test_the_log_says_at_the_start_that_a_key_is_asked_for(start: Start, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    keys = tmp_path / "keys"
    keys.write_text(f"ci:{KEY}\n")
    proxy = start("--client-keys", str(keys))
    proxy.wait_log(lambda line: line.endswith("1 client, known by key; everybody else gets a 401"))
    proxy.wait_log(lambda line: "policy 'open': everybody who reaches this listener with a key of" in line)
    proxy.wait_log(lambda line: "every user can read them" in line)
    assert KEY not in proxy.log()


def test_a_hash_in_place_of_the_key_is_no_key(serve: Callable[..., Proxy], own_engine: Engine) -> None:
    """Whoever reads the file cannot use what is in it; the log says what the mistake was."""
    proxy = serve(f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: open}}\n")
    with proxy.connect() as client:
        assert [present(client, HASH), present(client, HASH.upper())] == [401, 401]
    line = proxy.wait_log(lambda line: "bad_key" in line and "denied: " in line or "hash of a key" in line)
    assert "it is the hash of a key, which is kept here; the client must present the key" in line
    assert HASH not in proxy.log()


def present(client: Client, key: str) -> int:
    client.get("/containers/json", headers=[f"X-Api-Key: {key}"])
    return client.response().status


def test_wrong_keys_are_slowed_down_and_right_ones_go_on(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    """Who shares an address with a guesser is not locked out; a guess that is right tells nothing."""
    other = "another-key-of-somebody-else"
    proxy = serve(
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: read-only}}\n"
        f"- {{name: ops, match: {{key_sha256: {hashlib.sha256(other.encode()).hexdigest()}}}, policy: read-only}}\n"
    )
    with own_engine.responding(), proxy.connect() as client:
        assert present(client, KEY) == 200
        assert [present(client, f"wrong-{i}") for i in range(10)] == [401] * 10
        client.get("/containers/json", headers=["X-Api-Key: wrong-again"])
        response = client.response()
        assert (response.status, response.header("Retry-After")) == (429, "1")
        assert present(client, other) == 429
        assert present(client, KEY) == 200
        eventually(lambda: present(client, other) == 200, "a second to pass")


def until(seconds: float) -> str:
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_an_entry_ends_and_its_streams_with_it(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    proxy = serve(
        f"- {{name: guest, match: {{cidr: 127.0.0.1}}, policy: open, until: {until(3)}}}\n"
        "- {name: rest, match: {cidr: 127.0.0.1}, policy: read-only}\n"
    )
    with proxy.connect() as stream, proxy.connect() as idle:
        stream.get("/events")
        own_engine.request().conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}\n")
        stream.read_until(b"{}\n")
        ping_passes(idle, own_engine)
        stream.expect_gone(timeout=10)
        ping_passes(idle, own_engine)
    for name in ("guest", "rest"):
        assert proxy.wait_log(lambda line: "path=/_ping" in line and f"identity={name}" in line)  # noqa: B023
    assert proxy.wait_log(lambda line: "path=/events" in line and "the entry of the client has ended" in line)


def test_each_client_owns_what_it_makes(serve: Callable[..., Proxy], own_engine: Engine) -> None:
    other = "another-key-of-somebody-else"
    proxy = serve(
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: own}}\n"
        f"- {{name: ops, match: {{key_sha256: {hashlib.sha256(other.encode()).hexdigest()}}}, policy: own}}\n",
        more="policies: {own: {rules: [{allow: [container.*]}], scope: {owner: true}}}\n",
    )
    with proxy.connect() as client:
        for name, key in (("ci", KEY), ("ops", other)):
            client.get("/containers/json", headers=[f"X-Api-Key: {key}"])
            request = own_engine.request()
            assert f"docker-socket-proxy.owner%3D{name}%22" in request.target
            request.respond(200, b"[]")
            assert client.response().status == 200
            client.get("/containers/web/json", headers=[f"X-Api-Key: {key}"])
            labels = {"docker-socket-proxy.owner": "ci"}
            own_engine.request().respond(200, json.dumps({"Id": "a" * 64, "Config": {"Labels": labels}}).encode())
            if name == "ci":
                own_engine.request().respond(200, b"{}")
            assert client.response().status == (200 if name == "ci" else 404)


def test_holders_of_keys_of_the_file_own_what_they_make(
    start: Start, own_engine: Engine, tmp_path: Path
) -> None:
    os.chmod(tmp_path, 0o755)
    keys = tmp_path / "keys"
    keys.write_text(f"ci:{KEY}\n")
    proxy = start(env={"CLIENT_KEYS_FILE": str(keys), "POLICY": "agent"})
    with proxy.connect() as client:
        client.get("/containers/json", headers=[f"X-Api-Key: {KEY}"])
        request = own_engine.request()
        assert "docker-socket-proxy.owner%3Dci%22" in request.target
        request.respond(200, b"[]")
        assert client.response().status == 200


# What is said


def write_file(folder: Path, text: str) -> str:
    path = folder / "proxy.yaml"
    path.write_text(text)
    return str(path)


def test_check_shows_what_each_client_may_do(tmp_path: Path) -> None:
    config = write_file(
        tmp_path,
        "listeners:\n- {address: 'tcp://127.0.0.1:1', name: main, policy: deny}\n"
        "- {address: 'unix:///run/p.sock', policy: read-only}\n"
        f"clients:\n- {{name: ci, match: {{key_sha256: {HASH}}}, policy: open}}\n"
        "- {name: office, match: {cidr: 192.0.2.0/24, listener: main}, policy: read-only, until: 2027-01-31T18:00:00Z}\n",
    )
    done = run_binary("check", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "client   ci: key, policy open",
        "client   office: listener main, cidr 192.0.2.0/24, policy read-only, until 2027-01-31T18:00:00Z",
        "  client             ci       office   (main)   (p.sock)",
        "  container          rwsR     rs       -        rs",
        "[r] reads   [-] may do nothing   (NAME): whoever is none of the clients, there",
    ):
        assert line in done.stdout.splitlines(), done.stdout
    assert HASH not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


def test_check_and_explain_say_that_a_key_is_asked_for(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"ci:{HASH}\n")
    options = ("--client-keys", str(keys), "--policy", "read-only")
    done = run_binary("check", *options)
    assert "client   ci: key, the policy of the listener\n" in done.stdout
    assert f"client   everybody else gets a 401: '{keys}' has the keys\n" in done.stdout
    assert "\n  client             (any key)\n" in done.stdout
    done = run_binary("explain", *options, "GET /containers/json")
    assert f"client: whoever shows a key of '{keys}'; everybody else gets a 401\n" in done.stdout
    done = run_binary("explain", *options, "--client", "ci", "GET /containers/json")
    assert f"client: ci ({keys}:1), known by key\n" in done.stdout


def test_explain_knows_that_an_entry_has_ended(tmp_path: Path) -> None:
    config = write_file(
        tmp_path,
        "listeners: [{address: 'tcp://127.0.0.1:1', policy: deny}]\nclients:\n"
        "- {name: old, match: {cidr: 10.0.0.0/8}, policy: open, until: 2020-01-01T00:00:00Z}\n"
        "- {name: new, match: {cidr: 10.0.0.0/8}, policy: open, until: 2099-01-01T00:00:00Z}\n")
    told = run_binary("explain", "-c", config, "GET /containers/json").stdout
    assert "but as client new: allow" in told
    assert "client old" not in told
    told = run_binary("explain", "-c", config, "--client", "old", "GET /containers/json").stdout
    assert "until: 2020-01-01T00:00:00Z, which has passed: the entry fits nobody any more\n" in told
    told = run_binary("explain", "-c", config, "--client", "new", "GET /containers/json").stdout
    assert "until: 2099-01-01T00:00:00Z\n" in told


def test_many_clients_are_some_columns_of_some_tables(tmp_path: Path) -> None:
    entries = "".join(
        f"- {{name: {'n' * 40}{i}, match: {{uid: {i}}}, policy: read-only}}\n" for i in range(25))
    done = run_binary("check", "-c", write_file(tmp_path, f"clients:\n{entries}"))
    assert done.returncode == 0
    assert "  5 more clients: explain --client NAME says" in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("  container  ")]
    assert sum(line.count("rs") for line in rows if "[" not in line) == 20
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize(("listeners", "entries", "words"), [
    ("tcp://127.0.0.1:1", "{name: a, match: {uid: 0}, policy: open}", "client 'a' fits nobody: 'uid' and"),
    ("tcp://127.0.0.1:1", "{name: a, match: {gid: 0}, policy: open}", "client 'a' fits nobody: 'uid' and"),
    ("tcp://127.0.0.1:1 unix:///run/p.sock",
     "{name: a, match: {gid: 0, listener: l0}, policy: open}", "client 'a' fits nobody: 'uid' and"),
    ("tcp://127.0.0.1:1 unix:///run/p.sock",
     "{name: a, match: {uid: 0, cidr: 127.0.0.1}, policy: open}", "client 'a' fits nobody: 'uid' and"),
    ("unix:///run/p.sock", "{name: a, match: {cidr: 127.0.0.1}, policy: open}", "client 'a' fits nobody: 'uid' and"),
    ("tcp://127.0.0.1:1 unix:///run/p.sock", "{name: a, match: {uid: 0}, policy: open}", None),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {cidr: [10.0.0.0/8, '2001:db8::/32']}, policy: open}, {name: b, match: {cidr: 10.1.0.0/16}, policy: deny}",
     "client 'b' fits nobody: 'a' comes before it and fits everybody whom it fits"),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {listener: l0}, policy: open}, {name: b, match: {listener: l0, cidr: 10.1.0.0/16}, policy: deny}",
     "client 'b' fits nobody: 'a' comes before it"),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {cidr: 10.1.0.0/16}, policy: open}, {name: b, match: {cidr: [10.1.2.3, 10.2.0.0/16]}, policy: deny}",
     None),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {cidr: 10.0.0.0/8}, policy: open, until: 2099-01-01T00:00:00Z}, {name: b, match: {cidr: 10.1.0.0/16}, policy: deny}",
     None),
    ("tcp://127.0.0.1:1", "{name: a, match: {cidr: 10.0.0.0/8}, policy: open, until: 2020-01-01T00:00:00Z}",
     "client 'a' has ended: 'until' has passed"),
    ("tcp://0.0.0.0:1", f"{{name: a, match: {{key_sha256: {HASH}}}, policy: open}}",
     "tcp://0.0.0.0:1: keys of clients are sent there as they are"),
    ("tcp://*:1", f"{{name: a, match: {{key_sha256: {HASH}}}, policy: open}}", "tcp://*:1: keys of clients"),
    ("tcp://127.8.0.1:1 tcp://[::1]:1 tcp://localhost:2", f"{{name: a, match: {{key_sha256: {HASH}}}, policy: open}}", None),
    ("tcp://*:1=open", "{name: a, match: {cidr: 10.0.0.0/8}, policy: read-only}",
     "tcp://*:1: policy 'open', though there are clients: whoever is none of them may do everything"),
    ("tcp://127.0.0.1:1=open", "{name: a, match: {cidr: 10.0.0.0/8}, policy: read-only}", None),
    ("unix:///run/p.sock", "{name: a, match: {uid: 0}, policy: open}, {name: b, match: {uid: '00'}, policy: deny}",
     "client 'b' fits nobody: 'a' comes before it"),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {container: {image: traefik}}, policy: open}, "
     "{name: b, match: {container: {image: 'docker.io/library/traefik:latest', name: /it}}, policy: deny}",
     "client 'b' fits nobody: 'a' comes before it"),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {container: {label: role}}, policy: open}, {name: b, match: {container: {label: role=x}}, policy: deny}",
     "client 'b' fits nobody: 'a' comes before it"),
    ("tcp://127.0.0.1:1",
     "{name: a, match: {container: {label: role=x}}, policy: open}, {name: b, match: {container: {label: role}}, policy: deny}",
     None),
])
def test_check_warns_of_what_is_hardly_meant(
    tmp_path: Path, listeners: str, entries: str, words: str | None
) -> None:
    made = []
    for number, address in enumerate(listeners.split()):
        address, _, policy = address.partition("=")
        made.append(f"{{address: '{address}', name: l{number}, policy: {policy or 'deny'}}}")
    done = run_binary(
        "check", "-c", write_file(tmp_path, f"listeners: [{', '.join(made)}]\nclients: [{entries}]\n"))
    assert done.returncode == 0
    assert (words in done.stderr and done.stderr.count("\n") == 1) if words else done.stderr == "", done.stderr


CREATOR = "policies: {maker: {rules: [{allow: [container.create]}], create: {labels: %s}}}\n"
MAKER = "- {name: ci, match: {uid: 7}, policy: maker}\n"


@pytest.mark.parametrize(("labels", "match", "warned"), [
    ("any", "container: {service: admin}", True),
    ("any", "container: {label: [role=admin]}", True),
    ("any", "container: {name: admin}", True),
    ("any", f"container: {{service: admin}}, key_sha256: {HASH}", False),
    ("any", "container: {label: docker-socket-proxy.policy=admin}", False),
    ("none", "container: {service: admin}", False),
    ("['!com.docker.compose.*']", "container: {service: admin, project: p}", False),
    ("['!com.docker.compose.*']", "container: {label: [com.docker.compose.x, role]}", True),
])
def test_check_warns_of_who_may_create_another_client(tmp_path: Path, labels: str, match: str, warned: bool) -> None:
    done = run_binary("check", "-c", write_file(
        tmp_path,
        "listeners: [{address: 'unix:///run/p.sock', policy: deny}, {address: 'tcp://127.0.0.1:1', policy: deny}]\n"
        + CREATOR % labels + f"clients:\n{MAKER}- {{name: admin, match: {{{match}}}, policy: portainer}}\n"))
    assert done.returncode == 0, done.stderr
    assert ("client 'admin' may do more than policy 'maker', which may create" in done.stderr) is warned, done.stderr
    assert done.stderr.count("may do more than") <= 1


@pytest.mark.parametrize("policy", ["maker", "deny"])
def test_check_does_not_warn_of_who_may_do_no_more(tmp_path: Path, policy: str) -> None:
    done = run_binary("check", "-c", write_file(
        tmp_path, "listeners: [{address: 'unix:///run/p.sock', policy: deny}]\n" + CREATOR % "any"
        + f"clients:\n{MAKER}- {{name: admin, match: {{container: {{service: admin}}}}, policy: {policy}}}\n"))
    assert "may do more than" not in done.stderr, done.stderr


def test_a_key_in_two_entries_is_an_error_if_nothing_tells_them_apart(tmp_path: Path) -> None:
    def check(first: str, second: str) -> str:
        return run_binary("check", "-c", write_file(
            tmp_path,
            f"clients:\n- {{name: a, match: {{{first}}}, policy: open}}\n- {{name: b, match: {{{second}}}, policy: open}}\n",
        )).stderr

    assert "proxy.yaml:3: the clients 'a' and 'b' have the same key" in check(f"key_sha256: {HASH}", f"key_sha256: {HASH.upper()}")
    assert "the same key" not in check(f"key_sha256: {HASH}, cidr: 10.0.0.1", f"key_sha256: {HASH}, cidr: 10.0.0.2")


def test_a_denial_says_who_it_was_and_what_was_tried(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    """All of it in the log; to a stranger no name, address or number of a client."""
    proxy = serve(
        f"- {{name: build-farm, match: {{key_sha256: {HASH}}}, policy: read-only}}\n"
        "- {name: office, match: {cidr: [192.0.2.0/24, '2001:db8::/32']}, policy: open}\n"
        "- {name: root, match: {uid: 0, listener: main}, policy: open}\n"
        f"- {{name: former, match: {{cidr: 127.0.0.1}}, policy: open, until: 2020-01-01T00:00:00Z}}\n"
    )
    with proxy.connect() as client:
        client.get("/containers/json")
        response = client.response()
        assert response.status == 401
        assert response.message().endswith(
            " The sender is none of the clients that this proxy knows by listener, uid, cidr, key:"
            " send the key of one as 'x-api-key: KEY' or 'Authorization: Bearer KEY'.")
        for secret in ("build-farm", "office", "'root'", "former", "192.0.2", "2001", HASH):
            assert secret not in response.message()
        client.post("/containers/web/stop", headers=[f"X-Api-Key: {KEY}"])
        assert client.response().message().endswith(" The sender is client 'build-farm'.")
    line = proxy.wait_log(lambda line: "tried=" in line)
    assert (
        'tried="build-farm: key; office: cidr 192.0.2.0/24 or 2001:db8::/32; root: uid 0; former: it has ended"'
        in line
    )
    proxy.wait_log(lambda line: "warning denied: container.stop" in line and "identity=build-farm" in line)
    assert HASH not in proxy.log()


def test_a_denial_at_a_unix_socket_says_which_user_it_was(
    serve: Callable[..., Proxy], own_engine: Engine, tmp_path: Path
) -> None:
    """An entry can be written from the log alone; the stranger is told how to become a client."""
    path = tmp_path / "api.sock"
    proxy = serve(
        "- {name: other, match: {uid: 65533}, policy: open}\n",
        more=f"- {{address: 'unix://{path}', policy: deny}}\n",
    )
    proxy.wait_log(lambda line: f"listening on unix://{path}" in line)
    with connect_unix(path) as client:
        assert is_denied(client).endswith(
            "that this proxy knows by uid: an entry for it in 'clients' would allow it to nobody else.")
    proxy.wait_log(lambda line: 'tried="other: uid 65533"' in line
                   and f'sender="uid {os.getuid()}, gid {os.getgid()}"' in line)


# Attackers

OTHER = "another-key-of-somebody-else"
OTHER_HASH = hashlib.sha256(OTHER.encode()).hexdigest()


def ask_once(client: Client, *fields: str, path: str = "/containers/json") -> int:
    client.get(path, headers=fields)
    return client.response().status


@pytest.mark.parametrize(("fields", "status"), [
    ([f"X-Api-Key: {KEY}", f"X-Api-Key: {KEY}"], 200),
    ([f"X-Api-Key: {KEY}", f"Authorization: Bearer {KEY}"], 200),
    ([f"X-Api-Key: {KEY}", f"X-Api-Key: {OTHER}"], 401),
    ([f"X-Api-Key: {OTHER}", f"X-Api-Key: {KEY}"], 401),
    ([f"X-Api-Key: {KEY}", f"Authorization: Bearer {OTHER}"], 401),
    ([f"X-Api-Key: {KEY}", "X-Api-Key: "], 401),
    ([f"X-Api-Key: {KEY}, {OTHER}"], 401),
    ([f"X-Api-Key: {KEY},{KEY}"], 401),
    ([f"X-Api-Key: {KEY}\r\n {OTHER}"], 400),
    ([f"X-Api-Key:\r\n {KEY}"], 400),
    (["X-Api-Key: "], 401),
    (["Authorization: Bearer"], 401),
    (["Authorization: Bearer "], 401),
    ([f"Authorization: Bearer\t{KEY}"], 401),
    ([f"Authorization: {KEY}"], 401),
    ([f"Authorization: Basic {KEY}"], 401),
    ([f"X-Api-Key: {KEY}\u00e9"], 401),
    ([f"X-Api-Key: {KEY[:-1]}"], 401),
    ([f"X-Api-Key: {KEY.upper()}"], 401),
    ([f"X-Api-Key: {HASH}"], 401),
    ([f"X_Api_Key: {KEY}"], 401),
    ([f"Cookie: X-Api-Key={KEY}"], 401),
    ([f"X-Api-Key: {KEY}", "Connection: X-Api-Key"], 200),
    ([f"X-Api-Key: {'k' * 100_000}"], 401),
])
def test_what_is_a_key_and_what_is_none(
    serve: Callable[..., Proxy], own_engine: Engine, fields: list[str], status: int
) -> None:
    """And whatever it was, the Engine does not get it."""
    proxy = serve(
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: read-only}}\n"
        f"- {{name: ops, match: {{key_sha256: {OTHER_HASH}}}, policy: read-only}}\n")
    with proxy.connect() as client:
        client.get("/containers/json", headers=fields)
        if status == 200:
            request = own_engine.request()
            assert request.header("x-api-key") is None
            assert request.header("authorization") is None
            request.respond(200, b"[]")
        assert client.response().status == status


@pytest.mark.parametrize("target", [
    f"/containers/json?x-api-key={KEY}", f"/containers/json?api_key={KEY}", f"/containers/json?Authorization=Bearer%20{KEY}"])
def test_a_key_in_the_query_is_none(serve: Callable[..., Proxy], own_engine: Engine, target: str) -> None:
    proxy = serve(f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: read-only}}\n")
    with proxy.connect() as client:
        assert ask_once(client, path=target) == 401
    assert own_engine.received() == b""


@pytest.mark.parametrize("field", ["Authorization: Basic dXNlcg==", "Authorization: Bearer\tkey", "Authorization: key"])
def test_no_authorization_reaches_the_engine_where_keys_are(
    serve: Callable[..., Proxy], own_engine: Engine, field: str
) -> None:
    proxy = serve(f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: deny}}\n", policy="read-only")
    with proxy.connect() as client:
        client.get("/containers/json", headers=[field])
        request = own_engine.request()
        assert request.header("authorization") is None
        request.respond(200, b"[]")
        assert client.response().status == 200


def test_each_request_of_a_connection_shows_its_own_key(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    """The first of pipelined requests opens nothing for the second, and a miss closes nothing."""
    proxy = serve(f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: read-only}}\n")
    with own_engine.responding(), proxy.connect() as client:
        for field in (f"X-Api-Key: {KEY}", "X-Nothing: 0", f"X-Api-Key: {KEY}x", f"X-Api-Key: {KEY}"):
            client.get("/containers/json", headers=[field])
        assert [client.response().status for _ in range(4)] == [200, 401, 401, 200]


def test_a_key_is_not_guessed_behind_another_entry(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    """Whoever is a client by address is slowed down as everybody is, and is not told of a hit."""
    proxy = serve(
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: open}}\n"
        "- {name: near, match: {cidr: 127.0.0.1}, policy: read-only}\n"
    )
    with own_engine.responding(), proxy.connect() as client:
        assert [ask_once(client, f"X-Api-Key: guess-{i}") for i in range(10)] == [200] * 10
        assert ask_once(client, "X-Api-Key: guess-again") == 429
        assert ask_once(client, f"X-Api-Key: {KEY}") == 429
        assert ask_once(client) == 200


def test_a_key_of_no_use_is_no_guess(serve: Callable[..., Proxy], own_engine: Engine) -> None:
    """An app that sends a key to whatever it talks to is not slowed down where no key is asked for."""
    proxy = serve(
        "- {name: near, match: {cidr: 127.0.0.1}, policy: read-only}\n"
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: open}}\n"
    )
    with own_engine.responding(), proxy.connect() as client:
        assert [ask_once(client, "X-Api-Key: of-another-proxy") for _ in range(15)] == [200] * 15


def test_the_key_of_the_gateway_and_those_of_clients_do_not_mix(
    serve: Callable[..., Proxy], own_engine: Engine
) -> None:
    """API_KEY is the proxy's own: it goes upstream, and makes nobody a client."""
    proxy = serve(
        f"- {{name: ci, match: {{key_sha256: {HASH}}}, policy: read-only}}\n", env={"API_KEY": "of-the-gateway"})
    with proxy.connect() as client:
        assert ask_once(client, "X-Api-Key: of-the-gateway") == 401
        client.get("/containers/json", headers=[f"Authorization: Bearer {KEY}", f"X-Api-Key: {KEY}"])
        request = own_engine.request()
        assert request.headers.all("x-api-key") == ["of-the-gateway"]
        assert request.header("authorization") is None
        request.respond(200, b"[]")
        assert client.response().status == 200


@pytest.mark.parametrize(("entry", "words"), [
    ("{name: a, match: {key_sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}, policy: open}",
     "it is the hash of an empty text"),
    ("{name: a, match: {uid: 65534}, policy: open}", "the kernel shows this number for every user and group"),
    ("{name: a, match: {gid: [0, 65534]}, policy: open}", "the kernel shows this number for every user and group"),
    ("{name: a, match: {}, policy: open}", "would fit everybody"),
    ("{name: a, match: {cidr: []}, policy: open}", "'cidr' is a list of 1 to 256 values"),
    ("{name: a, match: {container: {name: 'web*'}}, policy: open}", "give the whole name"),
    ("{name: a, match: {container: {service: ~}}, policy: open}", "give the whole name"),
    ("{name: a, match: {container: {project: 'a, b'}}, policy: open}", "give the whole name"),
    ("{name: a, match: {container: {image: 'sha256:0123'}}, policy: open}", "an id fits nothing"),
    ("{name: own, match: {cidr: 10.0.0.1}, policy: own}", "client 'own' has the name of the policy of tcp://127.0.0.1:1"),
])
def test_a_slip_is_an_error(tmp_path: Path, entry: str, words: str) -> None:
    done = run_binary("check", "-c", write_file(
        tmp_path,
        "listeners: [{address: 'tcp://127.0.0.1:1', policy: own}]\n"
        "policies: {own: {rules: [{allow: [container.*]}], scope: {owner: true}}}\n"
        f"clients: [{entry}]\n"))
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_an_address_of_ipv4_is_the_same_at_a_socket_of_ipv6(start: Start, own_engine: Engine, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    port = free_port()
    config = write_file(
        tmp_path,
        f"listeners: [{{address: 'tcp://[::]:{port}', policy: deny}}]\n"
        "clients:\n- {name: six, match: {cidr: '::1'}, policy: read-only}\n"
        "- {name: all-six, match: {cidr: '::/0'}, policy: open}\n"
        "- {name: four, match: {cidr: '::ffff:127.0.0.1'}, policy: read-only}\n")
    proxy = start("-c", config, port=port)
    with own_engine.responding():
        for host, name in (("127.0.0.1", "four"), ("::1", "six")):
            try:
                sock = socket.create_connection((host, port), 10)
            except ConnectionRefusedError:
                continue  # the socket takes IPv6 alone
            with Client(sock) as client:
                assert ask_once(client) == 200
            proxy.wait_log(lambda line: f"identity={name}" in line)  # noqa: B023
