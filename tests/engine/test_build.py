"""docker build, by the classic builder and by BuildKit, and BuildKit's two tunnels."""

import hashlib
import json
import os

import h2.config
import h2.connection
import h2.events
import pytest
import wire
from conftest import eventually

MEGABYTE = 1 << 20
DOCKERFILE = """\
FROM busybox
COPY data /data
RUN sha256sum /data > /sum && echo marker-from-run
"""


@pytest.fixture
def context(tmp_path):
    """A build context with 8 MiB to send."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "data").write_bytes(os.urandom(8 * MEGABYTE))
    return folder


@pytest.fixture
def image(engine, unique):
    name = unique("built")
    yield name
    with wire.connect_unix(engine.socket) as connection:
        connection.roundtrip("DELETE", f"/images/{name}?force=1")


def sum_in(cli, target, image: str) -> str:
    return cli.ok(target.docker_host, "run", "--rm", image, "cat", "/sum").split()[0].decode()


def sum_of(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_classic_build(cli, target, context, image):
    """docker build: the context goes up, the steps' output comes back, the image is right."""
    out = cli.ok(
        target.docker_host, "build", "--no-cache", "--network", "none", "-t", image, context
    )
    assert b"marker-from-run" in out
    assert b"Successfully tagged" in out
    assert sum_in(cli, target, image) == sum_of(context / "data")


def test_classic_build_that_fails(cli, target, context, image):
    """The status of the step that failed is in the error, and docker build fails with it."""
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo before; exit 42\n")
    done = cli.run(target.docker_host, "build", "--network", "none", "-t", image, context)
    assert done.status != 0
    assert b"before" in done.out
    assert b"returned a non-zero code: 42" in done.err


def running_with(containers, word: str) -> list[str]:
    """The containers that run a command with this word in it."""
    listed = containers.call("GET", "/containers/json").json()
    return [one["Id"] for one in listed if word in one["Command"]]


def test_steps_are_shown_as_they_happen(older_cli, target, containers, context, image):
    """A long build is not silent until its end: the output of a step comes while it runs."""
    script = "trap 'exit 0' USR1; echo first-sign; while :; do sleep 0.02; done"
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN {script}\n")
    arguments = ("build", "--no-cache", "--network", "none", "-t", image, context)
    with older_cli.start(target.docker_host, *arguments) as running:
        while b"first-sign" != running.line().strip():
            pass
        eventually(lambda: running_with(containers, "first-sign"), "the step is over")
        containers.signal(*running_with(containers, "first-sign"), "USR1")  # or it goes on for ever
        assert running.finish().status == 0


def test_build_with_bad_parameters_fails_early(same):
    """A build the Engine refuses while 32 MiB of context are under way: the reason arrives."""

    def act(target) -> tuple:
        with target.connect() as connection:
            connection.request(
                "POST", "/v1.41/build?ulimits=broken",
                {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"},
            )
            try:
                for _ in range(512):
                    connection.send(wire.chunk_bytes(bytes(65536)))
                connection.send(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass  # the Engine has closed its side; what counts is that the response is there
            response = connection.response("POST")
            return response.status, response.json()

    status, body = same(act)
    assert status in (400, 500)
    assert "error reading ulimit settings" in body["message"]


def test_context_larger_than_any_header_limit(older_cli, target, context, image):
    """Build arguments and labels travel in the URL: 100 kB of them reach the image."""
    (context / "Dockerfile").write_text("FROM busybox\n")
    long = "x" * 25_000
    labels = [part for n in range(4) for part in ("--label", f"label{n}={long}")]
    older_cli.ok(target.docker_host, "build", "-t", image, *labels, context)
    shown = older_cli.ok(
        target.docker_host, "inspect", "--format", "{{json .Config.Labels}}", image
    )
    assert json.loads(shown) == {f"label{n}": long for n in range(4)}


@pytest.fixture
def buildkit_cli(clients):
    """A client that speaks BuildKit by itself; newer ones need a plugin for it."""
    for cli in clients.values():
        if cli.version.startswith(("19.", "20.")):
            return cli
    pytest.skip("no docker client with BuildKit built in (docker.io 20.10)")


def test_buildkit_build(buildkit_cli, target, context, image):
    """DOCKER_BUILDKIT=1 docker build: the session is an HTTP/2 tunnel in which the Engine asks and
    the client responds; 8 MiB of context go through it."""
    buildkit_cli.ok(
        target.docker_host, "build", "--no-cache", "--progress", "plain", "--network", "none",
        "-t", image, context, env={"DOCKER_BUILDKIT": "1"},
    )
    assert sum_in(buildkit_cli, target, image) == sum_of(context / "data")


def test_buildkit_build_that_fails(buildkit_cli, target, context, image):
    """A BuildKit build that fails says which step and why."""
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo before; exit 42\n")
    done = buildkit_cli.run(
        target.docker_host, "build", "--no-cache", "--progress", "plain", "--network", "none",
        "-t", image, context, env={"DOCKER_BUILDKIT": "1"},
    )
    assert done.status != 0
    assert b"exit code: 42" in done.err


def test_buildkit_secret(buildkit_cli, target, context, image, tmp_path):
    """--secret is served by the client through the session while the build runs."""
    (tmp_path / "secret").write_text("hush")
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN --mount=type=secret,id=word cat /run/secrets/word > /got\n"
    )
    buildkit_cli.ok(
        target.docker_host, "build", "--no-cache", "--network", "none", "-t", image,
        "--secret", f"id=word,src={tmp_path / 'secret'}", context, env={"DOCKER_BUILDKIT": "1"},
    )
    assert buildkit_cli.ok(target.docker_host, "run", "--rm", image, "cat", "/got") == b"hush"


class Grpc:
    """Calls over the /grpc tunnel, as buildx makes them."""

    def __init__(self, connection: wire.Connection) -> None:
        self.connection = connection
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http2.initiate_connection()

    def call(self, method: str, message: bytes = b"") -> tuple[dict[str, str], bytes]:
        """One unary call: (all headers and trailers, the reply with its 5-byte prefix)."""
        stream = self.http2.get_next_available_stream_id()
        headers = [
            (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", ""),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ]
        self.http2.send_headers(stream, headers)
        self.http2.send_data(stream, len(message).to_bytes(5, "big") + message, end_stream=True)
        fields: dict[str, str] = {}
        reply = b""
        while True:
            self.connection.send(self.http2.data_to_send())
            for event in self.events():
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    fields |= {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    reply += event.data
                    self.http2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded):
                    return fields, reply

    def events(self) -> list:
        if not self.connection.pending:
            self.connection.fill()
        data, self.connection.pending = bytes(self.connection.pending), bytearray()
        return self.http2.receive_data(data)


def test_grpc_tunnel(same):
    """POST /grpc turns into HTTP/2 in which the client calls BuildKit's control API."""

    def act(target) -> tuple:
        with target.connect() as connection:
            headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
            connection.request("POST", "/grpc", headers, b"")
            head = connection.head()
            assert head.status == 101, head
            grpc = Grpc(connection)
            calls = [
                grpc.call("/moby.buildkit.v1.Control/ListWorkers"),
                grpc.call("/moby.buildkit.v1.Control/NoSuchMethod"),
            ]
            return head.comparable(), calls

    head, calls = same(act)
    assert ("upgrade", "h2c") in head[3]
    (fields, reply), (refused, _) = calls
    assert fields["grpc-status"] == "0"
    assert b"linux" in reply
    assert refused["grpc-status"] == "12"


def session_headers(session: str) -> wire.Headers:
    return {
        "Connection": "Upgrade", "Upgrade": "h2c",
        "X-Docker-Expose-Session-Uuid": session,
        "X-Docker-Expose-Session-Name": "test",
        "X-Docker-Expose-Session-Grpc-Method": "/grpc.health.v1.Health/Check",
    }


def test_session_tunnel_in_which_the_engine_speaks_first(target, unique):
    """POST /session: the Engine is the HTTP/2 client and sends its preface unasked."""
    with target.connect() as connection:
        connection.request("POST", "/session", session_headers(unique("session")), b"")
        assert connection.head().status == 101
        assert connection.until(b"SM\r\n\r\n") == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def test_session_refused_stays_http(target, unique):
    """A session the Engine refuses is an ordinary error; the next request is still a request."""
    headers = session_headers(unique("session"))
    with target.connect() as first, target.connect() as second:
        first.request("POST", "/session", headers, b"")
        assert first.head().status == 101
        refused = second.roundtrip("POST", "/session", headers, b"")
        assert refused.status == 400
        assert "already exists" in refused.json()["message"]
        assert second.roundtrip("GET", "/_ping").body == b"OK"


def test_build_cache_is_pruned(cli, target):
    """docker builder prune reports what it freed."""
    assert b"Total" in cli.ok(target.docker_host, "builder", "prune", "--force")
