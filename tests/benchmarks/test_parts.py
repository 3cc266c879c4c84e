"""Every part of `make bench` is there to be run, and every target finds its figures' names."""

from importlib import import_module

import pytest

from bench.__main__ import OWN, PLANNED


@pytest.mark.parametrize("where", [*PLANNED.values(), *OWN.values()])
def test_a_part_can_be_called(where):
    module, _, name = where.partition(":")
    assert callable(getattr(import_module(module), name))
