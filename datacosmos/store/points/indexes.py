"""The indexes of collection `points`, and the one that deletes old discards."""

from datetime import timedelta

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from datacosmos.domain.points import Status
from datacosmos.store.mongo.connection import Document
from datacosmos.store.points.queries import DISCARDED

RETENTION = "retention"
LONGEST_RETENTION = 2**31 - 1  # seconds: MongoDB takes no more
INDEX_NOT_FOUND = 27
OF_SOURCE, OF_SERIES = "discards_of_source", "discards_of_series"
INDEXES = [
    IndexModel(
        {"series": ASCENDING, "time": ASCENDING, "identity": ASCENDING},
        name="identity",
        unique=True,
        partialFilterExpression={"status": Status.ACCEPTED.value, "identity": {"$exists": True}},
    ),
    # Covers a range read of time and value.
    IndexModel({"series": 1, "status": 1, "time": 1, "_id": 1, "value": 1}, name="range"),
    IndexModel({"source": 1, "reason": 1}, name="ledger"),
    # Partial, so that an accepted point pays for none of these. The last two cover what discards are counted by.
    IndexModel({"status": 1, "received_at": 1, "_id": 1}, name="discards", partialFilterExpression=DISCARDED),
    IndexModel({"reasons": 1, "received_at": 1, "_id": 1}, name="reasons", partialFilterExpression=DISCARDED),
    *(
        # MongoDB looks at the status even where the index has no other.
        IndexModel({"status": 1} | of | {"received_at": 1, "reason": 1}, name=name, partialFilterExpression=DISCARDED)
        for name, of in ((OF_SOURCE, {"source": 1}), (OF_SERIES, {"source": 1, "series": 1}))
    ),
]


async def expire_discards(points: AsyncIOMotorCollection[Document], retention: timedelta | None) -> None:
    """Have MongoDB delete discards that were received longer ago; None keeps them all."""
    seconds = retention and min(max(1, round(retention.total_seconds())), LONGEST_RETENTION)
    standing = (await points.index_information()).get(RETENTION)
    if standing and standing["expireAfterSeconds"] == seconds:
        return  # building it again would read every discard
    if standing:
        try:
            await points.drop_index(RETENTION)
        except OperationFailure as error:
            if error.code != INDEX_NOT_FOUND:  # another process was quicker
                raise
    if seconds is not None:
        await points.create_index(
            "received_at", name=RETENTION, expireAfterSeconds=seconds, partialFilterExpression=DISCARDED
        )
