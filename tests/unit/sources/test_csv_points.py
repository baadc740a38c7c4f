"""Rows of a CSV as points of stored series, faulty ones as what is wrong with them."""

import io

import pytest

from datacosmos.cli.pushing import encode
from datacosmos.sources.csv_points import Columns, CsvPoint, Fault, read_csv_points
from datacosmos.sources.csv_rows import BrokenCsv, lines_of
from datacosmos.sources.uploads import parse_named

BY_COLUMN = Columns("when", "reading", name="where")
LITERAL = Columns("when", "reading", literal_name="mast")


def read(text: str, columns: Columns = BY_COLUMN) -> list[CsvPoint | Fault]:
    return list(read_csv_points(lines_of(io.BytesIO(text.encode())), columns))


def test_columns_may_stand_in_any_order_beside_others_after_a_byte_order_mark() -> None:
    text = '\ufeffnote,reading,where,when\nx,4.2,"roof, north",1711644934.5\n,-1e3,mast,2024-03-28T17:55:34+01:00\n'
    assert read(text) == [
        CsvPoint(2, "roof, north", 1711644934_500000, 4.2),
        CsvPoint(3, "mast", 1711644934_000000, -1000.0),
    ]


def test_a_literal_name_is_that_of_all_rows_and_no_column() -> None:
    assert read("when,reading,mast\n0,1,x\n", LITERAL) == [CsvPoint(2, "mast", 0, 1.0)]


def test_a_faulty_row_is_told_by_its_line_and_spoils_no_other() -> None:
    text = "when,reading,where\n0,1,a\nsoon,1,a\n1,,a\n2,inf,a\n3,1e999,a\n4, 1,a\n5,1,\n1e18,1,a\n6,1,\x85\n7,2,a\n"
    good, soon, *others, last = read(text)
    assert (good, last) == (CsvPoint(2, "a", 0, 1.0), CsvPoint(11, "a", 7_000000, 2.0))
    assert isinstance(soon, Fault)
    assert soon.line == 3
    assert soon.says.startswith("time: 'soon' is no ISO 8601 time")
    assert others == [
        *(Fault(line, "value must be a finite number") for line in (4, 5, 6, 7)),
        Fault(8, "name must not be empty"),
        Fault(9, "time must lie in the years 1 to 9999"),
        Fault(10, "name must hold no control character"),
    ]


@pytest.mark.parametrize("missing", ["when", "reading", "where"])
def test_a_file_without_a_named_column_is_no_such_file(missing: str) -> None:
    header = ",".join(column for column in ("when", "reading", "where") if column != missing)
    with pytest.raises(BrokenCsv, match=f"line 1: .*missing: {missing}"):
        read(f"{header}\n1,2\n")


def test_what_is_sent_is_what_was_read_to_the_microsecond_and_the_bit() -> None:
    times = ["-62135596800", "-0.000001", "1711644934.123456", "253402300799.999999", "0001-01-01T00:00:00.000001Z"]
    values = ["-0.0", "5e-324", "0.1", "1.7976931348623157e308", "+.5"]
    rows = read("when,reading\n" + "".join(f"{t},{v}\n" for t, v in zip(times, values, strict=True)), LITERAL)
    points = [row for row in rows if isinstance(row, CsvPoint)]
    samples = parse_named(encode(points))["mast"]
    assert samples.t.tolist() == [-62135596800_000000, -1, 1711644934_123456, 253402300799_999999, -62135596799_999999]
    assert list(map(repr, samples.v.tolist())) == ["-0.0", "5e-324", "0.1", "1.7976931348623157e+308", "0.5"]
