"""From the fields of a request to prompts and options of `recurra.generate`."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.generate import Carried, Options
from recurra.generate.plan import Prompt, first_ids
from recurra.generate.result import Top
from recurra.generate.writer import CONTEXT
from recurra.serve.errors import ApiError, invalid
from recurra.serve.schema import CHARACTERS, TOKENS, Drawing, Sampling
from recurra.text import Tokenizer

PROMPTS = 16
#: Below it a temperature is greedy.
_COLD = 1e-6


@dataclass(frozen=True)
class Given:
    """A prompt as it was given: its text, and its ids (T,)."""

    text: str
    ids: np.ndarray


def texts_or_ids(value: Any) -> list[str | list[int]]:
    """The prompts of a request: a text, texts, ids, or lists of ids.

    Raises:
        ApiError: it is none of these, or there are too many.
    """
    many = value if isinstance(value, list) else [value]
    if many and all(type(item) is int for item in many):
        many = [many]
    if not 1 <= len(many) <= PROMPTS:
        raise invalid(f"prompt: expected 1 to {PROMPTS} prompts, received {len(many)}", "prompt")
    for item in many:
        if isinstance(item, str):
            if len(item) > CHARACTERS:
                raise invalid(f"prompt: expected at most {CHARACTERS:,} characters", "prompt")
        elif not (isinstance(item, list) and all(type(id) is int for id in item)):
            raise invalid("prompt: expected a text, texts, ids, or lists of ids", "prompt")
    return many


def encode(tokenizer: Tokenizer, prompts: Sequence[str | list[int]]) -> list[Given]:
    """Texts and ids of prompts.

    Raises:
        ApiError: symbols or ids that the model does not know, or too many tokens.
    """
    given = []
    for prompt in prompts:
        try:
            if isinstance(prompt, str):
                ids = tokenizer.encode(prompt) if prompt else np.empty(0, np.int32)
                given.append(Given(prompt, ids))
            else:
                given.append(Given(tokenizer.decode(prompt), np.array(prompt, np.int32)))
        except InputError as error:
            raise invalid(f"prompt: {error}", "prompt") from None
    total = sum(len(each.ids) for each in given)
    if total > TOKENS:
        raise invalid(
            f"prompt: expected at most {TOKENS:,} tokens, received {total:,}",
            "prompt",
            "context_too_long",
        )
    return given


def texts_of(tokenizer: Tokenizer, ids: np.ndarray, before: np.ndarray) -> list[str]:
    """The text that each of ids (T,) adds behind others: all together are the text of all. Empty of
    a token that ends no character, and of the end of a sequence."""
    decoder = tokenizer.decoder(after=before[-CONTEXT:].tolist())
    return ["" if id == tokenizer.eos_id else decoder.push(id) for id in ids.tolist()]


def alternatives(tokenizer: Tokenizer, top: Top | None) -> list[dict[str, Any]]:
    """The most probable tokens as replies have them: besides the token, its text alone."""
    return [{**one._asdict(), "text": tokenizer.decode([one.id])} for one in top or ()]


def prompt_of(
    tokenizer: Tokenizer, given: Given, carried: Carried | None, *, index: int, last: bool = True
) -> Prompt:
    """A prompt at its place in a call; without `last` all but its last token is to be read.

    Raises:
        ApiError: it is empty, and the model has nothing to begin from.
    """
    if carried is not None:
        before = np.concatenate([carried.ids, given.ids])
        unread = before[len(carried.ids) - 1 :]
    elif len(given.ids):
        before = unread = given.ids
    else:
        try:
            before, unread = given.ids, first_ids(tokenizer)
        except InputError as error:
            raise invalid(str(error).removeprefix("generate: "), "prompt") from None
    return Prompt(index, given.text, before, unread if last else unread[:-1], carried)


def options_of(
    request: Drawing, tokenizer: Tokenizer, *, ends: Sequence[str] = (), **more: Any
) -> Options:
    """How to generate, with a seed in any case; `ends` are stops besides those of the request.

    Raises:
        ApiError: a field that does not fit this model.
    """
    size = len(tokenizer)
    if request.top_k is not None and request.top_k > size:
        raise invalid(f"top_k: expected 0 to {size}, the size of the vocabulary", "top_k")
    temperature = 1.0 if request.temperature is None else request.temperature
    stop = request.stop or ()
    return Options(
        temperature=temperature if temperature >= _COLD else 0.0,
        top_k=request.top_k or None,
        top_p=request.top_p,
        min_p=request.min_p or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        presence_penalty=request.presence_penalty or 0.0,
        repetition_penalty=request.repetition_penalty or 1.0,
        logit_bias=_bias(request.logit_bias, size),
        stop=(*((stop,) if isinstance(stop, str) else stop), *ends),
        seed=secrets.randbits(63) if request.seed is None else request.seed,
        **more,
    )


def _bias(given: dict[str, float] | None, size: int) -> dict[int, float] | None:
    """Logit biases by id; JSON has them by text."""
    if not given:
        return None
    found = {}
    for key, added in given.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10 and int(key) < size):
            raise invalid(f"logit_bias: expected ids of 0 to {size - 1}", "logit_bias")
        found[int(key)] = added
    return found


def check_stream(request: Sampling) -> None:
    """ApiError for options of a stream where there is none."""
    if request.stream_options is not None and not request.stream:
        raise invalid(
            "stream_options: expected only with stream: true", "stream_options", "invalid_value"
        )


def refused(error: InputError) -> ApiError:
    """The error of options that `recurra.generate` refuses."""
    return invalid(str(error).removeprefix("generate: "), None)
