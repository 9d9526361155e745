"""What an operator does at the admin listener: ask for a page, read the metrics."""

from __future__ import annotations

import json
import re
import socket

from wire import PATIENCE, Client, Response, eventually

SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')
PREFIX = "docker_socket_proxy_"


class Samples(dict):
    """{(name, ((label, value), …)): number}; `docker_socket_proxy_` is left out of names."""

    def get_one(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 without one."""
        wanted = labels.items()
        return sum(
            value for (found, all_), value in self.items() if found == name and wanted <= dict(all_).items()
        )


def parse(text: str) -> Samples:
    samples = Samples()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, line
        labels = tuple(LABEL.findall(match[2] or ""))
        key = (match[1].removeprefix(PREFIX), labels)
        assert key not in samples, f"twice: {line}"
        samples[key] = float(match[3])
    return samples


class Admin:
    """The admin listener at a port, or at the path of a socket."""

    def __init__(self, place: int | str):
        self.place = place

    def connect(self) -> Client:
        if isinstance(self.place, int):
            return Client(socket.create_connection(("127.0.0.1", self.place), PATIENCE))
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.place)
        return Client(sock)

    def post(self, target: str, *headers: str) -> Response:
        with self.connect() as client:
            client.post(target, headers=headers or ("Content-Type: application/json",))
            return client.response()

    def state(self, *headers: str) -> dict:
        response = self.get("/api/state", *headers)
        assert response.status == 200, response.body
        assert response.header("content-type") == "application/json"
        return json.loads(response.body)

    def get(self, target: str, *headers: str) -> Response:
        with self.connect() as client:
            client.get(target, headers=headers)
            return client.response()

    def metrics(self) -> Samples:
        response = self.get("/metrics")
        assert response.status == 200, response.body
        return parse(response.body.decode())

    def wait_for(self, number: float, name: str, **labels: str) -> Samples:
        """Once a metric has this value: what ends, is counted a moment after its client saw it."""

        def reached() -> Samples | None:
            samples = self.metrics()
            return samples if samples.get_one(name, **labels) == number else None

        return eventually(reached, f"{name}{labels} to be {number}; now {self.metrics().get_one(name, **labels)}")
