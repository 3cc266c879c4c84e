"""`/v1/{classify,tag,forecast,translate,transcribe}`: inputs in, results in their order."""

import asyncio
import base64
import binascii
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Request

from recurra.errors import FormatError, InputError
from recurra.serve.bodies import read_json
from recurra.serve.context import Serving, body_of, serving
from recurra.serve.errors import ApiError, invalid
from recurra.serve.hosted import Hosted, wrong_task
from recurra.serve.schema import DetailedTaskRequest, TaskRequest

router = APIRouter()

R = TypeVar("R")
Work = Callable[[Any, list[Any]], list[Any]]


def _texts(inputs: list[Any]) -> list[str]:
    for number, one in enumerate(inputs):
        if not isinstance(one, str):
            raise invalid(f"inputs.{number}: expected a text", "inputs")
    return inputs


def classify(model: Any, inputs: list[Any]) -> list[Any]:
    """The label of each text, or of each sequence of numbers, with all probabilities."""
    if model.config.reads_text:
        _texts(inputs)
    labels = [str(label) for label in model.labels]
    found = model.predict_proba(inputs)
    return [
        {
            "label": labels[int(row.argmax())],
            "probabilities": dict(zip(labels, map(float, row), strict=True)),
        }
        for row in found
    ]


def tag(model: Any, inputs: list[Any]) -> list[Any]:
    """The tags of each sentence, a list of words."""
    for number, one in enumerate(inputs):
        if not (isinstance(one, list) and one and all(isinstance(w, str) for w in one)):
            raise invalid(f"inputs.{number}: expected a list of words", "inputs")
    found = model.predict(inputs)
    return [
        {"words": words, "tags": [str(each) for each in tags]}
        for words, tags in zip(inputs, found, strict=True)
    ]


def forecast(model: Any, inputs: list[Any]) -> list[Any]:
    """What follows each table, CSV as a text: a forecast for each series of it."""
    results = []
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        path = Path(folder) / "inputs.csv"
        for number, text in enumerate(_texts(inputs)):
            path.write_text(text, encoding="utf-8", errors="replace")
            try:
                results.append([one.to_dict() for one in model.predict(path)])
            except (InputError, FormatError) as error:
                told = str(error).replace(str(path), "the table")
                raise invalid(f"inputs.{number}: {told}", "inputs") from None
    return results


def translate(model: Any, inputs: list[Any]) -> list[Any]:
    """The translation of each text."""
    return [one.to_dict() for one in model.predict(_texts(inputs))]


def transcribe(model: Any, inputs: list[Any]) -> list[Any]:
    """What is said in each recording, a wav file in base64."""
    from recurra.tasks.transcriber.wav import read_wav

    sounds = []
    for number, text in enumerate(_texts(inputs)):
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise invalid(f"inputs.{number}: expected a wav file in base64", "inputs") from None
        sounds.append(read_wav(data, name=f"inputs.{number}"))
    return [one.to_dict() for one in model.predict(sounds)]


TASKS: dict[str, tuple[str, Work]] = {
    "classify": ("sequence_classifier", classify),
    "tag": ("sequence_tagger", tag),
    "forecast": ("forecaster", forecast),
    "translate": ("translator", translate),
    "transcribe": ("transcriber", transcribe),
}


def marginals(model: Any, inputs: list[Any], done: list[Any]) -> list[dict[str, Any]]:
    """The probability of each tag at each word, as `marginals`: by word, an object of tags."""
    names = [str(tag) for tag in model.tags]
    return [
        {"marginals": [dict(zip(names, map(float, row), strict=True)) for row in rows]}
        for rows in model.predict_proba(inputs)
    ]


def attention(model: Any, inputs: list[Any], done: list[Any]) -> list[dict[str, Any]]:
    """Where the model looked, as `attention`: tokens of both sides, and a row of weights for each
    token of the translation; null of a translation without any."""
    found = []
    for source, one in zip(inputs, done, strict=True):
        looked = model.attention(source, one["text"]) if one["text"].strip() else None
        found.append({"attention": None if looked is None else {
            "source": list(looked.source), "target": list(looked.target),
            "weights": looked.weights.tolist(),
        }})  # fmt: skip
    return found


#: What `details` adds to results, by verb.
_DETAILS: dict[str, Callable[[Any, list[Any], list[Any]], list[dict[str, Any]]]] = {
    "tag": marginals,
    "translate": attention,
}


def _route(verb: str, task: str, work: Work, schema: type[TaskRequest]) -> None:
    async def answer(request: Request) -> dict[str, Any]:
        serve = serving(request)
        asked = await read_json(request, serve.limits, schema)
        hosted = serve.models.get(asked.model)
        if hosted.task != task:
            raise wrong_task(hosted.name, hosted.task)
        more = _DETAILS.get(verb) if getattr(asked, "details", None) else None

        def results() -> list[Any]:
            done = work(hosted.model, asked.inputs)
            if more is not None:
                for one, details in zip(done, more(hosted.model, asked.inputs, done), strict=True):
                    one.update(details)
            return done

        try:
            data = await in_turn(serve, hosted, results)
        except (InputError, FormatError) as error:
            raise invalid(f"inputs: {error}", "inputs") from None
        return {"object": "list", "model": hosted.name, "data": data}

    answer.__doc__ = work.__doc__
    answer.__name__ = verb
    router.post(f"/v1/{verb}", openapi_extra=body_of(schema))(answer)


async def in_turn(serve: Serving, hosted: Hosted, work: Callable[[], R]) -> R:
    """Work on a model in a thread of its own, one request at a time.

    Raises:
        ApiError: 429, where too many wait; 408, where it takes too long.
    """
    if hosted.asked > serve.limits.queue:
        raise ApiError(
            429,
            f"{hosted.asked} requests wait for {hosted.name!r} already: try again in 1 s",
            code="queue_full",
            headers={"retry-after": "1"},
        )
    hosted.asked += 1
    try:
        async with asyncio.timeout(serve.limits.request), hosted.turn:
            return await asyncio.to_thread(work)
    except TimeoutError:
        raise ApiError(408, f"not done after {serve.limits.request:g} s", code="deadline") from None
    finally:
        hosted.asked -= 1


for _verb, (_task, _work) in TASKS.items():
    _route(_verb, _task, _work, DetailedTaskRequest if _verb in _DETAILS else TaskRequest)
