"""Threads do everything at once: four workers, reloads, scrapes, readers of events, streams that come and go,
hand-overs. Under ThreadSanitizer (`make test STAGES=wire-tsan`) each access of two threads that nothing orders is
reported, and fails the test; without it the test is one of load."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine import free_port, public_folder
from operators import Admin, parse
from secure import Authority, connect, context
from test_takeover import Family
from wire import LAST_CHUNK, PATIENCE, STREAM_HEAD, Client, Engine, Proxy, Request, WireError, chunk, run_binary

SECONDS = float(os.environ.get("DSP_THREADS_SECONDS", "4"))
KEY = "a key with many letters"
FILE = """\
listeners:
- {{address: 'tcp://127.0.0.1:{port}', name: plain, policy: open}}
- {{address: 'unix://{path}', name: socket, policy: open}}
- {{address: 'tls://127.0.0.1:{tls}', name: secure, policy: open, tls: {{cert: {folder}/server.pem, key: {folder}/server-key.pem}}}}
{more}policies:
  some: {{rules: [{{allow: [container.list, {side}]}}]}}
  seen: {{mode: observe, rules: [{{allow: [system.ping]}}]}}
clients:
- {{name: ci, match: {{key_sha256: {key}}}, policy: some, limits: {{requests: 100, rate: 1000/s}}}}
- {{name: local, match: {{uid: [{uid}]}}, policy: seen, limits: {{streams: 50}}}}
admin: {{address: 'unix://{admin}'}}
audit: {{path: {folder}/audit.jsonl, chain: true}}
watch: true
log_level: notice
"""


class Served(Family):
    """A family that is configured by a file, which is written anew."""

    def __init__(self, start: Callable[..., Proxy], folder: str):
        super().__init__(start, folder)
        self.folder = Path(self.path).parent
        self.tls, self.further = free_port(), free_port()
        self.authority = Authority(self.folder)
        self.renewing = threading.Lock()
        self.rotated: list[str] = []
        self.renew()
        self.number = 0
        self.write()

    def settings(self, **more: str) -> dict[str, str]:
        return more

    def renew(self) -> None:
        with self.renewing:
            os.chmod(self.authority.server().key, 0o644)

    def write(self) -> None:
        self.number += 1
        more = f"- {{address: 'tcp://127.0.0.1:{self.further}', policy: deny}}\n" if self.number % 3 == 0 else ""
        text = FILE.format(
            port=self.port, path=self.path, tls=self.tls, folder=self.folder, more=more, uid=os.getuid(),
            side=("image.list", "volume.list")[self.number % 2], key=hashlib.sha256(KEY.encode()).hexdigest(),
            admin=self.admin_path,
        )
        beside = self.folder / "proxy.new"
        beside.write_text(text)
        os.replace(beside, self.folder / "proxy.yaml")

    def verify_record(self) -> None:
        files = [*self.rotated, f"{self.folder}/audit.jsonl"]
        done = run_binary("verify-audit", *[file for file in files if os.path.exists(file)], timeout=4 * PATIENCE)
        assert done.returncode == 0, done.stdout

    @property
    def arguments(self) -> tuple[str, ...]:
        return "-c", str(self.folder / "proxy.yaml"), "--workers", "4"


class Crew:
    """Works that are done again and again, each by a thread of its own."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.threads: list[threading.Thread] = []

    def add(self, work: functools.partial, times: int = 1) -> None:
        for _ in range(times):
            self.threads.append(threading.Thread(target=self._repeat, args=(work,), daemon=True))

    def _repeat(self, work: functools.partial) -> None:
        while not self.over.is_set():
            try:
                work()
                self.done[work.func.__name__] += 1
            except (OSError, AssertionError, WireError) as error:
                self.failures.append(f"{work.func.__name__}: {error!r}")

    def __enter__(self) -> Crew:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)


def answer(request: Request) -> None:
    """What an Engine says: streams go on until their client leaves, or for a few messages."""
    if request.target.startswith(("/events", "/containers/web/logs")):
        # A stream that an operator or a reload has ended before the Engine says anything is gone.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            request.conn.send(STREAM_HEAD + chunk(b"{}\n"))
            if request.target.endswith("short"):
                request.conn.send(chunk(b"last") + LAST_CHUNK)
                request.conn.idle = True
    elif request.target == "/version":
        request.respond(body=json.dumps({"Version": "20.10.24", "ApiVersion": "1.41"}).encode())
    else:
        request.respond(body=b"[]")


class Load:
    """What clients and operators do."""

    def __init__(self, served: Served, current: Callable[[], Proxy]):
        self.served, self.current = served, current

    def _client(self) -> Client:
        return self.current().connect()

    def requests(self) -> None:
        with self._client() as client:
            for target, headers, statuses in (
                ("/_ping", (), {200}), ("/containers/json", (f"x-api-key: {KEY}",), {200}),
                ("/images/json", (f"x-api-key: {KEY}",), {200, 403}), ("/info", ("Connection: close",), {200}),
            ):
                client.get(target, headers=headers)
                response = client.response()
                assert response.status in statuses, (target, response.status, response.body)
                if response.header("Connection") == "close":
                    return

    def wrong_keys(self) -> None:
        with self._client() as client:
            client.get("/_ping", headers=("x-api-key: another one",))
            assert client.response().status in (401, 429)
        time.sleep(0.1)

    def local_requests(self) -> None:
        with self.served.over_unix() as client:
            for target in ("/_ping", "/containers/json", "/containers/web/logs?tail=short"):
                client.get(target)
                response = client.response()
                assert response.status == 200, (target, response.status, response.body)
                if response.header("Connection") == "close":
                    return

    def secure_requests(self) -> None:
        settings = context(self.served.authority)
        with connect(self.current(), settings, port=self.served.tls) as client:
            client.get("/_ping", headers=("Connection: close",))
            assert client.response().status == 200

    def streams(self) -> None:
        """Some are left by their clients, some are ended by the operator."""
        with self._client() as client:
            client.get("/events")
            assert client.read_response_head().status == 200
            client.expect(chunk(b"{}\n"))
            time.sleep(random.random())

    # Operators: their connections end with the process, which is no failure.

    def pages(self) -> None:
        target = random.choice(["/metrics", "/api/state", "/health", "/ready", "/"])
        response = self.served.admin.get(target)
        assert response.status in (200, 503), (target, response.status, response.body)
        if target == "/metrics":
            parse(response.body.decode())

    def readers(self) -> None:
        with self.served.admin.connect() as client:
            client.get("/api/events")
            assert client.read_response_head().status == 200
            client.sock.settimeout(0.2)
            until = time.monotonic() + 2 * random.random()
            while time.monotonic() < until and client.sock.recv(65536):
                pass

    def deaf_readers(self) -> None:
        with self.served.admin.connect() as client:
            client.get("/api/events")
            time.sleep(1)

    def ends(self) -> None:
        """An operator ends streams that have begun: clients of others would see it as a failure."""
        streams = self.served.admin.state()["streams"]
        events = [row for row in streams if row["operation"] == "system.events" and row["bytes"]["to_client"] > 0]
        for row in events[:3]:
            assert self.served.admin.post(f"/api/streams/{row['id']}/close").status in (204, 404)
        time.sleep(0.2)

    def reloads(self) -> None:
        self.served.write()
        assert self.served.admin.post("/api/reload").status in (200, 409, 503)
        time.sleep(0.05)

    def rotations(self) -> None:
        """logrotate. A process looks for another file once a second, and must find each."""
        record = self.served.folder / "audit.jsonl"
        if record.exists():
            os.replace(record, self.served.folder / f"audit.jsonl.{len(self.served.rotated)}")
            self.served.rotated.append(f"{record}.{len(self.served.rotated)}")
        time.sleep(3)

    def renewals(self) -> None:
        """The certificate is another one, which `watch` sees."""
        self.served.renew()
        time.sleep(0.7)

    clients = (requests, wrong_keys, local_requests, secure_requests, streams)
    operators = (pages, readers, deaf_readers, ends, reloads, rotations, renewals)


@pytest.fixture
def place() -> Iterator[str]:
    path = public_folder("threads-")
    yield path
    shutil.rmtree(path)


def test_threads_do_everything_at_once(start: Callable[..., Proxy], place: str, own_engine: Engine) -> None:
    """No client's request fails, no process reports a race, and the record of all of them is one whole chain.
    DSP_THREADS_SECONDS says how long."""
    served = Served(start, place)
    processes = [served.first(*served.arguments)]
    load = Load(served, lambda: processes[-1])
    clients, operators = Crew(), Crew()
    for work in Load.clients:
        clients.add(functools.partial(work, load), times=2)
    for work in Load.operators:
        operators.add(functools.partial(work, load))
    names = {work.__name__ for work in (*Load.clients, *Load.operators)}
    until = time.monotonic() + SECONDS
    with own_engine.responding(answer), clients, operators:
        while time.monotonic() < until or (
            names > clients.done.keys() | operators.done.keys() and time.monotonic() < until + PATIENCE
        ):
            time.sleep(2)
            with served.renewing:  # a pair that does not fit stops the start
                processes.append(served.next(processes[-1], *served.arguments))
    for process in processes[:-1]:
        process.wait_exit()
    processes[-1].stop()
    print(f"{len(processes)} processes, {dict(clients.done)}, {dict(operators.done)}")
    assert not clients.failures, clients.failures[:10]
    assert clients.done.keys() | operators.done.keys() == names, operators.failures[:10]
    served.verify_record()
