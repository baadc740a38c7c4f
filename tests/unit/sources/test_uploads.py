import json
import math
import random
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain.instants import parse_time
from datacosmos.domain.series import EARLIEST, LATEST, MAX_NAMES, Samples, from_datetime
from datacosmos.errors import InvalidUpload, TooManyNames
from datacosmos.sources.json.lists import MAX_FAULTS, MAX_ITEMS
from datacosmos.sources.pushed_points import MAX_NAME
from datacosmos.sources.uploads import parse_named, parse_points, parse_series

PARSERS = (parse_series, parse_points, parse_named)
NOT_NUMBERS = [
    "true",
    "false",
    '"1"',
    "null",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "01",
    "+1",
    ".5",
    "[]",
    "{}",
]
NOT_TIMES = [
    "true",
    "null",
    "[]",
    '"1711644934"',
    '"soon"',
    '"2024-03-28"',
    '"2024-03-28T16:55:34"',
    '"2024-02-30T00:00Z"',
    "1e300",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "t", "v", "points", "values", "start", "interval", "unit", "x"]), inner
        )
    ),
)
VALUES = st.floats(allow_nan=False, allow_infinity=False)
MICROSECONDS = st.integers(-(2**52), 2**52)


def pairs(samples: Samples) -> list[tuple[int, float]]:
    return list(zip(samples.t.tolist(), samples.v.tolist(), strict=True))


def faults(parse: Any, body: bytes | str) -> list[tuple[int | None, str]]:
    with pytest.raises(InvalidUpload) as caught:
        parse(body.encode() if isinstance(body, str) else body)
    return list(caught.value.faults)


def refusal(parse: Any, body: bytes) -> list[tuple[int | None, str]]:
    """The faults, none where it is taken."""
    try:
        parse(body)
    except InvalidUpload as error:
        return list(error.faults)
    return []


def indexes(parse: Any, body: bytes | str) -> list[int | None]:
    return [index for index, _ in faults(parse, body)]


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


# What is taken


def test_points_come_in_any_order_and_leave_in_order() -> None:
    new = parse_series(body(name="mast", unit="m/s", points=[{"t": 2, "v": 20}, {"t": 1.5, "v": -0.5}]))
    assert (new.name, new.unit, pairs(new.samples)) == ("mast", "m/s", [(1_500_000, -0.5), (2_000_000, 20.0)])


def test_evenly_sampled_values_take_their_times_from_start_and_interval() -> None:
    new = parse_series(body(start="2024-03-28T16:55:34Z", interval=0.1, values=[1, 2.5, 3]))
    start = 1_711_644_934_000_000
    assert (new.name, new.unit) == (None, None)
    assert pairs(new.samples) == [(start, 1.0), (start + 100_000, 2.5), (start + 200_000, 3.0)]


@pytest.mark.parametrize("interval", ["0.000007", "1e-6", "0.1", "3", "86400", "0.000123"])
def test_an_interval_means_what_is_written(interval: str) -> None:
    samples = parse_series(f'{{"start": 0, "interval": {interval}, "values": {[0] * 1001}}}'.encode()).samples
    assert samples.t.tolist() == [index * Fraction(interval) * 1_000_000 for index in range(1001)]


@given(st.lists(st.tuples(MICROSECONDS, VALUES)))
def test_times_keep_their_microseconds(points: list[tuple[int, float]]) -> None:
    assert pairs(parse_points(body(points=[{"t": t / 1e6, "v": v} for t, v in points]))) == points


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-03-28T16:55:34Z", 1711644934),
        ("2024-03-28T17:55:34.5+01:00", 1711644934.5),
        ("1969-12-31T23:59:59.999999Z", -0.000001),
        ("0001-01-01T00:00:00Z", EARLIEST / 1e6),
    ],
)
def test_a_time_may_be_iso_8601_with_an_offset_beside_plain_seconds(text: str, seconds: float) -> None:
    samples = parse_points(body(points=[{"t": text, "v": 1}, {"t": seconds, "v": 2}]))
    assert samples.t[0] == samples.t[1]


def test_the_bounds_of_time_are_those_of_a_datetime() -> None:
    samples = parse_points(
        body(points=[{"t": "9999-12-31T23:59:59.999999Z", "v": 1}, {"t": EARLIEST // 10**6, "v": 1}])
    )
    assert samples.t.tolist() == [LATEST, EARLIEST]
    for time in (LATEST // 10**6 + 1, EARLIEST // 10**6 - 1, "9999-12-31T23:59:59-01:00", 10**30, -1e300):
        assert indexes(parse_points, body(points=[{"t": 0, "v": 1}, {"t": time, "v": 1}])) == [1]


def test_named_points_are_sorted_by_name_and_keep_their_order() -> None:
    items = [("b", 2), ("a", 1), ("b", 1), ("a", 1), ("ä\U0001f600", 0)]
    named = parse_named(
        json.dumps([{"name": name, "t": t, "v": index} for index, (name, t) in enumerate(items)]).encode()
    )
    assert {name: pairs(samples) for name, samples in named.items()} == {
        "b": [(2_000_000, 0.0), (1_000_000, 2.0)],
        "a": [(1_000_000, 1.0), (1_000_000, 3.0)],
        "ä\U0001f600": [(0, 4.0)],
    }


def test_named_points_with_times_in_text_are_the_same_as_in_seconds() -> None:
    generator = random.Random(1)
    items: list[dict[str, Any]] = [
        {"name": generator.choice("abc"), "t": generator.randrange(10**9), "v": generator.random()} for _ in range(500)
    ]
    text = [item | {"t": datetime.fromtimestamp(item["t"], UTC).isoformat()} for item in items]
    fast, slow = parse_named(json.dumps(items).encode()), parse_named(json.dumps(text).encode())
    assert fast.keys() == slow.keys()
    assert all(pairs(fast[name]) == pairs(slow[name]) for name in fast)


def test_a_series_may_begin_empty_and_a_further_point_may_repeat_a_time() -> None:
    assert pairs(parse_series(b'{"points": []}').samples) == []
    assert pairs(parse_series(b'{"start": 0, "interval": 1, "values": []}').samples) == []
    assert pairs(parse_points(b'{"points": [{"t": 1, "v": 1}, {"t": 1, "v": 2}]}')) == [
        (1_000_000, 1.0),
        (1_000_000, 2.0),
    ]


@given(st.lists(VALUES, min_size=1))
def test_values_come_back_to_the_last_bit(values: list[float]) -> None:
    samples = parse_series(body(start=0, interval=1, values=values)).samples
    assert samples.v.tobytes() == np.array(values, np.float64).tobytes()


# What is refused


@pytest.mark.parametrize("number", NOT_NUMBERS)
def test_what_is_no_finite_number_is_no_value(number: str) -> None:
    for parse, whole in (
        (parse_named, f'[{{"name": "a", "t": 1, "v": 1}}, {{"name": "a", "t": 2, "v": {number}}}]'),
        (parse_points, f'{{"points": [{{"t": 1, "v": 1}}, {{"t": 2, "v": {number}}}]}}'),
        (parse_series, f'{{"start": 0, "interval": 1, "values": [1, {number}]}}'),
    ):
        # What is no JSON at all has no items to name.
        assert indexes(parse, whole) in ([1], [None])


@pytest.mark.parametrize("time", NOT_TIMES)
def test_what_is_no_time_is_refused_wherever_it_stands(time: str) -> None:
    assert indexes(parse_named, f'[{{"name": "a", "t": 1, "v": 1}}, {{"name": "a", "t": {time}, "v": 1}}]') == [1]
    assert indexes(parse_points, f'{{"points": [{{"t": 1, "v": 1}}, {{"t": {time}, "v": 1}}]}}') == [1]
    assert indexes(parse_series, f'{{"start": {time}, "interval": 1, "values": [1]}}') == [None]


@pytest.mark.parametrize("interval", ["0", "-1", "9e-7", "true", '"1"', "null", "1e999"])
def test_an_interval_is_a_microsecond_or_more(interval: str) -> None:
    assert indexes(parse_series, f'{{"start": 0, "interval": {interval}, "values": [1]}}') == [None]


def test_every_faulty_item_is_named_with_its_fault() -> None:
    items: list[Any] = [
        {"name": "a", "t": 1, "v": 1},
        {"name": "", "t": 1, "v": 1},
        {"name": "a", "t": "yesterday", "v": 1},
        {"name": "a", "t": 1},
        {"name": "a", "t": 1, "v": 1, "w": 1},
        {"name": 1, "t": 1, "v": 1},
        7,
        {"name": "a", "t": 1, "v": True},
    ]
    named = faults(parse_named, json.dumps(items))
    assert [index for index, _ in named] == [1, 2, 3, 4, 5, 6, 7]
    for (_, fault), word in zip(
        named, ["name", "'yesterday'", "`v`", "`w`", "name", "an object", "a boolean"], strict=True
    ):
        assert word in fault


def test_of_many_faults_the_first_are_named() -> None:
    bad = json.dumps([{"name": "a", "t": 1, "v": "x"}] * (MAX_FAULTS + 50))
    assert indexes(parse_named, bad) == list(range(MAX_FAULTS))
    nameless = json.dumps([{"name": "", "t": 1, "v": 1}] * (MAX_FAULTS + 50))
    assert indexes(parse_named, nameless) == list(range(MAX_FAULTS))
    again = body(points=[{"t": 1, "v": 1}] * (MAX_FAULTS + 50))
    assert indexes(parse_series, again) == list(range(1, MAX_FAULTS + 1))


def test_a_time_that_repeats_in_a_whole_series_is_named() -> None:
    assert indexes(parse_series, body(points=[{"t": t, "v": 1} for t in (3, 1, 3, 2, 1.0000001)])) == [2, 4]


@pytest.mark.parametrize("name", ["", "a" * (MAX_NAME + 1), "a\x00", "\n", "\x7f", "\x85"])
def test_a_name_is_short_visible_and_not_empty(name: str) -> None:
    assert indexes(parse_series, body(name=name, points=[])) == [None]
    assert indexes(parse_series, body(unit=name, points=[])) == [None]
    items = [{"name": "a", "t": 1, "v": 1}, {"name": name, "t": 1, "v": 1}]
    assert indexes(parse_named, json.dumps(items)) == [1]


def test_the_longest_name_is_taken() -> None:
    assert parse_series(body(name="ä" * MAX_NAME, points=[])).name == "ä" * MAX_NAME


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xff"', b'"\xed\xa0\x80"'])
def test_a_name_that_no_utf_8_can_hold_is_refused(text: bytes) -> None:
    assert indexes(parse_series, b'{"points": [], "name": ' + text + b"}") == [None]
    assert indexes(parse_named, b'[{"t": 1, "v": 1, "name": ' + text + b"}]") == [0]


@pytest.mark.parametrize(
    "whole",
    [
        "{}",
        '{"points": [], "values": []}',
        '{"points": [], "start": 0}',
        '{"start": 0, "interval": 1}',
        '{"interval": 1, "values": []}',
        '{"points": null}',
        '{"points": {}}',
        '{"points": [],}',
        '{"points": [], "x": 1}',
        '{"start": "9999-12-31T23:59:59Z", "interval": 1, "values": [1, 2]}',
    ],
)
def test_a_body_in_neither_form_or_both_is_refused(whole: str) -> None:
    assert indexes(parse_series, whole) == [None]
    assert indexes(parse_points, whole) == [None]


def test_further_points_have_neither_name_nor_unit() -> None:
    assert indexes(parse_points, '{"points": [], "name": "a"}') == [None]
    assert indexes(parse_points, '{"points": [], "unit": "m"}') == [None]


@pytest.mark.parametrize(
    "whole", ["", " ", "[]", "{}", "null", "1", '"a"', '[{"name": "a", "t": 1, "v": 1},]', "\ufeff[]"]
)
def test_a_list_of_named_points_is_json_with_one_point_or_more(whole: str) -> None:
    assert indexes(parse_named, whole) == [None]


@pytest.mark.parametrize("bomb", ["[" * 1_000_000, '{"a":' * 1_000_000, '{"points":' + "[" * 1_000_000])
def test_deep_nesting_is_refused_as_is_any_other_fault(bomb: str) -> None:
    for parse in PARSERS:
        assert indexes(parse, bomb) in ([None], [0])


def test_a_number_of_a_million_digits_is_refused_by_its_index() -> None:
    digits = "9" * 1_000_000
    assert indexes(parse_named, f'[{{"name": "a", "t": 1, "v": 1}}, {{"name": "a", "t": {digits}, "v": 1}}]') == [1]
    assert indexes(parse_series, f'{{"start": 0, "interval": 1, "values": [0, {digits}]}}') == [1]


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        ("", "the body is empty: send an object in JSON"),
        (" \n", "the body is empty"),
        ('{"points": [', "item 0: the body ends within it"),
        ('{"points": [{"t": 1, "v": 1}', "item 0: the body ends within it"),
        ('{"points": []', "the body ends before its JSON does"),
        ('{"points": []} x', "there is more"),
        ('{"start": "noon", "interval": 1, "values": [1]}', "start: 'noon' is no ISO 8601 time"),
        ('{"start": 1e300, "interval": 1, "values": [1]}', "start must lie in the years 1 to 9999"),
        ('{"start": 0, "interval": 1e300, "values": [1]}', "interval must be at least a microsecond and at most"),
        ('{"start": 0, "interval": 1e-7, "values": [1]}', "interval must be at least a microsecond and at most"),
        ('{"start": 0, "interval": 3e11, "values": [1, 2]}', "the last of the values would lie beyond the year 9999"),
        ('{"points": null}', "points: Expected a list, got null"),
        ('{"points": [{"t": 1, "v": 1},]}', "a comma too many after item 0"),
        ('{"points": [{"t": 1, "v": 1}}]}', "a } too many"),
        ('{"points": [{"t": "2024-03-28X16:55:34Z", "v": 1}]}', "item 0: t: '2024-03-28X16:55:34Z' is no ISO 8601"),
    ],
)
def test_a_fault_says_what_is_wrong_and_with_which_field(whole: str, said: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        parse_series(whole.encode())
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("parse", "whole", "index"),
    [
        (parse_series, '{"points": [], "points": []}', None),
        (parse_series, '{"points": [], "name": "a", "n\\u0061me": "b"}', None),
        (parse_series, '{"points": [{"t": 0, "v": 0}, {"t": 1, "v": 1, "t": 2}]}', 1),
        (parse_named, '[{"name": "a", "t": 1, "v": 1}, {"name": "a", "t": 1, "name": "b", "v": 1}]', 1),
        (
            parse_named,
            '[{"name": "a:\\":", "t": "1970-01-01T00:00:00Z", "v": 1, "\\u0074": "1970-01-01T00:00:00Z"}]',
            0,
        ),
    ],
)
def test_a_member_given_twice_is_refused(parse: Any, whole: str, index: int | None) -> None:
    assert [(where, "more than once" in fault) for where, fault in faults(parse, whole)] == [(index, True)]


@pytest.mark.parametrize("name", [":", "a: b", '":', '\\":', "\\", "},", "}, {", "],", "[1, 2]", '"t":', '{"t": 1}'])
def test_a_name_may_look_like_json(name: str) -> None:
    items = [{"name": name, "t": t, "v": 1} for t in range(20_000)]
    named = parse_named(json.dumps(items).encode())
    assert {found: len(samples) for found, samples in named.items()} == {name: 20_000}


@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n\t", " : ")])
def test_a_fault_far_into_a_long_list_has_its_index(separators: tuple[str, str]) -> None:
    items: list[Any] = [{"name": "a,]}", "t": t, "v": t / 3} for t in range(50_000)]
    whole = json.dumps(items, separators=separators).encode()
    assert parse_named(whole)["a,]}"].v.tolist() == [t / 3 for t in range(50_000)]
    for index in (0, 20_000, 49_999):
        assert indexes(parse_named, json.dumps([*items[:index], 7, *items[index:]], separators=separators)) == [index]
        cut = json.dumps(items[:index], separators=separators)[:-1]
        assert indexes(parse_named, f'{cut}{"," * bool(index)} {{"name": "a", "t": 1}}, , 2]') == [index, None]
    values = json.dumps([*range(100_000)], separators=separators)
    for index, bad in ((0, "x"), (99_999, "x")):
        numbers: list[Any] = [*range(100_000)]
        numbers[index] = bad
        whole = json.dumps({"start": 0, "interval": 1, "values": numbers}, separators=separators).encode()
        assert indexes(parse_series, whole) == [index]
    samples = parse_series(f'{{"start": 0, "interval": 1, "values": {values}}}'.encode()).samples
    assert samples.v.tolist() == [*range(100_000)]


@pytest.mark.parametrize(
    "whole",
    [
        b"[" + b"1," * 4_000_000 + b"1]",
        b"[" + b"[]," * 3_000_000 + b"1]",
        b'{"start": 0, "interval": 1, "values": [' + b"1," * 4_000_000 + b"1]}",
        b"[" + b'{"name": "a", "t": 1, "v": 1}, ' * 250_000 + b"1]",
    ],
    ids=["numbers", "lists", "values", "points"],
)
def test_reading_takes_no_more_memory_than_a_few_times_the_body(whole: bytes) -> None:
    parse = parse_named if whole.startswith(b"[") else parse_series
    tracemalloc.start()
    try:
        refusal(parse, whole)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 16 bytes are what a value that took two takes in the end.
    assert peak < len(whole) * (30 if parse is parse_series else 6)


def test_a_list_has_a_longest_length() -> None:
    whole = b'{"start": 0, "interval": 1, "values": [' + b"1," * MAX_ITEMS + b"1]}"
    assert "split it" in faults(parse_series, whole)[0][1]


def test_a_request_of_too_many_names_is_refused_before_it_is_read_to_its_end() -> None:
    items = [{"name": str(number), "t": 1, "v": 1} for number in range(MAX_NAMES + 1)]
    with pytest.raises(TooManyNames, match="split it"):
        parse_named(json.dumps([*items, "and no point"]).encode())


FAR = st.integers(EARLIEST, LATEST).filter(lambda t: abs(t) > 2**33 * 10**6)


@given(st.lists(FAR | MICROSECONDS, min_size=1, max_size=5), st.booleans())
def test_numbers_keep_the_microsecond_in_every_year(times: list[int], with_a_text: bool) -> None:
    digits = [f"{Decimal(t).scaleb(-6):f}" for t in times]
    more = ', {"t": "1970-01-01T00:00Z", "v": 2}' if with_a_text else ""
    points = ", ".join(f'{{"v": 1, "t": {each}}}' for each in digits)
    assert parse_points(f'{{"points": [{points}{more}]}}'.encode()).t.tolist() == times + [0] * with_a_text
    named = parse_named(("[" + points.replace('"v"', '"name": "a", "v"') + "]").encode())
    assert named["a"].t.tolist() == times
    even = f'{{"start": {digits[0]}, "interval": 1, "values": [1]}}'
    assert parse_points(even.encode()).t.tolist() == times[:1]


MOMENTS = st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat)
TIMES = MOMENTS | st.from_regex(
    r"[0-9]{4}-[0-9]{2}-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?Z", fullmatch=True
)


@given(st.lists(TIMES | MICROSECONDS.map(lambda t: t / 1e6), min_size=1, max_size=3))
def test_a_time_is_read_by_the_one_rule_for_all_times(times: list[str | float]) -> None:
    def read(time: str | float) -> int | None:
        try:
            return from_datetime(parse_time(time)) if isinstance(time, str) else round(time * 1_000_000)
        except ValueError:
            return None

    expected = [read(time) for time in times]
    whole = body(points=[{"t": time, "v": 1} for time in times])
    if None in expected:
        assert indexes(parse_points, whole) == [index for index, time in enumerate(expected) if time is None]
    else:
        assert parse_points(whole).t.tolist() == expected


@given(JSON.map(json.dumps).map(str.encode) | st.binary())
def test_whatever_comes_is_taken_or_refused_in_words(whole: bytes) -> None:
    for parse in PARSERS:
        named = refusal(parse, whole)
        assert len(named) <= MAX_FAULTS
        assert all(fault and len(fault) < 300 for _, fault in named)


@given(
    st.lists(st.fixed_dictionaries({"name": st.sampled_from(["a", "b", ""]), "t": VALUES | st.booleans(), "v": JSON}))
)
def test_an_item_is_named_exactly_where_it_alone_is_refused(items: list[dict[str, Any]]) -> None:
    def refused(some: list[dict[str, Any]]) -> list[int | None]:
        return [index for index, _ in refusal(parse_named, json.dumps(some).encode())]

    if items and not any(bad_json(item) for item in items):
        assert refused(items) == [index for index, item in enumerate(items) if refused([item])]


def bad_json(value: Any) -> bool:
    """Whether Python writes it as something that JSON has no word for."""
    if isinstance(value, dict):
        return any(map(bad_json, value.values()))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if isinstance(value, list):
        return any(map(bad_json, value))  # pyright: ignore[reportUnknownArgumentType]
    return isinstance(value, float) and not math.isfinite(value)
