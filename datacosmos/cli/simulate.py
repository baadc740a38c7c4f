"""`simulate`: a command for each source that has a stand-in."""

import csv
import math
import sys
import time
from datetime import UTC, datetime
from itertools import islice

import click

from datacosmos.cli.running import announce_ready, run
from datacosmos.cli.with_settings import with_settings
from datacosmos.settings import Settings


@click.group()
def simulate() -> None:
    """Run a stand-in for a source."""


@simulate.command("data-server")
@click.option("--host", "address", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", "number", type=int, default=28462, help="The port to listen on.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=5, help="Points per second.")
@click.option("--seed", type=int, help="The same seed gives the same points.")
@click.option("--faulty", type=click.FloatRange(0, 1), default=0.25, help="About the share of what is discarded.")
@with_settings
def simulate_data_server(
    settings: Settings, *, address: str, number: int, rate: float, seed: int | None, faulty: float
) -> None:
    """Serve points like a data server: some old, some tagged, some malformed; 404 in between."""
    from datacosmos.programs import services
    from datacosmos.simulators.data_server import create_simulator

    if not math.isfinite(rate):
        raise click.BadParameter("should be a finite number", param_hint="--rate")

    def announce(url: str) -> None:
        announce_ready(settings, f"Serving {rate:g} points a second at {url}", url=url, rate=rate)

    simulator = create_simulator(rate, seed, faulty=faulty)
    run(services.simulate_data_server(settings, simulator, host=address, port=number, announce=announce))


@simulate.command("sensors")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records per second; unset: all at once.")
@click.option("--count", type=click.IntRange(min=0), help="How many; unset: without end.")
@click.option("--seed", type=int, help="The same seed gives the same records.")
@click.option("--faulty", type=click.FloatRange(0, 1), default=0.05, help="The share of faulty ones.")
def simulate_sensors(*, rate: float | None, count: int | None, seed: int | None, faulty: float) -> None:
    """Print records of a few sensors, a line each, for `ingest sensors`."""
    from datacosmos.simulators.sensors import EPOCH, STEP, records

    if rate is not None and not math.isfinite(rate):
        raise click.BadParameter("should be a finite number", param_hint="--rate")
    pause = 1 / rate if rate else 0
    start = EPOCH
    if seed is None:  # up to now, to the microsecond, so that no two runs give the same
        start = datetime.now(UTC).replace(tzinfo=None) - (0 if rate else count or 0) * STEP
    for record in islice(records(start=start, seed=seed, faulty=faulty), count):
        try:
            print(record, flush=bool(pause))  # noqa: T201  thousands a second, which click.echo can't
        except BrokenPipeError:
            sys.stderr.close()  # whoever read them has gone
            return
        if pause:
            time.sleep(pause)


@simulate.command("locations")
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="How many.")
@click.option("--seed", type=int, help="The same seed gives the same locations.")
def simulate_locations(*, count: int, seed: int | None) -> None:
    """Print locations of phones as CSV, for `replay locations`: half of them duplicates, some malformed."""
    from datacosmos.simulators.locations import FIELDS, generate

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(row.values() for row in generate(count, seed))
