"""What importing our layers does to Keras' backend, and says where it is another."""

import os
import subprocess
import sys

import pytest

CASES = {
    "chooses torch where nothing is chosen": (
        {},
        "import recurra.keras, keras; print(keras.backend.backend(), recurra.keras.LSTM(3).units)",
        "torch 3",
    ),
    "keeps torch where it is chosen": (
        {"KERAS_BACKEND": "torch"},
        "import keras; from recurra.keras.layers import LSTM; print(LSTM(3).units)",
        "3",
    ),
    "layouts need no Keras": (
        {"KERAS_BACKEND": "numpy"},
        "import sys; from recurra.keras.layout import from_keras; print('keras' in sys.modules)",
        "False",
    ),
    "says what to do where the environment has another": (
        {"KERAS_BACKEND": "tensorflow"},
        "from recurra.keras import LSTM",
        "InputError: recurra.keras: expected KERAS_BACKEND=torch in the environment, "
        "received 'tensorflow': unset it, or set it to torch",
    ),
    "says what to do where Keras runs on another": (
        {"KERAS_BACKEND": "torch"},  # others need more installed: what it says is enough
        "import keras; keras.backend.backend = lambda: 'numpy'; from recurra.keras import LSTM",
        "InputError: recurra.keras: expected Keras on its torch backend, found it on numpy: import "
        "recurra.keras before keras, or set KERAS_BACKEND=torch in the environment",
    ),
    "says so for the layers, too": (
        {"KERAS_BACKEND": "jax"},
        "import recurra.keras.layers",
        "InputError: recurra.keras: expected KERAS_BACKEND=torch in the environment, "
        "received 'jax': unset it, or set it to torch",
    ),
    "says what to install where there is no Keras": (
        {},
        "import sys; sys.modules['keras'] = None; from recurra.keras import GRU",
        "InputError: recurra.keras: needs Keras and torch (import of keras halted; None in "
        "sys.modules): pip install 'recurra[keras]'",
    ),
    "refuses an old Keras": (
        {},
        "import sys, types; sys.modules['keras'] = types.SimpleNamespace(__version__='2.15.0')\n"
        "from recurra.keras import GRU",
        "InputError: recurra.keras: expected Keras 3.13 or newer, found 2.15.0: upgrade it",
    ),
    "has no other names": (
        {"KERAS_BACKEND": "jax"},
        "import recurra.keras; recurra.keras.Dense",
        "AttributeError: module 'recurra.keras' has no attribute 'Dense'",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_importing(what):
    variables, code, expected = CASES[what]
    clean = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**clean, **variables}, capture_output=True, text=True, check=False
    )
    said = (done.stdout or done.stderr).strip().splitlines()[-1]
    assert said.removeprefix("recurra.errors.") == expected
