import gzip
import json

import pytest

from datacosmos.sources.likeness import likeness

PRETTY = json.dumps({"id": "a"}, indent=2).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b,c\n1,2,3\n4,5,6", "CSV, 3 columns separated by commas"),
        (b"a;b\n1,5;2", "CSV, 2 columns separated by semicolons"),
        (b"a\tb\n1\t2", "CSV, 2 columns separated by tabs"),
        (b'{"level": "info"}\n{"level": "info"}', "JSON objects of another kind"),
        (PRETTY, "over several lines"),
        (b"5\n6", "JSON values that are no objects"),
        (b"  <html>\n", "XML or HTML"),
        (gzip.compress(b"x", mtime=0), "gzip"),
        (b"PK\x03\x04", "ZIP"),
        ("a,b".encode("utf-16"), "UTF-16"),
        (b"\x89PNG\xff", "no text"),
        (b"secret words, and\nothers", "text"),
        (b"[" * 5000, "text"),
    ],
)
def test_a_stream_that_holds_no_record_is_named_for_what_it_looks_like(content: bytes, says: str) -> None:
    said = likeness(content.split(b"\n"))
    assert says in said
    assert "secret" not in said
