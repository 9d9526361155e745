# SPDX-License-Identifier: MIT
"""Bodies are judged as the Engine reads them: Go's encoding/json is asked (go/oracle.go).

`make oracle COUNT=1000000` asks more often. ORACLE_COUNT and ORACLE_SEED change a run of these tests.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
BUILD = Path(os.environ["DSP_BINARY"]).parent if "DSP_BINARY" in os.environ else HERE.parents[1] / "build"
JUDGE = BUILD / "tests" / "judge"
COUNT = int(os.environ.get("ORACLE_COUNT", "100000"))
CONTROL_COUNT = 5000


class Run(NamedTuple):
    """What a run of the oracle said."""
    code: int
    text: str
    counts: dict[str, int]


@pytest.fixture(scope="session", name="oracle")
def build_oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built of the standard library alone."""
    folder = tmp_path_factory.mktemp("oracle")
    environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "path"),
                   "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", folder / "oracle", "."], cwd=HERE / "go", env=environment,
                   check=True)
    return folder / "oracle"


def run(oracle: Path, judge: str | Path, count: int, *arguments: str) -> Run:
    """Run the oracle, print what it said, and read its counts."""
    seed = os.environ.get("ORACLE_SEED")
    command = [oracle, "-judge", judge, "-count", str(count), *arguments]
    done = subprocess.run([*command, *(["-seed", seed] if seed else [])], capture_output=True,
                          text=True, check=False)
    print(done.stdout[-20000:], done.stderr[-5000:])
    counts = {name: int(value) for name, value in re.findall(r"(\w+) (\d+),", done.stdout)}
    failures = re.search(r"^failures: (\d+)$", done.stdout, re.M)
    assert failures, "the oracle did not come to its end"
    return Run(done.returncode, done.stdout, {**counts, "failures": int(failures[1])})


def check(said: Run, count: int) -> None:
    """Nothing failed; and so that the run says something, there are many of all kinds."""
    assert said.code == 0 and said.counts["failures"] == 0
    assert said.counts["bodies"] >= count
    assert said.counts["accepted"] >= count / 5
    assert said.counts["refused"] >= count / 5


def kinds(said: Run) -> set[str]:
    """The kinds of failures of a run."""
    return set(re.findall(r"^\d+ times ([a-z ]+):", said.text, re.M))


def test_go_reads_what_was_judged(oracle: Path) -> None:
    """Nothing dangerous passes, what passes says the same to the Engine, and clients pass."""
    said = run(oracle, JUDGE, COUNT, "-clients", HERE / "clients")
    check(said, COUNT)
    assert said.counts["dangerous"] >= COUNT / 10


def test_go_reads_what_a_narrow_policy_allows(oracle: Path) -> None:
    """The same where lists, paths, names and limits say what is allowed."""
    said = run(oracle, JUDGE, COUNT // 4, "-blocks", HERE / "narrow.yaml", "-rules", "narrow")
    check(said, COUNT // 4)
    assert said.counts["dangerous"] >= COUNT / 40


def test_go_reads_what_an_open_policy_allows(oracle: Path) -> None:
    """Nothing is dangerous, but what passes says the same to the Engine."""
    check(run(oracle, JUDGE, COUNT // 4, "-blocks", HERE / "open.yaml", "-rules", "open"), COUNT // 4)


def test_a_judge_that_lets_everything_through_is_caught(oracle: Path) -> None:
    """The control: a proxy without constraints."""
    said = run(oracle, "all", CONTROL_COUNT)
    assert said.code == 1 and {"danger accepted", "read otherwise"} <= kinds(said)
    assert said.counts["failures"] >= said.counts["dangerous"]


def test_a_judge_that_reads_as_most_languages_do_is_caught(oracle: Path) -> None:
    """The control: a proxy that takes the last of two names and lets case count."""
    said = run(oracle, "naive", CONTROL_COUNT)
    assert said.code == 1 and {"danger accepted", "read otherwise"} <= kinds(said)


def test_the_program_is_formatted() -> None:
    """`make lint` needs no Go, so that its formatting is tested here."""
    assert subprocess.run(["gofmt", "-l", "."], cwd=HERE / "go", capture_output=True,
                          check=True).stdout == b""


# ── Single bodies ────────────────────────────────────────────────────────────


def judge(letter: str, body: bytes, blocks: str | None = None) -> tuple[str, str]:
    """The letter and the text that answer one body."""
    frame = letter.encode() + struct.pack(">I", len(body)) + body
    done = subprocess.run([JUDGE, *([HERE / blocks] if blocks else [])], input=frame, capture_output=True, check=True)
    return chr(done.stdout[0]), done.stdout[5:].decode()


@pytest.mark.parametrize("path", sorted((HERE / "clients").glob("*.json")), ids=lambda path: path.stem)
def test_what_clients_send_is_accepted(path: Path) -> None:
    """NAME.LETTER.json: a body without anything dangerous, as that client writes it."""
    body = path.read_bytes()
    verdict, answer = judge(path.suffixes[-2][1:], body)
    assert verdict == "A", answer
    assert json.loads(answer) == json.loads(body)


HOST = '{"HostConfig":{%s}}'


@pytest.mark.parametrize("letter, body, reason", [
    ("C", HOST % '"Devices":[{}]', "/HostConfig/Devices/0"),
    ("C", HOST % '"Devices":[null]', "/HostConfig/Devices/0"),
    ("C", HOST % '"Devices":[{"PathOnHost":""}]', "/HostConfig/Devices/0"),
    ("C", HOST % '"VolumesFrom":[""]', "/HostConfig/VolumesFrom/0:"),
    ("C", HOST % '"VolumesFrom":[null]', "/HostConfig/VolumesFrom/0:"),
    ("C", HOST % '"GroupAdd":[""]', "/HostConfig/GroupAdd/0:"),
    ("C", HOST % '"Links":[""]', "/HostConfig/Links/0:"),
    ("C", HOST % '"DeviceCgroupRules":[null]', "/HostConfig/DeviceCgroupRules/0:"),
    ("C", HOST % '"DeviceRequests":[null]', "/HostConfig/DeviceRequests/0:"),
    ("C", HOST % '"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1:x"}]}', "/HostConfig/PortBindings/80~1tcp/0:"),
    ("C", '{"VolumesFrom":["web"]}', "/VolumesFrom/0:"),
    ("J", '{"EndpointConfig":{"Links":[""]}}', "/EndpointConfig/Links/0:"),
    *(("C", HOST % '"Mounts":[{"Type":"tmpfs","TmpfsOptions":{"Options":[%s]}}]' % option,
       "/HostConfig/Mounts/0/TmpfsOptions/Options/0:")
      for option in ('["suid"]', '["noexec,dev"]', '["size","1m,suid"]', '["mode","1","suid"]')),
])
def test_what_the_oracle_found_stays_refused(letter: str, body: str, reason: str) -> None:
    """Each was accepted once."""
    verdict, answer = judge(letter, body.encode())
    assert verdict == "R" and answer.startswith(reason), answer


@pytest.mark.parametrize("ulimits", [
    [{"Name": "nofile", "Hard": 10}, {"Name": "NOFILE", "Hard": 9999}],
    [{"Name": "nofile", "Hard": 10}, {"Name": "nof\u0131le", "Hard": 9999}],
    [{"Name": "nofile", "Hard": 9999}, {"Name": "nofile", "Hard": 10}],
])
def test_every_entry_for_a_limit_counts(ulimits: list[dict]) -> None:
    """The Engine sets all of them, and writes their names in capitals."""
    body = {"Image": "busybox", "User": "1000",
            "HostConfig": {"NetworkMode": "ci", "Memory": 1 << 30, "NanoCpus": 10 ** 9, "PidsLimit": 10}}
    assert judge("C", json.dumps({**body, "HostConfig": {**body["HostConfig"], "Ulimits": ulimits[:1]}})
                 .encode(), "narrow.yaml")[0] == ("A" if ulimits[0]["Hard"] == 10 else "R")
    body["HostConfig"]["Ulimits"] = ulimits
    verdict, answer = judge("C", json.dumps(body).encode(), "narrow.yaml")
    assert verdict == "R" and "/HostConfig/Ulimits" in answer


def test_an_image_must_be_given_where_images_are_listed() -> None:
    """Without one a container has an empty root, which an archive fills."""
    verdict, answer = judge("C", b"{}", "narrow.yaml")
    assert verdict == "R" and "/Image: must be given" in answer


@pytest.mark.parametrize("letter, body", [
    ("C", '{"Shell":"sh","HostConfig":{"CapDrop":"ALL"}}'),
    ("C", '{"VolumesFrom":[]}'),
])
def test_what_the_oracle_found_stays_accepted(letter: str, body: str) -> None:
    """Each was refused once, though the Engine takes it and it is harmless."""
    assert judge(letter, body.encode()) == ("A", body)
