"""The format of what a database holds: its version, checked at each start, and migrations from older ones.

Collection `format` has one document, {_id: "format", version, release}. Release 0.1 wrote none: its format is 1.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from datacosmos import __version__
from datacosmos.errors import NewerFormat
from datacosmos.store.mongo.connection import Database, Document, store_errors

log = structlog.stdlib.get_logger(__name__)
Migration = Callable[[Database], Awaitable[None]]
MIGRATIONS: Sequence[Migration] = ()
"""The first brings version 1 to 2, the second 2 to 3, and so on. Never remove or reorder one.

One may be killed at any moment, and is then run again from its beginning; processes that start together run it at the
same time. So it changes only what is still in the old format, and leaves what is in the new one alone.
"""


class Format:
    def __init__(self, database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._database, self._collection, self._migrations = database, database["format"], migrations
        self._newest = 1 + len(migrations)

    async def prepare(self) -> None:
        """Migrate the database to our version, before anything else uses it.

        Raises NewerFormat where a newer release wrote it, and StoreUnavailable.
        """
        with store_errors():
            standing = await self._standing()
            self._refuse_newer(standing)
            for version in range(standing["version"], self._newest):
                await self._migrate(version)

    async def check(self) -> None:
        """Change nothing; raises as `prepare` does."""
        with store_errors():
            recorded = await self._collection.find_one()
        if recorded is not None:
            self._refuse_newer(recorded)

    def _refuse_newer(self, standing: Document) -> None:
        if standing["version"] > self._newest:
            raise NewerFormat(
                f"the database {self._database.name!r} has format {standing['version']}, written by DataCosmos "
                f"{standing.get('release')}; this release, {__version__}, knows formats up to {self._newest}: "
                "start that release or a newer one, or restore a backup from before the upgrade"
            )

    async def _standing(self) -> Document:
        """What is recorded; recorded now where nothing is: our version for an empty database, else version 1."""
        recorded = await self._collection.find_one()
        if recorded is None:
            is_empty = not await self._database.list_collection_names()
            first = {"version": self._newest if is_empty else 1, "release": __version__}
            # Whichever process is first decides; confirmed by the majority, so that a failover does not undo it.
            await self._collection.update_one({"_id": "format"}, {"$setOnInsert": first}, upsert=True)
            recorded = await self._collection.find_one()
        assert recorded is not None  # noqa: S101  nothing deletes it
        return recorded

    async def _migrate(self, version: int) -> None:
        log.info("migrating the database", version=version, to=version + 1)
        await self._migrations[version - 1](self._database)
        after = {"version": version + 1, "release": __version__}
        await self._collection.update_one({"_id": "format", "version": version}, {"$set": after})
        log.info("the database is migrated", version=version + 1)
