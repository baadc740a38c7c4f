from collections import Counter
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest

from datacosmos.domain.points import Reading, Reason
from datacosmos.domain.rules import judge
from datacosmos.settings import Settings
from datacosmos.simulators.data_server import BACKLOG, create_simulator
from datacosmos.sources.data_server import configured, rules

START = 1711644934.25
[DATA_SERVER] = configured(Settings.model_construct())
parse = DATA_SERVER.read


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client(rate: float, seed: int | None, clock: Callable[[], float]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_simulator(rate, seed, clock))
    return httpx.AsyncClient(transport=transport, base_url="http://data-server")


async def drain(server: httpx.AsyncClient) -> AsyncGenerator[bytes]:
    while (answer := await server.get("/")).status_code == 200:
        yield answer.content
    assert answer.status_code == 404


async def taken(rate: float, seed: int | None, clock: Clock, *, seconds: float) -> list[bytes]:
    async with client(rate, seed, clock) as server:
        clock.now += seconds
        return [body async for body in drain(server)]


def verdict(reading: Reading, clock: Clock) -> tuple[Reason, ...]:
    return judge(reading, datetime.fromtimestamp(clock.now, UTC), rules(timedelta(hours=1), None)).reasons


async def test_there_is_nothing_before_a_point_is_due(clock: Clock) -> None:
    async with client(2, 1, clock) as server:
        assert (await server.get("/")).status_code == 404
        clock.now += 0.49
        assert (await server.get("/")).status_code == 404
        clock.now += 0.01
        assert (await server.get("/")).status_code == 200
        assert (await server.get("/")).status_code == 404


async def test_points_come_in_at_the_rate_and_each_is_served_once(clock: Clock) -> None:
    async with client(5, 1, clock) as server:
        for _ in range(4):
            clock.now += 10
            assert len([body async for body in drain(server)]) == 50


async def test_the_same_seed_and_clock_serve_the_same_points_and_another_seed_others(clock: Clock) -> None:
    first, again, other = [await taken(5, seed, Clock(), seconds=60) for seed in (7, 7, 8)]
    assert first == again
    assert first != other


async def test_without_a_seed_no_two_simulators_are_alike() -> None:
    assert await taken(5, None, Clock(), seconds=60) != await taken(5, None, Clock(), seconds=60)


async def test_points_that_nobody_takes_are_bounded_and_the_newest_are_kept(clock: Clock) -> None:
    bodies = await taken(5, 1, clock, seconds=1_000_000)
    assert len(bodies) == BACKLOG
    times = [reading.time for body in bodies if (reading := parse(body)).time and not verdict(reading, clock)]
    assert times
    assert min(times) >= datetime.fromtimestamp(clock.now - BACKLOG / 5 - 1, UTC)


async def test_a_clock_that_is_set_back_serves_nothing_twice(clock: Clock) -> None:
    async with client(5, 1, clock) as server:
        clock.now += 10
        assert len([body async for body in drain(server)]) == 50
        clock.now -= 5
        assert [body async for body in drain(server)] == []


async def test_only_get_takes_a_point(clock: Clock) -> None:
    async with client(1, 1, clock) as server:
        clock.now += 1
        await server.head("/")
        assert (await server.post("/")).status_code == 405
        assert (await server.get("/elsewhere")).status_code == 404
        assert (await server.get("/")).status_code == 200


async def test_values_are_a_smooth_curve_and_times_the_seconds_they_came_in(clock: Clock) -> None:
    readings = [parse(body) for body in await taken(5, 3, clock, seconds=600)]
    good = [reading for reading in readings if not verdict(reading, clock)]
    values = [reading.value for reading in good if reading.value is not None]
    times = [reading.time.timestamp() for reading in good if reading.time is not None]
    assert times == sorted(times)
    assert START - 1 < times[0] < times[-1] <= clock.now
    assert all(abs(after - before) < 0.5 for before, after in pairwise(values))
    assert -1.5 < min(values) < -0.9
    assert 0.9 < max(values) < 1.5


async def test_every_reason_and_combinations_of_them_come_up_in_their_share(clock: Clock) -> None:
    bodies = await taken(5, 3, clock, seconds=1500)
    counts = Counter(verdict(parse(body), clock) for body in bodies)
    assert 0.6 < counts[()] / len(bodies) < 0.9
    for reason in (Reason.MALFORMED, Reason.TOO_OLD, Reason.SYSTEM, Reason.SUSPECT):
        assert 0.03 < sum(n for reasons, n in counts.items() if reason in reasons) / len(bodies) < 0.15
    assert {(Reason.TOO_OLD, Reason.SYSTEM), (Reason.SYSTEM, Reason.SUSPECT), (Reason.MALFORMED, Reason.SYSTEM)} <= {
        *counts
    }


async def test_the_share_of_what_is_discarded_can_be_chosen(clock: Clock) -> None:
    async def discarded(faulty: float) -> float:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_simulator(5, 3, clock, faulty=faulty)), base_url="http://data-server"
        ) as server:
            clock.now += 1000
            verdicts = [verdict(parse(body), clock) for body in [body async for body in drain(server)]]
        return sum(1 for reasons in verdicts if reasons) / len(verdicts)

    assert await discarded(0) == 0
    assert 0.03 < await discarded(0.05) < 0.08


async def test_malformed_payloads_are_of_many_kinds(clock: Clock) -> None:
    bodies = await taken(5, 3, clock, seconds=2000)
    faults = {fault for body in bodies for fault in parse(body).faults}
    for words in ("not UTF-8", "not JSON", "nested", "longer than", "an object, but is", "missing", "more than once"):
        assert any(words in fault for fault in faults), words
    for words in ("is a boolean", "is text", "years 1 to 9999", "has 3", "lies outside", "NaN", "tags[1]"):
        assert any(words in fault for fault in faults), words


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be a positive number"):
        create_simulator(rate, 1)
