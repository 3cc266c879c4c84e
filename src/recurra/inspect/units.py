"""What single units do over a text: saturation, time constants, how many directions states use."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.inspect.gates import named
from recurra.inspect.keeping import kept
from recurra.inspect.network import Network, Ran
from recurra.inspect.reading import Reading, read
from recurra.inspect.results import Result, axes

#: Below the first a gate counts as shut, above the second as open.
SHUT, OPEN = 0.1, 0.9
_GATES = ("sigmoid", "hard_sigmoid")


@dataclass(frozen=True, eq=False)
class Saturation(Result):
    """How often a unit stands at an end of its range.

    shut, opened: by layer, from each gate's name to the share (H,) of steps below 0.1 and above
        0.9.
    extreme: by layer, from each name of what is squashed to (-1, 1), and the output `h`, to the
        share of steps beyond ±0.9.
    steps: how many were seen.
    """

    shut: tuple[dict[str, np.ndarray], ...]
    opened: tuple[dict[str, np.ndarray], ...]
    extreme: tuple[dict[str, np.ndarray], ...]
    steps: int

    def figure(self, layer: int = -1) -> Any:
        """Share of steps shut against share open, a point a unit, as Karpathy et al. (2016)."""
        figure, area = axes(
            "Gates at the ends of their range", "share of steps open", "share of steps shut"
        )
        for name, low in self.shut[layer].items():
            area.scatter(self.opened[layer][name], low, s=9, label=name, alpha=0.7)
        area.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        area.legend(frameon=False)
        return figure


def saturation(
    model: Any, data: Any, *, part: str | None = None, double: bool = False
) -> Saturation:
    """How often gates stand open or shut, and states at ±1 (Karpathy et al. 2016).

    Arguments and errors as of `gates`. A name counts as a gate where the cell's equation for it
    ends in a sigmoid.
    """
    reading = read(model, data, "saturation", part=part, double=double)
    return saturation_of(reading, reading.run())


def saturation_of(reading: Reading, ran: Ran) -> Saturation:
    """`saturation` of what was read already."""
    program = reading.network.program
    ops = {name: program.nodes[index].op for name, index in program.visible}
    shut, opened, extreme = [], [], []
    for sides in ran.visible:
        values = named(reading, sides)
        op = {name: ops[name.removesuffix("_reverse")] for name in values}
        gates = {n: v for n, v in values.items() if op[n] in _GATES}
        own = program.states[0]
        wide = {
            n: v
            for n, v in values.items()
            if op[n] in ("tanh", "softsign") or n.removesuffix("_reverse") == own
        }
        shut.append({n: _share(v < SHUT) for n, v in gates.items()})
        opened.append({n: _share(v > OPEN) for n, v in gates.items()})
        extreme.append({n: _share(np.abs(v) > OPEN) for n, v in wide.items()})
    return Saturation(tuple(shut), tuple(opened), tuple(extreme), len(reading.step))


def _share(hit: np.ndarray) -> np.ndarray:
    found: np.ndarray = hit.mean(0, dtype=np.float64)
    return found


@dataclass(frozen=True, eq=False)
class TimeConstant(Result):
    """How long a unit keeps what it holds.

    layers: by layer, from each state that keeps something of itself to -1 / mean log k (H,), in
        steps, where k is the factor by which a step multiplies what was there: an LSTM's f of c, a
        GRU's z of h, as `torch.nn` has it. Where a text lets 1 - z keep, z stands for that here.
    steps: how many were seen.
    """

    layers: tuple[dict[str, np.ndarray], ...]
    steps: int

    def figure(self) -> Any:
        """The units of each layer, sorted, on a logarithmic scale."""
        figure, area = axes("How long units keep what they hold", "unit, sorted", "steps")
        for number, layer in enumerate(self.layers):
            for name, constants in layer.items():
                area.plot(np.sort(constants), label=f"layer {number}, {name}")
        area.set_yscale("log")
        area.legend(frameon=False)
        return figure


def time_constant(
    model: Any, data: Any, *, part: str | None = None, double: bool = False
) -> TimeConstant:
    """How many steps each unit keeps what it holds, from the gates that keep it.

    Arguments as of `gates`. Of any cell: the factor is the slope of a state's new value by its old
    one, with gates, candidates and recurrent products held as they are.

    Raises:
        InputError: as `gates`; or a cell whose states are made anew at each step, as a plain one's.
    """
    reading = read(model, data, "time_constant", part=part, double=double)
    return time_constant_of(reading, reading.run())


def time_constant_of(reading: Reading, ran: Ran) -> TimeConstant:
    """`time_constant` of what was read already."""
    network = reading.network
    found = []
    for layer in range(network.layers):
        own: dict[str, np.ndarray] = {}
        for back, side in enumerate(ran.visible[layer]):
            for state, factors in factors_of(reading, network, side, layer, back).items():
                with np.errstate(divide="ignore"):
                    rate = np.log(np.abs(factors)).mean(0)
                    constant = np.where(rate < 0, -1 / rate, np.inf)
                own[f"{state}_reverse" if back else state] = constant
        found.append(own)
    if not any(found):
        raise InputError(
            f"time_constant: the cell {network.program.cell} has no gate that keeps a state, which "
            "it makes anew at each step: see gradient_by_lag"
        )
    return TimeConstant(tuple(found), len(reading.step))


def factors_of(
    reading: Reading, network: Network, side: dict[str, np.ndarray], layer: int, back: int
) -> dict[str, np.ndarray]:
    """By which factor (N, H) each step multiplies what a state held, of a layer and direction."""
    k = layer * network.directions + back
    reverse = network.reverse or back == 1
    states, starts = network.program.states, network.starts[k]
    before = {}
    for number, state in enumerate(states):
        start = starts[number]
        share = network.keep[number] if network.keep else 0.0
        rows = []
        for column, length in enumerate(reading.lengths.tolist()):
            new = side[state][:length, column].astype(np.float64)
            new = new[::-1] if reverse else new
            old = np.empty_like(new)
            current = start.astype(np.float64)
            for t in range(length):
                old[t] = current
                current = share * current + (1 - share) * new[t]
            rows.append(old[::-1] if reverse else old)
        before[state] = np.concatenate(rows)
    values = {n: reading.flat(v).astype(np.float64) for n, v in side.items()}
    found = kept(network.program, network.weights[k], values, before)
    if not network.keep:
        return found
    shares = dict(zip(states, network.keep, strict=True))
    every = {}
    for state, share in shares.items():
        if state in found or share:
            every[state] = share + (1 - share) * found.get(state, np.zeros_like(before[state]))
    return every


@dataclass(frozen=True, eq=False)
class EffectiveRank(Result):
    """How many directions the states of a layer use.

    names: of the layers' states, as "0.h".
    entropy: exp of the entropy of the singular values' shares (Roy & Vetterli 2007), of each.
    participation: (Σ λ)² / Σ λ² of the covariance's eigenvalues λ, of each.
    spectra: by name, the eigenvalues' shares, largest first.
    units: H of each.
    """

    names: tuple[str, ...]
    entropy: np.ndarray
    participation: np.ndarray
    spectra: dict[str, np.ndarray]
    units: np.ndarray

    def figure(self) -> Any:
        """The shares of variance of the directions."""
        figure, area = axes("Directions that states use", "direction", "share of variance")
        for name, shares in self.spectra.items():
            area.plot(np.arange(1, len(shares) + 1), np.maximum(shares, 1e-12), label=name)
        area.set_yscale("log")
        area.legend(frameon=False)
        return figure


def effective_rank(
    model: Any, data: Any, *, part: str | None = None, double: bool = False, centred: bool = True
) -> EffectiveRank:
    """How many directions states use, from the eigenvalues of H × H products.

    Arguments and errors as of `gates`.

    Args:
        model, data, part, double: see `gates`.
        centred: whether the mean state is taken away first.
    """
    reading = read(model, data, "effective_rank", part=part, double=double)
    return effective_rank_of(reading, reading.run(), centred=centred)


def effective_rank_of(reading: Reading, ran: Ran, *, centred: bool = True) -> EffectiveRank:
    """`effective_rank` of what was read already."""
    spectra: dict[str, np.ndarray] = {}
    entropy, participation, units = [], [], []
    for number, sides in enumerate(ran.visible):
        for name, values in named(reading, sides, reading.network.states).items():
            shares = spectrum(values, centred=centred)
            one, other = rank_of(shares)
            spectra[f"{number}.{name}"] = shares
            entropy.append(one)
            participation.append(other)
            units.append(values.shape[1])
    return EffectiveRank(
        tuple(spectra), np.array(entropy), np.array(participation), spectra, np.array(units)
    )


def spectrum(values: np.ndarray, *, centred: bool) -> np.ndarray:
    """Shares (H,) of the eigenvalues of values^T values, largest first; zeros of no variance."""
    x = values.astype(np.float64)
    if centred:
        x = x - x.mean(0)
    found = np.maximum(np.linalg.eigvalsh(x.T @ x)[::-1], 0)
    # What rounding leaves behind is no direction.
    found[found < found[0] * np.finfo(np.float64).eps * max(x.shape)] = 0
    total = found.sum()
    shares: np.ndarray = found / total if total > 0 else found
    return shares


def rank_of(shares: np.ndarray) -> tuple[float, float]:
    """exp of the entropy of the singular values' shares, and the participation ratio."""
    singular = np.sqrt(shares[shares > 0])
    if not len(singular):
        return 0.0, 0.0
    singular = singular / singular.sum()
    return float(np.exp(-(singular * np.log(singular)).sum())), float(1 / (shares**2).sum())
