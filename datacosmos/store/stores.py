"""All that is kept, in one database."""

from dataclasses import dataclass
from typing import Self

from datacosmos.store.changes.changes import Changes
from datacosmos.store.format import Format
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from datacosmos.store.points.receipts import Receipts
from datacosmos.store.series.series import SeriesStore
from datacosmos.store.summaries.summaries import Summaries


@dataclass(frozen=True, slots=True)
class Stores:
    format: Format
    points: Points
    summaries: Summaries
    receipts: Receipts
    minutes: Minutes
    series: SeriesStore
    changes: Changes

    @classmethod
    def of(cls, database: Database) -> Self:
        points = Points(database)
        return cls(
            format=Format(database),
            points=points,
            summaries=Summaries(database, points),
            receipts=Receipts(database),
            minutes=Minutes(database),
            series=SeriesStore(database),
            changes=Changes(database),
        )

    async def prepare(self) -> None:
        """Migrate an older database, then make the indexes of each. Raises NewerFormat and StoreUnavailable."""
        await self.format.prepare()
        await self.points.prepare()
        await self.summaries.prepare()
        await self.receipts.prepare()
        await self.minutes.prepare()
        await self.series.prepare()
