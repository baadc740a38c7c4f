"""A database whose client tells what it inserts, and what MongoDB answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pymongo
from pymongo import WriteConcern
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import LONGEST, Client, Database


class Heard(CommandListener):
    """The ids of each insert's documents, in order, and how many of them MongoDB refused."""

    def __init__(self) -> None:
        self.inserts: list[list[Any]] = []
        self.refused = 0

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "insert":
            self.inserts.append([document["_id"] for document in event.command["documents"]])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name == "insert":
            self.refused += len(event.reply.get("writeErrors", []))

    def failed(self, event: CommandFailedEvent) -> None: ...


@asynccontextmanager
async def listening(
    settings: Settings, patience: timedelta = timedelta(seconds=30)
) -> AsyncGenerator[tuple[Database, Heard]]:
    """As `connect` makes it, but for an answer that is waited for so long; MongoDB has been found."""
    assert settings.mongodb_url
    heard = Heard()
    client = Client(
        settings.mongodb_url.get_secret_value(),
        settings.long_lists,
        tz_aware=True,
        event_listeners=[heard],
        serverSelectionTimeoutMS=patience / LONGEST / timedelta(milliseconds=1),
        socketTimeoutMS=patience / timedelta(milliseconds=1),
    )
    try:
        with pymongo.timeout(30):
            await client.admin.command("ping")
        database = client[settings.mongodb_database]
        yield database.with_options(write_concern=WriteConcern("majority", j=True)), heard
    finally:
        client.close()
        if client.wire is not None:
            client.wire.close()
        await client.reads.close()
