"""Which lines of a file of columns are no words: comments and marks of documents.

A `#` may be a word, as in tweets. A line that begins with one is a comment where it is written as
one is (`# text = …`, `#begin document`, `# id 7`), or where it stands before a sentence and has
more columns than a word.
"""

import re
from collections.abc import Iterable

#: What begins a document in CoNLL-2003.
DOCUMENT = "-DOCSTART-"
#: The lines around a document in CoNLL-2011 and 2012.
_MARK = re.compile(r"#\s*(begin|end) document\b")
#: A name and its value.
_VALUE = re.compile(r"#\s*[\w.:-]+\s+=(\s|$)")
_COMPACT = re.compile(r"#\s*[\w.:-]+=")
#: Names that stand without an equals sign.
_NAMED = re.compile(r"#\s*(id|sent_id|text|newdoc|newpar|global\.columns)\b")


def is_comment(line: str, fields: int, columns: int, *, tabs: bool, first: bool) -> bool:
    """Whether a line is none of a word.

    Args:
        line: as it stands there.
        fields: how many there are in it.
        columns: how many a word has.
        tabs: whether tabs part the columns.
        first: whether no word of its sentence comes before it.
    """
    if not line.startswith("#"):
        return line.startswith(DOCUMENT)
    if _MARK.match(line):
        return True
    spaced = line[1:2] == " "
    if fields == columns:  # a word, unless it is plain that it is none
        return spaced and fields > 2 and bool(_VALUE.match(line) or (first and _NAMED.match(line)))
    if _VALUE.match(line) or _NAMED.match(line):
        return True
    if not first:
        return False
    return bool(_COMPACT.match(line)) or (spaced and (tabs or fields > max(columns, 2)))


def first_word(lines: Iterable[tuple[int, str]]) -> tuple[int, str] | None:
    """The first line that says how many columns there are: of a word that begins with no `#`, else
    the first that is a comment in no file."""
    marked = None
    for n, line in lines:
        if line.startswith(DOCUMENT):
            continue
        if not line.startswith("#"):
            return n, line
        if marked is None and not (_MARK.match(line) or _VALUE.match(line)):
            marked = (n, line)
    return marked
