"""docker-py, the Python SDK: pools connections, reads hijacked sockets past its own buffers."""

import io
import os
import socket
import tarfile
import time

import docker
import pytest
from client import docker_py
from docker.utils.socket import frames_iter
from test_files import contents, tar_of

MEGABYTE = 1 << 20


@pytest.fixture
def sdk(target):
    client = docker_py(target.docker_host)
    yield client
    client.close()


def test_version_and_info(sdk, engine):
    """Version negotiation and the plain questions."""
    assert sdk.ping() is True
    assert sdk.version() == engine.get("/version").json()
    assert sdk.info()["ID"] == engine.get("/info").json()["ID"]


def test_run(sdk):
    """containers.run gives the output; a failing command raises with status and stderr."""
    assert sdk.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as raised:
        sdk.containers.run("busybox", ["sh", "-c", "echo wrong >&2; exit 3"], remove=True)
    assert (raised.value.exit_status, raised.value.stderr) == (3, b"wrong\n")


def test_errors_have_types(sdk):
    """404 is NotFound with the Engine's explanation."""
    with pytest.raises(docker.errors.NotFound, match="No such container: none"):
        sdk.containers.get("none")
    with pytest.raises(docker.errors.ImageNotFound, match="No such image: none"):
        sdk.images.get("none")


def test_logs(sdk, containers):
    """Logs, whole and as a stream that ends with the container."""
    container = sdk.containers.get(containers.shell("echo one; echo two"))
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"one\ntwo\n"
    assert b"".join(container.logs(stream=True, follow=True)) == b"one\ntwo\n"


def test_exec(sdk, containers):
    """exec_run with status, demultiplexed streams and streamed output."""
    container = sdk.containers.get(containers.idle())
    result = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (result.exit_code, result.output) == (4, (b"out\n", b"err\n"))
    streamed = container.exec_run(["sh", "-c", "echo a; sleep 0.2; echo b"], stream=True)
    assert b"".join(streamed.output) == b"a\nb\n"


def test_detached_exec(sdk, containers):
    """exec_run(detach=True) returns at once with no output."""
    container = sdk.containers.get(containers.idle())
    assert container.exec_run(["true"], detach=True).output in ("", b"")


def raw_socket(stream):
    """Over TLS docker-py gives the socket itself."""
    return getattr(stream, "_sock", stream)


@pytest.mark.cannot("docker-py-half-close")
def test_exec_socket(sdk, containers):
    """exec with socket=True: the raw socket in the caller's hands, both ways, half-closed."""
    container = containers.idle()
    execution = sdk.api.exec_create(container, ["cat"], stdin=True)["Id"]
    stream = sdk.api.exec_start(execution, socket=True)
    raw = raw_socket(stream)
    raw.sendall(b"typed\n")
    raw.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in frames_iter(stream, tty=False)) == b"typed\n"
    stream.close()


def test_attach_socket(sdk, containers):
    """attach_socket: what is written arrives on stdin, the output comes back."""
    container = containers.shell("read -r word; echo got $word", stdin=True)
    stream = sdk.api.attach_socket(container, {"stdin": 1, "stdout": 1, "stream": 1})
    raw_socket(stream).sendall(b"word\n")
    assert b"".join(data for _, data in frames_iter(stream, tty=False)) == b"got word\n"
    stream.close()


def test_archives(sdk, containers):
    """put_archive and get_archive: 4 MiB there and back."""
    container, data = sdk.containers.get(containers.idle()), os.urandom(4 * MEGABYTE)
    assert container.put_archive("/tmp", tar_of(file=data))
    stream, stat = container.get_archive("/tmp/file")
    assert stat["size"] == len(data)
    assert contents(b"".join(stream)) == {"file": data}


def test_early_refusal_of_an_upload(sdk, containers):
    """put_archive of 8 MiB into a read-only container raises the Engine's reason."""
    container = containers.create("sleep", "60", HostConfig={"ReadonlyRootfs": True})
    with pytest.raises(docker.errors.APIError, match="marked read-only"):
        sdk.api.put_archive(container, "/", io.BytesIO(tar_of(file=bytes(8 * MEGABYTE))))


def test_build(sdk, unique):
    """images.build from a file object."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        dockerfile = b"FROM busybox\nRUN echo marker > /made\n"
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))
    context.seek(0)
    tag = unique("built")
    image, log = sdk.images.build(
        fileobj=context, custom_context=True, tag=tag, network_mode="none", rm=True
    )
    try:
        assert any("Successfully built" in entry.get("stream", "") for entry in log)
        assert sdk.containers.run(tag, ["cat", "/made"], remove=True) == b"marker\n"
    finally:
        sdk.images.remove(image.id, force=True)


def test_save_and_load(sdk, unique):
    """image.save and images.load as streams."""
    image = sdk.images.get("busybox")
    saved = b"".join(image.save())
    assert [loaded.id for loaded in sdk.images.load(saved)] == [image.id]


def test_events(sdk, containers, unique):
    """events(decode=True) yields each event as it happens."""
    label = unique("label")
    events = sdk.events(decode=True, since=int(time.time()), filters={"label": label})
    container = containers.create("true", Labels={label: ""})
    seen = [next(events)["Action"] for _ in range(2)]
    events.close()
    assert seen == ["create", "start"]
    assert container


def test_stats(sdk, containers):
    """stats(stream=False) gives one sample."""
    container = sdk.containers.get(containers.idle())
    assert container.stats(stream=False)["id"] == container.id


def test_pool_of_connections(sdk):
    """Streams and questions side by side on the SDK's pool of connections."""
    container = sdk.containers.run("busybox", ["sleep", "60"], detach=True)
    try:
        streams = [container.logs(stream=True, follow=True) for _ in range(5)]
        for _ in range(20):
            container.reload()
            assert container.status == "running"
    finally:
        container.remove(force=True)
    assert [b"".join(stream) for stream in streams] == [b""] * 5
