"""report.html: a run on one page that opens offline and runs no script. Imports no torch."""

import importlib.util
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from recurra.errors import InputError
from recurra.storage import read_json
from recurra.storage.disk import write_file
from recurra.train.events import FitResult, Start, StepDone, Validation
from recurra.train.metrics import read_metrics
from recurra.train.run_directory import CONFIG, METRICS, REPORT

Samples = Sequence[tuple[str, str]]
"""Texts a model wrote: (prompt, continuation)."""

_SECONDS = 300.0  # between reports while a run goes on
_SMALL = {
    "lr": "Learning rate",
    "grad_norm": "Gradient norm",
    "tokens_per_second": "Tokens per second",
}
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 14%, transparent);
  --soft: color-mix(in srgb, currentColor 62%, transparent);
  --card: color-mix(in srgb, currentColor 4%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem
  4rem; color: light-dark(#1c2430, #e4e8ee); background: light-dark(#fdfdfc, #14181e); }
h1 { font-size: 1.7rem; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.6rem 0 .8rem; }
p.state { margin: .2rem 0 1.6rem; color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem .9rem; }
dt { font-size: .8rem; color: var(--soft); }
dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
figure { margin: 0; } svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .85rem; color: var(--soft); }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1.5rem;
  margin-top: 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } th[scope=row], td.text { text-align: left; }
td.text { overflow-wrap: anywhere; }
blockquote { margin: 0 0 1rem; padding: .8rem 1rem; background: var(--card); white-space: pre-wrap;
  border-left: 3px solid #e0702f; border-radius: 0 .5rem .5rem 0; overflow-wrap: anywhere; }
summary { cursor: pointer; }
"""


class Reporter:
    """A callback of `fit` that keeps `report.html`: at the end, and every few minutes till then.

    `samples` gives texts of the trained model, asked for once at the end.
    """

    def __init__(self, samples: Callable[[], Samples] | None = None) -> None:
        self._samples = samples
        self._run = Path()
        self._written = time.monotonic()

    def on_start(self, event: Start) -> None:
        """Remember the run."""
        self._run = event.run

    def on_step(self, event: StepDone) -> None:
        """Nothing: a step is no news."""

    def on_validation(self, event: Validation) -> None:
        """Write a report, if the last is long ago."""
        if time.monotonic() - self._written >= _SECONDS:
            with suppress(InputError):  # the last report says what the system refuses
                write_report(self._run)
            self._written = time.monotonic()

    def on_end(self, result: FitResult | None) -> None:
        """Write the last report."""
        samples = self._samples() if self._samples is not None and result is not None else ()
        try:
            write_report(self._run, samples=samples)
        except InputError:
            if result is not None:  # otherwise another error is under way, and tells more
                raise


def write_report(run: str | Path, *, samples: Samples = ()) -> Path:
    """Write `report.html` from what the run directory holds; returns its path."""
    run = Path(run)
    recorded, records = read_json(run / CONFIG), read_metrics(run / METRICS)
    text = "\n".join(_page(run.resolve().name, recorded, records, samples))
    write_file(run / REPORT, [text.encode(errors="backslashreplace")])
    return run / REPORT


def _page(
    name: str, recorded: Mapping[str, Any], records: list[dict[str, Any]], samples: Samples
) -> list[str]:
    plan = recorded.get("plan") or {}
    return [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(name)}: training report</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(name)}</h1>",
        f'<p class="state">{_state(plan, records)}</p>',
        _figures(plan, records),
        "<h2>Curves</h2>",
        _curves(plan, records),
        *_texts(samples),
        "<h2>Validations</h2>",
        _validations(records),
        "<h2>Configuration</h2>",
        _configuration(recorded),
        "</body></html>\n",
    ]


def _state(plan: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "Nothing has been recorded yet."
    last = records[-1]
    text = f"Step {last['step']:,} of {plan.get('steps', 0):,}, {last['epoch']:.2f} epochs"
    skipped = sum(record.get("skipped", 0) for record in records)
    return text + (f"; {skipped} steps were not finite and were skipped." if skipped else ".")


def _figures(plan: Mapping[str, Any], records: list[dict[str, Any]]) -> str:
    """The cards at the top: the best validation, then speed and size."""
    if not records:
        return ""
    goal = f"valid_{plan.get('goal', 'loss')}"
    valid = [r for r in records if math.isfinite(r.get(goal, math.nan))]
    cards = {}
    if valid:
        choose = max if plan.get("goal_higher") else min
        best = choose(valid, key=lambda record: record[goal])
        for key, value in best.items():
            if key.startswith("valid_"):
                cards[f"Best validation {_words(key[6:])}"] = _number(value)
        cards["at step"] = f"{best['step']:,}"
    last = records[-1]
    speeds = sorted(record["tokens_per_second"] for record in records)
    unit = str(plan.get("unit", "tokens")).capitalize()
    cards[f"{unit} read"] = f"{last['tokens']:,}"
    cards[f"{unit} per second"] = f"{speeds[len(speeds) // 2]:,.0f}"
    cards["Time"] = _duration(last["seconds"])
    items = (f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in cards.items())
    return f"<dl>{''.join(items)}</dl>"


def _curves(plan: Mapping[str, Any], records: list[dict[str, Any]]) -> str:
    if importlib.util.find_spec("matplotlib") is None:
        return "<p>The curves need matplotlib: <code>pip install 'recurra[report]'</code>.</p>"
    from recurra.train.curves import loss_svg, small_svg

    unit = plan.get("unit", "tokens")
    of = "nats per token" if unit == "tokens" else f"loss, over {unit}"
    small = (
        f"<figure><figcaption>{title}</figcaption>{small_svg(records, key, title)}</figure>"
        for key, title in _SMALL.items()
    )
    return f'<figure>{loss_svg(records, of=of)}</figure><div class="row">{"".join(small)}</div>'


def _texts(samples: Samples) -> list[str]:
    if not samples:
        return []
    quotes = [f"<blockquote><b>{escape(p)}</b>{escape(text)}</blockquote>" for p, text in samples]
    return ["<h2>What it writes</h2>", *quotes]


def _validations(records: list[dict[str, Any]]) -> str:
    rows = [record for record in records if "valid_loss" in record]
    if not rows:
        return "<p>None yet.</p>"
    keys = ["step", "epoch", "train_loss", *(k for k in rows[-1] if k.startswith("valid_")), "lr"]
    head = "".join(f'<th scope="col">{escape(_words(key))}</th>' for key in keys)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_number(row.get(key)))}</td>" for key in keys) + "</tr>"
        for row in rows
    )
    return (
        f"<details{' open' if len(rows) <= 25 else ''}><summary>{len(rows)} in all</summary>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></details>"
    )


def _configuration(recorded: Mapping[str, Any]) -> str:
    rows = [
        f'<tr><th scope="row">{escape(key)}</th><td class="text">{escape(_number(value))}</td></tr>'
        for part in ("plan", "train", "identity")
        for key, value in _flat(recorded.get(part) or {})
        if value is not None
    ]
    return f'<div class="wide"><table><tbody>{"".join(rows)}</tbody></table></div>'


def _flat(values: Mapping[str, Any], name: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        full = f"{name}.{key}" if name else key
        rows += _flat(value, full) if isinstance(value, Mapping) else [(full, value)]
    return rows


def _words(key: str) -> str:
    return key.replace("valid_", "validation ").replace("_", " ")


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_number(item) for item in value)
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if 0.01 <= abs(value) < 1e6 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"
