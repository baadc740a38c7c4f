import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.errors import InvalidUpload
from datacosmos.sources.json.records import split

MOST = 100
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(JSON, min_size=1, max_size=10), st.sampled_from([None, 1]))
def test_the_elements_of_an_array_come_as_they_were_sent(values: list[object], indent: int | None) -> None:
    records = split(json.dumps(values, indent=indent).encode(), MOST)
    assert [json.dumps(json.loads(record)) for record in records] == [json.dumps(value) for value in values]


@given(st.lists(JSON.filter(lambda value: "NaN" not in json.dumps(value)), min_size=1, max_size=10))
def test_the_elements_are_the_same_beside_one_that_only_some_parsers_take(values: list[object]) -> None:
    assert split(json.dumps([*values, math.nan]).encode(), MOST)[:-1] == split(json.dumps(values).encode(), MOST)


@given(st.lists(JSON, min_size=2, max_size=10), st.sampled_from(["\n", "\r\n", "\n\n  \n"]))
def test_lines_come_as_they_were_sent_whatever_the_first_of_them_is(values: list[object], between: str) -> None:
    lines = [json.dumps(value) for value in values]
    assert [record.decode().strip() for record in split(between.join(lines).encode(), MOST)] == lines


@pytest.mark.parametrize(
    "record",
    [b'{"v": NaN}', b'{"id": "\\ud800"}', b'{"id": "\xff"}', b'{"v": 1' + b"0" * 5000 + b"}", b"-Infinity"],
)
def test_what_is_wrong_with_a_single_record_leaves_the_others_whole(record: bytes) -> None:
    assert split(b"[" + record + b', {"id": 1}]', MOST) == [record, b'{"id": 1}']
    assert split(record + b'\n{"id": 1}', MOST) == [record, b'{"id": 1}']
    assert split(record, MOST) == [record]


def test_a_record_over_several_lines_is_one() -> None:
    record = json.dumps({"id": "a", "content": {"v": 1}}, indent=2).encode()
    assert split(b"\n" + record + b"\n", MOST) == [record]


def test_among_lines_one_that_is_no_json_is_a_record_like_the_others() -> None:
    assert split(b'rubbish\n\xff\n{"id": 1}\n' + b"[" * 5000, MOST)[:2] == [b"rubbish", b"\xff"]


@pytest.mark.parametrize(
    "body",
    [b"", b" \n ", b"[]", b"[ ]", b"rubbish", b"\xff\xfe", b"[1, 2", b"[1 2]", b"[1,]", b"[,1]", b"[1] x", b"[1]]",
     b"[\n{},\n{}", b"[" * 100_000, b'{"a":' * 100_000, b"[[1]", b'["a]', b"]", b"\xef\xbb\xbf[1]"],
)  # fmt: skip
def test_a_body_that_is_no_json_or_holds_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidUpload):
        split(body, MOST)


@pytest.mark.parametrize("between", ["[]", "\n"])
def test_as_many_as_allowed_are_taken_and_one_more_refused(between: str) -> None:
    def body(count: int) -> bytes:
        values = [json.dumps({"n": n}) for n in range(count)]
        return ("\n".join(values) if between == "\n" else f"[{','.join(values)}]").encode()

    assert len(split(body(MOST), MOST)) == MOST
    with pytest.raises(InvalidUpload, match="at most 100"):
        split(body(MOST + 1), MOST)


@given(st.binary(max_size=200) | st.text(alphabet='[]{},:"\\ \n1a', max_size=60).map(str.encode))
def test_any_body_is_split_or_refused(body: bytes) -> None:
    try:
        records = split(body, MOST)
    except InvalidUpload:
        return
    assert records
    assert all(record in body and record.strip() for record in records)
