"""What the tests of the API share: points to ask for, tokens to ask with, and a way to ask."""

# pyright: reportUnknownMemberType=false

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ParamSpec, TypeVar

import httpx
import jwt
from starlette.types import ASGIApp

from datacosmos.api.app import create_app
from datacosmos.api.feed.feed import Feed
from datacosmos.api.graphql.http import Endpoint
from datacosmos.api.intake import Intake
from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.auth.permissions import AccessControl
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import Calculation
from datacosmos.calculation.pool import Pool
from datacosmos.domain.points import Point, Reading, Reason, Verdict
from datacosmos.errors import QueueUnavailable
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import connect
from datacosmos.store.stores import Stores

P = ParamSpec("P")
T = TypeVar("T")
SECRET = "the secret of these tests, long enough"
OURS = SharedSecret(SECRET)
GRAPHQL_RESPONSE = "application/graphql-response+json"
NOON = datetime(2024, 3, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
IDS = (f"id-{number:06}" for number in count())


def point(time: datetime | None = NOON, *reasons: Reason, at: datetime = NOON, **changes: Any) -> Point:
    reading = replace(Reading(source="data_server", series="datacosmos", time=time, value=0.5, raw=b"{}"), **changes)
    return Point(id=next(IDS), reading=reading, verdict=Verdict(reasons), received_at=at)


def token(role: Role, *, subject: str = "ada", secret: str = SECRET, age: timedelta = timedelta(0)) -> str:
    issued_at = datetime.now(UTC) - age
    return SharedSecret(secret).issue(role=role, subject=subject, lifetime=timedelta(hours=1), now=issued_at)


ADMIN, USER = token(Role.ADMIN), token(Role.USER)
CLAIMS = {"sub": "ada", "role": "admin", "exp": 1 << 33}
INVALID = {
    "rubbish": "rubbish",
    "expired": token(Role.ADMIN, age=timedelta(hours=2)),
    "of another service": token(Role.ADMIN, secret="x" * 40),
    "for calls between services": token(Role.SERVICE),
    "unsigned": jwt.encode(CLAIMS, None, algorithm="none"),
    "of another algorithm": jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"),
    "without expiry": jwt.encode({"sub": "ada", "role": "admin"}, SECRET, algorithm="HS256"),
    "of an expiry beyond all numbers": jwt.encode(CLAIMS | {"exp": 10**400}, SECRET, algorithm="HS256"),
    "of an unknown role": jwt.encode(CLAIMS | {"role": "root"}, SECRET, algorithm="HS256"),
}


def bearer(value: str | None) -> dict[str, str]:
    return {} if value is None else {"Authorization": f"Bearer {value}"}


LOCATION: dict[str, Any] = {
    "timestamp": "2017-01-01 13:05:12",
    "lat": 40.701,
    "long": -73.916,
    "accuracy": 11.3000021,
    "speed": 1.3999992,
    "user_id": "ada",
}


async def put_location(client: httpx.AsyncClient, who: str | None = None, **changes: Any) -> httpx.Response:
    return await client.put("/location", json=LOCATION | changes, headers=bearer(who))


class InThread(Pool):
    """A pool without processes: those take seconds to start."""

    def __init__(self) -> None: ...

    async def run(self, calculate: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(calculate, *args, **kwargs)


def calculation_over(transport: httpx.AsyncBaseTransport) -> Calculation:
    return Calculation(httpx.AsyncClient(transport=transport, base_url="http://calculation"), OURS)


NO_CALCULATION = calculation_over(httpx.MockTransport(lambda _: httpx.Response(503)))


async def no_queue(*_: Any) -> Any:
    raise QueueUnavailable("this test has no queue")


NO_QUEUE = Intake(no_queue, no_queue)


def app_of(
    settings: Settings,
    stores: Stores,
    calculation: Calculation | None = None,
    intake: Intake | None = None,
    feed: Feed | None = None,
) -> ASGIApp:
    """The API, before a Calculation service that reads the same stores."""
    calculator = Calculator(stores.series, InThread(), settings.forecast_max_points)
    service = httpx.ASGITransport(create_calculation_app(calculator, issuers=[OURS], health={}))
    return create_app(
        settings,
        stores=stores,
        calculation=calculation or calculation_over(service),
        intake=intake or NO_QUEUE,
        issuers=[OURS],
        feed=feed or Feed(settings, stores.changes, SECRET),
        health={},
    )


def endpoint_of(settings: Settings, stores: Stores, access: AccessControl, *, fast: bool) -> Endpoint:
    """GraphQL alone."""
    feed = Feed(settings, stores.changes, SECRET)
    return Endpoint(settings, stores, access, NO_QUEUE, NO_CALCULATION, feed, fast=fast)


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def ask(client: httpx.AsyncClient, query: str, who: str | None = None, **variables: Any) -> dict[str, Any]:
    answer = await client.post("/graphql", json={"query": query, "variables": variables}, headers=bearer(who))
    assert answer.status_code == 200, answer.text
    return answer.json()


def code(answer: dict[str, Any]) -> str:
    """The code of an answer's one error."""
    [error] = answer["errors"]
    return error["extensions"]["code"]


@asynccontextmanager
async def client_without_store(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """An API whose MongoDB is unavailable."""
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true"
    async with (
        connect(nowhere, "unavailable", timedelta(milliseconds=100)) as database,
        client_of(app_of(settings, Stores.of(database))) as client,
    ):
        yield client
