"""All that is kept, in one database."""

from dataclasses import dataclass
from typing import Self

from datacosmos.store.connection import Database
from datacosmos.store.minutes import Minutes
from datacosmos.store.points import Points
from datacosmos.store.receipts import Receipts
from datacosmos.store.series import SeriesStore


@dataclass(frozen=True, slots=True)
class Stores:
    points: Points
    receipts: Receipts
    minutes: Minutes
    series: SeriesStore

    @classmethod
    def of(cls, database: Database) -> Self:
        return cls(
            points=Points(database),
            receipts=Receipts(database),
            minutes=Minutes(database),
            series=SeriesStore(database),
        )

    async def prepare(self) -> None:
        """Make the indexes of each. Raises StoreUnavailable."""
        await self.points.prepare()
        await self.receipts.prepare()
        await self.minutes.prepare()
        await self.series.prepare()
