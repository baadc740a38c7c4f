import asyncio
import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datacosmos.domain.minutes import CAPACITY, Folded, Location, Minute
from datacosmos.errors import DatacosmosError, Overloaded, StoreUnavailable
from datacosmos.sources import locations
from datacosmos.store.minutes import folds
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.connection import Database, connect
from datacosmos.store.mongo.ranges import Window
from tests.pages import whole

STORED, DUPLICATE, FULL = Folded.STORED, Folded.DUPLICATE, Folded.FULL
ALWAYS = Window()
NOON = datetime(2017, 1, 1, 12, 0, tzinfo=UTC)
SMALL = 3
# Latitude, longitude, and hours behind UTC on that winter's day, when no clock was changed.
PLACES = {"west": (41.0, -87.5, 6), "east": (41.0, -86.0, 5), "sea": (30.0, -45.0, 3), "London": (51.5, -0.1, 0)}
OFFSETS = {"": None, "Z": 0, "+00:00": 0, "-05:00": 5}


# User, second or minute as sent, offset in hours where one was sent.
Key = tuple[str, int, int | None]


@dataclass(frozen=True)
class Sent:
    """A record as a phone may send it, and what the model makes of it: its key and its minute in UTC."""

    user: str
    second: int
    place: str
    offset: str
    lat: float
    speed: float
    form: str

    @property
    def key(self) -> Key:
        return self.user, self.second, OFFSETS[self.offset]

    @property
    def minute_as_sent(self) -> Key:
        return self.user, self.second // 60, OFFSETS[self.offset]

    @property
    def minute(self) -> datetime:
        hours = OFFSETS[self.offset]
        behind = PLACES[self.place][2] if hours is None else hours
        return NOON + timedelta(hours=behind, minutes=self.second // 60)

    def parsed(self, prefix: str) -> Location:
        sent = (NOON + timedelta(seconds=self.second)).strftime(self.form) + self.offset
        lat, long, _ = PLACES[self.place]
        fields = {"timestamp": sent, "lat": lat + self.lat, "long": long, "accuracy": self.lat, "speed": self.speed}
        return locations.parse(json.dumps(fields | {"user_id": prefix + self.user}).encode())


@dataclass
class Model:
    """What a store of minutes does, in plain Python."""

    capacity: int
    winners: dict[Key, datetime] = field(default_factory=dict[Key, datetime])
    held: Counter[Key] = field(default_factory=Counter[Key])
    minutes: dict[tuple[str, datetime], list[Location]] = field(default_factory=lambda: defaultdict(list))
    duplicates: Counter[tuple[str, datetime]] = field(default_factory=Counter[tuple[str, datetime]])

    def fold(self, sent: Sent, location: Location) -> Folded:
        if sent.key in self.winners:
            self.duplicates[sent.user, self.winners[sent.key]] += 1
            return DUPLICATE
        if self.held[sent.minute_as_sent] == self.capacity:
            return FULL
        self.winners[sent.key] = sent.minute
        self.held[sent.minute_as_sent] += 1
        self.minutes[sent.user, sent.minute].append(location)
        return STORED

    def read(self, user: str) -> list[Minute]:
        return [
            Minute(
                minute=minute,
                lat=exact_mean([location.lat for location in stored]),
                long=exact_mean([location.long for location in stored]),
                accuracy=exact_mean([location.accuracy for location in stored]),
                speed=exact_mean(speeds) if speeds else None,
                count=len(stored),
                duplicates=self.duplicates[user, minute],
            )
            for (owner, minute), stored in sorted(self.minutes.items())
            for speeds in ([location.speed for location in stored if location.speed is not None],)
            if owner == user
        ]


def exact_mean(numbers: Sequence[float]) -> float:
    return float(sum(Fraction(Decimal(repr(number))) for number in numbers) / len(numbers))


RECORDS = st.builds(
    Sent,
    user=st.sampled_from("ab"),
    second=st.sampled_from([0, 1, 2, 30, 59, 60, 61, 3600, 18000, 18001]),
    place=st.sampled_from(list(PLACES)),
    offset=st.sampled_from(list(OFFSETS)),
    lat=st.integers(0, 1000).map(lambda number: number / 10**7),
    speed=st.just(-1.0) | st.integers(0, 10**8).map(lambda number: number / 10**7),
    form=st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.000"]),
)
WAVES = st.lists(st.lists(RECORDS, min_size=1, max_size=12), min_size=1, max_size=8)


def at(moment: datetime, user: str = "a1", *, sent: datetime | None = None, lat: float = 40.701) -> Location:
    return Location(
        user_id=user, sent=sent or moment, time=moment, lat=lat, long=-73.916, accuracy=11.3000021, speed=1.3999992
    )


@pytest.fixture
async def minutes(database: Database) -> Minutes:
    store = Minutes(database)
    await store.prepare()
    return store


@given(waves=WAVES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_plain_model_gives_the_same_outcomes_and_the_exact_averages(
    database: Database, waves: list[list[Sent]]
) -> None:
    """Each wave arrives at once, at two services. Who of equals won in it is the store's to say; all else follows."""
    stores = [Minutes(database, capacity=SMALL) for _ in range(2)]
    model, prefix = Model(SMALL), uuid.uuid4().hex
    for wave in waves:
        parsed = [sent.parsed(prefix) for sent in wave]
        outcomes = await asyncio.gather(*(stores[n % 2].fold(location) for n, location in enumerate(parsed)))
        # FULL is left for the last: a minute that turns one away holds all that it may by then.
        order = sorted(
            zip(outcomes, wave, parsed, strict=True), key=lambda told: [STORED, DUPLICATE, FULL].index(told[0])
        )
        assert [model.fold(sent, location) for _, sent, location in order] == [outcome for outcome, _, _ in order]
    for user in "ab":
        assert await whole(stores[0].read(prefix + user, ALWAYS, limit=100)) == model.read(user)


@pytest.mark.parametrize("services", [1, 3])
async def test_none_of_ten_at_once_is_lost_in_any_of_two_hundred_fresh_minutes(
    database: Database, minutes: Minutes, services: int
) -> None:
    stores = [Minutes(database) for _ in range(services)]
    sent = [at(NOON + timedelta(minutes=n, seconds=second)) for n in range(200) for second in range(10)]
    random.Random(1).shuffle(sent)
    sent.sort(key=lambda location: location.minute)
    outcomes = await asyncio.gather(*(stores[n % services].fold(location) for n, location in enumerate(sent)))
    assert set(outcomes) == {STORED}
    assert [minute.count for minute in await whole(minutes.read("a1", ALWAYS, limit=1000))] == [10] * 200


async def test_of_many_equals_at_once_one_wins(database: Database, minutes: Minutes) -> None:
    stores = [minutes, Minutes(database)]
    outcomes = await asyncio.gather(*(stores[lat % 2].fold(at(NOON, lat=float(lat))) for lat in range(30)))
    assert Counter(outcomes) == {STORED: 1, DUPLICATE: 29}
    (minute,) = await whole(minutes.read("a1", ALWAYS, limit=10))
    assert (minute.lat, minute.count, minute.duplicates) == (outcomes.index(STORED), 1, 29)


async def test_of_two_services_that_fold_equals_into_a_minute_that_is_there_one_wins(
    database: Database, minutes: Minutes
) -> None:
    stores = [minutes, Minutes(database)]
    await minutes.fold(at(NOON))
    for second in range(1, 50):
        location = at(NOON + timedelta(seconds=second))
        outcomes = await asyncio.gather(*(store.fold(location) for store in stores))
        assert sorted(outcomes) == [DUPLICATE, STORED]
    (minute,) = await whole(minutes.read("a1", ALWAYS, limit=10))
    assert (minute.count, minute.duplicates) == (50, 49)


async def test_a_minute_holds_six_thousand_and_then_tells_duplicates_all_the_same(minutes: Minutes) -> None:
    sent = [at(NOON + timedelta(milliseconds=9 * n), lat=n / 100) for n in range(CAPACITY + 20)]
    outcomes = [
        outcome
        for first in range(0, len(sent), 20)
        for outcome in await asyncio.gather(*map(minutes.fold, sent[first : first + 20]))
    ]
    assert CAPACITY == 6_000
    assert Counter(outcomes) == {STORED: CAPACITY, FULL: 20}
    again = [await minutes.fold(sent[n]) for n in (0, outcomes.index(FULL))]
    assert again == [DUPLICATE, FULL]
    held = [location.lat for location, outcome in zip(sent, outcomes, strict=True) if outcome is STORED]
    (minute,) = await whole(minutes.read("a1", ALWAYS, limit=10))
    assert (minute.count, minute.duplicates, minute.lat) == (CAPACITY, 1, exact_mean(held))
    assert await minutes.fold(at(NOON + timedelta(minutes=1))) == STORED


async def test_a_duplicate_across_a_zone_border_counts_in_the_winners_minute(minutes: Minutes) -> None:
    local = datetime.fromisoformat("2017-01-01T07:00:05")
    west, east = at(NOON + timedelta(hours=1), sent=local), at(NOON, sent=local)
    later = at(NOON + timedelta(seconds=1), sent=local + timedelta(seconds=1))
    assert [await minutes.fold(location) for location in (west, later, east, east)] == [
        STORED,
        STORED,
        DUPLICATE,
        DUPLICATE,
    ]
    found = await whole(minutes.read("a1", ALWAYS, limit=10))
    assert [(minute.minute.hour, minute.count, minute.duplicates) for minute in found] == [(12, 1, 0), (13, 1, 2)]
    assert await whole(minutes.read("a1", Window(end=NOON), limit=10)) == found[:1]


async def test_what_was_sent_in_several_ways_adds_up_in_one_minute(minutes: Minutes) -> None:
    spellings = ["2017-01-01T07:00:00", "2017-01-01T12:00:00+00:00", "2017-01-01T21:00:00+09:00"]
    for n, sent in enumerate(map(datetime.fromisoformat, spellings)):
        assert await minutes.fold(at(NOON, sent=sent, lat=float(n))) == STORED
    (minute,) = await whole(minutes.read("a1", ALWAYS, limit=10))
    assert (minute.lat, minute.count) == (1, 3)


async def test_many_minutes_that_are_all_on_both_sides_of_greenwich_are_averaged(minutes: Minutes) -> None:
    moments = [(NOON + timedelta(minutes=minute, seconds=second), second) for minute in range(120) for second in (0, 1)]
    await asyncio.gather(*(minutes.fold(replace(at(moment), long=0.5 - second)) for moment, second in moments))
    tables = [table async for table in minutes.find("a1", ALWAYS, {"minute", "long"}, limit=1000)]
    assert [long for table in tables for long in table.column("long")] == [0.0] * 120


async def test_a_late_location_joins_its_minute_also_after_a_restart(database: Database, minutes: Minutes) -> None:
    for n in (0, 5):
        await minutes.fold(at(NOON + timedelta(minutes=n)))
    restarted = Minutes(database)
    assert await restarted.fold(at(NOON)) == DUPLICATE
    assert await restarted.fold(at(NOON + timedelta(seconds=59, microseconds=999_999))) == STORED
    found = await whole(restarted.read("a1", ALWAYS, limit=10))
    assert [(minute.count, minute.duplicates) for minute in found] == [(2, 1), (1, 0)]


async def test_a_range_holds_the_minutes_that_begin_within_both_ends(minutes: Minutes) -> None:
    for n in range(5):
        await minutes.fold(at(NOON + timedelta(minutes=n, seconds=30)))
        await minutes.fold(at(NOON + timedelta(minutes=n), "a2"))

    async def found(start: datetime | None, end: datetime | None, limit: int = 100) -> list[int]:
        return [minute.minute.minute for minute in await whole(minutes.read("a1", Window(start, end), limit=limit))]

    first, last = NOON + timedelta(minutes=1), NOON + timedelta(minutes=3)
    assert await found(first, last) == [1, 2, 3]
    assert await found(first + timedelta(milliseconds=1), last - timedelta(microseconds=1)) == [2]
    assert await found(first + timedelta(microseconds=1), last) == [1, 2, 3]
    assert await found(first, None) == [1, 2, 3, 4]
    assert await found(None, last) == [0, 1, 2, 3]
    assert await found(None, None, limit=2) == [0, 1]
    assert await found(last + timedelta(hours=1), None) == []
    assert await whole(minutes.read("nobody", ALWAYS, limit=10)) == []


async def test_users_whose_names_look_like_expressions_are_kept_apart(minutes: Minutes) -> None:
    for user in ("$minutes", "a.b", "a\x00b", "a|2017-01-01T12:00", "é" * 256):
        assert await minutes.fold(at(NOON, user)) == STORED
        (minute,) = await whole(minutes.read(user, ALWAYS, limit=10))
        assert minute.count == 1


async def test_no_record_is_kept(database: Database, minutes: Minutes) -> None:
    for second in range(3):
        await minutes.fold(at(NOON + timedelta(seconds=second), lat=second + 0.123))
    (document,) = await database["minutes"].find().to_list(length=10)
    assert "1.123" not in str(document)


async def test_a_read_looks_at_no_other_document(database: Database, minutes: Minutes) -> None:
    for n in range(20):
        await minutes.fold(at(NOON + timedelta(minutes=n % 10), f"a{n // 10}"))
    await database.command("profile", 2)
    await whole(minutes.read("a1", Window(NOON, NOON), limit=10))
    await database.command("profile", 0)
    (seen,) = await database["system.profile"].find({"command.aggregate": "minutes"}).to_list(length=10)
    assert seen["docsExamined"] == 1
    assert seen["keysExamined"] <= 2


async def test_while_the_store_is_unavailable_it_says_so_without_a_word_of_the_location() -> None:
    async with connect("mongodb://127.0.0.1:1/", "nowhere", timedelta(milliseconds=50)) as database:
        unavailable = Minutes(database)
        with pytest.raises(StoreUnavailable) as folding:
            await unavailable.fold(at(NOON, "secret"))
        with pytest.raises(StoreUnavailable) as reading:
            await whole(unavailable.read("secret", ALWAYS, limit=1))
    for caught in (folding, reading):
        assert "secret" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"


async def test_a_refusal_that_was_not_foreseen_tells_nothing_of_the_location(database: Database) -> None:
    await database["minutes"].create_index({"minutes.lat": 1}, unique=False)
    await database.command("collMod", "minutes", validator={"minutes.count": {"$lt": 1}})
    with pytest.raises(DatacosmosError) as caught:
        await Minutes(database).fold(at(NOON, "secret"))
    assert str(caught.value) == "MongoDB refused to fold a location: code 121"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_a_location_joins_a_minute_that_an_earlier_version_began(minutes: Minutes, database: Database) -> None:
    """One that told no east from west."""
    first = Sent("old", 0, "east", "Z", 0, 0, "%Y-%m-%dT%H:%M:%S").parsed("")
    await minutes.fold(first)
    await database["minutes"].update_many({}, {"$unset": {"minutes.0.west": 1, "minutes.0.west_long": 1}})
    await minutes.fold(replace(first, sent=first.sent + timedelta(seconds=1), long=-87.0))
    [minute] = await whole(minutes.read("old", ALWAYS, limit=10))
    assert (minute.count, minute.long) == (2, -86.5)


async def test_locations_beyond_what_may_be_in_hand_are_refused_and_later_ones_are_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "MOST_IN_HAND", 10)
    minutes = Minutes(database)
    asked = [minutes.fold(at(NOON + timedelta(seconds=n))) for n in range(20)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes[:10] == [STORED] * 10
    assert {type(outcome) for outcome in outcomes[10:]} == {Overloaded}
    assert await minutes.fold(at(NOON + timedelta(seconds=30))) == STORED
