"""What a comparison of transcribers asks of each model."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from recurra.data import Sound
from recurra.tasks.transcriber.data import recordings_of

_ASKED = 50  # recordings that are transcribed one by one, for the time it takes


def single_inputs(
    data: Any, settings: Mapping[str, Any], of_data: Mapping[str, Any]
) -> list[Sound]:
    """The first recordings of a data set, whatever is chosen about model and data."""
    return [one.sound for one in islice(recordings_of(data, texts=False), _ASKED)]
