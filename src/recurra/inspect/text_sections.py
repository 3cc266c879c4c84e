"""The report's sections about models of text: surprise, memory, single units, saliency."""

from html import escape
from typing import Any

import numpy as np

from recurra.inspect.ablation import ablation
from recurra.inspect.gates import surprise_of
from recurra.inspect.memory import context_needed, memory
from recurra.inspect.neurons import neurons_of
from recurra.inspect.saliency import saliency
from recurra.inspect.section import Section, Seen, series_of
from recurra.inspect.svg import Series, bars, chart

#: Characters of the text that are shown one by one.
_TEXT = 700


def mean_bits(one: Seen) -> float:
    """Surprise a token, in bits."""
    return float(np.nanmean(surprise_of(one.reading, one.ran)))


def text_section(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    """A text coloured by surprise, and surprise along it."""
    one = seen["trained"]
    surprise = surprise_of(one.reading, one.ran)
    spans = []
    size = 0
    for label, bits in zip(one.reading.labels, surprise, strict=True):
        if size > _TEXT:
            break
        size += len(label)
        shade = 0.0 if not np.isfinite(bits) else min(1.0, bits / 8)
        told = "" if not np.isfinite(bits) else f' title="{bits:.1f} bits"'
        spans.append(f'<span style="--a:{shade * 0.75:.2f}"{told}>{escape(label)}</span>')
    shown = len(spans)
    text = f'<div class="text">{"".join(spans)}</div>'
    series = []
    for kind, other in seen.items():
        bits = np.nan_to_num(surprise_of(other.reading, other.ran))
        width = max(1, min(50, len(bits) // 8))
        smooth = np.convolve(bits, np.ones(width) / width, "valid")
        every = max(1, len(smooth) // 320)
        places = np.arange(len(smooth))[::every] + width // 2
        series.append(series_of(kind, "", places, smooth[::every]))
    picture = chart(series, title="Surprise along the text", x="token", y="bits a token (smoothed)")
    means = {kind: mean_bits(other) for kind, other in seen.items()}
    return Section(
        "surprise",
        "Where the text surprises it",
        text + picture,
        f"The darker a token, the less it was expected: {means['trained']:.2f} bits on average.",
        "A model has learnt what its text repeats: surprise falls within words and peaks where a "
        "new word begins.",
        "Point at a token for its bits; inspect a text of another kind, and the curve rises.",
        {"bits": means, "shown": surprise[:shown], "tokens": list(one.reading.labels[:shown])},
    )


def memory_section(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    """KL by lag of a replaced token."""
    series: list[Series] = []
    numbers: dict[str, Any] = {}
    for kind, one in seen.items():
        found = memory(one.model, data, seed=seed)
        numbers[kind] = found.to_dict()
        series.append(series_of(kind, "", found.lags + 1, found.kl))
    last = numbers["trained"]["last"]
    picture = chart(
        series,
        title="What is left of a replaced token",
        x="tokens since it was replaced",
        y="KL, nats",
        log_x=True,
        log_y=True,
        floor=1e-7,
        line=0.01,
    )
    held = f"for certain up to {last + 1} tokens later" if last >= 0 else "for no token for certain"
    return Section(
        "memory",
        "How long it remembers a token",
        picture,
        f"One token is replaced, and the expectations of all that follows change by so much; more "
        f"than 0.01 nat {held}.",
        "The state is all that a recurrent model has of the past: what is not in it has no effect.",
        "Replace a name or a bracket on the served page and follow it by hand.",
        numbers,
    )


def context_section(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    """Loss by starting late."""
    series: list[Series] = []
    numbers: dict[str, Any] = {}
    for kind, one in seen.items():
        found = context_needed(one.model, data)
        numbers[kind] = found.to_dict()
        series.append(series_of(kind, "", found.lags, found.loss))
    picture = chart(
        series,
        title="Loss by starting late",
        x="tokens read before the prediction",
        y="loss against all of it, nats",
        log_x=True,
    )
    return Section(
        "context_needed",
        "How much context it uses",
        picture,
        "The model starts anew so many tokens before each prediction; the curve is the cost.",
        "Where the curve reaches 0, what lies further back no longer helps.",
        "recurra.inspect.context_needed takes n-grams, too: one of order 5 is at 0 from 4 on.",
        numbers,
    )


def neurons_section(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    """The single units that follow traits of the text."""
    numbers: dict[str, Any] = {}
    picture = ""
    certain: list[str] = []
    for kind, one in seen.items():
        found = neurons_of(one.reading, one.ran, seed=seed)
        numbers[kind] = found.to_dict() | {"strength": found.strength}
        picture += bars(
            found.traits,
            found.strength[:, 0].tolist(),
            title=f"The unit that follows each trait best, {kind}",
            y="|2 AUC − 1| or |ρ|",
            high=220 if kind == "trained" else 160,
        )
        rows = zip(found.traits, found.names(), found.p[:, 0], found.level, strict=True)
        told = [f"{t} {unit} (p {p:.2g}, chance up to {level:.2g})" for t, unit, p, level in rows]
        picture += f"<figcaption>{kind}, layer.state.unit: {escape('; '.join(told))}</figcaption>"
        if kind == "trained":
            best = zip(found.traits, found.names(), found.p[:, 0], strict=True)
            certain = [f"{trait} by {unit}" for trait, unit, p in best if p <= 0.05]
    held = f"certain at 5 %: {', '.join(certain)}" if certain else "none is certain at 5 %"
    return Section(
        "neuron_finder",
        "Single units that follow quotes, brackets, lines",
        picture,
        f"The first half of the text chooses the unit that follows each trait best, and the bar is "
        f"how well it does so in the second; {held}.",
        "Of many units some follow anything by luck, so one counts only above the best of all "
        "while the text is shifted against the states.",
        "Inspect a text with more quotes, brackets or lines; recurra.inspect.neuron_finder takes "
        "traits of your own.",
        numbers,
    )


def ablation_section(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    """Loss without single units."""
    numbers: dict[str, Any] = {}
    pictures = ""
    for kind, one in seen.items():
        found = ablation(one.model, data, top=24)
        told = found.to_dict()
        told.pop("ranked")
        numbers[kind] = told
        names = [f"{k}.{u}" for k, u in zip(found.layer, found.unit, strict=True)]
        pictures += bars(
            names,
            found.loss.tolist(),
            title=f"Loss without a unit, {kind}",
            y="Δ nats a token",
            high=220 if kind == "trained" else 160,
        )
        pictures += f"<figcaption>{kind}: layer.unit</figcaption>"
    best = numbers["trained"]
    by_class = {n: v[0] for n, v in best["by_class"].items() if v[0] is not None}
    most = max(by_class, key=lambda n: by_class[n])
    return Section(
        "ablation",
        "What single units are worth",
        pictures,
        f"Each unit in turn stands still at its mean; unit {best['layer'][0]}.{best['unit'][0]} "
        f"costs most, above all at tokens of the class {most}.",
        "Most units cost next to nothing: what they hold is spread over many.",
        "Hold a unit while it writes: recurra.inspect.patched(model, ablate(layer, 'h', [unit])).",
        numbers,
    )


def saliency_section(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    """What the last token rests on."""
    model = seen["trained"].model
    if len(seen["trained"].reading.lengths) > 1:
        data = seen["trained"].reading.first_tokens
    found = saliency(model, data, back=40)
    numbers: dict[str, Any] = {"trained": found.to_dict()}
    if "at initialisation" in seen:
        numbers["at initialisation"] = saliency(
            seen["at initialisation"].model, data, back=40
        ).to_dict()
    labels = [t.replace("\n", "⏎").replace(" ", "␣") or "·" for t in found.tokens]
    picture = ""
    for kind, told in numbers.items():
        title = f"What speaks for the last token, {kind}"
        tall = 220 if kind == "trained" else 160
        picture += bars(
            labels, [v or 0.0 for v in told["values"]], title=title, y="nats", high=tall
        )
        picture += f"<figcaption>{kind}</figcaption>"
    return Section(
        "saliency",
        "What an expectation rests on",
        picture,
        f"Each token in turn is taken out, and the log probability of the last one "
        f"({found.target!r}) falls by so much.",
        "Bars below 0 spoke against it; most of an expectation rests on a few tokens before.",
        "recurra.inspect.saliency(model, text, method='integrated') asks gradients instead.",
        numbers,
    )
