#!/usr/bin/env python3
"""What a fleet behind one front costs: memory and CPU for each Engine and for each connection.

    make && python3 bench/fleet.py [PROGRAM] [--engines N] [--connections N] [--streams N] [--requests N]

One process stands in for all Engines: a unix socket each, small responses, streams that never end. Another one is
all clients. The proxy has one worker. Memory is what the proxy has for itself (RssAnon of /proc), without what the
kernel has for sockets; CPU is the time of its threads, system calls included. Only differences of two states of the
same process are shown, so that what is there anyway falls out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from measure import clock

ROOT = Path(__file__).parents[1]
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD_END = b"\r\n\r\n"
BATCH = 500  # clients that wait for a response at the same time
SETTLING_S = 12  # longer than the proxy waits before it gives unused memory back
IDLE_S = 10  # each Engine is asked once meanwhile


# ── The Engines ────────────────────────────────────────────────────────────────────────────────


def serve_engines(paths: list[str]) -> None:
    """A request to the wrong Engine ends the measurement: each one says in its query which it means."""
    poll = select.epoll()
    listeners, conns = {}, {}
    for number, path in enumerate(paths):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(4096)
        listeners[listener.fileno()] = (listener, number)
        poll.register(listener, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        for fd, _ in poll.poll():
            if fd in listeners:
                listener, number = listeners[fd]
                with suppress(BlockingIOError):
                    while True:
                        conn, _ = listener.accept()
                        conns[conn.fileno()] = (conn, number)
                        poll.register(conn, select.EPOLLIN)
                continue
            conn, number = conns[fd]
            try:
                data = conn.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                del conns[fd]
                conn.close()
                continue
            if b"/_ping" not in data and f"for={number} ".encode() not in data:
                sys.exit(f"Engine {number} got {data[:200]!r}")
            with suppress(BrokenPipeError, ConnectionResetError):
                conn.sendall(STREAM if b" /events?" in data else RESPONSE)


# ── The clients ────────────────────────────────────────────────────────────────────────────────


class Clients:
    """Connections to the proxy, each of which means one Engine."""

    def __init__(self, port: int, count: int):
        self.socks = []
        for number in range(count):
            sock = socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.0.{2 + number // 20000}", 0))
            self.socks.append(sock)

    def ask(self, numbers: range, engine_of, path: str, ending: bytes) -> None:
        """A request each, BATCH at the same time."""
        poll = select.epoll()
        waiting = iter(numbers)
        open_fds: dict[int, socket.socket] = {}
        while True:
            while len(open_fds) < BATCH and (number := next(waiting, None)) is not None:
                sock = self.socks[number % len(self.socks)]
                if sock.fileno() in open_fds:
                    break
                engine = engine_of(number)
                sock.sendall(
                    f"GET {f'/engines/n{engine}' if engine else ''}{path}?for={engine} HTTP/1.1\r\nHost: d\r\n\r\n".encode()
                )
                open_fds[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
            if not open_fds:
                return
            for fd, _ in poll.poll():
                got = open_fds[fd].recv(65536)
                if not got.startswith(b"HTTP/1.1 200") or not got.endswith(ending):
                    sys.exit(f"a client got {got[:300]!r}")
                poll.unregister(fd)
                del open_fds[fd]

    def close(self) -> None:
        for sock in self.socks:
            sock.close()


# ── The proxy ──────────────────────────────────────────────────────────────────────────────────


class Proxy:
    def __init__(self, program: str, folder: Path, engines: int, settling_s: float):
        self.settling_s = settling_s
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        rows = "".join(f"  n{number}: unix://{folder}/n{number}.sock\n" for number in range(1, engines))
        self.path = folder / f"proxy-{engines}.yaml"
        self.path.write_text(
            f"upstream: unix://{folder}/n0.sock\n"
            f"listeners: [{{address: 'tcp://127.0.0.1:{self.port}', policy: fleet}}]\n"
            f"policies: {{fleet: {{extends: [open], engines: '*'}}}}\nengines:\n{rows}"
        )
        began = time.monotonic()
        self.process = subprocess.Popen(
            [program, "-c", str(self.path), "--workers", "1", "--log-level", "warning"], stderr=subprocess.DEVNULL
        )
        while True:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            if self.process.poll() is not None:
                sys.exit("the proxy ended")
            time.sleep(0.001)
        self.start_ms = (time.monotonic() - began) * 1000

    def memory(self) -> int:
        """KiB that are the process's own, when it has had time to settle."""
        time.sleep(self.settling_s)
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise RuntimeError("no RssAnon")

    def cpu_us(self) -> float:
        return clock([self.process.pid]).used / 1000

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


# ── The measurement ────────────────────────────────────────────────────────────────────────────


def measure(program: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    with Proxy(program, folder, 2, options.settling) as one:
        memory_of_one = one.memory()
    with Proxy(program, folder, options.engines, options.settling) as proxy:
        return measure_fleet(proxy, memory_of_one, options)


def measure_fleet(proxy: Proxy, memory_of_one: int, options: argparse.Namespace) -> dict[str, float]:
    found: dict[str, float] = {}
    found["start, ms"] = proxy.start_ms
    idle = proxy.memory()
    found["memory with 2 Engines, KiB"] = memory_of_one
    found["memory with all Engines, KiB"] = idle
    # The proxy has asked each one how it is meanwhile, and keeps the connection.
    found["memory for each Engine, bytes"] = (idle - memory_of_one) * 1024 / (options.engines - 2)

    before = proxy.cpu_us()
    time.sleep(options.idle)
    found["CPU of an idle fleet, us each second"] = (proxy.cpu_us() - before) / options.idle
    found["CPU for each idle Engine, us each second"] = found["CPU of an idle fleet, us each second"] / options.engines

    single = Clients(proxy.port, 1)
    single.ask(range(options.engines), lambda number: number, "/info", b"{}")
    single.close()
    used = proxy.memory()
    clients = Clients(proxy.port, options.connections)
    opened = proxy.memory()
    clients.ask(range(options.connections), lambda number: number % options.engines, "/info", b"{}")
    found["memory for each idle client, bytes"] = (proxy.memory() - used) * 1024 / options.connections
    found["memory, all clients connected, KiB"] = opened

    for name, engine_of in (
        ("the default Engine", lambda number: 0),
        ("one Engine by its path", lambda number: 1),
        ("all Engines in turn", lambda number: number % options.engines),
    ):
        before = proxy.cpu_us()
        clients.ask(range(options.requests), engine_of, "/info", b"{}")
        found[f"CPU for each request, {name}, us"] = (proxy.cpu_us() - before) / options.requests

    settled = proxy.memory()
    before = proxy.cpu_us()
    clients.ask(range(options.streams), lambda number: number % options.engines, "/events", HEAD_END)
    found["CPU to open each stream, us"] = (proxy.cpu_us() - before) / options.streams
    found["more for each open stream, bytes"] = (proxy.memory() - settled) * 1024 / options.streams
    clients.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=str(ROOT / "build/docker-socket-proxy"))
    parser.add_argument("--engines", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--streams", type=int, default=7000)
    parser.add_argument("--requests", type=int, default=50000)
    parser.add_argument("--settling", type=float, default=SETTLING_S, help="seconds before memory is read; less: it is not settled")
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds for the CPU of an idle fleet")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.serve:
        serve_engines([f"{options.serve}/n{number}.sock" for number in range(options.engines)])
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        folder = Path(name)
        folder.chmod(folder.stat().st_mode | 0o055)
        words = [sys.executable, __file__, "--serve", name, "--engines", str(options.engines)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as engines:
            try:
                engines.stdout.readline()
                found = measure(options.program, folder, options)
            finally:
                engines.terminate()
    print(json.dumps({key: round(value, 2) for key, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
