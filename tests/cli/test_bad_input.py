"""What cannot be done is said in one line, with no traceback, and nothing is left behind."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from cli.conftest import SMALL, start

STEPS = ["--steps", "4"]


def complaint(done, *, code=2):
    """The one line on standard error."""
    assert done.code == code, done
    assert done.out == ""
    assert "Traceback" not in done.err
    (line,) = done.err.splitlines()
    assert line.startswith("recurra")
    return line


@pytest.fixture
def files(here, text):
    """A folder of texts, most of which are none."""
    (here / "good.txt").write_text(text.read_text())
    (here / "empty.txt").write_bytes(b"")
    (here / "binary.txt").write_bytes(b"\x7fELF\x02\x01\x01\x00\x00\x00" * 50)
    (here / "latin1.txt").write_bytes("déjà vu ".encode("latin-1") * 200)
    (here / "blank.txt").write_text("\n \n\n" * 100)
    (here / "one.txt").write_text("a")
    (here / "short.txt").write_text("only a few words")
    (here / "folder").mkdir()
    (here / "folder" / "image.png").write_bytes(b"x")
    return here


def listing(folder):
    return sorted(str(path) for path in folder.rglob("*"))


TRAIN = [
    (["missing.txt"], ["missing.txt", "no such file"]),
    (["empty.txt"], ["empty.txt", "empty"]),
    (["binary.txt"], ["binary.txt", "binary"]),
    (["latin1.txt"], ["latin1.txt", "UTF-8", "iconv"]),
    (["folder"], ["folder", "expected files named", "*.txt"]),
    (["one.txt"], ["one.txt"]),
    (["short.txt"], ["tokens", "streams", "batch"]),
    (["blank.txt", "--lines"], ["blank.txt"]),
    (["good.txt", "missing.txt"], ["missing.txt"]),
    (["good.txt", "--valid", "missing.txt"], ["missing.txt"]),
    (["good.txt", "--valid", "empty.txt"], ["empty.txt"]),
    (["good.txt", "--valid", "one.txt"], ["one.txt", "held-out"]),
    (["good.txt", "--cell", "transformer"], ["cell", "rnn, lstm, gru", "'transformer'"]),
    (["good.txt", "--hidden", "-3"], ["hidden", "received -3"]),
    (["good.txt", "--hidden", "0"], ["hidden", "received 0"]),
    (["good.txt", "--hidden", "many"], ["hidden", "'many'"]),
    (["good.txt", "--batch", "0"], ["batch"]),
    (["good.txt", "--bptt", "-1"], ["bptt"]),
    (["good.txt", "--lr", "nan"], ["lr", "nan"]),
    (["good.txt", "--minutes", "0"], ["minutes"]),
    (["good.txt", "--steps", "1.5"], ["steps", "1.5"]),
    (["good.txt", "--epochs", "1"], ["only one of minutes, epochs, steps"]),
    (["good.txt", "--valid-share", "1"], ["valid_share"]),
    (["good.txt", "--tokenizer", "bpe", "--vocab-size", "3"], ["vocab_size=3", "256"]),
    (["good.txt", "--hidden", "-1", "--lr", "0", "--batch", "x", "--cell", "foo"],
     ["hidden", "lr", "batch", "cell"]),
    (["good.txt", "--cell", "gru", "--peephole", "--projection", "4"], ["peephole", "projection"]),
    (["good.txt", "--hiden", "3"], ["--hiden", "did you mean --hidden?", "train lm --help"]),
    (["good.txt", "--hid", "3"], ["--hid"]),
    (["good.txt", "--out", "good.txt"], ["good.txt", "is a file"]),
    (["good.txt", "--out", "folder"], ["folder", "image.png", "--out"]),
    (["good.txt", "--out", "good.txt/run"], ["good.txt"]),
    (["good.txt", "--out", "/proc/nowhere/run"], ["/proc/"]),
    (["good.txt", "--device", "tpu"], ["device", "'tpu'"]),
    (["-", "-"], ["standard input"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), TRAIN, ids=[" ".join(w) for w, _ in TRAIN])
def test_training_that_cannot_begin(recurra, files, words, told):
    before = listing(files)
    line = complaint(recurra("train", "lm", *STEPS, *words))
    for part in told:
        assert part in line
    assert listing(files) == before


NONE = [
    ([], ["VERB"]),
    (["frob"], ["'frob'", "train"]),
    (["--frob"], ["VERB"]),
    (["train"], ["TASK"]),
    (["train", "juggle", "x"], ["'juggle'", "lm"]),
    (["train", "lm"], ["DATA"]),
    (["evaluate"], ["RUN"]),
    (["evaluate", "x"], ["FILE"]),
    (["generate"], ["RUN"]),
    (["doctor", "--jsn"], ["--jsn", "--json"]),
]


@pytest.mark.parametrize(("words", "told"), NONE, ids=[" ".join(w) or "-" for w, _ in NONE])
def test_commands_that_are_none(recurra, here, words, told):
    line = complaint(recurra(*words))
    for part in told:
        assert part in line
    assert "--help" in line


GENERATE = [
    (["--top-k", "100000"], ["top_k", "vocabulary", "100000"]),
    (["--top-k", "0"], ["top_k"]),
    (["--temperature", "-1"], ["temperature", "-1"]),
    (["--temperature", "hot"], ["temperature", "'hot'"]),
    (["--top-p", "1.5"], ["top_p"]),
    (["--n-best", "3"], ["n_best"]),
    (["--beams", "2", "--n-best", "3"], ["n_best", "1..2"]),
    (["--beams", "2", "--temperature", "0.5"], ["temperature", "beams=2"]),
    (["--max-tokens", "0"], ["max_tokens"]),
    (["--seed", "-1"], ["seed"]),
    (["--stop", ""], ["stop"]),
    (["--logprobs", "1000"], ["logprobs"]),
    (["--temperature", "-1", "--top-k", "0", "--seed", "x"], ["temperature", "top_k", "seed"]),
]


@pytest.mark.parametrize(("words", "told"), GENERATE, ids=[" ".join(w) for w, _ in GENERATE])
def test_generating_as_nobody_can(recurra, run, words, told):
    line = complaint(recurra("generate", run, "the", *words))
    for part in told:
        assert part in line


@pytest.mark.parametrize("name", ["missing.txt", "empty.txt", "binary.txt", "one.txt", "folder"])
def test_evaluating_what_is_no_text(recurra, run, files, name):
    assert name in complaint(recurra("evaluate", run, name)) or name == "one.txt"


def test_unknown_symbols_where_the_vocabulary_has_no_unknown(recurra, here, run, text):
    from recurra.storage import read_model, save_model
    from recurra.text import train_tokenizer

    files = read_model(run)
    closed = train_tokenizer("char", [text.read_text() + "~"], unk=False)  # "~" for "<unk>"
    save_model(
        here / "model", config=files.config, tensors=files.tensors, tokenizer=closed.to_json()
    )
    line = complaint(recurra("generate", "model", "the ☃"))
    assert "☃" in line
    (here / "text.txt").write_text("the cat\nthe ☃\n")
    line = complaint(recurra("evaluate", "model", "text.txt"))
    assert "☃" in line
    assert "text.txt" in line


@pytest.fixture
def model(here, run):
    """A copy of the trained model, to be damaged."""
    return shutil.copytree(run / "best", here / "model")


def test_every_flipped_bit_is_found(recurra, model, text):
    for name in ("model.safetensors", "config.json", "tokenizer.json", "manifest.json"):
        whole = (model / name).read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 2):
            changed = bytearray(whole)
            changed[place] ^= 4
            (model / name).write_bytes(changed)
            line = complaint(recurra("evaluate", model, text), code=1)
            assert "model" in line
        (model / name).write_bytes(whole)
    assert recurra("evaluate", model, text).code == 0


def test_files_that_are_missing(recurra, model):
    for name in ("model.safetensors", "config.json", "tokenizer.json", "manifest.json"):
        whole = (model / name).read_bytes()
        (model / name).unlink()
        assert name in complaint(recurra("generate", model, "a"), code=1)
        (model / name).write_bytes(whole)


def test_a_model_of_a_newer_version(recurra, model):
    from recurra.storage import manifest

    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "version": 99}))
    (model / manifest.NAME).unlink()
    line = complaint(recurra("generate", model, "a"), code=1)
    assert "99" in line
    assert "upgrade" in line or "newer" in line


def test_a_pickle_is_never_opened(recurra, model, here):
    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {here}/opened",)

    (model / "model.safetensors").write_bytes(pickle.dumps(Attack()))
    line = complaint(recurra("generate", model, "a"), code=1)
    assert "pickle" in line
    (here / "pytorch_model.bin").write_bytes(pickle.dumps(Attack()))
    assert "pickle" in complaint(recurra("generate", "pytorch_model.bin", "a"))
    assert not (here / "opened").exists()


def test_paths_that_hold_no_model(recurra, files):
    assert "no such directory" in complaint(recurra("generate", "nowhere", "a"))
    assert "is a file" in complaint(recurra("generate", "good.txt", "a"))
    assert "expected a model or a run" in complaint(recurra("generate", "folder", "a"))


def test_a_second_trainer_is_told_of_the_first(recurra, here, text):
    from recurra.storage import RunLock

    words = ["train", "lm", text, "--out", "run", "--json", *SMALL, *STEPS]
    with RunLock("run"):
        line = complaint(recurra(*words))
        assert f"process {os.getpid()}" in line
    assert recurra(*words).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_full_disk(text, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the right to mount one")
    try:
        words = ["train", "lm", text, "--out", place / "run", "--hidden", 200, *STEPS]
        with start(*words) as process:
            _, err = process.communicate(timeout=60)
        last = err.splitlines()[-1]
        assert process.returncode in (1, 2)
        assert "Traceback" not in err
        assert "disk is full" in last
    finally:
        subprocess.run(["umount", str(place)], check=True)
