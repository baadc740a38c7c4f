"""JSON objects read strictly: whatever bytes come, each field is told, or it is told why it can't be."""

import json
from enum import Enum
from typing import cast

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
    """What stands in a field instead of a value that can be told."""

    MISSING = "missing"
    # Parsers differ in which one wins, so that what was meant can't be told.
    REPEATED = "given more than once"
    # Python refuses to read thousands of digits, and would take the whole payload's rest with them.
    ENDLESS = f"a number of more than {MAX_DIGITS} digits"


def read_object(raw: bytes) -> dict[str, object]:
    """The fields of a JSON object. Raises ValueError, a sentence that holds nothing of the body."""
    try:
        fields = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("the body is nested too deep") from None
    if not isinstance(fields, dict):
        raise ValueError(f"the body must be an object, but is {kind(fields)}")  # noqa: TRY004
    return cast("dict[str, object]", fields)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        fields[name] = Odd.REPEATED if name in fields else value
    return fields


def _whole_number(digits: str) -> int | Odd:
    return int(digits) if len(digits) <= MAX_DIGITS else Odd.ENDLESS


def _no_constant(name: str) -> object:
    raise ValueError(f"the body is not JSON: it holds {name}")


def encodable(text: str) -> bool:
    """Whether it is free of lone surrogates, which JSON can spell, but neither UTF-8 nor BSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind(value: object) -> str:
    return value.value if isinstance(value, Odd) else KINDS[type(value)]
