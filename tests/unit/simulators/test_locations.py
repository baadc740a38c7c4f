import json
from collections import Counter
from datetime import datetime
from itertools import islice

from datacosmos.errors import InvalidLocation
from datacosmos.simulators.locations import FIELDS, generate
from datacosmos.simulators.replay import to_record
from datacosmos.sources.locations import parse


def test_the_same_seed_gives_the_same_rows_and_another_one_others() -> None:
    assert list(generate(100, 1)) == list(generate(100, 1)) != list(generate(100, 2))
    assert len(list(islice(generate(100, None), 101))) == 100


def test_half_are_duplicates_and_one_in_fifty_is_malformed() -> None:
    stored: set[tuple[str, datetime]] = set()
    seen: Counter[str] = Counter()
    for row in generate(10_000, 1):
        assert list(row) == list(FIELDS)
        try:
            location = parse(json.dumps(to_record(row)).encode())
        except InvalidLocation:
            seen["malformed"] += 1
            continue
        key = location.user_id, location.sent
        seen["duplicate"] += key in stored
        stored.add(key)
    assert 4500 < seen["duplicate"] < 5300
    assert 100 < seen["malformed"] < 300
