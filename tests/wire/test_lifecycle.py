"""Start and stop: privileges, an Engine it may not open, a stale bind mount, and a stop that loses
nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time

import pytest

from machine import free_port
from wire import (
    PATIENCE,
    EndOfStream,
    Engine,
    Proxy,
    Stream,
    chunk,
    eventually,
    open_stream,
    refuses_connection,
    sanitized,
    unread,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to hand over privileges")


# stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_when_idle_is_immediate(start, own_engine: Engine, number: int) -> None:
    """docker stop must not wait for its ten seconds and a kill, nor for the grace."""
    proxy = start("--shutdown-grace", "600")
    with proxy.connect() as idle, proxy.connect() as kept:
        kept.get("/one")
        own_engine.request().respond()
        kept.response()
        began = time.monotonic()
        proxy.process.send_signal(number)
        idle.expect_end()
        kept.expect_end()
        assert proxy.wait_exit() == 0
        assert time.monotonic() - began < 5


def test_stop_before_the_first_client(start) -> None:
    proxy = start()
    proxy.terminate()
    assert proxy.wait_exit() == 0


def test_stop_finishes_what_is_short(start, own_engine: Engine) -> None:
    """An accepted request gets its whole response; new requests are not accepted."""
    proxy = start()
    with proxy.connect() as client:
        client.get("/slow")
        request = own_engine.request()
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        client.read_until(b"half")
        request.conn.send(b"rest")
        client.expect(b"rest")
        client.expect_end()
    assert proxy.wait_exit() == 0


def test_stop_lets_an_upload_end(start, own_engine: Engine) -> None:
    proxy = start()
    with proxy.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: docker\r\nContent-Length: 8\r\n\r\nhalf")
        request = own_engine.head()
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        client.send(b"rest")
        request.conn.expect(b"halfrest")
        request.respond(body=b"done")
        assert client.response().body == b"done"
        client.expect_end()
    assert proxy.wait_exit() == 0


def test_stop_responds_to_clients_that_have_connected(start, own_engine: Engine) -> None:
    """A restart under load: a client in the queue of the listener is served, not refused or reset: it may not ask again."""
    proxy = start("--workers", "1")
    with own_engine.responding():
        proxy.process.send_signal(signal.SIGSTOP)
        proxy.terminate()
        clients = [proxy.connect() for _ in range(400)]  # more than are accepted in a turn
        for client in clients:
            client.get("/version", headers=["Connection: close"])
        proxy.process.send_signal(signal.SIGCONT)
        assert {client.response().status for client in clients} == {200}
        for client in clients:
            client.close()
        assert proxy.wait_exit() == 0


def test_stop_responds_to_clients_that_are_about_to_ask(start, own_engine: Engine) -> None:
    """A restart under load: a client whose new connection just ends takes that for a failure, and does not ask again."""
    proxy = start("--shutdown-grace", "600")
    with own_engine.responding(), proxy.connect() as silent, proxy.connect() as client:
        began = time.monotonic()
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        client.get("/version")
        response = client.response()
        assert response.status == 200 and response.header("Connection") == "close"
        client.close()
        silent.expect_end()
        assert proxy.wait_exit() == 0
        assert time.monotonic() - began < 5, "one that does not ask is waited for a second"


# Between the calls with which a listener is given up a busy machine may take the CPU away.
DELAYED = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=epoll_ctl",
           "-e", "inject=epoll_ctl:delay_exit=100000"]  # µs


def can_delay_calls() -> bool:
    return subprocess.run([*DELAYED, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(sanitized(), reason="LeakSanitizer does not work under strace")
@pytest.mark.skipif(not can_delay_calls(), reason="needs strace and the right to use it")
def test_stop_resets_nobody_who_connects(start) -> None:
    """Whoever connects while it stops is refused, or gets an end: a reset looks like a failure of
    the request."""
    port = free_port()
    proxy = start("--workers", "1", "--listen", f"tcp://127.0.0.1:{port}", prefix=DELAYED, ready=False)
    proxy.wait_log(lambda line: "policy 'open'" in line, what="about its listener")
    proxy.terminate()
    proxy.wait_log(lambda line: "stopping" in line, what="of the signal")
    clients = []
    for _ in range(12):
        try:
            clients.append(socket.create_connection(("127.0.0.1", port), PATIENCE))
        except ConnectionRefusedError:
            break
        time.sleep(0.15)  # the next comes after one of those calls has begun, and before its end
    assert clients
    for client in clients:
        assert client.recv(1) == b"", "and not ConnectionResetError"
        client.close()
    assert proxy.wait_exit() == 0


def test_last_response_says_close(start, own_engine: Engine) -> None:
    """A client that keeps connections learns not to send its next request here."""
    proxy = start()
    with proxy.connect() as client:
        client.get("/slow")
        request = own_engine.request()
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        request.respond()
        assert (client.response().header("Connection") or "").lower() == "close"
        client.expect_end()
    assert proxy.wait_exit() == 0


def test_stop_closes_streams_after_the_grace(start, own_engine: Engine) -> None:
    """Streams never end by themselves: they get the grace (here longer than the default, so that
    a slow machine has time to send in it), and then the end."""
    grace = 6
    proxy = start("--shutdown-grace", str(grace))
    with proxy.connect() as events, proxy.connect() as tunnel:
        events.get("/events")
        events_conn = own_engine.request().conn
        events_conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        tunnel.post("/containers/x/attach", headers=["Connection: Upgrade", "Upgrade: tcp"])
        tunnel_conn = own_engine.request().conn
        tunnel_conn.send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        pairs = [(events, events_conn), (tunnel, tunnel_conn)]
        for client, _ in pairs:
            client.read_response_head()
        began = time.monotonic()
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        for client, conn in pairs:
            conn.send(chunk(b"within the grace"))
            client.expect(chunk(b"within the grace"))
        for client, conn in pairs:
            client.expect_gone()
            conn.expect_gone()
        assert grace - 0.2 < time.monotonic() - began < 3 * grace
    assert proxy.wait_exit() == 0


@pytest.mark.parametrize("grace", ["0", "1"])
def test_stop_through_the_proxy_itself_gets_a_response(start, own_engine: Engine, grace: str) -> None:
    """An updater asks the Engine to stop the container of the proxy: the Engine responds when the
    proxy has ended. The client is told, and the log says which request it was."""
    proxy = start("--shutdown-grace", grace)
    with proxy.connect() as client, proxy.connect() as uploading, proxy.connect() as begun:
        begun.send(b"GET /info HTTP/1.1\r\n")
        uploading.send(b"POST /build HTTP/1.1\r\nHost: docker\r\nContent-Length: 8\r\n\r\nhalf")
        upload = own_engine.head()
        client.post("/containers/proxy/stop")
        request = own_engine.request()
        eventually(lambda: unread(begun.sock) == 0, "the proxy to read half a head")
        proxy.terminate()
        for stream, conn in ((client, request.conn), (uploading, upload.conn)):
            response = stream.response()
            assert response.status == 503
            assert "shutting down" in response.message() and "Engine" in response.message()
            assert (response.header("Connection") or "").lower() == "close"
            assert response.header("Retry-After") == "1", "the next process of the container responds"
            stream.expect_end()
            conn.expect_gone()
        response = begun.response()
        assert response.status == 503, "the rest of its head has not come"
        assert response.header("Retry-After") == "1"
    assert proxy.wait_exit() == 0
    line = proxy.wait_log(lambda line: "path=/containers/proxy/stop" in line, what="of the request")
    assert "status=503" in line and "shutting down" in line


def test_stop_does_not_wait_for_a_pending_client(start, own_engine: Engine) -> None:
    """The 503 is the last word: a client that neither reads it nor closes does not keep a container
    from stopping."""
    proxy = start("--shutdown-grace", "0")
    with proxy.connect() as client:
        client.post("/containers/proxy/stop")
        own_engine.request()
        began = time.monotonic()
        proxy.terminate()
        assert proxy.wait_exit() == 0
        assert time.monotonic() - began < 4  # LINGER alone would take five seconds
        assert client.response().status == 503


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_signals_of_other_programs_are_ignored(start, own_engine: Engine, number: signal.Signals) -> None:
    """kill -USR1 is what people try to reopen logs with: no stream may end."""
    proxy = start("--shutdown-grace", "600")
    with proxy.connect() as client:
        conn = open_stream(client, own_engine)
        for _ in range(2):
            before = len(proxy.lines)
            proxy.process.send_signal(number)
            proxy.wait_log(
                lambda line: f"{number.name}: ignored" in line, before, what="of the signal"
            )
        conn.send(chunk(b"still here"))
        client.expect(chunk(b"still here"))
        proxy.terminate()
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        proxy.process.send_signal(number)
        conn.send(chunk(b"and within the grace") + b"0\r\n\r\n")
        client.expect(chunk(b"and within the grace"))
    assert proxy.wait_exit() == 0


@pytest.mark.parametrize(
    "version,response",
    [
        ("1.1", b"HTTP/1.1 200 OK\r\n\r\npart"),
        ("1.0", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"part")),
    ],
)
def test_stop_resets_responses_that_end_with_the_connection(
    start, own_engine: Engine, version: str, response: bytes
) -> None:
    """docker save must fail, not write half an image: there a close would say that it is whole."""
    proxy = start("--shutdown-grace", "0")
    with proxy.connect() as client:
        client.get("/images/get", version=version)
        own_engine.request().conn.send(response)
        client.read_until(b"part")
        proxy.terminate()
        with pytest.raises(EndOfStream, match="reset"):
            client.read_to_end()
    assert proxy.wait_exit() == 0


def test_second_signal_ends_it_at_once(start, own_engine: Engine) -> None:
    """Ctrl-C twice is a person who does not want to wait."""
    proxy = start("--shutdown-grace", "600")
    with proxy.connect() as client:
        open_stream(client, own_engine)
        proxy.process.send_signal(signal.SIGINT)
        eventually(lambda: refuses_connection(proxy.port), "the listener to close")
        proxy.process.send_signal(signal.SIGINT)
        proxy.process.wait(PATIENCE)
        client.expect_gone()
    proxy.process.returncode = 0  # how it ends is its own affair here


def test_log_pipe_that_nobody_reads_does_not_kill_it(start, own_engine: Engine) -> None:
    """docker logs driver gone, `| head` ended: SIGPIPE on stdout must not take the proxy down."""
    reader, writer = os.pipe()
    os.close(reader)
    proxy = start(stdout=writer, stderr=writer)
    os.close(writer)
    for target in ("/one", "/two"):
        with proxy.connect() as client:
            client.get(target)
            own_engine.request().respond()
            assert client.response().status == 200
    assert proxy.process.poll() is None


def test_client_that_resets_while_written_to_does_not_kill_it(proxy: Proxy, engine: Engine) -> None:
    """SIGPIPE again, on a client this time."""
    client = proxy.connect()
    client.get("/images/get")
    conn = engine.request().conn
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.read_response_head()
    client.reset()
    while conn.send_through(chunk(b"x" * 65536)):
        pass
    with proxy.connect() as other:
        other.get("/one")
        engine.request().respond()
        assert other.response().status == 200


# privileges


def serves(proxy: Proxy) -> None:
    """It has responded, so everything that comes before the first byte of a client is done."""
    with proxy.connect() as client:
        client.get("/health")
        client.response()


def ids(proxy: Proxy) -> tuple[list[int], list[int], list[int]]:
    serves(proxy)
    return tuple(
        [int(word) for word in proxy.status(name).split()] for name in ("Uid", "Gid", "Groups")
    )


@as_root
def test_root_drops_to_nobody_with_the_group_of_the_socket(start, own_engine: Engine) -> None:
    """Who breaks into the proxy is not root; the socket's group is all that is kept."""
    os.chown(own_engine.path, 0, 4242)
    os.chmod(own_engine.path, 0o660)
    proxy = start()
    uids, gids, groups = ids(proxy)
    assert uids == [65532] * 4
    assert set(gids) <= {65532, 4242}
    assert set(groups) <= {65532, 4242}
    assert 4242 in set(gids) | set(groups)
    assert proxy.status("NoNewPrivs") == "1"
    assert int(proxy.status("CapEff"), 16) == int(proxy.status("CapPrm"), 16) == 0
    with proxy.connect() as client:
        client.get("/one")
        own_engine.request().respond()
        assert client.response().status == 200


@as_root
def test_every_thread_has_dropped(start, own_engine: Engine) -> None:
    os.chown(own_engine.path, 0, 4242)
    os.chmod(own_engine.path, 0o660)
    proxy = start("--workers", "3")
    serves(proxy)
    for task in os.listdir(f"/proc/{proxy.pid}/task"):
        lines = open(f"/proc/{proxy.pid}/task/{task}/status").read().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert fields["Uid"].split() == ["65532"] * 4
        assert fields["NoNewPrivs"].strip() == "1"


@as_root
def test_root_stays_where_dropping_would_lose_the_socket(start, own_engine: Engine) -> None:
    """root:root 0600, as some distributions have it: it works, and the log says why it is root."""
    os.chmod(own_engine.path, 0o600)
    proxy = start()
    assert ids(proxy)[0] == [0] * 4
    assert proxy.status("NoNewPrivs") == "1"
    line = proxy.wait_log(lambda line: "root" in line, what="that says why")
    assert own_engine.path in line
    with proxy.connect() as client:
        client.get("/one")
        own_engine.request().respond()
        assert client.response().status == 200


@as_root
def test_anyone_else_stays_that(start, own_engine: Engine) -> None:
    proxy = start(user=12345, group=12346, extra_groups=[])
    uids, gids, _ = ids(proxy)
    assert (uids, gids) == ([12345] * 4, [12346] * 4)
    assert proxy.status("NoNewPrivs") == "1"


@as_root
def test_socket_it_may_not_open_is_explained(start, own_engine: Engine) -> None:
    """The most frequent first failure: which file, whose, who we are, and the line that mends
    it."""
    os.chown(own_engine.path, 0, 4242)
    os.chmod(own_engine.path, 0o660)
    proxy = start(user=12345, group=12346, extra_groups=[])
    with proxy.connect() as client:
        client.get("/one")
        response = client.response()
        assert response.status == 502
        message = response.message()
    log = proxy.wait_log(lambda line: "--group-add" in line, what="with the way out")
    for text in (message, log):
        assert own_engine.path in text
        assert "0660" in text
        assert "12345" in text and "12346" in text, "who we are"
        assert "--group-add 4242" in text or "--group-add=4242" in text


def test_socket_without_any_permission_is_explained(start, own_engine: Engine) -> None:
    """The same without being root: even the owner needs write permission."""
    os.chmod(own_engine.path, 0)
    proxy = start() if os.geteuid() else start(user=12345, group=12346, extra_groups=[])
    with proxy.connect() as client:
        client.get("/one")
        message = client.response().message()
        assert own_engine.path in message
        assert "0000" in message


def test_missing_socket_is_named(start, own_engine: Engine) -> None:
    own_engine.stop()
    proxy = start()
    with proxy.connect() as client:
        client.get("/one")
        response = client.response()
        assert response.status == 502
        assert own_engine.path in response.message()
    own_engine.start()


def test_something_that_is_no_socket_is_named(start, own_engine: Engine, folder: str) -> None:
    """docker makes a directory of a bind mount whose source does not exist."""
    path = f"{folder}/directory.sock"
    os.mkdir(path)
    proxy = start(env={"SOCKET_PATH": path})
    with proxy.connect() as client:
        client.get("/one")
        response = client.response()
        assert response.status == 502
        assert path in response.message()
        assert "directory" in response.message() or "not a socket" in response.message()
    os.rmdir(path)


def can_mount() -> bool:
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@as_root
@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_stale_bind_mount_is_recognised(start, own_engine: Engine, folder: str) -> None:
    """-v /var/run/docker.sock:… pins an inode; after an Engine restart only a new container sees
    the new one."""
    mounted = f"{folder}/mounted.sock"
    open(mounted, "w").close()
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    proxy = start(
        env={"SOCKET_PATH": mounted},
        prefix=["unshare", "-m", "sh", "-c", script, "sh", own_engine.path, mounted],
    )
    with proxy.connect() as client:
        client.get("/one")
        own_engine.request().respond()
        assert client.response().status == 200
    own_engine.stop()
    own_engine.start()
    with proxy.connect() as client:
        client.get("/two")
        response = client.response()
        assert response.status == 502
        message = response.message()
        assert mounted in message
        assert "stale" in message.lower() or "restart" in message.lower(), message
        assert "mount" in message.lower(), message
    os.unlink(mounted)


def test_mount_of_the_folder_survives_a_restart(start, own_engine: Engine) -> None:
    """The advice that follows from a stale mount: mount the folder. A new inode at the path is
    used."""
    proxy = start()
    for _ in range(2):
        with proxy.connect() as client:
            client.get("/one")
            own_engine.request().respond()
            assert client.response().status == 200
        inode = os.stat(own_engine.path).st_ino
        os.link(
            own_engine.path, own_engine.path + ".old"
        )  # so that the number is not given out again
        own_engine.stop()
        own_engine.start()
        os.unlink(own_engine.path + ".old")
        assert os.stat(own_engine.path).st_ino != inode


@pytest.mark.parametrize("closed", [[2], [1, 2], [0, 1, 2]], ids=str)
def test_streams_closed_by_the_parent_are_nobody_elses(
    start, own_engine: Engine, closed: list[int]
) -> None:
    """A descriptor that is free becomes a listener's, then a pipe's, and gets the log in its
    stead."""

    def close_streams() -> None:
        for fd in closed:
            os.close(fd)

    proxy = start(preexec_fn=close_streams)
    for fd in closed:
        assert os.readlink(f"/proc/{proxy.pid}/fd/{fd}") == "/dev/null"


def test_socket_of_a_successor_stays(start, own_engine: Engine, folder: str) -> None:
    """The next one listens while the last streams of this one still go on."""
    shared = f"{folder}/successor"
    os.mkdir(shared)
    os.chmod(shared, 0o777)
    path = f"{shared}/listen.sock"

    def start_there() -> Proxy:
        proxy = start("--listen", f"unix://{path}", "--shutdown-grace", "600", ready=False)
        proxy.wait_log(lambda line: "listening" in line, what="about the listener")
        return proxy

    def connect() -> Stream:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return Stream(sock, "client")

    first = start_there()
    with connect() as stream:
        stream.send(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        request = own_engine.request()
        first.terminate()
        first.wait_log(lambda line: "stopping" in line, what="of the signal")
        eventually(lambda: not os.path.exists(path), "the socket to go")
        start_there()
        request.respond()
        stream.read_until(b"ok")
    assert first.wait_exit() == 0
    with connect() as stream:
        stream.send(b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n")
        own_engine.request().respond(body=b"the second")
        assert stream.read_until(b"the second").startswith(b"HTTP/1.1 200")
