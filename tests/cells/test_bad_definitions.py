"""Mistakes in definitions: each one line that names the cell, the line, what, and what to do."""

import functools
import inspect
import operator
import re

import numpy as np
import pytest

from cells.bad_operations import CELLS, bad, by_if
from recurra.cells import Cell, cell, names, relu, sigmoid, softplus, tanh
from recurra.errors import InputError


@bad(r"tanh\(\) takes a vector of units, received 0.5")
def function_of_a_number(x, u, h, opt):
    return dict(h=tanh(0.5) + x.n + x.f)  # !


@bad(r"sigmoid\(\) takes a vector of units, received all gates at once; name the gate")
def function_of_all_gates(x, u, h, opt):
    return dict(h=sigmoid(x).n + x.f)  # !


@bad(r"u\(\) takes a vector of units, received 1.0")
def product_of_a_number(x, u, h, opt):
    return dict(h=u(1.0).n + x.f)  # !


@bad(r"TypeError: .*takes 2 positional arguments but 3 were given")
def product_of_two(x, u, h, opt):
    return dict(h=u(h, h).n + x.f)  # !


@bad(r"u.n: u is the product with a vector, as u\(h\).n")
def product_without_a_vector(x, u, h, opt):
    return dict(h=u.n + x.f)  # !


@bad("a product of all gates at once; name the gate, like x.n")
def product_of_all_gates(x, u, h, opt):
    return dict(h=(2 * x).n + x.f)  # !


@bad("AttributeError: .*'index'")
def attribute_of_a_signal(x, u, h, opt):
    return dict(h=h.index * x.n + x.f)  # !


@bad("AttributeError: ")
def attribute_is_set(x, u, h, opt):
    opt.gain = 2  # !
    return dict(h=x.n + x.f)


@bad("ZeroDivisionError: division by zero; expected equations")
def anything_it_raises(x, u, h, opt):
    return dict(h=(x.n + x.f) * (1 / 0))  # !


@bad("OverflowError: ")
def a_number_too_large(x, u, h, opt):
    return dict(h=x.n * 10**400 + x.f)  # !


@bad("NameError: name 'tnah' is not defined")
def a_name_unknown(x, u, h, opt):
    return dict(h=tnah(x.n) + x.f)  # noqa: F821  # !


@bad("RecursionError: ")
def without_end(x, u, h, opt):
    def again(v):
        return again(v)

    return dict(h=again(x.n) + x.f)


@bad("the truth of h")
def caught_by_itself(x, u, h, opt):
    try:
        first = x.n if h else x.f  # !
    except Exception:
        first = x.f
    return dict(h=first + x.n)


@bad("the cell has no gate 'q': its gates are n f")
def asked_by_hasattr(x, u, h, opt):
    return dict(h=(x.n if hasattr(x, "q") else x.f) + x.f)  # !


def _helper(signal):
    return relu(signal) if signal else signal  # helper


@bad("the truth of the gate n")
def in_a_helper(x, u, h, opt):
    return dict(h=_helper(x.n) + x.f)


_kept = []


@bad("expects a signal of this definition, received one of another call", options="a=p|q")
def signals_kept(x, u, h, opt):
    _kept.append(x.n)
    return dict(h=_kept[0] * x.f * (1 if opt.a == "p" else 2))  # !


@bad("received generator: write return dict")
def yields(x, u, h, opt):
    yield dict(h=x.n + x.f)


@bad("received NoneType: write return dict")
def returns_nothing(x, u, h, opt):
    x.n + x.f


@bad("expected names of values that are texts, received 1")
def returns_numbered(x, u, h, opt):
    return {"h": x.n + x.f, 1: h}


@bad("returns no new value for c: .*add c=… to what it returns", states="h c")
def without_a_state(x, u, h, c, opt):
    return dict(h=x.n + x.f * c)


@bad("nothing reads the gate f: expected x.f or u.*take it out of gates=")
def gate_unread(x, u, h, opt):
    return dict(h=tanh(x.n + u(h).n))


@bad("nothing reads the gates f g", gates="n f g")
def gate_read_in_vain(x, u, h, opt):
    _ = x.f, u(h).g
    return dict(h=tanh(x.n))


@bad("gates: 'f' appears twice", gates="f n f")
def gate_twice(x, u, h, opt):
    return dict(h=tanh(x.n + u(h).f))


@bad("gates: the name 'u' is taken", gates="n u")
def gate_named_u(x, u, h, opt):
    return dict(h=tanh(x.n + x.u))


@bad("gates: x._f would not be a gate", gates="n _f")
def gate_underscored(x, u, h, opt):
    return dict(h=tanh(x.n + x._f))


@bad("gates: expected at least one name, received ''", gates="")
def without_gates(x, u, h, opt):
    return dict(h=tanh(h))


@bad("gates: expected names in one text, separated by blanks, received list", gates=["n", "f"])
def gates_in_a_list(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad("the cell has no gate 'n': its gates are n,f", gates="n,f")
def gates_with_commas(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))  # !


@bad("states: 'h' appears twice", states="h h")
def state_twice(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad("states: expected at least one name", states="  ")
def without_states(x, u, opt):
    return dict(h=tanh(x.n + x.f))


@bad("states: the name 'opt' is taken", states="h opt")
def state_named_opt(x, u, h, opt):
    return dict(h=tanh(x.n + x.f), opt=h)


@bad("states: 'h,' cannot be an argument", states="h, c")
def states_with_commas(x, u, h, c, opt):
    return dict(h=tanh(x.n + x.f), c=c)


@bad(r"received \* before opt")
def by_keyword(x, u, h, *, opt):
    return dict(h=tanh(x.n + x.f))


@bad("init: expected a finite number for f, received '1'", init={"f": "1"})
def start_is_text(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad("init: expected numbers by gate", init=[1.0])
def starts_in_a_list(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad("option 'norm=a|b': expected one of norm", options="norm=a|b")
def choice_named_norm(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad("options: the name 'bias' is taken", options="bias=a|b")
def option_named_bias(x, u, h, opt):
    return dict(h=tanh(x.n + x.f) if opt.bias == "a" else h)


@bad("'h' is a state and an option", options="h=a|b")
def option_named_as_a_state(x, u, h, opt):
    return dict(h=tanh(x.n + x.f) if opt.h == "a" else h)


@bad("options: 'k' appears twice", options="k=a|b k=c|d")
def option_twice(x, u, h, opt):
    return dict(h=tanh(x.n + x.f) if opt.k == "a" else h)


@bad("option 'k=a|a': expected values that differ", options="k=a|a")
def value_twice(x, u, h, opt):
    return dict(h=tanh(x.n + x.f) if opt.k == "a" else h)


@bad("option 'a-b=c|d': 'a-b' cannot be written", options="a-b=c|d")
def option_without_a_name(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad("nothing asks for the option norm", options="norm")
def option_unasked(x, u, h, opt):
    return dict(h=tanh(x.n + x.f))


@bad(
    "the option keep is never 'insde': its values are inside, outside",
    options="keep=inside|outside",
)
def value_misspelt(x, u, h, opt):
    return dict(h=tanh(x.n + x.f) if opt.keep == "insde" else h)  # !


@bad("the truth of the option keep, .* opt.keep == 'no'", options="keep=no|yes")
def truth_of_a_choice(x, u, h, opt):
    return dict(h=tanh(x.n + x.f) if opt.keep else h)  # !


@bad("the truth of h", options="keep=no|yes other=a|b|c")
def only_with_an_option(x, u, h, opt):
    if opt.keep == "yes" and opt.other == "c":
        h = x.n if h else h  # !
    return dict(h=tanh(x.n + x.f))


def marked(define):
    """The lines that are marked, in the file."""
    lines, start = inspect.getsourcelines(define)
    return [start + n for n, text in enumerate(lines) if text.rstrip().endswith("# !")]


@pytest.mark.parametrize(
    ("define", "message", "arguments"), CELLS, ids=[define.__name__ for define, *_ in CELLS]
)
def test_is_refused_in_one_line(define, message, arguments):
    with pytest.raises(InputError) as caught:
        cell(**arguments)(define)
    text = str(caught.value)
    assert re.search(message, text), text
    assert "\n" not in text
    assert len(text) < 500
    found = re.match(rf"cell {define.__name__}, line (\d+): ", text)
    assert found, text
    lines, start = inspect.getsourcelines(define)
    line = int(found[1])
    if here := marked(define):
        assert [line] == here, text
    elif define is in_a_helper:
        assert "# helper" in inspect.getsource(inspect.getmodule(define)).splitlines()[line - 1]
    else:
        assert start <= line < start + len(lines)
    assert define.__name__ not in names()


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (functools.partial(by_if, 1), "expected a function with a name, .*received partial"),
        (3, "expected a function with a name, .*received int"),
        (operator.itemgetter(1), "expected a function with a name"),
        (print, "cell print: expected the arguments"),
    ],
)
def test_what_is_no_function(define, message):
    with pytest.raises(InputError, match=message):
        Cell(define, states="h", gates="n")


def test_switches_may_be_asked_for_their_truth():
    def definition_switched(x, u, h, opt):
        a = x.n + u(h).n
        if opt.norm:
            a = opt.norm(a, "a")
        return dict(h=tanh(a if opt.peephole == False else a + opt.peephole("n", h)))  # noqa: E712

    made = Cell(definition_switched, states="h", gates="n", options="norm peephole")
    assert {n.op for n in made.program().nodes}.isdisjoint({"norm", "weight"})
    assert {"norm", "weight"} <= {n.op for n in made.program(norm=True, peephole=True).nodes}


def test_numbers_of_numpy_are_numbers():
    def definition_numbers(x, u, h, opt):
        h = np.float64(0.5) * h + h * np.float32(0.25) - np.int64(3)
        return dict(h=h + softplus(x.n) * (1 - np.float64(2)))

    constants = {n.value for n in Cell(definition_numbers, states="h", gates="n").program().nodes}
    assert {0.5, 0.25, 3.0, -1.0} <= constants


def test_the_variable_of_a_loop_is_not_read_again():
    made = []
    for k in (0.25, 0.5):

        def definition_in_a_loop(x, u, h, opt):
            return dict(h=k * tanh(x.n + u(h).n))  # noqa: B023

        made.append(Cell(definition_in_a_loop, states="h", gates="n"))
    for which, k in zip(made, (0.25, 0.5), strict=True):
        program = which.program(bias=True, activation="tanh", norm=False)
        assert [n.value for n in program.nodes if n.op == "constant"] == [k]
    with pytest.raises(InputError, match="its equations are others than when it was"):
        made[0].program(activation="relu")
    assert made[1].program(activation="relu")
