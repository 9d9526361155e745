"""One scripted Engine and one proxy for the whole run; a fresh pair for whoever asks for it.

After every test both are checked: a proxy that died, or wrote a sanitizer report, fails the test
that was running, with its log.
"""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import public_folder  # noqa: E402
from wire import API_KEY, BINARY, Engine, Proxy, WireError  # noqa: E402

FILES_WANTED = 32768

_running: list[Proxy] = []


def pytest_configure(config: pytest.Config) -> None:
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f"no binary at {BINARY}: build first (make), or set DSP_BINARY")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.fixture(autouse=True)
def _reachable_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that gave up root read and write below the folders of the tests. Of several processes each
    has a folder more. Before each test, because each pytest that starts closes the topmost folder."""
    base = tmp_path_factory.getbasetemp()
    for folder in (base, *base.parents[:2]):
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(folder.stat().st_mode | 0o055)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for proxy in _running:
            report.sections.append((f"log of proxy {proxy.pid}", "\n".join(proxy.lines[-60:])))


@pytest.fixture(scope="session")
def folder() -> Iterator[str]:
    """A folder that the proxy can reach after it has given up its privileges."""
    path = public_folder("wire-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def shared_engine(folder: str) -> Iterator[Engine]:
    with Engine(f"{folder}/engine.sock") as engine:
        yield engine


@pytest.fixture(scope="session")
def shared_proxy(shared_engine: Engine) -> Iterator[Proxy]:
    proxy = Proxy(env={"SOCKET_PATH": shared_engine.path, "API_KEY": API_KEY})
    _running.append(proxy)
    try:
        yield proxy.wait_ready()
    finally:
        _running.remove(proxy)
        proxy.stop()


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """The Engine behind `proxy`, with no connection left over from another test."""
    shared_engine.forget()
    yield shared_engine
    shared_engine.forget()


@pytest.fixture
def proxy(shared_proxy: Proxy, engine: Engine) -> Iterator[Proxy]:
    """The proxy in front of `engine`, with default settings and an API_KEY."""
    yield shared_proxy
    complaint = shared_proxy.complaint()
    if complaint or shared_proxy.process.poll() is not None:
        pytest.fail(f"{complaint or 'the proxy ended'}; its log:\n{shared_proxy.log()}")


_numbers = itertools.count(1)


@pytest.fixture
def own_engine(folder: str) -> Iterator[Engine]:
    """An Engine of the test's own, to be stopped and started at will."""
    with Engine(f"{folder}/own-{next(_numbers)}.sock", api_key=None) as engine:
        yield engine


@pytest.fixture
def start(own_engine: Engine) -> Iterator[Callable[..., Proxy]]:
    """start(*flags, env={…}) → a proxy of the test's own in front of `own_engine`."""
    started: list[Proxy] = []

    def start_one(
        *args: str, env: dict[str, str] | None = None, ready: bool = True, **options
    ) -> Proxy:
        settings = {"SOCKET_PATH": own_engine.path} | (env or {})
        proxy = Proxy(*args, env=settings, **options)
        started.append(proxy)
        _running.append(proxy)
        return proxy.wait_ready() if ready else proxy

    yield start_one
    failures = []
    for proxy in started:
        try:
            proxy.stop(own_engine.hang_up)
        except WireError as error:
            failures.append(str(error))
        _running.remove(proxy)
    if failures:
        pytest.fail("\n".join(failures))
