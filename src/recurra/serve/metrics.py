"""Counters and histograms in Prometheus' text format, version 0.0.4."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

Labels = tuple[tuple[str, str], ...]


class _Family:
    def __init__(self, name: str, help: str, kind: str) -> None:
        self.name, self.help, self.kind = name, help, kind
        self._lock = threading.Lock()

    def samples(self) -> Iterable[tuple[str, Labels, float]]:
        """Name, labels and value of each line."""
        raise NotImplementedError

    def text(self) -> str:
        """The lines of this family."""
        lines = [f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"]
        for name, labels, value in self.samples():
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            lines.append(f"{name}{'{' + inner + '}' if inner else ''} {value:.10g}\n")
        return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Counter(_Family):
    """What only grows, by labels."""

    def __init__(self, name: str, help: str) -> None:
        super().__init__(name, help, "counter")
        self._values: dict[Labels, float] = {}

    def add(self, count: float = 1, **labels: str) -> None:
        """Add to the count of some labels."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._values[key] = self._values.get(key, 0) + count

    def samples(self) -> Iterable[tuple[str, Labels, float]]:
        """One line for each combination of labels."""
        with self._lock:
            return [(self.name, labels, value) for labels, value in sorted(self._values.items())]


class Gauge(_Family):
    """What is looked up when it is asked for: `read` returns values by labels."""

    def __init__(self, name: str, help: str, read: Callable[[], dict[Labels, float]]) -> None:
        super().__init__(name, help, "gauge")
        self._read = read

    def samples(self) -> Iterable[tuple[str, Labels, float]]:
        """One line for each combination of labels."""
        return [(self.name, labels, value) for labels, value in sorted(self._read().items())]


class Histogram(_Family):
    """How values are spread, by model."""

    def __init__(self, name: str, help: str, bounds: Sequence[float] = _SECONDS) -> None:
        super().__init__(name, help, "histogram")
        self._bounds = bounds
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, model: str, *values: float) -> None:
        """Count some values."""
        with self._lock:
            counts = self._counts.setdefault(model, [0] * (len(self._bounds) + 1))
            self._sums[model] = self._sums.get(model, 0.0) + sum(values)
            for value in values:
                counts[bisect_left(self._bounds, value)] += 1

    def samples(self) -> Iterable[tuple[str, Labels, float]]:
        """The cumulative buckets, the sum and the count."""
        lines: list[tuple[str, Labels, float]] = []
        with self._lock:
            for model, counts in sorted(self._counts.items()):
                label, total = ("model", model), 0
                for bound, count in zip((*self._bounds, None), counts, strict=True):
                    total += count
                    edge = "+Inf" if bound is None else f"{bound:g}"
                    lines.append((f"{self.name}_bucket", (("le", edge), label), total))
                lines.append((f"{self.name}_sum", (label,), self._sums[model]))
                lines.append((f"{self.name}_count", (label,), total))
        return lines


class Metrics:
    """All that a server counts. The names follow vLLM's and TGI's."""

    def __init__(self) -> None:
        self.first = Histogram("recurra_time_to_first_token_seconds", "From request to first token")
        self.between = Histogram("recurra_time_per_output_token_seconds", "Between two tokens")
        self.queued = Histogram("recurra_request_queue_seconds", "Waited before being admitted")
        self.whole = Histogram("recurra_request_seconds", "From request to its end")
        self.batch = Histogram("recurra_batch_rows", "Texts in a step", _ROWS)
        self.prompt = Counter("recurra_prompt_tokens_total", "Tokens of prompts that were read")
        self.generated = Counter("recurra_generation_tokens_total", "Tokens that were generated")
        self.finished = Counter("recurra_request_choices_total", "Ended texts by finish_reason")
        self.replies = Counter("recurra_http_replies_total", "Replies by status")
        self.rejected = Counter("recurra_rejected_total", "Refused requests by code")
        self.gauges: list[Gauge] = []

    def text(self) -> str:
        """The page that Prometheus reads."""
        families = [value for value in vars(self).values() if isinstance(value, _Family)]
        return "".join(family.text() for family in [*families, *self.gauges])
