"""Write docs/cells.md from the definitions: `python tools/make_cells_page.py [--check]`.

With `--check` nothing is written; the exit code is 1 where the page is not what would be written.
"""

import argparse
import inspect
import sys
from pathlib import Path

from recurra.cells import BUILT_IN, FUNCTIONS, Cell, Program
from recurra.cells.latex import aligned

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cells.md"

HEAD = """\
# Cells

<!-- Written by tools/make_cells_page.py from src/recurra/cells; change those, not this page. -->

What each cell computes, as traced from its definition. Throughout, x_t is the input (I features)
and h_t the output at step t (H units); W, b are the weights and bias of the input, U, b′ those of
the recurrent product; a subscript is the gate; σ is the logistic function, ⊙ the product by
units, LN a layer norm without its gain (the gain is γ, and the bias that follows is its bias).

"""

TAIL = """\
## A cell of your own

A definition is its equations: `x` holds the input's part of each gate, `u(v)` the recurrent part
for the vector `v`, and [the words below](#words) work unit by unit. It has layers and single
steps (`recurra.nn.Recurrent`, `RecurrentCell`), lengths, masks and noise, gradients, compiled
kernels, and an [ONNX file](conversion.md#writing-onnx):

```python
import torch
from recurra import nn
from recurra.cells import cell, sigmoid, tanh


@cell(states="h", gates="f n", init={{"f": 1.0}})
def minimal_gated(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    return dict(f=f, n=n, h=(1 - f) * h + f * n)


layer = nn.Recurrent("minimal_gated", 8, 16, num_layers=2, zoneout=0.1)
outputs, h = layer(torch.randn(20, 3, 8), lengths=torch.tensor([20, 0, 7]))
print(tuple(outputs.shape), tuple(h.shape))
```

```output
(20, 3, 16) (2, 3, 16)
```

Its kernels, forward and backward, are compiled when the first layer is made, by the compiler that
`CXX` names, else `c++`, `g++` or `clang++`: in half a second, once for each choice of options. They
are kept for later processes in `RECURRA_CACHE`, else in the user's cache folder
(`~/.cache/recurra`; on macOS `~/Library/Caches/recurra`), which can be emptied at any time. The
built-in cells with functions that do not come compiled take the same way. Where there is no
compiler, and on Windows, the reference runs, many times slower, and a `RecurraWarning` says so
once; `RECURRA_COMPILE=off` in the environment asks for that. `recurra doctor` tells what is so
here.

Kernels have at most 64 gates and 16 states, and as many products a step as one writes. What they
refuse the reference computes, and the warning names the limit.

A definition is called once for every set of its options, with symbols in place of vectors: `if` and
comparisons are for options (`if opt.norm:`, `opt.reset == "before"`), not for signals. Mistakes are
refused in one line with the cell and the line, where it is defined:

```python
from recurra.cells import cell, tanh
from recurra.errors import InputError

try:

    @cell(states="h", gates="n")
    def leaking(x, u, h, opt):
        return dict(h=tanh(x.n) if h > 0 else 0.1 * h)

except InputError as error:
    print(error)
```

```output
cell leaking, line ...: a comparison (>, min, max) with h: ...
```

Layers keep the equations that they were made with when a definition is edited and run again; a
function that defines a cell may be called with other constants: its cells live beside each other.
What was pickled, or exported as a graph, is refused where the cell is defined by other equations.

### Words

| word | meaning |
|---|---|
| `x.f`, `u(v).f` | gate f of the input's product and of a vector's, with their biases |
| `x["t1"]`, `u(v)["t1"]` | the same by name, for equations in a loop |
| `u(v, heads=4)` | U has 4 blocks on its diagonal, and zeros beside them |
| `u(v, rank=8)` | U is a product of two matrices, over 8 |
| `u(v, form="lower")` | U is `lower` or `upper`, a triangle, or `antisymmetric`, A - Aᵀ |
| `u(v, form="masked")`, `x(form="masked")` | U or W where a mask is 1, and 0 elsewhere |
| `u(v, form="fixed")`, `x(form="fixed")` | a matrix that is not learnt, without a bias |
| `x.raw` | the input itself, where a layer has as many inputs as units |
| `x.dt` | of `inputs="x dt:1"`: a further input, a number a step |
| `x.s.f` | of `inputs="x s:27"`: gate f of a matrix with a further input of 27 numbers |
| `before(v)` | v at the step before, 0 at the first |
| `mean(v)`, `total(v)`, `softmax(v)` | over the units of v, for every unit |
| `+ - * /`, `v**2` | unit by unit; powers are whole numbers up to 8 |
| {functions}, `sqrt`, `log`, `sin`, `cos`, `floor`, `abs` | functions, of `recurra.cells` |
| `maximum(a, b)`, `minimum(a, b)` | the larger, the smaller; equal arguments share the gradient |
| `where(a > b, yes, no)` | `yes` where the comparison (`>` or `<`) holds, else `no` |
| `opt.w` | of `learnt="w alpha:1"`: a number for each unit, or one for all (`:1`) |
| `opt.period` | of `fixed="period"`: a number for each unit that is not learnt |
| `opt.dt` | a number of `options="dt=0.042"`, which layers take as `options={{"dt": 0.1}}` |
| `opt.gain` | a choice of `options="gain=one\\|two"`, compared as text |
| `opt.norm(v)` | layer norm, where the option `norm` is on |
| `opt.peephole("i", c)` | `p_i * c`, where the option `peephole` is on |
| `opt.project(v)` | `W_hr v`, where the option `projection` is on |

What parameters start from stands in `init`, for the biases of gates and for what is learnt. The
liquid time-constant cell (Hasani et al. 2021) with one fused step:

```python
from recurra.cells import cell, sigmoid


@cell(states="h", gates="f", learnt="a tau", options="dt=0.1", init={{"a": 0.7, "tau": 1.0}})
def liquid(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    return dict(h=(h + opt.dt * f * opt.a) / (1 + opt.dt * (1 / opt.tau + f)))


layer = nn.Recurrent(liquid, 8, 16, options={{"dt": 0.05}})
print([name for name, _ in layer.named_parameters()])
```

```output
['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0', 'learnt_a_l0', 'learnt_tau_l0']
```

States start from 0, or from what is written: `states="h c n=1 m=-inf"`; a learnt initial state
begins there. `before(v)` is a state of the layer too, named `before_1` and so on, after the others:
it waits where lengths or a mask say so, and streams carry it.

Further inputs are the last features of a layer's input, in their order, and every layer of a stack
reads them. A gate has one bias, which stands beside `x.f` where the equations read that, and else
beside `x.s.f`. Here the time that has passed decides how much is forgotten (Baytas et al. 2017, in
short):

```python
import math

from recurra.cells import cell, log, sigmoid, tanh


@cell(states="h c", gates="f i o g d", inputs="x dt:1")
def time_aware(x, u, h, c, opt):
    short = tanh(u(c).d)
    c = c - short + short / log(math.e + x.dt)
    f, i, o = sigmoid(x.f + u(h).f), sigmoid(x.i + u(h).i), sigmoid(x.o + u(h).o)
    c = f * c + i * tanh(x.g + u(h).g)
    return dict(h=o * tanh(c), c=c)


layer = nn.Recurrent(time_aware, 8 + 1, 16, num_layers=2)
values, passed = torch.randn(20, 3, 8), torch.rand(20, 3, 1)
outputs, (h, c) = layer(torch.cat([values, passed], dim=-1))
print(tuple(outputs.shape), layer.weight_ih_l0.shape)
```

```output
(20, 3, 16) torch.Size([64, 8])
```

What is fixed, masks, and what any parameter starts from may be drawn by a function, which `init`
has by the parameter's name: `draw(shape, random)` returns an array, of a matrix the rows of one
gate. This is the clockwork network (Koutník et al. 2014) of three modules: a module reads those of
longer periods, and its units move on where its period divides the step.

```python
import numpy as np

from recurra.cells import cell, floor, tanh, where


def modules(units):
    return np.arange(units) * 3 // units


def period(shape, random):
    return 2.0 ** modules(shape[0])


def from_slower(shape, random):
    return modules(shape[0])[:, None] <= modules(shape[1])


@cell(
    states="h t",
    gates="a",
    fixed="period",
    init={{"period": period, "mask_hh": from_slower}},
)
def clockwork(x, u, h, t, opt):
    new = tanh(x.a + u(h, form="masked").a)
    late = t / opt.period - floor(t / opt.period)
    return dict(h=where(late > 0.01, h, new), t=t + 1)


layer = nn.Recurrent(clockwork, 8, 6)
print([name for name, _ in layer.named_parameters()])
print(layer.mask_hh_l0[:, 0].tolist(), layer.fixed_period_l0.tolist())
```

```output
['weight_ih_l0', 'weight_hh_masked_l0', 'bias_ih_l0', 'bias_hh_l0']
[1.0, 1.0, 0.0, 0.0, 0.0, 0.0] [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
```

What is fixed is a buffer of the layer, and no parameter; a masked weight has no gradient where the
mask is 0. Both are saved with the weights (`fixed_hh`, `mask_hh`, `fixed_period`), so that a model
needs no function of the definition. Without one, masks are 1, and what is fixed is drawn as weights
are. An echo state network and ON-LSTM are in `tests/cells/published/`.

Matrices with heads, of low rank or of another form are made whole for each call, and multiplied as
such: they save parameters, and no time. Their parameters are `weight_hh_heads4`,
`weight_hh_rank8_left` and `_right`, `weight_hh_lower`; of further inputs `weight_ih_s`.

`tests/cells/published/` has more than seventy cells of papers, a file each, which are compared with
plain loops in torch. `W` and `U` have rows only for the gates that equations read of them; a cell
that reads no `u(v)` has no `weight_hh`.

### In every task

Models of every task take a cell, or the name of one that is defined; options that have no setting
of their own are its `cell_options`:

```python
import recurra

model = recurra.LanguageModel(cell=minimal_gated, hidden=32)
model.fit("corpus.txt", steps=20, progress=False)
model.save("minimal")
print(model)
```

```output
<LanguageModel: char, minimal_gated, 1 × 32, trained>
```

At the command line `--cells` names the file that defines it:

<!-- not run: my_cells.py is yours -->
```sh
recurra train tag data.conll --cells my_cells.py --cell minimal_gated --out runs/tags
recurra compare tag data.conll --test test.conll --cells my_cells.py --models minimal_gated,gru
recurra predict runs/tags sentences.txt    # needs no --cells
```

The model carries the program of its cell, a few kilobytes of JSON in its `config.json`. Send it to
somebody who has never seen the definition: kernels are compiled from the program, or the reference
runs it, without torch too; training goes on from it. What is read is checked as what a stranger
wrote, and nothing of it is executed. Where a cell of that name is defined with other equations,
loading is refused, and says which equation differs. A run continues only with the equations it
was begun with. ONNX files carry the program in their metadata (`recurra.cell`).

### What it lacks

- **Options that it does not declare.** `layer_norm`, `peephole` and `proj_size` of a layer need
  `@cell(…, options="norm peephole projection")`, and equations that use them.
- **Its equations in what torch saves.** A `state_dict` holds the weights, and a graph of
  `torch.export` names the cell: import the definition before such a graph is loaded. An ONNX file
  holds the equations and needs no definition.
- **Further inputs in most tasks.** Layers, single steps, and
  [classifiers of numbers](classification.md#what-it-reads) take cells with `inputs=`; other tasks
  refuse them in one line.
- **Heads and low rank of the input's matrix**, and states of other sizes than H.
- **A matrix read twice in two forms**, as M and its transpose in the Lipschitz RNN (Erichson et al.
  2021): write two matrices. And **equations over the input's features**, as GRU-D's decay of the
  input: words work on units, so that this needs `x.raw`, with as many inputs as units.
- **Counterparts elsewhere.** `to_torch` and `to_keras` refuse it, and `from_onnx` reads none back.

## Weights

Names and layout are those of `torch.nn`: layer k adds the suffix `_lk`, its backward direction
`_lk_reverse`. G gates are stacked along the first axis, H rows each, in the order given above:

| parameter | shape | holds |
|---|---|---|
| `weight_ih` | (G·H, I) | W |
| `weight_hh` | (G·H, R) | U; R is P where the cell projects, else H |
| `bias_ih`, `bias_hh` | (G·H) | b, b′; absent with `bias=False` |
| `learnt_NAME` | (H), or (1) | what a cell of your own declares |

Where the equations read fewer gates of a product, its G counts those. Weights that were saved with
rows for all gates are cut to them.

Weights of [other libraries](conversion.md#layouts-of-weights) are brought to this layout at the
border. Those of a text where 1 − z keeps the old state differ in the sign of z's weights and
biases.

## Every cell

These belong to the loop over time or to the stack of layers, so every cell has them: lengths and
masks, both directions, recurrent dropout, zoneout, weight drop, a learnt initial state, residual
connections, dropout between layers. `recurra.nn.Recurrent` describes them,
`recurra.nn.RecurrentCell` a single step.

The functions of the equations are options too: `activation` stands in for each tanh,
`recurrent_activation` for each σ. Either is one of
{functions}.

The layers take `norm` as `layer_norm=True`, `projection` as `proj_size=P`.

Biases: with `init="uniform"` every parameter is drawn from ±1/√H, as in `torch.nn`; with
`init="orthogonal"` biases are zero but for those named above.
"""


def main() -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    arguments = parser.parse_args()
    text = page()
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"docs/{PAGE.name} is not what the cells say: run python tools/make_cells_page.py")
    return 1


def page() -> str:
    """Return the page as it must be."""
    functions = ", ".join(f"`{name}`" for name in FUNCTIONS)
    sections = [section(cell) for cell in BUILT_IN.values()]
    return HEAD + "\n".join(sections) + "\n" + TAIL.format(functions=functions)


def section(cell: Cell) -> str:
    """Return the section of one cell: prose, equations, tables, options."""
    module = inspect.getmodule(cell.define)
    prose = (module and inspect.getdoc(module)) or ""
    plain = cell.program()
    lines = [f"## `{cell.name}`", "", prose, "", *_math(plain), ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| states | {_code(cell.states)} (the first is the output) |"]
    lines += [f"| gates, in the order of their weights | {_code(cell.gates)} |"]
    lines += [f"| products in a row in a step | {plain.depth} |"]
    if cell.init:
        starts = ", ".join(f"`{gate}` {value:g}" for gate, value in cell.init.items())
        lines += [f"| biases that start elsewhere than at zero | {starts} |"]
    lines += [""]
    for name, values in cell.options.items():
        for value in values[1:]:
            lines += _option(cell, name, value)
    return "\n".join(lines)


def _option(cell: Cell, name: str, value: str | bool | float) -> list[str]:
    """What one option changes: its equations, and the parameters it brings."""
    plain, changed = cell.program(), cell.program(**{name: value})
    called = f"`{name}`" if value is True else f'`{name}="{value}"`'
    before = {p.name for p in plain.parameters}
    added = [p for p in changed.parameters if p.name not in before]
    brings = ", ".join(f"`{p.name}` ({', '.join(map(_axis, p.axes))})" for p in added)
    default = "" if value is True else f' (default `"{cell.options[name][0]}"`)'
    tail = f", which brings {brings}" if added else ""
    return [f"With {called}{default}{tail}:", "", *_math(changed), ""]


def _math(program: Program) -> list[str]:
    return ["```math", aligned(program), "```"]


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _axis(axis: str) -> str:
    return "·".join(axis)


if __name__ == "__main__":
    sys.exit(main())
