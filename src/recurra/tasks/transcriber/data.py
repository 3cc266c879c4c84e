"""From recordings to what training reads; tokens and scale are those of the training data alone."""

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import (
    LeftOut,
    columns_of,
    inputs_of,
    is_path,
    listed,
    pairs_of,
    path_of,
    plain,
    reason,
    settled,
    shown,
    zipped,
)
from recurra.tasks.transcriber.features import LogMel, Scale
from recurra.tasks.transcriber.recordings import OnBad, Recording, clean, read_recordings
from recurra.tasks.transcriber.resample import resample
from recurra.tasks.transcriber.settings import TranscriberData, TranscriberSettings
from recurra.tasks.transcriber.wav import Sound, read_wav
from recurra.text import Tokenizer, train_tokenizer
from recurra.text.tokenizer import whole_characters

#: A manifest, folder, archive or wav; or several; or recordings in memory.
Source = str | Path | Sequence[str | Path] | Sequence[Recording]


@dataclass(frozen=True)
class Example:
    """A recording at the model's rate: frames (F, mels), tokens (S,), and the text itself.

    `samples` are there only where the sound is changed each time it is read.
    """

    frames: np.ndarray
    ids: np.ndarray
    text: str
    seconds: float
    samples: np.ndarray | None = None


@dataclass(frozen=True)
class Prepared:
    """Everything training reads; `skipped` says of each recording left out why it is."""

    tokenizer: Tokenizer
    features: LogMel
    scale: Scale
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    skipped: tuple[str, ...]
    sha256: str

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        return {"recordings": self.sha256}

    @property
    def about(self) -> dict[str, Any]:
        """What the model directory says of the data."""
        return {
            "recordings": len(self.train),
            "seconds": sum(example.seconds for example in self.train),
            "skipped": list(self.skipped),
            "sha256": self.sha256,
        }

    @property
    def left_out(self) -> LeftOut:
        """How many recordings could not be used, and the first of them."""
        kept = len(self.train) + len(self.valid)
        return LeftOut.of(self.skipped, kept=kept, unit="recordings")


@dataclass(frozen=True)
class Fitted:
    """What a trained model read with, for one that is trained further."""

    tokenizer: Tokenizer
    features: LogMel
    scale: Scale


def recordings_of(source: Any, *, texts: bool, on_bad: OnBad | None = None) -> Iterable[Recording]:
    """Recordings of any form a user may give: sources by path, or recordings and sounds in memory.

    Raises:
        InputError: neither of these, or what `read_recordings` raises.
    """
    expected = "paths, or recurra.tasks.transcriber.Recording or Sound, one or several"
    if isinstance(source, Recording | Sound):
        source = [source]
    if is_path(source) and str(source) == "-":
        content, name = sys.stdin.buffer.read(), "standard input"
        return [Recording(read_wav(content, name=name), None, name)]
    if is_path(source):
        path = path_of(source, "recordings", expected)
        return read_recordings(path, texts=texts, on_bad=on_bad)
    source = settled(source)
    columns = columns_of(source)
    if columns is not None:
        name = "audio" if "audio" in columns else "path"
        source = pairs_of(source, name, "text") if texts else inputs_of(source, name)
    rows = listed(zipped(source, "recordings"), "recordings", expected)
    given = [_joined(one) for one in rows]
    if given and all(map(is_path, given)):
        paths = [path_of(one, "recordings", expected) for one in given]
        return read_recordings(paths, texts=texts, on_bad=on_bad)
    if not given:
        raise InputError(f"recordings: expected {expected}, received none")
    found = [Recording(one) if isinstance(one, Sound) else one for one in given]
    wrong = [one for one in found if not isinstance(one, Recording)]
    if wrong:
        raise InputError(f"recordings: expected {expected}, received {shown(wrong[0])}")
    silent = next((n for n, one in enumerate(found) if texts and one.text is None), None)
    if silent is not None:
        raise InputError(
            f"{found[silent].name} {silent}: expected a Recording with its text, received none: "
            "give it a text"
        )
    for number, one in enumerate(found):
        _check_samples(f"{one.name} {number}", one.sound.samples)
    return found


def _joined(one: Any) -> Any:
    """A recording of a pair: what was said in a sound or wav file; everything else as it is."""
    if isinstance(one, Mapping) and {"array", "sampling_rate"} <= set(one):
        return Recording(Sound(np.asarray(plain(one["array"]), np.float32), one["sampling_rate"]))
    if not isinstance(one, tuple) or len(one) != 2 or not isinstance(one[1], str):
        return one
    sound, text = _joined(one[0]), one[1]
    if is_path(sound):
        path = path_of(sound, "recordings", "a wav file")
        (sound,) = read_recordings(path, texts=False)
    return replace(sound if isinstance(sound, Recording) else Recording(sound), text=text)


def _check_samples(place: str, samples: Any) -> None:
    """Refuse sound in memory that is not as a wav file gives it."""
    array = np.asarray(plain(samples))
    expected = "samples (N,) of floats, of which 1 is full scale"
    if array.ndim != 1:
        cure = "average its channels, .mean(1)"
        raise InputError(f"{place}: expected {expected}, received shape {array.shape}: {cure}")
    if array.dtype.kind != "f":
        cure = "divide whole numbers by 2 ** (bits - 1)"
        raise InputError(f"{place}: expected {expected}, received {array.dtype}: {cure}")
    if not np.isfinite(array).all():
        cure = "cut these samples out, or set them to 0"
        raise InputError(f"{place}: expected {expected}, received NaN or infinity: {cure}")


def prepare(
    source: Any,
    valid: Any,
    model: TranscriberSettings,
    data: TranscriberData,
    *,
    seed: int,
    fitted: Fitted | None = None,
) -> Prepared:
    """Read recordings and make of them what training reads.

    Tokens and scale are found in the training recordings alone, unless they are `fitted` already.

    Raises:
        InputError: recordings that cannot be used and are not to be skipped, or too few.
    """
    skipped: list[str] = []
    on_bad = (lambda error: skipped.append(str(error))) if data.skip_bad else None
    train = list(recordings_of(source, texts=True, on_bad=on_bad))
    if valid is None:
        train, held_out = _split(train, data.valid_share, seed)
    else:
        held_out = list(recordings_of(valid, texts=True, on_bad=on_bad))
    for part in (train, held_out):
        texts = [recording.text or "" for recording in part]
        whole_characters(model.tokenizer, texts, [recording.name for recording in part])
    if fitted is None:
        rate = model.rate or min(recording.sound.rate for recording in train)
        features = model.features(rate)
        tokenizer = train_tokenizer(
            model.tokenizer,
            [clean(recording.text or "") for recording in train],
            texts=True,
            vocab_size=model.vocab_size,
            min_count=model.min_count,
        )
    else:
        features, tokenizer = fitted.features, fitted.tokenizer
    hashed = hashlib.sha256()
    read, held = (
        _examples(recordings, features, tokenizer, keep, hashed, on_bad)
        for recordings, keep in ((train, data.changes_sound), (held_out, False))
    )
    if not read or not held:
        which = "training" if not read else "held-out"
        raise InputError(
            f"recordings: expected at least one {which} recording that can be used, received none: "
            "give more"
        )
    if fitted is not None:
        scale = fitted.scale
    else:
        scale = Scale() if model.normalise == "recording" else Scale.of(e.frames for e in read)
    if data.changes_sound:  # made anew each time; a slice of them would keep them all
        none = np.zeros((0, features.mels), np.float32)
        read = [replace(e, frames=none) for e in read]
    return Prepared(
        tokenizer,
        features,
        scale,
        tuple(read),
        tuple(held),
        tuple(skipped),
        hashed.hexdigest(),
    )


def read_fitted(config: dict[str, Any], tokenizer: dict[str, Any] | None) -> Fitted:
    """What a model directory says of it; FormatError where it cannot be read."""
    try:
        features = LogMel.from_json(config["features"])
        told = config["scale"]
        parts = [None if told is None else np.array(told[n], np.float32) for n in _SCALE]
        if any(part is not None and part.shape != (features.mels,) for part in parts):
            raise ValueError(f"scale: expected {features.mels} numbers each")
        if tokenizer is None:
            raise ValueError("there is no tokenizer.json")
        return Fitted(Tokenizer.from_json(tokenizer), features, Scale(*parts))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"config.json: expected features and scale of a transcriber, which cannot be read "
            f"({reason(error)}): restore the file from a copy"
        ) from error


def write_fitted(features: LogMel, scale: Scale) -> dict[str, Any]:
    """The part of config.json that `read_fitted` reads."""
    told = None
    if scale.mean is not None and scale.deviation is not None:
        told = dict(zip(_SCALE, (scale.mean.tolist(), scale.deviation.tolist()), strict=True))
    return {"features": features.to_json(), "scale": told}


_SCALE = ("mean", "deviation")


def frames_needed(ids: np.ndarray) -> int:
    """The fewest steps in which CTC can say tokens (S,): a blank stands between equal ones."""
    return len(ids) + int(np.count_nonzero(ids[1:] == ids[:-1]))


def _split(
    recordings: list[Recording], share: float, seed: int
) -> tuple[list[Recording], list[Recording]]:
    count = round(len(recordings) * share)
    if not 0 < count < len(recordings):
        raise InputError(
            f"recordings: expected enough to hold out a share of {share:g}, received "
            f"{len(recordings)}: give more, or held-out ones as valid"
        )
    order = np.random.default_rng(seed).permutation(len(recordings))
    return [recordings[i] for i in order[count:]], [recordings[i] for i in order[:count]]


def _examples(
    recordings: Sequence[Recording],
    features: LogMel,
    tokenizer: Tokenizer,
    keep: bool,
    hashed: Any,
    on_bad: OnBad | None,
) -> list[Example]:
    found = []
    for recording in recordings:
        samples = resample(recording.sound.samples, recording.sound.rate, features.rate)
        text = clean(recording.text or "")
        ids = tokenizer.encode(text)
        frames = features.frames(samples)
        steps = len(features.stacked(frames))
        if steps < frames_needed(ids):
            error = InputError(
                f"{recording.name}: {recording.sound.seconds:.2f} s are {steps} steps of the "
                f'network, and the text "{text[:40]}" needs {frames_needed(ids)}: leave it out '
                "(skip_bad), or use a smaller stride"
            )
            if on_bad is None:
                raise error
            on_bad(error)
            continue
        for part in (samples.tobytes(), text.encode(errors="surrogatepass"), b"\0"):
            hashed.update(part)
        seconds = recording.sound.seconds
        found.append(Example(frames, ids, text, seconds, samples if keep else None))
    return found
