"""What is stored of a topic, page by page, as it stood at one time."""

from collections.abc import Sequence
from dataclasses import dataclass

from bson import Timestamp
from pymongo.errors import OperationFailure

from datacosmos.domain.changes import Accepted, Change, ChangeKind, Key, Topic, key_of
from datacosmos.errors import StoreUnavailable
from datacosmos.store.changes.events import DISCARD_FIELDS, FIELDS
from datacosmos.store.changes.marks import mark_after, mark_before
from datacosmos.store.mongo.connection import UTC_TIMES, Database, Document, client_of, for_reads, read_errors
from datacosmos.store.mongo.ranges import Position, Window, ranges
from datacosmos.store.points.documents import from_document
from datacosmos.store.points.queries import accepted_of, discarded_for, find

POINTS, DISCARDS = 500, 8
"""In a page; a discard may be one of megabytes."""
GONE = frozenset({239, 246})  # SnapshotTooOld, SnapshotUnavailable: MongoDB keeps what was for five minutes


class SnapshotGone(Exception):
    """What was stored at that time can no longer be read."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some changes behind a key, none behind the last; `time` is when all of it was as it is told."""

    changes: Sequence[Change]
    time: Timestamp
    last: Key

    @property
    def mark(self) -> str:
        """Whatever was committed before it is in the past, and nothing else."""
        return mark_after(self.time)

    @property
    def last_mark(self) -> str:
        """Before the last that was committed of it: a stream that has nothing more and is here has all of it."""
        return mark_before(self.time)


async def read_page(database: Database, topic: Topic, behind: Key, at: Timestamp | None = None) -> Page:
    """What is stored behind a key, at a time or now. Raises SnapshotGone, and StoreUnavailable."""
    client = client_of(database)
    snapshot: Document = {"level": "snapshot"} | ({} if at is None else {"atClusterTime": at})
    command = _find(topic, behind) | {"singleBatch": True, "readConcern": snapshot}
    try:
        with read_errors():
            async with client.read_turns, client.reads.start_session(causal_consistency=False) as session:
                reply = await for_reads(database).command(command, codec_options=UTC_TIMES, session=session)
    except OperationFailure as error:
        if error.code in GONE:
            raise SnapshotGone from error
        raise
    if "atClusterTime" not in reply["cursor"]:  # it tells no time of a collection that is not there
        raise StoreUnavailable("all points were dropped, and none is back yet")
    points = [from_document(document) for document in reply["cursor"]["firstBatch"]]
    kind = ChangeKind.ACCEPTED if isinstance(topic, Accepted) else ChangeKind.DISCARDED
    time = reply["cursor"]["atClusterTime"]
    last = key_of(topic, points[-1]) if points else behind
    return Page([Change(kind, point, "") for point in points], time, last)


def _find(topic: Topic, behind: Key) -> Document:
    position = Position(*behind)
    if isinstance(topic, Accepted):
        where, key, limit = accepted_of(topic.series, only_finite=True), "time", POINTS
        fields = FIELDS
    else:
        where, key, limit = discarded_for(topic.reason, topic.source), "received_at", DISCARDS
        fields = DISCARD_FIELDS
    wanted = ranges(where, key, Window(), position)
    return find(wanted, key, limit, limit, dict.fromkeys(fields, 1))
