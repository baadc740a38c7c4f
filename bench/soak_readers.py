"""The people who ask while the soak goes on, and what they were told, in and out of outages."""

import asyncio
import random
import statistics
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import httpx
from soak_load import BATCH, Sensors

from datacosmos.simulators.sensors import STEP

READERS, PAUSE = 50, (0.5, 1.5)  # seconds between an answer and the next question
POINTS = """query ($start: DateTime) {
  pointsConnection(start: $start, first: 100) { edges { node { time value tags } } pageInfo { endCursor } } }"""
DISCARDS = """query ($start: DateTime) {
  discardsConnection(start: $start, first: 20) { edges { node { source reason reasons receivedAt } } } }"""
SENSOR = """query ($sensor: String!, $start: DateTime, $end: DateTime) {
  sensorReadings(sensorId: $sensor, start: $start, end: $end) { time temperatureC temperatureF } }"""
RECEIPT = "query ($delivery: ID!) { receipt(deliveryId: $delivery) { readings accepted discarded } }"
LEDGER = """{ ingestion {
  source messages received accepted discarded inFlight deadLettered discardedByReason { reason count } } }"""
Question = tuple[str, dict[str, Any]]


class Outages:
    """From a kill until all is answered again."""

    def __init__(self) -> None:
        self.under_way = 0
        self.ever = 0
        self.seconds = 0.0

    @contextmanager
    def one(self) -> Generator[None]:
        began = monotonic()
        self.under_way += 1
        self.ever += 1
        try:
            yield
        finally:
            self.under_way -= 1
            self.seconds += monotonic() - began

    def calm_since(self) -> Callable[[], bool]:
        """Whether there was no outage between this call and that of the result."""
        ever, calm = self.ever, not self.under_way
        return lambda: calm and ever == self.ever


class Readers:
    """`seconds` and `failures` are of the questions that no outage touched; `touched` counts the others."""

    def __init__(self, client: httpx.AsyncClient, sensors: Sensors, outages: Outages) -> None:
        self._client, self._sensors, self._outages = client, sensors, outages
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.touched = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as readers:
            for _ in range(READERS):
                readers.create_task(self._read())

    async def _read(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*PAUSE))
            await self._measured(*random.choice(self._questions()))

    async def _measured(self, query: str, variables: dict[str, Any]) -> None:
        calm, began = self._outages.calm_since(), monotonic()
        fault = await self._fault(query, variables)
        if not calm():
            self.touched += 1
        elif fault:
            self.failures.append(fault)
        else:
            self.seconds.append(monotonic() - began)

    def _questions(self) -> list[Question]:
        start = (datetime.now(UTC) - timedelta(seconds=30)).isoformat()
        questions: list[Question] = [(POINTS, {"start": start}), (DISCARDS, {"start": start})]
        if self._sensors.recent:
            delivery, sensor, first = random.choice(self._sensors.recent)
            of_delivery = {"start": first.isoformat(), "end": (first + BATCH * STEP).isoformat()}
            questions += [(SENSOR, {"sensor": sensor, **of_delivery}), (RECEIPT, {"delivery": delivery})]
        return questions

    async def _fault(self, query: str, variables: dict[str, Any]) -> str | None:
        try:
            await ask(self._client, query, **variables)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return None

    async def wait_for_answers(self) -> None:
        """Until every question, and that for the ledger, is answered."""
        for query, variables in (*self._questions(), (LEDGER, {})):
            while await self._fault(query, variables):  # noqa: ASYNC110  only asking tells
                await asyncio.sleep(0.2)


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    """The answer's data. Raises HTTPError also for an answer that tells of errors."""
    answer = await client.post("/graphql", json={"query": query, "variables": variables})
    answer.raise_for_status()
    told = answer.json()
    if "errors" in told:
        raise httpx.HTTPError(str(told["errors"])[:300])
    return told["data"]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """The median and the 95th percentile, in milliseconds; NaN where there are too few."""
    if len(seconds) < 2:
        return float("nan"), float("nan")
    quantiles = statistics.quantiles(seconds, n=20)
    return 1000 * quantiles[9], 1000 * quantiles[18]
