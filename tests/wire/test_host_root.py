"""host_root: a source of a bind counts as what it leads to on the host, and that is what is mounted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from machine import free_port
from wire import Client, Engine, Proxy, ping_passes, run_binary

Start = Callable[..., Proxy]
JSON = ("Content-Type: application/json",)
CREATE = "/v1.41/containers/create"
LEADS_OUT = "leads through a symbolic link to nothing, or to a path that is not allowed"

FILE = """\
listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: ci}}]
{host_root}
policies:
  ci:
    mode: {mode}
    rules: [{{allow: [container.*, service.create, system.*]}}]
    {scope}
    create: {{bind_sources: [/srv/ci, /srv/gone, /var/ci], socket: 'unix:///run/own.sock', namespaces: ['pid=container:*']}}
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder that is the host, with links that a client made below /srv/ci."""
    root = tmp_path / "host"
    for name in ("srv/ci/sub", "srv/ci/shut", "srv/ci/two words", "etc", "run", "var"):
        (root / name).mkdir(parents=True)
    (root / "run/docker.sock").touch()
    (root / "srv/ci/shut").chmod(0o700)
    links = {
        "srv/ci/in": "sub", "srv/ci/absolute": "/srv/ci/sub", "srv/ci/ünï": "two words", "srv/ci/root": "/",
        "srv/ci/etc": "../../etc", "srv/ci/loop": "loop", "srv/ci/dangling": "nothing", "srv/ci/chain": "root",
        "var/run": "/run", "srv/ci/sock": "/var/run/docker.sock", "var/ci": "/srv/ci",
        "srv/ci/round": "/etc/../srv/ci/sub", "srv/ci/nowhere": "/none/../srv/ci/sub",
        "srv/ci/file": "/etc/passwd", "srv/ci/none": "/etc/nobody", "srv/ci/bytes": b"\xff",
    }
    for name, target in links.items():
        os.symlink(target, os.fsencode(root / name) if isinstance(target, bytes) else root / name)
    (root / "etc/passwd").touch()
    os.mkdir(os.fsencode(root / "srv/ci") + b"/\xff")
    return root


@pytest.fixture
def write(host: Path, tmp_path: Path) -> Callable[..., tuple[str, int]]:
    """write(…) → a file with host_root, and its port."""

    def write_one(mode: str = "enforce", scope: str = "", seen: bool = True) -> tuple[str, int]:
        port = free_port()
        path = tmp_path / f"{port}.yaml"
        host_root = f"host_root: '{host}'" if seen else ""
        path.write_text(FILE.format(port=port, mode=mode, scope=scope, host_root=host_root))
        return str(path), port

    return write_one


@pytest.fixture
def seeing(start: Start, write: Callable[..., tuple[str, int]]) -> Callable[..., Proxy]:
    def start_one(**settings) -> Proxy:
        path, port = write(**settings)
        return start("-c", path, port=port)

    return start_one


def bind(kind: str, *sources: str) -> bytes:
    if kind == "Binds":
        host_config = {"Binds": [f"{source}:/x:ro" for source in sources]}
    else:
        options = {"BindOptions": {"CreateMountpoint": True}}
        host_config = {"Mounts": [{"Type": "bind", "Source": one, "Target": "/x", **options} for one in sources]}
    return json.dumps({"Image": "busybox", "HostConfig": host_config}, ensure_ascii=False).encode()


def sources_of(body: bytes) -> list[str]:
    host_config = json.loads(body)["HostConfig"]
    if "Binds" in host_config:
        assert all(one.endswith(":/x:ro") for one in host_config["Binds"])
        return [one.removesuffix(":/x:ro") for one in host_config["Binds"]]
    assert all(one["Target"] == "/x" for one in host_config["Mounts"])
    return [one["Source"] for one in host_config["Mounts"]]


def arrived(client: Client, engine: Engine) -> list[str]:
    request = engine.request()
    assert request.header("Content-Length") == str(len(request.body))
    request.respond(201, b'{"Id":"1"}')
    assert client.response().status == 201
    return sources_of(request.body)


# source: what arrives in its place, or the words of the denial
RESOLVED = {
    "/srv/ci": "/srv/ci",
    "/srv/ci/": "/srv/ci",
    "/srv/ci/in": "/srv/ci/sub",
    "/srv/ci/in/new/deep": "/srv/ci/sub/new/deep",
    "/srv/ci/absolute": "/srv/ci/sub",
    "/srv/ci/ünï": "/srv/ci/two words",
    "/srv/ci/new": "/srv/ci/new",
    "/var/ci/in": "/srv/ci/sub",
    "/srv/ci/sock": "/run/own.sock",
    "/var/run/docker.sock": "/run/own.sock",
    "/run/docker.sock": "/run/own.sock",
}
REFUSED = {
    "/srv/ci/root": LEADS_OUT,
    "/srv/ci/root/etc": LEADS_OUT,
    "/srv/ci/root/srv/ci2": LEADS_OUT,
    "/srv/ci/chain/etc": LEADS_OUT,
    "/srv/ci/etc": LEADS_OUT,
    "/srv/ci/dangling": LEADS_OUT,
    "/srv/ci/dangling/x": LEADS_OUT,
    "/srv/ci/bytes": LEADS_OUT,
    "/srv/ci/round": LEADS_OUT,
    "/srv/ci/nowhere": LEADS_OUT,
    "/srv/ci/file": LEADS_OUT,  # whether the file is there is not told
    "/srv/ci/file/x": LEADS_OUT,
    "/srv/ci/none": LEADS_OUT,
    "/srv/ci/none/x": LEADS_OUT,
    "/srv/ci/loop": "more than 40 symbolic links on its way below host_root",
    "/srv/ci/shut/x": "cannot be looked up below host_root: the user of the proxy may not search a directory on its way; "
                      "give others the right x there (chmod o+x), or run the proxy as a user who may",
    "/srv/gone": "is below a source that is not there below host_root",
    "/srv/gone/x": "is below a source that is not there below host_root",
    "/srv/ci/../../etc": "must be an absolute path without '.', '..'",
    "/etc": "bind of the host's path '/etc' is not allowed",
}


@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
def test_what_a_source_leads_to_is_what_is_mounted(seeing, own_engine: Engine, kind: str) -> None:
    with seeing().connect() as client:
        for source, wanted in RESOLVED.items():
            client.post(CREATE, bind(kind, source), JSON)
            assert arrived(client, own_engine) == [wanted], source
        client.post(CREATE, bind(kind, *RESOLVED), JSON)
        assert arrived(client, own_engine) == list(RESOLVED.values())


@pytest.mark.parametrize("kind", ["Binds", "Mounts"])
def test_what_leads_out_never_reaches_the_engine(seeing, own_engine: Engine, kind: str) -> None:
    with seeing().connect() as client:
        for source, words in REFUSED.items():
            client.post(CREATE, bind(kind, "/srv/ci", source), JSON)
            response = client.response()
            assert response.status == 403, source
            assert f"/HostConfig/{kind}/1" in response.message()
            assert words in response.message()
            assert "To allow it" not in response.message() or source == "/etc"
        ping_passes(client, own_engine)


def test_what_the_engine_does_not_make_must_be_there(seeing, own_engine: Engine) -> None:
    """The Engine may see a mount there that the proxy does not."""
    with seeing().connect() as client:
        for options in ({}, {"BindOptions": {}}, {"BindOptions": {"CreateMountpoint": False}}):
            mounts = [{"Type": "bind", "Source": "/srv/ci/in/new", "Target": "/x", **options}]
            client.post(CREATE, json.dumps({"Image": "busybox", "HostConfig": {"Mounts": mounts}}).encode(), JSON)
            assert "is not there below host_root, and the Engine does not make it" in client.response().message()
            mounts[0]["Source"] = "/srv/ci/in"
            client.post(CREATE, json.dumps({"Image": "busybox", "HostConfig": {"Mounts": mounts}}).encode(), JSON)
            assert arrived(client, own_engine) == ["/srv/ci/sub"]


def test_services_are_held_to_the_same(seeing, own_engine: Engine) -> None:
    def service(source: str) -> bytes:
        mounts = [{"Type": "bind", "Source": source, "Target": "/x"}]
        return json.dumps({"Name": "s", "TaskTemplate": {"ContainerSpec": {"Image": "busybox", "Mounts": mounts}}}).encode()

    with seeing().connect() as client:
        client.post("/v1.41/services/create", service("/srv/ci/root"), JSON)
        message = client.response().message()
        assert "/TaskTemplate/ContainerSpec/Mounts/0/Source" in message and LEADS_OUT in message
        client.post("/v1.41/services/create", service("/srv/ci/in"), JSON)
        request = own_engine.request()
        mounts = json.loads(request.body)["TaskTemplate"]["ContainerSpec"]["Mounts"]
        assert [mount["Source"] for mount in mounts] == ["/srv/ci/sub"]
        request.respond(201, b'{"ID":"1"}')
        assert client.response().status == 201


def test_without_host_root_paths_are_text(seeing, own_engine: Engine) -> None:
    with seeing(seen=False).connect() as client:
        for source in ("/srv/ci/root", "/srv/ci/loop", "/srv/ci/shut/x", "/srv/gone"):
            client.post(CREATE, bind("Binds", source), JSON)
            assert arrived(client, own_engine) == [source]


def test_observe_records_and_changes_nothing_that_it_would_deny(seeing, own_engine: Engine) -> None:
    proxy = seeing(mode="observe")
    with proxy.connect() as client:
        client.post(CREATE, bind("Binds", "/srv/ci/root", "/srv/ci"), JSON)
        assert arrived(client, own_engine) == ["/srv/ci/root", "/srv/ci"]
    proxy.wait_log(lambda line: "would deny: container.create" in line and LEADS_OUT in line)


def test_a_body_has_a_ceiling_of_paths(seeing, own_engine: Engine) -> None:
    with seeing().connect() as client:
        names = [f"/srv/ci/in/{n}" for n in range(65)]
        client.post(CREATE, bind("Binds", *names[:64]), JSON)
        assert arrived(client, own_engine) == [name.replace("in", "sub") for name in names[:64]]
        client.post(CREATE, bind("Binds", *names), JSON)
        message = client.response().message()
        assert "/HostConfig/Binds/64: '/srv/ci/in/64' is one path of the host too many" in message
        ping_passes(client, own_engine)


def test_a_body_has_a_ceiling_of_steps(seeing, own_engine: Engine, host: Path) -> None:
    """57 links lead ten times down and up a deep folder: together they would open a million directories."""
    deep = "/".join(["d"] * 60)
    (host / "srv/ci" / deep).mkdir(parents=True)
    way = "/".join([deep, *[".."] * 60] * 10)
    for n in range(64):
        os.symlink(f"l{n + 1}" if n % 8 else way, host / f"srv/ci/l{n}")
    with seeing().connect() as client:
        client.post(CREATE, bind("Binds", *(f"/srv/ci/l{n}" for n in range(64))), JSON)
        response = client.response()
        assert response.status == 403
        assert "have more than 4,096 directories on their ways below host_root" in response.message()
        ping_passes(client, own_engine)


def test_paths_are_looked_up_after_the_engine_was_asked(seeing, own_engine: Engine, host: Path) -> None:
    """A question about an object takes time: what a path led to before it does not count."""
    proxy = seeing(scope="scope: {labels: {team: ci}}")
    host_config = {"Binds": ["/srv/ci/in:/x"], "PidMode": "container:web"}
    body = {"Image": "busybox", "HostConfig": host_config}
    own = b'{"Id":"%s","Config":{"Labels":{"team":"ci"}}}' % (b"a" * 64)
    with proxy.connect() as client:
        client.post(CREATE, json.dumps(body).encode(), JSON)
        question = own_engine.request()
        assert question.line.startswith("GET /")
        (host / "srv/ci/in").unlink()
        (host / "srv/ci/in").symlink_to("/etc")
        question.respond(200, own)
        response = client.response()
        assert response.status == 403 and LEADS_OUT in response.message()


def test_explain_says_what_serving_does(seeing, write, own_engine: Engine, tmp_path: Path) -> None:
    path, port = write()
    file = tmp_path / "body.json"
    for source in [*RESOLVED, *REFUSED]:
        file.write_bytes(bind("Binds", source))
        if source == "/srv/ci/shut/x" and os.geteuid() == 0:
            continue  # root may search it; the program is not root any more when it serves
        result = run_binary("explain", "-c", path, "--body", str(file), f"POST {CREATE}")
        assert result.stdout.startswith("allow" if source in RESOLVED else "deny"), source
        if source in REFUSED:
            assert REFUSED[source] in result.stdout


def test_check_and_the_start_say_what_is_left(seeing, write, own_engine: Engine) -> None:
    proxy = seeing()
    proxy.wait_log(lambda line: "enough to become root on the host: " in line and "create.bind_sources (by a later link)" in line)
    path, _ = write()
    assert "create.bind_sources (by a later link)" in run_binary("check", "-c", path).stdout
    path, _ = write(seen=False)
    printed = run_binary("check", "-c", path).stdout
    assert "create.bind_sources" in printed and "a later link" not in printed


@pytest.mark.parametrize("value", ["/nowhere", "/etc/passwd", "relative"])
@pytest.mark.parametrize("name", ["--host-root", "HOST_ROOT", "host_root"])
def test_a_host_root_that_is_no_folder_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"policy: deny\nhost_root: {value}\n")
    result = {
        "--host-root": lambda: run_binary("--port", str(free_port()), "--host-root", value),
        "HOST_ROOT": lambda: run_binary("--port", str(free_port()), HOST_ROOT=value),
        "host_root": lambda: run_binary("--port", str(free_port()), "-c", str(file)),
    }[name]()
    assert result.returncode == 2
    where = f"{file}:2: host_root" if name == "host_root" else name
    assert f"{where}: '{value}' " in result.stderr
    assert "give the " in result.stderr and "/host" in result.stderr


def test_an_empty_host_root_stops_the_start() -> None:
    result = run_binary("--port", str(free_port()), "--policy", "deny", HOST_ROOT="")
    assert result.returncode == 2
    assert "HOST_ROOT is empty" in result.stderr and "set HOST_ROOT (/host), or unset it" in result.stderr


def test_the_first_setting_counts(host: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("policy: deny\nhost_root: /etc\n")
    assert "seen in /etc\n" in run_binary("check", "-c", str(file)).stdout
    assert "seen in /usr\n" in run_binary("check", "-c", str(file), HOST_ROOT="/usr").stdout
    printed = run_binary("check", "-c", str(file), "--host-root", str(host), HOST_ROOT="/usr").stdout
    assert f"seen in {host}\n" in printed
