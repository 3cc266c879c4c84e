"""What a definition becomes: programs, parameters, and one-line errors for its mistakes."""

import itertools
import pickle

import pytest

from recurra.cells import cell, find, gru, lstm, names, rnn, sigmoid, tanh
from recurra.cells.graph import Node, Parameter
from recurra.errors import InputError

ON = (False, True)
BIASES = {"bias_ih": ("GH",), "bias_hh": ("GH",)}
WEIGHTS = {"weight_ih": ("GH", "I"), "weight_hh": ("GH", "R")}
PARAMETERS = [
    (rnn.program(), WEIGHTS | BIASES),
    (rnn.program(bias=False), WEIGHTS),
    (rnn.program(norm=True), WEIGHTS | BIASES | {"norm_ih": ("GH",), "norm_hh": ("GH",)}),
    (gru.program(reset="before"), WEIGHTS | BIASES),
    (lstm.program(projection=True), WEIGHTS | BIASES | {"weight_hr": ("P", "H")}),
    (
        lstm.program(peephole=True, bias=False),
        WEIGHTS | {f"peephole_{g}": ("H",) for g in "ifo"},
    ),
    (
        lstm.program(norm=True),
        WEIGHTS
        | BIASES
        | {"norm_ih": ("GH",), "norm_hh": ("GH",), "norm_c": ("H",), "norm_c_bias": ("H",)},
    ),
]


@pytest.mark.parametrize(("program", "expected"), PARAMETERS)
def test_parameters(program, expected):
    assert {p.name: p.axes for p in program.parameters} == expected
    assert [p.name for p in program.parameters][:2] == ["weight_ih", "weight_hh"]


def test_shapes():
    sizes = {"gates": 4, "inputs": 5, "hidden": 3}
    assert Parameter("weight_ih", ("GH", "I")).shape(**sizes) == (12, 5)
    assert Parameter("weight_hh", ("GH", "R")).shape(**sizes) == (12, 3)
    assert Parameter("weight_hh", ("GH", "R")).shape(**sizes, projection=2) == (12, 2)
    assert Parameter("weight_hr", ("P", "H")).shape(**sizes, projection=2) == (2, 3)


def products(program):
    return [(n.name, n.gates) for n in program.nodes if n.op == "affine"]


def test_options_vanish_and_unread_gates_are_pruned():
    assert products(gru.program()) == [("ih", ("r", "z", "n")), ("hh", ("r", "z", "n"))]
    assert products(gru.program(reset="before")) == [
        ("ih", ("r", "z", "n")),
        ("hh", ("r", "z")),
        ("hh", ("n",)),
    ]
    plain = lstm.program()
    assert not {n.op for n in plain.nodes} & {"norm", "weight", "project", "constant"}
    assert not any(n.normed for n in plain.nodes)
    assert len(lstm.program(peephole=True).nodes) == len(plain.nodes) + 3 * 3  # weight, mul, add
    assert len(rnn.program(activation="identity").nodes) == len(rnn.program().nodes) - 1


def test_depth_is_the_chain_of_products_in_a_step():
    depths = {
        rnn.program(): 1,
        lstm.program(): 1,
        gru.program(): 1,
        gru.program(reset="before"): 2,
        lstm.program(projection=True): 2,
    }
    assert {p: p.depth for p in depths} == depths


def test_hoisted_and_stepped_divide_the_nodes_by_their_states():
    for program in (rnn.program(), gru.program(reset="before"), lstm.program(norm=True)):
        assert sorted((*program.hoisted, *program.stepped)) == list(range(len(program.nodes)))
        reaches = [False] * len(program.nodes)
        for index, node in enumerate(program.nodes):
            assert all(a < index for a in node.args), "nodes are in an order of computation"
            reaches[index] = node.op == "state" or any(reaches[a] for a in node.args)
        assert [i for i, r in enumerate(reaches) if r] == list(program.stepped)
        hoisted = {
            program.nodes[i].name for i in program.hoisted if program.nodes[i].op == "affine"
        }
        assert hoisted == {"ih"}


def test_programs_are_values():
    assert lstm.program() == lstm.program(bias=True, norm=False, activation="tanh")
    assert lstm.program() is lstm.program()
    assert hash(gru.program()) == hash(gru.program(reset="after"))
    different = {
        lstm.program(bias=b, norm=n, peephole=h, projection=p)
        for b, n, h, p in itertools.product(ON, ON, ON, ON)
    }
    assert len(different) == 16
    assert pickle.loads(pickle.dumps(lstm.program(norm=True))) == lstm.program(norm=True)
    with pytest.raises(AttributeError):
        lstm.program().cell = "other"
    assert lstm.program(peephole=True).option("peephole") is True
    assert gru.program().option("reset") == "after"
    assert gru.program().option("peephole") is None


def test_names_and_repr():
    assert {"gru", "lstm", "rnn"} <= set(names())
    assert list(names()) == sorted(names())
    assert find("lstm") is lstm
    assert find(lstm) is lstm
    assert repr(lstm) == "<cell lstm: states h c; gates i f g o>"
    assert pickle.loads(pickle.dumps(gru)) is gru


def test_a_value_used_twice_is_computed_once():
    @cell(states="h", gates="a")
    def definition_twice(x, u, h, opt):
        return dict(h=tanh(u(h).a + x.a) * tanh(u(h).a + x.a))

    operations = [n.op for n in definition_twice.program().nodes]
    assert sorted(operations) == sorted(
        ["affine", "state", "affine", "gate", "gate", "add", "tanh", "mul"]
    )


def test_adding_zero_leaves_no_trace_and_numbers_become_constants():
    @cell(states="h", gates="a")
    def definition_zero(x, u, h, opt):
        return dict(h=0 + (x.a + 0) * 2 - 1 + (3 - h) * -h)

    nodes = definition_zero.program().nodes
    assert [n.value for n in nodes if n.op == "constant"] == [2.0, 1.0, 3.0]
    assert Node("constant", value=0.0) not in nodes


def defined(states="h", gates="a b", init=None, options=""):
    return lambda function: cell(states=states, gates=gates, init=init, options=options)(function)


def no_opt(x, u, h):
    return dict(h=h)


def other_state(x, u, c, opt):
    return dict(h=c)


def good(x, u, h, opt):
    return dict(h=tanh(x.a + u(h).b))


def unknown_gate(x, u, h, opt):
    return dict(h=tanh(x.q))


def missing_state(x, u, h, opt):
    return dict(n=h)


def returns_signal(x, u, h, opt):
    return h


def returns_bundle(x, u, h, opt):
    return dict(h=x + u(h))


def returns_number(x, u, h, opt):
    return dict(h=1.0)


def product_of_bundle(x, u, h, opt):
    return dict(h=u(x).a)


def bundle_and_vector(x, u, h, opt):
    return dict(h=(x + h).a)


def asks_norm(x, u, h, opt):
    return dict(h=opt.norm(x).a)


def asks_peephole(x, u, h, opt):
    return dict(h=x.a + opt.peephole("a", h))


def asks_choice(x, u, h, opt):
    return dict(h=h if opt.sort == "quick" else x.a)


MISTAKES = [
    (
        no_opt,
        {},
        r"cell no_opt, line \d+: expected the arguments \(x, u, h, opt\), received \(x, u, h\)",
    ),
    (other_state, {}, r"expected the arguments \(x, u, h, opt\), received \(x, u, c, opt\)"),
    (good, {"states": "h c"}, r"expected the arguments \(x, u, h, c, opt\)"),
    (
        good,
        {"init": {"q": 1.0}},
        r"cell good, line \d+: init names \['q'\], which are no gates of it",
    ),
    (
        good,
        {"options": "magic"},
        "option 'magic': expected one of norm, peephole, projection, a choice",
    ),
    (good, {"options": "reset=one"}, "option 'reset=one': .* a choice name=first|second"),
    (unknown_gate, {}, "no gate 'q': its gates are a b"),
    (missing_state, {}, r"cell missing_state, line \d+: returns no new value for h"),
    (returns_signal, {}, "expected it to return a dictionary of values by name, received Signal"),
    (returns_bundle, {}, r"h must be a vector of units, received all gates at once; name the gate"),
    (returns_number, {}, r"h must be a vector of units, received 1\.0"),
    (product_of_bundle, {}, r"u\(\) takes a vector of units, received all gates at once"),
    (bundle_and_vector, {}, "all gates at once can only be added to all gates"),
    (asks_norm, {}, "asks for the option 'norm', which its definition does not list"),
    (asks_peephole, {}, "asks for the option 'peephole', which its definition does not list"),
    (asks_choice, {}, "asks for the option 'sort', which its definition does not list"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), MISTAKES)
def test_mistakes_show_where_the_cell_is_defined(function, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        defined(**arguments)(function)
    assert "\n" not in str(caught.value)
    assert function.__name__ not in names(), "a cell that was refused is not known"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: gru.program(peephole=True),
            r"cell gru has no option 'peephole' \(its options: norm, reset\)",
        ),
        (
            lambda: gru.program(reset="during"),
            "option reset: expected 'after' or 'before', received 'during'",
        ),
        (lambda: lstm.program(norm="yes"), "option norm: expected False or True, received 'yes'"),
        (
            lambda: rnn.program(activation="tan"),
            "cell rnn, activation: unknown function 'tan'; choose",
        ),
        (
            lambda: lstm.program(recurrent_activation="x"),
            "lstm, recurrent_activation: unknown function",
        ),
        (lambda: rnn.program(bias="no"), "cell rnn, bias: expected True or False, received 'no'"),
        (lambda: find("lsmt"), "unknown cell 'lsmt': expected one of .*gru, .*lstm"),
    ],
)
def test_what_a_cell_does_not_have(ask, message):
    with pytest.raises(InputError, match=message) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_an_option_that_is_off_may_be_named_for_any_cell():
    assert gru.program(peephole=False, projection=False) == gru.program()


def test_activations_rename_tanh_and_sigmoid_only():
    @cell(states="h", gates="a b c")
    def definition_functions(x, u, h, opt):
        from recurra.cells import relu

        return dict(h=tanh(x.a) + sigmoid(u(h).b) + relu(x.c))

    program = definition_functions.program(activation="softsign", recurrent_activation="exp")
    found = [n.op for n in program.nodes if n.op in ("tanh", "sigmoid", "relu", "softsign", "exp")]
    assert found == ["softsign", "exp", "relu"]


def test_a_name_is_one_cell():
    def lstm(x, u, h, opt):
        return dict(h=tanh(x.h + u(h).h))

    with pytest.raises(InputError, match=r"'lstm' is defined in recurra\.cells\.lstm already"):
        cell(states="h", gates="h")(lstm)
    assert find("lstm").states == ("h", "c")

    def again(x, u, h, opt):
        return dict(h=tanh(x.h + u(h).h))

    first = cell(states="h", gates="h")(again)
    second = cell(states="h", gates="h")(again)  # as a notebook does
    assert find("again") is second is not first
