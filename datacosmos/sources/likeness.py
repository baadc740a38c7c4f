"""What a stream that holds no record looks like, for whoever has to find out why."""

import codecs
import json
from collections.abc import Sequence

PACKED = {b"\x1f\x8b": "gzip: unpack it first", b"PK": "a ZIP archive: unpack it first"}
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def likeness(lines: Sequence[bytes]) -> str:
    """In a few words, which hold nothing of the lines."""
    first = lines[0].lstrip()
    for mark, what in PACKED.items():
        if first.startswith(mark):
            return what
    if first.startswith(WIDE):
        return "text in UTF-16: make it UTF-8 first"
    try:
        text = [line.decode() for line in lines]
    except UnicodeDecodeError:
        return "no text"
    return _of_text([line.strip() for line in text])


def _of_text(lines: Sequence[str]) -> str:
    values = [_value(line) for line in lines]
    if any(isinstance(value, dict) for value in values):
        return "JSON objects of another kind"
    if lines[0].startswith("<"):
        return "XML or HTML"
    if lines[0].startswith("{"):
        return "JSON objects over several lines: put each on one line, as jq -c does"
    for mark, name in ((",", "commas"), (";", "semicolons"), ("\t", "tabs")):
        if mark in lines[0] and len({line.count(mark) for line in lines[:10]}) == 1:
            return f"CSV, {lines[0].count(mark) + 1} columns separated by {name}"
    return "JSON values that are no objects" if any(value is not None for value in values) else "text"


def _value(line: str) -> object:
    """None also where it is no JSON."""
    try:
        return json.loads(line, parse_int=float)
    except (ValueError, RecursionError):
        return None
