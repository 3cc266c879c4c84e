"""What a comparison of transcribers asks of each model."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from recurra.errors import InputError
from recurra.tasks.transcriber import Sound
from recurra.tasks.transcriber.data import recordings_of

_ASKED = 50  # recordings that are transcribed one by one, for the time it takes


def single_inputs(
    data: Any, settings: Mapping[str, Any], of_data: Mapping[str, Any]
) -> list[Sound]:
    """The first recordings of a data set, whatever is chosen about model and data."""
    on_bad = _pass_over if of_data.get("bad") == "skip" else None
    recordings = recordings_of(data, texts=False, on_bad=on_bad)
    return [one.sound for one in islice(recordings, _ASKED)]


def _pass_over(error: InputError) -> None:
    """Leave it out: the evaluation of each model counts it."""
