"""Our package is imported before Keras, and so chooses its torch backend."""

import pytest

import recurra.keras  # noqa: F401

pytest.importorskip("keras")
