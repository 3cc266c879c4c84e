"""Text to numbers: tokenizers, corpora, token files, batches. Needs no torch."""

from recurra.text.batch import Batch, Batches
from recurra.text.byte_level import BPETokenizer, ByteTokenizer
from recurra.text.char import CharTokenizer
from recurra.text.corpus import Corpus
from recurra.text.kinds import KINDS
from recurra.text.line_batches import LineBatches
from recurra.text.stream_batches import StreamBatches
from recurra.text.token_file import TokenFile
from recurra.text.tokenizer import EOS, UNK, StreamDecoder, Tokenizer
from recurra.text.tokenizer_file import load_tokenizer, save_tokenizer
from recurra.text.training import train_tokenizer
from recurra.text.word import WordTokenizer

__all__ = [
    "EOS",
    "KINDS",
    "UNK",
    "BPETokenizer",
    "Batch",
    "Batches",
    "ByteTokenizer",
    "CharTokenizer",
    "Corpus",
    "LineBatches",
    "StreamBatches",
    "StreamDecoder",
    "TokenFile",
    "Tokenizer",
    "WordTokenizer",
    "load_tokenizer",
    "save_tokenizer",
    "train_tokenizer",
]
