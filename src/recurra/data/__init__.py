"""Examples of tasks: readers of the formats people have, and batches of them. Needs no torch."""

from recurra.data.length_batches import LengthBatches, Rows

__all__ = ["LengthBatches", "Rows"]
