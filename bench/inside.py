#!/usr/bin/python3
"""What looking inside costs: CPU time of the proxy for whole requests, with and without it in turns.

    bench/inside.py [--peer NAME=PATH]... [PROGRAM]

Each case has two policies: one that looks at nothing, and one with blocks, a scope or `redact`. A
stand-in Engine serves a unix socket, one client asks over one connection of TCP. Prints the least of
the rounds, for the machine may be busy.

With --peer another proxy runs beside ours in the rounds of the inspected create, without and with its
own check of binds. PATH is its program; NAME says which options it takes: wollomatic.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 15
MIB = 1 << 20
POLICY = "policy: a\npolicies: {a: {rules: [{allow: ['*']}]%s}}\n"
ROOT = Path(__file__).resolve().parents[1]
REDACT = ", redact: [env, args, 'labels:private.*', mounts, options, tokens]"


def container(number: int, names: int) -> dict:
    """Much as an Engine describes one."""
    return {
        "Id": f"{number:064x}", "Created": "2026-11-23T20:00:00.123456789Z", "Path": "docker-entrypoint.sh",
        "Args": ["postgres", "-c", "max_connections=200"], "Image": f"sha256:{number:064x}", "RestartCount": 0,
        "State": {"Status": "running", "Running": True, "Paused": False, "Pid": 4711, "ExitCode": 0, "Error": ""},
        "ResolvConfPath": f"/var/lib/docker/containers/{number:064x}/resolv.conf",
        "HostConfig": {"Binds": ["/srv/data:/var/lib/data"], "NetworkMode": "bridge", "Privileged": False,
                       "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}, "Memory": 0, "CpuShares": 0},
        "Config": {"Env": [f"VARIABLE_{n}=a value of some length {n}" for n in range(names)], "Cmd": ["postgres"],
                   "Labels": {f"com.example.label.{n}": f"the value of label {n}" for n in range(names)}},
        "Mounts": [{"Type": "bind", "Source": "/srv/data", "Destination": "/var/lib/data", "Mode": "", "RW": True}],
        "NetworkSettings": {"Ports": {"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "5432"}]}, "Networks": {}},
    }  # fmt: skip


def framed(body: bytes) -> bytes:
    head = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return b"%s%x\r\n%s\r\n0\r\n\r\n" % (head.encode(), len(body), body)


def grown(size: int) -> bytes:
    """A list of at least that many bytes."""
    one = len(json.dumps(container(0, 8), separators=(",", ":")))
    return json.dumps([container(n, 8) for n in range(size // one + 1)], separators=(",", ":")).encode()


@dataclass(frozen=True)
class Case:
    """One request; `policy` is what the second policy has beside its rule."""

    name: str
    line: str
    answer: bytes
    policy: str
    requests: int
    body: bytes = b""

    @property
    def request(self) -> bytes:
        fields = f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n" if self.body else ""
        return f"{self.line} HTTP/1.1\r\nHost: docker\r\n{fields}\r\n".encode() + self.body


def cases() -> list[Case]:
    # What docker 28 sends for a container with a bind, limits and a port.
    create = (ROOT / "tests/fuzz/corpus/fuzz_inspect/docker-cli-28-C").read_bytes()[1:]
    blocks = ", create: {bind_sources: any, publish: any, capabilities: any, devices: any, security_opt: any, networks: any}, exec: {}"
    own = container(1, 85)
    own["Config"]["Labels"]["team"] = "ci"
    inspected = json.dumps(own, separators=(",", ":")).encode()
    made = b'{"Id":"%064x","Warnings":[]}' % 1
    return [
        Case("create, blocks", "POST /v1.50/containers/create?name=web", made, blocks, 3000, create),
        Case("create, scope", "POST /v1.50/containers/create?name=web", made, ", scope: {labels: {team: ci}}", 3000, create),
        Case("inspect, scope", "GET /containers/a/json", inspected, ", scope: {labels: {team: ci}}", 3000),
        Case("inspect, redact", "GET /containers/a/json", inspected, REDACT, 3000),
        Case("list, redact", "GET /containers/json", grown(MIB), REDACT, 60),
    ]


# The volume and the network that the body names, of which a scope asks.
NAMED = framed(b'{"Id":"0123","Name":"data","Labels":{"team":"ci"}}')


def serve(listener: socket.socket, answers: dict[bytes, bytes]) -> None:
    def one(connection: socket.socket) -> None:
        waiting = b""
        while piece := connection.recv(65536):
            waiting += piece
            head, end, body = waiting.partition(b"\r\n\r\n")
            length = int((head.lower().split(b"content-length:")[1:] or [b"0"])[0].split()[0])
            if end and len(body) >= length:
                waiting = body[length:]
                path = head.split(b" ", 2)[1].partition(b"?")[0].removeprefix(b"/v1.50")
                connection.sendall(answers.get(path, NAMED))

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def ask(port: int, request: bytes, count: int) -> None:
    """Requests one after the other; a response is whole when its end was read."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            client.sendall(request)
            head, _, body = client.recv(65536).partition(b"\r\n\r\n")
            assert b" 200 " in head[:20], head + body
            lines = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
            length = int(lines[0].split()[1]) if lines else None
            got, tail = len(body), body[-7:]
            while got < length if length is not None else not tail.endswith(b"\r\n0\r\n\r\n"):
                piece = client.recv(MIB)
                assert piece
                got, tail = got + len(piece), (tail + piece)[-7:]


def cpu_seconds(pid: int) -> float:
    """Of all its threads."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@dataclass(frozen=True)
class Command:
    """How a proxy is started."""

    name: str
    program: str
    arguments: list[str]
    variables: dict[str, str]


def ours(program: str, folder: str, port: int, policy: str) -> Command:
    path = Path(folder, f"{port}.yaml")
    path.write_text(POLICY % policy)
    variables = {"PORT": str(port), "SOCKET_PATH": f"{folder}/engine.sock", "WORKERS": "1", "CONFIG": str(path)}
    return Command("docker-socket-proxy", program, [], variables)


def wollomatic(program: str, folder: str, port: int, policy: str) -> Command:
    """Any GET and POST; its check of binds, where ours looks into the body."""
    arguments = [f"-socketpath={folder}/engine.sock", f"-proxyport={port}", "-allowGET=.*", "-allowPOST=.*"]
    return Command("wollomatic", program, arguments + (["-allowbindmountfrom=/srv"] if policy else []), {})


PEERS = {"wollomatic": wollomatic}


class Proxy:
    def __init__(self, make: Callable[..., Command], program: str, folder: str, policy: str, case: Case) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = make(program, folder, self.port, policy)
        self.process = subprocess.Popen([program, *self.command.arguments], env=self.command.variables,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        while self.process.poll() is None:
            try:
                ask(self.port, case.request, 1)
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"{program} ended at its start")

    def cost(self, case: Case) -> float:
        """Seconds of CPU for a request."""
        before = cpu_seconds(self.process.pid)
        ask(self.port, case.request, case.requests)
        return (cpu_seconds(self.process.pid) - before) / case.requests


def measure(programs: list[tuple], folder: str, case: Case) -> None:
    """Each of (how it is started, its program) without and with looking inside, in turns."""
    proxies: list[Proxy] = []
    try:
        for make, program in programs:
            proxies += [Proxy(make, program, folder, policy, case) for policy in ("", case.policy)]
        rounds = [[proxy.cost(case) for proxy in proxies] for _ in range(ROUNDS)]
    finally:
        for proxy in proxies:
            proxy.process.kill()
            proxy.process.wait()
    least = [min(column) for column in zip(*rounds, strict=True)]
    size = max(len(case.answer), len(case.body))
    for proxy, without, inside in zip(proxies[::2], least[::2], least[1::2], strict=True):
        name = case.name if proxy is proxies[0] else proxy.command.name
        print(f"{name:16} {size:8} bytes: without {without * 1e6:7.1f} us, with {inside * 1e6:7.1f} us: "
              f"{(inside - without) * 1e6:+.1f} us; {size / MIB / inside:.0f} MiB/s of CPU in all", flush=True)  # fmt: skip


def peer(word: str) -> tuple:
    name, _, path = word.partition("=")
    if name not in PEERS or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=PATH, with one of {', '.join(PEERS)} and a program")
    return PEERS[name], path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=str(ROOT / "build/docker-socket-proxy"))
    parser.add_argument("--peer", action="append", type=peer, default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    programs = [(ours, options.program)]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for case in cases():
            place = f"{folder}/engine.sock"
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(place)
                os.chmod(place, 0o666)
                listener.listen()
                path = case.line.split()[1].partition("?")[0].removeprefix("/v1.50").encode()
                threading.Thread(target=serve, args=(listener, {path: framed(case.answer)}), daemon=True).start()
                peers = options.peer if case.policy.startswith(", create") else []
                measure(programs + peers, folder, case)
            os.unlink(place)


if __name__ == "__main__":
    main()
