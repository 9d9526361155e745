"""Clients that are known by their containers, on a real Engine with a bridge, and at a unix socket."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Containers
from neighbours import Beside, Network, call, first_pid, from_container
from neighbours import beside, network  # fixtures

EDGE = "clients:\n- {name: edge, match: {container: {label: role=edge}}, policy: read-only}\n"
LIST = "/containers/json"


def status(proxy: Beside, container: str, network: Network, path: str = LIST) -> int:
    with from_container(proxy, container, network) as connection:
        return connection.roundtrip("GET", path).status


def test_a_label_picks_the_policy(beside, containers: Containers, network: Network) -> None:
    proxy = beside(EDGE)
    edge = containers.create("sleep", "3600", Labels={"role": "edge"}, **network.at(10))
    other = containers.create("sleep", "3600", Labels={"role": "edges"}, **network.at(11))
    assert status(proxy, edge, network) == 200
    assert status(proxy, other, network) == 403
    assert "identity=edge" in proxy.log_line("status=200", LIST)
