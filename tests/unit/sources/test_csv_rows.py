"""CSV as RFC 4180 and the header have it, and an error with its line for anything else."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.sources.csv_rows import MAX_ROW, BrokenCsv, Row, lines_of, read_rows


def rows(text: str | bytes, *required: str) -> list[Row]:
    return list(read_rows(lines_of(io.BytesIO(text.encode() if isinstance(text, str) else text)), required))


def test_rows_are_told_by_their_columns_and_the_line_they_begin_on() -> None:
    text = 'a,b\r\n1,2\r\n"x\r\ny, ""z""",\n,"3"'
    assert rows(text, "b") == [
        Row(2, {"a": "1", "b": "2"}),
        Row(3, {"a": 'x\r\ny, "z"', "b": ""}),
        Row(5, {"a": "", "b": "3"}),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert rows("\ufeffa,b\n1,2\n", "a") == rows('\ufeff"a",b\n1,2\n', "a") == [Row(2, {"a": "1", "b": "2"})]


def test_blanks_belong_to_their_field_and_empty_fields_are_fields() -> None:
    assert rows("a,b,c\n 1 ,, \n") == [Row(2, {"a": " 1 ", "b": "", "c": " "})]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: .*missing: a"),
        ("b\n1\n", "line 1: .*missing: a"),
        ("a,a\n1,2\n", "line 1: .*twice"),
        ("a,b\n1,2\n1,2,3\n", "line 3: it has 3 fields, but the header names 2"),
        ("a,b\n1\n", "line 2: it has 1 field,"),
        ("a,b\n1,2\n\n", "line 3: it has 1 field,"),
        ("a\r\r\n1\n", "line 1: "),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote is opened that is never closed"),
        ('a,b\n"1,2\n3,4\n', "line 2: a quote is opened"),
        ('a,b\n1,2"\n3,"4"\n', "line 2: field 2: a quote stands in it"),
        ('a,b\n1, "2"\n', "line 2: field 2: a quote stands in it"),
        ('a,b\n"1"2,3\n', "line 2: field 1: something stands behind"),
        ('a,b\n"1" ,3\n', "line 2: field 1: something stands behind"),
        ('a,b\n"1""2,3\n', "line 2: a quote is opened"),
        ("a,b\n1\x00,2\n", "line 2: field 1: it holds a control"),
        ("a,b\n1,2\r3,4\n", "line 2: field 2: it holds a control"),
        ("a,b\n1,\t2\n", "line 2: field 2: it holds a control"),
        ('a,b\n1,"\x1b"\n', "line 2: "),
        (b"a,b\n1,2\n1,\xff\n", "line 3: it is not UTF-8: byte 3"),
        ("a,b\n1," + "x" * MAX_ROW, "line 2: the row is longer"),
        ('a,b\n1,"' + "x\n" * MAX_ROW, "line 2: with the quote that it opens"),
        ("ü" * MAX_ROW, "line 1: the row is longer"),
        ("a\n1\r", "line 2: field 1: it holds a control"),
        ("x" * 3 * MAX_ROW, "line 1: the row is longer"),
    ],
)
def test_whatever_else_it_holds_is_an_error_with_its_line(text: str | bytes, says: str) -> None:
    with pytest.raises(BrokenCsv, match=says):
        rows(text, "a")


def test_what_stands_before_a_fault_was_told() -> None:
    told = read_rows([b"a\n", b"1\n", b"2,3\n"], ["a"])
    assert next(told) == Row(2, {"a": "1"})
    with pytest.raises(BrokenCsv):
        next(told)


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\r\n"), max_size=5)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_what_a_writer_of_csv_writes_is_read_back(values: list[tuple[str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([("a", "b"), *values])
    assert [tuple(row.fields.values()) for row in rows(file.getvalue())] == values
