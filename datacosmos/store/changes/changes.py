"""The changes of one database: live from any mark on, and the past before it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from bson import Timestamp
from pymongo.errors import OperationFailure

from datacosmos.domain.changes import Key, Topic
from datacosmos.store.changes import past, streams
from datacosmos.store.changes.past import Page
from datacosmos.store.changes.streams import Stream
from datacosmos.store.mongo.connection import Database, for_reads, read_errors


class Changes:
    """Every method raises StoreUnavailable while MongoDB is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def opened(
        self, topics: Sequence[Topic], after: str | None = None
    ) -> AbstractAsyncContextManager[tuple[Stream, str]]:
        """A stream of some topics, all of one kind: behind a mark, or from now on.

        Comes with the mark at which it begins. Raises CursorExpired.
        """
        return streams.opened(self._database, topics, after)

    async def page(self, topic: Topic, behind: Key, at: Timestamp | None = None) -> Page:
        """What is stored behind a key, as it stood at a time or now. Raises SnapshotGone."""
        return await past.read_page(self._database, topic, behind, at)

    async def window(self) -> float | None:
        """Seconds that the changes reach back; None where MongoDB lets us not see its oplog."""
        try:
            with read_errors():
                oplog = (await for_reads(self._database).command("serverStatus", oplog=1)).get("oplog", {})
        except OperationFailure:
            return None
        earliest: Timestamp | None = oplog.get("earliestOptime")
        return None if earliest is None else datetime.now(UTC).timestamp() - earliest.time
