"""Series to calculate with."""

import numpy as np
from numpy.typing import ArrayLike

from datacosmos.domain.series import SECOND, Samples

START = 1_700_000_000 * SECOND


def each_second(v: ArrayLike) -> Samples:
    values = np.asarray(v, np.float64)
    return Samples(START + np.arange(len(values)) * SECOND, values)


def seasonal(count: int, season: int, *, noise: float = 0.3, seed: int = 0) -> Samples:
    """A wave of amplitude 3 about 20 that climbs by 0.01 a step."""
    steps = np.arange(count)
    wave = 20 + 0.01 * steps + 3 * np.sin(2 * np.pi * steps / season)
    return each_second(wave + noise * np.random.default_rng(seed).standard_normal(count))


def noisy(count: int, seed: int = 0) -> Samples:
    """Values around 1e9, where sums cancel badly."""
    return each_second(1e9 + np.random.default_rng(seed).standard_normal(count))
