"""Folders with a change in them, sealed again: models, checkpoints, runs; the environment."""

import functools
import hashlib
import json
import os
import shutil

import numpy as np

import golden.outputs as golden
import recurra
from fuzz import mutations
from fuzz.formats import weights as weights_head
from recurra import bounded
from recurra.native import missing, processors
from recurra.storage import Checkpoints
from recurra.storage.manifest import _encode, verify_manifest
from recurra.storage.tensors import read_tensors, write_tensors
from recurra.text.token_file import TokenFile

GOLDEN = golden.HERE
KINDS = tuple(sorted(path.parent.name for path in GOLDEN.glob("*/model")))

#: What recorded models are asked, by the beginning of their names.
ASK = {
    "lm-": "language_model",
    "classifier-": "classifier",
    "tagger-": "tagger",
    "forecaster-": "forecaster",
    "translator-": "translator",
    "transcriber-": "transcriber",
}


@functools.cache
def contents(folder):
    """The files of a folder by name."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def fill(folder, files):
    """Make a folder that has these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def sealed(files, below=""):
    """The files with a manifest that fits them."""
    name = f"{below}manifest.json"
    fields = json.loads(files[name])
    fields.pop("sha256", None)
    inside = {
        n.removeprefix(below): d
        for n, d in sorted(files.items())
        if n.startswith(below) and n != name
    }
    fields["files"] = {
        n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in inside.items()
    }
    return {**files, name: _encode(fields)}


def changed(files, name, chance, scratch):
    """The files with a change in the one called `name`; and what was changed, for people."""
    data = files[name]
    if not name.endswith(".safetensors"):
        value = json.loads(data)
        path = chance.choice(list(mutations.places(value)))
        new = json.dumps(mutations.change(value, path, chance)).encode()
        return {**files, name: new}, f"{name} {path}"
    if chance.random() < 0.2:
        return {**files, name: weights_head(data, chance)}, f"{name}, its head"
    scratch.mkdir(parents=True, exist_ok=True)
    old = scratch / "old.safetensors"
    old.write_bytes(data)
    write_tensors(scratch / "new.safetensors", mutations.tensors(read_tensors(old), chance))
    return {**files, name: (scratch / "new.safetensors").read_bytes()}, name


def a_model(kind, folder, chance):
    """A model of a kind with one change, in a folder; what was changed."""
    files = contents(GOLDEN / kind / "model")
    names = ["config.json", "config.json", "model.safetensors"]
    names += ["tokenizer.json"] * ("tokenizer.json" in files)
    made, told = changed(files, chance.choice(names), chance, folder.parent / "scratch")
    fill(folder, sealed(made))
    return told


def answers(kind, path):
    """Load a model and ask what the recorded one was asked, where it is asked little."""
    recurra.load(path)
    ask = next((f for start, f in ASK.items() if kind.startswith(start)), None)
    if ask is not None:
        getattr(golden, ask)(path)


def model(folder, chance):
    """A model of any kind; one in four is asked something, too."""
    kind = chance.choice(KINDS)
    a_model(kind, folder / "model", chance)
    ask = chance.random() < 0.25
    return (
        lambda: answers(kind, folder / "model") if ask else recurra.load(folder / "model")
    ), 1 << 15


def manifest(folder, chance):
    """A manifest with other values, sealed again, or not."""
    files = contents(GOLDEN / "lm-char-gru" / "model")
    fields = json.loads(files["manifest.json"])
    fields.pop("sha256", None)
    if chance.random() < 0.8:
        fields = mutations.json_value(fields, chance)
    data = json.dumps(fields).encode()
    if isinstance(fields, dict) and chance.random() < 0.9:
        try:
            data = _encode(fields)
        except recurra.InputError:
            data = json.dumps(fields).encode()
    if chance.random() < 0.2:
        data = mutations.some_bytes(data, chance)
    fill(folder / "model", {**files, "manifest.json": data})
    return (lambda: verify_manifest(folder / "model")), len(data)


def checkpoint(folder, chance):
    """A checkpoint with other values or tensors, sealed again."""
    source = contents(GOLDEN / chance.choice(("run-lm", "run-classifier")) / "run")
    below = "checkpoints/step-10/"
    files = {n: d for n, d in source.items() if n.startswith(below)}
    name = below + chance.choice(("state.json", "tensors.safetensors"))
    made, _ = changed(files, name, chance, folder / "scratch")
    fill(folder / "run", sealed(made, below))
    strict = chance.random() < 0.5
    return (lambda: Checkpoints(folder / "run/checkpoints").latest(strict=strict)), 1 << 16


def run(folder, chance):
    """A stopped run with a change in one of its files, which goes on."""
    from golden import runs

    name = chance.choice(("run-lm", "run-classifier"))
    files = contents(GOLDEN / name / "run")
    below = "checkpoints/step-10/"
    whole = [n for n in files if n.endswith((".json", ".safetensors")) and "step-0/" not in n]
    state = [below + "state.json"] * 4 + [below + "tensors.safetensors"] * 3
    which = chance.choice([*state, *(n for n in whole if "manifest" not in n)])
    made, _ = changed(files, which, chance, folder / "scratch")
    if which.startswith(below):
        made = sealed(made, below)
    fill(folder / "run", made)
    return (lambda: runs.RUNS[name](folder / "run")), 1 << 16


def tokens(folder, chance):
    """A text as tokens: its sidecar with other values, or its tokens as other bytes."""
    source = contents(GOLDEN / "run-lm" / "run")
    files = {n: source[f"data/{n}"] for n in ("train.tokens", "train.tokens.json")}
    if chance.random() < 0.3:
        files["train.tokens"] = mutations.some_bytes(files["train.tokens"], chance)
    else:
        files["train.tokens.json"] = mutations.json_bytes(files["train.tokens.json"], chance)
    if chance.random() < 0.3:
        files["train.tokens.lines"] = np.arange(chance.randrange(9)).astype("<i8").tobytes()
    fill(folder / "data", files)

    def read():
        opened = TokenFile.open(folder / "data" / "train.tokens")
        return opened.data[:9].sum(), opened.line_starts

    return read, 1 << 13


SETTINGS = (
    *(
        "",
        " ",
        "0",
        "1",
        "-1",
        "+4",
        "4,2",
        "1e3",
        "0x10",
        "999999",
        "9" * 5000,
        "1" * 18,
        "off",
        "on",
        "OFF",
    ),
    *(
        "None",
        "nan",
        "\u0661\u0662",
        "a\nb",
        "\x1b[31m",
        "../..",
        "~",
        "é",
        "\udcff",
        "true",
        "1_000",
    ),
)


def environment(folder, chance):
    """A variable of the environment with any text."""
    value = chance.choice(SETTINGS)
    if chance.random() < 0.3:
        value = mutations.some_bytes(value.encode("utf-8", "surrogateescape"), chance)
        value = value.replace(b"\0", b"").decode("utf-8", "surrogateescape")
    name = chance.choice(tuple(bounded.LIMITS))
    how = chance.randrange(5)
    if how == 4:
        from recurra.train.distributed import declared

    def read():
        if how == 0:
            return with_variable(
                f"RECURRA_LIMIT_{name.upper()}", value, lambda: bounded.limit(name)
            )
        if how == 1:
            return processors.asked(value, 4)
        if how == 2:
            return with_variable("OMP_NUM_THREADS", value, processors.why)
        if how == 3:
            return with_variable(
                "RECURRA_KERNELS", value, lambda: missing.switched_off("RECURRA_KERNELS")
            )
        return with_variable("WORLD_SIZE", value, declared)

    return read, len(value)


def with_variable(name, value, read):
    """What `read` answers while a variable has a value."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        return read()
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
