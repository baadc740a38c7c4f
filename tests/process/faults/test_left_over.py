"""A queue that holds again what was taken off it, because its removal never reached the disk."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from datacosmos.engines import embedded_engines
from datacosmos.pipeline.queue import Queue, connect
from tests.queues import delivery, take_all

SECOND = timedelta(seconds=1)


@asynccontextmanager
async def queue_in(folder: Path) -> AsyncGenerator[Queue]:
    async with embedded_engines(folder, mongodb=False) as engines:
        assert engines.nats_url is not None
        async with connect(engines.nats_url, stream="s", max_bytes=1 << 20, timeout=10 * SECOND) as queue:
            await queue.prepare()
            yield queue


async def test_messages_left_over_on_the_queue_are_delivered_again(tmp_path: Path) -> None:
    messages = tmp_path / "nats/jetstream/$G/streams/s/msgs"
    sent = [delivery(str(n)) for n in range(5)]
    async with queue_in(tmp_path) as queue:
        for each in sent:
            await queue.publish(each)
    shutil.copytree(messages, tmp_path / "before")
    async with queue_in(tmp_path) as queue:
        assert await take_all(queue) == sent
    shutil.rmtree(messages)
    shutil.copytree(tmp_path / "before", messages)
    async with queue_in(tmp_path) as queue:
        assert (await queue.state()).messages == len(sent)
        assert await take_all(queue) == []
        await queue.deliver_left_over()
        await queue.deliver_left_over()
        assert await take_all(queue) == sent
        await asyncio.gather(*(queue.deliver_left_over() for _ in range(4)))
        assert await take_all(queue) == []
