"""learn and observe: from what clients ask for to a policy that allows it and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable

import pytest
import yaml
from machine import free_port
from wire import Client, Engine, Proxy, Request, run_binary

# What Traefik's docker provider asks for.
TRAEFIK = [
    "HEAD /_ping",
    "GET /version",
    "GET /v1.41/containers/json?all=1",
    "GET /v1.41/containers/0123abcd/json",
    "GET /v1.41/events?filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D",
]
NOT_TRAEFIK = ["POST /v1.41/containers/create", "GET /containers/0123abcd/logs", "GET /secrets"]

Ask = Callable[[Proxy, str], int]


def ask(proxy: Proxy, request: str) -> int:
    method, target = request.split()
    with proxy.connect() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode())
        return client.response(method).status


@pytest.fixture
def learn(start, own_engine: Engine, tmp_path) -> Callable[..., str]:
    """learn(requests, *arguments) → what is printed when the learning proxy is stopped."""

    def run(
        requests: list[str], *arguments: str, env: dict[str, str] | None = None, **options
    ) -> str:
        # The program gives up its privileges; the file is opened before that.
        out = tmp_path / "learned.yaml"
        prefix = ["sh", "-c", 'out=$1 && shift && exec "$@" >"$out"', "sh", str(out)]
        proxy = start(*arguments, env=env, prefix=prefix, **options)
        with own_engine.responding():
            for request in requests:
                assert ask(proxy, request) == 200
        proxy.terminate()
        assert proxy.wait_exit() == 0
        return out.read_text()

    return run


def test_traefik_like_traffic_becomes_a_policy(learn, start, own_engine: Engine, tmp_path) -> None:
    """The whole way of a new user: learn, read, save, use."""
    printed = learn(TRAEFIK, "learn")
    file = tmp_path / "policy.yaml"
    file.write_text(printed)
    checked = run_binary("check", "-c", str(file))
    assert checked.returncode == 0, checked.stderr

    document = yaml.safe_load(printed)
    assert [sorted(rule["allow"]) for rule in document["policies"]["learned"]["rules"]] == [
        ["container.inspect", "container.list", "system.events", "system.ping", "system.version"]
    ]
    port = int(document["listeners"][0]["address"].rpartition(":")[2])
    proxy = start("-c", str(file), port=port)
    with own_engine.responding():
        assert [ask(proxy, request) for request in TRAEFIK] == [200] * len(TRAEFIK)
        assert [ask(proxy, request) for request in NOT_TRAEFIK] == [403] * len(NOT_TRAEFIK)


def test_a_preset_that_fits_is_named(learn) -> None:
    printed = learn(TRAEFIK, "learn")
    assert "The preset 'traefik' allows all of these operations. POLICY=traefik" in printed


def test_the_narrowest_preset_is_named(learn) -> None:
    """compose would do as well, and gives away the host."""
    printed = learn(["GET /_ping", "GET /containers/json?all=true"], "learn")
    assert "POLICY=compose" not in printed
    assert "POLICY=open" not in printed


def test_no_preset_where_none_fits(learn) -> None:
    printed = learn(["GET /containers/x/attach/ws", "GET /_ping"], "learn")
    assert "No preset allows all of these operations" in printed
    assert "container.attach_ws" in yaml.safe_load(printed)["policies"]["learned"]["rules"][0]["allow"]


def test_what_the_catalogue_does_not_know_becomes_a_path_rule(learn, tmp_path) -> None:
    """A plugin's or a later Engine's endpoint: the rule fits that path alone."""
    printed = learn(["GET /v1.41/new.thing/it's(a)?q=1", "GET /_ping"], "learn")
    file = tmp_path / "policy.yaml"
    file.write_text(printed)

    def verdict(request: str) -> str:
        return run_binary("explain", "-c", str(file), "--policy", "learned", request).stdout.split()[0]

    assert verdict("GET /new.thing/it's(a)") == "allow"
    assert verdict("GET /v1.30/new.thing/it's(a)") == "allow"
    assert verdict("POST /new.thing/it's(a)") == "deny"
    assert verdict("GET /newXthing/it's(a)") == "deny"
    assert verdict("GET /new.thing/it's(a)b") == "deny"


def test_a_stray_404_becomes_no_rule(start, own_engine: Engine, tmp_path) -> None:
    """A scraper that looks for /metrics here must not be allowed for good."""
    out = tmp_path / "learned.yaml"
    proxy = start("learn", prefix=["sh", "-c", f'exec "$@" >{out}', "sh"])

    def respond(request: Request) -> None:
        request.respond(404 if request.target == "/metrics" else 200, b"{}")

    with own_engine.responding(respond):
        assert [ask(proxy, f"GET {path}") for path in ("/_ping", "/metrics", "/new")] == [200, 404, 200]
    proxy.terminate()
    assert proxy.wait_exit() == 0
    printed = out.read_text()
    assert "GET /metrics, no operation of the Docker API, which the Engine never served" in printed
    rules = yaml.safe_load(printed)["policies"]["learned"]["rules"]
    assert [rule["allow"] for rule in rules] == [["system.ping"], {"methods": ["GET"], "path": "/new"}]


def test_nothing_asked_nothing_allowed(learn) -> None:
    assert "No request was recorded" in learn([], "learn")


def test_health_is_not_learnt(learn) -> None:
    """It has a local response, and needs no rule."""
    assert "health" not in learn(["GET /health", "GET /_ping"], "learn")


def test_learning_says_what_is_new(start, own_engine: Engine) -> None:
    """Progress: each operation of each client once, as it is first seen."""
    proxy = start("learn")
    with own_engine.responding():
        for _ in range(3):
            ask(proxy, "GET /images/json")
    proxy.wait_log(lambda line: "image.list" in line and "127.0.0.1" in line and "learn" in line)
    assert sum("learn" in line and "image.list" in line for line in proxy.lines) == 1


def test_observe_prints_what_would_have_been_denied(learn, tmp_path) -> None:
    """A policy on trial: everything is let through, and the end says what it lacks."""
    file = tmp_path / "config.yaml"
    file.write_text("policies:\n  trial:\n    mode: observe\n    rules: [{allow: [system.ping]}]\n")
    os.chmod(file, 0o644)
    printed = learn(["GET /_ping", "GET /images/json"], "-c", str(file), "--policy", "trial")
    rules = yaml.safe_load(printed)["policies"]["learned"]["rules"]
    assert sorted(rules[0]["allow"]) == ["image.list", "system.ping"]


def test_a_listener_that_enforces_is_not_opened_by_what_another_observed(
    learn, folder: str, tmp_path
) -> None:
    """What is printed can be used as it is: it must not give one listener's rights to the next."""
    port = free_port()
    file = tmp_path / "config.yaml"
    file.write_text(
        "policies:\n  trial: {mode: observe}\n"
        f"listeners:\n  - {{address: 'tcp://127.0.0.1:{port}', policy: trial}}\n"
        f"  - {{address: 'unix://{folder}/enforces.sock', policy: deny}}\n"
    )
    printed = learn(["GET /images/json"], "-c", str(file), port=port)
    listeners = yaml.safe_load(printed)["listeners"]
    assert [one["address"] for one in listeners] == [f"tcp://127.0.0.1:{port}"]
    assert "omitted" in printed


HERE, THERE, ELSEWHERE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
KEY = "correct-horse-battery-staple"


def ask_from(port: int, source: str, request: str, *fields: str) -> int:
    method, target = request.split()
    sock = socket.create_connection((HERE, port), 10, (source, 0))
    with Client(sock) as client:
        client.send(
            "".join(f"{line}\r\n" for line in
                    (f"{method} {target} HTTP/1.1", "Host: docker", "Content-Length: 0", *fields, "")).encode())
        return client.response(method).status


def test_each_client_gets_what_it_asked_for(start, own_engine: Engine, tmp_path) -> None:
    """Known by name, by address or by nothing: the file that is printed gives each its own."""
    asked = {
        (THERE, f"X-Api-Key: {KEY}"): ["GET /volumes", "GET /_ping"],
        (HERE, "X-Nothing: 0"): ["GET /containers/json", "POST /containers/web/restart"],
        (THERE, "X-Nothing: 0"): ["GET /images/json"],
    }
    config = tmp_path / "config.yaml"
    out = tmp_path / "learned.yaml"
    tmp_path.chmod(0o755)
    port = free_port()
    config.write_text(
        f"listeners: [{{address: 'tcp://{HERE}:{port}', name: main}}]\n"
        f"clients:\n- {{name: ci, match: {{key_sha256: {hashlib.sha256(KEY.encode()).hexdigest()}, listener: main}}, policy: deny}}\n"
    )
    prefix = ["sh", "-c", 'out=$1 && shift && exec "$@" >"$out"', "sh", str(out)]
    proxy = start("learn", "-c", str(config), prefix=prefix, port=port)
    with own_engine.responding():
        for (source, field), requests in asked.items():
            assert [ask_from(port, source, request, field) for request in requests] == [200] * len(requests)
    proxy.wait_log(lambda line: "learned: client 'ci' asks for volume.list" in line)
    proxy.terminate()
    assert proxy.wait_exit() == 0

    checked = run_binary("check", "-c", str(out))
    assert (checked.returncode, checked.stderr) == (0, ""), out.read_text()
    start("-c", str(out), port=port)
    every = [request for requests in asked.values() for request in requests]
    with own_engine.responding():
        for (source, field), requests in asked.items():
            for request in every:
                allowed = ask_from(port, source, request, field) == 200
                assert allowed == (request in requests), (source, field, request)
        for request in every:
            assert ask_from(port, ELSEWHERE, request) in (401, 403)


def test_a_client_that_is_observed_opens_nothing_for_others(start, own_engine: Engine, tmp_path) -> None:
    config = tmp_path / "config.yaml"
    out = tmp_path / "learned.yaml"
    tmp_path.chmod(0o755)
    port = free_port()
    config.write_text(
        f"listeners: [{{address: 'tcp://{HERE}:{port}', policy: read-only}}]\n"
        "policies: {trial: {mode: observe, rules: []}}\n"
        f"clients: [{{name: ci, match: {{cidr: {THERE}}}, policy: trial}}]\n"
    )
    prefix = ["sh", "-c", 'out=$1 && shift && exec "$@" >"$out"', "sh", str(out)]
    proxy = start("-c", str(config), prefix=prefix, port=port)
    with own_engine.responding():
        assert ask_from(port, THERE, "GET /volumes") == 200
        assert ask_from(port, HERE, "GET /images/json") == 200
        assert ask_from(port, HERE, "POST /containers/web/restart") == 403
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert run_binary("check", "-c", str(out)).returncode == 0, out.read_text()
    document = yaml.safe_load(out.read_text())
    assert [(one["policy"], one["name"]) for one in document["listeners"]] == [("deny", "listener-1")]
    assert document["clients"] == [{"name": "ci", "match": {"cidr": [THERE]}, "policy": "client-1"}]
    assert document["policies"] == {"client-1": {"rules": [{"allow": ["volume.list"]}]}}


def test_what_is_root_on_the_host_is_marked(learn) -> None:
    """A policy that is learnt is read before it is used: the lines to look at stand out."""
    printed = learn(["GET /images/json", "POST /containers/create"], "learn")
    marked = [line.split()[1] for line in printed.splitlines() if "root on the host" in line]
    assert marked == ["container.create"]


# What bodies ask for

JSON = ("Content-Type: application/json",)
CREATE = "/v1.41/containers/create"
BODIES = [
    (CREATE, {"Image": "busybox", "HostConfig": {"Binds": ["/srv/ci:/a", "/srv/it's:/b"]}}),
    (CREATE, {"Image": "busybox", "HostConfig": {"Binds": ["/srv/ci:/a"], "NetworkMode": "ci"}}),
    (CREATE, {"Image": "ghcr.io/o/a:1", "HostConfig": {"CapAdd": ["NET_ADMIN"], "Privileged": False}}),
    ("/v1.41/containers/a/exec", {"Cmd": ["ls"], "Privileged": True}),
    ("/v1.41/build?t=ci%2Fapp", None),
]
OTHERS = [
    (CREATE, {"Image": "alpine"}),
    (CREATE, {"Image": "busybox", "HostConfig": {"Binds": ["/srv/ci/x:/a"]}}),
    (CREATE, {"Image": "busybox", "HostConfig": {"Privileged": True}}),
    ("/v1.41/build?t=busybox", None),
]


def send(proxy: Proxy, target: str, body: dict | None) -> int:
    with proxy.connect() as client:
        if body is None:
            client.post(target, b"tar", ("Content-Type: application/x-tar",))
        else:
            client.post(target, json.dumps(body).encode(), JSON)
        return client.response().status


def test_bodies_become_blocks(start, own_engine: Engine, tmp_path) -> None:
    """What was asked for is allowed by the policy that is printed, and nothing else."""
    out = tmp_path / "learned.yaml"
    prefix = ["sh", "-c", 'out=$1 && shift && exec "$@" >"$out"', "sh", str(out)]
    proxy = start("learn", prefix=prefix)
    with own_engine.responding():
        for target, body in BODIES:
            assert send(proxy, target, body) == 200
    assert "deny" not in proxy.log()
    proxy.terminate()
    assert proxy.wait_exit() == 0

    learned = yaml.safe_load(out.read_text())["policies"]["learned"]
    assert learned["create"] == {
        "images": ["busybox", "ghcr.io/o/a:1"],
        "bind_sources": ["/srv/ci", "/srv/it's"],
        "bind_below": False,
        "writable_binds": True,
        "capabilities": ["NET_ADMIN"],
        "networks": ["bridge", "ci"],
    }
    assert learned["exec"] == {"privileged": True, "attach": False}
    assert learned["build"] == {"tags": ["ci/app"]}
    port = int(yaml.safe_load(out.read_text())["listeners"][0]["address"].rpartition(":")[2])
    proxy = start("-c", str(out), port=port)
    with own_engine.responding():
        assert [send(proxy, *request) for request in BODIES] == [200] * len(BODIES)
        assert [send(proxy, *request) for request in OTHERS] == [403] * len(OTHERS)
