"""A writer to be killed: creates and appends without a pause, and says on standard output what it was told is stored.

python -m tests.process.store.series_writer <database URL> <database> <seed>
"""

import asyncio
import json
import random
import sys
from datetime import timedelta
from itertools import count

import numpy as np

from datacosmos.domain.series import Samples
from datacosmos.store.mongo.connection import connect
from datacosmos.store.series.series import SeriesStore

SIZES = (3, 700, 9000)
NAMES = ("one", "two")


def request(seed: int, number: int) -> Samples:
    """The points of one request: their values name it, and their times lie anywhere, so that requests overlap."""
    generator = np.random.default_rng([seed, number])
    size = SIZES[number % len(SIZES)]
    t = generator.choice(200_000, size, replace=False)
    return Samples(t.astype(np.int64), np.full(size, float(seed * 1_000_000 + number)))


async def main(url: str, database: str, seed: int) -> None:
    async with connect(url, database, timedelta(seconds=5)) as handle:
        store = SeriesStore(handle)
        choice = random.Random(seed)
        for number in count():
            samples = request(seed, number)
            if number % 5 == 4:
                ordered = Samples(np.sort(samples.t), samples.v)
                await store.create("writer", f"new-{seed}-{number}", None, ordered)
            else:
                await store.append_many("writer", dict.fromkeys(NAMES[: choice.randrange(1, 3)], samples))
            sys.stdout.write(json.dumps([seed, number]) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
