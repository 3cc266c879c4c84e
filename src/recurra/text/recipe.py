"""How a tokenizer is to be made from text, and which symbols get a token."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recurra.errors import InputError
from recurra.text.kinds import EOS, UNK

_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: no character, so that it is unknown


@dataclass(frozen=True)
class Recipe:
    """The arguments of `train_tokenizer`, which says what each means."""

    texts: bool = False
    vocab_size: int | None = None
    min_count: int = 1
    unk: bool = True
    eos: bool = False

    @property
    def specials(self) -> list[str]:
        """The special tokens that are wanted."""
        return [UNK] * self.unk + [EOS] * self.eos

    def vocabulary(self, counts: dict[str, int]) -> list[str]:
        """The special tokens, then the symbols that get one, the most frequent first.

        Raises:
            InputError: nothing was counted, or symbols are left that no token stands for.
        """
        if not counts:
            raise InputError(
                "tokenizer: expected a text to make it from, received one that is empty: give more "
                "text"
            )
        specials, size = self.specials, self.vocab_size
        for special in specials:
            counts.pop(special, None)
        ranked = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
        kept = [s for s in ranked if counts[s] >= self.min_count and not _HALF.search(s)]
        if size is not None:
            if size <= len(specials):
                raise InputError(
                    f"vocab_size={size}: expected more than the {len(specials)} special tokens, "
                    f"{' '.join(specials)}"
                )
            kept = kept[: size - len(specials)]
        if len(kept) < len(ranked) and not self.unk:
            raise InputError(
                f"vocab_size and min_count leave {len(ranked) - len(kept)} of {len(ranked)} "
                "symbols without a token, and unk=False leaves none for them: allow unk, or keep "
                "every symbol"
            )
        return specials + kept
