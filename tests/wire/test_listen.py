"""Where it listens: IPv4 and IPv6 through one port, IPv4 alone where the host has no IPv6."""

from __future__ import annotations

import ctypes
import os
import pathlib
import platform
import socket
import struct

import pytest

from machine import free_port, has_ipv6
from wire import PATIENCE, Engine, Proxy, Stream, eventually

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")

# Linux numbers of socket(2), and AUDIT_ARCH_*, for the machines on which the tests run.
SOCKET_CALL = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}


def without_ipv6() -> None:
    """In the child: a kernel booted with ipv6.disable=1, as seen through socket(2):
    EAFNOSUPPORT."""
    number, arch = SOCKET_CALL[platform.machine()]
    load, jump_equal, ret = 0x20, 0x15, 0x06
    allow, error = 0x7FFF0000, 0x00050000 | 97
    program = [
        (load, 0, 0, 4),
        (jump_equal, 0, 5, arch),
        (load, 0, 0, 0),
        (jump_equal, 0, 3, number),
        (load, 0, 0, 16),
        (jump_equal, 0, 1, 10),
        (ret, 0, 0, error),
        (ret, 0, 0, allow),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code)
    fprog = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, fprog, 0, 0):  # no_new_privs, seccomp filter
        os._exit(111)


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families_through_one_port(proxy: Proxy, engine: Engine, host: str) -> None:
    with proxy.connect(host) as client:
        client.get("/version")
        engine.request().respond(body=host.encode())
        assert client.response().body == host.encode()


def test_without_ipv6_it_serves_ipv4(start, own_engine: Engine) -> None:
    """A host booted with ipv6.disable=1 needs no setting (HAProxy-based images do not start
    there)."""
    proxy = start(preexec_fn=without_ipv6)
    with proxy.connect("127.0.0.1") as client:
        client.get("/version")
        own_engine.request().respond()
        assert client.response().status == 200
    assert not [
        line for line in proxy.lines if "error" in line.lower()
    ], "an ordinary host, no error"


def test_address_of_one_interface(start, own_engine: Engine) -> None:
    """--listen tcp://127.0.0.1:PORT must not be open to the others."""
    port = free_port()
    proxy = start("--listen", f"tcp://127.0.0.1:{port}", port=port)
    with proxy.connect("127.0.0.1") as client:
        client.get("/health")
        assert client.response().status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 2)


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def test_port_on_loopback_alone(start) -> None:
    """`make run` and the systemd unit: a port without a policy is root for the whole network."""
    proxy = start(env={"LOOPBACK": "1"})
    assert reachable("127.0.0.1", proxy.port)
    assert reachable("::1", proxy.port) == has_ipv6(), "localhost is ::1 to Node.js"
    assert not reachable("127.0.0.2", proxy.port), "an address of another interface"
    proxy = start(env={"LOOPBACK": "0"})
    assert reachable("127.0.0.2", proxy.port)


@pytest.mark.parametrize("settings", [{"DISABLE_IPV6": "1"}, {}], ids=["told", "found"])
def test_port_on_loopback_without_ipv6(start, settings: dict[str, str]) -> None:
    proxy = start(env={"LOOPBACK": "1"} | settings, preexec_fn=None if settings else without_ipv6)
    assert reachable("127.0.0.1", proxy.port)
    proxy.wait_log(lambda line: "policy 'open'" in line, what="about the policy")
    assert len([line for line in proxy.lines if "listening on" in line]) == 1
    assert not has_ipv6() or not reachable("::1", proxy.port)


def test_loopback_is_about_the_port_alone(start) -> None:
    """LOOPBACK is what a unit says when its user says nothing; LISTEN is what the user says."""
    port = free_port()
    start(env={"LOOPBACK": "1", "LISTEN": f"tcp://*:{port}"}, port=port)
    assert reachable("127.0.0.2", port)


def keepalive_seconds(local: int, remote: int) -> float | None:
    """When the kernel asks the peer of this connection whether it is still there; None: not
    as things are."""
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            ports = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
            timer, _, ticks = fields[5].partition(":")
            if ports == [local, remote]:
                return int(ticks, 16) / os.sysconf("SC_CLK_TCK") if timer == "02" else None
    return None  # the kernel's table may lose a row while it is read


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_a_silent_connection_is_not_forgotten_on_its_way(proxy: Proxy, host: str) -> None:
    """docker events may be silent for hours. What stands between, a swarm's virtual address say,
    forgets connections after 15 minutes without a packet, so there have to be some."""
    with proxy.connect(host) as client:
        client.get("/health")
        assert client.response().status == 200
        seconds = eventually(
            lambda: keepalive_seconds(proxy.port, client.port),
            "a timer for packets on a silent connection",  # another one while a response is on its way
        )
        assert seconds <= 60


def test_unix_listener(start, own_engine: Engine, folder: str) -> None:
    """A socket file for a side-car; gone again when the proxy has stopped."""
    shared = f"{folder}/shared"  # a volume that both containers may write to
    os.mkdir(shared)
    os.chmod(shared, 0o777)
    path = f"{shared}/listen.sock"
    proxy = start("--listen", f"unix://{path}", ready=False)
    proxy.wait_log(lambda line: path in line, what="about the listener")
    sock = socket.socket(socket.AF_UNIX)

    def connected() -> bool:
        try:
            sock.connect(path)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    eventually(connected, "the unix listener")
    with Stream(sock, "client") as stream:
        stream.send(b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n")
        own_engine.request().respond(body=b"by unix")
        assert stream.read_until(b"by unix").startswith(b"HTTP/1.1 200")
    proxy.stop()
    assert not os.path.exists(path)


# why it cannot


def refused(start, address: str, **options) -> str:
    """The line with which it gives up."""
    proxy = start("--listen", address, ready=False, **options)
    proxy.process.wait(PATIENCE)
    assert proxy.process.returncode == 1
    proxy.process.returncode = 0  # as it should be here
    return proxy.wait_log(lambda line: "cannot listen" in line, what="that says why")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_folder_of_somebody_else_is_explained(start, folder: str) -> None:
    """A volume belongs to root, and the proxy is not root."""
    line = refused(start, f"unix://{folder}/mine.sock", user=12345, group=12346, extra_groups=[])
    for words in (folder, "12345:12346", "owner 0:0", "mode 0755", "chown 12345:12346",
                  "unix:///run/docker-socket-proxy/"):
        assert words in line


def test_folder_that_is_not_there_is_explained(start, folder: str) -> None:
    line = refused(start, f"unix://{folder}/none/mine.sock")
    assert f"{folder}/none: No such file or directory" in line


@pytest.mark.parametrize(("kind", "words"), [("directory", "a directory"), ("file", "a file")])
def test_what_is_no_socket_is_explained(start, folder: str, kind: str, words: str) -> None:
    """The Engine makes a directory of a bind mount whose source does not exist."""
    path = f"{folder}/taken-by-a-{kind}"
    if kind == "directory":
        os.mkdir(path)
    else:
        pathlib.Path(path).write_text("somebody's")
    assert f"{words} of this name is there, not a socket" in refused(start, f"unix://{path}")
    assert os.path.exists(path), "it is not ours to remove"


def test_another_proxy_on_the_socket_is_explained(start, folder: str) -> None:
    path = f"{folder}/of-another.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        assert "another program listens there" in refused(start, f"unix://{path}")
