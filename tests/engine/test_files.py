"""Files in and out: cp, save, load, import, export. Tar streams of any length, both ways."""

import hashlib
import io
import os
import tarfile

import pytest
import wire

MEGABYTE = 1 << 20


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def contents(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {e.name: archive.extractfile(e).read() for e in archive if e.isfile()}


def test_copy_a_file_in_and_out(cli, target, containers, tmp_path):
    """docker cp: 4 MiB go into a container and come out unchanged."""
    container, data = containers.idle(), os.urandom(4 * MEGABYTE)
    (tmp_path / "in").write_bytes(data)
    cli.ok(target.docker_host, "cp", tmp_path / "in", f"{container}:/tmp/file")
    seen = cli.ok(target.docker_host, "exec", container, "sha256sum", "/tmp/file")
    assert seen.split()[0].decode() == hashlib.sha256(data).hexdigest()
    cli.ok(target.docker_host, "cp", f"{container}:/tmp/file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_copy_a_folder(cli, target, containers, tmp_path):
    """docker cp of a folder keeps its tree."""
    container = containers.idle()
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "leaf").write_text("leaf")
    (tmp_path / "tree" / "root").write_text("root")
    cli.ok(target.docker_host, "cp", tmp_path / "tree", f"{container}:/")
    cli.ok(target.docker_host, "cp", f"{container}:/tree", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "leaf").read_text() == "leaf"
    assert (tmp_path / "back" / "root").read_text() == "root"


def test_copy_as_tar_through_pipes(cli, target, containers):
    """docker cp - and docker cp … -: tar from standard input, tar to standard output."""
    container = containers.create("true", start=False)
    cli.ok(target.docker_host, "cp", "-", f"{container}:/tmp", stdin=tar_of(a=b"one", b=b"two"))
    out = cli.ok(target.docker_host, "cp", f"{container}:/tmp", "-")
    assert contents(out) == {"tmp/a": b"one", "tmp/b": b"two"}


def test_copy_of_a_missing_file(cli, same, containers, tmp_path):
    """A wrong path is named in the error."""
    container = containers.idle()
    done = same(lambda t: cli.run(t.docker_host, "cp", f"{container}:/nowhere", tmp_path / "x"))
    assert done.status == 1
    assert b"/nowhere" in done.err


def test_head_of_an_archive(same, containers):
    """The stat of a file travels in a header; the response to HEAD has no body and is over."""
    container = containers.idle()

    def act(target) -> tuple:
        with target.connect() as connection:
            stat = connection.roundtrip("HEAD", f"/containers/{container}/archive?path=/bin")
            return stat.comparable(), connection.roundtrip("GET", "/_ping").comparable()

    stat, ping = same(act)
    assert stat[1] == 200
    assert "x-docker-container-path-stat" in dict(stat[3])
    assert ping[4] == b"OK"


def test_export(cli, target, containers):
    """docker export: the whole file system as one tar."""
    container = containers.shell("echo content > /made")
    containers.wait(container)
    exported = contents(cli.ok(target.docker_host, "export", container))
    assert exported["made"] == b"content\n"
    assert len(exported["bin/busybox"]) > MEGABYTE


def test_import(cli, target, unique):
    """docker import - reads a file system from a pipe; the image holds it."""
    image, data = unique("imported"), os.urandom(8 * MEGABYTE)
    try:
        out = cli.ok(target.docker_host, "import", "-", image, stdin=tar_of(blob=data))
        assert out.startswith(b"sha256:")
        container = cli.ok(target.docker_host, "create", image, "none").decode().strip()
        back = cli.ok(target.docker_host, "cp", f"{container}:/blob", "-")
        assert contents(back) == {"blob": data}
        cli.ok(target.docker_host, "rm", container)
    finally:
        cli.run(target.docker_host, "rmi", "-f", image)


def test_import_shows_the_engines_error(cli, same, unique):
    """An import that fails shows why."""
    done = same(lambda t: cli.run(t.docker_host, "import", "-", "broken", stdin=b"not a tar" * 99))
    assert done.status == 1
    assert done.err


def test_save_and_load(cli, target, unique):
    """docker save | docker load: an image with 8 MiB of its own goes out and comes back."""
    image = unique("saved")
    data = os.urandom(8 * MEGABYTE)
    cli.ok(target.docker_host, "import", "-", image, stdin=tar_of(blob=data))
    identity = cli.ok(target.docker_host, "inspect", "--format", "{{.Id}}", image)
    saved = cli.ok(target.docker_host, "save", image)
    cli.ok(target.docker_host, "rmi", image)
    try:
        loaded = cli.ok(target.docker_host, "load", stdin=saved)
        assert f"Loaded image: {image}".encode() in loaded
        assert cli.ok(target.docker_host, "inspect", "--format", "{{.Id}}", image) == identity
    finally:
        cli.run(target.docker_host, "rmi", "-f", image)


def test_saved_files_are_the_same(older_cli, target, direct):
    """docker save gives the same files; the tar around them has the time, from Engine 25 on."""

    def digests(way) -> dict[str, str]:
        saved = contents(older_cli.ok(way.docker_host, "save", "busybox"))
        return {name: hashlib.sha256(data).hexdigest() for name, data in saved.items()}

    files = digests(target)
    assert "manifest.json" in files
    assert files == digests(direct)


@pytest.mark.parametrize("chunk", [1, 7, 32768, 3 * MEGABYTE])
def test_chunked_upload_in_chunks_of_any_size(target, containers, chunk):
    """A chunked upload arrives whole whatever the size of the chunks, from 1 byte to 3 MiB."""
    container = containers.idle()
    data = os.urandom(min(6 * MEGABYTE, chunk * 1000))
    tar = tar_of(file=data)
    with target.connect() as connection:
        connection.request(
            "PUT", f"/containers/{container}/archive?path=/tmp",
            {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"},
        )
        pieces = (tar[at:at + chunk] for at in range(0, len(tar), chunk))
        connection.send(b"".join(map(wire.chunk_bytes, pieces)) + b"0\r\n\r\n")
        assert connection.response("PUT").status == 200
        back = connection.roundtrip("GET", f"/containers/{container}/archive?path=/tmp/file")
    assert contents(back.body) == {"file": data}


def test_upload_with_a_length(target, containers):
    """The same with Content-Length, and the connection is usable afterwards."""
    container, data = containers.idle(), os.urandom(5 * MEGABYTE)
    headers = {"Content-Type": "application/x-tar"}
    with target.connect() as connection:
        path = f"/containers/{container}/archive?path=/tmp"
        assert connection.roundtrip("PUT", path, headers, tar_of(file=data)).status == 200
        back = connection.roundtrip("GET", f"/containers/{container}/archive?path=/tmp/file")
    assert contents(back.body) == {"file": data}


def test_error_before_the_upload_ends(cli, same, containers, tmp_path):
    """docker cp of 32 MiB into a read-only container: the Engine refuses before it has read the
    upload. The user sees the reason, and not a broken pipe."""
    container = containers.create("sleep", "3600", HostConfig={"ReadonlyRootfs": True})
    (tmp_path / "large").write_bytes(bytes(32 * MEGABYTE))

    def act(target) -> tuple:
        done = cli.run(target.docker_host, "cp", tmp_path / "large", f"{container}:/large")
        # Before or behind it, the client may warn of its pipe.
        told = [line for line in done.err.splitlines() if b"from daemon" in line]
        return done.status, told[-1] if told else done.err

    status, reason = same(act)
    assert status == 1
    assert reason.endswith(b"container rootfs is marked read-only")
