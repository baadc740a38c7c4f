"""Collection `receipts`: what became of each delivery of several readings.

{_id: the delivery's id, source, sender, received_at, readings, accepted, discarded: {reason: n}}
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo import IndexModel
from pymongo.errors import BulkWriteError

from datacosmos.domain.points import Reason, Receipt
from datacosmos.store.connection import Database, Document, check_passing, store_errors
from datacosmos.store.points import DUPLICATE_KEY

INDEXES = [IndexModel({"source": 1, "readings": 1}, name="ledger")]


@dataclass(frozen=True, slots=True)
class Total:
    """What the receipts of one source add up to."""

    deliveries: int
    readings: int


class Receipts:
    """Every method raises StoreUnavailable while MongoDB is away."""

    def __init__(self, database: Database) -> None:
        self._collection = database["receipts"]

    async def prepare(self) -> None:
        with store_errors():
            await self._collection.create_indexes(INDEXES)

    async def leave(self, receipts: Sequence[Receipt]) -> None:
        """Store them; one that is there already stays as it is."""
        if not receipts:
            return
        try:
            with store_errors():
                await self._collection.insert_many([_to_document(receipt) for receipt in receipts], ordered=False)
        except BulkWriteError as error:
            check_passing(error.details)
            if any(fault["code"] != DUPLICATE_KEY for fault in error.details["writeErrors"]):
                raise

    async def get(self, delivery_id: str) -> Receipt | None:
        with store_errors():
            document = await self._collection.find_one({"_id": delivery_id})
        return None if document is None else _from_document(document)

    async def total(self, source: str) -> Total:
        stages = [
            {"$match": {"source": source}},
            {"$group": {"_id": None, "deliveries": {"$sum": 1}, "readings": {"$sum": "$readings"}}},
        ]
        with store_errors():
            totals = await self._collection.aggregate(stages).to_list(length=1)
        return Total(totals[0]["deliveries"], totals[0]["readings"]) if totals else Total(0, 0)


def _to_document(receipt: Receipt) -> Document:
    return {
        "_id": receipt.delivery_id,
        "source": receipt.source,
        "sender": receipt.sender,
        "received_at": receipt.received_at,
        "readings": receipt.readings,
        "accepted": receipt.accepted,
        "discarded": {reason.value: n for reason, n in receipt.discarded.items()},
    }


def _from_document(document: Document) -> Receipt:
    return Receipt(
        delivery_id=document["_id"],
        source=document["source"],
        sender=document["sender"],
        received_at=document["received_at"],
        accepted=document["accepted"],
        discarded={Reason(name): n for name, n in document["discarded"].items()},
    )
