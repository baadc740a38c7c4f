"""A database in this process, for tests that need only finds and plain inserts.

It knows no sessions, no commands as bytes, and no keyPattern: what needs those is in tests/engine alone.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUntypedBaseClass=false

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mongomock_motor import AsyncMongoMockClient

from datacosmos.bounds import Bound
from datacosmos.store.mongo import connection
from datacosmos.store.mongo.connection import READS, Database
from datacosmos.store.stores import Stores

SECONDS = 5.0
Imitation: Any = AsyncMongoMockClient  # which says that it is Motor's client, and has not all of it


class InProcess(Imitation):
    """What our own Client has beside Motor's."""

    wire = None
    options = SimpleNamespace(server_selection_timeout=SECONDS)
    topology_description = SimpleNamespace(has_writable_server=lambda: True)

    def __init__(self) -> None:
        super().__init__(tz_aware=True)
        self.reads = self
        self.read_turns = asyncio.Semaphore(READS)
        self.lists = self.long_lists = self.slow_lists = Bound("lists", READS, "lists")

    def start_session(self, **_: Any) -> None:
        """One is begun for each line of a Finder, which is not asked here."""


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(connection, "Client", InProcess)
    return cast("Database", InProcess()["test"])


@pytest.fixture
def stores(database: Database) -> Stores:
    return Stores.of(database)
