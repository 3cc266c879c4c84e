"""What a call promises: nothing is re-fed, each prompt is on its own, a text can go on."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from generate.toys import Bytes, Table, Tanh, Tokens, letters
from recurra.errors import InputError
from recurra.generate import Options, generate, stream

V = 6
MODELS = {"table": Table.random(V, 3, seed=3), "tanh": Tanh(V, seed=3)}
TOKENIZER = letters(V, eos="f")
PROMPTS = ["ab", "", "abcdeabcde", "d", "ab"]
WAYS = [
    {"temperature": 0},
    {"seed": 5},
    {"seed": 5, "temperature": 0.7, "top_k": 4, "top_p": 0.9, "repetition_penalty": 1.3},
    {"seed": 5, "stop": ["ab", "cc"], "logprobs": 2},
    {"beams": 3, "n_best": 2, "logprobs": 1, "repetition_penalty": 1.3},
]


def dicts(results):
    return [result.to_dict() for result in results]


def nearly(one, other):
    """Equal, but for rounding in the log probabilities and scores."""
    if isinstance(one, float):
        return one == pytest.approx(other, abs=1e-6)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(nearly(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(nearly, one, other))
    return one == other


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fields", WAYS, ids=str)
def test_a_prompt_is_on_its_own(name, fields):
    model = MODELS[name]
    options = Options(max_tokens=15, **fields)
    together = dicts(generate(model, TOKENIZER, PROMPTS, options))
    for n in range(1, len(PROMPTS)):
        assert nearly(dicts(generate(model, TOKENIZER, PROMPTS[:n], options)), together[:n])
    others = ["bcd", *PROMPTS[1:3], "ccccc"]
    assert nearly(dicts(generate(model, TOKENIZER, others, options))[1:3], together[1:3])


def test_equal_prompts_draw_different_texts():
    results = generate(MODELS["table"], TOKENIZER, ["a"] * 8, Options(seed=1, eos=False))
    assert len({result.ids for result in results}) == 8


def test_seed():
    def text(seed):
        options = Options(seed=seed, eos=False)
        return generate(MODELS["table"], TOKENIZER, ["a"], options)[0].text

    assert text(1) == text(1)
    assert len({text(1), text(2), text(None), text(None)}) == 4


def test_nothing_is_read_twice():
    model = Table.random(V, 3, seed=3)
    options = Options(max_tokens=20, seed=2, stop=["bb"])
    results = generate(model, TOKENIZER, PROMPTS, options)
    assert model.calls[0] == ("read", len(PROMPTS))
    assert all(kind == "step" for kind, _ in model.calls[1:])
    # Each prompt's tokens (one for the empty prompt), and each generated token but the last; so a
    # text that has ended costs nothing either.
    prompts = sum(max(len(prompt), 1) for prompt in PROMPTS)
    lengths = [len(result.ids) for result in results]
    assert len(set(lengths)) > 2
    assert model.tokens_read == prompts + sum(lengths) - len(lengths)
    assert len(model.calls) == max(lengths)


def test_streaming_reads_no_further_than_it_shows():
    model = Table.random(V, 3, seed=3)
    pieces = stream(model, TOKENIZER, "abc", Options(max_tokens=20, seed=2, eos=False))
    assert model.calls == []
    for n in range(5):
        next(pieces)
        assert model.tokens_read == 3 + n


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"seed": 7},
        {"temperature": 0, "repetition_penalty": 1.5},
        {"seed": 7, "top_k": 3, "repetition_penalty": 1.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("parts", [(20, 20), (1, 1, 38)], ids=str)
def test_continued_is_unbroken(name, fields, parts):
    model, prompts = MODELS[name], ["ab", "", "abcde"]
    whole = generate(model, TOKENIZER, prompts, Options(max_tokens=40, eos=False, **fields))
    text, ids, logprobs = [""] * 3, [()] * 3, [()] * 3
    state, given = None, prompts
    for part in parts:
        options = Options(max_tokens=part, eos=False, **fields)
        results = generate(model, TOKENIZER, given, options, state=state)
        for n, result in enumerate(results):
            text[n] += result.text
            ids[n] += result.ids
            logprobs[n] += result.logprobs
        state, given = [result.state for result in results], [""] * 3
    assert text == [result.text for result in whole]
    assert ids == [result.ids for result in whole]
    np.testing.assert_allclose(logprobs, [result.logprobs for result in whole], atol=1e-6)


def test_carried_state_reads_only_what_is_new():
    model = Table.random(V, 3, seed=3)
    greedy = Options(max_tokens=5, temperature=0, eos=False)
    (first,) = generate(model, TOKENIZER, ["abcde"], greedy)
    model.tokens_read = 0
    (second,) = generate(model, TOKENIZER, ["dd"], greedy, state=first.state)
    assert model.tokens_read == 1 + 2 + 4  # the last token of the first text, the prompt, the text
    (unbroken,) = generate(model, TOKENIZER, ["abcde" + first.text + "dd"], greedy)
    assert second.ids == unbroken.ids


@pytest.mark.parametrize(
    "fields", [{"temperature": 0}, {"stop": ["b"], "seed": 1}, {"seed": 0}, {"beams": 3}], ids=str
)
def test_carried_state_has_read_all_that_was_generated(fields):
    """Also a stop string and the end-of-sequence token."""
    for name, model in MODELS.items():
        (first,) = generate(model, TOKENIZER, ["abc"], Options(max_tokens=9, **fields))
        ids = [0, 1, 2, *first.ids]
        assert first.state.ids.tolist() == ids, name
        logits, _ = model.step(np.array(ids[-1:]), first.state.state)
        judge, _ = model.read(np.array([ids]), None, model.start(1))
        np.testing.assert_allclose(logits, judge, atol=1e-5)


def test_one_state_for_many_prompts():
    model = MODELS["table"]
    options = Options(max_tokens=8, seed=4, eos=False)
    (first,) = generate(model, TOKENIZER, ["ab"], options)
    together = generate(model, TOKENIZER, ["", "c", "dab"], options, state=first.state)
    alone = generate(model, TOKENIZER, ["", "c", "dab"], options, state=[first.state] * 3)
    assert dicts(together) == dicts(alone)
    (again,) = generate(model, TOKENIZER, [""], options, state=first.state)
    assert again.to_dict() == together[0].to_dict()


def test_stream_from_a_carried_state():
    options = Options(max_tokens=8, seed=4, eos=False)
    (first,) = generate(MODELS["table"], TOKENIZER, ["ab"], options)
    *_, last = stream(MODELS["table"], TOKENIZER, "c", options, state=first.state)
    (result,) = generate(MODELS["table"], TOKENIZER, ["c"], options, state=first.state)
    assert last.generation.to_dict() == result.to_dict()


def test_log_probabilities_are_the_models_own():
    model = Table.random(V, 3, seed=3)
    options = Options(
        max_tokens=30, seed=2, temperature=0.5, top_k=3, repetition_penalty=2.0, logprobs=3
    )
    for prompt, result in zip(PROMPTS, generate(model, TOKENIZER, PROMPTS, options), strict=True):
        ids = [TOKENIZER.eos_id] if not prompt else TOKENIZER.encode(prompt).tolist()
        for id, logprob, top in zip(result.ids, result.logprobs, result.top, strict=True):
            judge = model.log_probabilities(ids)
            assert logprob == pytest.approx(judge[id], abs=1e-6)
            order = np.argsort(-judge)[:3]
            assert [choice.id for choice in top] == order.tolist()
            assert [choice.token for choice in top] == [TOKENIZER.token(n) for n in order]
            assert [choice.logprob for choice in top] == pytest.approx(judge[order], abs=1e-6)
            ids.append(id)
        mean = sum(result.logprobs) / len(result.logprobs)
        assert result.score == pytest.approx(mean)


def test_uniform_model():
    (result,) = generate(
        Table([0.0] * 8), letters(8), ["a"], Options(max_tokens=50, seed=1, logprobs=0)
    )
    assert result.logprobs == pytest.approx([-math.log(8)] * 50, abs=1e-12)
    assert result.top == ((),) * 50


def test_alternatives_of_no_probability_are_left_out():
    model = Table.of([0.5, 0.5, 0.0])
    (result,) = generate(model, letters(3), ["a"], Options(max_tokens=1, logprobs=3))
    assert [choice.id for choice in result.top[0]] == [0, 1]
    json.dumps(result.to_dict(), allow_nan=False)


def test_end_of_sequence():
    always_f = Table([-30.0] * 5 + [30.0])
    (ended,) = generate(always_f, TOKENIZER, ["a"], Options(max_tokens=4))
    assert (ended.text, ended.ids, ended.stop_reason) == ("", (5,), "eos")
    assert len(ended.logprobs) == 1
    (on,) = generate(always_f, TOKENIZER, ["a"], Options(max_tokens=4, eos=False))
    assert (on.text, on.ids, on.stop_reason) == ("", (5, 5, 5, 5), "length")


def test_end_of_sequence_lets_go_of_what_was_held_back():
    model = Table.of([[0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01], [1, 1, 1]])
    options = Options(temperature=0, stop=["bb"])
    pieces = list(stream(model, letters(3, eos="c"), "a", options))
    assert [piece.text for piece in pieces] == ["", "b"]
    assert pieces[-1].generation.stop_reason == "eos"


def test_empty_prompt():
    table = np.full((4, 3), -30.0)
    table[[0, 1, 2, 3], [1, 2, 0, 0]] = 0  # a → newline → c → a
    greedy = Options(temperature=0, max_tokens=1)
    newline = Tokens(["a", "\n", "c"])
    assert generate(Table(table), newline, [""], greedy)[0].text == "c"
    assert generate(Table(table), newline, [""], greedy)[0].state.ids.tolist() == [2]
    eos = Tokens(["a", "\n", "c"], eos="c")
    assert generate(Table(table), eos, [""], greedy)[0].text == "a"
    with pytest.raises(InputError, match="the prompt is empty and the model has no"):
        generate(Table(table), letters(3), ["a", ""], greedy)
    words = Tokens(["a", "b", "c"], joint=" ")
    words.unknown = lambda text: []  # a blank prompt of words is empty, and so is a newline
    with pytest.raises(InputError, match="the prompt is empty"):
        generate(Table(table), words, ["  "], greedy)


def test_text_joins_the_prompt():
    """A blank between words, and a character that two calls cut in two."""
    words = Tokens(["a", "b", "c"], joint=" ")
    (result,) = generate(Table.random(3), words, ["a b"], Options(max_tokens=3, seed=1))
    assert result.text == "".join(f" {words.token(id)}" for id in result.ids)

    table = np.full((258, 257), -30.0)
    table[[97, 0xC3, 0xA9], [0xC3, 0xA9, 97]] = 0  # a → é → a
    one = Options(temperature=0, max_tokens=1)
    (first,) = generate(Table(table), Bytes(), ["a"], one)
    (second,) = generate(Table(table), Bytes(), [""], one, state=first.state)
    assert (first.text, second.text) == ("\ufffd", "é")


def test_record():
    options = Options(max_tokens=6, beams=3, n_best=3, logprobs=2)
    (best,) = generate(MODELS["table"], TOKENIZER, ["ab"], options)
    assert str(best) == best.text
    record = json.loads(json.dumps(best.to_dict(), allow_nan=False))
    assert record["ids"] == list(best.ids)
    assert record["top"][0][0].keys() == {"token", "id", "logprob"}
    assert [other["text"] for other in record["others"]] == [str(other) for other in best.others]
    (plain,) = generate(MODELS["table"], TOKENIZER, ["ab"], Options(max_tokens=1))
    names = ["prompt", "text", "ids", "logprobs", "stop_reason", "score"]
    assert list(plain.to_dict()) == names


def test_no_prompts():
    assert generate(MODELS["table"], TOKENIZER, []) == []


class _NotAState:
    pass


WRONG = [
    (["a"], {"top_k": 7}, None, "top_k: expected 1..6"),
    ("a", {}, None, "prompts: expected a list of texts, received 'a'"),
    ([1], {}, None, "prompts: expected a list of texts"),
    (["a"], {}, [], "state: expected one for each of 1 prompts"),
    (["a"], {}, [_NotAState()], "state: expected the `state` of an earlier generation, received _"),
    (["a"], {}, _NotAState(), "state: expected the `state` of an earlier generation, received _"),
]


@pytest.mark.parametrize(("prompts", "fields", "state", "message"), WRONG)
def test_wrong_arguments(prompts, fields, state, message):
    with pytest.raises(InputError) as caught:
        generate(MODELS["table"], TOKENIZER, prompts, Options(**fields), state=state)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_tokenizer():
    with pytest.raises(InputError, match="expected a tokenizer of 6 tokens as the model has"):
        generate(MODELS["table"], letters(5), ["a"])
    with pytest.raises(InputError, match="no token but <unk>"):
        generate(Table([0.0]), letters(1, unk="a"), ["a"])


def test_stream_tells_mistakes_before_its_first_piece():
    for fields in ({"top_k": 9}, {"beams": 2}):
        with pytest.raises(InputError):
            stream(MODELS["table"], TOKENIZER, "a", Options(**fields))
    with pytest.raises(InputError, match="prompts: expected"):
        stream(MODELS["table"], TOKENIZER, 5)


def test_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; import recurra.generate; print(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
