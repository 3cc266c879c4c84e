"""What is fuzzed: a row a reader, with its seeds, how they are changed, and what reads them.

An input of a fuzzer is bytes. The first says how the rest is meant (even: the file itself; odd:
decisions that change a seed), the second which name the file has and with which options it is read.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import golden.outputs as golden
from fuzz import directories, formats, mutations, readers
from fuzz.chance import Decisions

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"


@dataclass(frozen=True)
class File:
    """A reader of one file.

    names: what the file may be called. read: takes its path and decides its options. change: takes
    the bytes of a seed. seeds: beside those in `corpus/`. seconds: it may take.
    """

    names: tuple[str, ...]
    read: Callable[[Path, Decisions], Any]
    change: Callable[[bytes, Decisions], bytes]
    seeds: tuple[Path, ...] = ()
    seconds: float = 1.0

    def prepare(self, name: str, data: bytes, folder: Path) -> tuple[Callable[[], Any], int]:
        """Write the file that `data` means; what reads it, and how many bytes it has."""
        first, second = data[:1] or b"\0", data[1:2]
        options = Decisions(second)
        if first[0] % 2:
            chance = Decisions(data[2:])
            content = self.change(chance.choice(seeds(name)), chance)
            if chance.random() < 0.2:
                content = mutations.some_bytes(content, chance)
        else:
            content = data[2:]
        path = folder / options.choice(self.names)
        if path.suffix == ".gz" and first[0] % 4 == 1:
            content = formats.packed(content, Decisions(data[2:]))
        path.write_bytes(content)
        return (lambda: self.read(path, options)), len(content)


@dataclass(frozen=True)
class Folder:
    """A reader of a folder: `make` fills it by decisions; returns what reads it, and its size."""

    make: Callable[[Path, Decisions], tuple[Callable[[], Any], int]]
    seconds: float = 1.0

    def prepare(self, name: str, data: bytes, folder: Path) -> tuple[Callable[[], Any], int]:
        """As of `File`."""
        return self.make(folder, Decisions(data))


@functools.cache
def seeds(name: str) -> tuple[bytes, ...]:
    """The files that changes of a target begin with."""
    target = TARGETS[name]
    paths = sorted((CORPUS / name).glob("*")) if (CORPUS / name).is_dir() else []
    more = target.seeds if isinstance(target, File) else ()
    return tuple(path.read_bytes() for path in (*paths, *more))


_GOLDEN = golden.HERE
_TENSORS = tuple(sorted(_GOLDEN.glob("lm-*/model/model.safetensors"))[:3])

TARGETS: dict[str, File | Folder] = {
    "table": File(("a.csv", "a.tsv", "a.csv.gz"), readers.table, mutations.table),
    "json-lines": File(
        ("a.jsonl", "a.ndjson", "a.jsonl.gz"), readers.json_lines, mutations.json_lines
    ),
    "parquet": File(("a.parquet",), readers.parquet, lambda _, c: formats.table_of_columns(c)),
    "npz": File(("a.npz",), readers.arrays, formats.arrays, (golden.INPUTS / "arrays.npz",)),
    "series": File(
        ("a.csv", "a.tsv", "a.csv.gz"),
        readers.series,
        mutations.table,
        (golden.INPUTS / "series.csv",),
    ),
    "conll": File(
        ("a.conll", "a.txt", "a.conll.gz"),
        readers.sentences,
        lambda data, chance: mutations.table(data, chance, (b" ", b"\t")),
    ),
    "conllu": File(
        ("a.conllu", "a.conllu.gz"),
        readers.sentences,
        lambda data, chance: mutations.table(data, chance, (b"\t",)),
    ),
    "pairs": File(
        ("a.tsv", "a.txt", "a.csv", "a.tsv.gz"),
        readers.pairs,
        lambda data, chance: mutations.table(data, chance, (b"\t", b",")),
    ),
    "recordings": File(
        ("m.tsv", "m.jsonl"),
        readers.recordings,
        lambda d, c: (mutations.json_lines if d[:1] == b"{" else mutations.table)(d, c),
    ),
    "wav": File(("a.wav",), readers.sound, formats.wav, (golden.INPUTS / "sound0.wav",)),
    "archive": File(("a.tar", "a.tar.gz", "a.tgz"), readers.recordings, formats.archive),
    "text": File(("a.txt", "a.md", "a.txt.gz"), readers.text, mutations.some_bytes),
    "safetensors": File(("a.safetensors",), readers.weights, formats.weights, _TENSORS),
    "json": File(
        ("a.json",),
        readers.json_file,
        mutations.json_bytes,
        (_GOLDEN / "lm-char-gru/model/config.json",),
    ),
    "tokenizer": File(
        ("tokenizer.json",),
        readers.tokenizer,
        mutations.json_bytes,
        tuple(sorted(_GOLDEN.glob("*/model/tokenizer.json"))[:8]),
    ),
    "metrics": File(
        ("metrics.jsonl",),
        readers.metrics,
        mutations.json_lines,
        (_GOLDEN / "run-lm/run/metrics.jsonl",),
    ),
    "onnx": File(
        ("a.onnx",), readers.graph, formats.graph, tuple(sorted(_GOLDEN.glob("onnx-*/*.onnx"))), 1.5
    ),
    "comparison": File(("finished.json",), readers.comparison, mutations.json_bytes),
    "manifest": Folder(directories.manifest),
    "model": Folder(directories.model, 1.5),
    "checkpoint": Folder(directories.checkpoint),
    "tokens": Folder(directories.tokens),
    "run": Folder(directories.run, 8.0),
    "environment": Folder(directories.environment),
}
