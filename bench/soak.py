"""Sensors in batches and a data server at full speed, 2,000 readings/s together, while 50 readers query; `make soak`.

Five subscribers of changes go away and come back meanwhile, and must have had each change once. Every ten seconds it
prints a row a source, with the readers' times and the memory of every process, and at the end a verdict, of which the
exit code tells too. By --kills, the service runs as separate programs, and they and the engines are killed at random
moments; the readers' times are then those outside of outages. Ctrl-C ends it early, verdict and all.
"""

import asyncio
import logging
import random
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import click
import httpx
import uvloop
from soak_kills import POLLER, Kills
from soak_load import DataServer, Pace, Sensors
from soak_memory import Memory
from soak_programs import deployed
from soak_readers import LEDGER, READERS, Outages, Readers, ask, percentiles
from soak_subscribers import Subscribers
from soak_table import Ledger, Table
from soak_verdict import Finding, Outside, balanced, failed, fast, flat, quick, unfailing

from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.engines import running_engines
from datacosmos.engines.data_dir import free_port
from datacosmos.observability import configure_logging

PATIENCE = 90  # seconds for the start, for the last answers to the sensors, and for the queue to run empty


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    rate: float
    kills: int
    seed: int


class Soak:
    """One run, against a service that is ready for it."""

    def __init__(self, plan: Plan, client: httpx.AsyncClient, server: DataServer, mongodb_url: str) -> None:
        self._plan, self._client, self._server = plan, client, server
        self._sensors = Sensors(client, Pace(plan.rate, server), plan.seed)
        self._memory = Memory(mongodb_url, lambda: server.served + self._sensors.batches)
        self._outages, self._kills = Outages(), Kills(plan.kills, plan.seconds, plan.seed)
        self._readers = Readers(client, self._sensors, self._outages)
        self._subscribers = Subscribers(client, mongodb_url, plan.seed)
        self._table = Table(client, server, self._sensors, self._readers, self._memory)

    async def run(self, stop: asyncio.Event) -> list[Finding]:
        """Until its time is over or it is told to stop."""
        async with self._subscribers.following(), asyncio.TaskGroup() as tasks:
            killing = self._kills.run(self._readers, self._outages, self._table.tell)
            beside = (self._table.run(), self._readers.run(), self._memory.run(), killing)
            running = [tasks.create_task(each) for each in beside]
            sending = tasks.create_task(self._sensors.run())
            self._server.open = True
            findings = await self._load_until(stop)
            for task in running:
                task.cancel()
            await asyncio.wait([sending], timeout=PATIENCE)
            sending.cancel()
            findings += await self._settled()
            return [*findings, *await self._subscribers.findings()]

    async def _load_until(self, stop: asyncio.Event) -> list[Finding]:
        """What is to be judged while the load is on."""
        began = monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._plan.seconds):
                await stop.wait()
        self._server.open = self._sensors.open = False
        seconds, sent = monotonic() - began, self._server.served + self._sensors.sent
        stored = sum(source["accepted"] + source["discarded"] for source in await told_ledger(self._client))
        readers, calm = self._readers, not self._plan.kills
        p95 = percentiles(readers.seconds)[1]
        return [
            fast(sent / seconds, stored / seconds, self._plan.rate, judged=calm),
            quick(p95, len(readers.seconds), readers.touched, self._table.idle, judged=calm),
            unfailing("queries", readers.failures),
            unfailing("sensors' batches", self._sensors.refusals),
            flat(self._memory.growths()),
        ]

    async def _settled(self) -> list[Finding]:
        """The ledger once it balances, or as it stands when there is no more hope of it."""
        deadline = monotonic() + PATIENCE
        while True:
            findings = await self._balance()
            if not failed(findings) or monotonic() > deadline:
                return findings
            await asyncio.sleep(0.5)

    async def _balance(self) -> list[Finding]:
        ledger = await told_ledger(self._client)
        metrics = (await self._client.get("/metrics")).text
        [ever_queued] = re.findall(r"^datacosmos_queue_received (\S+)", metrics, re.MULTILINE)
        sensors, kills = self._sensors, self._kills.done[POLLER]
        outside = Outside(self._server.served, sensors.sent, sensors.unanswered, kills)
        return list(balanced(ledger, int(float(ever_queued)), outside))


class Transport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except (AttributeError, OSError) as error:  # anyio's, where the other end is gone before it looks at its socket
            raise httpx.ConnectError("the connection broke at once") from error


def connected(port: int, secret: str, lasting: timedelta) -> httpx.AsyncClient:
    token = SharedSecret(secret).issue(role=Role.ADMIN, subject="soak", lifetime=lasting, now=datetime.now(UTC))
    headers, transport = {"Authorization": f"Bearer {token}"}, Transport()
    url = f"http://127.0.0.1:{port}"
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, transport=transport, trust_env=False)


async def told_ledger(client: httpx.AsyncClient) -> Ledger:
    """Once it is told: the service may still be starting, or an outage not be over."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            return (await ask(client, LEDGER))["ingestion"]
        except httpx.HTTPError as error:
            if monotonic() > deadline:
                raise click.ClickException(f"the service does not tell its ledger: {error}") from None
        await asyncio.sleep(0.2)


@contextmanager
def stop_signal() -> Generator[asyncio.Event]:
    """Set by the first Ctrl-C; a second one ends it all at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def told() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, told)
    yield stop


async def soak(plan: Plan, folder: Path) -> list[Finding]:
    server, port, secret = DataServer(plan.seed), free_port(0), secrets.token_urlsafe(48)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_signal())
        await stack.enter_async_context(server.running())
        variables = {"DATACOSMOS_JWT_SECRET": secret, "DATACOSMOS_DATA_SERVER_URL": server.url}
        deploying = deployed(folder, variables, port=port, apart=plan.kills > 0)
        programs = await stack.enter_async_context(deploying)
        client = await stack.enter_async_context(connected(port, secret, timedelta(seconds=plan.seconds, hours=1)))
        await told_ledger(client)
        mongodb_url = running_engines(folder / "data").mongodb_url or ""
        findings = await Soak(plan, client, server, mongodb_url).run(stop)
        return [*findings, unfailing("programs", [program.name for program in programs if program.ended_by_itself])]


@click.command(help=__doc__)
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10, show_default=True)
@click.option("--rate", type=click.FloatRange(min=1), default=2000, show_default=True, help="Readings a second.")
@click.option("--kills", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--seed", type=int, help="The same seed kills the same at the same moments.")
def main(*, minutes: float, rate: float, kills: int, seed: int | None) -> None:
    seed = random.randrange(1_000_000) if seed is None else seed
    plan = Plan(60 * minutes, rate, kills, seed)
    print(f"{minutes:g} minutes, {rate:,.0f} readings/s, {READERS} readers, {kills} kills, seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="datacosmos-soak-"))
    configure_logging("info", "console")
    logging.basicConfig(filename=folder / "engines.log", level=logging.INFO, force=True)  # the table is no place for it
    try:
        findings = uvloop.run(soak(plan, folder))
    except* click.ClickException as errors:
        raise click.ClickException(f"{errors.exceptions[0]}; logs are in {folder}") from None
    fine = not failed(findings)
    print("verdict: " + ("all is well" if fine else f"not all is well; logs and data are in {folder}"))
    print("\n".join(map(str, findings)))
    if fine:
        shutil.rmtree(folder)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
