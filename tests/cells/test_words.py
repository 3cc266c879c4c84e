"""Starts of states, further inputs, the step before, forms of matrices: in stacks, tasks, files."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import recurra
from cells.published.cfc import cfc_of_paper
from cells.published.gru_d import gru_d_of_paper
from cells.published.slstm import slstm_of_paper
from cells.published.sru_highway import sru_highway_of_paper
from recurra import native
from recurra.cells import before, cell, sigmoid, tanh
from recurra.cells.definition import Cell
from recurra.cells.latex import equations
from recurra.cells.written import lines
from recurra.errors import InputError, RecurraWarning
from recurra.matrices import plain_parameters
from recurra.nn import Recurrent
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack


@cell(states="h c=0.5", gates="f n", inputs="x dt:1 s:2")
def of_all_words(x, u, h, c, opt):
    f = sigmoid(x.f + x.s.f + u(h, heads=2).f - x.dt)
    c = f * c + (1 - f) * tanh(x.n + before(c) * 0.25)
    return dict(h=tanh(c + u(h, rank=2).n), c=c)


def layer_of(made, inputs=7, hidden=6, **options):
    torch.manual_seed(3)
    return Recurrent(made, inputs, hidden, **options)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("made", [of_all_words, cfc_of_paper, gru_d_of_paper])
def test_every_layer_of_a_stack_reads_the_further_inputs(made, bidirectional, residual):
    features = 4 + made.program().further
    options = {"bidirectional": bidirectional, "merge": "sum" if bidirectional else "concat"}
    whole = layer_of(made, features, num_layers=3, residual=residual, **options)
    x = torch.randn(5, 2, features)
    lengths = torch.tensor([5, 2])
    value, further = x, x[..., 4:]
    for layer in range(3):
        one = layer_of(made, value.shape[2], **options)
        suffix = f"_l{layer}"
        one.load_state_dict(
            {n.replace(suffix, "_l0"): p for n, p in whole.state_dict().items() if suffix in n}
        )
        outputs = one(value, lengths=lengths)[0]
        outputs = outputs + value[..., : outputs.shape[2]] if residual and layer else outputs
        value = torch.cat([outputs, further], dim=-1)
    torch.testing.assert_close(whole(x, lengths=lengths)[0], outputs)


def test_stacks_without_torch_read_them_too():
    layer = layer_of(of_all_words, num_layers=2, residual=True, learn_initial_state=True)
    states = len(of_all_words.states)
    weights = Weights({f"rnn.{n}": p.detach().numpy() for n, p in layer.named_parameters()})
    stack = RuntimeStack(
        Architecture(of_all_words.name, 2, True, (0.0,) * states, {}), weights, features=7
    )
    x = torch.randn(6, 3, 7)
    lengths = np.array([6, 0, 4])
    found, last = stack.run(x.numpy(), lengths=lengths)
    expected, final = layer(x, lengths=torch.from_numpy(lengths))
    np.testing.assert_allclose(found, expected.detach(), atol=1e-6)
    for k, state in enumerate(final):
        np.testing.assert_allclose(last[0][k], state[0].detach(), atol=1e-6)


@pytest.mark.parametrize("learnt", [False, True])
def test_states_start_where_the_definition_says(learnt):
    layer = layer_of(slstm_of_paper, 5, learn_initial_state=learnt)
    _, (h, c, n, m) = layer(torch.randn(4, 2, 5), lengths=torch.tensor([4, 0]))
    assert h[0, 1].eq(0).all()
    assert c[0, 1].eq(0).all()
    assert n[0, 1].eq(1).all()
    assert m[0, 1].eq(-math.inf).all()
    assert m[0, 0].isfinite().all()
    if learnt:
        assert layer.initial_n.eq(1).all()
        assert layer.initial_m.eq(-math.inf).all()
    single = recurra.nn.RecurrentCell(slstm_of_paper, 5, 6)
    assert all(state.isfinite().all() for state in single(torch.randn(2, 5)))


def test_learning_leaves_no_state_without_a_number():
    layer = layer_of(slstm_of_paper, 5, learn_initial_state=True)
    optimizer = torch.optim.Adam(layer.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(4, 2, 5))[0].square().sum().backward()
        optimizer.step()
    for name, parameter in layer.named_parameters():
        assert not parameter.isnan().any(), name
    assert layer(torch.randn(4, 2, 5))[0].isfinite().all()


def test_zoneout_mixes_no_state_that_starts_from_infinity():
    with pytest.raises(InputError, match="the state m starts from -inf, which mixes with no other"):
        layer_of(slstm_of_paper, 5, zoneout=0.1)
    assert layer_of(slstm_of_paper, 5, zoneout=(0.1, 0.1, 0.1, 0.0)).zoneout[3] == 0


def test_zoneout_leaves_the_step_before_as_it_was():
    assert layer_of(of_all_words, zoneout=0.25).zoneout == (0.25, 0.25, 0.0)


@pytest.mark.parametrize(
    ("made", "sizes", "message"),
    [
        (sru_highway_of_paper, (5, 6), "expected 6 inputs, as many as units, received 5"),
        (slstm_of_paper, (5, 7), "expected a number of units that 2 heads share, received 7"),
    ],
)
def test_sizes_that_do_not_fit(made, sizes, message):
    with pytest.raises(InputError, match=message) as caught:
        layer_of(made, *sizes)(torch.randn(2, 1, 5))
    assert "\n" not in str(caught.value)


def test_a_layer_has_its_further_inputs():
    with pytest.raises(
        InputError, match="input_size: the cell of_all_words reads 3 further inputs"
    ):
        layer_of(of_all_words, 2)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_compute_the_same(copied):
    layer, x = layer_of(of_all_words), torch.randn(4, 2, 7)
    assert torch.equal(copied(layer)(x)[0], layer(x)[0])


def test_a_graph_names_the_program_that_kernels_run():
    layer, x = layer_of(of_all_words).eval(), torch.randn(4, 2, 7)
    exported = torch.export.export(layer, (x,))
    torch.testing.assert_close(exported.module()(x)[0], layer(x)[0])


def test_tasks_refuse_further_inputs():
    with pytest.raises(
        InputError, match=r"reads further inputs \(dt s\), which the data of this task"
    ):
        recurra.LanguageModel(cell=of_all_words)


def test_a_model_of_a_task_runs_where_its_definition_is_not(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question\n" * 20)
    model = recurra.LanguageModel(cell=slstm_of_paper, hidden=8, embedding=4)
    model.fit(text, steps=3, progress=False)
    model.save(tmp_path / "model")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import recurra\n"
        f"print(recurra.load({str(tmp_path / 'model')!r}).evaluate({str(text)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(model.evaluate(text))
    assert '"version": 2' in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")
def test_kernels_have_more_gates_products_and_states_than_papers():
    names = [f"g{n}" for n in range(20)]
    arguments = ", ".join(f"s{n}" for n in range(12))
    space = {"tanh": tanh, "names": names}
    exec(
        f"def wide(x, u, {arguments}, opt):\n"
        f"    states, new = [{arguments}], []\n"
        "    for n, state in enumerate(states):\n"
        "        new.append(tanh(x[names[n]] + u(state)[names[n + 8]] + 0.5 * states[n - 1]))\n"
        "    return {f's{n}': v for n, v in enumerate(new)}\n",
        space,
    )
    made = Cell(space["wide"], states=arguments.replace(",", ""), gates=" ".join(names))
    layer = Recurrent(made, 5, 7, dtype=torch.float64)
    assert layer._kernel is not None
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    found = []
    for kernel in (layer._kernel, None):
        layer._kernel = kernel
        outputs, states = layer(x)
        loss = outputs.sin().sum() + sum(s.square().sum() for s in states)
        found.append([outputs, *states, *torch.autograd.grad(loss, [x, *layer.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_matrix_made_of_few_numbers_is_bounded():
    program = slstm_of_paper.program()
    given = {
        p.name: np.zeros(p.shape(gates=4, inputs=1, hidden=1 << 15), np.int8)
        if p.name != "weight_hh_heads2"
        else np.zeros((1, 1), np.int8)
        for p in program.parameters
    }
    with pytest.raises(InputError, match="would be of more than"):
        plain_parameters(program, given)


def test_what_has_no_kernels_says_so_once():
    def deaf(x, u, h, opt):
        return dict(h=tanh(u(h, heads=2).g))

    made = Cell(deaf, states="h", gates="g")
    with pytest.warns(RecurraWarning, match="nothing is read of the input"):
        layer = layer_of(made, 4)
    assert layer(torch.randn(3, 2, 4))[0].shape == (3, 2, 6)


def test_matrices_are_made_once_without_gradients_and_anew_when_weights_change():
    layer, x = layer_of(of_all_words, num_layers=2), torch.randn(4, 2, 7)
    with torch.no_grad():
        first = layer(x)[0]
        made = [id(one) for _, one in layer._made]
        assert torch.equal(layer(x)[0], first)
        assert sorted(map(id, (one for _, one in layer._made))) == sorted(made)
        layer.weight_hh_heads2_l0.mul_(2)
        assert not torch.equal(layer(x)[0], first)
        layer.weight_hh_heads2_l0.div_(2)
        assert torch.equal(layer(x)[0], first)
    with torch.inference_mode():
        assert torch.equal(layer(x)[0], first)
    layer.double()
    torch.testing.assert_close(layer(x.double())[0].float(), first)


def test_equations_are_written_as_they_were():
    (c, h) = lines(of_all_words.program())
    assert c == (
        "c = sigmoid(x.f + x.s.f + u(h, heads=2).f - x.dt) * c + "
        "(1 - sigmoid(x.f + x.s.f + u(h, heads=2).f - x.dt)) * tanh(x.n + before(c) * 0.25)"
    )
    assert h == "h = tanh(c' + u(h, rank=2).n)"
    (c, h) = equations(of_all_words.program())
    assert "[c_{t-1}]_{t-1} \\odot 0.25" in c
    assert h == r"h_t = \tanh(c_t + U^{\mathrm{rank2}}_n h_{t-1} + b'_n)"
