"""What is made of repeated measurements."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def rounded(value: float) -> float:
    """Return the value with four significant digits."""
    return float(f"{value:.4g}")


def summary(values: Sequence[float]) -> dict[str, object]:
    """Return median and quartiles, rounded."""
    middle = statistics.median(values)
    if len(values) < 2:
        return {"median": rounded(middle), "quartiles": [rounded(middle)] * 2}
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": rounded(middle), "quartiles": [rounded(low), rounded(high)]}


def ratios(times: Mapping[str, Sequence[float]], ours: str) -> dict[str, dict[str, object]]:
    """Return how many times as long as `ours` each other took, compared round by round."""
    return {
        name: summary([t / o for t, o in zip(found, times[ours], strict=True)])
        for name, found in times.items()
        if name != ours
    }


def geometric_mean(values: Iterable[float]) -> float:
    """Return the mean that fits ratios: of x and 1/x it is 1."""
    return math.exp(statistics.fmean(map(math.log, values)))


def highest() -> int:
    """The most memory of this process so far, in MB; what getrusage says its parent counts in."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(size) // 1024
