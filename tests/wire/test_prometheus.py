"""A real Prometheus reads the metrics; alerts and dashboard know those that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from machine import free_port
from operators import Admin
from prometheus import Prometheus, promtool
from wire import Engine

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/docker-socket-proxy.json"
ROWS = re.findall(r'^METRIC\("(\w+)", (\w+), "([\w,]*)"', (ROOT / "src/metrics/metrics.def").read_text(), re.MULTILINE)
NAMES = {name for name, _, _ in ROWS}


def names_in(text: str) -> set[str]:
    """The metrics that an expression has, a histogram by its own name."""
    found = re.findall(r"\b(?:docker_socket_proxy|process)_[a-z_]+\b", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def expressions() -> list[str]:
    """Those of the dashboard, as Grafana sends them."""
    board = json.loads(DASHBOARD.read_text())
    targets = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [
        text.replace("$instance", ".*").replace("$__rate_interval", "1m").replace("$__range", "1h")
        for text in [*targets, *(row["expr"] for row in board["annotations"]["list"])]
    ]


@pytest.fixture
def served(start):
    place = free_port()
    return start(env={"ADMIN": f"tcp://127.0.0.1:{place}", "POLICY": "read-only"}), place


def test_what_prometheus_stores_is_what_was_sent(served, own_engine: Engine, tmp_path: Path) -> None:
    proxy, place = served
    with Prometheus(tmp_path, place, RULES) as prometheus:
        for _ in range(7):
            with proxy.connect() as client:
                client.get("/_ping")
                own_engine.request().respond(body=b"OK")
                assert client.response().status == 200
        with proxy.connect() as client:
            for _ in range(3):
                client.post("/containers/x/kill")
                assert client.response().status == 403
        prometheus.wait_for('docker_socket_proxy_requests_total{operation="system.ping",verdict="allow",policy="read-only"}', 7)
        prometheus.wait_for('docker_socket_proxy_denials_total{operation="container.kill"}', 3)
        prometheus.wait_for('docker_socket_proxy_request_duration_seconds_count{kind="read"}', 7)
        assert prometheus.query("up") == [({"__name__": "up", "instance": f"127.0.0.1:{place}", "job": "docker-socket-proxy"}, 1)]
        stored = set(prometheus.ask("label/__name__/values"))
        # They have no series until something is refused, and before there are several Engines.
        absent = {"docker_socket_proxy_limits_total", "docker_socket_proxy_engine_up", "docker_socket_proxy_engine_connect_failures_total"}
        assert {name for name, kind, _ in ROWS if kind != "HISTOGRAM"} - stored == absent
        for expression in expressions():
            prometheus.query(expression)  # an error of syntax is an HTTP error
        states = {rule["name"]: rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
        assert len(states) >= 10 and "err" not in states.values()
        own_engine.stop()
        prometheus.wait_for("docker_socket_proxy_upstream_up", 0)
    own_engine.start()


def test_promtool_finds_no_fault_in_the_metrics(served, own_engine: Engine) -> None:
    _, place = served
    result = promtool("check", "metrics", given=Admin(place).get("/metrics").body.decode())
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_alerts_are_raised_when_they_should(tmp_path: Path) -> None:
    result = promtool("check", "rules", str(RULES))
    assert result.returncode == 0, result.stdout + result.stderr
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    (tmp_path / "test.yml").write_text((Path(__file__).parent / "rules-test.yml").read_text())
    result = promtool("test", "rules", str(tmp_path / "test.yml"))
    assert result.returncode == 0, result.stdout + result.stderr
    tested = set(re.findall(r"alertname: (\w+)", (tmp_path / "test.yml").read_text()))
    assert tested == set(re.findall(r"alert: (\w+)", RULES.read_text()))


def test_alerts_and_dashboard_use_metrics_that_there_are() -> None:
    assert names_in(RULES.read_text()) <= NAMES
    assert names_in(" ".join(expressions())) == NAMES, "each metric is drawn"


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\|", text, re.MULTILINE)
    documented = [(name, kind.upper(), ",".join(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]
    assert documented == ROWS
