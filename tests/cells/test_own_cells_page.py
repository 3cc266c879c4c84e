"""What the pages say of cells of one's own is what the code does."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import recurra
from conftest import ROOT
from recurra import native, nn
from recurra.cells import CellData, cell, sigmoid, tanh
from recurra.cells.limits import LIMITS
from recurra.errors import FormatError, InputError
from recurra.tasks.catalog import ENTRIES


@cell(states="h", gates="f n")
def of_the_page(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    return dict(f=f, n=n, h=(1 - f) * h + f * n)


PAGE = (ROOT / "docs" / "cells.md").read_text(encoding="utf-8")


def layer(**options):
    torch.manual_seed(0)
    return nn.Recurrent("of_the_page", 3, 4, **options)


def test_the_limits_of_kernels():
    found = re.search(r"at most (\d+) gates and (\d+) states", PAGE)
    limits = [LIMITS[f"max_{what}"][0] for what in ("gates", "states")]
    assert list(map(int, found.groups())) == limits


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.task)
def test_models_of_tasks_have_it(entry):
    assert "of_the_page" in repr(entry.load()(cell="of_the_page"))


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"peephole": True}, {"proj_size": 2}])
def test_options_that_it_does_not_declare_are_refused(options):
    with pytest.raises(InputError, match="of_the_page"):
        layer(**options)


@pytest.mark.parametrize("convert", [recurra.to_torch, recurra.to_keras])
def test_other_libraries_have_no_counterpart(convert, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match="it lacks the cell of_the_page"):
        convert(layer())


def test_an_onnx_file_needs_no_definition(tmp_path):
    onnx = pytest.importorskip("onnx")
    module, x = layer().eval(), torch.randn(5, 2, 3)
    (path,) = recurra.export.onnx(module, tmp_path / "own.onnx")
    with pytest.raises(FormatError, match="found none"):
        recurra.from_onnx(path)
    notes = {p.key: p.value for p in onnx.load(path).metadata_props}
    data = CellData.from_json(json.loads(notes["recurra.cell"]), "notes")
    assert data.programs == (module.program,)
    x_path, y_path = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
    np.save(x_path, x.numpy())
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\nimport numpy as np, recurra\n"
        f"found = recurra.load({str(path)!r}).run({{'input': np.load({x_path!r})}})\n"
        f"np.save({y_path!r}, found['output'])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    wanted = module(x)[0].detach().numpy()
    np.testing.assert_allclose(np.load(y_path), wanted, atol=1e-6)


def test_it_is_one_operator_in_a_graph_as_the_others_are():
    module, x = layer().eval(), torch.randn(5, 2, 3)
    graph = torch.export.export(module, (x,)).graph
    called = {str(node.target) for node in graph.nodes if "recurra." in str(node.target)}
    wanted = {
        str(node.target)
        for node in torch.export.export(nn.GRU(3, 4).eval(), (x,)).graph.nodes
        if "recurra." in str(node.target)
    }
    assert called == wanted
    assert not native.available() or native.find(module.program) is not None
