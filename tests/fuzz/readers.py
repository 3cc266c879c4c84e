"""Every reader of one file, with options that decisions choose."""

import numpy as np

from recurra.baselines.finished import Finished
from recurra.data import tables
from recurra.errors import InputError
from recurra.export import OnnxModel
from recurra.storage.jsonfile import read_json
from recurra.storage.tensors import read_metadata, read_tensors
from recurra.tasks.classifier import labelled
from recurra.tasks.forecaster import series as series_of
from recurra.tasks.tagger import conll
from recurra.tasks.transcriber.recordings import read_recordings
from recurra.tasks.transcriber.wav import read_wav
from recurra.tasks.translator import pairs as pairs_of
from recurra.text import Corpus, load_tokenizer
from recurra.train.metrics import read_metrics

MARKS = (None, None, None, ",", ";", "\t", "|", " ", '"')
ENCODINGS = (None, None, None, "utf-8", "cp1252", "utf-16", "idna", "rot13", "no-such")


def table(path, chance):
    """Tables of columns, of texts, of numbers."""
    skip, how = chance.random() < 0.5, chance.randrange(6)
    said = {
        "skip_bad": skip,
        "delimiter": chance.choice(MARKS),
        "encoding": chance.choice(ENCODINGS),
    }
    if how == 0:
        header = chance.choice((None, ["text", "label"]))
        return tables.read_table(path, None, header=header, optional=None, **said)
    if how == 1:
        return tables.read_table(path, ["text", "label"], optional=("label",), **said)
    if how == 2:
        return labelled.read_texts(path, label=chance.choice(("label", None)), **said)
    label = chance.choice(("label", "y", None))
    said |= {"decimal": chance.choice(("auto", "auto", "comma", "point")), "label": label}
    if how == 3:
        return labelled.read_numbers(path, sequence="id", **said)
    return labelled.read_numbers(path, features=chance.choice((1, 1, 2)), **said)


def json_lines(path, chance):
    """JSON lines as examples, sentences, pairs."""
    skip, how = chance.random() < 0.5, chance.randrange(6)
    if how == 0:
        return tables.read_table(path, None, optional=None, skip_bad=skip)
    if how == 1:
        return labelled.read_texts(path, skip_bad=skip)
    if how == 2:
        return labelled.read_numbers(path, label=chance.choice(("label", "y", None)), skip_bad=skip)
    if how == 3:
        return sentences(path, chance)
    if how == 4:
        return pairs_of.read_pairs(path, skip_bad=skip)
    return pairs_of.open_sources(path, skip_bad=skip)


def parquet(path, chance):
    """Columns as examples and series."""
    how = chance.randrange(4)
    if how == 0:
        return labelled.read_texts(path, skip_bad=True)
    if how == 1:
        return labelled.read_numbers(path, skip_bad=chance.random() < 0.5)
    if how == 2:
        return tables.read_table(path, None, optional=None)
    return series(path, chance)


def arrays(path, chance):
    """An .npz file of sequences."""
    return labelled.read_numbers(path, label=chance.choice(("y", None)))


def series(path, chance):
    """Series in every layout."""
    return series_of.read_series(
        path,
        layout=chance.choice(("auto", "auto", *series_of.LAYOUTS)),
        series=chance.choice((None, None, "series", "id")),
        time=chance.choice((None, None, "time", ["year", "month"])),
        missing=chance.choice(series_of.RULES),
        on_error=chance.choice(("raise", "skip")),
        dates=chance.choice(("auto", "auto", *series_of.DATES)),
        decimal=chance.choice(("auto", "auto", "comma", "point")),
        delimiter=chance.choice(MARKS),
        encoding=chance.choice(ENCODINGS),
        skip_lines=chance.choice((0, 0, 0, 1, 5)),
        utc=chance.random() < 0.2,
    )


def sentences(path, chance):
    """Tagged text, and what is written with other tags."""
    read = conll.read_tagged(
        path,
        tags=chance.random() < 0.7,
        format=chance.choice((None, None, None, *conll.FORMATS)),
        word_column=chance.choice((None, None, 1, 2, 99)),
        tag_column=chance.choice((None, None, None, 1, 3, "upos", "xpos", "feats", 99)),
        skip_bad=chance.random() < 0.5,
    )
    return list(read.parts([["T"] * len(one.words) for one in read.sentences]))


def pairs(path, chance):
    """Pairs in one file and in two, and sources alone."""
    skip, how = chance.random() < 0.5, chance.randrange(3)
    if how == 0:
        return pairs_of.read_pairs(path, skip_bad=skip)
    if how == 1:
        return pairs_of.read_pairs([(path, path)], skip_bad=skip)
    return pairs_of.open_sources(path, skip_bad=skip)


def recordings(path, chance):
    """Recordings that a manifest or an archive names."""
    refused = []
    on_bad = chance.choice((None, refused.append))
    read = list(read_recordings(path, texts=chance.random() < 0.5, on_bad=on_bad))
    for error in refused:
        if not isinstance(error, InputError):
            raise error
    return read


def sound(path, chance):
    """A wav file by its name, and its bytes."""
    return read_wav(path if chance.random() < 0.5 else path.read_bytes())


def text(path, chance):
    """A text in pieces, in lines, counted."""
    corpus = Corpus.open(path)
    how = chance.randrange(4)
    if how == 0:
        return "".join(corpus.chunks(1 + chance.randrange(9)))
    if how == 1:
        return list(corpus.lines())
    if how == 2:
        return corpus.tally
    return [
        part.sha256 for part in corpus.split(0.3, chance.choice(("characters", "lines", "words")))
    ]


def weights(path, chance):
    """Tensors, and what their writer noted."""
    if chance.random() < 0.2:
        return read_metadata(path)
    return read_tensors(path, finite=chance.random() < 0.5)


def json_file(path, chance):
    """Strict JSON."""
    return read_json(path)


def tokenizer(path, chance):
    """A tokenizer, and a text there and back."""
    read = load_tokenizer(path)
    ids = read.encode("The big cat\n\u00e9 \U0001f4a9 <eos>") if read.unk_id is not None else []
    read.decode(ids)
    read.decode(np.arange(len(read)))
    return read.sha256


def metrics(path, chance):
    """The lines of a run."""
    return read_metrics(path)


def comparison(path, chance):
    """The rows that a comparison kept."""
    identity = {"data": "d", "task": "lm"}
    held = Finished(path.parent, identity, fresh=False)
    return [held.get(name, {"minutes": 1}) for name in ("ours", "ngram")]


def graph(path, chance):
    """An ONNX file, and one run of it on numbers of the shapes that it declares."""
    model = OnnxModel.load(path)
    sizes = {}

    def size(axis):
        if isinstance(axis, int):
            if not 0 <= axis < 64:
                raise InputError("no such array is made here")
            return axis
        return sizes.setdefault(axis, 1 + chance.randrange(4))

    given = {}
    for value in model.inputs:
        shape = tuple(map(size, value.shape or ()))
        if len(shape) > 8 or np.prod(shape, dtype=float) > 1 << 16:
            raise InputError("no such array is made here")
        kind = value.dtype or "float32"
        given[value.name] = np.ones(shape, "float32" if kind == "bfloat16" else kind)
    return model.run(given)
