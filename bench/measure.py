"""What a process costs: CPU clocks, memory and who disturbed the measurement, read from /proc.

CPU time comes from /proc/PID/task/*/schedstat, whose first field is the time on a CPU in
nanoseconds (system calls and the loopback's receive path included: it runs in the sender's
context) and whose second is the time a task was ready but another one had its CPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TCP_LISTEN = "0A"

# Of the time, a process was ready to run but another one had its core. Waking up from sleep counts
# as well, which alone makes up to 3 % for a proxy that sleeps half of the time.
DISTURBED = 0.05


@dataclass(frozen=True)
class Clock:
    """CPU nanoseconds used, and nanoseconds spent waiting for a CPU that was taken."""

    used: int = 0
    waited: int = 0

    def __add__(self, other: Clock) -> Clock:
        return Clock(self.used + other.used, self.waited + other.waited)

    def __sub__(self, other: Clock) -> Clock:
        return Clock(self.used - other.used, self.waited - other.waited)


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        for children in PROC.glob(f"{parent}/task/*/children"):
            found += [int(child) for child in read_or_empty(children).split()]
    return found


def read_or_empty(path: Path) -> str:
    """A process may go away between being listed and being read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def clock(pids: list[int]) -> Clock:
    """The clocks of all threads of these processes, added up."""
    total = Clock()
    for pid in pids:
        for task in PROC.glob(f"{pid}/task/*/schedstat"):
            fields = read_or_empty(task).split()
            if len(fields) >= 2:
                total += Clock(int(fields[0]), int(fields[1]))
    return total


def busy(cpus: list[int]) -> float:
    """Seconds these cores have been busy so far, whoever with. Counted in ticks of 10 ms."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    ticks = 0
    for line in read_or_empty(PROC / "stat").splitlines():
        fields = line.split()
        if fields[0] in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Bytes. `private` is what exists only because this process runs: its dirty private pages."""

    resident: int
    private: int


def memory(pids: list[int]) -> Memory:
    """Resident and private dirty memory of these processes, added up."""
    resident = private = 0
    for pid in pids:
        rollup = read_or_empty(PROC / str(pid) / "smaps_rollup")
        resident += field_kib(rollup, "Rss:") * 1024
        private += field_kib(rollup, "Private_Dirty:") * 1024
    return Memory(resident, private)


def field_kib(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise ValueError(f"smaps_rollup has no {name} (the process ended, or is not ours to read)")


def accepted(port: int) -> int:
    """Connections to this port that a process has accepted, from either end not yet closed."""
    count = 0
    for name in ("tcp", "tcp6"):
        for line in read_or_empty(PROC / "net" / name).splitlines()[1:]:
            fields = line.split()
            local, state, inode = fields[1], fields[3], fields[9]
            if local.endswith(f":{port:04X}") and state != TCP_LISTEN and inode != "0":
                count += 1
    return count


def settled(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something becomes true of what /proc says, which has no event to wait for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def load_average() -> float:
    return os.getloadavg()[0]


def machine() -> dict[str, str | int]:
    """What the figures depend on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in read_or_empty(PROC / "cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {"cpu": model, "cpus": os.cpu_count() or 0, "kernel": os.uname().release}
