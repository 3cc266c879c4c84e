"""Cells of one's own under compilers, exporters and pickle, and definitions that change."""

import copy
import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import recurra
from nn.variants import draw
from recurra import native
from recurra.cells import Cell, cell, definition, find, sigmoid, tanh
from recurra.errors import FormatError, InputError
from recurra.interop.layouts import layout
from recurra.interop.onnx.operators import fits
from recurra.nn import Recurrent
from recurra.ops.arguments import kernel_name, named
from recurra.reference import Interpreter
from recurra.runtime import Architecture
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


def test_a_name_of_before_is_read():
    """It has a digest that says nothing of what can be looked at."""
    program = layer().program
    cell, options, _ = json.loads(kernel_name(program))
    assert named(json.dumps([cell, options, program.meaning()])) == program


def factory(share):
    @cell(states="h", gates="n")
    def made_by_factory(x, u, h, opt):
        return dict(h=share * h + (1 - share) * tanh(x.n + u(h).n))

    return made_by_factory


def undecorated():
    def not_decorated(x, u, h, opt):
        return dict(h=tanh(x.n + 0.375 * u(h).n))

    return Cell(not_decorated, states="h", gates="n")


def seen_by_another_name():
    """Of the same equations as `leaky`, with more to look at."""

    @cell(states="h", gates="z n")
    def leaky(x, u, h, opt):
        z = sigmoid(x.z + u(h).z)
        return dict(z=z, h=z * h + (1 - z) * tanh(x.n + u(z * h).n))

    return leaky


#: What a layer is made of, and what its cell's name stands for later.
KEPT = {
    "defined anew": (lambda: find("leaky"), lambda: redefine()),
    "the same with more to see": (lambda: find("leaky"), seen_by_another_name),
    "a factory's": (lambda: factory(0.25), lambda: factory(0.75)),
    "not decorated": (undecorated, lambda: None),
}


def redefine():
    @cell(states="h", gates="z n")
    def leaky(x, u, h, opt):
        return dict(h=tanh(x.n + u(h).n) * 0.5 + sigmoid(x.z) * h)


def pickled(module):
    return pickle.loads(pickle.dumps(module))


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def state_loaded(module):
    other = Recurrent(module.cell, I, H, dtype=torch.float64)
    other.load_state_dict(module.state_dict())
    return other


def state_assigned(module):
    other = Recurrent(module.cell, I, H, device="meta", dtype=torch.float64)
    assert other._kernel is None
    other.load_state_dict(module.state_dict(), assign=True)
    return other


COPIES = {
    "deepcopy": copy.deepcopy,
    "float, double": lambda m: m.float().double(),
    "half and back": lambda m: m.half().to(torch.float64),
    "to": lambda m: m.to("cpu"),
    "pickle": pickled,
    "torch.save": saved,
    "state_dict": state_loaded,
    "state_dict, assigned": state_assigned,
}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", KEPT)
def test_a_layer_keeps_the_program_it_was_made_with(kind, way):
    make, again = KEPT[kind]
    module, x = Recurrent(make(), I, H, dtype=torch.float64), draw(T, B, I)
    assert module._kernel is not None
    program, kernel = module.program, module._kernel
    again()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(p.half())  # so that all ways keep every bit
    expects = expected(module, x).detach()
    other = COPIES[way](module)
    assert other.program == program
    assert other._kernel == kernel
    assert_close(other(x)[0], expects, way)
    seen = other(x, return_gates=True)[2][0][0]
    assert list(seen) == [name for name, _ in program.visible]


def test_cells_of_a_factory_live_beside_each_other():
    quarter, half = factory(0.25), factory(0.5)
    x = draw(T, B, I)
    for made, share in ((half, 0.5), (quarter, 0.25)):
        module = Recurrent(made, I, H, dtype=torch.float64, init="orthogonal")
        assert pickle.loads(pickle.dumps(made)) is made
        zeros = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
        ones = torch.ones(1, B, H, dtype=torch.float64)
        outputs, _ = torch.func.functional_call(module, zeros, (x, ones))
        assert_close(outputs[0], share * ones[0], f"share {share}")
    assert find("made_by_factory") is half


def test_where_the_definition_is_another_a_pickle_is_refused(tmp_path):
    """In a process of its own, which defines the cell by other equations."""
    path = tmp_path / "layer.pickle"
    path.write_bytes(pickle.dumps(layer()))
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import pickle\nfrom recurra import nn\nfrom recurra.cells import cell, tanh\n"
        "@cell(states='h', gates='z n')\ndef leaky(x, u, h, opt):\n"
        "    return dict(h=tanh(x.n + x.z + u(h).n))\n"
        f"pickle.load(open({str(path)!r}, 'rb'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cell 'leaky': expected the equations that this was made with" in done.stderr


def test_a_script_and_its_import_are_one_definition(tmp_path):
    """`python cells_here.py` defines it in `__main__`; what imports the file defines it again."""
    (tmp_path / "cells_here.py").write_text(
        "import sys\nfrom recurra import nn\nfrom recurra.cells import cell, find, tanh\n"
        "def make(k):\n"
        "    @cell(states='h', gates='n')\n"
        "    def scripted(x, u, h, opt):\n"
        "        return dict(h=tanh(x.n + k * u(h).n))\n"
        "    return scripted\n"
        "first = make(0.5)\n"
        "if __name__ == '__main__':\n"
        "    import pickle, uses_them\n"
        "    assert uses_them.first.digest == first.digest\n"
        "    assert uses_them.other.digest != first.digest\n"
        "    assert pickle.loads(pickle.dumps(first)).digest == first.digest\n"
        "    both = [nn.Recurrent(c, 2, 3)._kernel for c in (first, uses_them.first)]\n"
        "    print(both[0] == both[1])\n"
    )
    (tmp_path / "uses_them.py").write_text(
        "import cells_here\nfirst, other = cells_here.first, cells_here.make(0.25)\n"
    )
    code = [sys.executable, str(tmp_path / "cells_here.py")]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_a_name_of_another_module_stays_with_it():
    def leaky(x, u, h, opt):
        return dict(h=tanh(x.n + u(h).n))

    leaky.__module__ = "elsewhere"
    leaky.__code__ = leaky.__code__.replace(co_filename="/elsewhere.py")
    with pytest.raises(InputError, match=r"'leaky' is defined in .* already: choose another name"):
        cell(states="h", gates="n")(leaky)


def lstm(x, u, h, c, opt):
    return dict(c=c, h=tanh(x.i + u(c).f) * sigmoid(x.g + x.o))


def test_a_cell_that_has_only_the_name_of_a_built_in_one_is_not_taken_for_it():
    module = Recurrent(Cell(lstm, states="h c", gates="i f g o"), I, H)
    assert module._fused is None
    assert not native.built_in(module.program)
    with pytest.raises(InputError, match="it lacks the cell lstm"):
        recurra.to_torch(module)
    with pytest.raises(InputError, match="torch has no such cell"):
        layout("torch", module.program)
    assert not fits(module.program, np.dtype("float32"))


@pytest.mark.usefixtures("restored")
def test_a_model_is_not_run_by_other_equations():
    program = find("leaky").program()
    said = Architecture("leaky", 1, False, (0.0,), {}).to_json()
    assert said["equations"] == program.meaning()
    assert "equations" not in Architecture("gru", 1, False, (0.0,), {}).to_json()
    read = Architecture.from_json(said)
    redefine()
    assert read.program.meaning() == program.meaning(), "both are defined, and it says which"
    with pytest.raises(FormatError, match="'leaky': expected the equations") as caught:
        Architecture.from_json({**said, "equations": "0" * 16})
    assert "\n" not in str(caught.value)


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
