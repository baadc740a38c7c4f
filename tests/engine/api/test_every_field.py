"""Every field of the schema, asked in full by whoever may not: fields that are added later are asked too."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import httpx
import numpy as np
import pytest
from graphql import GraphQLField, GraphQLList, GraphQLObjectType, build_schema, get_named_type, get_nullable_type
from graphql.type import is_required_argument

from datacosmos.api.graphql.schema import print_schema
from datacosmos.api.intake import Intake
from datacosmos.auth.issuers import Role
from datacosmos.domain.ledger import SourceLedger
from datacosmos.domain.points import Reason, Receipt
from datacosmos.domain.series import SECOND, Samples, from_datetime
from datacosmos.settings import Settings
from datacosmos.store.stores import Stores
from tests.asking import ADMIN, INVALID, NO_QUEUE, NOON, app_of, ask, client_of, point, put_location, token

QUERY = build_schema(print_schema()).query_type
assert QUERY is not None
FIELDS: Mapping[str, GraphQLField] = QUERY.fields
SERIES, DEPTH = "sensors/hidden", 6
BOB = token(Role.USER, subject="bob")
OF_TOKENS = (SERIES, "4711.5")
OF_ADA = ("hidden payload", "hidden mast", "40.701", "31337", "SUSPECT")
"""What of the answers is for any token; and what is for administrators, or for Ada, who is one."""
SENT = {
    "series": f'"{SERIES}"',
    "interval": '"P1D"',
    "start": '"2017-01-01T00:00:00Z"',
    "end": '"2024-03-29T00:00:00Z"',
    "userId": '"ada"',
    "sensorId": '"hidden"',
    "deliveryId": '"a-delivery"',
    "name": f'"{SERIES}"',
}


async def ledgers() -> list[SourceLedger]:
    counts = dict.fromkeys(("messages", "recorded", "in_flight", "dead_lettered"), 1)
    return [SourceLedger(source="sensors", accepted=31337, discarded={}, oldest_in_flight=None, **counts)]


@pytest.fixture
async def ids(stores: Stores) -> dict[str, str]:
    """Of what is stored, by the field that takes it: private points, a discard, a receipt and a stored series."""
    discard = replace(point(None, Reason.SUSPECT, series=SERIES, raw=b"hidden payload"), id="a-discard")
    batch = [point(value=1.0), point(value=4711.5, series=SERIES, source="sensors", sent_value=4711.5), discard]
    await stores.points.add(batch)
    await stores.summaries.note(batch)
    receipt = Receipt(
        delivery_id="a-delivery", source="sensors", sender="ada", received_at=NOON, accepted=31337, discarded={}
    )
    await stores.receipts.leave([receipt])
    samples = Samples(from_datetime(NOON) + np.arange(3) * SECOND, np.arange(3.0))
    made = await stores.series.create("ada", "hidden mast", "m/s", samples)
    return {"discard": "a-discard", "storedSeries": made.id}


@pytest.fixture
async def everything(settings: Settings, stores: Stores) -> AsyncGenerator[httpx.AsyncClient]:
    deep = settings.model_copy(update={"max_query_depth": 20})
    async with client_of(app_of(deep, stores, intake=Intake(NO_QUEUE.publish, ledgers))) as client:
        assert (await put_location(client)).is_success
        yield client


def in_full(name: str, field: GraphQLField, ids: Mapping[str, str], depth: int = DEPTH) -> str:
    """The field with all fields below it, and what is hidden for its arguments."""
    given = SENT | ({"id": f'"{ids[name]}"'} if name in ids else {})
    sent: list[str] = []
    for argument, taken in field.args.items():
        is_meant = argument in ("series", "id", "name", "start", "end") and not (argument == "name" and "id" in given)
        if is_required_argument(taken) or (is_meant and argument in given):
            is_list = isinstance(get_nullable_type(taken.type), GraphQLList)
            sent.append(f"{argument}: [{given[argument]}]" if is_list else f"{argument}: {given[argument]}")
    kind = get_named_type(field.type)
    below = ""
    if isinstance(kind, GraphQLObjectType):
        some = kind.fields.items() if depth else ()
        below = " { __typename " + " ".join(in_full(each, one, {}, depth - 1) for each, one in some) + " }"
    return name + (f"({', '.join(sent)})" if sent else "") + below


@pytest.mark.parametrize("name", FIELDS)
async def test_no_field_tells_anyone_what_is_not_for_them(
    everything: httpx.AsyncClient, ids: Mapping[str, str], name: str
) -> None:
    query = f"{{ {in_full(name, FIELDS[name], ids)} }}"
    told = str((await ask(everything, query, ADMIN))["data"])
    assert any(hidden in told for hidden in (*OF_TOKENS, *OF_ADA)), query
    told = str((await ask(everything, query, BOB))["data"])
    assert not any(hidden in told for hidden in OF_ADA), told
    for nobody in (None, *INVALID.values()):
        told = str((await ask(everything, query, nobody))["data"])
        assert not any(hidden in told for hidden in (*OF_TOKENS, *OF_ADA)), told
