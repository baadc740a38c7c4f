"""JSON objects read strictly: whatever bytes come, each field has a value, or what stands there instead of one.

One rule for all: a field given twice, a number of too many digits and a lone surrogate are faults of their field; NaN,
infinity, what is nested too deep and what is not UTF-8 make the whole no JSON.
"""

import json
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, cast

MAX_DIGITS = 100

# What JSON's values are called in a fault.
KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a whole number",
    float: "a number with a fraction or exponent",
    str: "text",
    list: "a list",
    dict: "an object",
}


class Odd(Enum):
    """What stands in a field instead of a value."""

    MISSING = "missing"
    # Parsers differ in which one wins, so that what was meant can't be told.
    REPEATED = "given more than once"
    # Python refuses to read thousands of digits, and would take the whole payload's rest with them.
    ENDLESS = f"a number of more than {MAX_DIGITS} digits"
    CONSTANT = "NaN or infinite"


class Decoded(NamedTuple):
    """The fields of an object, and the first of NaN, Infinity and -Infinity that stands anywhere in it."""

    fields: dict[str, object]
    constant: str | None


def read_object(raw: bytes) -> dict[str, object]:
    """The fields of a JSON object, before which a byte-order mark may stand.

    Raises ValueError, a sentence that holds nothing of the body.
    """
    try:
        fields, constant = decode_object(raw.removeprefix(BOM_UTF8))
    except ValueError as error:
        raise ValueError(f"the body {error}") from None
    if constant is not None:
        raise ValueError(f"the body is not JSON: it holds {constant}")
    return fields


def decode_object(raw: bytes) -> Decoded:
    """Raises ValueError, such a sentence without its subject."""
    try:
        value, constant = _decode(raw.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"must be an object, but is {kind(value)}")  # noqa: TRY004
    return Decoded(cast("dict[str, object]", value), constant)


def _decode(text: str) -> tuple[object, str | None]:
    try:
        return STRICT.decode(text), None
    except _ConstantFound as found:
        return LENIENT.decode(text), str(found)


class _ConstantFound(Exception):
    pass


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields |= {name: Odd.REPEATED for name, count in Counter(name for name, _ in pairs).items() if count > 1}
    return fields


def _whole_number(digits: str) -> int | Odd:
    return int(digits) if len(digits) <= MAX_DIGITS else Odd.ENDLESS


def _refuse_constant(name: str) -> object:
    raise _ConstantFound(name)


def _decoder(parse_constant: Callable[[str], object]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole_number, parse_constant=parse_constant)


# Made once: to make one takes as long as to read a record.
STRICT, LENIENT = _decoder(_refuse_constant), _decoder(lambda _: Odd.CONSTANT)


def encodable(text: str) -> bool:
    """Whether it is free of lone surrogates, which JSON can spell, but neither UTF-8 nor BSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind(value: object) -> str:
    return value.value if isinstance(value, Odd) else KINDS[type(value)]
