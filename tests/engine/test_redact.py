"""Answers under a policy that redacts: a word that stands wherever the Engine keeps secrets is in no
answer, and the clients work as before. The same answers on the Engine's own socket hold the word."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import proxy as program
import pytest
from conftest import Containers, eventually
from engine import IMAGE, Engine
from machine import public_folder

WORD = b"hush"
POLICY = """\
policy: shown
policies:
  hidden: {redact: [env, args, 'labels:private.*', mounts, options, tokens]}
  shown:
    extends: [hidden]
    rules: [{allow: ['*']}]
"""
LABELS = {"private.a": "hush-label", "public": "shown"}


@pytest.fixture(scope="module")
def redacting(binary: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Proxy]:
    file = tmp_path_factory.mktemp("redact") / "config.yaml"
    file.write_text(POLICY)
    running = program.Proxy(binary, engine.socket, {"CONFIG": str(file)})
    yield running
    fault = running.fault()
    running.close()
    assert not fault, fault


@pytest.fixture(scope="module")
def made(engine: Engine, clients: dict) -> Iterator[dict[str, str]]:
    """Objects with the word in all places; what they are called."""
    cli = next(iter(clients.values()))
    host = f"unix://{engine.socket}"
    containers = Containers(engine)
    folder = public_folder("dsp-hush-")
    began = int(time.time()) - 1

    def make(path: str, body: dict) -> dict:
        response = containers.call("POST", path, body)
        assert response.status in (200, 201), response
        return response.json()

    make("/volumes/create", {
        "Name": "kept", "Labels": LABELS, "DriverOpts": {"type": "nfs", "device": ":/hush", "o": "addr=127.0.0.1,password=hush-option"},
    })
    make("/networks/create", {"Name": "kept", "Labels": LABELS, "Options": {"a": "hush-option"}})
    dockerfile = "FROM busybox\nARG A\nENV B=hush-env\nLABEL private.c=hush-label\nRUN true\nCMD [\"hush-args\"]\n"
    cli.ok(host, "build", "-t", "kept", "--build-arg", "A=hush-arg", "-", stdin=dockerfile.encode())
    container = containers.create(
        "sh", "-c", "sleep 3600; : hush-args", Env=["A=hush-env"], Labels=LABELS,
        Healthcheck={"Test": ["CMD-SHELL", "echo hush-health"], "Interval": 10**9},
        HostConfig={
            "Binds": [f"{folder}:/bound"],
            "Mounts": [{"Type": "bind", "Source": folder, "Target": "/mounted"}],
            "LogConfig": {"Type": "json-file", "Config": {"tag": "hush-option"}},
            "Sysctls": {"kernel.domainname": "hush-option"},
        },
    )  # fmt: skip
    broken = containers.create("hush-missing", start=False)
    exec_body = {"Cmd": ["sh", "-c", "echo hush-args"], "Env": ["A=hush-env"], "AttachStdout": True}
    executed = make(f"/containers/{container}/exec", exec_body)["Id"]
    cli.ok(host, "exec", container, "sh", "-c", ": hush-args")
    cli.ok(host, "swarm", "init", "--advertise-addr", "127.0.0.1")
    config = make("/configs/create", {"Name": "kept", "Labels": LABELS, "Data": "aHVzaC1kYXRh"})["ID"]
    service = make("/services/create", {
        "Name": "kept", "Labels": LABELS,
        "TaskTemplate": {"ContainerSpec": {
            "Image": IMAGE, "Command": ["sh", "-c", "sleep 3600; : hush-args"], "Env": ["A=hush-env"], "Labels": LABELS,
            "Mounts": [{"Type": "bind", "Source": folder, "Target": "/mounted"}],
        }},
    })["ID"]  # fmt: skip
    eventually(lambda: engine.get("/tasks").json(), "the service has no task")
    eventually(
        lambda: engine.get(f"/containers/{container}/json").json()["State"]["Health"]["Log"], "no health check ran"
    )
    yield {
        "container": container, "broken": broken, "exec": executed, "config": config, "service": service,
        "began": str(began),
    }  # fmt: skip
    cli.run(host, "swarm", "leave", "--force")
    for name in (container, broken):
        containers.call("DELETE", f"/containers/{name}?force=1")
    for path in ("/volumes/kept", "/networks/kept", "/images/kept?force=1"):
        containers.call("DELETE", path)
    Path(folder).rmdir()


# Answers that hold the word on the Engine's own socket.
TARGETS = [
    "/containers/json", "/containers/{container}/json", "/containers/{container}/json?size=1",
    "/containers/{container}/top", "/containers/{container}/top?ps_args=axeww", "/containers/{broken}/json",
    "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22public%22%5D%7D",
    "/exec/{exec}/json", "/images/kept/json", "/images/kept/history", "/images/json", "/system/df",
    "/volumes", "/volumes/kept", "/networks", "/networks/kept", "/services", "/services/{service}",
    "/tasks", "/configs", "/configs/{config}", "/events?since={began}&until={now}",
    "/v1.24/containers/{container}/json", "/v1.19/containers/{container}/json", "/v1.24/images/kept/json",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_no_answer_holds_a_secret(engine: Engine, redacting: program.Proxy, made: dict, target: str) -> None:
    """What the Engine shows, the proxy hides; all else is the same. Engines from 25 on (API 1.44) serve
    nothing below 1.24."""
    path = target.format(**made, now=int(time.time()) + 1)
    shown = engine.get(path)
    hidden = redacting.get(path)
    if path.startswith("/v1.19/") and engine.api >= (1, 44):
        assert shown.status == hidden.status == 400
        return
    assert shown.status == hidden.status == 200, (shown, hidden)
    assert WORD in shown.body or b"aHVzaC1" in shown.body, "the test proves nothing"
    assert WORD not in hidden.body and b"aHVzaC1" not in hidden.body, hidden.body
    assert b"redacted" in hidden.body


@pytest.mark.parametrize("target", [
    "/info", "/volumes", "/images/kept/json", "/containers/{container}/json",
])
def test_no_answer_shows_where_the_engine_keeps_its_files(
    engine: Engine, redacting: program.Proxy, made: dict, target: str
) -> None:
    """Its folders and sockets on the host, of which newer Engines name more."""
    path, folder = target.format(**made), str(engine.folder).encode()
    shown, hidden = engine.get(path), redacting.get(path)
    assert shown.status == hidden.status == 200, (shown, hidden)
    assert folder in shown.body, "the test proves nothing"
    assert folder not in hidden.body, hidden.body


@pytest.mark.parametrize("path", ["/swarm", "/info", "/nodes"])
def test_tokens_are_hidden(engine: Engine, redacting: program.Proxy, made: dict, path: str) -> None:
    shown = engine.get("/swarm").json()
    hidden = redacting.get(path).body
    for secret in (*shown["JoinTokens"].values(), json.dumps(shown["TLSInfo"]["TrustRoot"])[1:-1]):
        assert secret.encode() not in hidden


def test_an_error_holds_no_command(engine: Engine, redacting: program.Proxy, made: dict) -> None:
    broken = f"/containers/{made['broken']}"
    with redacting.connect() as connection:
        response = connection.roundtrip("POST", f"{broken}/start")
        waited = connection.roundtrip("POST", f"{broken}/wait")
    assert response.status >= 400 and waited.json() == {"Error": {"Message": "redacted"}, "StatusCode": 127}
    assert WORD not in response.body
    assert WORD not in redacting.get(f"/containers/{made['broken']}/json").body


@pytest.mark.parametrize(("method", "path"), [("GET", "archive?path=/v"), ("PUT", "archive?path=/v"), ("POST", "start")])
def test_a_mount_that_fails_shows_no_options(
    engine: Engine, redacting: program.Proxy, containers: Containers, made: dict, method: str, path: str
) -> None:
    """An Engine that cannot mount a volume quotes the user and the password in its options."""
    container = containers.create("true", start=False, HostConfig={"Binds": ["kept:/v"]})
    target = f"/containers/{container}/{path}"
    shown = containers.call(method, target)
    with redacting.connect() as connection:
        hidden = connection.roundtrip(method, target)
    assert shown.status == hidden.status == 500 and WORD in shown.body, shown
    assert hidden.body == b'{"message":"redacted"}\n'


@pytest.mark.parametrize("words", range(1, 6))
def test_an_error_of_ps_shows_no_word(engine: Engine, redacting: program.Proxy, made: dict, words: int) -> None:
    """The heading says of which word of a command line the Engine thinks that it is a pid."""
    heading = "".join(f"w{i}%0C" for i in range(words)) + "PID"
    path = f"/containers/{made['container']}/top?ps_args=eww%20-oargs={heading}"
    shown, hidden = engine.get(path), redacting.get(path)
    assert shown.status == hidden.status == 500 and b"Unexpected pid" in shown.body, shown
    assert hidden.body == b'{"message":"redacted"}\n'


def test_events_hide_commands_as_they_come(cli, engine: Engine, redacting: program.Proxy, made: dict) -> None:
    """docker events shows an exec at once, without its command."""
    begin = ("events", "--format", "{{.Action}}", "--filter", f"container={made['container']}")
    with cli.start(redacting.docker_host, *begin, "--filter", "event=exec_create") as running:
        def seen() -> bytes:
            cli.ok(f"unix://{engine.socket}", "exec", made["container"], "sh", "-c", ": hush-args")
            return running.line()

        assert seen() == b"exec_create: redacted"


def test_clients_work(cli, redacting: program.Proxy, made: dict) -> None:
    host, container = redacting.docker_host, made["container"]
    assert container[:12].encode() in cli.ok(host, "ps", "--no-trunc", "--format", "{{.ID}} {{.Labels}}")
    env = cli.ok(host, "inspect", "--format", "{{json .Config.Env}} {{.HostConfig.Binds}}", container)
    assert b"A=redacted" in env and b"[redacted]" in env
    assert b"private.a=redacted" in cli.ok(host, "ps", "--no-trunc", "--format", "{{.Labels}}")
    assert cli.ok(host, "logs", container) == b""
    for command in (["images"], ["history", "kept"], ["volume", "ls"], ["network", "inspect", "kept"],
                    ["service", "ls"], ["service", "ps", "kept"], ["info"], ["top", container]):  # fmt: skip
        assert WORD not in cli.ok(host, *command)
