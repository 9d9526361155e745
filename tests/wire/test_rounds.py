"""What comes at once is handled in rounds: all is read, then judged, then sent. Each gets what is its own.

The proxy is stopped while everybody speaks, so that one turn of its loop finds all of it.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from wire import Client, Engine, Proxy, Request, Response, chunk, eventually

MANY = 75  # more than two rounds take


@contextmanager
def held(proxy: Proxy) -> Iterator[None]:
    proxy.process.send_signal(signal.SIGSTOP)
    eventually(lambda: proxy.status("State").startswith("T"), "the proxy to stop")
    try:
        yield
    finally:
        proxy.process.send_signal(signal.SIGCONT)


def many(stack: ExitStack, proxy: Proxy, count: int = MANY) -> list[Client]:
    return [stack.enter_context(proxy.connect()) for _ in range(count)]


# ---- Everything at once. ----


def sized(length: int) -> Callable[[Request, int], None]:
    return lambda request, number: request.respond(200, b"%d " % number * length)


def in_chunks(request: Request, number: int) -> None:
    request.conn.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"%d" % number) * 3 + b"0\r\n\r\n"
    )
    request.conn.idle = True


def to_the_end(request: Request, number: int) -> None:
    request.conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%d" % number)
    request.conn.close()


def after_an_interim(request: Request, number: int) -> None:
    request.conn.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    request.respond(200, b"%d" % number)


def not_at_all(request: Request, number: int) -> None:  # noqa: ARG001
    request.conn.close()


@dataclass
class Kind:
    name: str
    ask: str  # the request line, without the version, with a place for the number
    answer: Callable[[Request, int], None] | None  # None: the Engine is not asked
    status: int
    wanted: str  # the beginning of the body, with a place for the number
    body: bytes = b""
    fields: str = ""


KINDS = [
    Kind("small", "GET /containers/{}/json", sized(1), 200, "{} "),
    Kind("more than waits", "GET /containers/{}/json", sized(3000), 200, "{} {} {} "),
    Kind("large", "GET /containers/{}/json", sized(20_000), 200, "{} {} {} "),
    Kind("chunks", "GET /containers/{}/top", in_chunks, 200, "{0}{0}{0}"),
    Kind("until it closes", "GET /containers/{}/logs", to_the_end, 200, "{}"),
    Kind("interim", "GET /containers/{}/json", after_an_interim, 200, "{}"),
    Kind("no response", "POST /containers/{}/wait", not_at_all, 502, ""),
    Kind("body", "POST /containers/{}/update", sized(1), 200, "{} ", b"{}"),
    Kind("long body", "POST /containers/{}/update", sized(1), 200, "{} ", b'{"a":"' + b"x" * 20_000 + b'"}'),
    Kind("long head", "GET /containers/{}/json", sized(1), 200, "{} ", fields="X-Long: " + "x" * 6000 + "\r\n"),
    Kind("head", "HEAD /_ping?{}", sized(1), 200, ""),
    Kind("denied", "DELETE /images/n{}", None, 403, '{{"message":'),
    Kind("malformed", "GET /containers/{}\x01", None, 400, '{{"message":'),
    Kind("last", "GET /containers/{}/json", sized(1), 200, "{} ", fields="Connection: close\r\n"),
]


def head_of(kind: Kind, number: int) -> bytes:
    length = f"Content-Length: {len(kind.body)}\r\nContent-Type: application/json\r\n" if kind.body else ""
    line = kind.ask.format(number)
    return f"{line} HTTP/1.1\r\nHost: docker\r\n{kind.fields}{length}\r\n".encode() + kind.body


MOST = "policies: {most: {rules: [{deny: [image.remove]}, {allow: ['*']}]}}\npolicy: most\n"


@pytest.fixture
def configured(start, folder: str) -> Callable[[str], Proxy]:
    """A proxy with one thread, and with this configuration."""

    def start_one(text: str) -> Proxy:
        path = Path(folder, "rounds.yaml")
        path.write_text(text)
        return start("--workers", "1", env={"CONFIG": str(path)})

    return start_one


@pytest.fixture
def one(configured) -> Proxy:
    """With a policy that denies one operation."""
    return configured(MOST)


def number_of(request: Request) -> int:
    return int("".join(c for c in request.target.partition("/containers/")[2] or request.target if c.isdigit()))


def check(kind: Kind, number: int, response: Response) -> None:
    assert response.status == kind.status, (kind.name, number, response)
    text = response.body.decode()
    assert text.startswith(kind.wanted.format(*[number] * 3)), (kind.name, number, text[:80])
    if kind.wanted.startswith("{"):  # and no byte of another response
        assert set(text) <= set(f"{number} ") or kind.answer is None, (kind.name, number, text[:80])


def speak_at_once(proxy: Proxy, engine: Engine, clients: list[Client], kinds: list[Kind]) -> None:
    """All requests are there before the first is read, and all responses before the first is."""
    with held(proxy):
        for number, (client, kind) in enumerate(zip(clients, kinds, strict=True)):
            client.send(head_of(kind, number))
    asked = [engine.request() for kind in kinds if kind.answer]
    with held(proxy):
        for request in asked:
            kinds[number_of(request)].answer(request, number_of(request))


@pytest.mark.parametrize("turns", [1, 3])
def test_each_gets_what_is_its_own(one: Proxy, own_engine: Engine, turns: int) -> None:
    with ExitStack() as stack:
        clients = many(stack, one)
        for turn in range(turns):
            kinds = [KINDS[(number + turn) % (len(KINDS) - 1)] for number in range(len(clients))]
            if turn + 1 == turns:
                kinds = [KINDS[number % len(KINDS)] for number in range(len(clients))]
            speak_at_once(one, own_engine, clients, kinds)
            for number, (client, kind) in enumerate(zip(clients, kinds, strict=True)):
                check(kind, number, client.response(method=kind.ask.split()[0]))
                if kind.name in ("malformed", "until it closes", "no response"):
                    client.close()
                    clients[number] = stack.enter_context(one.connect())


def test_requests_and_responses_in_one_turn(one: Proxy, own_engine: Engine) -> None:
    """Half of the clients wait for a response while the others ask."""
    kind = KINDS[0]
    with ExitStack() as stack:
        clients = many(stack, one)
        waiting: list[Request] = []
        for turn in range(6):
            asking = [number for number in range(MANY) if number % 2 == turn % 2]
            with held(one):
                for request in waiting:
                    kind.answer(request, number_of(request))
                for number in asking:
                    clients[number].send(head_of(kind, number))
            for request in waiting:
                check(kind, number_of(request), clients[number_of(request)].response())
            waiting = [own_engine.request() for _ in asking]
        for request in waiting:
            kind.answer(request, number_of(request))


def test_several_in_one_write(one: Proxy, own_engine: Engine) -> None:
    """A request behind the first is judged after its response, as ever."""
    with ExitStack() as stack, own_engine.responding(lambda request: request.respond(200, request.target.encode())):
        clients = many(stack, one, 40)
        with held(one):
            for number, client in enumerate(clients):
                for part in range(3):
                    client.get(f"/containers/{number}-{part}/json")
        for number, client in enumerate(clients):
            for part in range(3):
                assert client.response().body == f"/containers/{number}-{part}/json".encode()


# ---- Some go before their turn comes. ----


@pytest.mark.parametrize("leave", ["close", "reset", "finish_sending"])
def test_who_leaves_in_the_same_turn_takes_nobody_along(one: Proxy, own_engine: Engine, leave: str) -> None:
    kind = KINDS[0]

    def answer(request: Request) -> None:
        with suppress(OSError):  # the proxy has let go with its client
            kind.answer(request, number_of(request))

    with ExitStack() as stack, own_engine.responding(answer):
        clients = many(stack, one)
        with held(one):
            for number, client in enumerate(clients):
                client.send(head_of(kind, number))
                if number % 2:
                    getattr(client, leave)()
        for number, client in enumerate(clients):
            if number % 2 == 0 or leave == "finish_sending":
                check(kind, number, client.response())
    eventually(lambda: one.open_files() < MANY, "the proxy to let go")


def test_an_engine_that_goes_in_the_same_turn(one: Proxy, own_engine: Engine) -> None:
    """With its responses half sent, sent, or not begun."""
    kind = KINDS[0]
    with ExitStack() as stack:
        clients = many(stack, one)
        with held(one):
            for number, client in enumerate(clients):
                client.send(head_of(kind, number))
        asked = [own_engine.request() for _ in clients]
        with held(one):
            for request in asked:
                number = number_of(request)
                if number % 3 == 0:
                    kind.answer(request, number)
                elif number % 3 == 1:
                    request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                request.conn.close()
        for number, client in enumerate(clients):
            if number % 3 == 0:
                check(kind, number, client.response())
            elif number % 3 == 1:
                client.read_until(b"half")
                client.expect_gone()
            else:
                assert client.response().status == 502


def test_each_has_its_line_and_its_record(configured, folder: str, own_engine: Engine) -> None:
    place = Path(folder, "rounds")
    place.mkdir()
    place.chmod(0o777)
    trail = place / "audit.jsonl"
    proxy = configured(f"{MOST}audit: {{path: {trail}}}\n")
    kinds = [kind for kind in KINDS if kind.name in ("small", "chunks", "denied", "no response", "large")]
    with ExitStack() as stack:
        clients = many(stack, proxy)
        chosen = [kinds[number % len(kinds)] for number in range(MANY)]
        speak_at_once(proxy, own_engine, clients, chosen)
        for client in clients:
            client.response()

    def records() -> list[dict]:
        return [json.loads(line) for line in trail.read_text().splitlines(True) if line.endswith("\n")]

    eventually(lambda: len(records()) == MANY, "the records")
    wanted = sorted((kind.status, str(number) if kind.answer else f"n{number}") for number, kind in enumerate(chosen))
    assert sorted((record["status"], record["target"].removeprefix("docker.io/library/")) for record in records()) == wanted
    paths = [(f"path=/containers/{number}/" if kind.answer else f"path=/images/n{number} ") for number, kind in enumerate(chosen)]
    eventually(lambda: all(sum(path in line for line in proxy.lines if " info " in line) == 1 for path in paths), "a line of each")


def test_what_ends_makes_room_for_what_comes(configured, own_engine: Engine) -> None:
    """A response that is there counts for no limit any more, and its Engine connection is free, before the next request is judged."""
    most = 16
    kind = KINDS[0]
    proxy = configured(f"policy: open\nlimits: {{requests: {most}}}\n")
    with ExitStack() as stack:
        clients = many(stack, proxy, 2 * most)
        for number in range(most):
            clients[number].send(head_of(kind, number))
        asked = [own_engine.request() for _ in range(most)]
        with held(proxy):
            for request in asked:
                kind.answer(request, number_of(request))
                clients[most + number_of(request)].send(head_of(kind, most + number_of(request)))
        for _ in range(most):
            request = own_engine.request()
            kind.answer(request, number_of(request))
        for number, client in enumerate(clients):
            check(kind, number, client.response())
        assert len(own_engine.conns) == most


@pytest.mark.parametrize("name", ["small", "long head"])
def test_the_engine_hears_of_the_end_of_a_client(one: Proxy, own_engine: Engine, name: str) -> None:
    """As of a client that comes alone."""
    kind = next(kind for kind in KINDS if kind.name == name)
    with ExitStack() as stack:
        clients = many(stack, one, 8)
        with held(one):
            for number, client in enumerate(clients):
                client.send(head_of(kind, number))
                client.finish_sending()
        for request in [own_engine.request() for _ in clients]:
            request.conn.expect_end()
            kind.answer(request, number_of(request))
        for number, client in enumerate(clients):
            check(kind, number, client.response())


def test_who_does_not_take_responses_counts_until_he_does(configured, own_engine: Engine) -> None:
    proxy = configured("policy: open\nlimits: {requests: 2}\n")
    body = b"x" * 3000
    with ExitStack() as stack, own_engine.responding(lambda request: request.respond(200, body)):
        stuck = []
        for _ in range(2):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", proxy.port))
            stuck.append(stack.enter_context(Client(sock)))
            stuck[-1].send_until_stuck(b"GET /info HTTP/1.1\r\nHost: docker\r\n\r\n" * 100)

        def status() -> int:
            with proxy.connect() as client:
                client.get("/info")
                return client.response().status

        eventually(lambda: status() == 429, "both to count")
        for client in stuck:
            client.reset()
        eventually(lambda: status() == 200, "neither to count")


def test_a_client_that_has_half_closed_gets_all_of_a_response_that_closes(one: Proxy, own_engine: Engine) -> None:
    """HTTP/1.0: the end of the connection is the end of the response, and no reset may take away what the client has not read."""
    length = 300_000
    with one.connect() as client:
        client.send(b"GET /containers/1/top HTTP/1.0\r\n\r\n")
        client.finish_sending()
        request = own_engine.request()
        request.conn.expect_end()
        request.conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * length) + b"0\r\n\r\n")
        one.wait_log(lambda line: "path=/containers/1/top" in line)
        client.read_until(b"\r\n\r\n")
        assert client.read(length) == b"x" * length
        client.expect_end()
