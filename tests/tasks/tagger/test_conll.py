"""Files of tagged sentences: what is read, what is told of what is wrong, what comes back."""

import gzip

import pytest

from recurra.errors import InputError
from recurra.tasks.tagger.conll import read_tagged

COLUMNS = "-DOCSTART- X O\n\nU.N. NNP B-ORG\n\n\nto TO O\ngo VB O\n"
TABS = "#tag\tO\n,\tO\n\t\nNew York\tB-loc\n"
CONLLU = """# text = I don't know.
1\tI\tI\tPRON\tPRP\tCase=Nom\t3\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t4\taux\t_\tSpaceAfter=No
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
3.1\tghost\t_\t_\t_\t_\t_\t_\t_\t_

# nothing but a remark

1\tYes yes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_

"""
LINES = (
    '{"words": ["A", "dog"], "tags": ["DET", "NOUN"], "id": 7}\n\n{"tags": ["X"], "words": ["é"]}\n'
)


def write(folder, text, name="file.conll"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def pairs(text):
    return [(s.words, s.tags) for s in text.sentences]


@pytest.mark.parametrize(
    ("text", "name", "options", "expected"),
    [
        (COLUMNS, "a.conll", {}, [(("U.N.",), ("B-ORG",)), (("to", "go"), ("O", "O"))]),
        (COLUMNS, "a", {"tag_column": 2}, [(("U.N.",), ("NNP",)), (("to", "go"), ("TO", "VB"))]),
        (COLUMNS, "a", {"word_column": 2}, [(("NNP",), ("B-ORG",)), (("TO", "VB"), ("O", "O"))]),
        (TABS, "a.tsv", {}, [(("#tag", ","), ("O", "O")), (("New York",), ("B-loc",))]),
        (
            TABS.replace("\n", "\r\n"),
            "a",
            {"tags": False},
            [(("#tag", ","), None), (("New York",), None)],
        ),
        (b"\xef\xbb\xbfa\tb", "a", {}, [(("a",), ("b",))]),
        (
            "just\nwords\n\nhere",
            "a",
            {"tags": False},
            [(("just", "words"), None), (("here",), None)],
        ),
        (
            CONLLU,
            "a.conllu",
            {},
            [(("I", "do", "n't"), ("PRON", "AUX", "PART")), (("Yes yes",), ("INTJ",))],
        ),
        (
            CONLLU,
            "a.txt",
            {"format": "conllu", "tag_column": "feats"},
            [(("I", "do", "n't"), ("Case=Nom", "_", "_")), (("Yes yes",), ("_",))],
        ),
        (LINES, "a.jsonl", {}, [(("A", "dog"), ("DET", "NOUN")), (("é",), ("X",))]),
        ("a\u00a0b c\u2028d\n", "a", {}, [(("a\u00a0b",), ("c\u2028d",))]),
    ],
)
def test_what_is_read(tmp_path, text, name, options, expected):
    path = write(tmp_path, text, name)
    assert pairs(read_tagged(path, **options)) == expected
    squeezed = write(tmp_path, gzip.compress(path.read_bytes()), name + ".gz")
    assert pairs(read_tagged(squeezed, **options)) == expected


WRONG = [
    ("a.conll", "a\tb\n\nc\td\te\n", {}, 3, "expected 2 columns, as in line 1, received 3"),
    ("a.conll", "a\tb\n\nc\t\n", {}, 3, "expected a tag in column 2, received nothing"),
    ("a.conll", "a\tb\n\n\tc\n", {}, 3, "expected a word in column 1, received nothing"),
    ("a.conll", "a\n", {}, 1, "expected a tag beside the word, received one column"),
    ("a.conll", "a b\n", {"tag_column": 4}, 1, "there is no tag column 4: it has 2"),
    ("a.conll", "a b\n", {"word_column": 3}, 1, "there is no word column 3: it has 2"),
    ("a.conll", b"a b\n\nc\xff d\n", {}, 3, "not UTF-8: byte 0xff at 2"),
    ("a.conllu", "1\ta\tb\n", {}, 1, "expected 10 columns parted by tabs, received 3"),
    ("a.conllu", CONLLU.replace("3\tn't", "4\tn't"), {}, 5, "expected the id 3, received '4'"),
    ("a.conllu", CONLLU.replace("3\tn't", "x\tn't"), {}, 5, "expected the id 3, received 'x'"),
    ("a.conllu", CONLLU.replace("AUX", "_"), {}, 4, "expected a tag in column upos, received '_'"),
    ("a.conllu", CONLLU.replace("do\tdo", "\tdo"), {}, 4, "expected a word in column form"),
    ("a.jsonl", "{", {}, 1, "expected a JSON object: "),
    ("a.jsonl", "[]", {}, 1, "expected a JSON object, received list"),
    ("a.jsonl", '{"tokens": []}', {}, 1, 'expected "words", found tokens'),
    ("a.jsonl", '{"words": []}', {}, 1, '"words": expected a list of strings, received []'),
    ("a.jsonl", '{"words": ["a", 3], "tags": []}', {}, 1, "not empty, received 3"),
    (
        "a.jsonl",
        '{"words": ["a"], "tags": ["b", "c"]}',
        {},
        1,
        "a tag for each of 1 words, received 2",
    ),
]


@pytest.mark.parametrize(("name", "text", "options", "line", "told"), WRONG)
def test_what_is_wrong_is_told_with_its_line(tmp_path, name, text, options, line, told):
    path = write(tmp_path, text, name)
    with pytest.raises(InputError) as error:
        read_tagged(path, **options)
    message = str(error.value)
    assert message.startswith(f"{path}:{line}: ")
    assert told in message
    assert message.endswith("mend it, or leave such sentences out with skip_bad")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "good", "bad", "lines"),
    [
        ("a.conll", "a\tO\n", "b\tO\nc\n", 2),
        ("a.conllu", CONLLU.partition("\n\n")[0] + "\n", "1\tx\n", 1),
        ("a.jsonl", '{"words": ["a"], "tags": ["O"]}\n', "{}\n", 1),
    ],
)
def test_good_sentences_are_kept_where_bad_ones_are_left_out(tmp_path, name, good, bad, lines):
    path = write(tmp_path, f"{good}\n{bad}\n{good}\n{bad}", name)
    alone = read_tagged(write(tmp_path, good, "good" + name[1:]))
    found = read_tagged(path, skip_bad=True)
    assert pairs(found) == 2 * pairs(alone)
    first = good.count("\n") + 1
    assert [line.split(": ")[0] for line in found.skipped] == [
        f"{path}:{first + lines}",
        f"{path}:{2 * first + 2 * lines + 1}",
    ]
    with pytest.raises(InputError, match=r"there is none \(1 were wrong: the first is"):
        read_tagged(write(tmp_path, bad, "bad" + name[1:]), skip_bad=True)


@pytest.mark.parametrize(
    ("name", "text", "new", "expected"),
    [
        ("a.conll", COLUMNS, [["A"], ["B", "C"]],
         "-DOCSTART- X O\n\nU.N. NNP B-ORG A\n\n\nto TO O B\ngo VB O C\n"),
        ("a.conll", TABS, [["A", "B"], ["C"]], "#tag\tO\tA\n,\tO\tB\n\t\nNew York\tB-loc\tC\n"),
        ("a.conll", "x\ny\n", [["A", "B"]], "x\tA\ny\tB\n"),
        ("a.conllu", CONLLU, [["A", "B", "C"], ["D"]],
         CONLLU.replace("PRON", "A").replace("AUX", "B").replace("PART", "C").replace("INTJ", "D")),
        ("a.jsonl", LINES, [["A", "B"], ["C"]],
         '{"words": ["A", "dog"], "tags": ["A", "B"], "id": 7}\n\n'
         '{"tags": ["C"], "words": ["é"]}\n'),
    ],
)  # fmt: skip
def test_the_file_comes_back_with_its_tags(tmp_path, name, text, new, expected):
    found = read_tagged(write(tmp_path, text, name), tags=False)
    parts = list(found.parts(new))
    assert len(parts) == len(new)
    assert "".join(f"{part}\n" for part in parts) == expected
    with pytest.raises(ValueError, match="zip"):
        list(found.parts([*new, ["Z"]]))


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("none", None, {}, "none: no such file"),
        ("empty", "", {}, "empty: expected sentences as columns, there is none"),
        ("zero", b"a\0b", {}, "zero: is no text: it has zero bytes"),
        ("cut.gz", gzip.compress(b"a b\n" * 99)[:-9], {}, "cut.gz: the gzip file is damaged"),
        ("a", "a b", {"format": "xml"}, "format: expected one of columns, conllu, jsonl"),
        ("a", "a b", {"tag_column": "upos"}, "tag_column: expected a number from 1 (names are for"),
        ("a.conllu", CONLLU, {"tag_column": "pos"}, "tag_column: expected one of lemma, upos"),
        ("a.conllu", CONLLU, {"tag_column": 3}, "expected the name of a column of CoNLL-U"),
        (".", None, {}, "is a folder: give the files in it"),
    ],
    # A compressed file holds the time it was made: the bytes may not name the test.
    ids=["none", "empty", "zero", "cut", "format", "number", "column", "name", "folder"],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, content, options, told):
    path = tmp_path / name if content is None else write(tmp_path, content, name)
    with pytest.raises(InputError) as error:
        read_tagged(path, **options)
    assert told in str(error.value)


def test_real_files(data_dir):
    expected = {
        "ud-en-ewt/en_ewt-ud-dev.conllu.gz": (2001, 25147),
        "ud-en-ewt/en_ewt-ud-test.conllu.gz": (2077, 25094),
        "wnut17/wnut17train.conll": (3394, 62730),
        "wnut17/emerging.test.annotated": (1287, 23394),
    }
    for name, counts in expected.items():
        found = read_tagged(data_dir / name)
        assert (len(found.sentences), sum(len(s.words) for s in found.sentences)) == counts
        if name.endswith(".gz"):
            text = "".join(f"{part}\n" for part in found.parts([s.tags for s in found.sentences]))
            assert text == gzip.decompress((data_dir / name).read_bytes()).decode()
            assert {len(s.tags) == len(s.words) for s in found.sentences} == {True}
