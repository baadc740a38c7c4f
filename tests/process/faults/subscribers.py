"""Subscribers of changes as other people's clients are, killed and stalled at random; each goes on where it was."""

import asyncio
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import gql
import httpx
import orjson
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import WebSocketException

from datacosmos.domain.changes import Accepted, Topic
from tests.programs import COMMAND, environment

Changes = dict[str, Any]


class Service(Protocol):
    """Where it is asked, and as whom."""

    @property
    def url(self) -> str: ...
    def token(self) -> str: ...


Client = Callable[[Service, Topic, Mapping[str, str]], AsyncGenerator[Changes]]
"""What comes of one connection, from where `after` or `start` say."""
TRUSTED = ssl.create_default_context()  # which takes longer to make than all the rest of a connection


class Unavailable(Exception):
    """The service can't be asked now."""


@dataclass
class Subscriber:
    """`got` are the ids of the changes in the order in which they came, `cursor` is behind all of them.

    `is_live` once nothing was left to tell, of the past neither; `lifetime` is the most seconds of a connection,
    `ends` is why those ended.
    """

    client: Client
    topic: Topic
    start: str | None = None
    cursor: str | None = None
    got: list[str] = field(default_factory=list[str])
    lifetime: float = 4
    is_live: bool = False
    ends: Counter[str] = field(default_factory=Counter[str])

    async def follow(self, service: Service, chance: random.Random) -> None:
        """For ever: a connection lasts as long as chance and the service let it."""
        while True:
            try:
                async with asyncio.timeout(None) as life:
                    await self._listen(service, chance, life)
            except (Unavailable, TimeoutError, httpx.TransportError) as error:
                self.ends[repr(error)] += 1
            await asyncio.sleep(chance.uniform(0, 0.3))

    async def _listen(self, service: Service, chance: random.Random, life: asyncio.Timeout) -> None:
        """Killed some seconds after the first word."""
        asked = {name: value for name, value in (("after", self.cursor), ("start", self.start)) if value}
        async with aclosing(self.client(service, self.topic, asked)) as connection:
            async for changes in connection:
                if life.when() is None:
                    life.reschedule(asyncio.get_running_loop().time() + chance.uniform(0, self.lifetime))
                self.got += [id_of(change) for change in changes["events"]]
                self.cursor = changes["cursor"]
                self.is_live |= not changes["events"]
                if chance.random() < 0.05:
                    await asyncio.sleep(chance.uniform(0, 1))


def id_of(change: Changes) -> str:
    return (change.get("point") or change["discard"])["id"]


async def event_source(service: Service, topic: Topic, asked: Mapping[str, str]) -> AsyncGenerator[Changes]:
    """As a browser's, which has the cursor in a header."""
    path, filters = address_of(topic)
    headers = bearer(service) | ({"Last-Event-ID": asked["after"]} if "after" in asked else {})
    params = {**filters, **({"start": asked["start"]} if "start" in asked else {})}
    async with (
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30, verify=TRUSTED) as client,
        client.stream("GET", path, params=params) as answer,
    ):
        async for message in messages_of(answer):
            yield orjson.loads(message["data"])


async def graphql_sse(service: Service, topic: Topic, asked: Mapping[str, str]) -> AsyncGenerator[Changes]:
    query, variables = subscription(topic, asked)
    headers = bearer(service) | {"Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30, verify=TRUSTED) as client,
        client.stream("POST", "/graphql", json={"query": query, "variables": variables}) as answer,
    ):
        async for message in messages_of(answer):
            yield data_of(orjson.loads(message["data"]))


async def gql_websocket(service: Service, topic: Topic, asked: Mapping[str, str]) -> AsyncGenerator[Changes]:
    query, variables = subscription(topic, asked)
    url = service.url.replace("http", "ws") + "/graphql"
    transport = WebsocketsTransport(url=url, init_payload=bearer(service), close_timeout=1)
    try:
        async with gql.Client(transport=transport) as session:
            request = gql.GraphQLRequest(query, variable_values=variables)
            async with aclosing(session.subscribe(request)) as results:
                async for result in results:
                    yield data_of({"data": result})
    except TransportQueryError as error:
        raise ended_by(error.errors[0] if error.errors else {}) from None
    except (TransportError, WebSocketException, OSError) as error:
        raise Unavailable(repr(error)) from None


def subscription(topic: Topic, asked: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The query, and its variables."""
    if isinstance(topic, Accepted):
        name, filters, declared = "changes", {"series": topic.series}, "$series: String!"
    else:
        name, filters, declared = "discardChanges", {"reason": topic.reason and topic.reason.name}, "$reason: Reason"
    given = ", ".join(f"{each}: ${each}" for each in (*filters, "start", "after"))
    shown = "cursor events { kind point { id } discard { id } }"
    query = f"subscription ({declared}, $start: DateTime, $after: String) {{ {name}({given}) {{ {shown} }} }}"
    return query, {each: value for each, value in {**filters, **asked}.items() if value}


def data_of(result: Any) -> Changes:
    if errors := result.get("errors"):
        raise ended_by(errors[0])
    [changes] = result["data"].values()
    return changes


async def messages_of(answer: httpx.Response) -> AsyncGenerator[dict[str, str]]:
    """The fields of each message, up to the one that ends it with an error."""
    if answer.status_code in (502, 503):
        raise Unavailable
    assert answer.status_code == 200, await answer.aread()
    rest = b""
    async for piece in answer.aiter_raw():
        *messages, rest = (rest + piece).split(b"\n\n")
        for text in messages:
            fields = (line.partition(":") for line in text.decode().split("\n"))
            message = {name: value.removeprefix(" ") for name, _, value in fields}
            if message.get("event") == "error":
                raise ended_by(json.loads(message["data"]))
            if message.get("data"):
                yield message


def ended_by(error: Any) -> Unavailable:
    """What it was, where it may pass."""
    assert error["extensions"]["code"] in ("UNAVAILABLE", "LAGGING"), error
    return Unavailable(error["message"])


async def watch(service: Service, topic: Topic, asked: Mapping[str, str]) -> AsyncGenerator[Changes]:
    """The command, killed at the end. What has no cursor behind it comes again."""
    named = (topic.series,) if isinstance(topic, Accepted) else ("--discards",)
    options = (word for name, value in asked.items() for word in (f"--{name}", value))
    variables = {"DATACOSMOS_URL": service.url, "DATACOSMOS_TOKEN": service.token()}
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "watch", *named, *options),
        cwd=Path("/"), env=environment(variables), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    events: list[Changes] = []
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            events.append(orjson.loads(line))
            if cursor := events[-1].get("cursor"):
                yield {"cursor": cursor, "events": events}
                events = []
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def address_of(topic: Topic) -> tuple[str, dict[str, str]]:
    if isinstance(topic, Accepted):
        return "/changes", {"series": topic.series}
    return "/changes/discards", {"reason": topic.reason.name} if topic.reason else {}


def bearer(service: Service) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.token()}"}
