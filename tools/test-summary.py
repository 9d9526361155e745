#!/usr/bin/python3
"""Adds up what the stages of tools/test left, and closes with 'N passed, N failed, N skipped'.

    tools/test-summary.py RESULTS
    tools/test-summary.py --few N RESULTS    names the stages of pytest in which 1 to N tests failed

RESULTS/stages has a line "NAME EXIT-CODE SECONDS" for each stage, RESULTS/NAME.xml the tests of
pytest as JUnit XML, RESULTS/NAME.json those of Meson as its own log, where each program says how
many of its tests passed. A stage with neither counts as one test. A stage that failed with no
failed test to show for it (it did not build) counts as one failure. RESULTS/NAME.times, where it is
there, is what the shell's `times` said at the stage's end. Where a stage NAME-again ran what failed in
NAME, its outcome holds.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Count(NamedTuple):
    passed: int
    failed: int
    skipped: int


def add(counts: Iterable[Count]) -> Count:
    """The sum of counts."""
    return Count(*map(sum, zip(Count(0, 0, 0), *counts)))


def count_program(record: dict) -> Count:
    """The tests of one program that Meson ran: what cmocka says of them, or the program as one."""
    said = record.get("stdout", "") + record.get("stderr", "")
    passed, failed, skipped = (
        sum(map(int, re.findall(rf"\[ +{word} +\] (\d+) test\(s\)", said)))
        for word in ("PASSED", "FAILED", "SKIPPED"))
    if record["result"] == "SKIP":
        return Count(0, 0, 1)
    if record["result"] != "OK":
        return Count(passed, max(failed, 1), skipped)
    return Count(passed, failed, skipped) if passed + failed + skipped else Count(1, 0, 0)


def count_log(path: Path) -> Count:
    """The tests in a log of Meson: a JSON object a line."""
    return add(count_program(json.loads(line)) for line in path.read_text().splitlines())


def count_cases(path: Path) -> Count:
    """The test cases of one JUnit file by outcome."""
    failed = skipped = total = 0
    for case in ElementTree.parse(path).iter("testcase"):
        total += 1
        failed += case.find("failure") is not None or case.find("error") is not None
        skipped += case.find("skipped") is not None
    return Count(total - failed - skipped, failed, skipped)


def count_stage(results: Path, name: str, code: int) -> Count:
    """The tests of one stage; a failure is never lost."""
    if (results / f"{name}.xml").exists():
        count = count_cases(results / f"{name}.xml")
    elif (results / f"{name}.json").exists():
        count = count_log(results / f"{name}.json")
    else:
        count = Count(int(code == 0), 0, 0)
    if code != 0 and count.failed == 0:
        count = count._replace(failed=1)
    return count


def processor_seconds(results: Path, name: str) -> float:
    """User and system time of the stage's children: the second line, such as '1m2.30s 0m4.50s'."""
    path = results / f"{name}.times"
    spent = path.read_text().splitlines()[1] if path.exists() else ""
    return sum(int(m) * 60 + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", spent))


class Stage(NamedTuple):
    """A line of RESULTS/stages, and the tests behind it."""

    name: str
    seconds: int
    count: Count


def read_stages(results: Path) -> list[Stage]:
    """The stages in the order in which they ended."""
    lines = map(str.split, (results / "stages").read_text().splitlines())
    return [Stage(name, int(seconds), count_stage(results, name, int(code))) for name, code, seconds in lines]


def with_few_failures(results: Path, few: int) -> list[str]:
    """The stages of pytest whose failures may be chance. A stage that failed as a whole is none of them."""
    return [stage.name for stage in read_stages(results)
            if (results / f"{stage.name}.xml").exists() and 1 <= stage.count.failed <= few
            and count_cases(results / f"{stage.name}.xml").failed == stage.count.failed]


def passed_alone(results: Path, name: str) -> list[str]:
    """The tests that passed when they ran again."""
    return [f"{case.get('classname')}::{case.get('name')}"
            for case in ElementTree.parse(results / f"{name}.xml").iter("testcase") if not len(case)]


def print_stage(results: Path, stage: Stage) -> None:
    passed, failed, skipped = stage.count
    print(f"{stage.name:<21}{passed:>8}{failed:>8}{skipped:>8}{stage.seconds:>9}"
          f"{processor_seconds(results, stage.name):>7.0f}")


def main() -> int:
    if sys.argv[1] == "--few":
        print("\n".join(with_few_failures(Path(sys.argv[3]), int(sys.argv[2]))))
        return 0
    results = Path(sys.argv[1])
    stages = read_stages(results)
    ran_again = {stage.name.removesuffix("-again") for stage in stages if stage.name.endswith("-again")}
    print(f"\n{'stage':<21}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}{'CPU s':>7}")
    for stage in stages:
        print_stage(results, stage)
    totals = add(stage.count._replace(failed=0) if stage.name in ran_again else stage.count for stage in stages)
    for name in sorted(ran_again):
        print(*(f"\nfailed beside others and passed alone: {test}" for test in passed_alone(results, f"{name}-again")))
    print(f"\n{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main())
