"""Model directories: what comes back, what is found damaged, and each wrong path told."""

import json
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.storage import (
    BEST,
    Checkpoints,
    NewerFormatError,
    atomic_directory,
    read_model,
    save_model,
    verify_manifest,
    write_manifest,
)

CONFIG = {"task": "lm", "hidden": 8}
TOKENIZER = {"version": "1.0", "model": {"vocab": {"é": 0, "\n": 1}}}


def tensors(value=0.5):
    return {"w": np.full((3, 4), value, np.float32), "b": np.arange(3)}


def save(path, value=0.5, **options):
    defaults = {"config": CONFIG, "tensors": tensors(value), "tokenizer": TOKENIZER}
    return save_model(path, **{**defaults, "card": "# A model\n", **options})


def reseal(path, name, change):
    """Change a JSON file of a model by hand, and the manifest with it."""
    value = json.loads((path / name).read_text())
    change(value)
    (path / name).write_text(json.dumps(value))
    write_manifest(path, kind="model")


def test_round_trip(tmp_path):
    assert save(tmp_path / "m") == tmp_path / "m"
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "README.md",
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    for verify in (True, False):
        found = read_model(tmp_path / "m", verify=verify)
        assert found.config == {"format": "recurra-model", "version": 1, **CONFIG}
        assert found.tokenizer == TOKENIZER
        assert found.card == "# A model\n"
        assert found.path == tmp_path / "m"
        for name, array in tensors().items():
            np.testing.assert_array_equal(found.tensors[name], array, strict=True)
    save_model(tmp_path / "n", config=found.config, tensors=found.tensors)
    assert read_model(tmp_path / "n").config == found.config
    assert read_model(str(tmp_path / "n")).tokenizer is None


def test_a_model_moved_elsewhere_is_the_same(tmp_path):
    save(tmp_path / "m")
    shutil.copytree(tmp_path / "m", tmp_path / "copy")
    assert read_model(tmp_path / "copy").config["hidden"] == 8


def test_a_run_directory_gives_its_best_model(tmp_path):
    run = tmp_path / "run"
    save(run / BEST)
    (run / "config.json").write_text('{"lr": 0.1}')
    (run / "checkpoints").mkdir()
    assert read_model(run).path == run / "best"
    shutil.rmtree(run / BEST)
    with pytest.raises(InputError, match="this run has no best/ yet"):
        read_model(run)


@pytest.mark.parametrize(
    "name", ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
)
def test_every_flipped_bit_is_found(tmp_path, name):
    save(tmp_path / "m")
    path = tmp_path / "m" / name
    whole = path.read_bytes()
    rng = random.Random(name)
    for at in range(0, len(whole), max(1, len(whole) // 100)):
        data = bytearray(whole)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        with pytest.raises(FormatError, match=name) as caught:
            read_model(tmp_path / "m")
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    read_model(tmp_path / "m")


def test_every_flipped_bit_of_the_manifest_is_found(tmp_path):
    """It holds the hashes, and its own: all of its bytes are tried."""
    save(tmp_path / "m")
    path = tmp_path / "m" / "manifest.json"
    whole = path.read_bytes()
    rng = random.Random(1)
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        with pytest.raises(FormatError, match=r"manifest\.json") as caught:
            read_model(tmp_path / "m")
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    read_model(tmp_path / "m")


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors", "manifest.json"])
def test_a_file_cut_short_or_longer_is_found(tmp_path, name, by):
    save(tmp_path / "m")
    path = tmp_path / "m" / name
    path.write_bytes(path.read_bytes()[:-1] if by < 0 else path.read_bytes() + b"\n")
    with pytest.raises(FormatError, match=name):
        read_model(tmp_path / "m")


@pytest.mark.parametrize(
    "name", ["README.md", "config.json", "model.safetensors", "tokenizer.json", "manifest.json"]
)
def test_a_missing_file_is_named(tmp_path, name):
    save(tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises((FormatError, InputError), match=name):
        read_model(tmp_path / "m")


def test_a_tokenizer_put_there_later_is_no_part_of_the_model(tmp_path):
    save(tmp_path / "m", tokenizer=None)
    (tmp_path / "m" / "tokenizer.json").write_text("{}")
    with pytest.raises(FormatError, match=r"tokenizer\.json: manifest\.json does not name it"):
        read_model(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    (tmp_path / "m" / "notes.txt").write_text("of mine: nobody reads them")
    assert read_model(tmp_path / "m").tokenizer is None


def test_edited_by_hand(tmp_path):
    save(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("# Better words\n")
    with pytest.raises(FormatError, match=r"README\.md"):
        read_model(tmp_path / "m")
    assert read_model(tmp_path / "m", verify=False).card == "# Better words\n"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"version": 2},
            NewerFormatError,
            r"written by a newer version of recurra \(format 2; this one reads up to 1\): upgrade",
        ),
        ({"version": "1"}, FormatError, "expected a version"),
        ({"version": True}, FormatError, "expected a version"),
        ({"version": 0}, FormatError, "expected a version"),
        ({"format": "keras"}, FormatError, "received another file"),
        ({"task": None}, FormatError, 'expected the name of a "task"'),
    ],
)
def test_other_versions_and_formats(tmp_path, change, error, words, verify):
    save(tmp_path / "m")
    reseal(tmp_path / "m", "config.json", lambda config: config.update(change))
    with pytest.raises(error, match=words) as caught:
        read_model(tmp_path / "m", verify=verify)
    assert type(caught.value) is error


def test_a_manifest_of_a_newer_version(tmp_path):
    save(tmp_path / "m")
    path = tmp_path / "m" / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 7'))
    with pytest.raises(NewerFormatError, match=r"format 7; this one reads up to 1"):
        read_model(tmp_path / "m")


def test_wrong_paths(tmp_path):
    (tmp_path / "file.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    hugging = tmp_path / "hugging"
    hugging.mkdir()
    save(tmp_path / "m")
    shutil.copy(tmp_path / "m" / "model.safetensors", hugging)
    (hugging / "config.json").write_text('{"model_type": "bert"}')
    Checkpoints(tmp_path / "run" / "checkpoints").write(1, tensors(), {})
    partly = tmp_path / "partly"
    shutil.copytree(tmp_path / "m", partly, ignore=lambda *_: {"manifest.json"})
    for name, error, words in [
        ("none", InputError, "no such directory"),
        ("file.txt", InputError, "is a file: give the directory"),
        ("empty", InputError, "expected a model or a run"),
        ("hugging", FormatError, r'config\.json: expected "format": "recurra-model"'),
        ("run/checkpoints/step-1", FormatError, "expected a model, received a checkpoint"),
        ("run/checkpoints", InputError, "expected a model or a run"),
        ("partly", FormatError, r"no manifest\.json: copied in part"),
    ]:
        with pytest.raises(error, match=words) as caught:
            read_model(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name)), name
        assert "\n" not in str(caught.value)


def test_what_cannot_be_saved(tmp_path):
    for options, words in [
        ({"config": {}}, 'expected the name of a "task"'),
        ({"config": {"task": "lm", "lr": float("nan")}}, "nan cannot be written as JSON"),
        ({"tokenizer": {"a": {1, 2}}}, "a set cannot be written as JSON"),
        ({"tensors": {"w": np.array(["x"])}}, "cannot be stored"),
    ]:
        with pytest.raises(InputError, match=words):
            save(tmp_path / "m", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_not_finite_is_refused(tmp_path):
    save(tmp_path / "m", value=np.nan)
    with pytest.raises(FormatError, match="'w' holds NaN or infinity"):
        read_model(tmp_path / "m")


def test_a_manifest_cannot_lead_out_of_the_directory(tmp_path):
    with atomic_directory(tmp_path / "m") as folder:
        (folder / "..x").write_text("")
    verify_manifest(tmp_path / "m")
    from recurra.storage import FileRecord, Manifest, manifest

    for name in ("../secret", "/etc/passwd", "a/../../b"):
        crafted = Manifest("model", {name: FileRecord(0, "")})
        data = manifest._encode(manifest._fields(crafted))
        (tmp_path / "m" / "manifest.json").write_bytes(data)
        with pytest.raises(FormatError, match="leads out of it"):
            verify_manifest(tmp_path / "m")


@pytest.mark.parametrize("files", [[], {"a": 3}, {"a": {"size": 1}}, {"a": {"size": 1, "x": 2}}])
def test_a_sealed_manifest_of_another_layout(tmp_path, files):
    from recurra.storage import manifest

    fields = {"format": manifest.FORMAT, "version": 1, "kind": "model", "extra": {}, "files": files}
    (tmp_path / "manifest.json").write_bytes(manifest._encode(fields))
    with pytest.raises(FormatError, match=r"expected an object|restore it from a copy"):
        verify_manifest(tmp_path)


def forked(work):
    """Run `work` in a child that never returns into the tests; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


def save_for_ever(path, first):
    def work():
        n = first
        while True:
            save(path, n, config={"task": "lm", "n": n})
            n += 1

    return work


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_reading_while_it_is_replaced_gives_files_that_belong_together(tmp_path):
    save(tmp_path / "m", 0, config={"task": "lm", "n": 0})
    pid = forked(save_for_ever(tmp_path / "m", 1))
    try:
        n = 0
        while n < 50:
            found = read_model(tmp_path / "m")
            assert (found.tensors["w"] == found.config["n"]).all()
            assert found.config["n"] >= n
            n = found.config["n"]
    finally:
        kill(pid)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_while_saving(tmp_path):
    rng = random.Random(0)
    save(tmp_path / "m", 0, config={"task": "lm", "n": 0})
    n = 0
    for _ in range(30):
        started = time.monotonic()
        pid = forked(save_for_ever(tmp_path / "m", n + 1))
        while read_model(tmp_path / "m").config["n"] == n:
            time.sleep(0.001)
        # After a finished write, somewhere in the time that the next one takes.
        time.sleep(rng.uniform(0, min(time.monotonic() - started, 0.1)))
        kill(pid)
        found = read_model(tmp_path / "m")
        assert found.config["n"] > n
        n = found.config["n"]
        assert (found.tensors["w"] == n).all()
    left = [p for p in tmp_path.iterdir() if p.name != "m"]
    assert len(left) > 5  # kills did hit the writing itself
