"""The sections of the report: of each measure a picture, three sentences, and its numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.inspect.gates import named
from recurra.inspect.lag import by_lag_of
from recurra.inspect.language import is_language
from recurra.inspect.reading import read
from recurra.inspect.section import Section, Seen, series_of
from recurra.inspect.svg import Series, chart, heat
from recurra.inspect.text_sections import (
    ablation_section,
    context_section,
    mean_bits,
    memory_section,
    neurons_section,
    saliency_section,
    text_section,
)
from recurra.inspect.units import effective_rank_of, saturation_of, time_constant_of

#: Steps and units that pictures show one by one.
_STEPS, _UNITS = 160, 48


def sections(
    model: Any, fresh: Any, data: Any, *, seed: int
) -> tuple[list[Section], dict[str, str], list[str]]:
    """The sections, facts of the model, and what was left out.

    Args:
        model: trained. fresh: the same at initialisation, or None. data: as of `gates`.
        seed: of all that is drawn.
    """
    kinds = {"trained": model} if fresh is None else {"trained": model, "at initialisation": fresh}
    seen = {}
    for kind, one in kinds.items():
        reading = read(one, data, "report")
        seen[kind] = Seen(one, reading, reading.run())
    first = seen["trained"]
    network = first.reading.network
    facts = {
        "Cell": network.program.cell,
        "Layers": f"{network.layers} of {network.hidden} units",
        "Read": f"{len(first.reading.step):,} steps",
    }
    if network.directions > 1:
        facts["Layers"] += ", both ways"
    makers: list[Callable[..., Section]] = [_heat, _saturation, _time, _rank]
    if is_language(model):
        bits = {kind: mean_bits(one) for kind, one in seen.items()}
        facts["Bits a token"] = f"{bits['trained']:.3f}"
        if fresh is not None:
            facts["Before training"] = f"{bits['at initialisation']:.3f}"
        makers = [text_section, _heat, _saturation, _time, _lag, memory_section]
        makers += [context_section, _rank, neurons_section, ablation_section, saliency_section]
    else:
        makers.insert(3, _lag)
    made, left = [], []
    for make in makers:
        try:
            made.append(make(seen, data, seed))
        except InputError as error:
            left.append(str(error))
    return made, facts, left


def _heat(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    one = seen["trained"]
    network = one.reading.network
    values = named(one.reading, one.ran.visible[-1])
    output = network.states[0]
    keeper = next((n for n in ("f", "z") if n in values), None)
    means = {n: v.mean(0) for n, v in values.items()}
    pace = np.abs(np.diff(values[output], axis=0)).mean(0)
    order = np.argsort(pace, kind="stable")[:: max(1, len(pace) // _UNITS)][:_UNITS]
    picture = ""
    for name in [n for n in (keeper, output) if n is not None]:
        said = "the gate that keeps" if name == keeper else "the output"
        for kind, other in seen.items():
            every = named(other.reading, other.ran.visible[-1])[name]
            title = f"{name}, {said}, {kind}: unit by step"
            picture += heat(
                every[:_STEPS, order].T.astype(np.float64),
                title=title,
                x="step",
                y=f"unit of {name}",
                low=0.0 if name == keeper else -1.0,
                high=1.0,
                most=220 if kind == "trained" else 90,
            )
            picture += f"<figcaption>{name}, {said}: {kind}</figcaption>"
    return Section(
        "gates",
        "Gates and outputs, step by step",
        picture,
        "A row is a unit of the last layer, a column a step; slow units stand at the top, quick "
        "ones below.",
        "Rows that change colour seldom hold something over many steps; rows that flicker follow "
        "the last token.",
        "recurra.inspect.gates(model, text) gives every gate of every layer as arrays.",
        {"layer": network.layers - 1, "units": order, "means": means},
    )


def _saturation(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    series: list[Series] = []
    numbers: dict[str, Any] = {}
    for kind, one in seen.items():
        found = saturation_of(one.reading, one.ran)
        shut, opened = found.shut[-1], found.opened[-1]
        numbers[kind] = [
            {
                "shut": {n: float(v.mean()) for n, v in layer.items()},
                "open": {n: float(v.mean()) for n, v in found.opened[k].items()},
                "extreme": {n: float(v.mean()) for n, v in found.extreme[k].items()},
            }
            for k, layer in enumerate(found.shut)
        ]
        series += [series_of(kind, n, opened[n], shut[n], c) for c, n in enumerate(shut)]
    if not series:
        raise InputError("saturation: this cell has no gates to show")
    picture = chart(
        series,
        title="Share of steps that a gate is open, against shut",
        x="share of steps open (above 0.9)",
        y="share of steps shut (below 0.1)",
        points=True,
    )
    return Section(
        "saturation",
        "How often gates stand open or shut",
        picture,
        "A point is a unit's gate in the last layer: at the right mostly open, high up mostly "
        "shut, in the corner neither.",
        "Before training all gates stand half open; training drives those apart that have to keep "
        "or to clear.",
        "Train with another forget bias, or longer, and watch the points leave the corner.",
        numbers,
    )


def _time(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    series: list[Series] = []
    numbers: dict[str, Any] = {}
    for kind, one in seen.items():
        found = time_constant_of(one.reading, one.ran)
        numbers[kind] = list(found.layers)
        for k, layer in enumerate(found.layers):
            for name, constants in layer.items():
                sorted_ = np.sort(constants)[::-1]
                share = (np.arange(len(sorted_)) + 1) / len(sorted_)
                series.append(series_of(kind, f"layer {k}, {name}", share, sorted_, k))
    picture = chart(
        series,
        title="Time constants of units, longest first",
        x="share of units",
        y="steps",
        log_y=True,
    )
    longest = max(float(np.median(v)) for layer in numbers["trained"] for v in layer.values())
    return Section(
        "time_constant",
        "How long units keep what they hold",
        picture,
        "Units sorted by how many steps they keep what they hold; in the slowest layer half keep "
        f"it for {longest:.1f} steps or more.",
        "A gate that multiplies by 0.9 at each step forgets two thirds in ten; long memory needs "
        "gates near 1.",
        "Compare layers: lower ones often follow letters, upper ones words and lines.",
        numbers,
    )


def _lag(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    series: list[Series] = []
    numbers: dict[str, Any] = {}
    for kind, one in seen.items():
        found = by_lag_of(one.reading, lags=128, anchors=32, seed=seed)
        numbers[kind] = found.to_dict()
        for colour, (name, ratio) in enumerate(found.ratios.items()):
            series.append(series_of(kind, name, found.lags, ratio, colour))
    picture = chart(
        series,
        title="Gradient by lag",
        x="lag k, steps",
        y="r(k) = g(k) / g(0)",
        log_y=True,
        floor=1e-7,
    )
    return Section(
        "gradient_by_lag",
        "How far an error gets back",
        picture,
        "The size of the gradient of one step's loss by the states k steps before it, over that at "
        "the step itself.",
        "What the gradient does not reach, training cannot link: this is the vanishing gradient, "
        "measured.",
        "Compare with a plain rnn cell, whose curve falls fastest, and with a longer bptt.",
        numbers,
    )


def _rank(seen: dict[str, Seen], data: Any, seed: int) -> Section:
    series: list[Series] = []
    numbers: dict[str, Any] = {}
    for kind, one in seen.items():
        found = effective_rank_of(one.reading, one.ran)
        numbers[kind] = {
            "names": list(found.names),
            "entropy": found.entropy,
            "participation": found.participation,
            "units": found.units,
        }
        for colour, (name, shares) in enumerate(found.spectra.items()):
            total, count = np.cumsum(shares), np.arange(1, len(shares) + 1)
            every = max(1, len(total) // 200)
            series.append(series_of(kind, name, count[::every], total[::every], colour))
    trained = numbers["trained"]
    last = f"{trained['participation'][-1]:.1f} of {int(trained['units'][-1])}"
    picture = chart(
        series,
        title="Share of variance in the first directions",
        x="directions, largest first",
        y="share of variance",
        log_x=True,
    )
    return Section(
        "effective_rank",
        "How many directions its states use",
        picture,
        f"The share of variance that the first directions hold; by their participation ratio the "
        f"last state uses {last}.",
        "Units that always move together count once: a state may be large and hold little.",
        "If the curve reaches 1 early, a smaller hidden size may do as well.",
        numbers,
    )
