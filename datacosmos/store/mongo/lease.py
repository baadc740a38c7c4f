"""What one process does at a time, of all that could."""

import math
import secrets
import time
from datetime import timedelta

from pymongo import ReturnDocument

from datacosmos.store.mongo.connection import Database, Document, bounded, store_errors

COLLECTION = "leases"


class Lease:
    """By MongoDB's clock. It saves work and guards nothing: a holder that is held up may believe in it for too long."""

    def __init__(self, database: Database, name: str, lasts: timedelta) -> None:
        self._collection = database[COLLECTION]
        self._name, self._seconds = name, lasts.total_seconds()
        self._holder = secrets.token_hex(8)
        self._asked = math.inf

    async def keep(self) -> None:
        """To be called again and again by whoever took it and works for long."""
        if time.monotonic() - self._asked > self._seconds / 4:
            await self.take()

    async def take(self) -> bool:
        """Whether it is ours from now on. Raises StoreUnavailable."""
        self._asked = time.monotonic()
        is_free = {"$or": [{"$eq": ["$holder", self._holder]}, {"$lt": ["$until", "$$NOW"]}]}  # without `until` too
        until = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": round(self._seconds * 1000)}}
        taken: Document = {
            "holder": {"$cond": [is_free, self._holder, "$holder"]},
            "until": {"$cond": [is_free, until, "$until"]},
        }
        with store_errors(), bounded(self._collection.database):
            standing = await self._collection.find_one_and_update(
                {"_id": self._name}, [{"$set": taken}], upsert=True, return_document=ReturnDocument.AFTER
            )
        return standing["holder"] == self._holder
