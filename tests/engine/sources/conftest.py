"""The whole service in this process, on the session's engines, seen from outside."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from datacosmos.auth.issuers import Role
from datacosmos.auth.secret import load_secret
from datacosmos.pipeline.queue import Queue
from datacosmos.programs import services
from datacosmos.programs.services import Addresses
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import ask, token
from tests.queues import open_queue

LEDGER = "{ ingestion { source messages received accepted discarded inFlight deadLettered } }"


class Whole:
    def __init__(self, client: httpx.AsyncClient, admin: str) -> None:
        self.client, self.admin = client, admin

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await ask(self.client, query, self.admin, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def parts(self) -> dict[str, dict[str, Any]]:
        return (await self.client.get("/health")).json()["parts"]

    async def metric(self, name: str, **labels: str) -> float:
        """Zero where there is none."""
        written = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        text = (await self.client.get("/metrics")).text
        found = re.search(rf"^{name}{re.escape('{' + written + '}')} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    async def settled(self, received: int) -> dict[str, dict[str, Any]]:
        """The ledgers by source, once so many readings were received and all are written."""
        async with asyncio.timeout(30):
            while True:
                ledgers = (await self.ask(LEDGER))["ingestion"]
                done = sum(each["received"] - each["inFlight"] for each in ledgers)
                if done >= received and not any(each["inFlight"] for each in ledgers):
                    return {each["source"]: each for each in ledgers}
                await asyncio.sleep(0.02)

    async def check_balance(self, ledgers: dict[str, dict[str, Any]]) -> None:
        """Readings by source, and messages by the queue's own count."""
        for each in ledgers.values():
            assert each["received"] == each["accepted"] + each["discarded"] + each["deadLettered"], each
        [received] = re.findall(
            r"^datacosmos_queue_received (\S+)$", (await self.client.get("/metrics")).text, re.MULTILINE
        )
        assert sum(each["messages"] for each in ledgers.values()) == float(received)


@asynccontextmanager
async def serving_whole(settings: Settings) -> AsyncGenerator[Whole]:
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    program = asyncio.create_task(services.serve(settings, demo=False, announce=ready.set_result))
    try:
        async with asyncio.timeout(60):
            await asyncio.wait([ready, program], return_when=asyncio.FIRST_COMPLETED)
        if program.done():
            program.result()  # raises what ended it
        addresses = ready.result()
        admin = token(Role.ADMIN, secret=load_secret(settings))
        async with httpx.AsyncClient(base_url=addresses.api) as client:
            yield Whole(client, admin)
    finally:
        program.cancel()
        await asyncio.gather(program, return_exceptions=True)


@pytest.fixture
async def queue(settings: Settings) -> AsyncGenerator[Queue]:
    async with open_queue(settings) as queue:
        yield queue


@pytest.fixture
def brisk(settings: Settings, stores: Stores, queue: Queue) -> Settings:
    """Polls often; the Calculation service is not needed."""
    return settings.model_copy(
        update={
            "port": 0,
            "calculation_url": "http://127.0.0.1:1",
            "data_server_url": "http://127.0.0.1:1",
            "poll_interval": timedelta(milliseconds=20),
            "stop_grace": timedelta(seconds=1),
        }
    )
