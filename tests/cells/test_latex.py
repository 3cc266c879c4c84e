"""Formulas as LaTeX: as a reader expects them, evaluated, and accepted by a typesetter."""

import itertools
import re

import numpy as np
import pytest

from recurra.cells import FUNCTIONS, cell, gru, lstm, rnn, tanh
from recurra.cells.latex import aligned, equations
from recurra.reference import Interpreter
from tolerances import assert_close

ON = (False, True)
PROGRAMS = [
    *(rnn.program(bias=b, norm=n, activation=f) for b in ON for n in ON for f in FUNCTIONS),
    *(gru.program(bias=b, norm=n, reset=r) for b in ON for n in ON for r in ("after", "before")),
    *(
        lstm.program(bias=b, norm=n, peephole=h, projection=p)
        for b, n, h, p in itertools.product(ON, ON, ON, ON)
    ),
]
LSTM = (
    r"i_t = \sigma(W_i x_t + b_i + U_i h_{t-1} + b'_i)",
    r"f_t = \sigma(W_f x_t + b_f + U_f h_{t-1} + b'_f)",
    r"g_t = \tanh(W_g x_t + b_g + U_g h_{t-1} + b'_g)",
    r"c_t = f_t \odot c_{t-1} + i_t \odot g_t",
    r"o_t = \sigma(W_o x_t + b_o + U_o h_{t-1} + b'_o)",
    r"h_t = o_t \odot \tanh(c_t)",
)
GRU = (
    r"r_t = \sigma(W_r x_t + b_r + U_r h_{t-1} + b'_r)",
    r"z_t = \sigma(W_z x_t + b_z + U_z h_{t-1} + b'_z)",
    r"n_t = \tanh(W_n x_t + b_n + r_t \odot (U_n h_{t-1} + b'_n))",
    r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}",
)
LINES = [
    (rnn.program(), (r"h_t = \tanh(W x_t + b + U h_{t-1} + b')",)),
    (rnn.program(bias=False, activation="relu"), (r"h_t = \mathrm{relu}(W x_t + U h_{t-1})",)),
    (rnn.program(bias=False, activation="identity"), (r"h_t = W x_t + U h_{t-1}",)),
    (lstm.program(), LSTM),
    (gru.program(), GRU),
    (
        gru.program(reset="before"),
        (*GRU[:2], r"n_t = \tanh(W_n x_t + b_n + U_n (r_t \odot h_{t-1}) + b'_n)", GRU[3]),
    ),
    (
        lstm.program(projection=True, peephole=True, bias=False),
        (
            r"i_t = \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1})",
            r"f_t = \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1})",
            r"g_t = \tanh(W_g x_t + U_g h_{t-1})",
            r"c_t = f_t \odot c_{t-1} + i_t \odot g_t",
            r"o_t = \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t)",
            r"h_t = W_{hr} (o_t \odot \tanh(c_t))",
        ),
    ),
]
NORMED = {
    (rnn, "after"): r"h_t = \tanh(\gamma \odot \mathrm{LN}(W x_t) + b"
    r" + \gamma' \odot \mathrm{LN}(U h_{t-1}) + b')",
    (gru, "before"): r"n_t = \tanh(\gamma_n \odot \mathrm{LN}(W x_t)_n + b_n"
    r" + \gamma'_n \odot \mathrm{LN}(U_n (r_t \odot h_{t-1})) + b'_n)",
    (gru, "after"): r"n_t = \tanh(\gamma_n \odot \mathrm{LN}(W x_t)_n + b_n"
    r" + r_t \odot (\gamma'_n \odot \mathrm{LN}(U h_{t-1})_n + b'_n))",
    (lstm, "after"): r"h_t = o_t \odot \tanh(\gamma_c \odot \mathrm{LN}(c_t) + \beta_c)",
}


@pytest.mark.parametrize(("program", "lines"), LINES)
def test_lines(program, lines):
    assert equations(program) == lines


@pytest.mark.parametrize(("made", "line"), NORMED.items())
def test_layer_norm(made, line):
    definition, reset = made
    options = {"reset": reset} if definition is gru else {}
    assert line in equations(definition.program(norm=True, **options))


def evaluate(line: str, values: dict[str, float]) -> float:
    """The right side of an equation with its symbols numbers; side by side is a product."""
    functions = {"tanh": np.tanh, "sigma": lambda v: 1 / (1 + np.exp(-v)), "exp": np.exp}
    functions |= {"relu": lambda v: max(v, 0), "softsign": lambda v: v / (1 + abs(v))}
    functions |= {"softplus": lambda v: np.log1p(np.exp(v))}
    functions |= {"hardsigmoid": lambda v: min(max(v / 6 + 0.5, 0), 1)}
    right = line.split(" = ", 1)[1].replace(r"\,", "").replace(r"\odot", "*")
    right = re.sub(r"\\mathrm\{(\w+)\}|\\(\w+)(?=\()", r"F.\1\2", right)
    right = re.sub(r"(?<![\w.])([A-Za-z]'?(?:_(?:\{[^}]*\}|\w))?)(?![\w(.])", r"V['\1']", right)
    right = right.replace("V['", 'V["').replace("']", '"]')
    right = re.sub(r"\] (?=V|\()", "] * ", right)
    return eval(
        right, {"V": values, "F": type("F", (), {k: staticmethod(f) for k, f in functions.items()})}
    )


def test_the_formulas_compute_what_the_program_computes():
    """One unit, one feature: the text evaluated step by step is the interpreter's record."""
    rng = np.random.default_rng(2)
    for program in PROGRAMS:
        if program.option("norm"):
            continue  # of a single number there is no norm; the lines above show it
        gates, several = program.gates, len(program.gates) > 1
        sizes = {"gates": len(gates), "inputs": 1, "hidden": 1}
        projection = int(bool(program.option("projection")))
        parameters = {
            p.name: rng.normal(size=p.shape(**sizes, projection=projection))
            for p in program.parameters
        }
        symbols = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "b'"}
        values = {}
        for name, parameter in parameters.items():
            if name.startswith("peephole"):
                values[f"p_{name[-1]}"] = parameter.item()
            elif name == "weight_hr":
                values["W_{hr}"] = parameter.item()
            else:
                for gate, number in zip(gates, parameter.flatten(), strict=True):
                    values[symbols[name] + (f"_{gate}" if several else "")] = number
        x = rng.normal(size=(3, 1, 1))
        states = {s: np.full((1, 1), 0.3 + k) for k, s in enumerate(program.states)}
        run = Interpreter(program, parameters).run(x, tuple(states.values()), record=True)
        before = {f"{s}_{{t-1}}": v.item() for s, v in states.items()}
        for t in range(3):
            now = values | before | {"x_t": x[t].item()}
            for line in equations(program):
                name = line.split("_t = ")[0]
                now[f"{name}_t"] = evaluate(line, now)
                found = np.array(now[f"{name}_t"], dtype=np.float64)
                assert_close(found, run.visible[name][t].squeeze(), f"{program.options} {line}")
            before = {f"{s}_{{t-1}}": now[f"{s}_t"] for s in program.states}


def test_every_line_can_be_typeset():
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    for program in PROGRAMS:
        for line in equations(program):
            parser.parse(f"${line}$")


def test_aligned():
    assert aligned(gru.program()) == (
        "\\begin{aligned}\n"
        + " \\\\\n".join(line.replace(" = ", " &= ") for line in GRU)
        + "\n\\end{aligned}"
    )


def test_other_shapes_of_expression():
    @cell(states="h old_h", gates="a b")
    def latex_example(x, u, h, old_h, opt):
        gate = -(x.a + 0.5 * x.b)
        h = gate - (tanh(u(old_h).a) - h) - h * (1 + gate)
        return dict(gate=gate, h=h, old_h=h)

    assert equations(latex_example.program(bias=False)) == (
        r"\mathit{gate}_t = -(W_a x_t + 0.5 \odot W_b x_t)",
        r"h_t = \mathit{gate}_t - (\tanh(U_a \mathit{old\_h}_{t-1}) - h_{t-1})"
        r" - h_{t-1} \odot (1 + \mathit{gate}_t)",
        r"\mathit{old\_h}_t = h_t",
    )
