"""Step models and tokenizers small enough to be judged by hand or by enumeration."""

import codecs
import itertools

import numpy as np


class Table:
    """An n-gram model: logits by the last n - 1 ids (V stands for "before the text")."""

    def __init__(self, logits):
        self.table = np.asarray(logits, dtype=np.float32)
        self.vocab_size = self.table.shape[-1]
        self.order = self.table.ndim
        self.table.setflags(write=False)
        self.tokens_read = 0  # of all streams together
        self.calls = []  # ("read" | "step", B)

    @classmethod
    def random(cls, vocab_size, order=3, *, seed=0, spread=2.0):
        shape = (vocab_size + 1,) * (order - 1) + (vocab_size,)
        return cls(np.random.default_rng(seed).normal(size=shape) * spread)

    @classmethod
    def of(cls, probabilities):
        with np.errstate(divide="ignore"):
            return cls(np.log(np.asarray(probabilities, dtype=np.float64)))

    def start(self, batch):
        return np.full((batch, self.order - 1), self.vocab_size)

    def step(self, ids, state):
        self.tokens_read += len(ids)
        self.calls.append(("step", len(ids)))
        return self._next(np.asarray(ids)[:, None], state)

    def _next(self, ids, state):
        state = np.concatenate([state, ids], axis=1)[:, ids.shape[1] :]
        state.setflags(write=False)
        logits = self.table[tuple(state.T)]
        return np.broadcast_to(logits, (len(ids), self.vocab_size)), state

    def read(self, ids, lengths, state):
        B, T = ids.shape
        lengths = np.full(B, T) if lengths is None else lengths
        self.tokens_read += int(lengths.sum())
        self.calls.append(("read", B))
        rows = [self._next(ids[b : b + 1, : lengths[b]], state[b : b + 1]) for b in range(B)]
        return tuple(np.concatenate(part) for part in zip(*rows, strict=True))

    def select(self, state, rows):
        return state[rows]

    def log_probabilities(self, ids):
        """(V,) float64, after the text ids from the start."""
        padded = [self.vocab_size] * (self.order - 1) + list(ids)
        z = self.table[tuple(padded[len(padded) - self.order + 1 :])].astype(np.float64)
        return z - np.log(np.exp(z).sum())


class Tanh:
    """A tanh RNN whose state is a dict of (B, H), as an opaque state may be."""

    def __init__(self, vocab_size, hidden=8, *, seed=0):
        rng = np.random.default_rng(seed)
        self.vocab_size = vocab_size
        self.W = rng.normal(size=(vocab_size, hidden))
        self.U = rng.normal(size=(hidden, hidden)) / hidden**0.5
        self.V = rng.normal(size=(hidden, vocab_size)) * 2

    def start(self, batch):
        return {"h": np.zeros((batch, len(self.U)))}

    def step(self, ids, state):
        h = np.tanh(self.W[ids] + np.einsum("bh,hk->bk", state["h"], self.U))
        return np.einsum("bh,hv->bv", h, self.V).astype(np.float32), {"h": h}

    def read(self, ids, lengths, state):
        B, T = ids.shape
        lengths = np.full(B, T) if lengths is None else lengths
        logits, final = [], []
        for b in range(B):
            one = {"h": state["h"][b : b + 1]}
            for id in ids[b, : lengths[b]]:
                row, one = self.step(np.array([id]), one)
            logits.append(row)
            final.append(one["h"])
        return np.concatenate(logits), {"h": np.concatenate(final)}

    def select(self, state, rows):
        return {"h": state["h"][rows]}

    def log_probabilities(self, ids):
        """(V,) float64, after the text ids from the start, of which there is at least one."""
        logits, _ = self.read(np.array([ids]), None, self.start(1))
        z = logits[0].astype(np.float64)
        return z - np.log(np.exp(z).sum())


class Tokens:
    """Each id is a string; a prompt is cut into the longest tokens from the left."""

    def __init__(self, tokens, *, unk=None, eos=None, joint=""):
        self.tokens = list(tokens)
        self.unk_id = None if unk is None else self.tokens.index(unk)
        self.eos_id = None if eos is None else self.tokens.index(eos)
        self.joint = joint

    def __len__(self):
        return len(self.tokens)

    def encode(self, text):
        if self.joint:
            return np.array([self.tokens.index(word) for word in text.split()], dtype=np.int32)
        ids = []
        by_length = sorted(range(len(self)), key=lambda id: -len(self.tokens[id]))
        while text:
            id = next(id for id in by_length if text.startswith(self.tokens[id]))
            ids.append(id)
            text = text[len(self.tokens[id]) :]
        return np.array(ids, dtype=np.int32)

    def token(self, id):
        return self.tokens[id]

    def unknown(self, text):
        return sorted(set(text) - set(self.tokens))

    def decoder(self, *, after=()):
        return TokensDecoder(self, first=len(after) == 0)


class TokensDecoder:
    def __init__(self, tokenizer, *, first):
        self.tokenizer = tokenizer
        self.first = first

    def push(self, id):
        if id == self.tokenizer.eos_id:
            return ""
        joint = "" if self.first else self.tokenizer.joint
        self.first = False
        return joint + self.tokenizer.tokens[id]

    def finish(self):
        return ""


class Bytes:
    """256 bytes, then <eos>."""

    unk_id = None
    eos_id = 256

    def __len__(self):
        return 257

    def encode(self, text):
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)

    def token(self, id):
        return "<eos>" if id == 256 else repr(bytes([id]))

    def unknown(self, text):
        return []

    def decoder(self, *, after=()):
        decoder = BytesDecoder()
        for id in after:
            decoder.push(id)
        return decoder


class BytesDecoder:
    def __init__(self):
        self.utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id):
        return "" if id == 256 else self.utf8.decode(bytes([id]))

    def finish(self):
        return self.utf8.decode(b"", final=True)


def letters(count, **special):
    """A tokenizer of the first `count` letters."""
    return Tokens("abcdefghijklmnopqrstuvwxyz"[:count], **special)


def every_text(model, before, *, max_tokens, eos=None, ends=lambda ids: False):
    """All complete texts after the ids `before`: (ids, sum of log probabilities)."""
    for length in range(1, max_tokens + 1):
        for ids in itertools.product(range(model.vocab_size), repeat=length):
            if any(ids[n - 1] == eos or ends(ids[:n]) for n in range(1, length)):
                continue
            if length < max_tokens and ids[-1] != eos and not ends(ids):
                continue
            total = sum(model.log_probabilities([*before, *ids[:n]])[ids[n]] for n in range(length))
            yield ids, total
