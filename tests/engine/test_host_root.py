"""host_root on a real Engine: what containers got of a workspace in which their client has made symbolic links.

Each way out has a control run through a proxy that sees no files: the Engine would have followed the link.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Target
from inside import POLICY, SECRET, Maker, quiet, refusal, shell
from inside import maker, proxies, under  # fixtures
from machine import public_folder

LEADS_OUT = "leads through a symbolic link to nothing, or to a path that is not allowed"
SEEING = "host_root: /\n" + POLICY
OWN = b"of the workspace"


@dataclass(frozen=True)
class Place:
    """Folders of the machine: a policy opens `work`, and `secret` is what must not be read."""

    work: Path
    secret: Path


@pytest.fixture
def place() -> Iterator[Place]:
    root = Path(public_folder("dsp-tests-links-"))
    for name in ("work/sub", "work/two words", "secret/sub"):
        (root / name).mkdir(parents=True)
    for name in ("work/file", "work/sub/file", "work/two words/file"):
        (root / name).write_bytes(OWN)
    for name in ("secret/file", "secret/sub/file"):
        (root / name).write_bytes(SECRET)
    (root / "work").chmod(0o777)
    yield Place(root / "work", root / "secret")
    subprocess.run(["rm", "-rf", root], check=True)


Way = Callable[[], Target]


@pytest.fixture
def seeing(under, place) -> Way:
    return lambda: under(f"{{bind_sources: [{place.work}]}}", text=SEEING)


@pytest.fixture
def blind(under, place) -> Way:
    return lambda: under(f"{{bind_sources: [{place.work}]}}")


def bind(source: Path | str) -> dict:
    return {"Binds": [f"{source}:/x"]}


def mount(source: Path | str) -> dict:
    return {"Mounts": [{"Type": "bind", "Source": str(source), "Target": "/x"}]}


def links(maker: Maker, way: Target, place: Place, targets: dict[str, str]) -> None:
    """The client makes them, in a container that has mounted the workspace."""
    script = "; ".join(f"ln -s '{target}' '/x/{name}'" for name, target in targets.items())
    made = maker.made(way, shell(f"{script}; echo made", bind(place.work)))
    assert maker.output(made) == b"made\n"


def test_links_that_lead_out_are_followed_before_the_verdict(seeing, blind, maker, place):
    ways = {
        "root": ("/", f"{place.secret}/file"[1:]),
        "absolute": (str(place.secret), "file"),
        "up": ("..", "secret/file"),
        "far": ("../" * 30 + str(place.secret)[1:], "sub/file"),
        "chain": ("root", f"{place.secret}/file"[1:]),
        "dots": ("sub/../../secret", "file"),
    }
    links(maker, seeing(), place, {name: target for name, (target, _) in ways.items()})
    for name, (_, file) in ways.items():
        for body in (bind(place.work / name), mount(place.work / name)):
            response, refused = maker.create(seeing(), quiet(body))
            assert LEADS_OUT in refusal(response, f"'{place.work / name}'")
            assert not maker.exists(f"/containers/{refused}/json")
            assert maker.read(maker.made(blind(), quiet(body)), f"/x/{file}") == SECRET
    deeper = place.work / "root" / str(place.secret)[1:]
    refusal(maker.create(seeing(), quiet(bind(deeper)))[0], LEADS_OUT)
    assert maker.read(maker.made(blind(), quiet(bind(deeper))), "/x/file") == SECRET


def test_etc_of_the_host_stays_the_hosts(seeing, blind, maker, place):
    links(maker, seeing(), place, {"etc": "/etc"})
    body = quiet(bind(f"{place.work}/etc"))
    refusal(maker.create(seeing(), body)[0], LEADS_OUT)
    assert maker.read(maker.made(blind(), body), "/x/hostname") == Path("/etc/hostname").read_bytes()


def test_a_link_is_no_way_to_the_engines_socket(seeing, blind, maker, place, engine):
    links(maker, seeing(), place, {"sock": str(engine.socket), "folder": str(engine.socket.parent)})
    body = shell("stat -c %i /x", bind(f"{place.work}/sock"))
    refusal(maker.create(seeing(), body)[0], LEADS_OUT)
    assert int(maker.output(maker.made(blind(), body))) == engine.socket.stat().st_ino
    for source in ("folder", f"folder/{engine.socket.name}"):
        refusal(maker.create(seeing(), quiet(bind(f"{place.work}/{source}")))[0], LEADS_OUT)


def test_links_that_stay_inside_work(seeing, maker, place):
    ways = {"near": "sub", "whole": str(place.work / "sub"), "back": f"../{place.work.name}/sub", "chain": "near",
            "wide": "two words", "ünï": "./sub/../sub/"}
    links(maker, seeing(), place, ways)
    for name in ways:
        wanted = place.work / ("two words" if name == "wide" else "sub")
        for body in (bind(place.work / name), mount(place.work / name)):
            made = maker.made(seeing(), quiet(body))
            assert maker.read(made, "/x/file") == OWN
            assert [one["Source"] for one in maker.container(made)["Mounts"]] == [str(wanted)]


def test_the_engine_makes_what_is_missing_where_the_links_lead(seeing, maker, place):
    links(maker, seeing(), place, {"near": "sub", "gone": "nothing"})
    made = maker.made(seeing(), shell("echo new >/x/file", bind(f"{place.work}/near/new/deep")))
    assert maker.output(made) == b""
    assert (place.work / "sub/new/deep/file").read_text() == "new\n"
    refusal(maker.create(seeing(), quiet(bind(f"{place.work}/gone")))[0], LEADS_OUT)
    assert not os.path.exists(place.work / "nothing")


def replace(path: Path, target: Path | str) -> None:
    """A link takes the place of what is there, in one step."""
    other = path.with_name(f"{path.name}.new")
    other.symlink_to(target)
    other.rename(path)


def test_a_link_that_changes_after_the_create_does_not_count(seeing, blind, maker, place):
    """What was judged is what was sent: the path behind the link."""
    link = place.work / "link"
    for way, wanted in ((seeing(), OWN), (blind(), SECRET)):
        link.symlink_to("sub")
        made = maker.made(way, shell("cat /x/file", bind(link)))
        replace(link, place.secret / "sub")
        assert maker.output(made) == wanted
        link.unlink()


def test_a_folder_that_becomes_a_link_after_the_create_is_followed(seeing, maker, place):
    """A limit that the documents name: the Engine resolves the path anew at each start."""
    folder = place.work / "folder"
    folder.mkdir()
    made = maker.made(seeing(), shell("cat /x/file", bind(folder)))
    folder.rmdir()
    folder.symlink_to(place.secret)
    assert maker.output(made) == SECRET


@contextmanager
def swapping(step: Callable[[int], None]) -> Iterator[list[int]]:
    """step(0), step(1), … in a thread, until the block ends; how many there were."""
    done = threading.Event()
    count = [0]

    def work() -> None:
        while not done.wait(0.001):  # the machine has work to do, too
            step(count[0])
            count[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        done.set()
        thread.join()


def test_a_link_that_is_swapped_all_the_time_never_leads_out(seeing, maker, place):
    """At least 300 changes, and as many creates as it takes to see both of what they do."""
    link = place.work / "link"
    link.symlink_to("sub")
    made = refused = 0
    with swapping(lambda n: replace(link, "sub" if n % 2 else place.secret)) as swaps:
        while swaps[0] < 300 or min(made, refused) < 20:
            response, name = maker.create(seeing(), quiet(bind(link)))
            if response.status == 201:
                assert maker.read(name, "/x/file") == OWN
                made += 1
            else:
                refusal(response, LEADS_OUT)
                refused += 1


def exchange(one: Path, other: Path) -> None:
    """Both names change what they name, in one step."""
    exchange_flag, here = 2, -100  # RENAME_EXCHANGE, AT_FDCWD
    if ctypes.CDLL(None, use_errno=True).renameat2(here, bytes(one), here, bytes(other), exchange_flag) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def test_a_folder_that_is_swapped_all_the_time_can_lead_out(seeing, blind, maker, place):
    """The race that host_root cannot end: counted, beside a proxy that sees no files."""
    folder, link = place.work / "folder", place.work / "link"
    folder.mkdir()
    (folder / "file").write_bytes(OWN)
    link.symlink_to(place.secret)

    def got(way: Target) -> str:
        response, name = maker.create(way, quiet(bind(folder)))
        if response.status != 201:
            refusal(response, LEADS_OUT)
            return "refused"
        return {OWN: "own", SECRET: "foreign"}[maker.read(name, "/x/file")]

    seen: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    with swapping(lambda _: exchange(folder, link)):
        while seen.total() < 30 or min(seen["refused"], seen["own"]) == 0:
            seen[got(seeing())] += 1
        while unseen.total() < 15 or unseen["foreign"] == 0:
            unseen[got(blind())] += 1
    print(f"with host_root: {dict(seen)}; without: {dict(unseen)}")
    assert unseen["refused"] == 0
