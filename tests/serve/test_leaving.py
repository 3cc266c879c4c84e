"""A client that leaves: how many steps its row still takes, and what others notice."""

import asyncio

import pytest

import recurra
from recurra.generate import Options
from recurra.serve.settings import Limits
from serve.conftest import GOLDEN

pytest.importorskip("fastapi", reason="serving is not installed: pip install recurra[serve]")
from recurra.serve.completion import Completion
from recurra.serve.hosted import Hosted
from recurra.serve.metrics import Metrics
from recurra.serve.prompts import encode


class Counted:
    """A model whose steps of several texts are counted."""

    def __init__(self, model):
        self._model, self.steps = model, []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def step(self, ids, state):
        self.steps.append(len(ids))
        return self._model.step(ids, state)


def begun(hosted, prompt, tokens, seed):
    options = Options(max_tokens=tokens, seed=seed, temperature=1.0)
    given = encode(hosted.model.tokenizer, [prompt])
    work = Completion(hosted, given, options, max_tokens=tokens)
    hosted.engine.submit(work.job)
    return work


async def text_of(work):
    while news := await work.job.next():
        for number, piece in news:
            work.choices[number].add(piece)
    return work.choices[0].text


async def leave(*, leaver):
    model = recurra.load(GOLDEN / "lm-char-lstm" / "model")
    hosted = Hosted("m", model, Limits(slots=2, queue=4), Metrics())
    engine = hosted.engine
    counted = engine._together.model = Counted(model.runtime)
    try:
        stays = begun(hosted, "the cat ", 1500, 1)
        goes = begun(hosted, "the dog ", 100_000, 2) if leaver else None
        queued = begun(hosted, "a ", 5, 3) if leaver else None
        late = begun(hosted, "an ", 5, 4) if leaver else None
        text = asyncio.ensure_future(text_of(stays))
        if leaver:
            queued.job.gone = True  # it leaves the queue, and disturbs nobody
            while goes.job.produced < 20:
                await asyncio.sleep(0)
            before = len(counted.steps)
            goes.job.gone = True
            engine.poke()
            assert await text_of(late)
            rows = counted.steps[before:]
            assert queued.job.produced == 0
            after = goes.job.produced  # its slot is another's by now
            await asyncio.sleep(0.02)
            assert goes.job.produced == after
            assert max(rows) <= 2
        return await text, counted, goes
    finally:
        engine.stop()


def test_others_write_what_they_would_alone():
    alone, *_ = asyncio.run(leave(leaver=False))
    beside, *_ = asyncio.run(leave(leaver=True))
    assert beside == alone


def test_a_row_is_free_within_two_steps():
    """Counted in the stepping thread itself: the job is given up in the middle of a step."""

    async def run():
        model = recurra.load(GOLDEN / "lm-char-lstm" / "model")
        hosted = Hosted("m", model, Limits(slots=4), Metrics())
        counted = hosted.engine._together.model = Counted(model.runtime)
        works = [begun(hosted, "the ", 3000, n) for n in range(3)]
        at = []
        step = counted.step

        def stepped(ids, state):
            if len(ids) == 3 and not at and works[1].job.produced >= 10:
                at.append(len(counted.steps))
                works[1].job.gone = True  # while the step runs
                hosted.engine.poke()
            return step(ids, state)

        counted.step = stepped
        try:
            await asyncio.gather(text_of(works[0]), text_of(works[2]))
        finally:
            hosted.engine.stop()
        assert at
        assert counted.steps[at[0] : at[0] + 3][-1] == 2, counted.steps[at[0] : at[0] + 5]

    asyncio.run(run())
