#!/usr/bin/python3
"""Adds up what the stages of tools/test left, and closes with 'N passed, N failed, N skipped'.

    tools/test-summary.py RESULTS

RESULTS/stages has a line "NAME EXIT-CODE SECONDS" for each stage, RESULTS/NAME.xml the tests of
pytest as JUnit XML, RESULTS/NAME.json those of Meson as its own log, where each program says how
many of its tests passed. A stage with neither counts as one test. A stage that failed with no
failed test to show for it (it did not build) counts as one failure. RESULTS/NAME.times, where it is
there, is what the shell's `times` said at the stage's end.
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


def main() -> int:
    results = Path(sys.argv[1])
    totals = Count(0, 0, 0)
    print(f"\n{'stage':<12}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}{'CPU s':>7}")
    for line in (results / "stages").read_text().splitlines():
        name, code, seconds = line.split()
        count = count_stage(results, name, int(code))
        totals = add([totals, count])
        print(f"{name:<12}{count.passed:>8}{count.failed:>8}{count.skipped:>8}{seconds:>9}"
              f"{processor_seconds(results, name):>7.0f}")
    print(f"\n{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main())
