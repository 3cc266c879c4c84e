"""ONNX's own tests of operators, run through our importer."""

import numpy as np
import onnx
import pytest

from interop.standard import cases
from recurra.errors import RecurraError
from recurra.interop.onnx.recurrence import GATES
from recurra.interop.onnx.run import KNOWN, OnnxModel

#: Cases of what we refuse: numbers of other kinds, sequences, training, maxima of nothing, versions
#: of 2017.
REFUSED = ("FLOAT8", "E8M0", "INT4", "INT2", "FLOAT4", "_string", "_sequence", "_identity_opt")
REFUSED += ("_opt", "training_dropout", "_mask", "max_empty_set", "test_scan_sum", "test_not_")

RECURRENT = cases(GATES)
OTHERS = cases(set(KNOWN) - set(GATES))


def arrays(values):
    protos = onnx.TensorProto
    return [
        onnx.numpy_helper.to_array(v) if isinstance(v, protos) else np.asarray(v) for v in values
    ]


def check(case, path):
    path.write_bytes(case.model.SerializeToString())
    model = OnnxModel.load(path)
    for inputs, outputs in case.data_sets:
        given = zip([v.name for v in model.inputs], arrays(inputs), strict=True)
        found = model.run(dict(given)).values()
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
def test_the_operators_around_them(op, tmp_path):
    found = [c for c in OTHERS if c.model.graph.node[0].op_type == op]
    assert found or op in ("LeakyRelu", "Constant"), op
    served = 0
    for case in found:
        if any(part in case.name for part in REFUSED):
            with pytest.raises(RecurraError) as caught:
                check(case, tmp_path / "case.onnx")
            assert "\n" not in str(caught.value)
        else:
            check(case, tmp_path / "case.onnx")
            served += 1
    assert served or op == "Not", op
