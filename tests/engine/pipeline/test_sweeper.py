import asyncio
from datetime import timedelta

import numpy as np
import pytest

from datacosmos.domain.series import CHUNK, Samples
from datacosmos.errors import StoreUnavailable
from datacosmos.pipeline.sweeper import sweeping
from datacosmos.store.mongo.connection import Database
from datacosmos.store.series.series import SeriesStore

NOW, OFTEN = timedelta(0), timedelta(milliseconds=5)


class Failing(SeriesStore):
    """A store that is unavailable at first, and then has a bug."""

    faults: list[Exception]

    async def sweep(self, keep: timedelta = NOW) -> int:
        if self.faults:
            raise self.faults.pop(0)
        return await super().sweep(keep)


@pytest.mark.parametrize("faults", [[], [StoreUnavailable("MongoDB is unavailable"), RuntimeError("a bug")]])
async def test_the_space_of_a_deleted_series_is_reclaimed_on_the_side_also_after_failures(
    database: Database, faults: list[Exception]
) -> None:
    store = Failing(database)
    store.faults = faults
    await store.prepare()
    made = await store.create(None, None, None, Samples(np.arange(3 * CHUNK), np.zeros(3 * CHUNK)))
    await store.delete(made.id)
    chunks = database["chunks"]
    assert await chunks.count_documents({}) > 0
    async with sweeping(store, every=OFTEN, keep=NOW), asyncio.timeout(20):
        while await chunks.count_documents({}):
            await asyncio.sleep(0.005)
