"""Who may read what: each field of the query, with all that can be selected of it, asked by each kind of caller."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from dataclasses import replace
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from graphql import GraphQLObjectType, build_schema, get_named_type, is_required_argument

from datacosmos.api.graphql.schema import print_schema
from datacosmos.auth.issuers import Role
from datacosmos.domain.minutes import Location
from datacosmos.domain.points import Reason, Receipt
from datacosmos.domain.series import Samples, from_datetime
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, NOON, USER, ask, code, point, token

SCHEMA = build_schema(print_schema())
DEPTH = 4
CALLERS = {"no token": None, "a user": USER, "another user": token(Role.USER, subject="bob"), "an administrator": ADMIN}
DAY = 'start: "2024-03-28T00:00:00Z", end: "2024-03-29T00:00:00Z"'
OPEN, PRIVATE = 1111.5, 2222.5  # values of points
HUSHED = "what was discarded"
BOBS = 3333.5  # a value of bob's stored series
LATITUDE = 44.125  # of bob


class Case(NamedTuple):
    """Arguments, what is found in the answer where it may be read, and what each of CALLERS gets.

    That is "read", "null" without an error, "nothing" of it in a list without an error, or the code of an error.
    """

    arguments: str
    found: object
    outcomes: tuple[str, str, str, str]


READ = ("read", "read", "read", "read")
TOKEN = ("UNAUTHENTICATED", "read", "read", "read")
ADMINS = ("UNAUTHENTICATED", "FORBIDDEN", "FORBIDDEN", "read")
CASES: dict[str, list[Case]] = {
    **{
        field: [
            Case(f'(series: "datacosmos"{more})', OPEN, READ),
            Case(f'(series: "hidden"{more})', PRIVATE, TOKEN),
        ]
        for field, more in {
            "points": "",
            "pointsConnection": "",
            "sampled": "",
            "buckets": f', interval: "P1D", {DAY}',
            "latest": "",
        }.items()
    },
    "series": [Case('(name: "datacosmos")', OPEN, READ), Case('(name: "hidden")', PRIVATE, TOKEN)],
    "seriesConnection": [
        Case('(search: "cosmos")', OPEN, READ),
        Case('(search: "hidden")', PRIVATE, ("nothing", "read", "read", "read")),
    ],
    "discards": [Case("", HUSHED, ADMINS)],
    "discardsConnection": [Case("", HUSHED, ADMINS)],
    "discard": [Case('(id: "a-discard")', HUSHED, ADMINS)],
    "discardBuckets": [Case(f'(interval: "P1D", {DAY})', "SYSTEM", ADMINS)],
    "locations": [Case('(userId: "bob")', LATITUDE, ("UNAUTHENTICATED", "FORBIDDEN", "read", "read"))],
    "sensorReadings": [Case('(sensorId: "s")', 32.75, TOKEN)],
    "receipt": [
        Case('(deliveryId: "bobs")', "bobs", ("null", "null", "read", "read")),
        Case('(deliveryId: "anyones")', "anyones", READ),
    ],
    "ingestion": [Case("", "", ("UNAUTHENTICATED", "FORBIDDEN", "FORBIDDEN", "UNAVAILABLE"))],  # there is no queue
    "storedSeries": [Case('(id: "{bobs}")', BOBS, ("null", "null", "read", "read"))],
    "storedSeriesConnection": [Case("", BOBS, ("nothing", "nothing", "read", "read"))],
}


def receipt(name: str, sender: str | None) -> Receipt:
    return Receipt(
        delivery_id=name, source="sensors", sender=sender, received_at=NOON, accepted=1, discarded={Reason.SYSTEM: 1}
    )


@pytest.fixture
async def bobs(stores: Stores) -> str:
    """The id of bob's stored series; all else that may not be read by everybody is there too."""
    points = [
        point(value=OPEN),
        point(series="hidden", value=PRIVATE),
        point(source="sensors", series="sensors/s", value=1.5, sent_value=32.75),
        replace(point(NOON, Reason.SYSTEM, raw=HUSHED.encode()), id="a-discard"),
    ]
    await stores.points.add(points)
    await stores.summaries.note(points)
    await stores.minutes.fold(
        Location(user_id="bob", sent=NOON, time=NOON, lat=LATITUDE, long=0.0, accuracy=1.0, speed=None)
    )
    await stores.receipts.leave([receipt("bobs", "bob"), receipt("anyones", None)])
    made = await stores.series.create("bob", "bobs", None, Samples(np.array([from_datetime(NOON)]), np.array([BOBS])))
    return made.id


def whole(item: object, depth: int = DEPTH) -> str:
    """A selection of all that needs no argument."""
    if not isinstance(item, GraphQLObjectType):
        return ""
    fields = {
        name: whole(get_named_type(field.type), depth - 1)
        for name, field in item.fields.items()
        if not any(map(is_required_argument, field.args.values()))
        and (depth or not isinstance(get_named_type(field.type), GraphQLObjectType))
    }
    return "{ " + " ".join(f"{name} {below}" for name, below in fields.items()) + " }"


def fields() -> list[str]:
    assert SCHEMA.query_type is not None
    return list(SCHEMA.query_type.fields)


@pytest.mark.parametrize("field", fields())
async def test_each_field_of_the_schema_is_read_by_those_who_may_and_by_nobody_else(
    client: httpx.AsyncClient, bobs: str, field: str
) -> None:
    """One that is new fails here until CASES says who may read it."""
    assert SCHEMA.query_type is not None
    selection = whole(get_named_type(SCHEMA.query_type.fields[field].type))
    for case in CASES[field]:
        query = f"{{ {field}{case.arguments.replace('{bobs}', bobs)} {selection} }}"
        for (caller, who), expected in zip(CALLERS.items(), case.outcomes, strict=True):
            answer = await ask(client, query, who)
            assert outcome(answer, field, case.found) == expected, (case.arguments, caller, answer)


def outcome(answer: dict[str, object], field: str, found: object) -> str:
    text = str(answer["data"])
    if "errors" in answer:
        assert not found or str(found) not in text
        return code(answer) or "an error without a code"
    if str(found) in text:
        return "read"
    return "null" if answer["data"] == {field: None} else "nothing"
