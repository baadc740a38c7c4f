"""No room any more: on the queue, or on the disk of the engines."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from datacosmos.store.mongo.connection import connect
from tests.process.faults.account import mongodb_url, on_the_queue
from tests.process.faults.disk import own_disk
from tests.process.faults.group import ENGINES
from tests.process.faults.service import Service, service, until

pytestmark = pytest.mark.timeout(300)


async def test_with_the_queue_full_nothing_is_asked_for_or_taken_until_there_is_room_again(tmp_path: Path) -> None:
    async with service(tmp_path, DATACOSMOS_QUEUE_MAX_BYTES="1MiB") as harmed, harmed.under_load():
        async with harmed.programs.frozen("mongod"):
            await harmed.more_refused()
            served = len(harmed.server.served)
            health = await harmed.programs.health()
            await harmed.more_refused()
            messages, _ = await on_the_queue(harmed.programs)
            assert len(harmed.server.served) == served == messages - harmed.sensors.batches
        assert "full" in health["parts"]["data_server"]["detail"]
        assert "full" in health["parts"]["queue"]["detail"]
        assert "the oldest unwritten message has waited for" in health["parts"]["writer"]["detail"]


async def test_with_the_disk_full_that_is_said_and_once_there_is_room_all_goes_on(tmp_path: Path) -> None:
    with own_disk(tmp_path / "data") as disk:
        async with service(tmp_path, DATACOSMOS_QUEUE_MAX_BYTES="16MiB") as harmed, harmed.under_load():
            disk.fill(harmed.programs)
            await flush(harmed)
            for engine in ENGINES:
                await until(lambda engine=engine: disk.is_told(engine, harmed.programs.log))
            disk.free()


async def flush(harmed: Service) -> None:
    """Have MongoDB write out now what it would within a minute."""
    async with connect(mongodb_url(harmed.programs), "admin", timedelta(seconds=5)) as database:
        with suppress(PyMongoError):
            await database.command("fsync")
