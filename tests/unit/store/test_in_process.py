"""What an imitation of MongoDB can stand: finds and plain inserts, in milliseconds.

Most of it is tests of tests/engine, which runs them on the real one.
"""

from datacosmos.domain.points import Reason, Verdict
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.documents import from_document, to_document
from datacosmos.store.stores import Stores
from tests.asking import NOON, point
from tests.engine.store.points.test_receipts import test_a_receipt_comes_back_as_it_was_left
from tests.engine.store.test_format import (
    test_a_database_of_a_newer_release_is_refused_and_left_as_it_is,
    test_a_database_of_the_first_release_is_version_1_and_runs_every_migration_once,
    test_an_empty_database_has_the_newest_format_and_needs_no_migration,
)

__all__ = [
    "test_a_database_of_a_newer_release_is_refused_and_left_as_it_is",
    "test_a_database_of_the_first_release_is_version_1_and_runs_every_migration_once",
    "test_a_receipt_comes_back_as_it_was_left",
    "test_an_empty_database_has_the_newest_format_and_needs_no_migration",
]


async def test_a_point_comes_back_as_it_was_stored_and_is_known_by_its_id(database: Database, stores: Stores) -> None:
    malformed = point(None, Reason.MALFORMED, faults=("no time",))
    batch = [malformed, point(), point(NOON, Reason.SUSPECT, tags=("suspect",))]
    await database["points"].insert_many([to_document(each) for each in batch])
    found = await database["points"].find().sort("_id").to_list(None)
    assert [from_document(document) for document in found] == batch
    assert await stores.points.verdicts([malformed.id, "unknown"]) == {malformed.id: Verdict((Reason.MALFORMED,))}
    assert await stores.points.sources() == {"data_server"}
