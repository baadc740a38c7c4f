"""Lists over GraphQL in every shape, beside other servers on the same MongoDB, and the export; `make bench`.

    .venv/bin/python bench/queries.py [--quick] [--rounds 2] [--seconds 0.5] [--server "mercurius + jit" …]

A million points are stored as DataCosmos stores them, and some discards, readings of a sensor, and minutes of a phone.
All servers must give the same answers before any is measured. Then they are asked in turns, each request for another
range: with variables, and with the times written into the query; by one client, and by eight. A full run takes some
fifteen minutes on a quiet machine, and writes the tables of README.md and docs/speed.md, too.
"""

import asyncio
import random
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import click
import uvloop
from clients import get, load
from export import export
from figures import AT_ONCE, Figure, Measured, plot, report
from results import keep
from servers import OURS, PROGRAMS, USUAL, Server, check_identical, servers
from service import service
from shapes import SHAPES, TIME_VALUE, Case, cases
from stored import store
from tables import refresh

LONG, SLOWEST = 2, 4  # requests of a round for the largest lists, of one client; seconds that several clients may take
BESIDE = 5.0  # seconds for which the largest lists are asked for beside short ones
Asked = dict[tuple[Case, Server], Iterator[bytes]]


async def warm_up(asked: Asked, seconds: float) -> None:
    """In every shape before any is measured, or the first ones would be asked of a Node that has compiled nothing."""
    for (case, server), bodies in asked.items():
        if case.clients > 1 and case.size < case.shape.largest:
            requests = (server.request(case, body) for body in bodies)
            await load(server.url, requests, clients=case.clients, least=1, seconds=seconds)


async def measure(asked: Asked, sizes: dict[Case, int], rounds: int, seconds: float) -> Measured:
    measured = Measured(sizes)
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}", err=True)
        order = random.Random(number).sample(list(asked), len(asked))
        places = {case: place for place, case in enumerate(sizes)}
        for case, server in sorted(order, key=lambda pair: places[pair[0]]):
            is_ours = server.name == OURS
            if case.size == case.shape.largest and (number or (not is_ours and _is_too_slow(measured, case, server))):
                continue  # once is enough of what takes so long
            began, used = time.perf_counter(), time.process_time()
            figure = await one_round(server, case, asked[case, server], sizes[case] // 2, seconds)
            measured.rounds[case][server.name].append(figure)
            share = (time.process_time() - used) / (time.perf_counter() - began)
            measured.clients_share = max(measured.clients_share, share)
    return measured


def _is_too_slow(measured: Measured, case: Case, server: Server) -> bool:
    """For several clients at once, by how it did for one."""
    alone = measured.rounds[case._replace(clients=1)].get(server.name)
    return case.clients > 1 and alone is not None and case.clients / alone[0].rate > SLOWEST


async def one_round(server: Server, case: Case, asked: Iterator[bytes], least: int, seconds: float) -> Figure:
    requests = (server.request(case, body) for body in asked)
    largest = case.size == case.shape.largest
    most = max(LONG, case.clients) if largest else 10**9
    if not largest:
        await load(server.url, requests, clients=case.clients, least=least, seconds=seconds / 5)
    began = server.processor_time()
    done = await load(
        server.url, requests, clients=case.clients, least=least, most=most, seconds=60 if largest else seconds
    )
    return Figure(done.rate, 1000 * (server.processor_time() - began) / len(done.took), done.took)


async def measure_memory(found: Sequence[Server], measured: Measured, case: Case, stored: int) -> None:
    for server in found:
        measured.memory[server.name] = server.peak_memory()
        requests = (server.request(case, body) for body in case.bodies(stored))
        await load(server.url, requests, clients=AT_ONCE, least=measured.sizes[case] // 2, most=AT_ONCE)
        measured.memory_at_once[server.name] = server.peak_memory()


async def measure_beside(ours: Server, measured: Measured, large: Case, small: Case, stored: int) -> None:
    """Short lists and GET /health in turns, alone, and while the largest lists are asked for, some at once.

    Whoever asks for them is a process apart, which does not wait while this one reads large answers.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        alone = apart.submit(ask_in_turns, ours, small, stored, BESIDE / 5)
        measured.short_alone = (await asyncio.wrap_future(alone))[::2]
        requests = (ours.request(large, body) for body in large.bodies(stored))
        asking = load(ours.url, requests, clients=AT_ONCE, least=1, seconds=BESIDE)
        beside = apart.submit(ask_in_turns, ours, small, stored, BESIDE)
        took, _ = await asyncio.gather(asyncio.wrap_future(beside), asking)
    measured.short_beside, measured.health = took[::2], took[1::2]


def ask_in_turns(ours: Server, small: Case, stored: int, seconds: float) -> list[float]:
    """How long each took of a short list, GET /health, a short list, …"""
    requests = (each for body in small.bodies(stored) for each in (ours.request(small, body), get("/health")))
    return uvloop.run(load(ours.url, requests, clients=1, least=1, seconds=seconds)).took


async def run(found: Sequence[Server], stored: int, rounds: int, seconds: float, warming: float) -> Measured:
    asked: Asked = {}
    sizes: dict[Case, int] = {}
    for case in cases(SHAPES):
        able = [server for server in found if server.can(case)]
        if len(able) == 1 and len(found) > 1:
            continue
        like = Case(case.shape, case.size, "variables" if case.size == case.shape.largest else case.form, 1)
        sizes[case] = sizes[like] if like in sizes else check_identical(able, like, next(like.bodies(stored)))
        asked |= {(case, server): case.bodies(stored) for server in able}
    click.echo("all answers are the same", err=True)
    await warm_up(asked, warming)
    measured = await measure(asked, sizes, rounds, seconds)
    largest = Case(TIME_VALUE, TIME_VALUE.largest, "variables", 1)
    await measure_memory(found, measured, largest, stored)
    await measure_beside(found[0], measured, largest, largest._replace(size=10), stored)
    measured.exports = [await export(found[0], count, 3) for count in (TIME_VALUE.largest, stored)]
    return measured


@click.command()
@click.option("--quick", is_flag=True, help="Some minutes: fewer points, one short round; only to see that all works.")
@click.option("--rounds", default=2)
@click.option("--seconds", default=0.5, help="How long each server is asked in a round for the smaller lists.")
@click.option("--warming", default=0.8, help="How long each is asked for each of those before all; Node compiles then.")
@click.option("--points", "stored", default=1_000_000, help="How many are stored.")
@click.option("--server", "names", multiple=True, type=click.Choice(list(PROGRAMS)), help="A peer; none: the usual.")
def main(*, quick: bool, rounds: int, seconds: float, warming: float, stored: int, names: Collection[str]) -> None:
    """DataCosmos beside its peers."""
    if quick:
        rounds, seconds, warming, stored = 1, 0.1, 0.02, min(stored, 200_000)
    # The poller of the service has nothing to poll, so that it leaves the machine alone.
    with service(DATACOSMOS_DATA_SERVER_URL="http://127.0.0.1:1") as whole:
        click.echo(f"storing {stored:,} points", err=True)
        store(whole.mongodb_url, stored)
        with servers(whole, names or USUAL, max_points=TIME_VALUE.largest) as found:
            measured = uvloop.run(run(found, stored, rounds, seconds, warming))
    keep("queries", report(measured, stored, rounds, seconds), plot(measured))
    if not quick and not names:
        refresh(measured)


if __name__ == "__main__":
    main()
