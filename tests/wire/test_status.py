"""The verbs status and reload: what an operator sees, and what it takes to ask."""

from __future__ import annotations

import concurrent.futures
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

import pytest
from cryptography import x509

from machine import free_port
from operators import Admin
from secure import Authority
from test_state import CI, OPS, Served, ask, refuse, serve, served, stream  # noqa: F401
from wire import BINARY, PATIENCE, Engine, Proxy, eventually

KEY = "a-key-with-many-letters"


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def run(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("ADMIN", "ADMIN_KEY")}
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=PATIENCE, env=clean | (env or {}))


def at(served: Served) -> str:
    return f"unix://{served.admin.place}"


def ask_stranger(folder: str, answer: bytes, verb: str) -> subprocess.CompletedProcess[str]:
    """What the verb says of a listener that gives everybody this answer."""
    with tempfile.TemporaryDirectory(dir=folder) as place, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/stranger.sock")
        listener.listen()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asking = pool.submit(run, verb, f"unix://{place}/stranger.sock")
            listener.settimeout(PATIENCE)
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)
            return asking.result()


# ── status ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_done_is_shown(served: Served, own_engine: Engine) -> None:
    ask(served.proxy, own_engine, "/_ping")
    for _ in range(2):
        refuse(served.proxy, "POST", "/containers/web/start", f"X-Api-Key: {CI}")
    client, request = stream(served.proxy, own_engine, "/containers/web/logs?follow=1")
    served.wait(lambda state: state["clients"][1]["requests"]["deny"] == 2, "the denials")
    shown = run("status", at(served))
    assert shown.returncode == 0 and shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert f"pid {served.proxy.process.pid}, up " in lines[0] and lines[0].endswith(": ready")
    assert any(line.startswith("config ") and str(served.file) in line for line in lines)
    assert any(line.startswith("Engine ") and own_engine.path in line and ", up, " in line for line in lines)
    assert any(line.split() == ["ci", "maker", "0", "2", "0", "0", "0"] for line in lines)
    assert any(line.startswith("(no client)  mine") for line in lines)
    assert any("denied container.start to ci, 2 times: POST /containers/web/start" in line for line in lines)
    assert any(line.strip() == "- allow: [container.start]" for line in lines)
    assert "\033" not in shown.stdout, "no colour where no terminal is"
    table = run("status", "streams", at(served)).stdout.splitlines()
    assert table[0].split()[:3] == ["ID", "CLIENT", "PEER"] and len(table) == 2
    assert " container.logs " in table[1] and " web " in table[1] and table[1].rstrip().endswith("4 B")
    client.close()
    request.conn.close()


def test_the_file_and_its_reloads_are_shown(served: Served) -> None:
    def shown(reloads: str) -> int:
        """How many seconds ago the file was read."""
        (line,) = [line for line in run("status", at(served)).stdout.splitlines() if line.startswith("config ")]
        match = re.fullmatch(r"config    (\S+), sha256 ([0-9a-f]+), read (\d+) s ago, reloads (.*)", line)
        assert match and match.group(1, 2, 4) == (str(served.file), hash_of(good)[:12], reloads), line
        return int(match[3])

    good = served.file.read_text()
    eventually(lambda: shown("0") >= 2, "the file to be two seconds old")
    began = time.monotonic()
    good += "# reads the same\n"
    served.file.write_text(good)
    assert run("reload", at(served)).returncode == 0
    assert shown("1") <= time.monotonic() - began + 1
    served.file.write_text(good + "nonsense: 1\n")
    assert run("reload", at(served)).returncode == 1
    shown("1 and 1 failed")


def test_a_limit_that_was_hit_is_shown(served: Served, own_engine: Engine) -> None:
    key = f"X-Api-Key: {OPS}"
    client, request = stream(served.proxy, own_engine, "/events", key)
    with served.proxy.connect() as second:
        second.get("/_ping", headers=[key])
        assert second.response().status == 429
    served.wait(lambda state: state["clients"][0]["limits"]["requests"] == 1, "the limit")
    lines = run("status", at(served)).stdout.splitlines()
    (head,) = [line for line in lines if line.startswith("CLIENT ")]
    column = head.index("LIMITS HIT")
    hit = {line.split()[0]: line[column:].strip() for line in lines if line.startswith(("ops ", "ci "))}
    assert hit == {"ops": "requests 1", "ci": ""}
    client.close()
    request.conn.close()


def test_the_engines_version_is_shown_without_its_control_bytes(served: Served, own_engine: Engine) -> None:
    own_engine.release = None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        looking = pool.submit(run, "status", at(served))
        own_engine.request().respond(body=b'{"Version":"28.5.2\\u001b[7m","ApiVersion":"1.51"}')
        assert ", version 28.5.2?[7m (API 1.51), up, " in looking.result().stdout


def test_json_is_that_of_the_api(served: Served) -> None:
    shown = json.loads(run("status", at(served), "--json").stdout)
    assert shown["pid"] == served.proxy.process.pid and shown["listeners"] == served.state()["listeners"]


def test_no_streams_and_no_denials(served: Served) -> None:
    assert run("status", "streams", at(served)).stdout == "no streams are open\n"
    assert "denials   none" in run("status", at(served)).stdout


def test_a_stream_is_ended(served: Served, own_engine: Engine) -> None:
    client, request = stream(served.proxy, own_engine, "/containers/web/logs?follow=1")
    id = served.state()["streams"][0]["id"]
    for wrong in ("0123456789abcdef", "../../x", "a b"):
        gone = run("status", "close", wrong, at(served))
        assert gone.returncode == 1 and "no such stream" in gone.stderr
    assert run("status", "close", id, at(served)).returncode == 0
    client.expect_end()
    served.proxy.wait_log(lambda line: "notice an operator ended the stream" in line and id in line)
    again = run("status", "close", id, at(served))
    assert again.returncode == 1 and "no such stream" in again.stderr
    request.conn.close()


def test_values_of_clients_never_reach_the_terminal_as_control_bytes(served: Served, own_engine: Engine) -> None:
    client, request = stream(served.proxy, own_engine, "/containers/%5b31m%C2%9B/logs?follow=1")
    for target in ("/containers/create?name=%1b%5b2J%07", "/containers/%C2%9B31m/start", "/containers/%E2%80%AE/stop"):
        refuse(served.proxy, "POST", target)
    assert any("\x9b" in (denial["target"] or "") for denial in served.state()["denials"])
    for args in (["status"], ["status", "streams"]):
        shown = run(*args, at(served)).stdout
        assert all(" " <= char <= "~" or char == "\n" for char in shown), shown
    shown = run("status", "--json", at(served)).stdout
    assert "\\u009b" in shown and "\\u202e" in shown
    assert all(" " <= char <= "~" or char == "\n" for char in shown), shown
    client.close()
    request.conn.close()


# ── Where the proxy is, and who may ask ────────────────────────────────────────────────────────


def test_the_address_of_the_variable_and_of_the_file(served: Served) -> None:
    for args, env in (((), {"ADMIN": at(served)}), (("-c", str(served.file)), {}), ((), {"CONFIG": str(served.file)})):
        shown = run("status", *args, env=env)
        assert shown.returncode == 0, shown.stderr
        assert f"pid {served.proxy.process.pid}" in shown.stdout


def test_a_file_with_a_fault_still_says_where_the_proxy_is(served: Served) -> None:
    served.file.write_text(served.file.read_text() + "nonsense: 1\n")
    assert served.admin.post("/api/reload").status == 422
    shown = run("status", "-c", str(served.file))
    assert shown.returncode == 0 and "not reloaded:" in shown.stdout and "nonsense" in shown.stdout


def test_no_address_and_no_listener(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text("policy: open\n")
    nowhere = run("status", "-c", str(file))
    assert nowhere.returncode == 1 and "ADMIN" in nowhere.stderr
    gone = run("status", f"unix://{tmp_path}/no.sock")
    assert gone.returncode == 1 and "no.sock cannot be connected to: No such file" in gone.stderr


@pytest.mark.parametrize("args", [
    ["status", "nonsense"], ["status", "close"], ["status", "--jso"], ["status", "--json", "--watch"],
    ["status", "--policy", "open"], ["status", "tcp://127.0.0.1:1", "more"], ["reload", "x"], ["reload", "--json"],
    ["status", "--key", "secret"],
])
def test_wrong_usage(args: list[str]) -> None:
    wrong = run(*args)
    assert wrong.returncode == 2 and wrong.stderr.startswith("docker-socket-proxy: "), wrong


@pytest.mark.parametrize("verb", ["status", "reload"])
@pytest.mark.parametrize(("answer", "says"), [
    (b"SSH-2.0-OpenSSH_9.2\r\n", "is no admin listener: it does not speak HTTP"),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot here\n", "the admin listener responds with 404"),
    (b'HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\n{"message":"no\\u001bway"}', "no?way"),
])
def test_the_address_of_something_else_is_told_apart(folder: str, verb: str, answer: bytes, says: str) -> None:
    """The Engine's socket, or a port of another service, in ADMIN."""
    done = ask_stranger(folder, answer, verb)
    assert done.returncode == 1 and says in done.stderr, done


def test_an_answer_that_is_not_the_state_is_not_shown(folder: str) -> None:
    done = ask_stranger(folder, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "status")
    assert done.returncode == 1 and "the answer is not the JSON of /api/state" in done.stderr and done.stdout == ""


@pytest.fixture
def on_tcp(start, tmp_path: Path) -> str:
    port, place = free_port(), free_port()
    file = tmp_path / "proxy.yaml"
    file.write_text(f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
                    f"admin: {{address: 'tcp://127.0.0.1:{place}', key_sha256: {hash_of(KEY)}}}\n")
    start("-c", str(file), port=port)
    return f"tcp://127.0.0.1:{place}"


def test_the_key_comes_from_a_file_or_the_environment(on_tcp: str, tmp_path: Path) -> None:
    key = tmp_path / "admin.key"
    key.write_text(KEY + "\n")
    assert run("status", on_tcp, env={"ADMIN_KEY": KEY}).returncode == 0
    assert run("status", on_tcp, "--key-file", str(key)).returncode == 0
    for env in ({}, {"ADMIN_KEY": "another-key-with-letters"}):
        refused = run("status", on_tcp, env=env)
        assert refused.returncode == 1 and "--key-file" in refused.stderr and "key" in refused.stderr
        assert run("reload", on_tcp, env=env).returncode == 1
    missing = run("status", on_tcp, "--key-file", str(tmp_path / "none"))
    assert missing.returncode == 1 and "No such file" in missing.stderr


def test_tls_is_verified_before_the_key_is_sent(start, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    authority, other = (Authority(folder) for folder in folders)
    server, elsewhere = authority.server(), authority.server("elsewhere", names=[x509.DNSName("proxy.example")])
    port, place, second = free_port(), free_port(), free_port()
    file = tmp_path / "proxy.yaml"
    for pair, admin in ((server, place), (elsewhere, second)):
        port = free_port()
        file.write_text(
            f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
            f"admin: {{address: 'tls://127.0.0.1:{admin}', key_sha256: {hash_of(KEY)}, tls: {{cert: '{pair.path}', key: '{pair.key}'}}}}\n")
        start("-c", str(file), port=port)
    env = {"ADMIN_KEY": KEY}
    good = run("status", f"tls://127.0.0.1:{place}", "--ca", authority.path, env=env)
    assert good.returncode == 0, good.stderr
    assert run("status", "-c", str(file), env=env).returncode == 0, "its own certificate is in the file"
    for address, args, why in ((place, ["--ca", other.path], "certificate"), (place, [], "--ca"),
                               (second, ["--ca", authority.path], "mismatch"), (place, ["--ca", "/dev/null"], "PEM")):
        wrong = run("status", f"tls://127.0.0.1:{address}", *args, env=env)
        assert wrong.returncode == 1 and why in wrong.stderr, wrong.stderr


def test_a_listener_that_demands_a_certificate_names_the_remedy(start, tmp_path: Path) -> None:
    """The verbs present none."""
    authority = Authority(tmp_path)
    server = authority.server()
    port, place = free_port(), free_port()
    file = tmp_path / "proxy.yaml"
    for client_cert, code in (("required", 1), ("optional", 0)):
        file.write_text(
            f"listeners: [{{address: 'tcp://127.0.0.1:{port}', policy: open}}]\n"
            f"admin: {{address: 'tls://127.0.0.1:{place}', key_sha256: {hash_of(KEY)}, tls: {{cert: '{server.path}', "
            f"key: '{server.key}', client_ca: '{authority.path}', client_cert: {client_cert}}}}}\n")
        proxy = start("-c", str(file), port=port)
        asked = run("status", "-c", str(file), env={"ADMIN_KEY": KEY})
        assert asked.returncode == code, asked.stderr
        assert code == 0 or "client_cert: optional" in asked.stderr and "unix" in asked.stderr
        proxy.stop()


# ── reload ─────────────────────────────────────────────────────────────────────────────────────


def test_reload_says_whether_it_worked(served: Served) -> None:
    good = run("reload", at(served))
    assert good.returncode == 0 and good.stderr == ""
    assert good.stdout.startswith(f"reloaded {served.file} in ") and "1 listener (1 before), 2 clients" in good.stdout
    served.file.write_text(served.file.read_text() + "nonsense: 1\n")
    bad = run("reload", at(served))
    assert bad.returncode == 1 and bad.stdout == ""
    assert bad.stderr.startswith(f"not reloaded: {served.file}:") and "nonsense" in bad.stderr


# ── --watch ────────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """The verb in a terminal of 80 columns and 24 rows."""

    def __init__(self, *args: str, env: dict[str, str] | None = None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(BINARY, [BINARY, *args], {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | (env or {}))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.seen = b""

    def read_until(self, wanted: bytes, count: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.seen.count(wanted) < count:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.fd], [], [], 0.2)[0]:
                self.seen += os.read(self.fd, 65536)

    def end(self) -> int:
        try:
            while data := os.read(self.fd, 65536):
                self.seen += data
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def frames(seen: bytes) -> list[list[bytes]]:
    return [frame.split(b"\033[J")[0].split(b"\r\n")[:-1] for frame in seen.split(b"\033[H")[1:]]


def without_styles(line: bytes) -> bytes:
    return re.sub(rb"\033\[[0-9;]*[mK]", b"", line)


def test_watch_redraws_and_ends_with_ctrl_c(served: Served) -> None:
    with served.proxy.connect() as client:
        for number in range(40):
            client.get(f"/nothing/{number}/" + "x" * 60)
            client.response()
    terminal = Terminal("status", at(served), "--watch")
    terminal.read_until(b"\033[J", 2)
    os.write(terminal.fd, b"\x03")
    assert terminal.end() == 0
    assert terminal.seen.startswith(b"\033[?1049h\033[?25l") and terminal.seen.rstrip().endswith(b"\033[?25h\033[?1049l")
    for frame in frames(terminal.seen)[1:]:
        assert 10 < len(frame) <= 23 and all(len(without_styles(line)) <= 80 for line in frame)
        assert any(b"DENIALS" in line for line in frame)


def test_watch_goes_on_while_the_proxy_restarts(serve) -> None:
    served = serve(workers=1)
    terminal = Terminal("status", at(served), "--watch")
    terminal.read_until(b": ready")
    served.proxy.terminate()
    served.proxy.wait_exit()
    terminal.read_until(b"no answer")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == 0 and terminal.seen.rstrip().endswith(b"\033[?1049l")


def test_colour_only_where_it_is_wanted(served: Served) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal("status", at(served), env=env)
        assert terminal.end() == 0
        assert (b"\033[32m" in terminal.seen) == coloured


def test_watch_without_a_terminal_prints_page_after_page(served: Served) -> None:
    with subprocess.Popen([BINARY, "status", at(served), "--watch"], stdout=subprocess.PIPE, text=True) as watching:
        pages = [watching.stdout.readline()]
        while len([line for line in pages if ": ready" in line]) < 2:
            pages.append(watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 0
    assert "\033" not in "".join(pages)
