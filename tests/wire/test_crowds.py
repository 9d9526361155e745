"""One host takes all that it gets, with the defaults: others are served, memory has its ceiling and goes back."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crowd import Crowd, largest_crowd
from machine import free_port
from secure import Authority, context
from test_client_limits import from_host
from test_memory import SOON, held_kib, idle_kib
from tls_socket import TlsSocket
from wire import Client, Engine, Proxy, Request, eventually, sanitized

MOST = 20000  # connections that come
HEAD = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nX-Long: " + b"x" * 1000
ROUNDS = 50
# A request of a bystander takes milliseconds; this machine may be slow as well, and the crowd runs on it.
PROMPT = 10

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"

pytestmark = pytest.mark.skipif(largest_crowd() < MOST, reason="needs more open files")


def ceiling_kib(what: str) -> float:
    """What a connection holds at most, as the document says it."""
    row = re.search(rf"^\| {re.escape(what)} \| ([\d.]+) KiB \|", ARCHITECTURE.read_text(), re.MULTILINE)
    assert row, f"docs/architecture.md has no row '{what}'"
    return float(row[1])


def allowed(proxy: Proxy) -> int:
    """How many connections one host gets."""
    files = int(re.search(r"open files +(\d+)", Path(f"/proc/{proxy.pid}/limits").read_text())[1])
    most = min(MOST, files - 64)
    return most - most // 8


class Bystanders:
    """Clients at other addresses, each with a connection of its own; and one that has been there before."""

    def __init__(self, proxy: Proxy, arrive: Callable[[int], Client] | None = None) -> None:
        self.arrive = arrive or (lambda number: from_host(proxy, f"127.0.1.{number + 1}"))
        self.old = self.arrive(200)
        self.seconds: list[float] = []
        self.ask(self.old)

    def ask(self, client: Client) -> None:
        client.get("/_ping")
        assert client.response().status == 200

    def go_on(self) -> None:
        """One after the other, and note how long each takes."""
        for number in range(ROUNDS):
            began = time.monotonic()
            with self.arrive(number) as client:
                self.ask(client)
            self.seconds.append(time.monotonic() - began)
            self.ask(self.old)

    def verdict(self) -> str:
        worst, middle = max(self.seconds), statistics.median(self.seconds)
        assert worst < PROMPT, f"{worst:.3f} s"
        return f"median {middle * 1e3:.1f} ms, worst {worst * 1e3:.1f} ms"


def stays_below(proxy: Proxy, idle: int, connections: int, each: float) -> str:
    """Of the proxy's own memory, with a MiB for what is made once."""
    held = held_kib(proxy) - idle
    assert sanitized() or held <= connections * each + 1024, f"{held / connections:.2f} KiB each"
    return f"{held / connections:.2f} KiB each"


def goes_back(proxy: Proxy, idle: int, most_kib: int = 1024) -> None:
    if not sanitized():
        eventually(lambda: held_kib(proxy) - idle <= most_kib, f"at most {most_kib} KiB more than idle", SOON)


def test_heads_that_never_end(start, own_engine: Engine) -> None:
    """Long deadlines, so that all of them are there at once; who is cut off comes again."""
    proxy = start("--head-timeout", str(SOON))
    idle, most = idle_kib(proxy, own_engine), allowed(proxy)
    with own_engine.responding():
        others = Bystanders(proxy)
        with Crowd(proxy.port, MOST, HEAD, at_once=100, pause=1) as crowd:
            report = eventually(lambda: (now := crowd.report())["open"] >= most - 10 and now, f"{most} inside", SOON)
            others.go_on()
            print("memory:", stays_below(proxy, idle, most, ceiling_kib("part of a head, up to 4 KiB")))
            assert crowd.report()["429"] > 0 and not report["200"], report
        print("latency:", others.verdict(), "beside", report["open"])
    goes_back(proxy, idle)


SLOW = 2000


def test_heads_with_a_byte_now_and_then(start, own_engine: Engine) -> None:
    """Their deadlines do not move, and all of them come again."""
    proxy = start()
    idle = idle_kib(proxy, own_engine)
    with own_engine.responding():
        others = Bystanders(proxy)
        with Crowd(proxy.port, SLOW, HEAD, at_once=100, drip=1, pause=1) as crowd:
            eventually(lambda: crowd.report()["open"] >= SLOW / 2, "half of them", SOON)
            others.go_on()
            eventually(lambda: crowd.report()["408"] > SLOW, "the deadline of each", SOON)
            print("memory:", stays_below(proxy, idle, SLOW, ceiling_kib("part of a head, up to 4 KiB")))
            others.go_on()
        print("latency:", others.verdict())
    goes_back(proxy, idle)


FEW_FILES = 4096
STEP = 500  # fewer than wait in the Engine's accept queue
EXPORT = b"GET /containers/web/export HTTP/1.1\r\nHost: docker\r\n\r\n"


def test_readers_that_never_read(start, own_engine: Engine) -> None:
    """Each has a connection to the Engine as well: descriptors are left for others."""
    proxy = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES)))
    idle = idle_kib(proxy, own_engine)
    stuck: list[Request] = []

    def answer(request: Request) -> None:
        if request.target == "/_ping":
            request.respond()
            return
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        request.conn.sock.setblocking(False)
        for _ in range(8):
            with contextlib.suppress(OSError):
                request.conn.sock.send(b"x" * 100_000)
        stuck.append(request)

    with own_engine.responding(answer), contextlib.ExitStack() as crowds:
        others = Bystanders(proxy)

        def come(count: int) -> None:
            crowds.enter_context(Crowd(proxy.port, count, EXPORT, reads=False))

        for number in range(1, 4):
            come(STEP)
            eventually(lambda number=number: len(stuck) == number * STEP, "a response for each", SOON)
        come(FEW_FILES)
        proxy.wait_log(lambda line: "the last ones are kept for others" in line, what="about too many")
        others.go_on()
        print("memory:", stays_below(proxy, idle, len(stuck), ceiling_kib("a response that is not read, 256 KiB for the first 1,024")))
        print("latency:", others.verdict(), "beside", len(stuck))
        crowds.close()
        eventually(lambda: proxy.open_files() < 200, "the proxy to let go of them")
    goes_back(proxy, idle)


GREETERS = 5000


@pytest.fixture
def tls_proxy(start, tmp_path: Path) -> Iterator[tuple[Proxy, Authority]]:
    os.chmod(tmp_path, 0o755)
    authority = Authority(tmp_path)
    server, port, path = authority.server(), free_port(), tmp_path / "proxy.yaml"
    path.write_text(
        f"listeners: [{{address: 'tls://127.0.0.1:{port}', policy: open, tls: {{cert: {server.path}, key: {server.key}}}}}]\n"
    )
    yield start("-c", str(path), "--workers", "2", port=port), authority


@pytest.mark.parametrize("drip", [0, 0.5], ids=["half a hello", "a byte now and then"])
def test_handshakes_of_one_host(tls_proxy, own_engine: Engine, drip: float) -> None:
    """512 at once in each thread; the oldest one makes room, and all of them come again."""
    proxy, authority = tls_proxy
    settings = context(authority)

    def arrive(number: int) -> Client:
        sock = from_host(proxy, f"127.0.1.{number + 1}").sock
        return Client(TlsSocket(sock, settings).handshake())

    with own_engine.responding():
        others = Bystanders(proxy, arrive)
        others.go_on()
        others.seconds.clear()
        idle = held_kib(proxy)
        with Crowd(proxy.port, GREETERS, client_hello(settings), at_once=100, drip=drip, pause=1) as crowd:
            eventually(lambda: crowd.report()["ended"] > GREETERS, "all to have come, and many again", SOON)
            print("memory:", stays_below(proxy, idle, 1024, ceiling_kib("a handshake of TLS")))
            others.go_on()
            assert crowd.report()["open"] < GREETERS
        print("latency:", others.verdict())
    goes_back(proxy, idle, 3072)  # pages of the heap that something else is on; 2,288 KiB were seen


def client_hello(settings: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        settings.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()
