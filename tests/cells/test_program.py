"""A cell as data: what is written is read back, what a stranger wrote is refused in a line."""

import copy
import json
import pickle
import random

import numpy as np
import pytest

from native.own import HOSTILE, PROGRAMS
from recurra.cells import (
    CarriedCell,
    CellData,
    CellName,
    cell,
    data_of,
    definition,
    find,
    gru,
    known,
    lstm,
    sigmoid,
    tanh,
)
from recurra.cells.definition import Cell
from recurra.cells.program import LIMITS
from recurra.errors import FormatError, InputError
from recurra.reference import Interpreter

WHERE = "config.json"
ALL = {
    **PROGRAMS,
    "lstm with everything": lstm.program(norm=True, peephole=True, projection=True),
    "gru, no bias": gru.program(bias=False, reset="before"),
}


def unregistered(define, **declared):
    """A cell that no name stands for in the rest of the tests."""
    made = Cell(define, **declared)
    definition._defined[made.name].remove(made)
    return made


def blended(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    h = (1 - f) * h + f * n * (2.0 if opt.gain == "two" else 1.0)
    return dict(f=f, h=h)


BLENDED = unregistered(blended, states="h", gates="f n", init={"f": 1.0}, options="gain=one|two")


def through_json(values):
    return json.loads(json.dumps(values))


@pytest.mark.parametrize("program", ALL.values(), ids=ALL.keys())
def test_what_is_written_is_read_back(program):
    written = through_json(CellData.of_program(program).to_json())
    assert len(json.dumps(written)) < 8000
    (found,) = CellData.from_json(written, WHERE).programs
    assert found == program
    assert (found.meaning(), found.digest()) == (program.meaning(), program.digest())
    assert found.parameters == program.parameters


def test_numbers_without_end_are_read_back():
    def endless(x, u, h, opt):
        return dict(h=tanh(x.g) + u(h).g * float("-inf") + float("inf"))

    program = unregistered(endless, states="h", gates="g").program()
    written = through_json(CellData.of_program(program).to_json())
    assert CellData.from_json(written, WHERE).programs == (program,)


def carried():
    return CarriedCell(CellData.from_json(through_json(data_of(BLENDED).to_json()), WHERE))


def test_a_carried_cell_is_the_cell():
    found = carried()
    assert (found.states, found.gates, found.init) == (("h",), ("f", "n"), {"f": 1.0})
    assert found.program() == BLENDED.program()
    assert found.program(norm=False, peephole=False) is found.program()
    assert find(found) is found
    assert find(CellName(found)) is found
    assert copy.deepcopy(CellName(found)).cell is found
    again = pickle.loads(pickle.dumps(CellName(found)))
    assert again == "blended"
    assert again.cell.program() == BLENDED.program()


def test_a_carried_cell_has_no_other_programs():
    found = carried()
    with pytest.raises(InputError, match=r"gain=two.*import its definition"):
        found.program(gain="two")
    with pytest.raises(InputError, match="has no option 'norm'"):
        found.program(norm=True)
    with pytest.raises(InputError, match="unknown function"):
        found.program(activation="sine")
    both = data_of(BLENDED, BLENDED.program(gain="two"))
    assert CarriedCell(both).program(gain="two") == BLENDED.program(gain="two")


def test_a_definition_at_hand_is_taken_if_it_agrees(monkeypatch):
    data = data_of(BLENDED)
    monkeypatch.setitem(definition._defined, "blended", [BLENDED])
    assert known(data, WHERE) is BLENDED


DIFFERENT = {
    "an equation": (
        lambda x, u, h, opt: dict(f=sigmoid(x.f), h=h * sigmoid(x.f) + u(h).n + x.n),
        {"states": "h", "gates": "f n"},
        r"has f = sigmoid\(x\.f \+ u\(h\)\.f\), and the definition here \(test_program\.py, line "
        r"\d+\) has f = sigmoid\(x\.f\)",
    ),
    "gates": (
        lambda x, u, h, opt: dict(h=h * x.f),
        {"states": "h", "gates": "f"},
        "has gates f n, .* has gates f",
    ),
    "states": (
        lambda x, u, h, c, opt: dict(h=h * x.f + u(h).n, c=c * x.n),
        {"states": "h c", "gates": "f n"},
        "has states h, .* has states h c",
    ),
    "options": (
        lambda x, u, h, opt: dict(h=h * x.f * (1.0 if opt.gain == "a" else 2.0)),
        {"states": "h", "gates": "f", "options": "gain=a|b"},
        r"has options gain=one\|two, .* has options gain=a\|b",
    ),
}


@pytest.mark.parametrize("row", DIFFERENT)
def test_a_definition_of_other_equations_is_refused_with_the_difference(row, monkeypatch):
    define, declared, message = DIFFERENT[row]
    define.__name__ = "blended"
    monkeypatch.setitem(definition._defined, "blended", [])
    Cell(define, **declared)
    with pytest.raises(InputError, match=message) as raised:
        known(data_of(BLENDED), WHERE)
    assert "\n" not in str(raised.value)


def test_two_cells_of_a_name_live_beside_each_other(monkeypatch):
    made = []
    monkeypatch.setitem(definition._defined, "scaled", [])
    for factor in (0.25, 0.5):

        def factory(factor=factor):
            def scaled(x, u, h, opt):
                return dict(h=tanh(x.g + factor * u(h).g))

            return scaled

        made.append(Cell(factory(), states="h", gates="g"))
    for one in made:
        assert known(data_of(one), WHERE) is one


# -- what a stranger wrote ------------------------------------------------------------------------

SPOILT = {
    "no table": (lambda v: [], "a cell: expected a JSON object"),
    "newer": (lambda v: {**v, "version": 4}, "newer version"),
    "no version": (lambda v: {**v, "version": None}, "expected version 1 to 3"),
    "a field less": (lambda v: {n: o for n, o in v.items() if n != "init"}, "'init' is missing"),
    "a field more": (lambda v: {**v, "code": "import os"}, "'code' is unknown"),
    "starts of other states": (
        lambda v: {**v, "version": 2, "starts": [0.0, 1.0]},
        "starts: expected 1 values, received 2",
    ),
    "a start that is no value": (lambda v: {**v, "version": 2, "starts": ["nan"]}, "received nan"),
    "starts of before": (lambda v: {**v, "starts": [1.0]}, "'starts' is unknown"),
    "an input of no size": (lambda v: {**v, "version": 2, "inputs": {"dt": 0}}, "from 1 to 65536"),
    "an endless input": (
        lambda v: {**v, "version": 2, "inputs": {"dt": 1 << 20}},
        "inputs: expected a whole number from 1 to 65536, received 1048576",
    ),
    "many inputs": (
        lambda v: {**v, "version": 2, "inputs": {f"i{n}": 1 for n in range(33)}},
        "inputs: expected at most 32",
    ),
    "no gates": (lambda v: {**v, "gates": []}, "gates: expected 1 to 64 values"),
    "many gates": (
        lambda v: {**v, "gates": [f"g{n}" for n in range(65)]},
        "gates: expected 1 to 64 values, received 65",
    ),
    "a gate twice": (lambda v: {**v, "gates": ["f", "f"]}, "names that differ"),
    "a long name": (lambda v: {**v, "name": "n" * 1000}, "1 to 100 characters"),
    "a start of no gate": (lambda v: {**v, "init": {"q": 1.0}}, "expected one of f, n"),
    "a start that is no number": (lambda v: {**v, "init": {"f": "1"}}, "expected a number"),
    "no programs": (lambda v: {**v, "programs": []}, "programs: expected 1 to 64"),
    "a program twice": (lambda v: {**v, "programs": v["programs"] * 2}, "different options"),
}
NODE = {
    "an unknown operation": ({"op": "system"}, "unknown operation 'system'"),
    "an operation that is a list": ({"op": ["add"]}, "unknown operation"),
    "a cycle": ({"args": [9999]}, "numbers of earlier nodes"),
    "itself": ({"args": [4]}, "numbers of earlier nodes"),
    "backwards": ({"args": [-1]}, "numbers of earlier nodes"),
    "true": ({"args": [True]}, "numbers of earlier nodes"),
    "arguments missing": ({"args": []}, "has not 0 arguments"),
    "arguments of a text": ({"args": "0"}, "expected a list"),
    "a field that it has not": ({"value": 1.0}, "has no value"),
    "an unknown field": ({"shell": "rm"}, "unknown field 'shell'"),
    "an input that is not declared": (
        {"op": "input", "name": "dt", "args": []},
        "expected one of , received 'dt'",
    ),
    "a mean of nothing": ({"op": "mean", "args": []}, "mean has not 0 arguments"),
    "a norm of no product": ({"normed": True}, "has no normed"),
}


def values():
    return through_json(data_of(BLENDED).to_json())


def refused(spoilt, message):
    with pytest.raises(FormatError, match=message) as raised:
        CellData.from_json(spoilt, WHERE)
    text = str(raised.value)
    assert text.startswith(WHERE)
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize("row", SPOILT)
def test_a_spoilt_cell_is_refused(row):
    change, message = SPOILT[row]
    refused(change(values()), message)


@pytest.mark.parametrize("row", NODE)
def test_a_spoilt_node_is_refused(row):
    change, message = NODE[row]
    spoilt = values()
    nodes = spoilt["programs"][0]["nodes"]
    assert nodes[4]["op"] == "gate"
    nodes[4] = {**nodes[4], **change}
    refused(spoilt, message)


@pytest.mark.parametrize(
    ("name", "recurrent"),
    [
        *[(f"hh/{form}", True) for form in ("heads0", "heads", "rank-1", "heads99999", "lower2")],
        *[(name, True) for name in ("hh/", "hh/diagonal", "ih", "hh/heads4/rank2")],
        *[("ih/s", False), ("hh", False), ("ih/", False)],
    ],
)
def test_forms_of_matrices_that_there_are_not(name, recurrent):
    spoilt = values()
    nodes = spoilt["programs"][0]["nodes"]
    place = next(
        n
        for n, node in enumerate(nodes)
        if node["op"] == "affine" and bool(node.get("args")) == recurrent
    )
    nodes[place] = {**nodes[place], "name": name}
    refused(spoilt, f"node {place}: name: expected one of")


def test_what_does_not_belong_is_refused():
    spoilt = values()
    program = spoilt["programs"][0]
    refused({**spoilt, "programs": [{**program, "next": [0]}]}, "number of a vector's node")
    refused({**spoilt, "programs": [{**program, "next": [4, 4]}]}, "expected 1 values")
    refused(
        {**spoilt, "programs": [{**program, "options": {**program["options"], "gain": "six"}}]},
        "option gain: expected one of one, two, received 'six'",
    )
    refused({**spoilt, "programs": [{**program, "options": {}}]}, "is missing")
    more = [*program["nodes"], {"op": "constant", "value": 7}]
    refused({**spoilt, "programs": [{**program, "nodes": more}]}, "that nothing needs")
    named = [["f", 4]] * 2
    refused({**spoilt, "programs": [{**program, "visible": named}]}, "names that differ")


def test_sizes_are_bounded():
    spoilt = values()
    program = spoilt["programs"][0]
    nodes, last = list(program["nodes"]), len(program["nodes"]) - 1
    for _ in range(LIMITS["depth"]):
        nodes.append({"op": "tanh", "args": [last]})
        last += 1
    deep = {**program, "nodes": nodes, "next": [last]}
    refused({**spoilt, "programs": [deep]}, "at most 200 that depend on one another")
    many = [{"op": "constant", "value": n} for n in range(LIMITS["nodes"] + 1)]
    refused({**spoilt, "programs": [{**program, "nodes": many}]}, "nodes: expected 1 to 2000")


def test_parameters_of_one_name_are_refused():
    def twice(x, u, h, opt):
        return dict(h=opt.norm(opt.norm(tanh(x.g), "c"), "d"))

    made = unregistered(twice, states="h", gates="g", options="norm")
    spoilt = through_json(data_of(made, made.program(norm=True)).to_json())
    for node in spoilt["programs"][0]["nodes"]:
        if node.get("name") == "d":
            node["name"] = "c_bias"
    refused(spoilt, "is another parameter's")


ODD = (None, True, -1, 0, 1, 3, 10**30, 1e300, "", "h", "f", "tanh", "inf", [], [0], {}, "é" * 300)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_program_is_refused_or_runs(seed):
    chance, whole = random.Random(seed), values()
    everywhere = [path for path in places(whole) if path]
    ran, lines = 0, set()
    for _ in range(500):
        spoilt = copy.deepcopy(whole)
        for path in chance.sample(everywhere, chance.randint(1, 2)):
            at = spoilt
            try:
                for step in path[:-1]:
                    at = at[step]
                at[path[-1]] = copy.deepcopy(chance.choice(ODD))
            except (KeyError, IndexError, TypeError, AttributeError):
                continue
        try:
            data = CellData.from_json(through_json(spoilt), WHERE)
        except FormatError as error:
            lines.add(str(error).count("\n"))
            continue
        for program in data.programs:
            sizes = {"gates": len(data.gates), "inputs": 3, "hidden": 4}
            weights = {p.name: np.ones(p.shape(**sizes)) for p in program.parameters}
            states = [np.zeros((2, 4)) for _ in program.states]
            with np.errstate(all="ignore"):
                run = Interpreter(program, weights).run(np.ones((3, 2, 3)), states)
            assert run.outputs.shape == (3, 2, 4)
            ran += 1
    assert ran
    assert lines == {0}


def test_a_hostile_name_stays_a_name():
    written = through_json(data_of(HOSTILE).to_json())
    assert CellData.from_json(written, WHERE).gates == HOSTILE.gates


def test_cells_that_are_given_as_names_stay_what_they_were(monkeypatch):
    monkeypatch.setattr(definition, "_registry", dict(definition._registry))

    def make(factor):
        @cell(states="h", gates="g")
        def redefined(x, u, h, opt):
            return dict(h=tanh(factor * x.g))

        return redefined

    first = CellName(make(1.5))
    make(2.5)
    assert find(first) is first.cell
    assert find(str(first)) is not first.cell
