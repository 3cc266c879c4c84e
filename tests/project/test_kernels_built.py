"""Where there is a compiler the kernels must be there: or all their tests would be skipped."""

import os
import shutil

import pytest

from recurra import native


def test_a_machine_with_a_compiler_has_the_kernels():
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"no C++ compiler ({compiler}): the package works without the kernels")
    assert native.available(), "the kernels did not compile: run make setup and read its output"
