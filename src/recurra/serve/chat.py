"""How turns of a conversation are written as one text, and what is kept from turn to turn."""

import json
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.generate import Carried
from recurra.generate.streams import Trail
from recurra.serve.errors import ApiError
from recurra.serve.schema import Message
from recurra.serve.sessions import Kept, Sessions
from recurra.storage.disk import read_file
from recurra.storage.jsonfile import parse_json

ROLES = ("system", "user", "assistant")
#: States of conversations that are looked through for one that goes on.
_RECENT = 16

_LINE = re.compile(r"^chat_format: *(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class TurnFormat:
    """The text around a turn of each role, before and after; `{}` stands for the turn itself."""

    around: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, value: Any, where: str) -> "TurnFormat":
        """The format that a JSON object says, `{"user": "User: {}\\n", …}`; InputError."""
        known = isinstance(value, dict) and set(value) <= set(ROLES)
        if not (known and {"user", "assistant"} <= set(value)):
            raise InputError(
                f"{where}: a chat format: expected an object of user, assistant and perhaps system"
            )
        around = {}
        for role, text in {"system": "{}\n", **value}.items():
            if not isinstance(text, str) or text.count("{}") != 1 or len(text) > 200:
                raise InputError(
                    f"{where}: a chat format, {role}: expected up to 200 characters with one {{}} "
                    "for the turn"
                )
            before, _, after = text.partition("{}")
            around[role] = (before, after)
        if not around["assistant"][1] and not around["user"][0]:
            raise InputError(
                f"{where}: a chat format: expected text after an assistant's turn or before a "
                "user's: nothing would end a reply"
            )
        return cls(around)

    @property
    def stop(self) -> str:
        """What ends a reply."""
        return self.around["assistant"][1] or self.around["user"][0]

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation up to where the next reply begins."""
        turns = [f"{self.around[m.role][0]}{m.content}{self.around[m.role][1]}" for m in messages]
        return "".join([*turns, self.around["assistant"][0]])


#: Formats by name.
NAMED = {
    "dialogue": TurnFormat.of({"user": "User: {}\n", "assistant": "Assistant: {}\n"}, "dialogue"),
    "lines": TurnFormat.of({"user": "{}\n", "assistant": "{}\n"}, "lines"),
}


def format_of(card: str, given: str | None) -> TurnFormat | None:
    """The format that was given by name or as a file, else the card's; None where there is none.

    A card says it in its first lines: `chat_format: {"user": "User: {}\\n", …}`, as JSON.

    Raises:
        InputError: it cannot be read.
    """
    if given is not None:
        if given in NAMED:
            return NAMED[given]
        path = Path(given)
        try:
            value = parse_json(read_file(path, limit=1 << 16), given, depth=4)
        except FormatError as error:
            raise InputError(str(error)) from None
        return TurnFormat.of(value, given)
    head = card.split("\n---", 1)[0] if card.startswith("---") else ""
    found = _LINE.search(head)
    if found is None:
        return None
    try:
        return TurnFormat.of(json.loads(found[1]), "README.md, chat_format")
    except ValueError:
        raise InputError("README.md, chat_format: expected a JSON object") from None


def no_turn_format(model: str) -> ApiError:
    """The error of a model of plain text."""
    return ApiError(
        400,
        f"model {model!r} has no turn format: its card says none; start the server with "
        "--chat-format, or use /v1/completions",
        code="no_turn_format",
        param="model",
    )


class Conversations:
    """Where the conversations of each owner stood lately, so that a turn costs its own tokens."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._recent: dict[tuple[str, str], deque[str]] = {}

    def keep(self, owner: str, model: str, digest: str, carried: Carried, trail: Any) -> None:
        """Remember where a conversation stands."""
        try:
            kept = self._sessions.keep(owner, model, digest, carried, trail)
        except ApiError:  # larger than what may be kept: the next turn is read whole
            return
        self._recent.setdefault((owner, digest), deque(maxlen=_RECENT)).append(kept.id)

    def continued(self, owner: str, digest: str, ids: np.ndarray) -> tuple[Carried, Trail] | None:
        """The latest state on the way of a text's ids; None where none was kept.

        It is part of the prompt: nothing has been drawn or written of the reply that follows.
        """
        best: tuple[int, Any, Trail | None] = (0, None, None)
        alive = {kept.id: kept for kept in self._sessions.list(owner)}
        recent = [id for id in self._recent.get((owner, digest), ()) if id in alive]
        for id in recent:
            best = max(best, _shared(alive[id], ids), key=lambda found: found[0])
        if recent:
            self._recent[(owner, digest)] = deque(recent, maxlen=_RECENT)
        else:
            self._recent.pop((owner, digest), None)
        position, state, trail = best
        if position == 0 or trail is None:
            return None
        return Carried(state, ids[: position + 1]), trail


def _shared(kept: Kept, ids: np.ndarray) -> tuple[int, Any, Trail | None]:
    """How far a state has read the same ids, and the state there."""
    before = kept.carried.ids
    most = min(len(before), len(ids))
    differ = np.flatnonzero(before[:most] != ids[:most])
    common = int(differ[0]) if len(differ) else most
    if common == len(before) <= len(ids):
        return common - 1, kept.carried.state, kept.trail
    trail = None if kept.trail is None else kept.trail.reach(min(common, len(ids) - 1))
    return (0, None, None) if trail is None else (trail.position, trail.state, trail)
