"""Which events of MongoDB are changes of a topic, and what they tell."""

from collections.abc import Sequence
from typing import Any

from datacosmos.domain.changes import Accepted, Change, ChangeKind, Discarded, Topic
from datacosmos.domain.points import Status
from datacosmos.store.mongo.connection import Document
from datacosmos.store.points.documents import from_document

FIELDS = ("_id", "source", "series", "time", "value", "tags", "reasons", "received_at")
DISCARD_FIELDS = (*FIELDS, "faults", "duplicate_of", "raw")
NEW_STATUS = "updateDescription.updatedFields.status"
LONGEST_NAME = 512
"""Characters: no source has a series of a longer name, and a thousand such names must fit into one command."""
JUDGED_ANEW = {Status.ACCEPTED: ChangeKind.REINSTATED, Status.DISCARDED: ChangeKind.WITHDRAWN}


def stages(kind: type[Topic], topics: Sequence[Topic]) -> list[Document]:
    """What follows `$changeStream`."""
    matching, fields = (_accepted(), FIELDS) if kind is Accepted else (_discarded(), DISCARD_FIELDS)
    shown = {f"fullDocument.{name}": 1 for name in fields}
    return [
        {"$match": {"$and": [matching, _wanted(topics)]}},
        {"$project": {"operationType": 1, NEW_STATUS: 1, **shown}},
    ]


def _accepted() -> Document:
    inserted = {"operationType": "insert", "fullDocument.status": Status.ACCEPTED.value}
    return {"$or": [inserted, {"operationType": "update", NEW_STATUS: {"$exists": True}}]}


def _discarded() -> Document:
    discarded = Status.DISCARDED.value
    inserted = {"operationType": "insert", "fullDocument.status": discarded}
    return {"$or": [inserted, {"operationType": "update", NEW_STATUS: discarded}]}


def _wanted(topics: Sequence[Topic]) -> Document:
    """All series in one list, in which MongoDB looks each up at once: a thousand cost it no more than one."""
    series = [topic.series for topic in topics if isinstance(topic, Accepted)]
    others = [_wanted_discards(topic) for topic in topics if isinstance(topic, Discarded)]
    possible = [name for name in series if len(name) <= LONGEST_NAME]
    return {"fullDocument.series": {"$in": possible}} if series else {"$or": others}


def _wanted_discards(topic: Discarded) -> Document:
    wanted = {"fullDocument.reasons": topic.reason and topic.reason.value, "fullDocument.source": topic.source}
    return {name: value for name, value in wanted.items() if value}


def is_of(topic: Topic, document: Document) -> bool:
    """Whether the topic has the point of this document."""
    if isinstance(topic, Accepted):
        return document["series"] == topic.series
    return topic.source in (None, document["source"]) and (not topic.reason or topic.reason in document["reasons"])


def to_change(kind: type[Topic], event: Any) -> Change:
    point = from_document(event["fullDocument"])
    mark: str = event["_id"]["_data"]
    if kind is Discarded:
        return Change(ChangeKind.DISCARDED, point, mark)
    if event["operationType"] == "insert":
        return Change(ChangeKind.ACCEPTED, point, mark)
    return Change(JUDGED_ANEW[Status(event["updateDescription"]["updatedFields"]["status"])], point, mark)
