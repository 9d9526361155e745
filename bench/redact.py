#!/usr/bin/python3
"""What redaction costs: CPU time of the proxy for whole requests, with and without `redact` in turns.

    bench/redact.py [PROGRAM]

Two answers: the inspection of a container (8 KiB) and a list of 1 MiB. A stand-in Engine serves them
over a unix socket, one client asks over one connection of TCP. Prints the best of the rounds, for whatever disturbs only adds.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROUNDS = 15
MIB = 1 << 20
POLICY = "policy: a\npolicies: {a: {rules: [{allow: ['*']}]%s}}\n"
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


def serve(listener: socket.socket, answers: dict[bytes, bytes]) -> None:
    def one(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            connection.sendall(answers[request.split(b" ", 2)[1]])

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def ask(port: int, path: str, count: int) -> None:
    """Requests one after the other; a response is whole when its end was read."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
            head, _, body = client.recv(65536).partition(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
            length = int(lines[0].split()[1]) if lines else None
            got, tail = len(body), body[-7:]
            while got < length if length is not None else not tail.endswith(b"\r\n0\r\n\r\n"):
                piece = client.recv(MIB)
                assert piece
                got, tail = got + len(piece), (tail + piece)[-7:]


def cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class Proxy:
    def __init__(self, program: str, folder: str, redact: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = Path(folder, f"{self.port}.yaml")
        path.write_text(POLICY % redact)
        variables = {"PORT": str(self.port), "SOCKET_PATH": f"{folder}/engine.sock", "WORKERS": "1", "CONFIG": str(path)}
        self.process = subprocess.Popen([program], env=variables, stderr=subprocess.DEVNULL)
        while self.process.poll() is None:
            try:
                ask(self.port, "/containers/a/json", 1)
                return
            except OSError:
                time.sleep(0.01)

    def cost(self, path: str, count: int) -> float:
        """Seconds of CPU for a request."""
        before = cpu_seconds(self.process.pid)
        ask(self.port, path, count)
        return (cpu_seconds(self.process.pid) - before) / count


def main() -> None:
    program = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).resolve().parents[1] / "build/docker-socket-proxy")
    inspect = json.dumps(container(1, 85), separators=(",", ":")).encode()
    listed = grown(MIB)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        os.chmod(folder, 0o755)
        listener.bind(f"{folder}/engine.sock")
        os.chmod(f"{folder}/engine.sock", 0o666)
        listener.listen()
        answers = {b"/containers/a/json": framed(inspect), b"/containers/json": framed(listed)}
        threading.Thread(target=serve, args=(listener, answers), daemon=True).start()
        proxies = Proxy(program, folder, ""), Proxy(program, folder, REDACT)
        try:
            for path, count, body in (("/containers/a/json", 3000, inspect), ("/containers/json", 60, listed)):
                rounds = [[proxy.cost(path, count) for proxy in proxies] for _ in range(ROUNDS)]
                relayed, redacted = (min(column) for column in zip(*rounds, strict=True))
                print(
                    f"{path:19} {len(body):8} bytes: relayed {relayed * 1e6:8.1f} us, redacted {redacted * 1e6:8.1f} us: "
                    f"{(redacted - relayed) * 1e6:+.1f} us, {len(body) / MIB / redacted:.0f} MiB/s of CPU in all"
                )
        finally:
            for proxy in proxies:
                proxy.process.kill()
                proxy.process.wait()


if __name__ == "__main__":
    main()
