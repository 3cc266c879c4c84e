"""The curves of a run as SVG that takes its text colour from the page. Imports no torch."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Sequence[Mapping[str, Any]]

_INK = "#010203"  # becomes the page's own text colour
_TRAIN, _VALID, _OTHER = "#4c8dd6", "#e0702f", "#2f9e8f"
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.8,
    "xtick.major.width": 0.6,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def loss_svg(records: Records, *, of: str = "nats per token") -> str:
    """Training and validation loss over steps, the lowest validation marked; `of` is its unit."""
    train = _points(records, "train_loss")
    valid = _points(records, "valid_loss")
    text = f"Loss ({of}) over training steps."
    if train:
        text += f" Training: from {train[0][1]:.3f} to {train[-1][1]:.3f}."
    if valid:
        best = min(valid, key=lambda point: point[1])
        text += f" Validation: lowest {best[1]:.4f} at step {best[0]:,}."

    def draw(axes: "Axes") -> None:
        if train:
            x, y = zip(*train, strict=True)
            smooth = _smooth(y)
            axes.plot(x, y, color=_TRAIN, linewidth=0.9, alpha=0.35)
            axes.plot(x, smooth, color=_TRAIN)
            _name(axes, (x[-1], smooth[-1]), "training", _TRAIN, lower=not _below(valid, smooth))
        if valid:
            x, y = zip(*valid, strict=True)
            few = len(valid) <= 40
            axes.plot(x, y, color=_VALID, marker="o" if few else None, markersize=3.5)
            axes.plot(*best, "o", color=_VALID, markersize=8, fillstyle="none", markeredgewidth=1.4)
            lower = bool(train) and _below(valid, smooth)
            _name(axes, valid[-1], "validation", _VALID, lower=lower)
        _limit(axes, [y for _, y in train], [y for _, y in valid])
        axes.set_ylabel(of)

    return _svg(draw, text, "loss", size=(9, 3.9))


def small_svg(records: Records, key: str, title: str) -> str:
    """One figure over steps, by its key in the records."""
    points = _points(records, key)
    text = f"{title} over training steps."
    if points:
        values = [y for _, y in points]
        text += f" From {values[0]:.4g} to {values[-1]:.4g}, at most {max(values):.4g}."

    def draw(axes: "Axes") -> None:
        if points:
            x, y = zip(*points, strict=True)
            axes.fill_between(x, y, color=_OTHER, alpha=0.12, linewidth=0)
            axes.plot(x, y, color=_OTHER, linewidth=1.4)
            axes.set_ylim(0, 1.08 * _quantile(y, 0.98) or 1.0)

    return _svg(draw, text, key, size=(3.6, 2.2))


def _svg(draw: Any, text: str, name: str, *, size: tuple[float, float]) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    buffer = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(5 if size[0] > 5 else 3, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _short(x)))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _short(y)))
        if size[0] > 5:
            axes.set_xlabel("step")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _embed(buffer.getvalue(), text, name)


def _embed(svg: str, text: str, name: str) -> str:
    """An SVG file as part of a page: no header, no metadata, unique ids, the page's colour."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;]*; ", "", svg).replace(_INK, "currentColor")
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    head = f'<svg {box[0]} role="img" aria-label="{escape(text)}"'
    head += ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
    return re.sub(r"^<svg[^>]*>", lambda _: head, svg)


def _points(records: Records, key: str) -> list[tuple[int, float]]:
    points = [(int(r["step"]), r[key]) for r in records if r.get(key) is not None]
    return [(step, float(value)) for step, value in points if math.isfinite(value)]


def _smooth(values: Sequence[float]) -> list[float]:
    """A running mean whose memory is a fiftieth of the run."""
    keep = 1 - 1 / max(1, len(values) // 50)
    smooth, weight, total = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smooth.append(total / weight)
    return smooth


def _below(valid: Sequence[tuple[int, float]], smooth: Sequence[float]) -> bool:
    """Whether the validation curve ends below the training curve (dropout makes it so)."""
    return bool(valid) and valid[-1][1] < smooth[-1]


def _name(axes: "Axes", point: tuple[float, float], name: str, colour: str, *, lower: bool) -> None:
    axes.annotate(
        f"{name} {point[1]:.3f}",
        point,
        xytext=(6, -9 if lower else 5),
        textcoords="offset points",
        color=colour,
        fontweight="bold",
        annotation_clip=False,
    )


def _limit(axes: "Axes", train: Sequence[float], valid: Sequence[float]) -> None:
    """The first steps' loss would press everything else flat. The ends, which are named, show."""
    if len(train) < 20:
        return
    low = min([_quantile(train, 0.02), _smooth(train)[-1], *valid])
    high = max([_quantile(train, 0.95), _smooth(train)[-1], *valid[:1], *valid[-1:]])
    axes.set_ylim(low - 0.06 * (high - low), high + 0.08 * (high - low))


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def _short(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if abs(value) >= 1e4 else f"{value:.4g}"
