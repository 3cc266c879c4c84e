"""Cells of one's own under compilers, exporters and pickle, and definitions that change."""

import copy
import io
import subprocess
import sys

import pytest
import torch

from nn.variants import draw
from recurra import native
from recurra.cells import cell, definition, sigmoid, tanh
from recurra.errors import InputError
from recurra.nn import Recurrent
from recurra.ops.arguments import kernel_name, named
from recurra.reference import Interpreter
from tolerances import assert_close

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

T, B, I, H = 4, 3, 5, 6


@cell(states="h", gates="z n")
def leaky(x, u, h, opt):
    z = sigmoid(x.z + u(h).z)
    return dict(h=z * h + (1 - z) * tanh(x.n + u(z * h).n))


@pytest.fixture
def restored():
    """The definitions as they were."""
    before = dict(definition._registry)
    yield
    definition._registry.clear()
    definition._registry.update(before)


def layer(**more):
    return Recurrent("leaky", I, H, dtype=torch.float64, **more)


def expected(module, x):
    weights = dict(zip(module._names[0], module.all_weights[0], strict=True))
    return Interpreter(module.program, weights).run(x, (x.new_zeros(x.shape[1], H),)).outputs


def test_compiles_into_one_graph():
    module, x = layer(), draw(T, B, I)
    torch._dynamo.reset()
    outputs, _ = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
    assert_close(outputs, expected(module, x), "compiled")
    outputs.sum().backward()
    found = module.weight_hh_l0.grad.clone()
    module.zero_grad()
    expected(module, x).sum().backward()
    assert_close(found, module.weight_hh_l0.grad, "gradient")


def test_exports_and_is_read_where_the_definition_is(tmp_path):
    module, x = layer().eval(), draw(T, B, I)
    with torch.no_grad():
        exported = torch.export.export(module, (x,))
    assert "recurra.recurrent" in exported.graph_module.code
    path = tmp_path / "exported.pt2"
    torch.export.save(exported, path)
    outputs, _ = torch.export.load(path).module()(x)
    assert_close(outputs, expected(module, x).detach(), "loaded")
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"import torch, recurra.nn\nprogram = torch.export.load({str(path)!r}).module()\n"
        f"program(torch.zeros({T}, {B}, {I}, dtype=torch.float64))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "unknown cell 'leaky'" in done.stderr


@pytest.mark.usefixtures("restored")
def test_a_new_definition_has_kernels_and_the_old_layers_keep_theirs():
    old, x = layer(), draw(T, B, I)

    @cell(states="h", gates="z n")
    def leaky(x, u, h, opt):
        return dict(h=tanh(x.n + u(h).n) * 0.5 + sigmoid(x.z) * h)

    new = layer()
    assert new._kernel is not None
    assert new._kernel != old._kernel
    for module in (old, new):
        assert_close(module(x)[0], expected(module, x), str(module._kernel))
        name = module._kernel
        assert named(name) == module.program


@pytest.mark.usefixtures("restored")
def test_a_name_is_not_read_by_other_equations():
    name = kernel_name(layer().program)
    other = name.replace(name[-18:-2], "0" * 16)
    assert other != name
    with pytest.raises(InputError, match="cell 'leaky': expected the equations") as caught:
        named(other)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("restored")
def test_a_cell_that_others_do_not_find_is_the_references():
    program = layer().program
    del definition._registry["leaky"]
    assert kernel_name(program) is None


def test_copies_and_pickles_find_their_kernels(monkeypatch):
    module, x = layer(), draw(T, B, I)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for other in (copy.deepcopy(module), loaded):
        assert other._kernel == module._kernel
        assert torch.equal(other(x)[0], module(x)[0])
    monkeypatch.setattr(native, "find", lambda program: None)  # as on a machine without any
    file.seek(0)
    assert torch.load(file, weights_only=False)._kernel is None
