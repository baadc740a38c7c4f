"""JSON objects of which some members are lists too long to be decoded at once."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from datacosmos.errors import InvalidUpload
from datacosmos.sources.json.lists import (
    NOT_AS_EXPECTED,
    OPENING,
    SPACE,
    STRING,
    Arrays,
    Items,
    Reader,
    Unended,
    begin,
    refusal,
    require_end,
    skip,
    value_end,
)
from datacosmos.sources.json.sentences import sentence

MEMBER = re.compile(SPACE.pattern + rb"(" + STRING.pattern + rb")" + SPACE.pattern + rb":" + SPACE.pattern, re.DOTALL)
MAX_MEMBERS = 32
KEY = msgspec.json.Decoder(str)


class Members(NamedTuple):
    """An object's lists by their names, and the object without them."""

    lists: dict[str, Arrays]
    others: bytes


def read_members(body: bytes, lists: Mapping[str, Items]) -> Members:
    """The body is one object. Raises InvalidUpload, also where a member stands in it twice."""
    position = begin(body, b"{", "an object")
    read, others, seen = dict[str, Arrays](), list[bytes](), set[str]()
    if (after := skip(body, position)) and body[after : after + 1] == b"}":
        require_end(body, after + 1)
        return Members(read, b"{}")
    while True:
        name, start, value = _member(body, position)
        if name in seen:
            raise refusal(f"{name[:40]!r} is given more than once")
        seen.add(name)
        if len(seen) > MAX_MEMBERS:
            raise refusal(f"the object has more than {MAX_MEMBERS} members")
        if name in lists and body[value : value + 1] == b"[":
            read[name], end = Reader(body, lists[name]).read(value + 1)
        else:
            end = _member_end(body, name, value, "a list" if name in lists else "text or a number")
            others.append(body[start:end])
        end = skip(body, end)
        position = end + 1
        if body[end : end + 1] == b"}":
            require_end(body, position)
            return Members(read, b"{%b}" % b",".join(others))
        if body[end : end + 1] != b",":
            raise _broken(body, end)


def _member(body: bytes, position: int) -> tuple[str, int, int]:
    """A member's name, and where it and its value begin."""
    member = MEMBER.match(body, position)
    if member is None:
        raise _broken(body, skip(body, position))
    try:
        return KEY.decode(member[1]), member.start(1), member.end()
    except NOT_AS_EXPECTED as error:
        raise refusal(f"a member's name, byte {member.start(1)}: {sentence(error)}") from None


def _member_end(body: bytes, name: str, start: int, kind: str) -> int:
    if body[start : start + 1] in OPENING:
        raise refusal(f"{name[:40]}: must be {kind}")
    try:
        return value_end(body, start)
    except Unended as error:
        raise refusal(f"{name[:40]}: {error}") from None


def _broken(body: bytes, position: int) -> InvalidUpload:
    if position >= len(body):
        return refusal("the body ends before its JSON does")
    return refusal(f"the JSON is malformed at byte {position}")
