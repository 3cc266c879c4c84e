"""Our package is imported before Keras, and so chooses its torch backend."""

import pytest

import recurra.keras  # noqa: F401

keras = pytest.importorskip("keras")


@pytest.fixture(autouse=True)
def _same_weights_each_time():
    # A draw in a thousand has a gradient that is a difference of large numbers, and float32's last
    # digits of those are more than its tolerance.
    keras.utils.set_random_seed(7)
