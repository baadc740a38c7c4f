"""The records in a pushed body. No more is asked of it: what is wrong with a record is told of that record."""

import json
import re

import msgspec

from datacosmos.errors import InvalidUpload

ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
MOST_COMMAS = 16  # to a record on average, where an array is looked through at once: each comma may be an item's
GAP = re.compile(r"[ \t\r\n]*")
# It takes more than JSON allows, such as NaN and numbers without end: those are one record's fault, not the body's.
LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)


def split(body: bytes, most: int) -> list[bytes]:
    """The records in a body, each as it was sent: one, those of an array, or one a line.

    Raises InvalidUpload where nothing of it is JSON, where an array does not end well, and where there are none, or
    more than `most`.
    """
    records = _items(body, most)
    if records is None:
        text = body.decode(errors="surrogateescape").strip(" \t\r\n")
        found = _elements(text, most) if _is_array(text) else _lines(text, most)
        records = [record.encode(errors="surrogateescape") for record in found]
    if not records:
        raise _refused("it holds no record")
    if len(records) > most:
        raise _refused(f"it holds more than {most} records; send at most {most} at once")
    return records


def _items(body: bytes, most: int) -> list[bytes] | None:
    """Those of an array, of which nothing is decoded; None where it is none, or not by the letter of JSON."""
    if not body.lstrip().startswith(b"[") or body.count(b",") > most * MOST_COMMAS:
        return None
    try:
        return [bytes(item) for item in ITEMS.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_array(text: str) -> bool:
    """Whether it can be nothing else: an array with more lines behind it is a record like those."""
    first, _, rest = text.partition("\n")
    return text.startswith("[") and not (rest and _is_json(first))


def _elements(text: str, most: int) -> list[str]:
    """Those of an array, `most` + 1 at the most."""
    if text.endswith("]") and _behind_gap(text, 1) == len(text) - 1:
        return []
    found: list[str] = []
    at, last = 0, False
    while not last and len(found) <= most:
        start = _behind_gap(text, at + 1)
        end = _behind_value(text, start)
        found.append(text[start:end])
        at = _behind_gap(text, end)
        last = text.startswith("]", at) and at == len(text) - 1
        if not last and not text.startswith(",", at):
            raise _broken_array(at)
    return found


def _lines(text: str, most: int) -> list[str]:
    """The whole, where that is a record; else its lines, of which one at least is JSON, or which are too many."""
    if _is_json(text):
        return [text]
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > most or any(_is_json(line) for line in lines):
        return lines
    raise _refused("it is no JSON: send a record, an array of records, or a record a line")


def _is_json(text: str) -> bool:
    try:
        LENIENT.decode(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def _behind_value(text: str, at: int) -> int:
    try:
        return LENIENT.raw_decode(text, at)[1]
    except json.JSONDecodeError as error:
        raise _broken_array(error.pos) from None
    except RecursionError:
        raise _refused("it is nested too deep") from None


def _behind_gap(text: str, at: int) -> int:
    match = GAP.match(text, at)
    return match.end() if match else at


def _broken_array(at: int) -> InvalidUpload:
    return _refused(f"it is no JSON array: it breaks off at character {at + 1}")


def _refused(fault: str) -> InvalidUpload:
    return InvalidUpload([(None, fault)])
