"""Debian's Prometheus and promtool, unpacked into a folder: no daemon is installed."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

from machine import free_port
from wire import PATIENCE, eventually

CACHE = Path.home() / ".cache/docker-socket-proxy-tests/prometheus"
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: docker-socket-proxy, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}
rule_files: [{rules}]
"""


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; fetched once, 20 MB."""
    path = CACHE / "root/usr/bin" / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"], cwd=CACHE, check=True)
        package = next(CACHE.glob("prometheus_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, CACHE / "root"], check=True)
        package.unlink()
    return str(path)


def promtool(*args: str, given: str = "") -> subprocess.CompletedProcess:
    return subprocess.run([program("promtool"), *args], input=given, capture_output=True, text=True, timeout=PATIENCE)


class Prometheus:
    """One that runs, and scrapes the admin listener at a port every second."""

    def __init__(self, folder: Path, target: int, rules: Path):
        self.port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(target=target, rules=rules))
        self.process = subprocess.Popen(
            [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "prometheus.log").open("w"),
        )

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def ask(self, path: str, **parameters: str) -> dict | list:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[tuple[dict, float]]:
        result = self.ask("query", query=expression)["result"]
        return [(row["metric"], float(row["value"][1])) for row in result]

    def wait_for(self, expression: str, value: float) -> None:
        def reached() -> bool:
            try:
                return [number for _, number in self.query(expression)] == [value]
            except OSError:
                return False  # it starts

        eventually(reached, f"{expression} to be {value}")
