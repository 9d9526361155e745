#!/usr/bin/python3
"""make bench: what the proxy costs beside a relay that understands nothing, HAProxy and nginx.

All in one run and in turns: every proxy is pinned to one core, the load generator and the stand-in
Engine share another; each round measures every proxy once per scenario, so that whatever the
machine does meanwhile falls on all of them. The figure to compare is CPU time of the proxy process
per request (or per GiB), as a ratio to the floor of the same turn; the median of the turns counts.
A round has several turns of small requests and one of a bulk transfer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import measure
import peers
import report
from peers import Place, Proxy

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
GIB = 1 << 30
MIB = 1 << 20

# Of the client in bulk downloads. With a buffer that grows up to 6 MiB, how much lies in it, and so
# whether it is still in a cache, is left to the scheduler: the same relay then costs 0.23 or 0.38
# CPU-s/GiB, by chance. With a fixed one it costs the same every time.
RECEIVE_BUFFER = 256 * 1024

TRIES = 3

# The speed of a virtual machine changes within seconds. Five turns of 20,000 requests cost as much as
# one of 100,000, and their median differs less: three runs one after the other gave 1.31, 1.27 and 1.29
# for 2 bytes, where rounds of one turn had given 1.15, 1.27 and 1.34.
TURNS = 5


@dataclass(frozen=True)
class Scenario:
    """One kind of traffic. `bulk`: one request moves a lot; otherwise 32 connections in parallel."""

    name: str
    method: str
    path: str
    expect: int = 0
    requests: int = 0
    bulk: bool = False
    upload: bool = False
    chunked: bool = False
    field: str = ""  # sent with each request
    of: str = ""  # a kind of its own

    @property
    def kind(self) -> str:
        """What proxies are chosen by: peers.Proxy.kinds."""
        return self.of or ("bulk" if self.bulk else "key" if self.field else "small")

    @property
    def turns(self) -> int:
        """Measurements of each proxy in a round."""
        return 1 if self.bulk else TURNS


SCENARIOS = (
    Scenario("2 bytes", "GET", "/_ping", expect=2, requests=20_000),
    Scenario("2 bytes with a key", "GET", "/_ping", expect=2, requests=20_000, field=peers.KEY_FIELD),
    Scenario("2 bytes with all on", "GET", "/_ping", expect=2, requests=20_000, of="all"),
    Scenario("48 KiB length", "GET", "/v1.41/containers/json?all=1", 49152, 6_000),
    Scenario("48 KiB one chunk", "GET", "/v1.41/images/json?all=1", 49152, 6_000),
    Scenario("48 KiB chunks", "GET", "/v1.41/volumes", 49152, 6_000),
    Scenario("download length", "GET", "/v1.41/images/get?names=bench", bulk=True),
    Scenario("download chunked", "GET", "/v1.41/containers/bench/export", bulk=True),
    Scenario("upload length", "POST", "/v1.41/images/load?quiet=1", bulk=True, upload=True),
    Scenario(
        "upload chunked", "POST", "/v1.41/images/load?quiet=1", bulk=True, upload=True, chunked=True
    ),
)


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    share: float  # of the requests of a scenario
    bulk: int  # bytes moved by one bulk measurement
    starts: int


FULL = Effort(rounds=5, share=1.0, bulk=GIB, starts=15)
QUICK = Effort(rounds=3, share=0.15, bulk=256 * MIB, starts=5)


# ---- Processes. ----


class Bench:
    """The Engine, and where everything runs."""

    def __init__(self, folder: Path, proxy_cpu: int, load_cpu: int, effort: Effort) -> None:
        self.folder = folder
        self.proxy_cpu = proxy_cpu
        self.load_cpu = load_cpu
        self.effort = effort
        self.engine_socket = folder / "engine.sock"
        self.descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.engine = self.spawn_on_load_cpu(
            [str(BUILD / "engine"), str(self.engine_socket), "--bulk", str(effort.bulk)]
        )
        assert self.engine.stdout is not None
        if self.engine.stdout.readline() != "ready\n":
            raise SystemExit("bench: the stand-in Engine did not start")

    def spawn_on_load_cpu(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.load_cpu}),
        )

    def load(self, mode: str, port: int, scenario: Scenario, *options: object) -> list[str]:
        return [
            str(BUILD / "load"),
            mode,
            str(port),
            scenario.method,
            scenario.path,
            *(["--field", scenario.field] if scenario.field else []),
            *[str(option) for option in options],
        ]

    def place(self, proxy: Proxy) -> Place:
        folder = Path(tempfile.mkdtemp(prefix="proxy-", dir=self.folder))
        folder.chmod(0o755)
        return Place(free_port(), self.engine_socket, folder, self.descriptors)

    def stop(self) -> None:
        self.engine.kill()
        self.engine.wait()


class Running:
    """A proxy that responds."""

    def __init__(self, bench: Bench, proxy: Proxy) -> None:
        self.proxy = proxy
        self.place = bench.place(proxy)
        self.log = log_path(proxy, self.place)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                proxy.command(self.place),
                env={**os.environ, **proxy.environment(self.place)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, {bench.proxy_cpu}),
            )
        self.wait_until_listening()
        self.pids = measure.family(self.process.pid)

    def wait_until_listening(self) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.place.port), timeout=5).close()
                return
            time.sleep(0.01)
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        self.stop()
        raise SystemExit(f"bench: {self.proxy.name} does not listen:\n{text[-2000:]}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def log_path(proxy: Proxy, place: Place) -> Path:
    return Path("/dev/null") if proxy.log_to == "null" else place.folder / "log"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(bench: Bench, proxy: Proxy) -> Iterator[Running]:
    instance = Running(bench, proxy)
    try:
        yield instance
    finally:
        instance.stop()


def line_of(process: subprocess.Popen[str], what: str) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line == "":
        raise SystemExit(f"bench: {what} failed (exit {process.wait()})")
    return line.strip()


def say_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


# ---- One measurement. ----


def scenario_options(scenario: Scenario, effort: Effort, check: bool) -> list[object]:
    if scenario.upload:
        return (
            ["--upload", effort.bulk]
            + (["--chunked"] if scenario.chunked else [])
            + ["--requests", 1]
        )
    if scenario.bulk:
        bulk = ["--expect", effort.bulk, "--requests", 1, "--receive-buffer", RECEIVE_BUFFER]
        return bulk + (["--check"] if check else [])
    requests = 320 if check else max(1000, int(scenario.requests * effort.share))
    return ["--connections", 32, "--warm-up", 640, "--requests", requests] + (
        ["--expect", scenario.expect] + (["--check"] if check and scenario.expect > 2 else [])
    )


class LoadError(Exception):
    """The response to a request was wrong."""


def measure_once(bench: Bench, instance: Running, scenario: Scenario) -> dict[str, float]:
    options = scenario_options(scenario, bench.effort, check=False)
    load = bench.spawn_on_load_cpu(bench.load("http", instance.place.port, scenario, *options))
    ours = [load.pid, bench.engine.pid, os.getpid()]
    line_of(load, f"{instance.proxy.name}, {scenario.name}")
    rest_before = measure.clock(ours)
    busy_before = measure.busy([bench.proxy_cpu, bench.load_cpu])
    before = measure.clock(instance.pids)
    say_go(load)
    result = json.loads(line_of(load, f"{instance.proxy.name}, {scenario.name}"))
    used = measure.clock(instance.pids) - before
    busy = measure.busy([bench.proxy_cpu, bench.load_cpu]) - busy_before
    rest = measure.clock(ours) - rest_before
    if load.wait() != 0:
        raise LoadError(f"{instance.proxy.name}, {scenario.name}: errors: {result}")
    seconds = result["seconds"]
    return {
        "cpu_us": used.used / 1e3 / result["requests"],
        "cpu_s_per_gib": used.used / 1e9 / (result["bytes"] / GIB) if scenario.bulk else 0.0,
        "gib_per_s": result["bytes"] / GIB / seconds,
        "per_s": result["requests"] / seconds,
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "busy": used.used / 1e9 / seconds,
        "waited": used.waited / 1e9 / seconds,
        "foreign": max(0.0, busy - (used.used + rest.used) / 1e9) / seconds,
        "reconnects": result["reconnects"],
    }


def measure_undisturbed(bench: Bench, instance: Running, scenario: Scenario) -> dict[str, float]:
    """Again when somebody else had the proxy's core; the least disturbed try counts."""
    best: dict[str, float] | None = None
    for _ in range(TRIES):
        figures = measure_once(bench, instance, scenario)
        if best is None or figures["waited"] < best["waited"]:
            best = figures
        if best["waited"] <= measure.DISTURBED:
            break
    assert best is not None
    return best


def check_once(bench: Bench, instance: Running, scenario: Scenario) -> None:
    """Every byte of every kind of body, before anything is timed."""
    path = scenario.path + ("&check=1" if scenario.upload else "")
    checked = Scenario(**{**scenario.__dict__, "path": path})
    options = scenario_options(scenario, bench.effort, check=True)
    load = bench.spawn_on_load_cpu(bench.load("http", instance.place.port, checked, *options))
    line_of(load, f"{instance.proxy.name}, {scenario.name}")
    say_go(load)
    result = line_of(load, f"{instance.proxy.name}, {scenario.name}")
    if load.wait() != 0:
        raise SystemExit(f'bench: {instance.proxy.name} corrupts "{scenario.name}": {result}')


# ---- The parts of a run. ----

Figures = dict[str, dict[str, list[dict[str, float]]]]  # scenario → proxy → turns


def applies(proxy: Proxy, scenario: Scenario) -> bool:
    return scenario.kind in proxy.kinds


def measure_turn(
    bench: Bench, instances: list[Running], scenario: Scenario, broken: set[tuple[str, str]]
) -> dict[str, dict[str, float]]:
    """Every proxy once. A peer that fails is left out from then on; what is ours must not fail."""
    figures = {}
    for instance in instances:
        key = (instance.proxy.name, scenario.name)
        if not applies(instance.proxy, scenario) or key in broken:
            continue
        try:
            figures[instance.proxy.name] = measure_undisturbed(bench, instance, scenario)
        except LoadError as error:
            if not instance.proxy.peer:
                raise SystemExit(f"bench: {error}") from None
            progress(f"left out: {error}")
            broken.add(key)
    return figures


def measure_traffic(bench: Bench, proxies: list[Proxy], scenarios: list[Scenario]) -> Figures:
    figures: Figures = {scenario.name: {} for scenario in scenarios}
    with contextlib.ExitStack() as stack:
        instances = [stack.enter_context(running(bench, proxy)) for proxy in proxies]
        for scenario in scenarios:
            for instance in instances:
                if applies(instance.proxy, scenario):
                    check_once(bench, instance, scenario)
        broken: set[tuple[str, str]] = set()
        for number in range(bench.effort.rounds):
            progress(f"round {number + 1} of {bench.effort.rounds}")
            for scenario, turn in [(each, turn) for each in scenarios for turn in range(each.turns)]:
                first = (number + turn) % len(instances)
                ordered = instances[first:] + instances[:first]
                for name, found in measure_turn(bench, ordered, scenario, broken).items():
                    figures[scenario.name].setdefault(name, []).append(found)
        for name, scenario_name in broken:
            figures[scenario_name].pop(name, None)
    return figures


def smallest(proxy: Proxy) -> Scenario:
    """The first that the proxy is measured with: one with clients wants a key."""
    return next(scenario for scenario in SCENARIOS if scenario.kind in proxy.kinds)


def measure_start(bench: Bench, proxy: Proxy) -> list[float]:
    """Milliseconds from exec to the end of the first response, several times."""
    times = []
    for _ in range(bench.effort.starts):
        place = bench.place(proxy)
        load = subprocess.run(
            bench.load("start", place.port, smallest(proxy), "--cpu", bench.proxy_cpu)
            + ["--log", str(log_path(proxy, place)), "--"]
            + proxy.command(place),
            env={**os.environ, **proxy.environment(place)},
            preexec_fn=lambda: os.sched_setaffinity(0, {bench.load_cpu}),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if load.returncode != 0:
            raise SystemExit(f"bench: {proxy.name} gave no first response")
        times.append(json.loads(load.stdout)["ms"])
    return times


HOLDS: dict[str, list[object]] = {
    "silent": ["--silent"],  # connected, nothing sent yet
    "after_response": ["--in-flight", 32],  # kept open after one request each
}


def measure_memory(bench: Bench, proxy: Proxy, connections: int) -> dict[str, float]:
    """Idle, and with idle connections of either kind, each on a fresh instance."""
    figures: dict[str, float] = {"connections": connections}
    for name, options in HOLDS.items():
        with running(bench, proxy) as instance:
            one = bench.load("http", instance.place.port, smallest(proxy))
            subprocess.run(one, input="go\n", text=True, check=True, stdout=subprocess.DEVNULL)
            idle = measure.memory(instance.pids)
            figures |= {"idle_resident": idle.resident, "idle_private": idle.private}
            if proxy.holds_connections:
                figures |= hold(bench, instance, connections, name, options)
    return figures


def hold(
    bench: Bench, instance: Running, connections: int, name: str, options: list[object]
) -> dict[str, float]:
    before = measure.memory(instance.pids)
    load = bench.spawn_on_load_cpu(
        bench.load("hold", instance.place.port, smallest(instance.proxy))
        + ["--connections", str(connections), *[str(option) for option in options]]
    )
    line_of(load, f"{instance.proxy.name}, {connections} connections")
    port = instance.place.port
    if not measure.settled(lambda: measure.accepted(port) >= connections):
        raise SystemExit(
            f"bench: {instance.proxy.name} holds {measure.accepted(port)} connections, "
            f"not {connections}"
        )
    during = measure.memory(instance.pids)
    say_go(load)
    line_of(load, f"{instance.proxy.name}, {connections} connections")
    load.wait()
    if not measure.settled(lambda: measure.accepted(port) == 0):
        raise SystemExit(f"bench: {instance.proxy.name} keeps connections that were closed")
    after = measure.memory(instance.pids)
    return {
        f"{name}_per_connection": (during.private - before.private) / connections,
        f"{name}_resident": during.resident,
        f"{name}_resident_after": after.resident,
    }


# ---- Options. ----


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute")
    parser.add_argument(
        "--proxy", action="append", metavar="NAME=PATH", help="a binary to measure; may be repeated"
    )
    parser.add_argument("--only", help="names of proxies, separated by commas")
    parser.add_argument("--scenario", help="names of scenarios, separated by commas")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--no-memory", action="store_true", help="leave out memory and start")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--proxy-cpu", type=int, help="core of the proxies (default: the first)")
    parser.add_argument("--load-cpu", type=int, help="core of the rest (default: the second)")
    parser.add_argument("--connections", type=int, default=10_000, help="idle connections to hold")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args()


def products(arguments: argparse.Namespace) -> list[Proxy]:
    default = ROOT / "build" / "docker-socket-proxy"
    named = arguments.proxy or ([f"docker-socket-proxy={default}"] if default.exists() else [])
    found = []
    rules = decide("--rules")
    for entry in named:
        name, separator, path = entry.partition("=")
        if not separator or not os.access(path, os.X_OK):
            raise SystemExit(f"bench: --proxy {entry}: NAME=PATH of a program is expected")
        program = installed(Path(path).resolve(), name)
        found.append(peers.product(name, program))
        found.append(peers.product(name, program, log_to="null"))
        found.append(peers.product_with_rules(name, program, rules))
        found.append(peers.product_with_clients(name, program))
        found.append(peers.product_with_all_on(name, program))
    if not found:
        print(f"bench: {default} is not built, measuring the others only")
    return found


def installed(path: Path, name: str) -> Path:
    """A copy: of a file that the linker has just written, the kernel maps larger pieces."""
    copy = BUILD / "installed" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy)
    return copy


def all_proxies(arguments: argparse.Namespace) -> list[Proxy]:
    found = [peers.floor(BUILD, "floor"), peers.floor(BUILD, "floor splicing", "--splice")]
    found += products(arguments)
    root = BUILD / "peers"
    why_not = peers.fetch(root)
    if why_not:
        print(f"bench: without HAProxy and nginx: {why_not}")
    else:
        found += [peers.haproxy_tuned(root), peers.nginx(root), peers.haproxy_tecnativa(root)]
    return chosen(found, arguments.only, "proxy")


def chosen(items: list, names: str | None, what: str) -> list:
    if names is None:
        return items
    known = {item.name: item for item in items}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise SystemExit(f"bench: no {what} {unknown[0]!r}; there are: {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def effort_of(arguments: argparse.Namespace) -> Effort:
    effort = QUICK if arguments.quick else FULL
    if arguments.rounds:
        effort = Effort(arguments.rounds, effort.share, effort.bulk, effort.starts)
    return effort


def progress(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def decide(*arguments: str, cpu: int | None = None) -> str:
    """build/bench/decide: what routing and judging costs without a socket, or its forty rules."""
    build = ["ninja", "-C", str(ROOT / "build"), "bench/decide"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
    command = [*pinned, str(BUILD / "decide"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    arguments = parse_arguments()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise SystemExit("bench: two cores are needed, one for the proxy and one for the load")
    proxy_cpu = arguments.proxy_cpu if arguments.proxy_cpu is not None else cpus[0]
    load_cpu = arguments.load_cpu if arguments.load_cpu is not None else cpus[1]
    subprocess.run([str(ROOT / "bench" / "build.sh")], check=True)
    proxies = all_proxies(arguments)
    scenarios = chosen(list(SCENARIOS), arguments.scenario, "scenario")
    os.sched_setaffinity(0, {load_cpu})
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    bench = Bench(folder, proxy_cpu, load_cpu, effort_of(arguments))
    began = time.time()
    load_average = measure.load_average()
    memory: dict[str, dict[str, float]] = {}
    start: dict[str, list[float]] = {}
    try:
        traffic = measure_traffic(bench, proxies, scenarios)
        if not arguments.no_memory:
            connections = min(arguments.connections, bench.descriptors - 1000)
            for proxy in proxies:
                progress(f"memory and start of {proxy.name}")
                start[proxy.name] = measure_start(bench, proxy)
                memory[proxy.name] = measure_memory(bench, proxy, connections)
    finally:
        bench.stop()
        shutil.rmtree(folder)
    decisions = decide("50", cpu=proxy_cpu)
    results = {
        "machine": measure.machine(),
        "load_average_before": load_average,
        "seconds": time.time() - began,
        "products": [proxy.name for proxy in proxies if proxy.product],
        "traffic": traffic,
        "memory": memory,
        "start_ms": start,
        "decisions": decisions.splitlines(),
    }
    met = report.show(results)
    print(f"\n{decisions}", end="")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1), encoding="ascii")
    print(f"\nAll rounds: {arguments.json}")
    return 1 if arguments.strict and not met else 0


if __name__ == "__main__":
    sys.exit(main())
