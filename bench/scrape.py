#!/usr/bin/python3
"""What a scrape of the metrics costs, with as many series as many clients make.

    bench/scrape.py [PROGRAM]     (default build/docker-socket-proxy)

100 clients, each known by a key, send ten operations each, half of which are denied. Then the page is
asked for 200 times over one connection, as Prometheus does: how long it takes, CPU of the proxy for
each, and how long a client waits for a local 403 meanwhile. Results: docs/performance.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENTS, SCRAPES, SECONDS = 100, 200, 5
OPERATIONS = ["_ping", "version", "info", "containers/json", "images/json", "networks", "volumes", "events-x", "secrets", "configs"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def configuration(port: int, admin: int) -> str:
    clients = "".join(
        f"  - {{name: client-{i}, match: {{key_sha256: {hashlib.sha256(f'key of client {i}'.encode()).hexdigest()}}}, policy: deny}}\n"
        for i in range(CLIENTS)
    )
    return f"""listeners: [{{address: 'tcp://127.0.0.1:{port}', name: main, policy: deny}}]
clients:
{clients}admin: {{address: 'tcp://127.0.0.1:{admin}'}}
"""


def ask(connection: http.client.HTTPConnection, path: str, **headers: str) -> bytes:
    connection.request("GET", path, headers=headers)
    return connection.getresponse().read()


def series(port: int) -> None:
    for i in range(CLIENTS):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for operation in OPERATIONS:
            ask(connection, f"/{operation}", **{"X-Api-Key": f"key of client {i}"})
        connection.close()


def wait_much(port: int, seconds: float, found: multiprocessing.Queue) -> None:
    """How long a client waits, in ms, while others scrape."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    deadline, times = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        began = time.perf_counter()
        ask(connection, "/info")
        times.append((time.perf_counter() - began) * 1000)
    found.put(times)


def quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"median {statistics.median(ordered):.3f}, 99 of 100 {ordered[len(ordered) * 99 // 100]:.3f}, longest {ordered[-1]:.3f}"


def measure(port: int, admin: int, pid: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admin)
    page = ask(connection, "/metrics")
    before, times = cpu_seconds(pid), []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        ask(connection, "/metrics")
        times.append((time.perf_counter() - began) * 1000)
    spent = (cpu_seconds(pid) - before) / SCRAPES * 1000
    rows = page.count(b"docker_socket_proxy_requests_total{")
    print(f"page: {len(page)} bytes, {rows} series of requests_total")
    print(f"scrape, ms: {quantiles(times)}; CPU {spent:.2f}")
    for scrapers in (0, 1):
        found: multiprocessing.Queue = multiprocessing.Queue()
        client = multiprocessing.Process(target=wait_much, args=(port, SECONDS, found))
        client.start()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.01)
            if scrapers:
                ask(connection, "/metrics")
        result = found.get()
        client.join()
        print(f"a client's 403, ms, {'80 scrapes a second' if scrapers else 'without scrapes'}: {quantiles(result)}")


def main() -> None:
    program = sys.argv[1] if len(sys.argv) > 1 else "build/docker-socket-proxy"
    port, admin = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as engine:
        os.chmod(folder, 0o755)
        engine.bind(f"{folder}/engine.sock")
        os.chmod(f"{folder}/engine.sock", 0o666)
        engine.listen(128)
        stand_in = multiprocessing.Process(target=accept_all, args=(engine,), daemon=True)
        stand_in.start()
        Path(f"{folder}/proxy.yaml").write_text(configuration(port, admin))
        environment = {"SOCKET_PATH": f"{folder}/engine.sock", "WORKERS": "1", "LOG_LEVEL": "err", "PATH": os.environ["PATH"]}
        proxy = subprocess.Popen([program, "-c", f"{folder}/proxy.yaml"], env=environment)
        try:
            wait_for(port)
            series(port)
            measure(port, admin, proxy.pid)
        finally:
            proxy.terminate()
            proxy.wait()
            stand_in.terminate()


def accept_all(engine: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            engine.accept()[0].close()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise SystemExit("scrape.py: the proxy does not listen")


if __name__ == "__main__":
    main()
