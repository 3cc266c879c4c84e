"""Stop strings: where a text is cut does not depend on its tokens, nor on how it is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generate.toys import Bytes, Table, Tokens, letters
from recurra.generate import Options, generate, stream
from recurra.generate.stopping import StopStrings

LETTERS = st.text("ab", min_size=1, max_size=4)


def cut(text, stops, *, include=False):
    """The definition: at the first character that completes a stop string, the longest such."""
    for end in range(len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            longest = max(ending, key=len)
            return (text[:end] if include else text[: end - len(longest)]), True
    return text, False


def scan(pieces, stops, include):
    watch = StopStrings(tuple(stops), include=include)
    held, out = "", []
    for piece in pieces:
        text, held, stopped = watch.scan(held, piece)
        out.append(text)
        if stopped:
            return out, True
    return [*out, held], False


@settings(max_examples=500)
@given(st.lists(LETTERS, max_size=12), st.lists(LETTERS, max_size=4), st.booleans())
def test_scan(pieces, stops, include):
    out, stopped = scan(pieces, stops, include)
    assert ("".join(out), stopped) == cut("".join(pieces), stops, include=include)


@pytest.mark.parametrize(
    ("stops", "held", "new", "expected"),
    [
        (["abc"], "", "xab", ("x", "ab", False)),  # undecided
        (["abc"], "ab", "x", ("abx", "", False)),  # decided: it was none
        (["abc"], "ab", "ab", ("ab", "ab", False)),
        (["abc"], "ab", "c!", ("", "", True)),
        (["aab"], "aa", "a", ("a", "aa", False)),  # the beginning moves on
        (["b", "abc"], "a", "b", ("a", "", True)),  # the first to be completed
        (["bc", "abc"], "ab", "c", ("", "", True)),  # of two at once, the longest
        ([], "", "abc", ("abc", "", False)),
    ],
)
def test_held_back(stops, held, new, expected):
    assert tuple(StopStrings(tuple(stops)).scan(held, new)) == expected


TOKENS = Tokens(["a", "b", "ab", "ba", "aab", "c"])
MODEL = Table.random(len(TOKENS), 2, seed=1)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("abc", min_size=1, max_size=5), max_size=3),
    st.integers(0, 10**6),
    st.booleans(),
    st.integers(1, 25),
)
def test_stream_is_generate(stops, seed, include, max_tokens):
    options = Options(max_tokens=max_tokens, seed=seed, stop=stops, include_stop=include)
    (result,) = generate(MODEL, TOKENS, ["a"], options)
    pieces = list(stream(MODEL, TOKENS, "a", options))
    assert "".join(map(str, pieces)) == result.text
    assert pieces[-1].generation.to_dict() == result.to_dict()
    assert all(piece.generation is None for piece in pieces[:-1])
    assert [piece.id for piece in pieces] == list(result.ids)
    assert [piece.logprob for piece in pieces] == list(result.logprobs)

    whole = "".join(TOKENS.tokens[id] for id in result.ids)
    text, stopped = cut(whole, stops, include=include)
    assert result.text == text
    assert result.stop_reason == ("stop" if stopped else "length")
    before_last = "".join(TOKENS.tokens[id] for id in result.ids[:-1])
    assert not cut(before_last, stops)[1]  # it stopped at once
    for n in range(len(pieces)):  # nothing of a stop string was shown on the way
        shown = "".join(map(str, pieces[: n + 1]))
        assert text.startswith(shown)


# All four lengths of UTF-8; the stop strings begin with bytes that other characters share.
TEXT = "aé€𝄞è…𝄢b"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(TEXT, min_size=1, max_size=3), max_size=3),
    st.integers(0, 10**6),
    st.integers(1, 30),
)
def test_bytes(stops, seed, max_tokens):
    """A random walk over whole characters: pieces are never half of one."""
    options = Options(max_tokens=max_tokens, seed=seed, stop=stops, eos=False)
    tokenizer = Bytes()
    pieces = list(stream(WALK, tokenizer, "a", options))
    (result,) = generate(WALK, tokenizer, ["a"], options)
    assert "".join(map(str, pieces)) == result.text
    whole = bytes(result.ids).decode("utf-8", "replace")
    assert result.text == cut(whole, stops)[0]
    assert all("\ufffd" not in piece.text for piece in pieces[:-1])


def byte_walk():
    """A 4-gram model of bytes that draws the characters of TEXT at random."""
    characters = [c.encode() for c in TEXT]

    class Walk:
        vocab_size = 257

        def start(self, batch):
            return ((b"",) * batch, 0)

        def step(self, ids, state):
            return self.read(np.asarray(ids)[:, None], None, state)

        def read(self, ids, lengths, state):
            begun = []
            logits = np.full((len(ids), 257), -np.inf, dtype=np.float32)
            for b, row in enumerate(ids):
                part = state[0][b]
                for byte in row:
                    part = part + bytes([byte])
                    part = b"" if part in characters else part
                begun.append(part)
                for character in characters:
                    if character.startswith(part):
                        logits[b, character[len(part)]] = 0
            return logits, (tuple(begun), 0)

        def select(self, state, rows):
            return (tuple(state[0][row] for row in rows), 0)

    return Walk()


WALK = byte_walk()


def test_stop_at_the_full_stop_of_words():
    """The stop string is its own token, and the blank before it is text."""
    tokenizer = Tokens(["the", "weather", "is", "sunny", "."], joint=" ")
    chain = np.full((6, 5), -30.0)
    chain[[2, 3, 4, 0, 1], [3, 4, 0, 1, 2]] = 0  # is → sunny → . → the → weather → is
    options = Options(temperature=0, stop=["."])
    (result,) = generate(Table(chain), tokenizer, ["the weather is"], options)
    assert result.text == " sunny "
    assert result.stop_reason == "stop"
    assert [tokenizer.token(id) for id in result.ids] == ["sunny", "."]


def test_beam_search_stops_at_stop_strings():
    for seed in range(20):
        model = Table.random(6, 2, seed=seed)
        options = Options(beams=4, n_best=4, stop=["ba", "cc"], max_tokens=8)
        (best,) = generate(model, TOKENS, ["a"], options)
        for result in (best, *best.others):
            whole = "".join(TOKENS.tokens[id] for id in result.ids)
            text, stopped = cut(whole, ["ba", "cc"])
            assert result.text == text
            assert result.stop_reason == ("stop" if stopped else "length")
            assert stopped or len(result.ids) == 8


def test_a_stop_string_is_looked_for_in_the_new_text_only():
    model = Table([[0.0, -30], [-30, 0.0], [0, 0]])  # a → a, b → b
    (result,) = generate(
        model, letters(2), ["aa"], Options(temperature=0, stop=["aaa"], max_tokens=9)
    )
    assert (result.text, len(result.ids)) == ("", 3)
