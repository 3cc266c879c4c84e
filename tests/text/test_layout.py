"""`tokenizer.json`: read by the `tokenizers` library as by us, and refused where it is not ours."""

import copy
import gzip
import json

import pytest
import tokenizers
from hypothesis import example, given, settings

from recurra.errors import FormatError, InputError
from recurra.text import Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from text.strategies import texts
from text.test_tokenizers import KINDS, TRAINED

REAL = (
    "tinyshakespeare/input.txt",
    "don-quijote/quijote.txt",
    "wikitext-2/valid.txt",
    "enwiki-slice/enwiki-clean.txt.gz",
)


def hugging_face(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    twin = tokenizers.Tokenizer.from_str(json.dumps(tokenizer.to_json()))
    twin.encode_special_tokens = True  # a special token's name in a text is text, as with us
    return twin


def read(path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


TWINS = {kind: hugging_face(TRAINED[kind]) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@given(text=texts)
@settings(max_examples=150)
@example("<eos>\n<eos> a <eos>b\n\n")
def test_strings_as_hugging_face_reads_them(kind, text):
    ours, twin = TRAINED[kind], TWINS[kind]
    ids = ours.encode(text).tolist()
    assert ids == twin.encode(text).ids
    assert ours.decode(ids) == twin.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eos", [False, True], ids=["plain", "eos"])
@pytest.mark.parametrize("path", REAL)
def test_real_texts_as_hugging_face_reads_them(data_dir, path, kind, eos):
    text = read(data_dir / path)[:100_000]
    seen = text[: len(text) // 2]
    size = {"word": 2000, "bpe": 1000}.get(kind)
    ours = train_tokenizer(kind, [seen], vocab_size=size, eos=eos)
    twin = hugging_face(ours)
    ids = ours.encode(text)
    assert ids.tolist() == twin.encode(text).ids
    assert ours.decode(ids) == twin.decode(ids.tolist())
    if kind in ("byte", "bpe"):
        assert ours.decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_saved_and_loaded(tmp_path, kind, folder):
    ours = TRAINED[kind]
    path = tmp_path if folder else tmp_path / "t.json"
    save_tokenizer(ours, path)
    again = load_tokenizer(path)
    assert type(again) is type(ours)
    assert again.to_json() == ours.to_json()
    assert again.sha256 == ours.sha256
    assert (again.unk_id, again.eos_id, len(again)) == (ours.unk_id, ours.eos_id, len(ours))
    text = "the théâtre of\ncats <unk>"
    assert again.encode(text).tolist() == ours.encode(text).tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json" if folder else "t.json"]
    assert tokenizers.Tokenizer.from_file(str(next(tmp_path.iterdir())))


@pytest.mark.parametrize("kind", KINDS)
def test_what_hugging_face_writes_back_is_read(kind):
    ours = TRAINED[kind]
    back = json.loads(TWINS[kind].to_str())
    assert Tokenizer.from_json(back).to_json() == ours.to_json() == back


def test_older_files_write_a_merge_as_one_string():
    layout = copy.deepcopy(TRAINED["bpe"].to_json())
    layout["model"]["merges"] = [" ".join(pair) for pair in layout["model"]["merges"]]
    del layout["model"]["ignore_merges"]
    assert Tokenizer.from_json(layout).to_json() == TRAINED["bpe"].to_json()


def test_hashes_differ_where_tokenizers_do():
    others = [train_tokenizer("char", ["ab"], eos=eos) for eos in (False, True)]
    assert len({tokenizer.sha256 for tokenizer in [*TRAINED.values(), *others]}) == 6


DAMAGE = {  # kind, where, what is put there, what the error says
    "model type": ("char", ("model", "type"), "Unigram", "received 'Unigram'"),
    "no model": ("char", ("model",), None, "'model' to be a dict, received NoneType"),
    "vocab a list": ("char", ("model", "vocab"), [["a", 0]], "'vocab' to be a dict"),
    "gap": ("char", ("model", "vocab", "t"), 999, "each number once"),
    "number twice": ("char", ("model", "vocab", "t"), 0, "each number once"),
    "not a number": ("char", ("model", "vocab", "t"), "7", "whole numbers"),
    "a truth value": ("char", ("model", "vocab", "<eos>"), True, "whole numbers"),
    "normalizer": ("char", ("normalizer",), {"type": "NFC"}, "normalizer is .*NFC"),
    "other lower case": ("word", ("normalizer",), {"type": "Lowercase"}, "normalizer.type is"),
    "other split": ("word", ("pre_tokenizer",), {"type": "Whitespace"}, "pre_tokenizer.type is"),
    "prefix space": (
        "bpe",
        ("pre_tokenizer", "add_prefix_space"),
        True,
        "add_prefix_space is true",
    ),
    "dropout": ("bpe", ("model", "dropout"), 0.1, "dropout is 0.1"),
    "byte fallback": ("bpe", ("model", "byte_fallback"), True, "byte_fallback is true"),
    "unknown entry": ("bpe", ("model", "surprise"), [1], "surprise is"),
    "added token": ("bpe", ("added_tokens",), [{"id": 5, "content": "!"}], "added_tokens is"),
    "merge of three": ("bpe", ("model", "merges"), ["a b c"], "merge of two tokens"),
    "merge of numbers": ("bpe", ("model", "merges"), [[1, 2]], "merge of two tokens"),
    "unknown merge": ("bpe", ("model", "merges"), [["q", "zz"]], "not in the vocabulary"),
    "merges of bytes": ("byte", ("model", "merges"), [["a", "b"]], "merges is"),
    "no byte": ("bpe", ("model", "vocab", "中"), 301, "stands for no byte|each number once"),
}


@pytest.mark.parametrize(("kind", "where", "value", "message"), DAMAGE.values(), ids=DAMAGE)
def test_foreign_layouts_are_refused(tmp_path, kind, where, value, message):
    layout = copy.deepcopy(TRAINED[kind].to_json())
    entry = layout
    for key in where[:-1]:
        entry = entry[key]
    entry[where[-1]] = value
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(layout))
    with pytest.raises(FormatError, match=message) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"[]", b'{"model"', b"[" * 100_000])
def test_files_that_are_no_layout(tmp_path, content):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"t\.json: expected"):
        load_tokenizer(tmp_path / "t.json")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_tokenizer(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be written: No such file"):
        save_tokenizer(TRAINED["char"], tmp_path / "none" / "t.json")
