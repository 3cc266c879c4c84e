"""Text from a language model that is read one token at a time. Needs numpy only."""

from .loop import generate, stream
from .options import Options
from .protocol import Carried, Decoder, State, StepModel, Tokenizer
from .result import Alternative, Generation, Piece

__all__ = [
    "Alternative",
    "Carried",
    "Decoder",
    "Generation",
    "Options",
    "Piece",
    "State",
    "StepModel",
    "Tokenizer",
    "generate",
    "stream",
]
