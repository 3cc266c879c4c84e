"""`/v1/inspect` and `/v1/whatif`: what a language model does inside while it reads."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from recurra.errors import InputError
from recurra.generate.plan import Prompt
from recurra.serve import inside
from recurra.serve.bodies import read_json
from recurra.serve.context import body_of, serving, state_of
from recurra.serve.errors import ApiError, invalid
from recurra.serve.hosted import Hosted
from recurra.serve.prompts import prompt_of, texts_of
from recurra.serve.routes.tasks import in_turn
from recurra.serve.routes.text import passage
from recurra.serve.schema import STEPS, UNITS, InspectRequest, Passage, WhatIfRequest
from recurra.tasks.language_model.runtime import RuntimeLM

router = APIRouter()


@dataclass(frozen=True)
class _Text:
    """A text that is looked into: `prompt`, and how many of its unread tokens stand before it."""

    hosted: Hosted
    model: RuntimeLM
    prompt: Prompt
    ids: np.ndarray
    before: int

    def told(self, start: int, stop: int) -> dict[str, Any]:
        """Some of its tokens as replies have them: ids, pieces, and the text that each adds."""
        tokenizer, ids = self.hosted.model.tokenizer, self.ids[start:stop]
        earlier = self.prompt.before[: len(self.prompt.before) - len(self.ids) + start]
        return {
            "tokens": ids.tolist(),
            "pieces": [tokenizer.token(id) for id in ids.tolist()],
            "texts": texts_of(tokenizer, ids, earlier),
        }


async def _text_of(request: Request, asked: Passage) -> _Text:
    """The text of a request; ApiError where it has none, or its model cannot be looked into."""
    hosted = serving(request).models.get(asked.model)
    hosted.stepping()
    model = hosted.model.runtime
    if not isinstance(model, RuntimeLM):
        raise ApiError(
            400, f"model {hosted.name!r} has no recurrent layers to look into", code="no_inside"
        )
    given = await asyncio.to_thread(passage, hosted.model.tokenizer, asked)
    if not len(given.ids):
        raise invalid("text: expected a token at least", "text")
    kept = state_of(request, asked.state, hosted.digest)
    carried = None if kept is None else kept.carried
    prompt = prompt_of(hosted.model.tokenizer, given, carried, index=0)
    return _Text(hosted, model, prompt, given.ids, len(prompt.unread) - len(given.ids))


async def _look(
    request: Request, text: _Text, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do it in a thread of its own, one request of a model at a time."""
    try:
        return await in_turn(serving(request), text.hosted, work)
    except InputError as error:
        told = str(error)
        raise invalid(told, told.partition(":")[0]) from None


@router.post("/v1/inspect", openapi_extra=body_of(InspectRequest))
async def inspect(request: Request) -> dict[str, Any]:
    """A gate or a state of a layer while it reads a text: of each unit, a value for each token.

    `start` and `stop` bound the tokens, of which there are at most 2,000, of at most 512 units.
    """
    asked = await read_json(request, serving(request).limits, InspectRequest)
    text = await _text_of(request, asked)
    stop = len(text.ids) if asked.stop is None else asked.stop
    if not asked.start < stop <= len(text.ids):
        raise invalid(
            f"stop: expected more than start, up to {len(text.ids)}, the number of tokens, "
            f"received {stop}", "stop",
        )  # fmt: skip
    if stop - asked.start > STEPS:
        raise invalid(
            f"stop: expected at most {STEPS:,} tokens, received {stop - asked.start:,}: give start "
            "and stop", "stop",
        )  # fmt: skip

    def work() -> dict[str, Any]:
        layers = inside.Layers(text.model)
        name = layers.names[-1] if asked.name is None else asked.name
        layers.check(asked.layer, name)
        state = inside.read_to(text.model, text.prompt, text.before + asked.start)
        ids = text.ids[asked.start : stop]
        found = layers.record(ids, state, layer=asked.layer, name=name)
        width = found.shape[1]
        units = list(range(min(width, UNITS))) if asked.units is None else asked.units
        if max(units) >= width:
            raise InputError(f"units: expected 0 to {width - 1}, received {max(units)}")
        values = np.ascontiguousarray(found[:, units].T, "<f4")
        if not np.isfinite(values).all():
            raise InputError(f"name: {name} has values beyond the range of float32 in this text")
        packed = asked.encoding_format == "base64"
        return {
            "object": "inspection",
            "model": text.hosted.name,
            "layer": asked.layer,
            "layers": layers.count,
            "name": name,
            "names": list(layers.names),
            "hidden": width,
            "units": units,
            "start": asked.start,
            **text.told(asked.start, stop),
            "values": base64.b64encode(values.tobytes()).decode() if packed else values.tolist(),
        }

    return await _look(request, text, work)


@router.post("/v1/whatif", openapi_extra=body_of(WhatIfRequest))
async def whatif(request: Request) -> dict[str, Any]:
    """What changes in all that follows, when the token `at` is another one (`replace`), or when a
    unit's output is held at a value from `at` on (`ablate`); at most 2,000 tokens are followed.

    `kl`: by lag, the nats between what is expected next with and without the change. `nats` and
    `nats_changed`: of the tokens behind `at`. `distance`: of a replaced token, by lag, the
    states' ‖s - s'‖ / ‖s‖.
    """
    asked = await read_json(request, serving(request).limits, WhatIfRequest)
    text = await _text_of(request, asked)
    if (asked.replace is None) == (asked.ablate is None):
        raise invalid("replace: expected either replace or ablate", "replace")
    if asked.at >= len(text.ids):
        raise invalid(f"at: expected 0 to {len(text.ids) - 1}, received {asked.at}", "at")
    tokenizer = text.hosted.model.tokenizer
    if asked.replace is not None and asked.replace >= len(tokenizer):
        raise invalid(f"replace: expected 0 to {len(tokenizer) - 1}", "replace")

    def work() -> dict[str, Any]:
        state = inside.read_to(text.model, text.prompt, text.before + asked.at)
        ids = text.ids[asked.at : asked.at + STEPS]
        if asked.replace is not None:
            found = inside.replaced(text.model, ids, state, asked.replace)
            found["replaced"] = {
                "id": asked.replace,
                "token": tokenizer.token(asked.replace),
                "text": tokenizer.decode([asked.replace]),
            }
        else:
            assert asked.ablate is not None
            how = asked.ablate
            found = inside.ablated(
                text.model, ids, state, layer=how.layer, unit=how.unit, value=how.value
            )
        changed = inside.most_changed(found["nats"], found["nats_changed"])
        return {
            "object": "change",
            "model": text.hosted.name,
            "at": asked.at,
            **text.told(asked.at, asked.at + len(ids)),
            **found,
            "changed": [asked.at + 1 + place for place in changed],
        }

    return await _look(request, text, work)
