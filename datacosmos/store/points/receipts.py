"""Collection `receipts`: what became of each delivery of several readings.

{_id: the delivery's id, source, sender, received_at, readings, accepted, discarded: {reason: n}, sequence}

A delivery may be put on the queue again after the queue has forgotten its id: such a message adds no readings, and
leaves an empty receipt under `<delivery's id>#<sequence>`, so that the receipts count every message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo import IndexModel
from pymongo.errors import BulkWriteError

from datacosmos.domain.points import Reason, Receipt
from datacosmos.store.mongo.connection import (
    Database,
    Document,
    bounded,
    check_passing,
    client_of,
    for_reads,
    read_errors,
    store_errors,
)
from datacosmos.store.points.inserts import DUPLICATE_KEY

INDEXES = [IndexModel({"source": 1, "readings": 1}, name="ledger")]


@dataclass(frozen=True, slots=True)
class Total:
    """What the receipts of one source add up to."""

    deliveries: int
    readings: int


class Receipts:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._collection = database["receipts"]
        self._read, self._read_turns = for_reads(database)["receipts"], client_of(database).read_turns

    async def prepare(self) -> None:
        with store_errors():
            await self._collection.create_indexes(INDEXES)

    async def leave(self, receipts: Sequence[Receipt], session: Any = None) -> None:
        """Store them; one that is there already stays as it is, and a repeat of its message is stored as such.

        In the session of what they are for, where one is given.
        """
        standing = await self._insert(receipts, session)
        if standing:
            first = await self._sequences([receipt.delivery_id for receipt in standing])
            repeats = [receipt for receipt in standing if first[receipt.delivery_id] not in (None, receipt.sequence)]
            await self._insert([_repeat(receipt) for receipt in repeats], session)

    async def _insert(self, receipts: Sequence[Receipt], session: Any) -> list[Receipt]:
        """Returns those that are there already."""
        if not receipts:
            return []
        documents = [_to_document(receipt) for receipt in receipts]
        try:
            with store_errors(), bounded(self._collection.database):
                await self._collection.insert_many(documents, ordered=False, session=session)
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
        async with self._read_turns:
            with read_errors():
                document = await self._read.find_one({"_id": delivery_id})
        return None if document is None else _from_document(document)

    async def sources(self) -> set[str]:
        """Every source that left a receipt, by skipping through an index."""
        with store_errors():
            return set(await self._collection.distinct("source"))

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
