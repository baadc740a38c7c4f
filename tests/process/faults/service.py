"""A service at work between two sources and two engines, all of which a test may harm."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.process.faults.account import check_balance
from tests.process.faults.group import PATIENCE, Group, group
from tests.process.faults.line import Line, line_to
from tests.process.faults.senders import DataServer, Sensors, data_server
from tests.programs import COMMAND

PLENTY = 20_000


@dataclass
class Service:
    """One `serve`, with a line to each engine."""

    programs: Group
    mongodb: Line
    nats: Line
    server: DataServer
    sensors: Sensors
    dead_lettered: int = 0

    @asynccontextmanager
    async def under_load(self) -> AsyncGenerator[None]:
        """Both sources at work before, during and after the block; then all that they ever sent is accounted for."""
        self.server.load(PLENTY)
        async with self.sensors.at_work():
            await self.more_taken()
            yield
            await self.more_taken()
        await self.balances()

    async def balances(self) -> None:
        """All that was ever sent, and is not served any more, is accounted for."""
        self.server.end()
        await self.server.served_all()
        await check_balance(self.programs, sensors=self.sensors, server=self.server, dead_lettered=self.dead_lettered)

    async def more_taken(self) -> None:
        batches, served = self.sensors.batches + 5, len(self.server.served) + 20
        await until(lambda: self.sensors.batches >= batches and len(self.server.served) >= served)

    async def more_refused(self) -> None:
        """As many as there are senders, and then one: the last was sent after this was called."""
        refused = self.sensors.refused + 4
        await until(lambda: self.sensors.refused >= refused)


@asynccontextmanager
async def service(folder: Path, *, run_by: tuple[str, ...] = COMMAND, **variables: str) -> AsyncGenerator[Service]:
    async with AsyncExitStack() as parts:
        server = await parts.enter_async_context(data_server())
        variables |= {"DATACOSMOS_DATA_SERVER_URL": server.url}
        programs = await parts.enter_async_context(group(folder, run_by=run_by, **variables))
        endpoints = programs.endpoints
        mongodb, mongodb_url = await parts.enter_async_context(line_to(endpoints.mongodb_url))
        nats, nats_url = await parts.enter_async_context(line_to(endpoints.nats_url))
        await programs.start("serve", DATACOSMOS_MONGODB_URL=mongodb_url, DATACOSMOS_NATS_URL=nats_url)
        await programs.answers()
        yield Service(programs, mongodb, nats, server, Sensors(programs.url))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


async def until_asked(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():
            await asyncio.sleep(0.05)
