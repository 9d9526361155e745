"""The programs that are compared: how each is configured and started.

HAProxy and nginx come from Debian. They are fetched with apt and unpacked below the build folder,
not installed: a benchmark should leave no web server running on port 80 behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PEER_PACKAGES = ("haproxy", "nginx")


@dataclass(frozen=True)
class Place:
    """Where one instance runs."""

    port: int
    engine: Path
    folder: Path  # its own, for configuration and logs
    descriptors: int  # the hard limit


@dataclass(frozen=True)
class Proxy:
    """How a proxy is started, and what it is in the comparison."""

    name: str
    command: Callable[[Place], list[str]]
    environment: Callable[[Place], dict[str, str]] = field(default=lambda place: {})
    log_to: str = "file"  # file or null
    product: bool = False  # held to the targets
    peer: bool = False  # somebody else's program
    kinds: tuple[str, ...] = ("small", "bulk")  # of the traffic that is worth measuring
    holds_connections: bool = True


# ---- The floor and this program. ----


def floor(build: Path, name: str, *options: str) -> Proxy:
    return Proxy(
        name,
        lambda place: [str(build / "floor"), str(place.port), str(place.engine), *options],
        kinds=("small", "bulk", "key", "all"),
        holds_connections=False,  # it needs two descriptors for each connection
    )


def product(name: str, binary: Path, log_to: str = "file") -> Proxy:
    return Proxy(
        name if log_to == "file" else f"{name} >/dev/null",
        lambda place: [str(binary)],
        lambda place: {"PORT": str(place.port), "SOCKET_PATH": str(place.engine)},
        log_to=log_to,
        product=log_to == "file",
        kinds=("small", "bulk") if log_to == "file" else ("small",),
        holds_connections=log_to == "file",
    )


def product_with_rules(name: str, binary: Path, rules: str) -> Proxy:
    """The same under a policy whose last rule is the one that allows."""

    def environment(place: Place) -> dict[str, str]:
        file = place.folder / "policy.yaml"
        file.write_text(f"policies:\n  bench:\n{textwrap.indent(rules, '    ')}", "ascii")
        return {
            "PORT": str(place.port),
            "SOCKET_PATH": str(place.engine),
            "CONFIG": str(file),
            "POLICY": "bench",
        }

    return Proxy(
        f"{name} 40 rules",
        lambda place: [str(binary)],
        environment,
        kinds=("small",),
        holds_connections=False,
    )


KEY = "the key of the last of the clients"
KEY_FIELD = f"X-Api-Key: {KEY}"


def product_with_clients(name: str, binary: Path) -> Proxy:
    """The same with ten clients, each of which has a key; the load shows the key of the last."""

    def environment(place: Place) -> dict[str, str]:
        keys = [f"the key of client {n}" for n in range(9)] + [KEY]
        lines = [
            f"  - {{name: client-{n}, policy: all, "
            f"match: {{key_sha256: {hashlib.sha256(key.encode()).hexdigest()}}}}}\n"
            for n, key in enumerate(keys)
        ]
        file = place.folder / "clients.yaml"
        file.write_text(
            "policy: deny\npolicies: {all: {rules: [{allow: ['*']}]}}\nclients:\n" + "".join(lines),
            "ascii",
        )
        return {
            "PORT": str(place.port),
            "SOCKET_PATH": str(place.engine),
            "CONFIG": str(file),
        }

    return Proxy(
        f"{name} 10 clients",
        lambda place: [str(binary)],
        environment,
        kinds=("key",),
        product=True,
        holds_connections=False,
    )


def product_with_all_on(name: str, binary: Path) -> Proxy:
    """The same with what an operator switches on: a file, metrics, an audit record in a file, the sandbox."""

    def environment(place: Place) -> dict[str, str]:
        place.folder.chmod(0o777)  # the program gives up root
        file = place.folder / "all.yaml"
        file.write_text(
            f"policy: open\naudit: {{path: {place.folder}/audit.jsonl}}\n"
            f"admin: {{address: 'unix://{place.folder}/admin.sock'}}\n",
            "ascii",
        )
        return {
            "PORT": str(place.port),
            "SOCKET_PATH": str(place.engine),
            "CONFIG": str(file),
            "SANDBOX": "on",
        }

    return Proxy(f"{name} all on", lambda place: [str(binary)], environment, kinds=("all",), product=True)


# ---- HAProxy. ----

HAPROXY_TUNED = """\
global
    nbthread 1
    no strict-limits
    maxconn {connections}
    tune.bufsize {bufsize}
    tune.maxrewrite 1024
    tune.idletimer 0
defaults
    mode http
    {splice}
    option http-keep-alive
    option http-no-delay
    http-reuse always
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    timeout http-request 10s
frontend docker
    bind 127.0.0.1:{port}
    default_backend engine
backend engine
    server engine unix@{engine} pool-max-conn -1 pool-purge-delay 1h
"""

SECTIONS = (
    "AUTH BUILD COMMIT CONFIGS CONTAINERS DISTRIBUTION EVENTS EXEC GRPC IMAGES INFO NETWORKS NODES "
    "PING PLUGINS SECRETS SERVICES SESSION SWARM SYSTEM TASKS VERSION VOLUMES"
).split()
ACTIONS = {
    "ALLOW_RESTARTS": "((stop)|(restart)|(kill))",
    "ALLOW_START": "start",
    "ALLOW_STOP": "stop",
}
SWITCHED_ON = ("CONTAINERS", "EVENTS", "IMAGES", "PING", "POST", "VERSION", "VOLUMES")


def tecnativa_rules() -> str:
    """The allow ladder of tecnativa/docker-socket-proxy, in its order."""
    version = r"^(/v[\d\.]+)?"
    container = rf"{version}/containers/[a-zA-Z0-9_.-]+/"
    rules = ["http-request deny unless METH_GET || { env(POST) -m bool }"]
    for switch, action in ACTIONS.items():
        rules.append(
            f"http-request allow if {{ path,url_dec -m reg -i {container}{action} }} "
            f"{{ env({switch}) -m bool }}"
        )
    for section in sorted(SECTIONS):
        path = "_ping" if section == "PING" else section.lower()
        rules.append(
            f"http-request allow if {{ path,url_dec -m reg -i {version}/{path} }} "
            f"{{ env({section}) -m bool }}"
        )
    rules.append("http-request deny")
    return "\n    ".join(rules)


HAPROXY_TECNATIVA = """\
global
    log stdout format raw daemon info
    no strict-limits
    maxconn {connections}
defaults
    mode http
    log global
    option httplog
    option dontlognull
    option http-server-close
    option redispatch
    retries 3
    timeout http-request 10s
    timeout queue 1m
    timeout connect 10s
    timeout client 10m
    timeout server 10m
    timeout http-keep-alive 10s
    timeout check 10s
    maxconn {connections}
backend engine
    server engine unix@{engine}
backend events
    timeout server 0
    server engine unix@{engine}
frontend docker
    bind 127.0.0.1:{port}
    {rules}
    use_backend events if {{ path_reg ^(/v[\\d\\.]+)?/events }}
    default_backend engine
"""


def haproxy_command(binary: Path, configuration: str, place: Place) -> list[str]:
    path = place.folder / "haproxy.cfg"
    path.write_text(configuration, encoding="ascii")
    return [str(binary), "-db", "-f", str(path)]


def haproxy_tuned(
    root: Path, name: str = "haproxy", bufsize: int = 65536, splice: bool = False
) -> Proxy:
    """Of 16, 64 and 256 KiB buffers, with and without splicing, the best over all scenarios."""

    def command(place: Place) -> list[str]:
        configuration = HAPROXY_TUNED.format(
            connections=place.descriptors // 2 + 50,
            bufsize=bufsize,
            splice="option splice-auto" if splice else "# no splicing",
            port=place.port,
            engine=place.engine,
        )
        return haproxy_command(root / "usr/sbin/haproxy", configuration, place)

    return Proxy(name, command, lambda place: library_path(root), peer=True)


def haproxy_tecnativa(root: Path) -> Proxy:
    """As shipped, but for the ceiling of 3,000 connections: 10,000 have to fit."""

    def command(place: Place) -> list[str]:
        configuration = HAPROXY_TECNATIVA.format(
            connections=place.descriptors // 2 + 50,
            rules=tecnativa_rules(),
            port=place.port,
            engine=place.engine,
        )
        return haproxy_command(root / "usr/sbin/haproxy", configuration, place)

    def environment(place: Place) -> dict[str, str]:
        switches = {name: "0" for name in [*SECTIONS, *ACTIONS, "POST"]}
        switches.update({name: "1" for name in SWITCHED_ON})
        return library_path(root) | switches

    return Proxy("haproxy as tecnativa", command, environment, peer=True)


# ---- nginx. ----

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile {descriptors};
events {{ worker_connections {connections}; multi_accept on; }}
http {{
    access_log {folder}/access.log combined buffer=64k flush=1s;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_header_buffer_size 1k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream engine {{
        server unix:{engine};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        client_body_buffer_size {request_buffer};
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering {buffering};
            proxy_buffer_size {buffer};
            proxy_buffers 8 {buffer};
            proxy_max_temp_file_size 0;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""


def nginx(
    root: Path,
    name: str = "nginx",
    buffering: str = "off",
    buffer: str = "256k",
    request_buffer: str = "256k",
) -> Proxy:
    """Of buffering on and off, with 16, 64 and 256 KiB, the best over all scenarios."""

    def command(place: Place) -> list[str]:
        path = place.folder / "nginx.conf"
        path.write_text(
            NGINX.format(
                folder=place.folder,
                descriptors=place.descriptors,
                connections=place.descriptors - 200,
                engine=place.engine,
                port=place.port,
                buffering=buffering,
                buffer=buffer,
                request_buffer=request_buffer,
            ),
            encoding="ascii",
        )
        error_log = place.folder / "error.log"
        binary = root / "usr/sbin/nginx"
        return [str(binary), "-p", str(place.folder), "-e", str(error_log), "-c", str(path)]

    return Proxy(name, command, lambda place: library_path(root), peer=True)


# ---- Debian's packages, unpacked. ----


def library_path(root: Path) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": ":".join(str(path) for path in root.glob("usr/lib/*-linux-gnu"))}


def fetch(root: Path) -> str:
    """Unpacks the peers below `root`, once. Returns why that was not possible, or nothing."""
    if all((root / "usr/sbin" / name).exists() for name in PEER_PACKAGES):
        return ""
    if shutil.which("apt-get") is None:
        return "there is no apt-get here"
    debs = root / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    wanted = packages_missing()
    if wanted is None:
        subprocess.run(as_root(["apt-get", "update", "-qq"]), check=False)
        wanted = packages_missing()
    if wanted is None:
        return "apt knows no haproxy or no nginx"
    command = ["apt-get", "download", "-qq", *wanted]
    done = subprocess.run(command, cwd=debs, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return f"apt-get download failed: {done.stderr.strip()}"
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
    return ""


def packages_missing() -> list[str] | None:
    """The peers and those of their dependencies that are not installed; None: apt has no lists."""
    plan = subprocess.run(
        ["apt-get", "--simulate", "--no-install-recommends", "install", "--reinstall"]
        + list(PEER_PACKAGES),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if plan.returncode != 0:
        return None
    return re.findall(r"^Inst (\S+)", plan.stdout, flags=re.MULTILINE)


def as_root(command: list[str]) -> list[str]:
    if os.geteuid() != 0 and shutil.which("sudo"):
        return ["sudo", "-n", *command]
    return command
