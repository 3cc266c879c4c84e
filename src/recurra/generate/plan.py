"""What a call asks for, checked and worked out before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.errors import InputError

from .options import Options
from .protocol import Carried, State, StepModel, Tokenizer, Writes
from .sampling import Edits, Sampler
from .stopping import StopStrings


class Plan:
    """A model, a tokenizer and options that fit together.

    The unknown token is banned. `seed` is the one given, or a new one.
    """

    def __init__(self, model: StepModel, tokenizer: Tokenizer, options: Options) -> None:
        V = model.vocab_size
        if len(tokenizer) != V:
            raise InputError(
                f"generate: expected a tokenizer of {V} tokens as the model has, received one of "
                f"{len(tokenizer)}; use the tokenizer the model was trained with"
            )
        options.validate(V)
        banned = () if tokenizer.unk_id is None else (tokenizer.unk_id,)
        if len(banned) == V:
            raise InputError("generate: the model knows no token but <unk>: nothing to generate")
        self.model = model
        self.tokenizer = tokenizer
        self.options = options
        self.eos = tokenizer.eos_id if options.eos else None
        self.stops = StopStrings(tuple(options.stop), include=options.include_stop)
        self.edits = Edits(options, banned)
        self.sampler = Sampler(options, self.edits, V)
        # Whether the model writes many tokens at a time, and this is how they are to be chosen.
        self.writes = (
            isinstance(model, Writes)
            and model.can_write
            and self.sampler.choosing is not None
            and options.logprobs is None
        )
        entropy = np.random.SeedSequence(options.seed).entropy
        assert isinstance(entropy, int)
        self.seed = entropy


@dataclass(frozen=True, eq=False)
class Prompt:
    """One text to be continued, at place `index` of the call.

    before (T,): all its tokens, those of earlier calls too; unread: what the model has still to
    read; carried: where an earlier call stopped.
    """

    index: int
    text: str
    before: np.ndarray
    unread: np.ndarray
    carried: Carried | None = None

    @property
    def written(self) -> tuple[tuple[int, int], ...]:
        """The parts of `before` that earlier calls generated."""
        return () if self.carried is None else self.carried.written

    @property
    def drawn(self) -> int:
        """Random numbers that earlier calls used up."""
        return 0 if self.carried is None else self.carried.drawn


def parse_prompts(
    tokenizer: Tokenizer, prompts: Sequence[str], state: Carried | Sequence[Carried] | None
) -> list[Prompt]:
    """The prompts as tokens; `state` is one for all, or one for each."""
    if isinstance(prompts, str) or not all(isinstance(text, str) for text in prompts):
        raise InputError(
            f"generate: prompts: expected a list of texts, received {prompts!r:.60}; "
            "put a single text in a list"
        )
    states = list(state) if isinstance(state, Sequence) else [state] * len(prompts)
    if len(states) != len(prompts):
        raise InputError(
            f"generate: state: expected one for each of {len(prompts)} prompts, or one for all, "
            f"received {len(states)}"
        )
    parsed = []
    for index, (text, carried) in enumerate(zip(prompts, states, strict=True)):
        ids = tokenizer.encode(text) if text else np.empty(0, dtype=np.int32)
        if carried is None:
            parsed.append(Prompt(index, text, ids, ids if len(ids) else first_ids(tokenizer)))
        elif isinstance(carried, Carried):
            before = np.concatenate([carried.ids, ids])
            unread = before[len(carried.ids) - 1 :]
            parsed.append(Prompt(index, text, before, unread, carried))
        else:
            raise InputError(
                "generate: state: expected the `state` of an earlier generation, received "
                f"{type(carried).__name__}"
            )
    return parsed


def first_ids(tokenizer: Tokenizer) -> np.ndarray:
    """What the model reads for an empty prompt: end-of-sequence, or else a newline."""
    if tokenizer.eos_id is not None:
        return np.array([tokenizer.eos_id], dtype=np.int32)
    if not tokenizer.unknown("\n"):
        ids = tokenizer.encode("\n")
        if len(ids):
            return ids
    raise InputError(
        "generate: the prompt is empty and the model has no end-of-sequence token, nor a newline, "
        "to begin from; give a prompt"
    )


def read_prompts(plan: Plan, prompts: Sequence[Prompt]) -> tuple[np.ndarray, State]:
    """Read prompts that begin in the same state: logits (B, V) and state after each one's last."""
    B = len(prompts)
    lengths = np.array([len(p.unread) for p in prompts])
    T = int(lengths.max())
    ids = np.zeros((B, T), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt.unread)] = prompt.unread
    carried = prompts[0].carried
    if carried is None:
        state = plan.model.start(B)
    elif B == 1:
        state = carried.state
    else:
        state = plan.model.select(carried.state, np.zeros(B, dtype=np.int64))
    return plan.model.read(ids, None if (lengths == T).all() else lengths, state)


def same_start(prompts: Sequence[Prompt]) -> list[list[Prompt]]:
    """The prompts in groups that begin in the same state, so that each is read as one batch."""
    groups: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        key = 0 if prompt.carried is None else id(prompt.carried.state)
        groups.setdefault(key, []).append(prompt)
    return list(groups.values())
