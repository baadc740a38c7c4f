"""The embedded MongoDB's oplog, as far back as which the changes reach."""

from pathlib import Path

from datacosmos.engines import embedded_engines
from tests.process.engines.test_engines import connect_to

SMALL, LARGE = 16 << 20, 1 << 30


async def test_an_oplog_has_the_size_that_is_set_also_where_it_was_made_with_another(tmp_path: Path) -> None:
    for size in (SMALL, LARGE):
        async with (
            embedded_engines(tmp_path, nats=False, oplog_max_bytes=size) as endpoints,
            connect_to(endpoints) as database,
        ):
            found = await database.client["local"].command("collStats", "oplog.rs")
            assert found["maxSize"] == size
