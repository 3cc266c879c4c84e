"""A stream of text is read and written, in any order, as one text is."""

import copy
from itertools import islice

import numpy as np
import pytest

import recurra
from golden.outputs import HERE
from recurra.errors import InputError

NAMES = [
    "lm-char-lstm",
    "lm-word-gru",
    "lm-bpe-lstm",
    "lm-byte-rnn",
    "lm-lines-lstm",
    "lm-ngram-char",
]
HOW = {"temperature": 0.9, "top_k": 12, "max_tokens": 30, "eos": False}


@pytest.fixture(params=NAMES)
def model(request):
    return recurra.load(HERE / request.param / "model")


def text(pieces):
    return "".join(piece.text for piece in pieces)


def test_what_it_writes_is_what_generate_writes(model):
    for prompt in ("the big", "we "):
        wanted = model.generate(prompt, seed=3, **HOW)
        stream = model.open_stream()
        *_, last = stream.write(prompt, seed=3, **HOW)
        assert last.generation.text == wanted.text
        assert last.generation.prompt == prompt
        assert stream.ids.tolist() == wanted.state.ids.tolist()
        pushed = model.open_stream()
        for character in prompt:
            pushed.push(character)
        assert text(pushed.write(seed=3, **HOW)) == wanted.text
        by_number = model.open_stream()
        by_number.push(model.tokenizer.encode(prompt))
        assert text(by_number.write(seed=3, **HOW)) == wanted.text


@pytest.mark.parametrize("count", [0, 1, 7, 29, 30])
def test_broken_off_anywhere_it_goes_on_as_unbroken(model, count):
    wanted = model.generate("the big", seed=3, **HOW)
    stream = model.open_stream()
    begun = list(islice(stream.write("the big", seed=3, **HOW), count))
    assert stream.ids.tolist() == [
        *model.tokenizer.encode("the big").tolist(), *wanted.ids[:count]
    ]  # fmt: skip
    assert len(begun) == count
    if count == 30:
        return
    for one in (model.open_stream(state=stream.state), stream.fork(), copy.copy(stream), stream):
        *_, last = one.write(seed=3, **{**HOW, "max_tokens": 30 - count})
        assert last.generation.ids == wanted.ids[count:]


def test_an_empty_text_begins_as_that_of_generate(model):
    try:
        wanted = model.generate("", seed=1, **HOW)
    except InputError:
        for ask in (lambda s: s.finish(), lambda s: s.write(seed=1, **HOW)):
            stream = model.open_stream()
            before = stream.state
            with pytest.raises(InputError, match="give a prompt"):
                ask(stream)
            assert stream.state == before
        return
    stream = model.open_stream()
    assert stream.push("") is None
    list(islice(stream.write(seed=1, **HOW), 5))
    again = model.open_stream(state=stream.state)
    assert tuple(stream.ids) == wanted.ids[:5]
    *_, last = again.write(seed=1, **{**HOW, "max_tokens": 25})
    assert last.generation.ids == wanted.ids[5:]
    assert str(model.open_stream().finish()) == model.predict([""])[0]


def test_a_generation_goes_on_as_a_stream(model):
    first = model.generate("the big", seed=3, **HOW)
    wanted = model.generate("", state=first.state, seed=3, **HOW)
    stream = model.open_stream(state=first.state)
    assert text(stream.write(seed=3, **HOW)) == wanted.text
    assert text(model.stream("", state=first.state, seed=3, **HOW)) == wanted.text


def test_moved_while_it_writes_it_says_so(model):
    stream = model.open_stream()
    writing = stream.write("the big", seed=3, **HOW)
    next(writing)
    stream.push(0)
    with pytest.raises(InputError, match="moved while it wrote: call write again"):
        next(writing)
    stream.finish()
    with pytest.raises(InputError, match="write: this stream has ended"):
        stream.write()


def test_what_is_expected_next_is_a_distribution(model):
    stream = model.open_stream()
    stream.push("the big")
    found = stream.finish()
    total = np.exp(found.log_probabilities).sum()
    assert total == pytest.approx(1, abs=1e-6)
    best, *others = found.top(5)
    assert len(others) == 4
    assert best.logprob == found.log_probabilities.max()
    assert [one.logprob for one in found.top(5)] == sorted(
        (one.logprob for one in found.top(5)), reverse=True
    )


def test_options_are_checked_before_the_first_piece(model):
    stream = model.open_stream()
    with pytest.raises(InputError, match="temperature"):
        stream.write("the", temperature=-1)
    with pytest.raises(InputError, match="which beam is best is known only at the end"):
        stream.write("the", beams=3)
    with pytest.raises(InputError, match="expected a text, or tokens from 0 to"):
        stream.push([10**6])
    assert not stream.ids.size
