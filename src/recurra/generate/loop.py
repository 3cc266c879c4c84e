"""Generation: one call for many prompts, or one prompt as a stream of pieces."""

from collections.abc import Iterator, Sequence

import numpy as np

from recurra.errors import InputError

from .beam import beam_search
from .options import Options
from .plan import Plan, Prompt, parse_prompts, same_start
from .protocol import Carried, State, StepModel, Tokenizer, Writes
from .result import Generation, Piece
from .streams import Reading, Stream
from .together import Together
from .writer import Writer


def generate(
    model: StepModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    options: Options | None = None,
    *,
    state: Carried | Sequence[Carried] | None = None,
) -> list[Generation]:
    """Continue each of `prompts`; with beams the best hypothesis, and the further n_best in others.

    A prompt is read once, then each token is one step. A result depends on its prompt, its place
    in `prompts` and the seed, not on the other prompts. An empty prompt begins from the
    end-of-sequence token, or where there is none from a newline. `<unk>` is never generated.

    state: the `state` of an earlier generation, one for all or one for each: the prompts continue
    those texts, and may be empty. A text generated in two calls is the one of a single call (with
    a seed: if it has the same place in both).

    Raises InputError for options or a prompt that the model cannot take.
    """
    plan = Plan(model, tokenizer, options or Options())
    parsed = parse_prompts(tokenizer, prompts, state)
    done: dict[int, Generation] = {}
    beams = plan.options.beams
    for group in same_start(parsed):
        if beams is not None and beams > 1:
            done.update(beam_search(plan, group))
        else:
            for prompt, piece in _write(plan, group, pieces=False):
                if piece.generation is not None:
                    done[prompt.index] = piece.generation
    return [done[index] for index in range(len(parsed))]


def stream(
    model: StepModel,
    tokenizer: Tokenizer,
    prompt: str,
    options: Options | None = None,
    *,
    state: Carried | None = None,
) -> Iterator[Piece]:
    """Continue `prompt`, one piece a token as it is written; the last has the whole generation.

    What might be the beginning of a stop string, or of a character, is held back until it is
    decided. The texts of the pieces together are the text that `generate` returns.

    Raises InputError, before the first piece, for options or a prompt that the model cannot take.
    """
    plan = plan_of_stream(model, tokenizer, options or Options())
    (one,) = parse_prompts(tokenizer, [prompt], state)
    return write_on(plan, one)


def plan_of_stream(model: StepModel, tokenizer: Tokenizer, options: Options) -> Plan:
    """The plan of a text that is given as it is written; InputError where that cannot be."""
    plan = Plan(model, tokenizer, options)
    if plan.options.beams is not None and plan.options.beams > 1:
        raise InputError(
            f"stream: beams: expected 1 or none, received {plan.options.beams}: which beam is best "
            "is known only at the end; use generate"
        )
    return plan


def write_on(
    plan: Plan, prompt: Prompt, read: tuple[np.ndarray, State] | None = None
) -> Iterator[Piece]:
    """Continue one prompt; `read` are the logits (1, V) and the state after it, where it has been
    read already."""
    return (piece for _, piece in _write(plan, [prompt], read=read))


def _write(
    plan: Plan,
    prompts: Sequence[Prompt],
    *,
    pieces: bool = True,
    read: tuple[np.ndarray, State] | None = None,
) -> Iterator[tuple[Prompt, Piece]]:
    """Write the texts of prompts that begin in the same state, one step of all at a time.

    pieces: without them only the last of each text is sure to come. read: as in `write_on`.
    """
    together = Together(plan.model)
    events: Iterator[tuple[Stream, Piece | None]] = iter(())
    if read is None:
        for prompt in prompts:
            together.add(Reading(plan.model, prompt, [Stream(plan, prompt)]))
    else:
        events = together.begin(Stream(plan, prompts[0]), *read)
    while True:
        for stream, piece in events:
            if piece is None:
                assert stream.failed is not None
                raise stream.failed
            yield stream.prompt, piece
        last = together.last() if plan.writes else None
        if last is not None:
            stream, state = last
            yield from _write_alone(plan, stream.prompt, stream.writer, state, pieces)
            return
        if not together.count:
            return
        events = together.tick()


#: Tokens written at a time by a model that can write many: at first, and at most. The work for
#: those after a stop is lost.
_FIRST, _MOST = 8, 256


def _write_alone(
    plan: Plan, prompt: Prompt, writer: Writer, state: State, pieces: bool
) -> Iterator[tuple[Prompt, Piece]]:
    """The rest of the one text that is left, from the state before its last token."""
    assert isinstance(plan.model, Writes)
    assert plan.sampler.choosing is not None
    at_once = writer.plain and not pieces
    many = _MOST if at_once and plan.eos is None else _FIRST
    while True:
        count = min(many, plan.options.max_tokens - len(writer.ids))
        uniforms = writer.uniforms(count)
        found = plan.model.write(writer.ids[-1], state, plan.sampler.choosing, uniforms)
        ids, logprobs, at = found[0].tolist(), found[1].tolist(), found[2]
        if at_once:
            taken = writer.extend(ids, logprobs)
            if writer.reason is not None:
                whole = writer.generation(at(taken - 1))
                yield prompt, Piece("", ids[taken - 1], logprobs[taken - 1], None, whole)
                return
        else:
            for n, (id, logprob) in enumerate(zip(ids, logprobs, strict=True)):
                text = writer.write(id, logprob, None)
                generation = None if writer.reason is None else writer.generation(at(n))
                yield prompt, Piece(text, id, logprob, None, generation)
                if generation is not None:
                    return
        state = at(len(ids) - 1) if len(ids) else state
        if len(ids) < count:  # let the choice say what is wrong
            logits, _ = plan.model.step(np.array([writer.ids[-1]]), state)
            plan.sampler.choose(logits[0], writer.seen, float(uniforms[len(ids)]))
        many = min(2 * many, _MOST)
