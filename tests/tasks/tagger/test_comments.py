"""Lines of files of columns that are no words, and words that look like them."""

import pytest

from recurra.tasks.tagger.conll import read_tagged

#: The text of a file, the words there are, their tags.
FILES = {
    "id and domain": (
        "# id 0001 domain=en\nAda _ _ B-PER\nwas _ _ O\n\n# id 0002 domain=en\nhere _ _ O\n",
        [["Ada", "was"], ["here"]],
        [["B-PER", "O"], ["O"]],
    ),
    "id with a tab": (
        "# id 7f\tdomain=en\nAda _ _ B-PER\nwas _ _ O\n",
        [["Ada", "was"]],
        [["B-PER", "O"]],
    ),
    "text on line 1": ("# text = Ada was\nAda B-PER\nwas O\n", [["Ada", "was"]], [["B-PER", "O"]]),
    "three columns, three fields": (
        "# text = Ada\nAda N B-PER\n\n# id 5\nwas V O\n",
        [["Ada"], ["was"]],
        [["B-PER"], ["O"]],
    ),
    "documents": (
        "#begin document (wb/a); part 000\nAda NNP B-PER\n\nwas V O\n\n#end document\n",
        [["Ada"], ["was"]],
        [["B-PER"], ["O"]],
    ),
    "DOCSTART on line 1": (
        "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\n",
        [["Ada"]],
        [["B-PER"]],
    ),
    "DOCSTART of fewer columns": ("-DOCSTART- O\nAda NNP B-NP B-PER\n", [["Ada"]], [["B-PER"]]),
    "free words before a sentence": (
        "# first of the corpus\nAda B-PER\n",
        [["Ada"]],
        [["B-PER"]],
    ),
    "a word": (
        "# O\ntag B-X\n\nmy O\n# O\n1 O\n",
        [["#", "tag"], ["my", "#", "1"]],
        [["O", "B-X"], ["O", "O", "O"]],
    ),
    "a word after a tab": ("#\tO\ntag\tB-X\n", [["#", "tag"]], [["O", "B-X"]]),
    "a word with a tag": ("#tag\tO\n#text\tB-X\n", [["#tag", "#text"]], [["O", "B-X"]]),
    "only such words": ("#a O\n#b O\n", [["#a", "#b"]], [["O", "O"]]),
    "a feature as tag": ("# Typo=Yes\nAda _\n", [["#", "Ada"]], [["Typo=Yes", "_"]]),
    "a word of three columns": ("# NN O\nAda NNP B-X\n", [["#", "Ada"]], [["O", "B-X"]]),
}


@pytest.mark.parametrize("name", FILES)
def test_comments_are_no_words_and_hashes_are(tmp_path, name):
    text, words, tags = FILES[name]
    path = tmp_path / "a.conll"
    path.write_text(text)
    found = read_tagged(path)
    assert [list(s.words) for s in found.sentences] == words
    assert [list(s.tags or ()) for s in found.sentences] == tags
    marked = "\n".join(found.parts(tags)).splitlines()
    kept = [line for line in text.splitlines() if line.startswith(("# id", "# text", "#begin"))]
    assert [line for line in marked if line in kept] == kept


def test_a_row_with_a_column_too_few_is_wrong_even_with_a_hash(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ada N B-PER\n\n# O\ntag N O\n")
    found = read_tagged(path, skip_bad=True)
    assert found.skipped == (f"{path}:3: expected 3 columns, as in line 1, received 2",)


HOSTILE = {
    "id of 5,000 digits": ("a.conllu", "1" * 5000 + "\ta" + "\t_" * 8 + "\n", "expected the id 1"),
    "deep": ("a.jsonl", "[" * 5000 + "\n", "too deeply nested"),
    "deep object": ("a.jsonl", '{"words": ' + "[" * 5000 + "\n", "too deeply nested"),
    "digits": ("a.jsonl", '{"words": ' + "9" * 5000 + "}\n", "too many digits"),
    "400 digits": ("a.jsonl", '{"words": [' + "9" * 400 + "]}\n", "received 999"),
    "a long word": ("a.jsonl", '{"words": "' + "a" * 9999 + '"}\n', "expected a list of strings"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_one_line(tmp_path, name):
    from recurra.errors import InputError

    file, text, told = HOSTILE[name]
    path = tmp_path / file
    path.write_text(text)
    with pytest.raises(InputError, match=r"^.{1,400}$") as error:
        read_tagged(path)
    assert told in str(error.value).replace("'", "")
