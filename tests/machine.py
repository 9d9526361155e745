"""What tests take from the machine they run on: ports, and folders for sockets."""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

# What tests make does not depend on who runs them.
os.umask(0o022)

# docker-compose, without setuptools: its import takes half of the processor time of each command.
DOCKER_COMPOSE = ("env", "SETUPTOOLS_USE_DISTUTILS=stdlib", "docker-compose", "--ansi", "never")

HELD_MAX = 64  # more than one test starts
FOLDER_MAX = 40  # bytes: a unix socket's path ends at 107

_held: collections.deque[socket.socket] = collections.deque()


@contextlib.contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """What hangs is a failure with a traceback, not a stuck run."""
    def expire(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def cache_folder() -> Path:
    """Where tests keep what takes long to fetch, for the next run in any clone of the tree."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "docker-socket-proxy-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def has_ipv6() -> bool:
    """Whether loopback has it."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def free_port() -> int:
    """A port on which the program under test can listen, and nobody else.

    A port that was only looked up may be given to the next connection that anybody here opens, even
    to the one with which a test waits for its listener. One that stays bound, without listening,
    is given to nobody; a listener with SO_REUSEADDR, such as ours, may have it all the same.
    """
    six = has_ipv6()
    holder = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    if six:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("", 0))
    _held.append(holder)
    if len(_held) > HELD_MAX:
        _held.popleft().close()
    return holder.getsockname()[1]


def public_folder(prefix: str) -> str:
    """A new folder for sockets, which a program that has given up root can enter: in TMPDIR, unless
    that is somebody's own or too deep for the path of a socket."""
    parent = tempfile.gettempdir()
    if len(parent) > FOLDER_MAX or not all_may_enter(parent):
        parent = "/tmp"
    path = tempfile.mkdtemp(prefix=prefix, dir=parent)
    os.chmod(path, 0o755)
    return path


def public_program(path: str) -> str:
    """The program at `path`, or a copy of it where others may not reach or run that: below root's
    home, or built with a strict umask. The copy goes when the tests end."""
    if not os.path.exists(path):
        return path
    if all_may_enter(os.path.dirname(path)) and os.stat(path).st_mode & 0o005 == 0o005:
        return path
    folder = public_folder("program-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = shutil.copy(path, folder)
    os.chmod(copy, 0o755)
    return copy


def all_may_enter(path: str) -> bool:
    """Whether others have the right to pass through this folder and all above it."""
    while True:
        if not os.stat(path).st_mode & 0o001:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)
