"""Public functions with arguments that are right: the random tests change them."""

import wave
from pathlib import Path

import numpy as np

TEXT = "the cat sat on the mat.\n" * 40
COLUMNS = "text,label\n" + "good film,a\nbad film,b\n" * 6
SERIES = "ds,y\n" + "".join(f"2024-01-{d:02d},{d / 7}\n" for d in range(1, 29))
TAGGED = "Ada NNP\nwas VBD\n\nhere RB\n\n" * 6
PAIRS = "one\tun\ntwo\tdeux\n" * 6


def files(folder):
    """Write a file of each kind of data, and return their paths by name."""
    contents = {
        "text.txt": TEXT,
        "rows.csv": COLUMNS,
        "rows.jsonl": '{"text": "a b", "label": "x"}\n{"text": "c", "label": "y"}\n' * 4,
        "numbers.csv": "x1,x2,y\n" + "1,2,a\n3,4,b\n" * 4,
        "series.csv": SERIES,
        "tagged.conll": TAGGED,
        "tagged.conllu": "1\tAda\t_\tPROPN\t_\t_\t_\t_\t_\t_\n\n" * 4,
        "pairs.tsv": PAIRS,
        "said.tsv": "sound.wav\tone two\n",
    }
    paths = {name: folder / name for name in [*contents, "sound.wav", "arrays.npz"]}
    for name, text in contents.items():
        paths[name].write_text(text, encoding="utf-8")
    with wave.open(str(paths["sound.wav"]), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.sin(np.arange(4000)) * 9000).astype("<i2").tobytes())
    np.savez(paths["arrays.npz"], x=np.ones((4, 3, 2)), y=np.array(["a", "b", "a", "b"]))
    return paths


def readers(paths):
    """Functions that read files: the function, its file, other arguments."""
    from recurra.data.tables import read_table
    from recurra.tasks.classifier.labelled import read_numbers, read_texts
    from recurra.tasks.forecaster.series import read_series
    from recurra.tasks.tagger.conll import read_tagged
    from recurra.tasks.transcriber.recordings import read_recordings
    from recurra.tasks.transcriber.wav import read_wav
    from recurra.tasks.translator.pairs import read_pairs
    from recurra.text import Corpus

    def recordings(source, **settings):
        return list(read_recordings(source, **settings))

    def corpus(sources, **settings):
        return list(Corpus.open(sources, **settings).chunks())

    texts = {"text": "text", "label": "label", "header": None, "skip_bad": False}
    numbers = {"values": "x", "label": "y", "sequence": None, "features": 2, "header": None}
    series = {"layout": "auto", "series": None, "time": "ds", "values": ("y",), "known": ()}
    series |= {"static": (), "missing": "keep", "on_error": "raise", "delimiter": None}
    tagged = {"tags": True, "format": None, "word_column": None, "tag_column": None}
    return {
        "read_texts csv": (read_texts, paths["rows.csv"], texts),
        "read_texts jsonl": (read_texts, paths["rows.jsonl"], texts),
        "read_numbers csv": (read_numbers, paths["numbers.csv"], numbers),
        "read_numbers npz": (read_numbers, paths["arrays.npz"], {**numbers, "features": 1}),
        "read_table": (read_table, paths["rows.csv"], {"columns": ["text"], "skip_bad": False}),
        "read_series": (read_series, paths["series.csv"], {**series, "skip_lines": 0}),
        "read_tagged": (read_tagged, paths["tagged.conll"], {**tagged, "skip_bad": False}),
        "read_tagged conllu": (read_tagged, paths["tagged.conllu"], tagged),
        "read_pairs": (read_pairs, [paths["pairs.tsv"]], {"skip_bad": False}),
        "read_wav": (read_wav, paths["sound.wav"], {"name": None}),
        "read_recordings": (recordings, paths["said.tsv"], {}),
        "Corpus.open": (corpus, paths["text.txt"], {}),
    }


def metrics():
    """Functions of metrics."""
    from recurra.tasks.classifier import scores as classification
    from recurra.tasks.forecaster import figures as forecasting
    from recurra.tasks.tagger import scores as tagging
    from recurra.tasks.transcriber import scores as transcription
    from recurra.tasks.translator import scores as translation

    truth, levels = np.arange(4.0), [0.1, 0.9]
    both = {"forecast": truth + 1, "truth": truth}
    quantiles = {"quantiles": np.ones((4, 2)), "truth": truth, "levels": levels}
    tags = {"wanted": [["B-A", "O"]], "found": [["B-A", "I-A"]]}
    said = {"references": ["a b"], "hypotheses": ["a c"]}
    written = {"hypotheses": ["a b"], "references": [["a c"]]}
    counts = np.eye(2, dtype=int)
    classes = {"true": np.array([0, 1]), "predicted": np.array([1, 1]), "classes": 2}
    rows = [
        *((getattr(forecasting, name), both) for name in ("mae", "mse", "smape")),
        (forecasting.mase, {**both, "history": np.arange(9.0) ** 2, "season": 2}),
        (forecasting.seasonal_error, {"history": np.arange(9.0), "season": 2}),
        *((getattr(forecasting, name), quantiles) for name in ("pinball", "crps_from_quantiles")),
        (forecasting.crps_from_samples, {"samples": np.ones((3, 4)), "truth": truth}),
        (forecasting.coverage, {"low": truth, "high": truth + 1, "truth": truth}),
        (tagging.tag_accuracy, tags),
        (tagging.entity_scores, {**tags, "scheme": None}),
        (tagging.entities, {"tags": ["B-A", "O"], "scheme": None}),
        (transcription.word_errors, said),
        (transcription.character_errors, said),
        (translation.bleu, written),
        (translation.chrf, written),
        (translation.error_rate, written),
        (classification.confusion_matrix, classes),
        *((getattr(classification, n), {"confusion": counts}) for n in ("accuracy", "macro_f1")),
    ]
    return {function.__name__: (function, given) for function, given in rows}


def texts():
    """Functions of texts and their tokens."""
    from recurra.baselines.language_model.mixture import MixtureModel
    from recurra.baselines.language_model.ngram import NGramModel
    from recurra.text import Corpus, train_tokenizer

    char = train_tokenizer("char", ["abc d"], unk=True)
    word = train_tokenizer("word", ["abc d"], unk=True)
    byte = train_tokenizer("byte", ["abc d"])
    how = {"kind": "word", "chunks": ["a b", "c"], "texts": True, "vocab_size": None}
    rows = {
        "train_tokenizer": (train_tokenizer, {**how, "min_count": 1, "unk": True, "eos": False}),
        "Corpus.of": (Corpus.of, {"text": "abc", "name": "text"}),
        "NGramModel": (NGramModel, {"order": 2, "tokenizer": "char", "lines": False}),
        "MixtureModel": (MixtureModel, {"models": _two(), "weights": None}),
    }
    for tokenizer in (char, word, byte):
        kind = tokenizer.kind
        rows[f"{kind} encode"] = (tokenizer.encode, {"text": "abc"})
        rows[f"{kind} decode"] = (tokenizer.decode, {"ids": [0, 1]})
        rows[f"{kind} token"] = (tokenizer.token, {"id": 1})
    return rows


def _two():
    from tempfile import TemporaryDirectory

    from recurra.baselines.language_model.ngram import NGramModel

    with TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(TEXT)
        models = [NGramModel(order=order) for order in (1, 2)]
        for model in models:
            model.fit(path)
    return models


def models():
    """What a trained language model does, and how models are loaded."""
    import recurra

    golden = Path(__file__).parents[1] / "golden" / "lm-char-gru" / "model"
    model = recurra.load(golden)
    options = {"max_tokens": 3, "temperature": 1.0, "top_k": None, "top_p": None, "seed": 1}
    options |= {"repetition_penalty": 1.0, "stop": (), "include_stop": False, "eos": True}
    beams = {"max_tokens": 3, "beams": 2, "n_best": 1, "length_penalty": 1.0, "logprobs": None}

    def pieces(prompt, **settings):
        return list(model.stream(prompt, **settings))

    return {
        "load": (recurra.load, {"directory": golden, "precision": "float32"}),
        "generate": (model.generate, {"prompt": "a", "state": None, **options}),
        "generate beams": (model.generate, {"prompt": "a", **beams}),
        "stream": (pieces, {"prompt": "a", "max_tokens": 3, "temperature": 0}),
        "log_probabilities": (model.log_probabilities, {"text": "abc"}),
        "perplexity": (model.perplexity, {"text": "abc"}),
    }


def layers():
    """Layers: how they are made, and what they read."""
    import torch

    from recurra import nn
    from recurra.cells import find

    sizes = {"input_size": 3, "hidden_size": 4}
    more = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
    more |= {"bidirectional": False, "proj_size": 0, "dtype": None, "device": None}
    ours = {"activation": "tanh", "recurrent_activation": "sigmoid", "layer_norm": False}
    ours |= {"options": None, "recurrent_dropout": 0.0, "zoneout": 0.0, "weight_drop": 0.0}
    ours |= {"residual": False, "reverse": False, "merge": "concat", "init": "uniform"}
    ours |= {"learn_initial_state": False, "precision": "float32"}
    rows = {"Recurrent": (nn.Recurrent, {"cell": "lstm", **sizes, **more, **ours})}
    for kind in ("RNN", "LSTM", "GRU"):
        layer, cell = getattr(nn, kind)(3, 4), getattr(nn, f"{kind}Cell")(3, 4)
        rows[kind] = (getattr(nn, kind), {**sizes, "num_layers": 1, "dropout": 0.0})
        rows[f"{kind}Cell"] = (getattr(nn, f"{kind}Cell"), {**sizes, "bias": True})
        hx = tuple(torch.zeros(1, 2, 4) for _ in layer.cell.states)
        hx = hx if kind == "LSTM" else hx[0]
        x = {"input": torch.zeros(5, 2, 3), "hx": hx}
        rows[f"{kind} lengths"] = (layer, {**x, "lengths": torch.tensor([5, 2])})
        rows[f"{kind} mask"] = (layer, {**x, "mask": torch.ones(5, 2, dtype=torch.bool)})
        state = (hx[0][0], hx[1][0]) if kind == "LSTM" else hx[0]
        rows[f"{kind}Cell forward"] = (cell, {"input": torch.zeros(2, 3), "hx": state})
        cells = {"bias": True, "activation": "tanh", "norm": False}
        rows[f"{kind} program"] = (find(kind.lower()).program, cells)
    rows["find"] = (find, {"name": "gru"})
    return rows


def exports(folder):
    """Conversions of layers, and ONNX files."""
    import torch

    from recurra import export, nn

    layer, path = nn.LSTM(3, 4), folder / "layer.onnx"
    export.onnx(layer, path)
    run = export.OnnxModel.load(path).run
    options = {"step": None, "lengths": False, "states": False}
    name = export.OnnxModel.load(path).inputs[0].name
    return {
        "from_torch": (export.from_torch, {"module": torch.nn.GRU(3, 4)}),
        "to_torch": (export.to_torch, {"module": layer}),
        "from_onnx": (export.from_onnx, {"path": path}),
        "onnx": (export.onnx, {"model": layer, "path": folder / "out.onnx", **options}),
        "OnnxModel.load": (export.OnnxModel.load, {"path": path}),
        "OnnxModel.run": (run, {"inputs": {name: np.zeros((5, 2, 3), np.float32)}}),
    }
