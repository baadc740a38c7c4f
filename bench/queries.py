"""A list of points over GraphQL, beside other servers on the same MongoDB, and the export; `make bench`.

    .venv/bin/python bench/queries.py [--quick] [--rounds 4] [--seconds 1.5] [--server "mercurius + jit" …]

A million points are stored as DataCosmos stores them. All servers must give the same answers before any is measured.
Then they are asked in turns, round by round, each request for another range: with variables, and with the times written
into the query. The bare servers know no GraphQL; they read the variables alone.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

import click
import orjson
import uvloop
from clients import get, load, post
from export import export
from figures import AT_ONCE, FORMS, Case, Measured, Shape, plot, report
from results import keep
from servers import PROGRAMS, Server, check_identical, servers
from service import service
from stored import START, store

WITH_VARIABLES = "query ($start: DateTime!, $end: DateTime!) { points(start: $start, end: $end) { time value } }"
WITH_LITERALS = '{{ points(start: "{start}", end: "{end}") {{ time value }} }}'
LEAST = 40  # bytes of a point with its time and its value


def bodies(case: Case, stored: int) -> Iterator[bytes]:
    """Questions for other ranges without end, the same ones for each server."""
    draw = random.Random(case.shape.points)
    while True:
        first = START + timedelta(seconds=draw.randrange(stored - case.shape.points + 1))
        last = first + timedelta(seconds=case.shape.points - 1)
        ends = {"start": f"{first:%FT%TZ}", "end": f"{last:%FT%TZ}"}
        if case.form == "variables":
            yield orjson.dumps({"query": WITH_VARIABLES, "variables": ends})
        else:
            yield orjson.dumps({"query": WITH_LITERALS.format(**ends)})


async def measure(
    found: Sequence[Server], shapes: Sequence[Shape], stored: int, rounds: int, seconds: float
) -> Measured:
    measured = Measured()
    cases = [Case(shape, form) for shape in shapes for form in FORMS]
    asked = {(case, server): bodies(case, stored) for case in cases for server in found if can(server, case)}
    for (case, server), questions in asked.items():
        await one_round(server, case, questions, seconds / 2)  # warms it up
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}", err=True)
        order = random.Random(number).sample(list(asked), len(asked))
        for case, server in sorted(order, key=lambda pair: cases.index(pair[0])):
            began, used = time.perf_counter(), time.process_time()
            figure = await one_round(server, case, asked[case, server], seconds)
            measured.rounds[case][server.name].append(figure)
            share = (time.process_time() - used) / (time.perf_counter() - began)
            measured.clients_share = max(measured.clients_share, share)
    await measure_memory(found, measured, cases[-1].shape, stored)
    measured.health = await measure_health(found[0], cases[-1], stored)
    runs = max(3, rounds)
    measured.exports = [await export(found[0], count, runs) for count in (shapes[-1].points, stored)]
    return measured


def can(server: Server, case: Case) -> bool:
    return server.speaks_graphql or case.form == "variables"


async def one_round(server: Server, case: Case, asked: Iterator[bytes], seconds: float) -> float:
    shape = case.shape
    requests = (post(server.url, body) for body in asked)
    least = LEAST * shape.points
    if shape.requests is None:
        return (await load(server.url, requests, clients=shape.clients, least=least, seconds=seconds)).rate
    done = await load(server.url, requests, clients=shape.clients, least=least, most=shape.requests)
    return 1000 * statistics.median(done.took)


async def measure_memory(found: Sequence[Server], measured: Measured, largest: Shape, stored: int) -> None:
    for server in found:
        measured.memory[server.name] = server.peak_memory()
        requests = (post(server.url, body) for body in bodies(Case(largest, "variables"), stored))
        least = LEAST * largest.points
        await load(server.url, requests, clients=AT_ONCE, least=least, most=AT_ONCE)
        measured.memory_at_once[server.name] = server.peak_memory()


async def measure_health(ours: Server, case: Case, stored: int) -> list[float]:
    """Seconds of each GET /health that is answered while the largest queries run, some at once."""
    requests = (post(ours.url, body) for body in bodies(case, stored))
    least = LEAST * case.shape.points
    asking = asyncio.create_task(load(ours.url, requests, clients=AT_ONCE, least=least, most=5 * AT_ONCE))
    took: list[float] = []
    while not asking.done():
        took += (await load(ours.url, iter([get("/health")]), clients=1, least=1, most=1)).took
    await asking
    return took


def check(found: Sequence[Server], shapes: Sequence[Shape], stored: int) -> None:
    for case in (Case(shape, form) for shape in shapes for form in FORMS):
        able = [server for server in found if can(server, case)]
        check_identical(able, next(bodies(case, stored)), case.shape.points)


@click.command()
@click.option("--quick", is_flag=True, help="A minute: fewer points, two short rounds; only to see that all works.")
@click.option("--rounds", default=4)
@click.option("--seconds", default=1.5, help="How long each server is asked in a round for the smaller lists.")
@click.option("--points", "stored", default=1_000_000, help="How many are stored.")
@click.option("--server", "names", multiple=True, type=click.Choice(list(PROGRAMS)), help="A peer; none given: all.")
def main(*, quick: bool, rounds: int, seconds: float, stored: int, names: Collection[str]) -> None:
    """DataCosmos beside its peers."""
    if quick:
        rounds, seconds, stored = 2, 0.4, min(stored, 200_000)
    shapes = [Shape(10, 8), Shape(1_000, 4), Shape(100_000, 1, requests=2 if quick else 4)]
    # The poller of the service has nothing to poll, so that it leaves the machine alone.
    with service(DATACOSMOS_DATA_SERVER_URL="http://127.0.0.1:1") as whole:
        click.echo(f"storing {stored:,} points", err=True)
        store(whole.mongodb_url, stored)
        with servers(whole, names or PROGRAMS, max_points=shapes[-1].points) as found:
            check(found, shapes, stored)
            click.echo("all answers are the same", err=True)
            measured = uvloop.run(measure(found, shapes, stored, rounds, seconds))
    keep("queries", report(measured, stored, rounds, seconds), plot(measured))


if __name__ == "__main__":
    main()
