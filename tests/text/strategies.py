"""Strings that tokenizers get wrong."""

from hypothesis import strategies as st

# white space of every kind (0x1c to 0x1f are space to Python and not to Unicode's \s), what starts
# and what resembles a contraction, letters and numbers in one to four bytes, some newer than
# Python 3.11's Unicode, combining marks, joined emoji, and the names of special tokens
PARTS = [
    *" \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u3000\u200b\ufeff\0",
    *"astrevmldREVZ09'’.,!?-_<>|",
    *"éßñΩжא中あ한\u0301\u0e33½²Ⅷ٣౩",
    *"\U0001f600\U0001f1e6\u200d\ufe0f\U00020000\U00031350\U0001e4d0\U0001e4f0\U0010ffff",
    *("  ", "   ", "\n\n", "\r\n", "'s", "'ll", "'re", "<unk>", "<eos>", "<|endoftext|>"),
]
awkward = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)
texts = st.one_of(awkward, st.text(max_size=60))


def cut(text: str, sizes: list[int]) -> list[str]:
    """The text in chunks of these sizes, over and over."""
    chunks, start, turn = [], 0, 0
    while start < len(text):
        chunks.append(text[start : start + sizes[turn % len(sizes)]])
        start += sizes[turn % len(sizes)]
        turn += 1
    return chunks


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=5)
