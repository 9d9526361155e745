"""Policies on the wire: what a denied client gets, that the Engine gets nothing, and what the log
says."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from wire import Client, Engine, Proxy, run_binary, sanitized, ping_passes

Start = Callable[..., Proxy]


def write(folder: Path, text: str) -> str:
    """A configuration file the proxy can read; its path."""
    path = folder / "proxy.yaml"
    path.write_text(text)
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    os.chmod(tmp_path, 0o755)
    return lambda text: write(tmp_path, text)


# What a client gets


def test_a_policy_that_denies_is_not_called_none(
    start: Start, own_engine: Engine, file: Callable[[str], str]
) -> None:
    """Somebody wrote it, and nobody forgot it."""
    port = free_port()
    listener = f"{{address: 'tcp://127.0.0.1:{port}', policy: deny}}"
    proxy = start("-c", file(f"listeners: [{listener}]\n"), port=port)
    line = proxy.wait_log(lambda line: "'deny'" in line)
    assert line.partition(f"tcp://127.0.0.1:{port}: ")[2] == (
        "policy 'deny': every request is denied; --policy NAME, POLICY or a 'policy' of the "
        "listener allows some"
    )
    assert "no policy" not in proxy.log()


def test_a_denial_says_operation_policy_place_and_remedy(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.get("/v1.41/secrets")
        response = client.response()
        assert response.status == 403
        assert response.header("Content-Type") == "application/json"
        message = response.message()
        assert message.startswith(
            "secret.list is not allowed by policy 'read-only' (presets/read-only.yaml:"
        )
        assert message.endswith("To allow it, set ALLOW=secret.list.")
        ping_passes(client, own_engine)


def test_a_denial_names_presets_that_keep_what_is_allowed(
    start: Start, own_engine: Engine
) -> None:
    """autoheal restarts too, and has no events: Traefik would stop to follow them."""
    with start(env={"POLICY": "traefik"}).connect() as client:
        client.post("/containers/web/restart")
        message = client.response().message()
        assert "set ALLOW=container.restart, or use the preset " in message
        assert "autoheal" not in message


def test_a_denial_says_what_is_enough_to_become_root(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "traefik"}).connect() as client:
        client.post("/containers/create")
        assert client.response().message().endswith(
            "To allow it, set ALLOW=container.create; that is enough to become root on the host."
        )


def test_what_the_policy_allows_passes(start: Start, own_engine: Engine) -> None:
    with start("--policy", "read-only").connect() as client:
        client.get("/v1.41/containers/json?all=1")
        request = own_engine.request()
        assert request.line == "GET /v1.41/containers/json?all=1 HTTP/1.1"
        request.respond(200, b"[]")
        assert client.response().body == b"[]"


def test_head_gets_no_body_and_the_connection_stays(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "deny"}).connect() as client:
        client.send(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.response(method="HEAD")
        assert response.status == 403
        assert int(response.header("Content-Length")) > 0
        client.send(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response(method="HEAD").status == 403


def test_the_connection_stays_when_the_body_has_come(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.post("/containers/create", b'{"Image":"busybox"}')
        assert client.response().status == 403
        ping_passes(client, own_engine)


def test_the_connection_stays_when_the_chunks_have_come(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.send(
            b"POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n"
        )
        assert client.response().status == 403
        ping_passes(client, own_engine)


def test_a_body_that_is_still_coming_gets_its_denial_and_the_end(
    start: Start, own_engine: Engine
) -> None:
    """The client hears why before it has sent a byte of it; what it goes on to send is no request."""
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.send(
            b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nGET "
        )
        response = client.response()
        assert response.status == 403
        assert response.header("Connection") == "close"
        client.send_through(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        client.expect_end()
    assert own_engine.received() == b""


def test_an_announced_upgrade_is_denied_and_no_tunnel(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.post("/exec/0f3c/start", b"{}", headers=["Connection: Upgrade", "Upgrade: tcp"])
        assert client.response().status == 403
    assert own_engine.received() == b""


def test_pipelined_requests_are_judged_one_by_one(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.send(
            b"GET /secrets HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
            b"POST /containers/a/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert client.response().status == 403
        request = own_engine.request()
        assert request.line == "GET /_ping HTTP/1.1"
        request.respond(200, b"OK")
        assert client.response().body == b"OK"
        assert client.response().status == 403
        request = own_engine.request()
        assert request.line == "GET /version HTTP/1.1"
        request.respond(200, b"{}")
        assert client.response().body == b"{}"


def test_no_spelling_is_a_way_around_a_denial(
    start: Start, own_engine: Engine, file: Callable[[str], str]
) -> None:
    """What the Engine, or podman, would serve all the same is denied in front of `*` too."""
    config = file(
        "policy: careful\npolicies:\n  careful:\n    rules:\n"
        "      - deny: [debug.*, container.logs, container.remove, libpod.container.list, libpod.image.push,"
        " libpod.manifest.push]\n      - allow: ['*']\n"
    )
    with start("-c", config).connect() as client:
        for request in (
            "POST /debug/vars",
            "PROPFIND /debug/pprof/heap",
            "GET /containers/app/db/logs",
            "GET /v5.3.0-dev/libpod/containers/json",
            "POST /v5.0.0/libpod/images/scp/web/push",
            "POST /v10.0.0/libpod/manifests/web/push",
            "DELETE /containers/app/db/checkpoints/first",
            "GET /v1.41-x/containers/web/logs",
        ):
            client.send(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.response().status == 403, request
        ping_passes(client, own_engine)


def test_an_old_client_that_asks_for_it_keeps_its_connection(
    start: Start, own_engine: Engine
) -> None:
    with start(env={"POLICY": "read-only"}).connect() as client:
        for _ in range(2):
            client.send(b"GET /secrets HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            assert client.response().status == 403


def test_health_needs_no_policy(start: Start, own_engine: Engine) -> None:
    with start(env={"POLICY": "deny"}).connect() as client:
        client.get("/health")
        assert client.response().status == 200


# Files


def test_each_listener_has_its_policy(
    start: Start, own_engine: Engine, folder: str, file: Callable[[str], str]
) -> None:
    ports = [free_port(), free_port(), free_port()]
    config = file(
        f"""
listeners:
  - {{address: 'tcp://127.0.0.1:{ports[0]}', policy: read-only}}
  - address: tcp://127.0.0.1:{ports[1]}
    policy: ci
  - address: tcp://127.0.0.1:{ports[2]}
policies:
  ci:
    extends: [read-only]
    rules:
      - deny: [container.list]
      - allow: [container.*]
"""
    )
    proxy = start("-c", config, port=ports[0])
    statuses = {}
    for port in ports:
        proxy.port = port
        for method, path in (("GET", "/containers/json"), ("POST", "/containers/a/start"), ("GET", "/images/json")):
            with proxy.connect() as client:
                client.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
                if (port, path) in {
                    (ports[0], "/containers/json"),
                    (ports[0], "/images/json"),
                    (ports[1], "/containers/a/start"),
                    (ports[1], "/images/json"),
                }:
                    own_engine.request().respond(200, b"{}")
                statuses[ports.index(port), path] = client.response().status
    assert statuses == {
        (0, "/containers/json"): 200,
        (0, "/containers/a/start"): 403,
        (0, "/images/json"): 200,
        (1, "/containers/json"): 403,
        (1, "/containers/a/start"): 200,
        (1, "/images/json"): 200,
        (2, "/containers/json"): 403,
        (2, "/containers/a/start"): 403,
        (2, "/images/json"): 403,
    }
    for words in (
        f"tcp://127.0.0.1:{ports[0]}: policy 'read-only'",
        f"tcp://127.0.0.1:{ports[1]}: policy 'ci'",
        f"warning tcp://127.0.0.1:{ports[2]}: policy 'deny': every request is denied",
    ):
        proxy.wait_log(lambda line: words in line, what=words)  # noqa: B023


def test_a_denial_names_the_line_of_the_file(
    start: Start, own_engine: Engine, file: Callable[[str], str]
) -> None:
    config = file("policy: mine\npolicies:\n  mine:\n    rules:\n      - deny: [container.*]\n")
    with start(env={"CONFIG": config}).connect() as client:
        client.get("/containers/json")
        assert f"({config}:5, deny: [container.*])" in client.response().message()


def test_environment_counts_before_the_file_and_the_flag_before_both(
    start: Start, own_engine: Engine, file: Callable[[str], str]
) -> None:
    config = file("policy: deny\nupstream: {address: unix:///nonexistent.sock}\n")
    with start(env={"CONFIG": config, "POLICY": "open"}).connect() as client:
        client.get("/containers/json")
        own_engine.request().respond(200, b"[]")
        assert client.response().status == 200
    with start("--policy=deny", env={"CONFIG": config, "POLICY": "open"}).connect() as client:
        client.get("/containers/json")
        assert client.response().status == 403


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode,meant", [('mode: "0666"', 0o666), ('mode: "0600"', 0o600), ("", 0o660)])
def test_the_mode_of_a_socket_is_as_written(
    start: Start,
    own_engine: Engine,
    folder: str,
    file: Callable[[str], str],
    mode: str,
    meant: int,
    umask: int,
) -> None:
    """Whoever is to use the socket must be able to write to it, whatever umask this was started
    with: 0022 as nearly everywhere, 0077 as in the systemd unit."""
    port = free_port()
    path = f"{folder}/mode-{port}.sock"
    config = file(
        f"""
listeners:
  - address: tcp://127.0.0.1:{port}
  - address: unix://{path}
    {mode}
    policy: open
"""
    )
    proxy = start("-c", config, port=port, umask=umask)
    proxy.wait_log(lambda line: f"listening on unix://{path}" in line, what="about the socket")
    assert os.stat(path).st_mode & 0o777 == meant


def test_browsers_are_let_in_where_the_file_says_so(
    start: Start, own_engine: Engine, file: Callable[[str], str]
) -> None:
    ports = [free_port(), free_port()]
    config = file(
        f"policy: open\nlisteners:\n"
        f"  - {{address: 'tcp://127.0.0.1:{ports[0]}', browsers: true}}\n"
        f"  - {{address: 'tcp://127.0.0.1:{ports[1]}'}}\n"
    )
    proxy = start("-c", config, port=ports[0])
    with proxy.connect() as client:
        client.get("/_ping", headers=["Sec-Fetch-Site: cross-site"])
        own_engine.request().respond(200, b"OK")
        assert client.response().status == 200
    proxy.port = ports[1]
    with proxy.connect() as client:
        client.get("/_ping", headers=["Sec-Fetch-Site: cross-site"])
        assert client.response().status == 403


# observe


def test_observe_lets_through_and_says_so(
    start: Start, own_engine: Engine, file: Callable[[str], str]
) -> None:
    config = file(
        "policy: watch\npolicies:\n  watch:\n    mode: observe\n    extends: [read-only]\n"
    )
    proxy = start("-c", config)
    with proxy.connect() as client:
        client.post("/containers/a/kill")
        own_engine.request().respond(204)
        assert client.response().status == 204
        client.get("/_ping")
        own_engine.request().respond(200, b"OK")
        assert client.response().status == 200
    line = proxy.wait_log(lambda line: "would deny: container.kill" in line)
    assert " warning " in line and "policy 'watch'" in line
    killed = proxy.wait_log(lambda line: "method=POST" in line and "status=204" in line)
    assert "op=container.kill policy=watch would=deny" in killed
    pinged = proxy.wait_log(lambda line: "path=/_ping" in line)
    assert "would=" not in pinged


# The log


def test_a_denial_is_logged_once_a_minute_and_counted(start: Start, own_engine: Engine) -> None:
    proxy = start(env={"POLICY": "read-only", "WORKERS": "4"})
    for _ in range(5):
        with proxy.connect() as client:
            client.get("/secrets")
            assert client.response().status == 403
            client.get("/configs")
            assert client.response().status == 403
    with proxy.connect() as client:
        client.get("/health")
        client.response()
    proxy.wait_log(lambda _: sum("status=403" in line for line in proxy.lines) == 10, what="of all")
    secrets = [line for line in proxy.lines if "denied: secret.list" in line]
    configs = [line for line in proxy.lines if "denied: config.list" in line]
    assert len(secrets) == len(configs) == 1
    assert " warning " in secrets[0]
    for word in ("method=GET", "path=/secrets", "client=127.0.0.1", "denied=1", "To allow it"):
        assert word in secrets[0], secrets[0]
    proxy.terminate()
    assert proxy.wait_exit() == 0
    rest = proxy.wait_log(lambda line: "secret.list again since then" in line)
    assert rest.endswith("client=127.0.0.1 denied=4")


def test_no_method_is_so_long_that_it_hides_who_was_denied(
    start: Start, own_engine: Engine
) -> None:
    proxy = start(env={"POLICY": "deny"})
    with proxy.connect() as client:
        client.send(b"M" * 4000 + b" /secrets HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().status == 403
    line = proxy.wait_log(lambda line: "denied: " in line)
    assert line.endswith("path=/secrets client=127.0.0.1 denied=1")


def test_request_lines_carry_operation_and_policy(start: Start, own_engine: Engine) -> None:
    proxy = start(env={"POLICY": "read-only"})
    with proxy.connect() as client:
        client.get("/v1.41/secrets")
        client.response()
    line = proxy.wait_log(lambda line: "status=403" in line)
    assert line.endswith(' op=secret.list policy=read-only end=proxy reason="denied"')


def test_request_lines_in_json_carry_them_too(start: Start, own_engine: Engine) -> None:
    proxy = start(env={"POLICY": "read-only", "LOG_FORMAT": "json"})
    with proxy.connect() as client:
        client.get("/v1.41/secrets")
        client.response()
    line = json.loads(proxy.wait_log(lambda line: '"status":403' in line))
    assert (line["op"], line["policy"], line["reason"]) == ("secret.list", "read-only", "denied")
    denied = json.loads(proxy.wait_log(lambda line: "denied: secret.list" in line))
    assert denied["level"] == "warning"


def test_open_is_warned_about_and_nothing_else(start: Start, own_engine: Engine) -> None:
    start().wait_log(
        lambda line: re.search(r"warning .*policy 'open'.*root on the host", line) is not None
    )
    proxy = start(env={"POLICY": "traefik"})
    proxy.wait_log(lambda line: "policy 'traefik'" in line)
    assert " warning " not in proxy.log()


# check


def test_check_prints_what_the_file_means(file: Callable[[str], str]) -> None:
    config = file(
        "listeners:\n  - {address: 'tcp://127.0.0.1:1', policy: ci}\n"
        "policies:\n  unused:\n    mode: observe\n  ci:\n    rules:\n"
        "      - allow: [container.create, container.list, secret.list]\n"
        "      - allow: {methods: [GET], path: '/plugins/[a-z]+/json'}\n"
    )
    result = run_binary("check", "-c", config)
    assert result.returncode == 0
    assert result.stderr.endswith(f"{config}:4: policy 'unused' is not used by any listener or client\n")
    assert result.stderr.count("\n") == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["listener", "tcp://127.0.0.1:1,", "policy", "ci"] in lines
    assert ["container", "list", "create[wR]"] in lines
    assert ["secret", "list[s]"] in lines
    assert ["plugin", "inspect[s?]"] in lines
    assert f"policy unused ({config}:4), mode observe, allows\n  nothing\n" in result.stdout


def test_a_rule_that_sees_the_api_version_is_warned_of(file: Callable[[str], str]) -> None:
    """A client that is denied by a version sends another one."""
    config = file(
        "listeners: [{address: 'tcp://127.0.0.1:1', policy: mine}]\n"
        "policies:\n"
        "  mine:\n"
        "    rules:\n"
        "      - allow: [system.ping]\n"
        "      - deny: {versioned_path: '/v1\\.41/info'}\n"
        "      - allow: {methods: [GET], versioned_path: '/v1\\.4[0-9]/(info|version)|/version'}\n"
    )
    checked = run_binary("check", "-c", config)
    assert checked.returncode == 0
    warnings = re.findall(r"warning: .*?:(\d+): versioned_path", checked.stdout)
    assert warnings == ["6", "7"]
    assert "warning" not in run_binary("check", "--policy", "traefik").stdout
    for target, allowed in (
        ("/v1.41/info", False),
        ("/v1.041/info", False),
        ("/v1.40/info", True),
        ("/info", False),
        ("/version", True),
        ("/v1.39/version", False),
    ):
        explained = run_binary("explain", "-c", config, f"GET {target}")
        assert explained.stdout.startswith("allow" if allowed else "deny"), target


def test_check_refuses_what_run_refuses(file: Callable[[str], str]) -> None:
    config = file("policies:\n  ci:\n    rules:\n      - allow: [container.lst]\n")
    for verb in ("check", "run", "healthcheck"):
        result = run_binary(verb, "--config", config)
        assert result.returncode == 2
        assert result.stderr == (
            f"docker-socket-proxy: {config}:4: 'container.lst' fits no operation; did you mean "
            "'container.list'?\n"
        )


# explain


@pytest.mark.parametrize(
    ("args", "env", "code", "first"),
    [
        (["GET /containers/json?all=1"], {}, 0, "allow container.list"),
        (["--policy", "read-only", "POST /v1.41/containers/create"], {}, 1, "deny container.create"),
        (["GET /v1.41/secrets"], {"POLICY": "read-only"}, 1, "deny secret.list"),
        (["GET", "/_ping"], {"POLICY": "read-only"}, 0, "allow system.ping"),
        (["--policy=deny", "GET /nothing"], {}, 1, "deny unknown"),
        (["POST /images/create?fromImage=a"], {}, 0, "allow image.pull"),
        (["GET /containers/../secrets"], {}, 1, "deny malformed"),
        (["GET /containers/%zz/json"], {}, 1, "deny malformed"),
        (["GET containers"], {}, 1, "deny malformed"),
        (["GET /health"], {"POLICY": "deny"}, 0, "allow health"),
    ],
)
def test_explain(args: list[str], env: dict[str, str], code: int, first: str) -> None:
    result = run_binary("explain", *args, **env)
    assert (result.returncode, result.stderr) == (code, "")
    head = result.stdout.splitlines()[0]
    assert head == first or head.startswith(first + ":"), result.stdout


def test_explain_says_rule_place_and_remedy(file: Callable[[str], str]) -> None:
    config = file(
        "policy: ci\npolicies:\n  ci:\n    rules:\n      - deny: [exec.*]\n      - allow: ['*']\n"
    )
    denied = run_binary("explain", "-c", config, "POST /exec/a/start").stdout.splitlines()
    assert denied[0] == "deny exec.start"
    assert f"policy: ci ({config}:3)" in denied
    assert f"rule: deny: [exec.*] ({config}:5)" in denied
    assert any(line.startswith("to allow it: ") for line in denied)
    allowed = run_binary("explain", "-c", config, "GET /foo").stdout.splitlines()
    assert allowed[:3] == ["allow unknown", f"policy: ci ({config}:3)", f"rule: allow: ['*'] ({config}:6)"]


def test_explain_tells_listeners_apart(file: Callable[[str], str]) -> None:
    config = file(
        "listeners:\n  - {address: 'tcp://127.0.0.1:1', policy: read-only}\n"
        "  - {address: 'tcp://127.0.0.1:2', policy: open}\n"
    )
    result = run_binary("explain", "-c", config, "POST /containers/create")
    assert result.returncode == 1
    assert "listener: tcp://127.0.0.1:1" in result.stdout
    assert "but at tcp://127.0.0.1:2: allow, by policy open" in result.stdout


def first_line(*args: str) -> str:
    return run_binary("explain", *args).stdout.splitlines()[0]


def advice(*args: str) -> str:
    """What `explain` says would allow a request that is denied."""
    printed = run_binary("explain", *args)
    assert printed.returncode == 1, printed.stdout
    found = re.search(r"^to allow it: (.*)$", printed.stdout, re.M)
    assert found, printed.stdout
    return found[1]


def advised(behind: str, *args: str) -> str:
    """The YAML of an advice, which follows a few words."""
    _, words, text = advice(*args).partition(behind)
    assert words, advice(*args)
    return text


def file_advised(*args: str) -> str:
    """The configuration file that would allow a request, as `explain` prints it once."""
    printed = run_binary("explain", *args).stdout
    found = re.findall(r"^(?:as a file for CONFIG|to allow it: .* a file with): (.*)$", printed, re.M)
    assert len(found) == 1, printed
    return found[0]


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /containers/create",
        "GET /containers/app/db/logs",
        "GET /foo",
        "GET /a.b/c+d(e)[f]",
        "GET /it's",
        "GET /x%20y%2dz/foo",
        "get /containers/json",
        "BREW /pot",
        "POST /debug/vars",
        "PATCH /containers/x",
    ],
)
# The program starts seven times for each, which is slow with sanitizers.
@pytest.mark.parametrize("policy", ["read-only", "homepage-swarm", "dozzle"][:1 if sanitized() else 3])
def test_advice_that_is_followed_allows_just_that(
    file: Callable[[str], str], policy: str, request_line: str
) -> None:
    """The file is a whole one, so that it loads; what no operation fits cannot do without."""
    there = ("-c", file(file_advised("--policy", policy, request_line)))
    assert first_line(*there, request_line).startswith("allow ")
    assert first_line(*there, "GET /containers/x/json") == "allow container.inspect"
    for other in ("GET /secrets", "GET /foo/bar", "POST /exec/x/start", "POST /debug/foo"):
        assert first_line(*there, other).startswith("deny ")


@pytest.mark.parametrize(
    ("request_line", "operation"),
    [("POST /containers/create", "container.create"), ("GET /secrets", "secret.list")],
)
def test_advice_beside_a_file_goes_below_its_policies(
    file: Callable[[str], str], request_line: str, operation: str
) -> None:
    """Also of a preset that only extends another one nothing is lost."""
    listener = "listeners: [{address: 'tcp://127.0.0.1:1', policy: POLICY}]\n"
    for policy in ("read-only", "dockge"):
        config = file(listener.replace("POLICY", policy))
        if first_line("-c", config, request_line).startswith("allow "):
            continue
        text = advised(f"use it in place of '{policy}': ", "-c", config, request_line)
        file(f"{listener.replace('POLICY', 'mine')}policies:\n  {text}\n")
        assert first_line("-c", config, request_line) == f"allow {operation}"
        assert first_line("-c", config, "GET /containers/json") == "allow container.list"
        assert first_line("-c", config, "GET /nodes").startswith("deny ") == (policy == "dockge")


def test_advice_for_a_policy_of_the_file_goes_in_front_of_its_rules(
    file: Callable[[str], str],
) -> None:
    before = "policies:\n  mine:\n    rules:\n"
    after = "      - deny: [container.*]\n      - allow: ['*']\n"
    there = ("-c", file(before + after), "--policy", "mine")
    for request_line in ("GET /containers/app/db/logs", "POST /containers/create"):
        rule = advised(": - ", *there, request_line)
        file(f"{before}      - {rule}\n{after}")
        assert first_line(*there, request_line).startswith("allow ")
        assert first_line(*there, "GET /containers/db/logs") == "deny container.logs"


@pytest.mark.skipif(sanitized(), reason="a sanitizer reserves terabytes of addresses")
def test_a_denial_needs_no_memory(start: Start, own_engine: Engine) -> None:
    """Advice is made at the start: the first denial may come when there is none left."""
    settings = {"POLICY": "deny", "WORKERS": "1"}
    slack = 128 * 1024  # the stack may grow

    def denials(proxy: Proxy, paths: list[str]) -> None:
        with proxy.connect() as client:
            client.get("/health")
            assert client.response().status == 200
            for path in paths:
                client.get(path)
                assert client.response().status == 403

    first = start(env=settings)
    denials(first, [])
    status = Path(f"/proc/{first.pid}/status").read_text()
    size = 1024 * int(re.search(r"VmPeak:\s+(\d+) kB", status)[1]) + slack
    short = start(
        env=settings, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))
    )
    denials(short, ["/info", "/containers/app/db/logs", "/secrets"])


def test_explain_looks_at_whether_there_is_a_body(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text("{}")
    result = run_binary("explain", "--body", str(body), "POST /v1.20/containers/a/start")
    assert result.stdout.splitlines()[0] == "allow container.start_with_config"
    assert "body: no block of the policy looks into it" in result.stdout
    result = run_binary("explain", "POST /v1.20/containers/a/start")
    assert result.stdout.splitlines()[0] == "allow container.start"
    piped = ("explain", "--body", "-", "POST /v1.20/containers/a/start")
    assert run_binary(*piped, given="{}").stdout.startswith("allow container.start_with_config\n")
    assert run_binary(*piped, given="").stdout.startswith("allow container.start\n")


def test_explain_takes_the_address_a_client_uses() -> None:
    for target in ("http://127.0.0.1:3277/containers/json", "http://[::1]/containers/json"):
        assert first_line("--policy", "traefik", f"GET {target}") == "allow container.list"
    assert first_line("--policy", "traefik", "GET http://a/b:c@d://e").startswith("deny ")


def test_standard_input_is_a_file_called_dash() -> None:
    given = "policies:\n  mine: {rules: [{allow: [image.list]}]}\n"
    args = ("explain", "-c", "-", "--policy", "mine", "GET /images/json")
    assert run_binary(*args, given=given).stdout.startswith("allow image.list\n")
    wrong = run_binary("check", "-c", "-", given="policies:\n  mine: {rule: []}\n")
    assert wrong.returncode == 2
    assert "-:2: unknown key 'rule'" in wrong.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "explain: the request is missing"),
        (["/containers/json"], "'/containers/json' is not a request"),
        (["--client", "ci", "GET /_ping"], "--client: there is no client 'ci'"),
        (["--client", "--body", "GET /_ping"], "--client: there is no client '--body'"),
        (["--client=", "GET /_ping"], "--client: its value is missing: give --client NAME"),
        (["--body", "/nonexistent", "GET /_ping"], "'/nonexistent' cannot be read"),
        (["--body", "/", "GET /_ping"], "'/' cannot be read: Is a directory"),
        (["--policy", "redonly", "GET /_ping"], "did you mean 'read-only'?"),
        (["-c", "/nonexistent", "GET /_ping"], "/nonexistent: cannot be read: No such file"),
        (["GET", "/_ping", "more"], "'more' is one argument too many"),
    ],
)
def test_explain_refuses(args: list[str], message: str) -> None:
    result = run_binary("explain", *args)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("named", [{"arguments": ["--policy", "open"]}, {"env": {"POLICY": "open"}}])
def test_a_policy_that_holds_nowhere_is_not_silent(
    start: Start, own_engine: Engine, file: Callable[[str], str], named: dict
) -> None:
    """A file closes its listeners; who asks for more beside it learns that nothing came of it."""
    port = free_port()
    path = file(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: deny}}]\n")
    arguments, env = named.get("arguments", []), named.get("env", {})
    checked = run_binary("check", "-c", path, *arguments, **env)
    assert checked.returncode == 0
    assert "open does not count" in checked.stderr and "names its policy" in checked.stderr
    proxy = start("-c", path, *arguments, env=env, port=port)
    proxy.wait_log(lambda line: "open does not count" in line)
    with proxy.connect() as client:
        client.get("/_ping")
        assert client.response().status == 403


def test_a_policy_that_holds_somewhere_needs_no_warning(file: Callable[[str], str]) -> None:
    path = file(
        "listeners:\n  - {address: 'tcp://127.0.0.1:1', policy: deny}\n"
        "  - {address: 'tcp://127.0.0.1:2'}\n"
    )
    assert run_binary("check", "-c", path, "--policy", "read-only").stderr == ""
    explained = run_binary("explain", "-c", path, "--policy", "open", "GET /_ping")
    assert (explained.returncode, explained.stderr) == (0, "")


def checked(file: Callable[[str], str], rules: str) -> str:
    return run_binary("check", "-c", file(f"policies: {{mine: {{rules: {rules}}}}}\n")).stdout


def test_check_and_explain_agree_about_a_plain_path(file: Callable[[str], str]) -> None:
    """A rule for one path reaches one operation, not all whose paths begin alike."""
    printed = checked(file, "[{allow: {methods: [GET], path: /containers/json}}]")
    allowed = re.search(r"policy mine .*allows\n((?:  .*\n)+)", printed)
    assert allowed and allowed[1].split() == ["container", "list"]


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("/containers/x", "container remove[w?]"),
        ("/containers/x/y", "container remove[w?]"),
        ("/containers/x/checkpoints/y", "container remove[w?] checkpoint remove[wR?]"),
        ("/images/a/b", "image remove[w?]"),
    ],
)
def test_a_plain_path_has_no_operation_of_longer_ones(
    file: Callable[[str], str], path: str, rows: str
) -> None:
    """What stands between two names of an operation must stand in the path."""
    printed = checked(file, f"[{{allow: {{methods: [DELETE], path: {path}}}}}]")
    allowed = re.search(r"policy mine .*allows\n((?:  .*\n)+)", printed)
    assert allowed
    operations = " ".join(allowed[1].split()).partition("(root)")[0].strip()
    assert operations.removesuffix("unknown (any)[R?]").strip() == rows


@pytest.mark.parametrize(
    ("rules", "sections"),
    [
        ("[{deny: [container.create]}, {allow: ['*']}]", "/containers"),
        ("[{deny: [container.create, image.list]}, {allow: ['*']}]", "/containers, /images"),
        ("[{deny: {operations: [exec.start], path: /exec/a.*/start}}, {allow: ['*']}]", "/exec"),
        ("[{deny: [debug.vars]}, {allow: ['*']}]", "/..."),
        ("[{deny: {path: /containers/create}}, {allow: ['*']}]", "/containers"),
        ("[{deny: {methods: [POST], path: '/images/.*'}}, {allow: ['*']}]", "/images"),
        ("[{deny: [container.create, unknown]}, {allow: ['*']}]", ""),
        ("[{allow: ['*']}]", ""),
        ("[{allow: ['container.*']}]", ""),
        ("[{allow: {methods: [GET], path: /containers/.*}}]", ""),
    ],
)
def test_check_warns_where_a_denied_request_goes_on_in_another_spelling(
    file: Callable[[str], str], rules: str, sections: str
) -> None:
    printed = checked(file, rules)
    found = re.search(r"warning: .*unknown requests are allowed.*\n  (.*)\n", printed)
    assert (found[1] if found else "") == sections, printed
    if found and ("container.create" in rules or "/containers/create" in rules):
        there = ("-c", file(f"policies: {{mine: {{rules: {rules}}}}}\n"), "--policy", "mine")
        assert first_line(*there, "POST /containers/create/").startswith("allow unknown")
        better = ("-c", file(f"policies: {{mine: {{rules: [{{deny: [unknown]}}, {rules[1:]}}}}}\n"))
        assert first_line(*better, "--policy", "mine", "POST /containers/create/").startswith("deny")


def test_buildkit_is_all_or_nothing(start: Start, own_engine: Engine) -> None:
    """A denial says it, and so does check where it is allowed."""
    with start(env={"POLICY": "read-only"}).connect() as client:
        client.send(b"POST /session HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")
        assert "Nothing looks into BuildKit's sessions" in client.response().message()
    assert "Nothing looks into BuildKit's sessions" in run_binary("check", "--policy", "open").stdout
    assert "Nothing looks into BuildKit's sessions" not in run_binary("check", "--policy", "agent").stdout


@pytest.mark.parametrize("more", [{}, {"ALLOW": "image.push"}, {"POLICY": "agent,dozzle"}, {"POLICY": "dozzle,agent"}])
def test_what_is_put_together_does_not_change_the_owner(more: dict[str, str]) -> None:
    """Objects that exist do not disappear from view when a variable is added."""
    shown = run_binary("check", **{"POLICY": "agent", "WORKSPACE": "/srv/work", **more}).stdout
    assert re.search(r"^  \(scope\) +docker-socket-proxy.owner=agent(;|$)", shown, re.MULTILINE), shown
