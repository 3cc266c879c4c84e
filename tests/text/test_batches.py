"""Streams and lines by enumeration: every token once, states carried, ranks side by side."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.text import Corpus, LineBatches, StreamBatches, TokenFile, train_tokenizer
from text.test_tokenizers import TRAINED

shapes = st.tuples(
    st.integers(1, 6), st.integers(1, 9), st.integers(0, 3), st.booleans(), st.booleans()
)


def streams_of(batches) -> tuple[list[list[int]], list[list[int]]]:
    """The inputs and the targets of each row, over all segments."""
    count = batches[0].inputs.shape[0]
    inputs, targets = [[] for _ in range(count)], [[] for _ in range(count)]
    for index, part in enumerate(batches):
        assert part.carry == (index > 0)
        assert part.inputs.dtype == part.targets.dtype == np.int64
        assert part.inputs.flags["C_CONTIGUOUS"]
        mask = np.ones_like(part.inputs, bool) if part.mask is None else part.mask
        assert part.count == mask.sum() > 0
        for row in range(count):
            inputs[row] += part.inputs[row][mask[row]].tolist()
            targets[row] += part.targets[row][mask[row]].tolist()
    return inputs, targets


@given(shapes, st.integers(0, 60))
@settings(max_examples=300)
def test_streams_hold_each_token_once(shape, more):
    batch, bptt, epoch, random_lengths, whole = shape
    tokens = np.arange(100, 100 + 2 * batch + more, dtype=np.uint16)
    options = {"random_lengths": random_lengths, "whole": whole, "seed": 5, "epoch": epoch}
    batches = StreamBatches(tokens, batch=batch, bptt=bptt, **options)
    inputs, targets = streams_of(batches)
    seen = list(itertools.chain(*inputs))
    first, last = 100 + batches.offset, 100 + batches.offset + batches.predictions
    assert seen == list(range(first, last))
    assert list(itertools.chain(*targets)) == [token + 1 for token in seen]
    lost = len(tokens) - 1 - batches.offset - len(seen)
    assert lost == 0 if whole else lost < batch
    assert batches.offset == 0 if whole or epoch == 0 else batches.offset < bptt
    lengths = {len(row) for row in inputs}
    assert max(lengths) - min(lengths) <= whole
    if not random_lengths:
        steps = [part.inputs.shape[1] for part in batches]
        assert steps[:-1] == [bptt] * (len(steps) - 1)
        assert 1 <= steps[-1] <= bptt
    if not whole:
        assert all(part.mask is None for part in batches)


@given(shapes, st.integers(1, 3))
@settings(max_examples=100)
def test_ranks_divide_the_rows(shape, world):
    batch, bptt, epoch, random_lengths, whole = shape
    options = {
        "batch": batch * world,
        "bptt": bptt,
        "seed": 1,
        "epoch": epoch,
        "random_lengths": random_lengths,
        "whole": whole,
    }
    tokens = np.arange(97)
    single = StreamBatches(tokens, **options)
    ranks = [StreamBatches(tokens, **options, rank=rank, world=world) for rank in range(world)]
    for index, part in enumerate(single):
        for rank in range(world):
            assert ranks[rank][index].inputs.tolist() == part.inputs[rank::world].tolist()
            assert ranks[rank][index].targets.shape == part.targets[rank::world].shape
    assert {len(part) for part in ranks} == {len(single)}
    assert {part.predictions for part in ranks} == {single.predictions}


def test_epochs_start_elsewhere_and_come_again():
    tokens = np.arange(5000)

    def first(seed, epoch):
        return StreamBatches(tokens, batch=4, bptt=50, seed=seed, epoch=epoch).offset

    offsets = [first(7, epoch) for epoch in range(20)]
    assert offsets == [first(7, epoch) for epoch in range(20)]
    assert offsets[0] == 0
    assert len(set(offsets)) > 10
    assert max(offsets) > 25
    assert offsets[1:] != [first(8, epoch) for epoch in range(1, 20)]


def test_random_lengths_are_those_of_merity():
    tokens = np.zeros(2_000_001, np.uint8)
    batches = StreamBatches(tokens, batch=1, bptt=70, random_lengths=True, seed=3, epoch=1)
    lengths = np.diff(batches._ends[:-1])
    half = lengths < 52.5
    assert abs(half.mean() - 0.05) < 0.01
    assert abs(lengths[~half].mean() - 69.5) < 0.5
    assert abs(lengths[half].mean() - 34.5) < 1
    assert abs(lengths[~half].std() - 5) < 0.3
    short = StreamBatches(tokens, batch=1, bptt=6, random_lengths=True)
    assert np.diff(short._ends)[:-1].min() == 5
    again = StreamBatches(tokens, batch=1, bptt=70, random_lengths=True, seed=3, epoch=2)
    assert again._ends[:9].tolist() != batches._ends[:9].tolist()


def test_batches_are_a_sequence():
    batches = StreamBatches(np.arange(30), batch=2, bptt=4)
    assert len(batches) == len(list(batches)) == 4
    assert batches[-1].inputs.tolist() == batches[3].inputs.tolist()
    assert [part.inputs.shape for part in batches[1:]] == [(2, 4), (2, 4), (2, 2)]
    for index in (4, -5):
        with pytest.raises(IndexError, match="of 4"):
            batches[index]


REFUSED = {
    "short": ({"batch": 9}, "the text has 17 tokens, and batch=9 .* at least 18: lower batch to 8"),
    "batch": ({"batch": 0}, "batch=0"),
    "bptt": ({"bptt": 0}, "bptt=0"),
    "seed": ({"seed": -1}, "seed=-1"),
    "rank": ({"rank": 2, "world": 2}, "rank=2, world=2"),
    "world": ({"batch": 4, "world": 3}, "batch=4 cannot be divided among 3 .* as 6"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_sizes_that_make_no_streams(options, message):
    with pytest.raises(InputError, match=message):
        StreamBatches(np.arange(17), **{"batch": 2, "bptt": 4, **options})


def test_one_token_is_too_few():
    with pytest.raises(InputError, match=r"the text has 1 tokens.* at least 2: give more text"):
        StreamBatches(np.arange(1), batch=1, bptt=4)


def test_a_batch_touches_only_its_slices():
    class Watched(np.ndarray):
        touched = 0

        def __getitem__(self, key):
            found = np.asarray(self)[key]
            Watched.touched += found.size
            return found

    batches = StreamBatches(np.arange(100_000), batch=4, bptt=10)
    batches._data = batches._data.view(Watched)
    batches[5]
    assert Watched.touched == 2 * 4 * 10


# -- lines ----------------------------------------------------------------------------------------

LINES = ["".join(f"{i:04}") + "x" * (i * 7 % 23) for i in range(211)]
CHAR = train_tokenizer("char", ["".join(LINES)], eos=True)


@pytest.fixture(scope="module")
def token_file(tmp_path_factory) -> TokenFile:
    path = tmp_path_factory.mktemp("lines") / "t"
    return TokenFile.write(path, Corpus.of("\n".join(LINES)), CHAR, lines=True)


def rows_of(batches: LineBatches) -> list[list[str]]:
    """The lines of each batch, its segments put together; checks what is around them."""
    groups: list[list[str]] = []
    parts = list(batches)
    begins = [i for i, part in enumerate(parts) if not part.carry]
    for begin, end in itertools.pairwise([*begins, len(parts)]):
        group = parts[begin:end]
        inputs = np.concatenate([part.inputs for part in group], axis=1)
        targets = np.concatenate([part.targets for part in group], axis=1)
        mask = np.concatenate(
            [np.ones_like(p.inputs, bool) if p.mask is None else p.mask for p in group], axis=1
        )
        assert sum(part.count for part in group) == mask.sum()
        rows = []
        for row in range(len(mask)):
            length = int(mask[row].sum())
            assert mask[row].tolist() == [True] * length + [False] * (mask.shape[1] - length)
            assert set(inputs[row][length:]) | set(targets[row][length:]) <= {CHAR.eos_id}
            if length:
                ids = inputs[row][:length].tolist()
                assert ids[0] == CHAR.eos_id
                assert targets[row][:length].tolist() == [*ids[1:], CHAR.eos_id]
                rows.append(CHAR.decode(ids[1:]))
        groups.append(rows)
    return groups


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("bptt", [None, 1, 5, 100])
@pytest.mark.parametrize("batch", [1, 4, 300])
def test_lines_come_once_an_epoch(token_file, batch, bptt, shuffle):
    batches = LineBatches(token_file, batch=batch, bptt=bptt, seed=2, epoch=1, shuffle=shuffle)
    groups = rows_of(batches)
    lines = list(itertools.chain(*groups))
    assert sorted(lines) == sorted(LINES)
    assert (lines == LINES) == (not shuffle)
    assert sorted(map(len, groups))[1:] == [batch] * (len(groups) - 1)
    assert batches.predictions == sum(part.count for part in batches) == len(token_file) - 1
    assert all(part.inputs.shape[1] <= (bptt or 99) for part in batches)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("bptt", [None, 6])
def test_ranks_divide_the_lines(token_file, world, bptt):
    options = {"batch": 12, "bptt": bptt, "seed": 4, "epoch": 2}
    whole = rows_of(LineBatches(token_file, **options))
    ranks = [LineBatches(token_file, **options, rank=r, world=world) for r in range(world)]
    divided = [rows_of(rank) for rank in ranks]
    for index, group in enumerate(whole):
        assert [divided[rank][index] for rank in range(world)] == [
            group[rank::world] for rank in range(world)
        ]
    for parts in zip(*ranks, strict=True):
        assert len({part.inputs.shape for part in parts}) == 1
        assert len({part.carry for part in parts}) == 1


def test_lines_of_similar_length_lie_together(token_file):
    def padding(**options):
        parts = LineBatches(token_file, batch=8, **options)
        return 1 - parts.predictions / sum(part.inputs.size for part in parts)

    assert padding(shuffle=False) > 0.3
    assert padding(seed=1) < 0.06


def test_line_epochs_differ_and_come_again(token_file):
    def order(seed, epoch):
        return rows_of(LineBatches(token_file, batch=8, seed=seed, epoch=epoch))

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2) != order(2, 2)
    lengths = [len(group[0]) for group in order(1, 1)]
    assert lengths != sorted(lengths)


def test_lines_need_a_file_with_lines(tmp_path):
    file = TokenFile.write(tmp_path / "t", Corpus.of("the cat"), TRAINED["char"])
    with pytest.raises(InputError, match="write it with lines=True"):
        LineBatches(file, batch=2)


def test_no_torch_is_needed():
    code = "import sys; sys.modules['torch'] = None; import recurra.text"
    subprocess.run([sys.executable, "-c", code], check=True)
