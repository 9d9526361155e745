"""The tables of a run, and each target met or missed."""

from __future__ import annotations

from statistics import median
from typing import Any

import measure

FLOOR = "floor"
DISTURBED_FOREIGN = 0.10  # of one core
# Of the CPU time of small requests; where the response is larger, moving it must not cost more.
REQUEST_BOUNDS = {"2 bytes": 1.15, "2 bytes with a key": 1.17, "2 bytes with all on": 1.17}

Results = dict[str, Any]


def middle(rounds: list[dict[str, float]], figure: str) -> float:
    return median(entry[figure] for entry in rounds)


def to_floor(results: Results, scenario: str, proxy: str, figure: str) -> float | None:
    """The median over the rounds of the ratio: this proxy's figure by the floor's in the same round."""
    floor = results["traffic"].get(scenario, {}).get(FLOOR)
    rounds = results["traffic"].get(scenario, {}).get(proxy)
    if not floor or not rounds:
        return None
    return median(mine[figure] / base[figure] for mine, base in zip(rounds, floor))


def is_bulk(rounds: list[dict[str, float]]) -> bool:
    return rounds[0]["cpu_s_per_gib"] > 0


def table(head: list[str], lines: list[list[str]]) -> None:
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    for line in [head, *lines]:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def ratio_text(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def disturbance_text(rounds: list[dict[str, float]]) -> str:
    """The largest share of a core that other programs took, and of the time that the proxy waited."""
    foreign = max(entry["foreign"] for entry in rounds)
    waited = max(entry["waited"] for entry in rounds)
    return f"{foreign:.0%}/{waited:.0%}"


def show_requests(results: Results, scenario: str, by_proxy: dict[str, Any]) -> None:
    head = ["", "CPU µs", "to floor", "per s", "p50 µs", "p99 µs", "busy", "others/wait"]
    lines = [
        [
            proxy,
            f"{middle(rounds, 'cpu_us'):.2f}",
            ratio_text(to_floor(results, scenario, proxy, "cpu_us")),
            f"{middle(rounds, 'per_s'):.0f}",
            f"{middle(rounds, 'p50_us'):.0f}",
            f"{middle(rounds, 'p99_us'):.0f}",
            f"{middle(rounds, 'busy'):.0%}",
            disturbance_text(rounds),
        ]
        for proxy, rounds in by_proxy.items()
    ]
    table(head, lines)


def show_bulk(results: Results, scenario: str, by_proxy: dict[str, Any]) -> None:
    head = ["", "GiB/s", "to floor", "CPU-s/GiB", "to floor", "busy", "others/wait"]
    lines = [
        [
            proxy,
            f"{middle(rounds, 'gib_per_s'):.2f}",
            ratio_text(to_floor(results, scenario, proxy, "gib_per_s")),
            f"{middle(rounds, 'cpu_s_per_gib'):.3f}",
            ratio_text(to_floor(results, scenario, proxy, "cpu_s_per_gib")),
            f"{middle(rounds, 'busy'):.0%}",
            disturbance_text(rounds),
        ]
        for proxy, rounds in by_proxy.items()
    ]
    table(head, lines)


def kib(count: float | None) -> str:
    return "" if count is None else f"{count / 1024:.0f}"


def show_memory(results: Results) -> None:
    head = ["", "start ms", "idle KiB", "private KiB", "B/silent", "B/used", "then KiB"]
    lines = []
    for proxy, memory in results["memory"].items():
        silent = memory.get("silent_per_connection")
        responded = memory.get("after_response_per_connection")
        lines.append(
            [
                proxy,
                f"{median(results['start_ms'][proxy]):.1f}",
                kib(memory["idle_resident"]),
                kib(memory["idle_private"]),
                "" if silent is None else f"{silent:.0f}",
                "" if responded is None else f"{responded:.0f}",
                kib(memory.get("after_response_resident_after")),
            ]
        )
    table(head, lines)


# ---- Targets. ----

Target = tuple[str, float | None, str, float]  # what, measured, <= or >=, bound


def traffic_targets(results: Results, proxy: str) -> list[Target]:
    targets: list[Target] = []
    for scenario, by_proxy in results["traffic"].items():
        if proxy not in by_proxy:
            continue
        cpu = to_floor(results, scenario, proxy, "cpu_us")
        if is_bulk(by_proxy[proxy]):
            rate = to_floor(results, scenario, proxy, "gib_per_s")
            targets.append((f"{scenario}: GiB/s to floor", rate, ">=", 0.95))
            targets.append((f"{scenario}: CPU to floor", cpu, "<=", 1.05))
        else:
            bound = REQUEST_BOUNDS.get(scenario, 1.0)
            targets.append((f"{scenario}: CPU to floor", cpu, "<=", bound))
    return targets


def footprint_targets(results: Results, proxy: str) -> list[Target]:
    memory = results["memory"].get(proxy)
    if memory is None:
        return []
    targets: list[Target] = [
        ("idle: resident MiB", memory["idle_resident"] / (1 << 20), "<=", 3.0),
        ("exec to first response: ms", median(results["start_ms"][proxy]), "<=", 10.0),
    ]
    for name in ("silent", "after_response"):
        figure = memory.get(f"{name}_per_connection")
        if figure is not None:
            what = f"{memory['connections']} connections, {name.replace('_', ' ')}: bytes each"
            targets.append((what, figure, "<=", 1024.0))
    return targets


def is_met(target: Target) -> bool | None:
    _, measured, relation, bound = target
    if measured is None:
        return None
    return measured <= bound if relation == "<=" else measured >= bound


def show_targets(targets: list[Target]) -> None:
    words = {True: "pass", False: "MISS", None: "not measured"}
    lines = [
        [
            what,
            "" if measured is None else f"{measured:.2f}",
            f"{relation} {bound:g}",
            words[is_met((what, measured, relation, bound))],
        ]
        for what, measured, relation, bound in targets
    ]
    table(["target", "measured", "bound", ""], lines)


def show_disturbance(results: Results) -> None:
    """One line: the number of measurements that other programs disturbed."""
    rounds = [
        entry
        for by_proxy in results["traffic"].values()
        for entries in by_proxy.values()
        for entry in entries
    ]
    foreign = sum(entry["foreign"] > DISTURBED_FOREIGN for entry in rounds)
    waited = sum(entry["waited"] > measure.DISTURBED for entry in rounds)
    print(
        f"\n{len(rounds)} measurements: other programs took more than "
        f"{DISTURBED_FOREIGN:.0%} of a core in {foreign}, and the proxy waited for its own core "
        f"for more than {measure.DISTURBED:.0%} of the time in {waited}."
    )


def show(results: Results) -> bool:
    """Print everything. True: each product met all its targets."""
    machine = results["machine"]
    print(f"\n{machine['cpu']}, {machine['cpus']} cores, Linux {machine['kernel']};", end=" ")
    print(f"load average before: {results['load_average_before']:.2f}; medians of the rounds;")
    print('"others/wait": in the worst round, the share of a core that other programs took, and the')
    print("share of the time that the proxy was ready to run but its core was busy")
    for scenario, by_proxy in results["traffic"].items():
        print(f"\n== {scenario} ==")
        show_one = show_bulk if is_bulk(next(iter(by_proxy.values()))) else show_requests
        show_one(results, scenario, by_proxy)
    if results["memory"]:
        print("\n== start and memory ==")
        show_memory(results)
    met = True
    for proxy in results["products"]:
        targets = traffic_targets(results, proxy) + footprint_targets(results, proxy)
        print(f"\n== targets: {proxy} ==")
        show_targets(targets)
        met = met and all(is_met(target) for target in targets)
    show_disturbance(results)
    print(f"{results['seconds']:.0f} s")
    return met
