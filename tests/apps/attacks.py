"""What somebody tries who has taken over an app. Each page of docs/apps has a row for each of them, with the answer."""

from __future__ import annotations

import re
from collections.abc import Collection

from project import ROOT, Project

# Limits, so that a policy that demands them has something else to refuse.
LIMITS = {"Memory": 64 << 20, "NanoCpus": 10**9, "PidsLimit": 100}


def create(**host: object) -> tuple[str, dict]:
    return "POST /containers/create", {"Image": "busybox:latest", "HostConfig": {**LIMITS, **host}}


def attacks(project: Project, service: str) -> dict[str, tuple[str, object]]:
    """Name → request and body. `other` is another app's container, and `other-docker-api` its network."""
    proxy, own = project.container("docker-socket-proxy")["Id"], project.container(service)["Id"]
    command = {"Cmd": ["/docker-socket-proxy", "--policy", "open", "--listen", "tcp://*:4000"], "AttachStdout": True}
    return {
        "a container with all privileges": create(Privileged=True),
        "a container that mounts `/`": create(Binds=["/:/host"]),
        "a container that mounts the Engine's socket": create(Mounts=[
            {"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}]),
        "a container in the namespaces of the host": create(PidMode="host", NetworkMode="host"),
        "a container on the network of the proxy": create(NetworkMode=f"{project.name}-docker-api"),
        "a volume that is a folder of the host": (
            "POST /volumes/create", {"Name": "host", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}),
        "a command in another app's container": ("POST /containers/other/exec", {"Cmd": ["id"], "AttachStdout": True}),
        "an open proxy in the proxy's container": (f"POST /containers/{proxy}/exec", command),
        "the files of another app's container": ("GET /containers/other/archive?path=/etc/passwd", None),
        "the network of another app": ("POST /networks/other-docker-api/connect", {"Container": own}),
        "an end of the proxy": (f"POST /containers/{proxy}/kill", None),
        "a push": ("POST /images/busybox/push?tag=latest", None),
        "a swarm": ("POST /swarm/init", {"ListenAddr": "0.0.0.0:2377"}),
        "a plugin": ("POST /plugins/pull?remote=vieux/sshfs", []),
    }


def documented(page: str, head: str = "answer") -> dict[str, str]:
    """The rows of the table with this head: attack → answer."""
    table = (ROOT / "docs/apps" / page).read_text().partition(f"| attack | {head} |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| ([a-z][^|]+) \| `([^|]+)` \|$", table, re.MULTILINE))


def answers(project: Project, service: str, page: str, head: str = "answer", but: Collection[str] = ()) -> dict[str, str]:
    """What each attack gets, as the page has it where that is in the answer; some are left to the test."""
    app, rows = project.app(service), documented(page, head)
    got = {name: app.refusal(*request) for name, request in attacks(project, service).items() if name not in but}
    return {name: rows[name] if rows.get(name, "\0") in message else message for name, message in got.items()}


def same_files(page: str, *names: str) -> list[str]:
    """The files of deploy/apps that the page does not show as they are."""
    text = (ROOT / "docs/apps" / page).read_text()
    return [name for name in names if f"\n{(ROOT / 'deploy/apps' / name).read_text()}```\n" not in text]
