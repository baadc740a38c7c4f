import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timezone

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from datacosmos.domain.points import Point, Reason, Status
from datacosmos.store.mongo.connection import Database
from datacosmos.store.points.points import Points
from tests.pages import whole
from tests.some_points import (
    EVERYTHING,
    IDS,
    MICROSECOND,
    NOON,
    SECOND,
    SERIES,
    accepted,
    discards,
    everything,
    ids,
    named,
    point,
)

# What is kept


async def test_a_point_comes_back_as_it_was_stored(points: Points) -> None:
    good = point(tags=("a", "", "\x00", "\U0001f600"), value=-0.952314019203186, raw=b'{"x": 1}', identity="s/1")
    bad = point(None, Reason.MALFORMED, Reason.SYSTEM, value=None, tags=("system",), raw=b"\xff\x00")
    written = await points.add([good, bad])
    assert (ids(written.stored), written.redelivered, written.refused) == ([good.id, bad.id], [], {})
    without_raw = replace(good, reading=replace(good.reading, raw=b""))
    assert await whole(points.accepted(SERIES, EVERYTHING, limit=10)) == [without_raw]
    assert await whole(points.discards(None, EVERYTHING, limit=10)) == [bad]


@given(st.lists(st.binary(max_size=100), max_size=5))
@examples(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_raw_bytes_survive_whatever_they_are(points: Points, raws: list[bytes]) -> None:
    batch = [point(None, Reason.MALFORMED, raw=raw) for raw in [*raws, bytes(range(256)) * 256]]
    await points.add(batch)
    stored = {kept.id: kept.reading.raw for kept in await whole(points.discards(None, EVERYTHING, limit=10_000))}
    assert [stored[each.id] for each in batch] == [each.reading.raw for each in batch]


async def test_the_ends_of_the_calendar_and_of_floats_survive(points: Points) -> None:
    times = [datetime.min.replace(tzinfo=UTC), NOON, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    values = [-0.0, math.ldexp(1, -149), 3.4028234663852886e38]
    await points.add([point(time, value=value) for time, value in zip(times, values, strict=True)])
    stored = await whole(points.accepted(SERIES, EVERYTHING, limit=10))
    assert [kept.reading.time for kept in stored] == times
    assert [str(kept.reading.value) for kept in stored] == [str(value) for value in values]


async def test_several_points_may_share_a_time_and_a_value(points: Points) -> None:
    await points.add(batch := [point() for _ in range(3)])
    assert await accepted(points) == ids(batch)


async def test_an_empty_batch_is_no_fault(points: Points) -> None:
    assert (await points.add([])).stored == []


# Redelivery and identity


async def test_a_redelivery_changes_nothing(points: Points, database: Database) -> None:
    batch = [named("a"), named("a"), point(), point(None, Reason.MALFORMED, Reason.SUSPECT)]
    await points.add(batch)
    before = await everything(database)
    for again in (batch, batch[::-1], batch[1:2]):
        written = await points.add(again)
        assert (written.stored, sorted(written.redelivered)) == ([], sorted(ids(again)))
    assert await everything(database) == before


async def test_a_batch_of_which_half_was_stored_is_completed(points: Points, database: Database) -> None:
    batch = [point() for _ in range(6)]
    await points.add(batch[::2])
    written = await points.add(batch)
    assert (ids(written.stored), written.redelivered) == (ids(batch[1::2]), ids(batch[::2]))
    assert list(await everything(database)) == ids(batch[::2]) + ids(batch[1::2])


async def test_a_redelivery_says_nothing_new_even_when_its_content_differs(points: Points) -> None:
    await points.add([first := point(value=1.0)])
    await points.add([replace(first, reading=replace(first.reading, value=2.0))])
    (stored,) = await whole(points.accepted(SERIES, EVERYTHING, limit=10))
    assert stored.reading.value == 1.0


@pytest.mark.parametrize("cut", [1, 4])
async def test_of_equal_identities_the_first_wins_and_the_others_refer_to_it(
    points: Points, database: Database, cut: int
) -> None:
    """Within a batch, and across batches."""
    batch = [named("a", value=float(number)) for number in range(4)]
    written = [each for part in (batch[:cut], batch[cut:]) for each in (await points.add(part)).stored]
    winner, *losers = batch
    assert await accepted(points) == [winner.id]
    assert await discards(points, Reason.DUPLICATE) == ids(losers)
    stored = await everything(database)
    assert {stored[loser.id]["duplicate_of"] for loser in losers} == {winner.id}
    assert {each.id: each.verdict.reasons for each in written} == {
        winner.id: (),
        **{loser.id: (Reason.DUPLICATE,) for loser in losers},
    }


async def test_of_equal_identities_that_are_stored_at_once_exactly_one_wins(points: Points, database: Database) -> None:
    batches = [[named(f"sensor/{number}") for number in range(20)] for _ in range(8)]
    for batch in batches:
        random.Random(1).shuffle(batch)
    await asyncio.gather(*(points.add(batch) for batch in batches))
    stored = await everything(database)
    winners = {each["identity"]: key for key, each in stored.items() if each["status"] == Status.ACCEPTED}
    assert len(stored) == 160
    assert len(winners) == 20
    for document in stored.values():
        if document["status"] == Status.DISCARDED:
            assert document["duplicate_of"] == winners[document["identity"]]
            assert document["reason"] == Reason.DUPLICATE


async def test_batches_that_come_twice_at_once_are_stored_once(points: Points, database: Database) -> None:
    batch = [named(f"sensor/{number}") for number in range(20)]
    written = await asyncio.gather(*(points.add(batch) for _ in range(4)))
    assert sorted(stored.id for each in written for stored in each.stored) == ids(batch)
    assert all(sorted(ids(each.stored) + each.redelivered) == ids(batch) for each in written)
    assert sorted(await everything(database)) == await accepted(points) == ids(batch)


async def test_an_identity_is_one_series_at_one_time(points: Points) -> None:
    """Times that fall into one millisecond are one; the identity itself tells finer ones apart."""
    several = [named("a"), named("a", series="other"), named("a", time=NOON + SECOND), named("b", time=NOON)]
    await points.add(several)
    again = [named("a", time=NOON + SECOND + MICROSECOND), named("a", time=NOON + 999 * MICROSECOND)]
    written = await points.add(again)
    assert len(await whole(points.accepted(SERIES, EVERYTHING, limit=10))) == 3
    assert await discards(points) == ids(again) == ids(written.stored)


async def test_duplicates_at_several_times_each_refer_to_the_winner_of_their_own(
    points: Points, database: Database
) -> None:
    winners = [named("a", time=NOON + n * SECOND + MICROSECOND) for n in range(4)]
    losers = [named("a", time=NOON + n * SECOND + 2 * MICROSECOND) for n in range(4)]
    await points.add(winners)
    await points.add(losers)
    stored = await everything(database)
    assert [stored[loser.id]["duplicate_of"] for loser in losers] == ids(winners)


async def test_a_discarded_first_attempt_blocks_nobody(points: Points) -> None:
    for reason in (Reason.MALFORMED, Reason.SUSPECT):
        await points.add([point(NOON, reason, identity="a")])
    await points.add([good := named("a")])
    assert await accepted(points) == [good.id]


async def test_a_discard_is_no_duplicate(points: Points) -> None:
    await points.add([named("a"), late := point(NOON, Reason.TOO_OLD, identity="a")])
    (stored,) = await whole(points.discards(None, EVERYTHING, limit=10))
    assert stored == late


# What can't be written


SMUGGLED: dict[str, Callable[[], Point]] = {
    "a lone surrogate in a tag": lambda: point(tags=("\ud800",)),
    "a lone surrogate in the series": lambda: named("a", series="\udfff"),
    "a lone surrogate in the identity": lambda: named("\ud800"),
    "an integer beyond 64 bits": lambda: point(value=2**64),
    "a time before the calendar": lambda: named("a", time=datetime.min.replace(tzinfo=timezone(SECOND))),
    "what MongoDB has no type for": lambda: point(value=1j),
    "more than a document may hold": lambda: point(raw=bytes(17 * 1024 * 1024)),
}


@pytest.mark.parametrize("smuggled", SMUGGLED)
@pytest.mark.parametrize("place", [0, 4, 8])
async def test_what_can_not_be_written_is_refused_alone(points: Points, smuggled: str, place: int) -> None:
    good = [named(f"sensor/{number}") for number in range(8)]
    bad = SMUGGLED[smuggled]()
    written = await points.add([*good[:place], bad, *good[place:]])
    assert ids(written.stored) == await accepted(points) == ids(good)
    assert list(written.refused) == [bad.id]
    assert 0 < len(written.refused[bad.id]) < 500


@pytest.mark.parametrize("smuggled", SMUGGLED)
async def test_what_can_not_be_written_is_refused_twice_as_well(points: Points, smuggled: str) -> None:
    bad = SMUGGLED[smuggled]()
    again = replace(bad, id=next(IDS))
    written = await points.add([bad, good := named("a"), again, twin := named("a")])
    assert ids(written.stored) == ids([good, twin])
    assert sorted(written.refused) == ids([bad, again])


async def test_several_that_can_not_be_written_are_refused_each(points: Points) -> None:
    bad = [SMUGGLED["a lone surrogate in a tag"](), SMUGGLED["an integer beyond 64 bits"]()]
    good = [point(), named("a"), named("a")]
    written = await points.add([good[0], bad[0], good[1], bad[1], good[2]])
    assert sorted(ids(written.stored)) == sorted(ids(good))
    assert list(written.refused) == ids(bad)
