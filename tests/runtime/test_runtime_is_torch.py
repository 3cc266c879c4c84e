"""What runs without torch computes what was trained with torch, and in any portions."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from recurra import native
from recurra.runtime.layer import KernelLayer
from recurra.tasks.language_model import runtime as language_model
from runtime.models import ROWS, V, states
from tolerances import assert_close

B, T = 3, 7
IDS = np.random.default_rng(1).integers(0, V, (B, T + 1))
every = pytest.mark.parametrize("row", ROWS, ids=str)


@pytest.fixture(autouse=True, params=["kernels", "numpy"])
def layers(request, monkeypatch):
    """Every test, on both kinds of layers."""
    if request.param == "numpy":
        monkeypatch.setattr(language_model, "on_kernels", lambda *_: False)
    elif not native.available():
        pytest.skip("the kernels are not compiled")
    return request.param


def flat(state):
    return [array for layer in state for array in layer]


def assert_states(actual, expected, what):
    actual, expected = flat(actual), flat(expected)
    assert len(actual) == len(expected) > 0
    for k, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert_close(one, other, f"{what}, state {k}")


@every
def test_logits_and_states_are_torchs(row):
    module, model = row.both()
    with torch.no_grad():
        logits, state = module(torch.from_numpy(IDS))
    current = model.start(B)
    for t in range(T + 1):
        found, current = model.step(IDS[:, t], current)
        assert found.dtype == np.float32
        assert_close(found, logits[:, t], f"logits of step {t}")
    assert_states(current, states(module.rnn, state), "after all steps")


@every
def test_a_carried_state_is_torchs(row):
    module, model = row.both()
    first, second = torch.from_numpy(IDS[:, :3]), torch.from_numpy(IDS[:, 3:])
    with torch.no_grad():
        _, state = module(first)
        logits, _ = module(second, state=state)
    _, carried = model.read(IDS[:, :3], None, model.start(B))
    assert_close(model.read(IDS[:, 3:], None, carried)[0], logits[:, -1], "logits")


@every
def test_step_by_step_is_read_is_scored_is_chunked(row):
    _, model = row.both()
    inputs, targets = IDS[:, :-1], IDS[:, 1:]
    logits, state = [], model.start(B)
    for t in range(T):
        found, state = model.step(inputs[:, t], state)
        logits.append(found)
    whole, ended = model.read(inputs, None, model.start(B))
    assert_close(whole, logits[-1], "read")
    assert_states(ended, state, "read")

    expected = -functional.cross_entropy(
        torch.from_numpy(np.stack(logits, 1)).double().transpose(1, 2),
        torch.from_numpy(targets),
        reduction="none",
    ).float()
    scored, ended = model.log_probabilities(inputs, targets, model.start(B))
    assert scored.dtype == np.float64
    assert_close(scored.astype(np.float32), expected, "log_probabilities")
    assert_states(ended, state, "log_probabilities")

    for cut in range(1, T):
        left, middle = model.log_probabilities(inputs[:, :cut], targets[:, :cut], model.start(B))
        right, ended = model.log_probabilities(inputs[:, cut:], targets[:, cut:], middle)
        both = np.concatenate([left, right], 1).astype(np.float32)
        assert_close(both, expected, f"cut at {cut}")
        assert_states(ended, state, f"cut at {cut}")


@every
def test_the_table_of_input_products_changes_nothing(row, monkeypatch):
    monkeypatch.setattr(language_model, "on_kernels", lambda *_: False)
    _, with_table = row.both()
    monkeypatch.setattr(language_model, "TABLE_BYTES", 0)
    _, without = row.both()
    assert with_table._table is not None
    assert without._table is None
    for model in (with_table, without):
        model.found = model.log_probabilities(IDS[:, :-1], IDS[:, 1:], model.start(B))
    assert_close(
        with_table.found[0].astype(np.float32), without.found[0].astype(np.float32), "scores"
    )
    assert_states(with_table.found[1], without.found[1], "table")


@every
def test_rows_of_unequal_length_are_each_row_alone(row):
    _, model = row.both()
    start = model.read(IDS[:, :2], None, model.start(B))[1]  # not the state anything starts from
    lengths = np.array([T, 1, 4])
    logits, state = model.read(IDS[:, :T], lengths, start)
    for k, length in enumerate(lengths):
        one = model.select(start, np.array([k]))
        expected, ended = model.read(IDS[k : k + 1, :length], None, one)
        assert_close(logits[k : k + 1], expected, f"row {k}")
        assert_states(model.select(state, np.array([k])), ended, f"row {k}")


@every
def test_a_stream_has_the_same_bits_alone_and_among_others(row):
    _, model = row.both()
    if not all(isinstance(layer, KernelLayer) for layer in model._layers):
        return  # numpy does not promise it
    whole, state = model.read(IDS, np.array([T + 1, 2, 5]), model.start(B))
    stepped, after = model.step(IDS[:, 0], state)
    for k, length in enumerate((T + 1, 2, 5)):
        alone, ended = model.read(IDS[k : k + 1], np.array([length]), model.start(1))
        assert np.array_equal(alone[0], whole[k])
        unpadded, _ = model.read(IDS[k : k + 1, :length], None, model.start(1))
        assert np.array_equal(unpadded[0], whole[k])
        one, last = model.step(IDS[k : k + 1, 0], ended)
        assert np.array_equal(one[0], stepped[k])
        for mine, of_all in zip(flat(last), flat(after), strict=True):
            assert np.array_equal(mine[0], of_all[k])


@every
def test_streams_fork_reorder_and_drop_out(row):
    _, model = row.both()
    _, state = model.read(IDS, None, model.start(B))
    before = [array.copy() for array in flat(state)]
    rows = np.array([2, 0, 2])
    chosen = model.select(state, rows)
    for array, original in zip(flat(chosen), before, strict=True):
        assert (array == original[rows]).all()
    ids = np.array([1, 2, 3])
    logits, _ = model.step(ids, chosen)
    for k, kept in enumerate(rows):
        alone, _ = model.step(ids[k : k + 1], model.select(state, np.array([kept])))
        assert_close(logits[k : k + 1], alone, f"stream {k}")
    assert not np.allclose(logits[0], logits[2])  # a fork goes its own way
    for array, original in zip(flat(state), before, strict=True):
        assert (array == original).all(), "a state was changed in place"


@every
def test_streams_do_not_see_each_other(row):
    _, model = row.both()
    logits, _ = model.read(IDS, None, model.start(B))
    other = IDS.copy()
    other[1] = (other[1] + 1) % V
    changed, _ = model.read(other, None, model.start(B))
    assert_close(changed[[0, 2]], logits[[0, 2]], "streams whose tokens are the same")
    assert not np.allclose(changed[1], logits[1])
