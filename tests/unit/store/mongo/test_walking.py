"""Columns taken from documents' bytes hold what BSON's own decoder finds in them."""

from datetime import datetime, timedelta
from typing import Any

import bson
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain.columns import Table
from datacosmos.store.mongo.walking import walk

TIMES = st.integers(0, 10**9).map(lambda seconds: datetime(2024, 1, 1) + timedelta(seconds=seconds))  # noqa: DTZ001
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "_id": st.text(min_size=1, max_size=12),
    "time": TIMES,
    "value": st.floats(allow_nan=False),
    "tags": st.lists(st.text(max_size=3), max_size=3),
    "received_at": TIMES,
    "raw": st.binary(max_size=9),
    "count": st.integers(-(2**31), 2**31 - 1),
    "large": st.integers(2**31, 2**63 - 1),
}
DOCUMENTS = st.fixed_dictionaries({}, optional={name: st.none() | kind for name, kind in KINDS.items()})
WHOLE = st.fixed_dictionaries(KINDS)


def array_of(documents: list[dict[str, Any]]) -> memoryview:
    ordered = [{name: each[name] for name in KINDS if name in each} for each in documents]
    return memoryview(bson.encode({str(number): each for number, each in enumerate(ordered)}))


def lists_of(table: Table | None) -> dict[str, list[Any]]:
    assert table is not None
    columns = {name: each.tolist() if isinstance(each, np.ndarray) else each for name, each in table.columns.items()}
    return columns | {"tags": [None if each is None else list(each) for each in columns["tags"]]}


@given(st.lists(DOCUMENTS, min_size=1, max_size=120) | st.lists(WHOLE, min_size=1, max_size=120))
def test_columns_hold_what_documents_do(documents: list[dict[str, Any]]) -> None:
    expected = {name: [each.get(name) for each in documents] for name in KINDS}
    assert lists_of(walk(array_of(documents), KINDS)) == expected


def test_a_thousand_alike_are_found_where_their_numbers_grow_longer() -> None:
    documents = [{"time": datetime(2024, 1, 1), "value": n / 3} for n in range(1200)]  # noqa: DTZ001
    table = walk(array_of(documents), ["time", "value"])
    assert table is not None
    assert (len(table), np.asarray(table.columns["value"]).tolist()) == (1200, [n / 3 for n in range(1200)])


def test_a_part_of_a_table_is_what_a_part_of_its_columns_is() -> None:
    table = walk(array_of([{"time": datetime(2024, 1, 1), "raw": b"%d" % n} for n in range(9)]), ["time", "raw"])  # noqa: DTZ001
    assert table is not None
    assert (len(table[2:5]), table[::-1][:2].columns["raw"]) == (3, [b"8", b"7"])


@pytest.mark.parametrize(
    "documents",
    [
        [{"value": 1.5}, {"value": 2}],
        [{"value": 1.5}, {"value": True}],
        [{"value": {"a": 1}}],
        [{"value": 1.5, "raw": b"more than was asked for"}],
        [{"time": None, "value": 1.5}],
        [],
    ],
)
def test_what_is_mixed_unknown_or_more_than_was_asked_for_is_not_walked_over(documents: list[dict[str, Any]]) -> None:
    assert walk(array_of(documents), ["value"]) is None
