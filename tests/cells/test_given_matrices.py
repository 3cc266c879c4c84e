"""Matrices that are fixed or masked, and what draws them: in layers, copies, tasks, files."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import recurra
from cells.published.clockwork import clockwork_of_paper, from_slower
from cells.published.esn import esn_of_paper
from cells.published.irnn import irnn_of_paper
from cells.published.on_lstm import on_lstm_of_paper
from cells.published.sparse_gru import sparse_gru_of_paper
from recurra.cells import CellData, cell, data_of, tanh
from recurra.cells.carried import CarriedCell
from recurra.cells.definition import Cell
from recurra.cells.latex import equations
from recurra.cells.written import lines
from recurra.errors import FormatError, InputError
from recurra.nn import Recurrent
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack

MADE = [clockwork_of_paper, esn_of_paper, on_lstm_of_paper, sparse_gru_of_paper]


def layer_of(made, inputs=5, hidden=6, **options):
    torch.manual_seed(3)
    return Recurrent(made, inputs, hidden, **options)


def simple(*, form="masked", init=None, fixed="", **more):
    def plain(x, u, h, opt):
        value = opt.k * h if fixed else h
        return dict(h=tanh(x(form=form).n + u(value, form=form).n))

    return Cell(plain, states="h", gates="n", init=init, fixed=fixed, **more)


def test_what_is_given_is_no_parameter_and_is_saved():
    layer = layer_of(clockwork_of_paper, num_layers=2, bidirectional=True)
    learnt = {n.partition("_l")[0] for n, _ in layer.named_parameters()}
    assert learnt == {"weight_ih", "weight_hh_masked", "bias_ih", "bias_hh"}
    saved = {n.partition("_l")[0] for n in layer.state_dict()}
    assert saved == learnt | {"mask_hh", "fixed_period"}
    np.testing.assert_array_equal(layer.mask_hh_l1_reverse, from_slower((6, 6), None))
    assert layer.fixed_period_l0.tolist() == [1, 1, 2, 2, 4, 4]
    assert layer_of(irnn_of_paper).weight_hh_l0.equal(torch.eye(6))


def test_nothing_that_is_masked_learns():
    layer = layer_of(sparse_gru_of_paper)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight_hh_masked_l0.detach().clone()
    layer(torch.randn(4, 2, 5))[0].square().sum().backward()
    optimizer.step()
    outside = layer.mask_hh_l0 == 0
    assert layer.weight_hh_masked_l0.grad[outside].eq(0).all()
    assert layer.weight_hh_masked_l0[outside].equal(before[outside])
    assert not layer.weight_hh_masked_l0[~outside].equal(before[~outside])


def test_seeds_decide_what_is_drawn():
    one, other = layer_of(esn_of_paper, bias=False), layer_of(esn_of_paper, bias=False)
    assert one.fixed_hh_l0.equal(other.fixed_hh_l0)
    assert not Recurrent(esn_of_paper, 5, 6, bias=False).fixed_hh_l0.equal(one.fixed_hh_l0)


def test_without_functions_masks_are_ones_and_fixed_matrices_are_drawn_as_weights_are():
    assert layer_of(simple()).mask_hh_l0.eq(1).all()
    fixed = layer_of(simple(form="fixed", fixed="k")).fixed_hh_l0
    assert 0 < fixed.abs().max() <= 1 / 6**0.5
    orthogonal = layer_of(simple(form="fixed"), init="orthogonal").fixed_hh_l0
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(6))
    assert layer_of(simple(fixed="k", init={"k": 0.5})).fixed_k_l0.eq(0.5).all()


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_copies_dtypes_and_stacks_without_torch(made):
    layer = layer_of(made, num_layers=2)
    x = torch.randn(5, 3, 5)
    expected = layer(x)[0]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x)[0], expected)
    weights = Weights({f"rnn.{n}": p.numpy() for n, p in layer.state_dict().items()})
    rates = (0.0,) * len(made.states)
    stack = RuntimeStack(Architecture(made.name, 2, False, rates, {}), weights, features=5)
    np.testing.assert_allclose(stack.run(x.numpy())[0], expected.detach(), atol=1e-6)
    torch.testing.assert_close(layer.double()(x.double())[0].float(), expected)


def test_a_cell_that_came_with_a_file_has_what_the_weights_say():
    program = clockwork_of_paper.program()
    values = json.loads(json.dumps(data_of(clockwork_of_paper, program).to_json()))
    assert values["version"] == 3
    carried = CarriedCell(CellData.from_json(values, "file"))
    layer, whole = layer_of(carried), layer_of(clockwork_of_paper)
    assert layer.mask_hh_l0.isnan().all()
    layer.load_state_dict(whole.state_dict())
    x = torch.randn(4, 2, 5)
    assert torch.equal(layer(x)[0], whole(x)[0])


def test_files_of_a_stranger():
    values = data_of(clockwork_of_paper, clockwork_of_paper.program()).to_json()
    for change, message in (
        ({"learnt": {"period": -2}}, "learnt: expected 0 for H numbers, -1 for fixed ones"),
        ({"learnt": {"period": -1, "hh": -1}}, "the name 'hh' is a matrix's"),
        ({"inputs": {"masked": 3}}, "the name 'masked' is a form of matrices"),
    ):
        with pytest.raises(FormatError, match=message):
            CellData.from_json({**values, **change}, "file")


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_a_model_runs_where_neither_its_definition_nor_torch_is(made, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question\n" * 20)
    model = recurra.LanguageModel(cell=made, hidden=8, embedding=4)
    model.fit(text, steps=3, progress=False)
    model.save(tmp_path / "model")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import recurra\n"
        f"print(recurra.load({str(tmp_path / 'model')!r}).evaluate({str(text)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(model.evaluate(text))
    again = recurra.load(tmp_path / "model")
    again.fit(text, steps=2, progress=False)
    before, after = (
        {n: t for n, t in m.files.tensors.items() if ".fixed_" in n or ".mask_" in n}
        for m in (model, again)
    )
    assert before.keys() == after.keys() != set()
    assert all(np.array_equal(before[n], after[n]) for n in before)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"mask_hh": lambda shape, random: np.full(shape, 2)}, "a mask of 0 and 1, received other"),
        ({"mask_hh": lambda shape, random: np.ones(3)}, r"of the shape \(6, 6\), received one of"),
        ({"mask_ih": lambda shape, random: np.full(shape, np.nan)}, "received NaN or Inf"),
        ({"mask_ih": lambda shape: np.ones(shape)}, r"expected draw\(shape, random\)"),
        ({"mask_ih": lambda shape, random: "ones"}, "which returns an array of"),
    ],
)
def test_what_a_function_may_draw(init, message):
    with pytest.raises(InputError, match=message) as caught:
        layer_of(simple(init=init))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("cell plain: init: mask_")


def test_equations_are_written_as_they_were():
    (h,) = lines(simple(fixed="k").program())
    assert h == "h = tanh(x(form='masked').n + u(opt.k * h, form='masked').n)"
    (h,) = equations(simple(fixed="k").program())
    assert h == (r"h_t = \tanh((M \odot W) x_t + b + (M' \odot U) (\bar{k} \odot h_{t-1}) + b')")
    (h,) = equations(simple(form="fixed").program())
    assert h == r"h_t = \tanh(\bar{W} x_t + \bar{U} h_{t-1})"


@cell(states="h", gates="n", inputs="x s:2")
def beside_further_inputs(x, u, h, opt):
    return dict(h=tanh(x(form="masked").n + x.s.n + u(h).n))


def test_beside_further_inputs_a_gate_has_one_bias():
    layer, x = layer_of(beside_further_inputs, 7), torch.randn(3, 2, 7)
    w = dict(layer.state_dict())
    expected = torch.tanh(
        x[0, :, :5] @ w["weight_ih_masked_l0"].T
        + x[0, :, 5:] @ w["weight_ih_s_l0"].T
        + w["bias_ih_l0"]
        + w["bias_hh_l0"]
    )
    torch.testing.assert_close(layer(x)[0][0], expected)
