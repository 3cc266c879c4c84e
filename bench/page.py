"""Write docs/benchmarks.md from bench/results.json: `python -m bench.page [--check]`.

With `--check` nothing is written; the exit code is 1 where the page is not what would be written.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.figures import geometric_mean
from bench.isa import NAMES, SWITCHES, part
from bench.targets import ALL, TARGETS, Results, Row, peak, rows, size

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
RESULTS = Path(__file__).with_name("results.json")

HEAD = """\
# Benchmarks

<!-- Written by `python -m bench.page` from bench/results.json; change those, not this page. -->

Recurra beside other libraries on one machine. A number such as ×1.8 says that the other takes 1.8
times as long; [below](#method) is how they are measured. To measure here:

<!-- not run: takes a quarter of an hour of a machine that does nothing else -->
```sh
make bench                         # everything; writes bench/results.json and this page
make bench ARGS="--quick"          # a few minutes; writes neither
make bench ARGS="grid step"        # these parts; --peers torch jax: against these alone
make bench ARGS="--isa v3"         # all restricted to AVX2
```
"""

METHOD = """\
## Method

- The libraries of the `bench` extra, each in the fastest way it offers for the work, found by
  trying at every size: torch's layers (for one step its cells, too, on one thread or all);
  `lax.scan` of JAX under `jit` with the input's product taken out of the loop, plain or unrolled;
  in TensorFlow the layers of Keras in a `tf.function` with or without XLA, the same loop by hand,
  and its fused LSTM; ONNX Runtime's operators, run or with bound arrays. Ours is the layer of
  `recurra.nn`; for inference that or the layer of the runtime without torch; for one step
  `recurra.native.Stepper`. Which way it was stands in bench/results.json as `form`. Compiling and
  packing weights beforehand are not counted.
- Equal weights and inputs, in float32, laid out as each library likes them. Before anything is
  timed the outputs and all gradients are compared with ours, to 1e-4 of an array's largest value.
- Each library runs in a process of its own, bound to the same processors, with as many threads as
  there are of these; they take turns. A turn lets the library run for the seconds stated above (or
  one call where that is longer), after calls of 0.02 s that warm it up and do not count, and yields
  the median call. It ends when the process rests: threads of OpenMP spin for a while after their
  work, and would take a processor from whoever comes next.
- There are several rounds of turns, each begun by another library. A ratio is the median of the
  ratios within the rounds, in parentheses its quartiles, so that a machine that slows down for a
  while counts little. Of several sizes the geometric mean is given, and the least favourable.
- Training is a forward and a backward pass: outputs, and the gradients by inputs, weights and
  biases from a given dL/dy. FLOPs are those of the matrix products, 2 · T · B · G · H · (I + H)
  forward and twice as many backward, with I = H. The peak is what a probe of nothing but
  independent multiply-adds reaches (bench/peak.cpp): the best of its runs; beside training at the
  largest size, in turns with it, the median of both, since neither can have what others of a shared
  machine take at the time.
- Restricted to an instruction set, all are kept to it by their own switches (bench/isa.py);
  libraries without one are left out. The peak is then the probe's with vectors of that size.
- Where others compute, one thread and two of the same library take turns of 0.1 s, five each; a
  ratio is that of the medians of two turns. Neighbours are as many processes as processors.
- Projection is to H / 2 units, lengths are between T / 2 and T, dropout 0.25, zoneout 0.1, with
  their noise drawn in every pass.
- Streams of one model: two layers, 96 characters read one-hot, steps of `RuntimeLM` with logits and
  new states, by numbers of streams in turns. A prompt of 512 tokens is read in slices of 32, as
  beside other streams, in one call, and in steps; its logits are the same to the bit. Multiply-adds
  are those of the products, as a share of what the probe reaches right after.
- Over HTTP: two layers of LSTM 512, 96 symbols. A server with one thread for its kernels, the
  client a process on the same machine. Tokens a second are of prompts of 10 tokens and texts of 200
  to 599, latencies of prompts of 100 and texts of 50 to 149. Prompts beside are of 10,000 tokens,
  one after the other. What HTTP costs a token is all of it with a model of 16 units.
- Text is written at temperature 0.8 from the 10 likeliest of 66 characters by one layer of LSTM.
  The torch loop steps the layer or its cell in inference mode, with `topk`, `softmax` and
  `multinomial`; the likeliest text is the same in both.
"""

#: Parts with rows of layers, and their headings.
LAYERS = {
    ("grid", "training"): "Forward + backward",
    ("grid", "inference"): "Inference",
    ("step", "step"): "One step of one stream",
    ("generation", "generation"): "Generation",
}
FLAT = {
    "single": "One step through `recurra.nn`",
    "own_cell": "A user's cell (for those of papers see Published cells)",
    "reset": "Resets within a sequence, one thread",
    "scan": "A user's cell as an ONNX file, one thread",
    "published": "Published cells, forward + backward, against plain loops in torch, one thread",
    "bf16": "bfloat16",
    "whole_step": "A whole step of training",
    "training": "`LanguageModel.fit` against the same model by hand",
    "memory": "Memory on large texts",
    "busy": "Two threads where others compute",
    "pair": "Two threads that write with one model",
    "streams": "Many streams of one model, and their prompts",
    "serve": "A server over HTTP",
}
#: How the rows of a part begin that have columns of their own, a table each.
APART = {
    "streams": ("streams", "prompt"),
    "serve": ("streams", "first", "between", "a token", "8 tokens", "a rewind"),
}


def main() -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    if not arguments.check:
        write(results)
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page(results):
        return 0
    print(f"docs/{PAGE.name} is not what bench/results.json says: run python -m bench.page")
    return 1


def write(results: Results) -> None:
    """Write the page."""
    PAGE.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """Return the page as it must be."""
    sections = [HEAD, _machine(results), "## Asked and measured\n\n" + targets(results)]
    if measured := rows(results, "peak"):
        sections.append("## Peak\n\n" + _flat(measured))
    sections += _all_layers(results, "")
    if measured := rows(results, "options"):
        sections.append("## Options of the LSTM, forward + backward\n\n" + _options(measured))
    for name, heading in FLAT.items():
        if measured := rows(results, name):
            begins = APART.get(name, ("",))
            tables = ([row for row in measured if row["what"].startswith(b)] for b in begins)
            sections.append(f"## {heading}\n\n" + "\n".join(map(_flat, tables)))
    for isa in SWITCHES:
        if measured := rows(results, part("peak", isa)):
            sections.append(f"## {NAMES[isa]} alone: peak\n\n" + _flat(measured))
        sections += _all_layers(results, isa)
    return "\n".join([*sections, METHOD])


def _all_layers(results: Results, isa: str) -> list[str]:
    """The sections of layers of a run, which may be restricted to an instruction set."""
    most = peak(results, part("peak", isa))
    sections = []
    for (name, what), heading in LAYERS.items():
        if measured := [row for row in rows(results, part(name, isa)) if row["what"] == what]:
            begin = f"{NAMES[isa]} alone: {heading.lower()}" if isa else heading
            sections.append(f"## {begin}\n\n" + _layers(measured, most))
    return sections


def targets(results: Results) -> str:
    """Return the table of what is asked and what was measured."""
    lines = []
    for target in TARGETS:
        points = target.points(results)
        if not points:
            lines.append([target.what, target.against, target.asked(), "not measured", "", ""])
            continue
        worst = target.worst(points)
        measured = f"{geometric_mean(points.values()):.2f}"
        least = f"{points[worst]:.2f} ({worst})"
        verdict = "yes" if target.met(points) else "**no**"
        lines.append([target.what, target.against, target.asked(), measured, least, verdict])
    return _table(["what", "against", "asked", "mean", "least favourable", "reached"], lines)


def _machine(results: Results) -> str:
    """Where, when and with what each part was measured; one paragraph where that is the same."""
    machines: dict[str, list[str]] = {}
    for name, record in results.items():
        machine = record["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        text = (
            f"{record['date']}, {machine['processor']}, {machine['system']}, "
            f"{machine['threads']} threads, kernels {machine['kernels']}; {versions}; "
            f"`{record['command']}`"
        )
        if "rounds" in record:
            text += f", {record['rounds']} rounds of {record['seconds']:g} s"
        machines.setdefault(text, []).append(name)
    if len(machines) == 1:
        return f"Measured in one run: {next(iter(machines))}.\n"
    lines = [f"- {', '.join(parts)}: {text}." for text, parts in machines.items()]
    return "Measured part by part:\n\n" + "\n".join(lines) + "\n"


def _layers(measured: Sequence[Row], most: float | None) -> str:
    peers = [p for p in ALL if any(p in row["ratios"] for row in measured)]
    flop = "flop" in measured[0] and measured[0]["what"] != "step"
    head = ["cell", "B×T×H", "recurra, ms", *(["GFLOP/s"] if flop else [])]
    head += ["of the peak"] if flop and most else []
    lines = []
    for row in measured:
        ours = row["values"]["recurra"]["median"]
        line = [row["cell"], size(row), f"{ours:g}"]
        if flop:
            rate = row["flop"] / ours / 1e6
            line += [f"{rate:.3g}", *([f"{100 * rate / most:.0f} %"] if most else [])]
        lines.append([*line, *(_ratio(row["ratios"].get(p)) for p in peers)])
    return _table([*head, *peers], lines)


def _options(measured: Sequence[Row]) -> str:
    names = list(measured[0]["ratios"])
    lines = [
        [size(r), f"{r['values']['plain']['median']:g}", *(_ratio(r["ratios"][n]) for n in names)]
        for r in measured
    ]
    return _table(["B×T×H", "plain, ms", *names], lines)


def _flat(measured: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in measured for name in row))
    lines = [[_value(row.get(name)) for name in names] for row in measured]
    return _table(names, lines)


def _ratio(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    low, high = figure["quartiles"]
    return f"×{figure['median']:.2f} ({low:.2f}–{high:.2f})"


def _value(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value or "")


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
