"""Cursors come back as they went, and nothing else comes back at all."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.api.feed.cursors import Cursors
from datacosmos.domain.changes import Accepted, Discarded, Place, Topic
from datacosmos.domain.points import Reason
from datacosmos.errors import InvalidCursor
from tests.asking import NOON

OURS = Cursors("a secret of this test, long enough")
TOKEN = "826B0C34F30000000F2B022C0100296E5A100489F09CB5BD664AD5ABD840BD53830BD9463C5F6964003C7030000004"
PLACE = Place(TOKEN)
SERIES = Accepted("datacosmos")
TIMES = st.datetimes(timezones=st.just(NOON.tzinfo)).map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
KEYS: st.SearchStrategy[tuple[datetime, str]] = st.tuples(TIMES, st.text(max_size=50))
TOPICS: list[Topic] = [
    Accepted("secret"),
    Accepted("datacosmos|"),
    Accepted(""),
    Discarded(),
    Discarded(Reason.SYSTEM),
    Discarded(source="datacosmos"),
]


@given(st.text("0123456789ABCDEF", max_size=50), st.none() | KEYS)
def test_a_place_comes_back(mark: str, key: tuple[datetime, str] | None) -> None:
    place = Place(mark, key)
    assert OURS.read(SERIES, OURS.write(SERIES, place)) == place


def test_a_cursor_is_of_one_topic() -> None:
    for topic in TOPICS:
        cursor = OURS.write(topic, PLACE)
        for other in [SERIES, *TOPICS]:
            if other != topic:
                with pytest.raises(InvalidCursor):
                    OURS.read(other, cursor)


def test_all_processes_that_share_a_secret_write_the_same_and_others_read_nothing() -> None:
    cursor = OURS.write(SERIES, PLACE)
    assert Cursors("a secret of this test, long enough").write(SERIES, PLACE) == cursor
    with pytest.raises(InvalidCursor):
        Cursors("another secret").read(SERIES, cursor)


def test_each_damage_is_found() -> None:
    sealed = urlsafe_b64decode(OURS.write(SERIES, PLACE))
    for index in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[index] ^= 1
        with pytest.raises(InvalidCursor):
            OURS.read(SERIES, urlsafe_b64encode(damaged).decode())
    for length in range(len(sealed)):
        with pytest.raises(InvalidCursor):
            OURS.read(SERIES, urlsafe_b64encode(sealed[:length]).decode())


@pytest.mark.parametrize("cursor", ["x", "é", "====", "A" * 100_000, " ", "\0"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        OURS.read(SERIES, cursor)


def test_a_cursor_shows_neither_what_it_holds_nor_how_long_ids_are() -> None:
    cursors = [OURS.write(SERIES, Place(TOKEN, (NOON, "i" * length))) for length in range(20, 60)]
    assert len({len(cursor) for cursor in cursors}) <= 2
    assert not any(TOKEN.encode() in urlsafe_b64decode(cursor) for cursor in cursors)
