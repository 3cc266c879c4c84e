"""The five Keras listings run on our layers, and are the published ones but for the import."""

import json
import re
import subprocess
import sys

import pytest

from conftest import ROOT

FOLDER = ROOT / "examples" / "keras"
LISTINGS = ("lstm", "gru", "two_layers", "bidirectional", "two_layers_bidirectional")

# One process, for one import of Keras.
RUN = """
import json, runpy, sys
import recurra.keras
found = {}
for path in sys.argv[1:]:
    model = runpy.run_path(path)["model"]
    inner = [getattr(layer, "forward_layer", layer) for layer in model.layers]
    ours = [type(layer).__name__ for layer in inner if hasattr(layer, "units")]
    assert all(type(layer).__module__.startswith("recurra.") for layer in inner[:-1]), inner
    found[path] = {"layers": ours, "losses": model.history.history["loss"]}
print(json.dumps(found))
"""


def test_every_listing_is_there():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(LISTINGS)


def test_the_listings_run_and_learn():
    pytest.importorskip("recurra.keras")
    paths = [str(FOLDER / f"{name}.py") for name in LISTINGS]
    command = [sys.executable, "-c", RUN, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    layers = [found[path]["layers"] for path in paths]
    assert layers == [
        ["LSTM", "Dense"],
        ["GRU", "Dense"],
        ["LSTM", "LSTM", "Dense"],
        ["LSTM", "Dense"],
        ["LSTM", "LSTM", "Dense"],
    ]
    for outcome in found.values():
        assert len(outcome["losses"]) == 10
        assert outcome["losses"][-1] < outcome["losses"][0]


def test_they_are_the_published_ones_but_for_the_import(data_dir):
    """Those that take their data from the first listing have its lines for it, too."""
    seed = data_dir.parent / "rnn-seed.txt"
    if not seed.exists():
        pytest.skip("the text with the listings is not here")
    fenced = re.findall(r"^```python\n(.*?)^```", seed.read_text(), flags=re.M | re.S)
    published = [listing for listing in fenced if "model.fit" in listing]
    assert len(published) == len(LISTINGS)
    data = published[0][published[0].index("# Sample") : published[0].index("# Define")]
    for name, listing in zip(LISTINGS, published, strict=True):
        imports, rest = listing.split("\n# Define", 1)
        imports = imports.replace("import tensorflow as tf\n", "")
        if "# Sample" not in imports:
            imports = f"import numpy as np\n{imports}\n{data}".removesuffix("\n")
        expected = f"{imports}\n# Define{rest}".replace("tensorflow.keras", "recurra.keras")
        assert (FOLDER / f"{name}.py").read_text() == expected
