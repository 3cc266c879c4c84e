"""One protocol of a stream: in any cutting it is the whole; its state is a value; forks and
neighbours change nothing; what is wrong leaves it as it was."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recurra
from recurra.errors import FormatError, InputError
from recurra.runtime import StreamState, push_many
from tasks import tones
from tasks.streamed import FEW, STREAMED, cut, pieces_of, told

each = pytest.mark.parametrize("name", STREAMED)


def same(one, other):
    """Results are told apart by what they say."""
    assert told(one) == told(other)


@each
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_in_any_cutting_it_is_the_whole(name, data):
    row = STREAMED[name]
    model = row.make()
    items = row.sequence(model)
    largest = max(2, len(items) // 3)
    sizes = data.draw(st.lists(st.integers(1, largest), max_size=8))
    stream = row.open(model)
    results = [stream.push(row.frame(piece)) for piece in cut(items, sizes)]
    assert not stream.ended
    assert row.joined(results, stream.finish()) == row.whole(model, items)
    assert stream.ended


@each
def test_its_state_is_a_value(name, tmp_path):
    row = STREAMED[name]
    model = row.make()
    pieces = pieces_of(row, model)
    one, other = row.open(model), None
    for number, piece in enumerate(pieces):
        if other is not None:
            same(other.push(row.frame(piece)), one.push(row.frame(piece)))
        else:
            one.push(row.frame(piece))
        state = one.state
        assert state == one.state
        assert hash(state) == hash(one.state)
        if number % 3 == 0:
            path = state.save(tmp_path / f"state{number}")
            assert StreamState.load(path) == state == pickle.loads(pickle.dumps(state))
            other = resumed(row, model, StreamState.load(path))
            assert other.state == state
    same(one.finish(), other.finish())
    assert one.state == other.state


def resumed(row, model, state):
    """A stream from a state; whatever else it was opened with is in the state."""
    return model.open_stream(state=state)


@each
def test_forks_go_on_by_themselves(name):
    row = STREAMED[name]
    model = row.make()
    frames = [row.frame(piece) for piece in pieces_of(row, model)]
    stream = row.open(model)
    for frame in frames[:3]:
        stream.push(frame)
    before = stream.state
    forks = [stream.fork(), copy.copy(stream), copy.deepcopy(stream),
             pickle.loads(pickle.dumps(stream))]  # fmt: skip
    wanted = [told(stream.push(frame)) for frame in frames[3:]]
    last = told(stream.finish())
    for fork in forks:
        assert fork.state == before
        assert [told(fork.push(frame)) for frame in frames[3:]] == wanted
        assert told(fork.finish()) == last
    stream.state = before
    assert not stream.ended
    assert [told(stream.push(frame)) for frame in frames[3:]] == wanted


@each
def test_many_step_together_as_each_alone(name):
    row = STREAMED[name]
    model = row.make()
    items = row.sequence(model)
    size = max(1, len(items) // FEW)
    plans = [
        cut(items, [size] * FEW),
        cut(items, [3 * size, 2 * size] * 2),
        cut(items, [2 * size] * 6),
    ]
    rounds = min(map(len, plans))
    alone = []
    for plan in plans:
        stream = row.open(model)
        alone.append([told(stream.push(row.frame(piece))) for piece in plan[:rounds]])
    streams = [row.open(model) for _ in plans]
    for turn in range(rounds):
        frames = [row.frame(plan[turn]) for plan in plans]
        if turn == 2:  # in another order, one stays behind
            found = push_many(streams[:0:-1], frames[:0:-1])[::-1]
            found = [streams[0].push(frames[0]), *found]
        else:
            found = push_many(streams, frames)
        assert [told(one) for one in found] == [results[turn] for results in alone]


@each
def test_what_is_wrong_leaves_it_as_it_was(name):
    row = STREAMED[name]
    model = row.make()
    frames = [row.frame(piece) for piece in pieces_of(row, model)]
    one, other = row.open(model), row.open(model)
    push_many([one, other], frames[:2])
    before = one.state, other.state
    with pytest.raises(InputError) as caught:
        one.push(row.wrong)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        push_many([one, other], [frames[2], row.wrong])
    with pytest.raises(InputError, match="expected a frame for each stream"):
        push_many([one, other], frames[:1])
    with pytest.raises(InputError, match="expected each stream once"):
        push_many([one, one], frames[:2])
    with pytest.raises(InputError, match="stream 1: expected one"):
        push_many([one, model], frames[:2])
    assert (one.state, other.state) == before
    one.push(frames[2])
    one.finish()
    for ask in (lambda: one.push(frames[0]), one.finish):
        with pytest.raises(InputError, match="this stream has ended: open another"):
            ask()
    assert push_many([], []) == []


@each
def test_a_state_of_another_model_is_refused(name):
    row = STREAMED[name]
    model = row.make()
    stream = row.open(model)
    stream.push(row.frame(pieces_of(row, model)[0]))
    state = stream.state
    foreign = StreamState(state.kind, "0" * 64, state.arrays, state.values)
    with pytest.raises(InputError, match="expected one of this model") as caught:
        stream.state = foreign
    assert "\n" not in str(caught.value)
    other = StreamState("barometer", state.model, state.arrays, state.values)
    with pytest.raises(InputError, match="received one of a barometer"):
        stream.state = other
    with pytest.raises(InputError, match="expected the `state` of a stream"):
        stream.state = b"state"
    assert stream.state == state


@each
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_damaged_state_is_refused(name, data):
    row = STREAMED[name]
    model = row.make()
    stream = row.open(model)
    for piece in pieces_of(row, model)[:4]:
        stream.push(row.frame(piece))
    good = stream.state
    arrays, values = dict(good.arrays), dict(good.values)
    kinds = ["drop", "shape", "number", "type"] if arrays else []
    kind = data.draw(st.sampled_from([*kinds, "value"]))
    if kind == "value":
        key = data.draw(st.sampled_from(sorted(values)))
        values[key] = data.draw(st.sampled_from([None, -1, "x", [], {}, 1 << 90, 0.5, True, [-1]]))
    else:
        key = data.draw(st.sampled_from(sorted(arrays)))
        damage = {
            "drop": lambda a: None,
            "shape": lambda a: np.concatenate([a[None], a[None]]),
            "number": lambda a: (
                np.full_like(a, -7 if a.dtype.kind == "i" else np.nan)
                if a.dtype.kind in "if"
                else a.astype(np.int32)
            ),
            "type": lambda a: a.astype(np.float16 if a.dtype.kind != "f" else np.int8),
        }[kind](arrays[key])
        arrays = {n: a for n, a in {**arrays, key: damage}.items() if a is not None}
    bad = StreamState(good.kind, good.model, arrays, values)
    if refusal(lambda: setattr(stream, "state", bad)):
        assert stream.state == good
    else:  # what may stand there: it goes on, or says in a line why not
        refusal(lambda: stream.push(row.frame(pieces_of(row, model)[-1])))
        refusal(stream.finish)


def refusal(ask):
    """The line with which something is refused; "" where it is not."""
    try:
        ask()
    except (FormatError, InputError) as error:
        return str(error) if "\n" not in str(error) else pytest.fail("more than a line")
    return ""


@each
def test_threads_read_streams_of_their_own(name):
    row = STREAMED[name]
    model = row.make()
    frames = [row.frame(piece) for piece in pieces_of(row, model)]

    def run(_=0):
        stream = row.open(model)
        results = [told(stream.push(frame)) for frame in frames]
        return results, told(stream.finish())

    wanted = run()
    with ThreadPoolExecutor(2) as pool:
        assert all(found == wanted for found in pool.map(run, range(4)))


def test_what_a_stream_was_opened_with_is_in_its_state():
    """And is not given beside it, or stands for it."""
    row, beams = STREAMED["speech"], STREAMED["speech, beams"]
    model = row.make()
    items = row.sequence(model)
    one, other = row.open(model), beams.open(model)
    push_many([one, other], [items[:4000]] * 2)
    again = model.open_stream(state=other.state)
    assert again.text == other.text
    assert model.open_stream(state=other.state, beams=4).state == other.state
    with pytest.raises(InputError, match="beams: the state was taken with 4, received 2"):
        model.open_stream(state=other.state, beams=2)
    with pytest.raises(InputError, match=r"rate: the state was taken with 8000, received 16000"):
        model.open_stream(state=other.state, rate=16000)
    for stream, state in ((one, other.state), (other, one.state)):
        with pytest.raises(FormatError, match=r"beams: expected ., as this stream has"):
            stream.state = state
    series = STREAMED["a series, direct"]
    model = series.make()
    stream = series.open(model, levels=[0.1, 0.5])
    assert model.open_stream(state=stream.state).forecast().levels == (0.1, 0.5)
    with pytest.raises(InputError, match="those of the state: leave them out"):
        model.open_stream(state=stream.state, seed=3)
    with pytest.raises(InputError, match="expected either the series up to now or a state"):
        model.open_stream()
    source = STREAMED["a source"]
    model = source.make()
    stream = source.open(model)
    stream.push("abc")
    assert model.open_stream(state=stream.state).finish() == model.predict("abc", beams=1)
    with pytest.raises(InputError, match="those of the state: leave them out"):
        model.open_stream(state=stream.state, beams=2)


def test_a_language_model_that_helps_is_asked_for_again(tmp_path):
    row = STREAMED["speech"]
    model = row.make()
    (tmp_path / "scales.txt").write_text("do mi so\nso mi do\n" * 50)
    helps = []
    for seed in (0, 1):
        lm = recurra.LanguageModel(tokenizer="word", hidden=8)
        lm.fit(tmp_path / "scales.txt", lines=True, steps=8, batch=4, progress=False, seed=seed)
        helps.append(lm)
    items = row.sequence(model)
    how = {"beams": 4, "language_model": helps[0], "weight": 0.3}
    stream = model.open_stream(**how)
    stream.push(items[:4000])
    with pytest.raises(InputError, match="give the same one as language_model"):
        model.open_stream(state=stream.state)
    with pytest.raises(InputError, match="give the same one as language_model"):
        model.open_stream(state=stream.state, language_model=helps[1])
    again = model.open_stream(state=stream.state, language_model=helps[0])
    again.push(items[4000:])
    stream.push(items[4000:])
    assert again.state == stream.state
    (whole,) = model.predict(tones.Sound(items, tones.RATE), **how)
    assert again.finish() == stream.finish() == whole.text


def test_a_translation_is_written_token_by_token():
    model = STREAMED["a source"].make()
    wanted = model.predict("abcdef", beams=1)
    stream, written = model.open_stream(beams=1), []
    stream.push("abc")
    stream.push("def")
    while not stream.ended:
        written.append(next(stream.write()))
        stream = model.open_stream(state=stream.state)
    assert "".join(written) == wanted.text
    assert stream.translation == wanted
    stream = model.open_stream(beams=1)
    with pytest.raises(InputError, match="expected a source, received nothing"):
        next(stream.write())
    stream.push("abcdef")
    next(stream.write())
    with pytest.raises(InputError, match="being written already"):
        stream.push("g")
    assert stream.finish() == wanted
    with pytest.raises(InputError, match="beams: expected 1, received 4"):
        model.open_stream().write()


def test_certain_tags_come_early():
    model = STREAMED["tags in chains"].make()
    words = STREAMED["tags in chains"].sequence(model)
    stream, certain = model.open_stream(), []
    for count, word in enumerate(words, 1):
        certain += stream.push(word)
        assert list(stream.tags) == list(model.predict([words[:count]])[0])
        assert certain == list(stream.tags)[: len(certain)]
    assert len(certain) > len(words) // 2
    free = STREAMED["tags"].make().open_stream()
    assert all(len(free.push(word)) == 1 for word in words)
