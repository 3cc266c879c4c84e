"""A small model that answers, in the manner of the plays it was trained on.

    python examples/chat/dialogue.py input.txt runs/chat --minutes 3
    recurra serve runs/chat

The first file is a play, or many, as text: a speaker's name and a colon on a line of its own, what
is said in the lines below, and an empty line. Two speakers in turn become a dialogue of `A:` and
`B:`, a turn a line. The model's card says that this is how its turns are written (`chat_format`),
so that `recurra serve` answers `/v1/chat/completions`, and its page has the view Dialogue.
"""

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

from recurra import LanguageModel

#: How a turn is written. `recurra serve` reads it from the model's card.
FORMAT = {"user": "A: {}\n", "assistant": "B: {}\n"}
#: Turns of more characters are cut at the end of a sentence: people in a chat are brief.
LONGEST = 240
_SPEAKER = re.compile(r"^[A-Z][^:.!?]{0,40}:$")
_SENTENCE = re.compile(r".+?[.!?](?= |$)|.+$")


def turns(text):
    """Pairs of speaker and what they say, on one line, in the order of the text."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        first, _, rest = block.strip().partition("\n")
        if _SPEAKER.match(first) and rest.strip():
            found.append((first[:-1], brief(" ".join(rest.split()))))
    return found


def brief(said):
    """The first sentences of a turn, up to `LONGEST` characters."""
    kept = ""
    for sentence in _SENTENCE.findall(said):
        if kept and len(kept) + len(sentence) > LONGEST:
            break
        kept += sentence
    return kept[:LONGEST].strip()


def dialogue(found):
    """Turns as the text of a dialogue: speakers alternate between A and B."""
    lines, before, side = [], None, 1
    for speaker, said in found:
        side = side if speaker == before else 1 - side
        before = speaker
        lines.append(list(FORMAT.values())[side].format(said))
    return "".join(lines)


def with_format(card):
    """A model's card, with the line that tells a server how turns are written."""
    line = f"chat_format: {json.dumps(FORMAT)}\n"
    head = f"---\n{line}"
    return card.replace("---\n", head, 1) if card.startswith("---\n") else f"{head}---\n{card}"


def main(argv=None):
    """Make the corpus, train, and write the model with its turn format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plays", type=Path, help="a text of plays")
    parser.add_argument("out", type=Path, help="the model's directory")
    parser.add_argument("--minutes", type=float, default=3, help="of training")
    parser.add_argument("--steps", type=int, help="of training, instead of minutes")
    parser.add_argument("--hidden", type=int, default=384)
    options = parser.parse_args(argv)

    found = turns(options.plays.read_text(encoding="utf-8"))
    if len(found) < 100:
        parser.error(f"{options.plays}: expected 100 turns at least, found {len(found)}: a turn is "
                     "a line `Name:`, what is said below it, and an empty line")  # fmt: skip
    text = dialogue(found)
    print(f"{len(found):,} turns, {len(text):,} characters", file=sys.stderr)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    corpus = options.out.with_suffix(".txt")
    corpus.write_text(text, encoding="utf-8")
    model = LanguageModel(hidden=options.hidden)
    length = {"steps": options.steps} if options.steps else {"minutes": options.minutes}
    model.fit(corpus, progress=sys.stderr.isatty(), **length)
    files = replace(model.files, card=with_format(model.files.card))
    files.save(options.out)
    print(f"talk to it: recurra serve {options.out}")


if __name__ == "__main__":
    main()
