"""The table: every ten seconds a row a source, with the readers' times and the memory of every process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import httpx
import psutil
from soak_load import DataServer, Sensors
from soak_memory import MIB, Memory
from soak_readers import LEDGER, Readers, ask, percentiles

EVERY = 10.0  # seconds
HEAD = (
    f"{'time':>6}  {'source':<11}{'in/s':>7}{'out/s':>7}{'received':>12}{'accepted':>12}{'discarded':>11}"
    f"{'inFlight':>10}{'deadLettered':>14}  {'queries/s':>9}{'p50 ms':>8}{'p95 ms':>8}{'failed':>8}"
    f"{'outage/s':>10}{'idle':>6}  MiB resident"
)
Ledger = Sequence[Mapping[str, Any]]


class Table:
    """What the senders counted is `in`, what the ledger calls accepted or discarded is `out`.

    Queries that an outage touched stand apart, without times; `idle` is what nobody had of the processors.
    """

    def __init__(
        self, client: httpx.AsyncClient, server: DataServer, sensors: Sensors, readers: Readers, memory: Memory
    ) -> None:
        self._client, self._readers, self._memory = client, readers, memory
        self._sent: dict[str, Callable[[], int]] = {
            "data_server": lambda: server.served,
            "sensors": lambda: sensors.sent,
        }
        self._began = self._at = monotonic()
        self._before: dict[str, tuple[int, int]] = dict.fromkeys(self._sent, (0, 0))
        self._read = self._failed = self._touched = 0
        self.idle = list[float]()
        psutil.cpu_percent()  # of the time since the call before it

    async def run(self) -> None:
        print(HEAD, flush=True)
        while True:
            await asyncio.sleep(EVERY - (monotonic() - self._began) % EVERY)
            await self.row()

    async def row(self) -> None:
        try:
            ledger: Ledger = (await ask(self._client, LEDGER))["ingestion"]
        except httpx.HTTPError as error:
            self.tell(f"no ledger now: {error}")
            return
        passed = monotonic() - self._at
        first, *others = [self._source(source, passed) for source in ledger]
        self.tell(f"{first}  {self._times(passed)}  {self._resident()}")
        for other in others:
            print(f"{'':8}{other}", flush=True)
        self._at += passed

    def tell(self, text: str) -> None:
        passed = round(monotonic() - self._began)
        print(f"{passed // 60:>3}:{passed % 60:02}  {text}", flush=True)

    def _source(self, source: Mapping[str, Any], passed: float) -> str:
        name = source["source"]
        sent, stored = self._sent[name](), source["accepted"] + source["discarded"]
        sent_before, stored_before = self._before[name]
        self._before[name] = sent, stored
        rates = f"{(sent - sent_before) / passed:7,.0f}{(stored - stored_before) / passed:7,.0f}"
        counts = f"{source['received']:12,}{source['accepted']:12,}{source['discarded']:11,}{source['inFlight']:10,}"
        return f"{name:<11}{rates}{counts}{source['deadLettered']:14,}"

    def _times(self, passed: float) -> str:
        seconds, failed = self._readers.seconds[self._read :], len(self._readers.failures) - self._failed
        self._read, self._failed = self._read + len(seconds), self._failed + failed
        p50, p95 = percentiles(seconds)
        times = f"{p50:8.0f}{p95:8.0f}" if seconds else f"{'-':>8}{'-':>8}"
        touched, self._touched = self._readers.touched - self._touched, self._readers.touched
        self.idle.append(100 - psutil.cpu_percent())
        return f"{len(seconds) / passed:9.0f}{times}{failed:8}{touched / passed:10.0f}{self.idle[-1]:5.0f}%"

    def _resident(self) -> str:
        return "  ".join(f"{name} {resident / MIB:.0f}" for name, resident in self._memory.resident.items())
