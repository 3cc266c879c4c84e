"""Sound made harder in training: other speeds, noise, and holes in its features."""

from dataclasses import dataclass

import numpy as np

from recurra.settings import Settings, option


@dataclass(frozen=True, kw_only=True)
class Augmentation(Settings):
    """What is done to a recording each time it is read in training; nothing by default.

    Speed changes length and pitch together (Ko et al. 2015); noise is white, at a signal-to-noise
    ratio drawn evenly; masks hide a band or a stretch of the features behind their mean
    (SpecAugment, Park et al. 2019).
    """

    speed: float = option(0.0, "play faster or slower by up to this share", least=0, most=0.5)
    noise: float = option(
        0.0, "share of recordings that get noise, 5 to 30 dB below them", least=0, most=1
    )
    frequency_masks: int = option(0, "bands hidden in the features", least=0, whole=True)
    frequency_width: float = option(
        0.2, "widest hidden band, as a share of all bands", above=0, most=1
    )
    time_masks: int = option(0, "stretches hidden in the features", least=0, whole=True)
    time_width: float = option(
        0.1, "longest hidden stretch, as a share of the recording", above=0, most=1
    )

    @property
    def changes_sound(self) -> bool:
        """Whether features have to be computed anew each time."""
        return self.speed > 0 or self.noise > 0

    def sound(self, samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Samples (N,) at another speed and with noise, float32."""
        if self.speed:
            samples = at_speed(samples, 1 + random.uniform(-self.speed, self.speed))
        if self.noise and random.random() < self.noise and len(samples):
            loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
            level = loudness * 10 ** (-random.uniform(5, 30) / 20)
            samples = samples + level * random.standard_normal(len(samples), np.float32)
        return samples.astype(np.float32)

    def features(self, frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Frames (F, mels) with holes; what is given stays as it is."""
        if not (self.frequency_masks or self.time_masks) or not len(frames):
            return frames
        hidden, mean = frames.copy(), frames.mean(0)
        for _ in range(self.frequency_masks):
            part = _stretch(frames.shape[1], self.frequency_width, random)
            hidden[:, part] = mean[part]
        for _ in range(self.time_masks):
            hidden[_stretch(len(frames), self.time_width, random)] = mean
        return hidden


def at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Samples (N,) played `speed` times as fast, (round(N / speed),) float32.

    Between samples stands the cubic through the four around (Catmull & Rom 1974): for training,
    where what little folds back into the band does no harm.
    """
    places = np.arange(round(len(samples) / speed)) * speed
    whole = np.minimum(places.astype(np.int64), max(len(samples) - 1, 0))
    t = (places - whole).astype(np.float32)
    padded = np.pad(samples.astype(np.float32), (1, 2), mode="edge" if len(samples) else "constant")
    a, b, c, d = (padded[whole + k] for k in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def _stretch(size: int, share: float, random: np.random.Generator) -> slice:
    width = int(random.integers(0, int(size * share) + 1))
    start = int(random.integers(0, size - width + 1))
    return slice(start, start + width)
