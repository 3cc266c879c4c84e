"""ONNX's own tests of operators, run through our importer."""

import numpy as np
import onnx
import pytest

from interop.standard import cases
from recurra.errors import RecurraError
from recurra.interop.onnx.memory import required
from recurra.interop.onnx.recurrence import GATES
from recurra.interop.onnx.run import KNOWN, OnnxModel

#: Cases of what we refuse: numbers of other kinds, sequences, training, maxima of nothing, versions
#: of 2017.
REFUSED = ("FLOAT8", "E8M0", "INT4", "INT2", "FLOAT4", "_string", "_sequence", "_identity_opt")
REFUSED += ("_opt", "training_dropout", "_mask", "max_empty_set", "test_scan_sum", "test_not_")

#: Operators of which the standard has no case.
WITHOUT_CASES = ("Constant", "LeakyRelu")
#: What a failing case may lack: the places an operator is described in.
PLACES = """
  what it computes           OPERATORS in interop/onnx/numpy_operators.py
  how large its result is    _ELEMENTS in interop/onnx/memory.py; else as all inputs broadcast
  more outputs than one      MANY in interop/onnx/numpy_operators.py
  a shape that is an input   _made() in its function, and _MADE in interop/onnx/run.py
  refused on purpose         a part of the case's name in REFUSED above"""

RECURRENT = cases(GATES)
OTHERS = cases(set(KNOWN) - set(GATES))


def arrays(values):
    protos = onnx.TensorProto
    return [
        onnx.numpy_helper.to_array(v) if isinstance(v, protos) else np.asarray(v) for v in values
    ]


def check(case, path, monkeypatch=None):
    sizes = []
    if monkeypatch is not None:

        def counted(*node):
            sizes.append(required(*node))
            return sizes[-1]

        monkeypatch.setattr("recurra.interop.onnx.run.required", counted)
    path.write_bytes(case.model.SerializeToString())
    model = OnnxModel.load(path)
    for inputs, outputs in case.data_sets:
        given = zip([v.name for v in model.inputs], arrays(inputs), strict=True)
        found = model.run(dict(given)).values()
        made, said = sum(a.nbytes for a in found), sum(sizes)
        # Where nothing is said, the result is a view, or the operator counts by itself.
        assert not said or made <= said, f"{case.name} makes {made} bytes, not {said}: {PLACES}"
        sizes.clear()
        for one, other in zip(found, arrays(outputs), strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape), case.name
            both = (a.astype(np.float64) for a in (one, other))  # bfloat16 is no number of numpy's
            np.testing.assert_allclose(*both, rtol=case.rtol, atol=case.atol, err_msg=case.name)


@pytest.mark.parametrize("case", RECURRENT, ids=lambda c: c.name)
def test_recurrent_operators(case, tmp_path):
    check(case, tmp_path / "case.onnx")


def test_there_are_tests_of_all_recurrent_operators():
    assert len(RECURRENT) >= 18
    assert {c.model.graph.node[0].op_type for c in RECURRENT} == set(GATES)


@pytest.mark.parametrize("op", sorted(set(KNOWN) - set(GATES)))
def test_the_operators_around_them(op, tmp_path, monkeypatch):
    found = [c for c in OTHERS if c.model.graph.node[0].op_type == op]
    assert found or op in WITHOUT_CASES, (
        f"onnx has no case of {op}: write it in OPERATORS as the standard does, or "
        "test it in tests/interop and add it to WITHOUT_CASES"
    )
    served = 0
    for case in found:
        if any(part in case.name for part in REFUSED):
            with pytest.raises(RecurraError) as caught:
                check(case, tmp_path / "case.onnx")
            assert "\n" not in str(caught.value)
        else:
            try:
                check(case, tmp_path / "case.onnx", None if op == "Scan" else monkeypatch)
            except RecurraError as error:
                why = f"{error}, because: {error.__cause__!r}"
                pytest.fail(f"{op}: {why}\nIt may lack one of: {PLACES}")
            served += 1
    assert served or op in (*WITHOUT_CASES, "Not"), f"{op}: REFUSED passes over all of its cases"
