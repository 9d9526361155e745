#!/usr/bin/python3
"""What TLS costs: CPU time of the proxy, beside itself without TLS, a bare relay over TLS
(bench/tls_floor.c), HAProxy and nginx, in turns.

    bench/tls.py [--rounds N] [--case NAME]... [PROGRAM]

A stand-in Engine (bench/engine.c) serves a unix socket; one client asks over TLS 1.3 with
TLS_AES_128_GCM_SHA256 and a certificate of ECDSA P-256. Each program has one thread and the OpenSSL of
the system; ours is linked with the same version. The programs have a processor of their own, and
client and Engine another one, so that each program is woken in the same way. "by cert" is with a client certificate, whose name
picks the policy, and "floor cert" asks for it too. Prints the least of the rounds, for the machine may
be busy:

    request     GET /_ping, connection kept, in microseconds
    list        GET /v1.41/containers/json, 48 KiB, connection kept, in microseconds
    download    GET /v1.41/images/get, in seconds for each GiB
    upload      POST /v1.41/images/load, in seconds for each GiB
    handshake   a connection with a whole handshake and one request, in microseconds
    resumption  the same with the ticket of the connection before
"""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import peers

MIB = 1 << 20
BULK = 64 * MIB
ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "build/bench/peers"
OF_OTHERS, OF_PROXIES = sorted(os.sched_getaffinity(0))[:2]
CPUCLOCK_SCHED = 2
CIPHER = "TLS_AES_128_GCM_SHA256"


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def make_certificates(folder: Path) -> None:
    """A CA, a certificate of localhost and one of a client, all of P-256."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ca = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca-key.pem"]
    openssl("req", "-x509", *key, "-days", 2, "-subj", "/CN=ca", "-keyout", folder / "ca-key.pem", "-out", folder / "ca.pem")
    for name, subject in (("server", "localhost"), ("client", "portainer")):
        openssl("req", "-x509", *key, *ca, "-days", 2, "-subj", f"/CN={subject}",
                "-addext", f"subjectAltName=DNS:{subject}", "-addext", f"extendedKeyUsage={name}Auth",
                "-addext", "basicConstraints=critical,CA:FALSE",
                "-keyout", folder / f"{name}-key.pem", "-out", folder / f"{name}.pem")  # fmt: skip
    both = (folder / "server.pem").read_bytes() + (folder / "server-key.pem").read_bytes()
    (folder / "both.pem").write_bytes(both)


# ── The programs ─────────────────────────────────────────────────────────────


def plain(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    return [program], {"PORT": str(port), "SOCKET_PATH": f"{folder}/engine.sock", "WORKERS": "1", "LOG_LEVEL": "notice"}


def ours(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    command, variables = plain(program, folder, port)
    return command, variables | {"TLS_CERT": f"{folder}/server.pem", "TLS_KEY": f"{folder}/server-key.pem"}


def ours_by_certificate(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    path = folder / "clients.yaml"
    path.write_text("""
policy: deny
policies: {all: {rules: [{allow: ['*']}]}}
clients:
  - {name: traefik, match: {cert: {cn: traefik}}, policy: deny}
  - {name: portainer, match: {cert: {cn: portainer}}, policy: all}
""")
    command, variables = ours(program, folder, port)
    return command, variables | {"TLS_CLIENT_CA": f"{folder}/ca.pem", "CONFIG": str(path)}


def floor(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    return [program, str(port), f"{folder}/engine.sock", f"{folder}/server.pem", f"{folder}/server-key.pem"], {}


def floor_by_certificate(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    command, variables = floor(program, folder, port)
    return [*command, f"{folder}/ca.pem"], variables


def haproxy(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    path = folder / "haproxy.cfg"
    path.write_text(f"""
global
    nbthread 1
    tune.bufsize 65536
    tune.maxrewrite 1024
    tune.idletimer 0
    ssl-default-bind-ciphersuites {CIPHER}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    http-reuse always
frontend tls
    bind 127.0.0.1:{port} ssl crt {folder}/both.pem alpn http/1.1
    default_backend engine
backend engine
    server engine unix@{folder}/engine.sock
""")
    return [program, "-f", str(path)], {}


def nginx(program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    path = folder / "nginx.conf"
    path.write_text(f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 256k;
    client_max_body_size 0;
    keepalive_requests 10000000;
    upstream engine {{ server unix:{folder}/engine.sock; keepalive 16; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server-key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command Ciphersuites {CIPHER};
        ssl_session_cache shared:s:1m;
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_buffer_size 256k;
            proxy_buffers 8 256k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
""")
    return [program, "-c", str(path), "-p", str(folder), "-e", f"{folder}/nginx.log"], {}


class Proxy:
    def __init__(self, name: str, make: Callable, program: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.name = name
        self.context = None
        if name != "plain":
            self.context = ssl.create_default_context(cafile=folder / "ca.pem")
            self.context.load_cert_chain(folder / "client.pem", folder / "client-key.pem")
            self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        command, variables = make(program, folder, self.port)
        environment = peers.library_path(PEERS) | variables | {"PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(["taskset", "-c", str(OF_PROXIES), *command], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        while self.process.poll() is None:
            try:
                with self.connect() as client:
                    ask(client, b"GET /_ping")
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{name} ended at its start")

    def connect(self, session: ssl.SSLSession | None = None) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is None:
            return sock
        secure = self.context.wrap_socket(sock, server_hostname="localhost", session=session)
        assert secure.cipher()[0] == CIPHER
        return secure

    def cpu(self) -> float:
        """Seconds, of all its threads, those that ended included: clock_getcpuclockid()."""
        return time.clock_gettime(~self.process.pid << 3 | CPUCLOCK_SCHED)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


# ── The client ───────────────────────────────────────────────────────────────

BUFFER = bytearray(MIB)


def read_response(client: socket.socket) -> int:
    """Bytes of the body."""
    head, end, body = b"", b"", b""
    while not end:
        piece = client.recv(65536)
        assert piece
        head, end, body = (head + piece).partition(b"\r\n\r\n")
    assert b" 200 " in head[:20], head
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    left = length - len(body)
    while left > 0:
        n = client.recv_into(BUFFER, min(left, MIB))
        assert n > 0
        left -= n
    return length


def ask(client: socket.socket, line: bytes) -> int:
    client.sendall(line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return read_response(client)


def requests(line: bytes, count: int) -> Callable[[Proxy], float]:
    def run(proxy: Proxy) -> float:
        with proxy.connect() as client:
            ask(client, line)
            before = proxy.cpu()
            for _ in range(count):
                ask(client, line)
            return (proxy.cpu() - before) / count * 1e6

    return run


def download(proxy: Proxy) -> float:
    with proxy.connect() as client:
        before = proxy.cpu()
        assert ask(client, b"GET /v1.41/images/get") == BULK
        return (proxy.cpu() - before) * (1024 * MIB / BULK)


def upload(proxy: Proxy) -> float:
    piece = bytes(MIB)
    with proxy.connect() as client:
        before = proxy.cpu()
        client.sendall(b"POST /v1.41/images/load HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % BULK)
        for _ in range(BULK // MIB):
            client.sendall(piece)
        read_response(client)
        return (proxy.cpu() - before) * (1024 * MIB / BULK)


def connections(resumed: bool, count: int = 300) -> Callable[[Proxy], float]:
    def run(proxy: Proxy) -> float:
        session = None
        before = proxy.cpu()
        for i in range(count):
            with proxy.connect(session) as client:
                if proxy.context is not None:
                    assert client.session_reused == (resumed and i > 0), proxy.name
                ask(client, b"GET /_ping")
                session = client.session if resumed and proxy.context is not None else None
        return (proxy.cpu() - before) / count * 1e6

    return run


CASES = [
    ("request", "µs", requests(b"GET /_ping", 4000)),
    ("list", "µs", requests(b"GET /v1.41/containers/json", 1000)),
    ("download", "s/GiB", download),
    ("upload", "s/GiB", upload),
    ("handshake", "µs", connections(False)),
    ("resumption", "µs", connections(True)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=str(ROOT / "build/docker-socket-proxy"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--case", action="append", choices=[title for title, _, _ in CASES])
    options = parser.parse_args()
    program = options.program
    subprocess.run([ROOT / "bench/build.sh"], check=True)
    os.sched_setaffinity(0, {OF_OTHERS})
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as name:
        folder = Path(name)
        make_certificates(folder)
        engine = subprocess.Popen([ROOT / "build/bench/engine", f"{folder}/engine.sock", "--bulk", str(BULK)])
        proxies = []
        try:
            while not (folder / "engine.sock").exists():
                time.sleep(0.02)
            relay = str(ROOT / "build/bench/tls_floor")
            kinds = [("plain", plain, program), ("floor", floor, relay), ("ours", ours, program)]
            kinds += [("floor cert", floor_by_certificate, relay), ("by cert", ours_by_certificate, program)]
            if why_not := peers.fetch(PEERS):
                print(f"without HAProxy and nginx: {why_not}")
            else:
                kinds += [(peer.__name__, peer, f"{PEERS}/usr/sbin/{peer.__name__}") for peer in (haproxy, nginx)]
            for kind in kinds:
                proxies.append(Proxy(*kind, folder))
            print(f"{'':12}" + "".join(f"{proxy.name:>12}" for proxy in proxies))
            for title, unit, run in CASES:
                if title not in (options.case or [title]):
                    continue
                rounds = [[run(proxy) for proxy in proxies] for _ in range(options.rounds)]
                least = [min(column) for column in zip(*rounds, strict=True)]
                print(f"{title:12}" + "".join(f"{value:12.2f}" for value in least) + f"  {unit}", flush=True)
        finally:
            for proxy in proxies:
                proxy.stop()
            engine.kill()
            engine.wait()


if __name__ == "__main__":
    main()
