"""The format of a database, beside programs that start and are killed."""

import asyncio
import sys
from pathlib import Path

from datacosmos.engines import running_engines
from datacosmos.settings import Settings
from datacosmos.store.format import Format
from datacosmos.store.mongo.connection import Database, connect
from tests.engine.store.test_format import add_units, version
from tests.programs import NO_CALCULATION, environment, program, run

INTERRUPTED = """
import asyncio, sys
from datetime import timedelta

from datacosmos.store.format import Format
from datacosmos.store.mongo.connection import connect

async def add_units(database):
    await database["points"].update_one({"unit": None}, {"$set": {"unit": "C"}})
    print("half", flush=True)
    await asyncio.Event().wait()

async def main():
    async with connect(sys.argv[1], sys.argv[2], timedelta(seconds=5)) as database:
        await Format(database, [add_units]).prepare()

asyncio.run(main())
"""


async def test_a_migration_that_was_killed_goes_on_at_the_next_start(settings: Settings, database: Database) -> None:
    await database["points"].insert_many([{"_id": "a"}, {"_id": "b"}])
    assert settings.mongodb_url
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTED, settings.mongodb_url.get_secret_value(), settings.mongodb_database),
        env=environment({}),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while (line := await process.stdout.readline()) != b"half\n":  # there are log lines, too
            assert line
    process.kill()
    await process.wait()
    assert await version(database) == 1
    await Format(database, [add_units]).prepare()
    assert await version(database) == 2
    assert await database["points"].find().sort("_id").to_list(None) == [
        {"_id": "a", "unit": "C"},
        {"_id": "b", "unit": "C", "changes": 1},
    ]


async def test_a_program_refuses_a_newer_database_in_one_clear_line(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", "--port", "0", **NO_CALCULATION):
        url = running_engines(tmp_path / "data").mongodb_url
        assert url
        async with connect(url, "datacosmos", Settings().mongodb_timeout) as database:
            await database["format"].update_one({}, {"$set": {"version": 99, "release": "9.1.0"}})
        for command in (["api", "--port", "0"], ["write"], ["calculation", "--port", "0"]):
            async with asyncio.timeout(60):
                code, _, err = await run(*command, folder=tmp_path)
            assert code == 1
            assert "has format 99, written by DataCosmos 9.1.0" in err
            assert "Traceback" not in err
