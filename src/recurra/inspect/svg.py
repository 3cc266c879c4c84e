"""Small pictures as SVG text: lines, bars, points, heat maps. The same numbers, the same bytes.

Colours and fonts are classes, which the page's style fills in for light and dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDE, HIGH = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 30, 44


@dataclass(frozen=True)
class Series:
    """Points of one kind; `dashed` where it is the model before training; a colour of six."""

    label: str
    x: np.ndarray
    y: np.ndarray
    dashed: bool = False
    colour: int = 0

    @property
    def kind(self) -> str:
        """Its classes."""
        return f"s{self.colour % 6}" + (" before" if self.dashed else "")


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`, over `begin` to `end` pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value, held within the scale."""
        low, high, v = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, v = math.log10(low), math.log10(high), math.log10(v)
        share = (v - low) / (high - low) if high > low else 0.5
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """A handful of round values within the scale."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high))
            every = max(1, (last - first + 5) // 6)
            found = [10.0**n for n in range(first, last + 1, every)]
            if len(found) < 3 and self.high / self.low <= 2000:
                found = sorted({m * 10.0**n for n in range(first - 1, last + 1) for m in (1, 2, 5)})
            found = [v for v in found if self.low <= v <= self.high * (1 + 1e-9)]
            if len(found) > 1:
                return found
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        step = 10.0 ** math.floor(math.log10(span / 4))
        step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= 6)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first
        return [round((first + n) * step, 12) for n in range(count + 1)]


def number(value: float) -> str:
    """A number for a label: short, with a true minus sign."""
    if value == 0:
        return "0"
    text = f"{value:,.0f}" if 1000 <= abs(value) < 100_000 else f"{value:.3g}"
    if "e" in text:
        mantissa, _, power = text.partition("e")
        power = str(int(power)).replace("-", "−")
        raised = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] if c.isdigit() else "⁻" for c in power)
        text = f"10{raised}" if mantissa == "1" else f"{mantissa}·10{raised}"
    return text.replace("-", "−")


def chart(
    series: Sequence[Series],
    *,
    title: str,
    x: str,
    y: str,
    log_x: bool = False,
    log_y: bool = False,
    points: bool = False,
    floor: float | None = None,
    line: float | None = None,
    high: float = HIGH,
) -> str:
    """Lines, or with `points` dots. floor: the least y on a logarithmic scale. line: a level."""
    xs = [float(v) for s in series for v in s.x if math.isfinite(v)]
    ys = [float(v) for s in series for v in s.y if math.isfinite(v)]
    if log_y:
        least = floor if floor is not None else 1e-6
        ys = [max(v, least) for v in ys]
    if line is not None:
        ys.append(line)
    horizontal = _axis(xs, _LEFT, WIDE - _RIGHT, log=log_x, pad=points)
    vertical = _axis(ys, high - _BOTTOM, _TOP, log=log_y, pad=points)
    out = [_open(title, high), _frame(horizontal, vertical, x, y, high)]
    if line is not None:
        out.append(
            f'<line class="level" x1="{_LEFT}" x2="{WIDE - _RIGHT}" y1="{_p(vertical.at(line))}" '
            f'y2="{_p(vertical.at(line))}"/>'
        )
    for one in series:
        dots = [
            (horizontal.at(float(a)), vertical.at(max(float(b), vertical.low)))
            for a, b in zip(one.x, one.y, strict=True)
            if math.isfinite(a) and math.isfinite(b) and not (log_y and b < vertical.low * 0.999)
        ]
        kind = one.kind
        if points:
            shape = "".join(_dot(a, b, square=one.dashed) for a, b in dots)
            out.append(f'<g class="dots {kind}">{shape}</g>')
        else:
            path = " ".join(f"{_p(a)},{_p(b)}" for a, b in dots)
            out.append(f'<polyline class="line {kind}" points="{path}"/>')
    out.append(_legend(series, points=points))
    out.append("</svg>")
    return "".join(out)


def bars(
    labels: Sequence[str], values: Sequence[float], *, title: str, y: str, high: float = HIGH
) -> str:
    """A bar a label, those below 0 downwards."""
    vertical = _axis([0.0, *map(float, values)], high - _BOTTOM - 10, _TOP, log=False)
    horizontal = Axis(0, max(1, len(values)), _LEFT, WIDE - _RIGHT)
    out = [_open(title, high), _frame(None, vertical, "", y, high)]
    wide = (WIDE - _RIGHT - _LEFT) / max(1, len(values))
    zero = vertical.at(0)
    for k, (label, value) in enumerate(zip(labels, values, strict=True)):
        left, top = horizontal.at(k), vertical.at(float(value))
        kind = "bar" if value >= 0 else "bar minus"
        out.append(
            f'<rect class="{kind}" x="{_p(left + wide * 0.12)}" y="{_p(min(top, zero))}" '
            f'width="{_p(wide * 0.76)}" height="{_p(abs(top - zero))}"><title>{escape(label)}: '
            f"{number(float(value))}</title></rect>"
        )
        middle = left + wide / 2
        turned = f' transform="rotate(-60 {_p(middle)} {high - 40})"' if wide < 30 else ""
        anchor = "end" if turned else "middle"
        out.append(
            f'<text class="tick" text-anchor="{anchor}" x="{_p(middle)}" y="{high - 38}"'
            f"{turned}>{escape(label)}</text>"
        )
    out.append(
        f'<line class="axis" x1="{_LEFT}" x2="{WIDE - _RIGHT}" y1="{_p(zero)}" y2="{_p(zero)}"/>'
    )
    out.append("</svg>")
    return "".join(out)


def heat(
    values: np.ndarray,
    *,
    title: str,
    x: str,
    y: str,
    low: float,
    high: float,
    most: float = 220,
) -> str:
    """Rows × columns as nine steps of a colour scale; equal neighbours share a cell.

    Values from below 0 to above it have two hues, and 0 is the paper's colour. most: pixels high.
    """
    hue = "d" if low < 0 < high else "h"
    rows, columns = values.shape
    cell, begin_y = min(12.0, most / max(1, rows)), 8
    wide = (WIDE - _LEFT - _RIGHT) / max(1, columns)
    tall = rows * cell
    share = (values - low) / (high - low) if high > low else values * 0
    level = np.clip((share * 9).astype(int), 0, 8)
    paths: list[list[str]] = [[] for _ in range(9)]
    for r in range(rows):
        ends = [*(np.flatnonzero(np.diff(level[r])) + 1).tolist(), columns]
        begin = 0
        for end in ends:
            paths[level[r, begin]].append(
                f"M{_p(_LEFT + begin * wide)} {_p(begin_y + r * cell)}h{_p((end - begin) * wide)}"
                f"v{_p(cell)}H{_p(_LEFT + begin * wide)}z"
            )
            begin = end
    total = begin_y + tall + 62
    out = [_open(title, total)]
    out += [f'<path class="{hue}{n}" d="{"".join(p)}"/>' for n, p in enumerate(paths) if p]
    axis = Axis(0, columns, _LEFT, WIDE - _RIGHT)
    for tick in axis.ticks():
        out.append(_tick_x(axis.at(tick), begin_y + tall, number(tick)))
    out.append(f'<text class="name" x="{_LEFT}" y="{_p(begin_y + tall + 32)}">{escape(x)}</text>')
    out.append(_side(y, begin_y + tall / 2))
    for n in range(9):
        left = WIDE - _RIGHT - 9 * 16 + n * 16
        out.append(f'<path class="{hue}{n}" d="M{left} {_p(begin_y + tall + 24)}h16v9h-16z"/>')
    left, right = WIDE - _RIGHT - 9 * 16, WIDE - _RIGHT
    for at, text, anchor in ((left, number(low), "start"), (right, number(high), "end")):
        out.append(
            f'<text class="tick" text-anchor="{anchor}" x="{at}" y="{_p(begin_y + tall + 46)}">'
            f"{text}</text>"
        )
    out.append("</svg>")
    return "".join(out)


def _axis(
    values: Sequence[float], begin: float, end: float, *, log: bool, pad: bool = False
) -> Axis:
    kept = [v for v in values if not log or v > 0] or [1.0]
    low, high = min(kept), max(kept)
    if log:
        if low == high:
            low, high = low / 2, high * 2
        return Axis(low, high, begin, end, log=True)
    if low == high:
        low, high = low - 0.5, high + 0.5
    room = (high - low) * 0.04 if pad else 0
    return Axis(low - room, high + room, begin, end)


def _open(title: str, high: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDE} {_p(high)}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>"
    )


def _frame(horizontal: Axis | None, vertical: Axis, x: str, y: str, high: float) -> str:
    out = []
    for tick in vertical.ticks():
        at = _p(vertical.at(tick))
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDE - _RIGHT}" y1="{at}" y2="{at}"/>')
        out.append(
            f'<text class="tick" text-anchor="end" x="{_LEFT - 7}" y="{at}" dy="0.32em">'
            f"{number(tick)}</text>"
        )
    if horizontal is not None:
        bottom = high - _BOTTOM
        out.append(
            f'<line class="axis" x1="{_LEFT}" x2="{WIDE - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        )
        out += [_tick_x(horizontal.at(t), bottom, number(t)) for t in horizontal.ticks()]
        place = f'x="{_p((_LEFT + WIDE - _RIGHT) / 2)}" y="{_p(high - 8)}"'
        out.append(f'<text class="name" text-anchor="middle" {place}>{escape(x)}</text>')
    out.append(_side(y, (_TOP + high - _BOTTOM) / 2))
    return "".join(out)


def _tick_x(at: float, bottom: float, text: str) -> str:
    return (
        f'<text class="tick" text-anchor="middle" x="{_p(at)}" y="{_p(bottom + 15)}">{text}</text>'
    )


def _side(text: str, middle: float) -> str:
    place = f"14 {_p(middle)}"
    return (
        f'<text class="name" text-anchor="middle" x="14" y="{_p(middle)}" '
        f'transform="rotate(-90 {place})">{escape(text)}</text>'
    )


def _legend(series: Sequence[Series], *, points: bool) -> str:
    if len(series) < 2 and not (series and series[0].label):
        return ""
    out = []
    left, at = float(_LEFT), 12
    for one in series:
        kind = one.kind
        if points:
            out.append(f'<g class="dots {kind}">{_dot(left + 10, at, square=one.dashed)}</g>')
        else:
            out.append(f'<path class="line {kind}" d="M{_p(left)} {at}h22"/>')
        place = f'x="{_p(left + 28)}" y="{at}" dy="0.32em"'
        out.append(f'<text class="tick" {place}>{escape(one.label)}</text>')
        left += 44 + 6.2 * len(one.label)
    return f"<g>{''.join(out)}</g>"


def _dot(x: float, y: float, *, square: bool) -> str:
    if square:
        return f'<rect x="{_p(x - 2)}" y="{_p(y - 2)}" width="4" height="4"/>'
    return f'<circle cx="{_p(x)}" cy="{_p(y)}" r="2.4"/>'


def _p(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
