"""What requests may hold: names, kinds and ranges. Unknown fields are refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Tokens of a prompt or text, and characters of one.
TOKENS, CHARACTERS = 100_000, 1 << 20


class Schema(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(min_length=1, max_length=200)]
StateId = Annotated[str, Field(pattern="^st_[0-9a-f]{32}$")]
Text = Annotated[str, Field(max_length=CHARACTERS)]
Stop = Annotated[str, Field(min_length=1, max_length=64)]
Id = Annotated[int, Field(ge=0, lt=1 << 31)]

#: How a field is described whose kinds pydantic would tell apart by trial.
_PROMPT: dict[str, Any] = {
    "description": "A text, up to 16 texts, the ids of one, or those of up to 16.",
    "oneOf": [
        {"type": "string", "maxLength": CHARACTERS},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 16},
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": TOKENS},
        {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    ],
}


class StreamOptions(Schema):
    """What a stream has besides its text."""

    include_usage: bool | None = None


class Drawing(Schema):
    """How tokens are chosen; the order of the edits is that of `recurra.generate.Options`."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    min_p: Annotated[float, Field(ge=0, lt=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=300)] | None
    ) = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None


class Sampling(Drawing):
    """What requests for texts share."""

    n: Annotated[int, Field(ge=1, le=8)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=256)] | None = None


class CompletionRequest(Sampling):
    """`POST /v1/completions`."""

    model: Name
    prompt: Annotated[Any, Field(json_schema_extra=_PROMPT)] = ""
    max_tokens: Annotated[int, Field(ge=0, le=4096)] | None = None
    best_of: Annotated[int, Field(ge=1, le=8)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    return_token_ids: bool | None = None
    suffix: None = None
    state: StateId | None = None
    keep_state: bool | None = None


class Message(Schema):
    """One turn of a conversation."""

    role: Annotated[str, Field(pattern="^(system|user|assistant)$")]
    content: Text
    name: Annotated[str, Field(max_length=64)] | None = None


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    model: Name
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class TokenizeRequest(Schema):
    """`POST /v1/tokenize`."""

    model: Name
    text: Text


class DetokenizeRequest(Schema):
    """`POST /v1/detokenize`."""

    model: Name
    tokens: Annotated[list[Id], Field(max_length=TOKENS)]


class Passage(Schema):
    """A text, or its ids, for a model; a state says what stands before it."""

    model: Name
    text: Text | None = None
    tokens: Annotated[list[Id], Field(max_length=TOKENS)] | None = None
    state: StateId | None = None


class ScoreRequest(Passage):
    """`POST /v1/score`."""

    top: Annotated[int, Field(ge=0, le=20)] | None = None
    next: bool | None = None
    keep_state: bool | None = None


#: Units and steps of one inspection, and tokens that a change is followed through.
UNITS, STEPS = 512, 2000


class InspectRequest(Passage):
    """`POST /v1/inspect`."""

    layer: Annotated[int, Field(ge=0, lt=1000)] = 0
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    units: Annotated[list[Id], Field(min_length=1, max_length=UNITS)] | None = None
    start: Annotated[int, Field(ge=0, lt=TOKENS)] = 0
    stop: Annotated[int, Field(ge=1, le=TOKENS)] | None = None
    encoding_format: Annotated[str, Field(pattern="^(float|base64)$")] | None = None


class Ablation(Schema):
    """A unit that is held at a value, by default at its mean."""

    layer: Annotated[int, Field(ge=0, lt=1000)] = 0
    unit: Id
    value: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None


class WhatIfRequest(Passage):
    """`POST /v1/whatif`."""

    at: Annotated[int, Field(ge=0, lt=TOKENS)] = 0
    replace: Id | None = None
    ablate: Ablation | None = None


class RewindRequest(Schema):
    """`POST /v1/states/{id}/rewind`."""

    to: Annotated[int, Field(ge=1, lt=1 << 31)]


class TaskRequest(Schema):
    """`POST /v1/classify` and the others of its kind."""

    model: Name
    inputs: Annotated[list[Any], Field(min_length=1, max_length=64)]


class DetailedTaskRequest(TaskRequest):
    """`POST /v1/tag` and `/v1/translate`: with `details` marginals, or attention."""

    details: bool | None = None


class OpenMessage(Schema):
    """`/v1/stream`: the first message. What else it holds depends on the model's task."""

    type: Literal["open"]
    model: Name
    state: str | None = None


class PushMessage(Schema):
    """`/v1/stream`: a frame, as `docs/serving.md` tells for each task."""

    type: Literal["push"]
    frame: Any


class WriteMessage(Drawing):
    """`/v1/stream`: go on from what was read, a piece a token, until the next message."""

    type: Literal["write"]
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 200


class StateMessage(Schema):
    """`/v1/stream`: the state here, as a value."""

    type: Literal["state"]


class FinishMessage(Schema):
    """`/v1/stream`: read the end, and close."""

    type: Literal["finish"]
