"""Layers over the grid of sizes, single steps, and the options of the LSTM."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.figures import ratios, rounded, summary
from bench.peers import PEERS
from bench.turns import Contender, Library, Measured, Plan, libraries, ready, turns
from bench.work import GRID, OPTIONS, STREAMS, Work

Row = dict[str, Any]

#: The sizes of a quick run.
QUICK = ((1, 100, 64), (32, 35, 200), (64, 128, 256))


def grid(plan: Plan) -> list[Row]:
    """Training and inference of every cell at every size, against every peer."""
    sizes = QUICK if plan.quick else GRID
    works = [
        Work(kind, cell, *size)
        for kind in ("training", "inference")
        for cell in plan.cells
        for size in sizes
    ]
    return _rows(works, plan)


def steps(plan: Plan) -> list[Row]:
    """One step of one stream."""
    return _rows(
        [Work("step", cell, 1, 1, hidden) for cell in plan.cells for hidden in STREAMS], plan
    )


def _rows(works: Iterable[Work], plan: Plan) -> list[Row]:
    modules = {name: f"bench.peers.{name}" for name in PEERS if name in plan.peers}
    rows = []
    with libraries(modules, plan.threads) as there:
        for work in works:
            made = ready(there, work._asdict(), plan)
            row = {"what": work.kind, "cell": work.cell, "size": work[2:], "flop": work.flop}
            rows.append({**row, **compared(turns(made, plan))})
            print(line(rows[-1]), flush=True)
    return rows


def options(plan: Plan) -> list[Row]:
    """Training of the LSTM with each option, against the plain one."""
    rows = []
    modules = {"recurra": "bench.peers.recurra"}
    with libraries(modules, plan.threads) as (ours,):
        for size in QUICK if plan.quick else GRID:
            work = Work("training", "lstm", *size)
            made = {name: _option(ours, work, name, plan) for name in OPTIONS}
            row = {"what": "options", "cell": "lstm", "size": size, "flop": work.flop}
            rows.append({**row, **compared(turns(made, plan), ours="plain")})
            print(line(rows[-1]), flush=True)
    return rows


def _option(ours: Library, work: Work, option: str, plan: Plan) -> list[Contender]:
    (made,) = ready([ours], {**work._asdict(), "option": option}, plan).values()
    return made


def compared(found: Mapping[str, Measured], ours: str = "recurra") -> Row:
    """Return the figures of a row: milliseconds, and ratios to ours."""
    values = {
        name: {**summary([1e3 * t for t in measured.times]), "form": measured.form}
        for name, measured in found.items()
    }
    times = {name: measured.times for name, measured in found.items()}
    return {"unit": "ms", "values": values, "ratios": ratios(times, ours)}


def line(row: Row) -> str:
    """Return a row to look at while it goes on."""
    size = "×".join(map(str, row["size"]))
    ours, *others = row["values"].items()
    shown = [f"{name} ×{row['ratios'][name]['median']:.2f}" for name, _ in others]
    rate = rounded(row["flop"] / ours[1]["median"] / 1e6)
    return f"{row['what']} {row['cell']} {size}: {ours[1]['median']:g} ms ({rate:g} GFLOP/s); " + (
        ", ".join(shown)
    )
