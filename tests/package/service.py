"""What tests do with the service of a package: give it an Engine, ask it, keep asking it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import debian
from engine import Engine

SERVICE = "docker-socket-proxy.service"
CONFIGURATION = "/etc/docker-socket-proxy/proxy.yaml"
PORT = "3277"


class Load:
    """Clients that ask without a pause while the block runs."""

    def __init__(self, machine: debian.Machine, hurry: Engine) -> None:
        self.machine = machine
        self.engine = hurry
        self.result: dict = {}

    def __enter__(self) -> Load:
        script = Path(__file__).with_name("load.py")
        self._process = subprocess.Popen(self.machine.beside(sys.executable, str(script), PORT), text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.hurry.set()
        output, _ = self._process.communicate(timeout=120)
        self.result = json.loads(output)


def status(machine: debian.Machine, method: str, path: str) -> int:
    """The status with which the proxy on the machine responds."""
    script = ("import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=30);"
              "c.request(sys.argv[2], sys.argv[3]); print(c.getresponse().status)")
    return int(subprocess.run(machine.beside(sys.executable, "-c", script, PORT, method, path), text=True,
                              capture_output=True, check=True).stdout)


def give_engine(machine: debian.Machine) -> None:
    """The Engine's socket, as Docker's packages leave it: for root and the group docker."""
    machine("chgrp", "docker", "/mnt/out/engine.sock")
    machine("chmod", "0660", "/mnt/out/engine.sock")
    machine("ln", "-s", "/mnt/out/engine.sock", "/run/docker.sock")


def allow_events(machine: debian.Machine) -> None:
    """As the file of the package says it, for the stream that Load reads."""
    machine("sed", "-i", "-e", "s/^    #rules:/    rules:/", "-e", "s/^    #  - allow: .*/      - allow: [system.events]/", CONFIGURATION)
