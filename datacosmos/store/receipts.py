"""Collection `receipts`: what became of each delivery of several readings.

{_id: the delivery's id, source, sender, received_at, readings, accepted, discarded: {reason: n}, sequence}

A delivery may be put on the queue again after the queue has forgotten its id: such a message adds no readings, and
leaves an empty receipt under `<delivery's id>#<sequence>`, so that the receipts count every message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pymongo import IndexModel
from pymongo.errors import BulkWriteError

from datacosmos.domain.points import Reason, Receipt
from datacosmos.store.connection import Database, Document, check_passing, store_errors
from datacosmos.store.inserts import DUPLICATE_KEY

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
        """Store them; one that is there already stays as it is, and a repeat of its message is stored as such."""
        standing = await self._insert(receipts)
        if standing:
            first = await self._sequences([receipt.delivery_id for receipt in standing])
            repeats = [receipt for receipt in standing if first[receipt.delivery_id] not in (None, receipt.sequence)]
            await self._insert([_repeat(receipt) for receipt in repeats])

    async def _insert(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Returns those that are there already."""
        if not receipts:
            return []
        try:
            with store_errors():
                await self._collection.insert_many([_to_document(receipt) for receipt in receipts], ordered=False)
        except BulkWriteError as error:
            check_passing(error.details)
            if any(fault["code"] != DUPLICATE_KEY for fault in error.details["writeErrors"]):
                raise
            return [receipts[fault["index"]] for fault in error.details["writeErrors"]]
        return []

    async def _sequences(self, ids: Sequence[str]) -> dict[str, int | None]:
        with store_errors():
            found = await self._collection.find({"_id": {"$in": list(ids)}}, {"sequence": 1}).to_list(length=len(ids))
        return {document["_id"]: document.get("sequence") for document in found}

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


def _repeat(receipt: Receipt) -> Receipt:
    own_id = f"{receipt.delivery_id}#{receipt.sequence}"
    return replace(receipt, delivery_id=own_id, accepted=0, discarded={})


def _to_document(receipt: Receipt) -> Document:
    return {
        "_id": receipt.delivery_id,
        "source": receipt.source,
        "sender": receipt.sender,
        "received_at": receipt.received_at,
        "readings": receipt.readings,
        "accepted": receipt.accepted,
        "discarded": {reason.value: n for reason, n in receipt.discarded.items()},
        "sequence": receipt.sequence,
    }


def _from_document(document: Document) -> Receipt:
    return Receipt(
        delivery_id=document["_id"],
        source=document["source"],
        sender=document["sender"],
        received_at=document["received_at"],
        accepted=document["accepted"],
        discarded={Reason(name): n for name, n in document["discarded"].items()},
        sequence=document.get("sequence", 0),
    )
