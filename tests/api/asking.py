"""What the tests of the API share: points to ask for, tokens to ask with, and a way to ask."""

# pyright: reportUnknownMemberType=false

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import jwt
import pytest
from playwright.async_api import Page, async_playwright
from starlette.types import ASGIApp

from datacosmos.api.app import create_app
from datacosmos.domain.points import Point, Reading, Reason, Verdict
from datacosmos.settings import Settings
from datacosmos.store.connection import connect
from datacosmos.store.points import Points
from datacosmos.tokens import Role, issue_token

SECRET = "the secret of these tests, long enough"
GRAPHQL_RESPONSE = "application/graphql-response+json"
NOON = datetime(2024, 3, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
IDS = (f"id-{number:06}" for number in count())


def point(time: datetime | None = NOON, *reasons: Reason, at: datetime = NOON, **changes: Any) -> Point:
    reading = replace(Reading(source="data_server", series="datacosmos", time=time, value=0.5, raw=b"{}"), **changes)
    return Point(id=next(IDS), reading=reading, verdict=Verdict(reasons), received_at=at)


def token(role: Role, *, secret: str = SECRET, age: timedelta = timedelta(0)) -> str:
    issued_at = datetime.now(UTC) - age
    return issue_token(secret, role=role, subject="ada", lifetime=timedelta(hours=1), now=issued_at)


ADMIN, USER = token(Role.ADMIN), token(Role.USER)
CLAIMS = {"sub": "ada", "role": "admin", "exp": 1 << 33}
INVALID = {
    "rubbish": "rubbish",
    "expired": token(Role.ADMIN, age=timedelta(hours=2)),
    "of another service": token(Role.ADMIN, secret="x" * 40),
    "unsigned": jwt.encode(CLAIMS, None, algorithm="none"),
    "of another algorithm": jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"),
    "without expiry": jwt.encode({"sub": "ada", "role": "admin"}, SECRET, algorithm="HS256"),
    "of an unknown role": jwt.encode(CLAIMS | {"role": "root"}, SECRET, algorithm="HS256"),
}


def bearer(value: str | None) -> dict[str, str]:
    return {} if value is None else {"Authorization": f"Bearer {value}"}


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


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
    """An API whose MongoDB is away."""
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true"
    async with (
        connect(nowhere, "away", timedelta(milliseconds=100)) as database,
        client_of(create_app(settings, points=Points(database), secret=SECRET, health={})) as client,
    ):
        yield client


@asynccontextmanager
async def browser_page() -> AsyncGenerator[tuple[Page, list[str]]]:
    """A page of headless Chromium, and the addresses it asked for."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on PATH to open the page with")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
        page = await browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        try:
            yield page, asked
        finally:
            await browser.close()
