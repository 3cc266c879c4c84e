"""Decisions of a fuzzer: bytes in, choices out; a guided search over bytes is one over them."""

import random
import zlib


class Decisions(random.Random):
    """Takes its random bits from given bytes; after these, from a generator that they seed."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(0)
        self.data, self.at = data, 0
        self.rest = random.Random(zlib.crc32(data))

    def getrandbits(self, k: int, /) -> int:
        size = (k + 7) // 8
        part = self.data[self.at : self.at + size]
        self.at += size
        if len(part) < size:
            return self.rest.getrandbits(k)
        return int.from_bytes(part, "little") & ((1 << k) - 1)

    def random(self) -> float:
        return self.getrandbits(16) / (1 << 16)
