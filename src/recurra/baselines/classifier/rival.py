"""What rivals in classification share."""

from collections.abc import Mapping
from typing import Any

from recurra.settings import sort
from recurra.tasks.classifier.examples import Examples, hold_out
from recurra.tasks.classifier.settings import DataConfig, SequenceClassifierConfig

_ASKED = 100  # inputs that are predicted one by one to measure how long one takes


def single_inputs(data: Any, model: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Any]:
    """The first inputs of a data set, each as a list of one."""
    examples = read(data, model, settings)
    return [[one] for one in examples.inputs[:_ASKED]]


def read(data: Any, model: Mapping[str, Any], settings: Mapping[str, Any]) -> Examples:
    """Labelled examples, as the classifier with these settings reads them."""
    (chosen,) = sort(settings, DataConfig)
    return DataConfig(**chosen).read(data, SequenceClassifierConfig(**model), labelled=True)


def parted(
    data: Any, valid: Any, model: Mapping[str, Any], settings: Mapping[str, Any], *, seed: int
) -> tuple[Examples, Examples]:
    """Examples to train on and to choose by, held out as the classifier holds them out."""
    train = read(data, model, settings)
    if valid is not None:
        return train, read(valid, model, settings)
    (chosen,) = sort(settings, DataConfig)
    return hold_out(train, DataConfig(**chosen).valid_share, seed=seed)
