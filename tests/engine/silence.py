"""Streams opened at the start of the run, on which nothing happens until its end."""

import io
import json
import tarfile
import time

import wire

ECHO_ONCE = ["sh", "-c", "read -r word; echo got $word"]
# The shell waits for a child: a loop would take processor time from all other tests.
SPEAK_LATE = ["sh", "-c", "cat >/dev/null; trap 'echo late; exit' USR1; sleep 36000 & wait"]
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
JSON = {"Content-Type": "application/json"}


def small_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 7
        tar.addfile(entry, io.BytesIO(b"content"))
    return buffer.getvalue()


class Silent:
    """One of each kind of stream, over one way to the Engine."""

    def __init__(self, containers, connect) -> None:
        self.containers = containers
        self.connect = connect
        self.asked = containers.create(*ECHO_ONCE, stdin=True)
        self.busy = containers.sleeping()
        self.late = containers.create(*SPEAK_LATE, stdin=True)

        self.attach = self._tunnel(f"/containers/{self.asked}/attach?stream=1&stdin=1&stdout=1")
        self.half_closed = self._tunnel(
            f"/containers/{self.late}/attach?stream=1&stdin=1&stdout=1"
        )
        self.half_closed.half_close()
        command = {"Cmd": ECHO_ONCE, "AttachStdin": True, "AttachStdout": True}
        made = containers.call("POST", f"/containers/{self.busy}/exec", command).json()["Id"]
        self.exec = self._tunnel(f"/exec/{made}/start", b'{"Detach":false,"Tty":false}')

        filters = json.dumps({"container": [self.asked], "event": ["die"]}).replace('"', "%22")
        self.events = self._stream("GET", f"/events?filters={filters.replace(' ', '')}")
        self.logs = self._stream("GET", f"/containers/{self.asked}/logs?follow=1&stdout=1")
        self.wait = self._stream("POST", f"/containers/{self.asked}/wait")

        self.idle = connect()
        assert self.idle.roundtrip("GET", "/_ping").status == 200
        self.upload = connect()
        tar = small_tar()
        self.upload.request(
            "PUT", f"/containers/{self.busy}/archive?path=/tmp", {"Content-Length": str(len(tar))}
        )
        self.upload.send(tar[:600])
        self.rest_of_upload = tar[600:]
        self.since = time.monotonic()

    def _tunnel(self, path: str, body: bytes = b"") -> wire.Connection:
        connection = self.connect()
        connection.request("POST", path, {**UPGRADE, **(JSON if body else {})}, body)
        head = connection.head()
        assert head.status == 101, head
        return connection

    def _stream(self, method: str, path: str) -> wire.Connection:
        connection = self.connect()
        connection.request(method, path, {"Content-Length": "0"} if method == "POST" else {})
        head = connection.head()
        assert head.status == 200, head
        return connection

    def close(self) -> None:
        for one in vars(self).values():
            if isinstance(one, wire.Connection):
                one.close()
