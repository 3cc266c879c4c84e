"""Texts written side by side are those that are written alone, whatever their neighbours do."""

import numpy as np
import pytest

import recurra
from conftest import ROOT
from generate.toys import Table, Tanh, letters
from recurra.errors import InputError
from recurra.generate import Options, generate
from recurra.generate.plan import Plan, parse_prompts
from recurra.generate.streams import APART, Reading, Stream
from recurra.generate.together import Together

MODEL = recurra.load(ROOT / "tests" / "golden" / "lm-char-lstm" / "model")
TEXT = "the cat sat on the mat and the dog lay near the old door of the house. "
KINDS = [
    {"temperature": 0.0},
    {"temperature": 0.8, "top_k": 5},
    {"top_p": 0.9, "repetition_penalty": 1.2},
    {"min_p": 0.1, "frequency_penalty": 0.5, "presence_penalty": -0.3},
    {"logit_bias": {3: 2.5, 4: -100.0}, "stop": ["e "]},
]


def stream_of(number, *, index=0, tokens=20, trailing=False, state=None, prompt=None):
    """A stream of its own settings, prompt and seed, and what reads its prompt."""
    rng = np.random.default_rng(number)
    if prompt is None:
        prompt = (TEXT * 3)[: rng.integers(0, 150)]
    options = Options(max_tokens=tokens, seed=number, **KINDS[number % len(KINDS)])
    plan = Plan(MODEL.runtime, MODEL.tokenizer, options)
    (parsed,) = parse_prompts(MODEL.tokenizer, [prompt], state)
    stream = Stream(plan, parsed, trailing=trailing, owner=number)
    return stream, Reading(MODEL.runtime, parsed, [stream], trailing=trailing)


def written(pieces):
    """By number: ids, bits of log probabilities, and text."""
    found = {}
    for stream, piece in pieces:
        ids, logprobs, text = found.setdefault(stream.owner, ([], [], []))
        ids.append(piece.id)
        logprobs.append(piece.logprob)
        text.append(piece.text)
    return {n: (i, np.array(p).tobytes(), "".join(t)) for n, (i, p, t) in found.items()}


def run(together):
    while together.count:
        yield from together.tick()


def alone(number):
    together = Together(MODEL.runtime, rows=64, budget=0.005)
    together.add(stream_of(number)[1])
    return written(run(together))[number]


@pytest.mark.parametrize(("rows", "budget"), [(64, 0.005), (64, 0.0), (5, 0.0), (None, None)])
def test_a_text_is_the_same_alone_and_beside_63_others(rows, budget):
    rng = np.random.default_rng(5)
    together = Together(MODEL.runtime, rows=rows, budget=budget)
    numbers, pieces, waiting = list(range(64)), [], []
    streams = {}
    while numbers or together.count:
        for _ in range(rng.integers(0, 8)):
            if numbers:
                number = numbers.pop()
                streams[number], reading = stream_of(number)
                together.add(reading)
        if rows is not None:
            for stream in rng.choice(list(streams.values()), 3):
                stream.paused = True
                waiting.append(stream)
        pieces += together.tick()
        assert rows is None or together.stepped <= rows
        for stream in waiting[:-4]:
            stream.paused = False
        waiting = waiting[-4:] if numbers or not together.idle else []
        if not waiting:
            for stream in streams.values():
                stream.paused = False
    found = written(pieces)
    assert found == {number: alone(number) for number in range(64)}


def test_a_call_writes_the_same_texts():
    (whole,) = generate(
        MODEL.runtime, MODEL.tokenizer, [TEXT], Options(max_tokens=30, seed=9, **KINDS[3])
    )
    together = Together(MODEL.runtime, rows=64, budget=0.0)
    prompt = parse_prompts(MODEL.tokenizer, [TEXT], None)[0]
    plan = Plan(MODEL.runtime, MODEL.tokenizer, Options(max_tokens=30, seed=9, **KINDS[3]))
    together.add(Reading(MODEL.runtime, prompt, [Stream(plan, prompt, owner=9)]))
    assert written(run(together))[9][0] == list(whole.ids)


def test_a_text_that_nobody_wants_has_no_row_in_the_next_step():
    together = Together(MODEL.runtime, rows=8, budget=0.005)
    streams = []
    for number in range(6):
        stream, reading = stream_of(number, tokens=1000)
        stream.plan.stops.stops = ()
        streams.append(stream)
        together.add(reading)
    while together.stepped < 6:
        list(together.tick())
    streams[2].dropped = streams[4].dropped = True
    seen = {stream.owner for stream, _ in together.tick()}
    assert seen == {0, 1, 3, 5}
    assert together.count == 4
    unread, reading = stream_of(7, prompt=TEXT * 3)
    together.add(reading)
    unread.dropped = True
    list(together.tick())
    assert together.count == 4


def test_a_text_may_begin_in_the_tick_in_which_the_others_end():
    together = Together(MODEL.runtime, rows=8, budget=0.005)
    pieces = []
    for number in (0, 5, 10, 15):
        together.add(stream_of(number, tokens=2, prompt="the")[1])
    pieces += together.tick()
    together.add(stream_of(20, tokens=4, prompt="the cat")[1])
    pieces += together.tick()
    assert together.stepped == 1
    pieces += run(together)
    found = written(pieces)
    assert [len(found[n][0]) for n in (0, 5, 10, 15, 20)] == [2, 2, 2, 2, 4]


def test_choices_of_one_prompt_read_it_once():
    model = Table.random(6, 3, seed=3)
    plan = Plan(model, letters(6, eos="f"), Options(max_tokens=5, seed=1, eos=False))
    prompts = parse_prompts(plan.tokenizer, ["abcde"] * 4, None)
    streams = [Stream(plan, prompt, owner=n) for n, prompt in enumerate(prompts)]
    together = Together(model)
    together.add(Reading(model, prompts[0], streams))
    found = written(run(together))
    texts = generate(model, plan.tokenizer, ["abcde"] * 4, plan.options)
    assert [tuple(found[n][0]) for n in range(4)] == [text.ids for text in texts]
    assert model.calls[0] == ("read", 1)


def test_states_on_the_way_are_those_of_reading():
    stream, reading = stream_of(6, tokens=150, trailing=True, prompt=TEXT * 2)
    together = Together(MODEL.runtime, rows=64, budget=0.0)
    together.add(reading)
    last = None
    for _, piece in run(together):
        last = piece
    ids = last.generation.state.ids
    positions = []
    trail = stream.trail
    while trail is not None:
        positions.append(trail.position)
        state = MODEL.runtime.start(1)
        if trail.position:
            _, state = MODEL.runtime.read(ids[None, : trail.position], None, state)
        for kept, read in zip(trail.state, state, strict=True):
            for a, b in zip(kept, read, strict=True):
                assert a.tobytes() == b.tobytes()
        trail = trail.before
    assert positions == list(range((len(ids) - 1) // APART * APART, -1, -APART))
    assert stream.trail.reach(100).position == 64


def test_a_model_without_join_is_stepped_group_by_group():
    model = Tanh(6, seed=3)
    assert not hasattr(model, "join")
    tokenizer = letters(6, eos="f")
    plan = Plan(model, tokenizer, Options(max_tokens=9, seed=4))
    prompts = parse_prompts(tokenizer, ["ab", "abcde", "", "d"], None)
    together = Together(model, rows=8, budget=0.0)
    for n, prompt in enumerate(prompts):
        together.add(Reading(model, prompt, [Stream(plan, prompt, owner=n)]))
    found = written(run(together))
    texts = generate(model, tokenizer, ["ab", "abcde", "", "d"], plan.options)
    assert [tuple(found[n][0]) for n in range(4)] == [text.ids for text in texts]


def test_one_that_fails_leaves_the_others_alone():
    table = np.zeros((4, 4, 4))
    table[2] = table[:, 2] = np.nan  # after "c" nothing can be chosen
    model = Table(np.concatenate([table, np.zeros((1, 4, 4))])[:, [0, 1, 2, 3, 3]].reshape(5, 5, 4))
    plan = Plan(model, letters(4), Options(max_tokens=6, temperature=0))
    prompts = parse_prompts(plan.tokenizer, ["ab", "ac"], None)
    streams = [Stream(plan, prompt, owner=n) for n, prompt in enumerate(prompts)]
    together = Together(model, rows=4, budget=0.0)
    for stream in streams:
        together.add(Reading(model, stream.prompt, [stream]))
    ended = [stream.owner for stream, piece in run(together) if piece is None]
    assert ended == [1]
    assert isinstance(streams[1].failed, InputError)
    assert len(streams[0].writer.ids) == 6


def test_a_watched_prompt_has_the_logits_of_every_place():
    prompt = parse_prompts(MODEL.tokenizer, [TEXT], None)[0]
    seen = []
    together = Together(MODEL.runtime, rows=4, budget=0.0)
    together.add(
        Reading(MODEL.runtime, prompt, [], watch=lambda at, z: seen.append((at, z.copy())))
    )
    assert list(run(together)) == []
    assert [at for at, _ in seen] == list(range(1, len(prompt.before) + 1))
    for at in (1, 7, len(prompt.before)):
        logits, _ = MODEL.runtime.read(prompt.before[None, :at], None, MODEL.runtime.start(1))
        assert seen[at - 1][1].tobytes() == logits[0].tobytes()
