"""How many threads to use: OMP_NUM_THREADS, and the processors that this process may really use.

Beside the processors it is bound to (`taskset`, `sched_setaffinity`), a process in a container
often has a quota of time: two processors' worth of 64, say. More threads than that would be stopped
for the rest of every period, in the middle of what others wait for.
"""

import math
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from recurra.cells.limits import THREADS
from recurra.errors import RecurraWarning


def allowed(root: Path = Path("/")) -> int:
    """Return the processors that this process may use: by affinity, and by its quota of time."""
    return max(1, min(bound(), quota(root) or THREADS))


def bound() -> int:
    """Return the processors that this process is bound to."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = Path("/")) -> int | None:
    """Return the least quota of the control groups above this process, in processors, rounded up.

    Args:
        root: where `proc` and `sys` are.

    Returns:
        None where there is no quota, or none that can be read. The answer may be a second old: a
        model that is loaded asks several times, and each time reads a file for each group.
    """
    now = time.monotonic()
    known = _known.get(root)
    if known is None or now - known[0] > _AGE:
        shares = [share for share in _quotas(root) if share > 0]
        known = now, max(1, math.ceil(min(shares))) if shares else None
        _known[root] = known
    return known[1]


def asked(environment: str | None, processors: int) -> tuple[int, str | None]:
    """Return the threads that OMP_NUM_THREADS means, and a line about it where that is not clear.

    Args:
        environment: its value, as `4` or for nested regions `4,2`; None: not set.
        processors: what the process may use.
    """
    if environment is None or not environment.strip():
        return min(processors, THREADS), None
    first = environment.split(",")[0].strip().removeprefix("+")
    # Far beyond any machine, a number need not be read: int() refuses some thousand digits.
    digits = first.lstrip("0") if first.isascii() and first.isdigit() else ""
    if digits and len(digits) < 7 and int(digits) <= THREADS:
        return int(digits), None
    used = min(processors, THREADS)
    return used, (
        f"OMP_NUM_THREADS={_short(environment)}: expected a number of threads from 1 to {THREADS}; "
        f"{used} are used, one for each processor of this process"
    )


def chosen() -> int:
    """Return how many threads to use where no library says; warn once of a strange variable."""
    count, line = asked(os.environ.get("OMP_NUM_THREADS"), allowed())
    if line and line not in _told:
        _told.add(line)
        warnings.warn(line, RecurraWarning, stacklevel=3)
    return count


def why() -> str:
    """Say in a line how many threads are used, and why."""
    processors, share = bound(), quota()
    environment = os.environ.get("OMP_NUM_THREADS")
    count, line = asked(environment, allowed())
    reasons = [f"bound to {processors} processor{'s' * (processors != 1)}"]
    if share is not None and share < processors:
        reasons.append(f"a quota of {share}")
    if environment is not None:
        reasons.append(line or f"OMP_NUM_THREADS={_short(environment)}")
    used = min(count, allowed())
    return f"{used}: {'; '.join(reasons)}"


_told: set[str] = set()
_known: dict[Path, tuple[float, int | None]] = {}
_AGE = 1.0  # seconds


def _short(text: str) -> str:
    return repr(text) if len(text) <= 24 else f"{text[:20]!r}..."


def _quotas(root: Path) -> list[float]:
    """The quotas of the process's control groups and of those above, in processors."""
    found: list[float] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found += _walk(root / "sys/fs/cgroup", path, _unified)
        elif "cpu" in controllers.split(","):
            for folder in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
                found += _walk(root / "sys/fs/cgroup" / folder, path, _legacy)
    return found


def _walk(mount: Path, path: str, read: Callable[[Path], float]) -> list[float]:
    """What `read` makes of a group's folder and of those above it, up to the mount."""
    here = mount.joinpath(*[part for part in path.split("/") if part not in ("", "..", ".")])
    folders = [here, *here.parents]
    return [read(folder) for folder in folders[: folders.index(mount) + 1]]


def _unified(folder: Path) -> float:
    """`cpu.max` of version 2: quota and period, in microseconds, or `max`."""
    parts = _read(folder / "cpu.max").split()
    return _ratio(parts[0], parts[1]) if len(parts) == 2 else 0


def _legacy(folder: Path) -> float:
    """The same of version 1, a file each; -1 for none."""
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    return _ratio(quota.strip(), period.strip())


def _ratio(quota: str, period: str) -> float:
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return 0
    return int(quota) / int(period)


def _read(path: Path) -> str:
    """A small file of the system's; empty where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
