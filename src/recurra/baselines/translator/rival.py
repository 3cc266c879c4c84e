"""What a comparison of translators asks of each model."""

from collections.abc import Mapping
from typing import Any

from recurra.tasks.translator.data import open_pairs

_ASKED = 50  # sources that are translated one at a time, for the time it takes


def single_inputs(
    data: Any, settings: Mapping[str, Any], of_data: Mapping[str, Any]
) -> list[list[str]]:
    """Lists of one source each, spread over the data, whatever is chosen about model and data."""
    pairs = open_pairs(data, skip_bad=bool(of_data.get("skip_bad", False)))
    sources, _ = pairs.references()
    return [[source] for source in sources[:: max(1, len(sources) // _ASKED)][:_ASKED]]
