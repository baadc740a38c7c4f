"""`watch` as a user types it: beside the API, and beside a stand-in that ends its streams as a test wants it."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from datacosmos.domain.points import Reason
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.points.points import Points
from tests.asking import ADMIN, NOON, SECOND, USER, point
from tests.programs import COMMAND, PATIENCE, environment

Text = str


def event(cursor: str, *values: float) -> Text:
    """As the service sends it; without values a heartbeat."""
    changes = [{"kind": "ACCEPTED", "point": {"value": value}, "discard": None} for value in values]
    return f"id: {cursor}\ndata: {json.dumps({'cursor': cursor, 'events': changes})}\n\n"


def error(code: str) -> Text:
    return f"event: error\ndata: {json.dumps({'message': 'no more', 'extensions': {'code': code}})}\n\n"


@dataclass
class StandIn:
    """Answers each request with the next of its answers, the last of which stays open."""

    answers: Sequence[Text | Response]
    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])

    async def answer(self, request: Request) -> Response:
        self.asked.append((str(request.url.query), request.headers.get("Last-Event-ID")))
        number = len(self.asked)
        answer = self.answers[number - 1]
        if isinstance(answer, Response):
            return answer
        stream = self._stream(answer, open_end=number == len(self.answers))
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _stream(self, text: Text, *, open_end: bool) -> AsyncIterator[Text]:
        yield text
        if open_end:
            await asyncio.Event().wait()


class Watch:
    """The command at work."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.process.stdout.readline())

    async def said(self, word: Text) -> Text:
        """The next line on standard error, which has the word."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            line = (await self.process.stderr.readline()).decode()
        assert word in line
        return line

    async def ended(self, number: signal.Signals | None = None) -> tuple[int, Text, Text]:
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, (out or b"").decode(), err.decode()


@asynccontextmanager
async def watching(
    folder: Path, address: str, *arguments: str, out: int = asyncio.subprocess.PIPE, who: Text = ""
) -> AsyncGenerator[Watch]:
    variables = {"DATACOSMOS_URL": address} | ({"DATACOSMOS_TOKEN": who} if who else {})
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "watch", *arguments),
        cwd=folder, env=environment(variables), stdout=out, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Watch(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def stand_in(*answers: Text | Response) -> AsyncGenerator[tuple[StandIn, str]]:
    service = StandIn(answers)
    app = Starlette(routes=[Route(path, service.answer) for path in ("/changes", "/changes/discards")])
    settings = Settings.model_validate({"_env_file": None, "stop_grace": "1s"})
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        yield service, address


async def test_points_are_printed_as_they_are_stored_and_a_cursor_goes_on(
    app: ASGIApp, settings: Settings, points: Points, tmp_path: Path
) -> None:
    await points.add([old := point(value=0.25, tags=("a\u2028b",))])
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        async with watching(tmp_path, address, "--start", NOON.isoformat()) as watch:
            first = await watch.line()
            await points.add([point(NOON, Reason.SYSTEM), point(NOON - SECOND, value=0.5)])
            second = await watch.line()
            assert await watch.ended(signal.SIGTERM) == (0, "", "")
        await points.add([point(NOON - 2 * SECOND, value=0.75)])
        async with watching(tmp_path, address, "--after", second["cursor"]) as watch:
            third = await watch.line()
    assert [line["point"]["value"] for line in (first, second, third)] == [0.25, 0.5, 0.75]
    assert (first["kind"], first["point"]["id"], first["point"]["tags"]) == ("ACCEPTED", old.id, ["a\u2028b"])


async def test_administrators_see_discards_by_their_token(
    app: ASGIApp, settings: Settings, points: Points, tmp_path: Path
) -> None:
    await points.add([point(NOON, Reason.SYSTEM)])
    given = ("--discards", "--start", NOON.isoformat())
    async with serving(app, settings, host="127.0.0.1", port=0) as address:
        async with watching(tmp_path, address, *given, who=ADMIN) as watch:
            line = await watch.line()
        async with watching(tmp_path, address, *given, who=USER) as watch:
            code, out, err = await watch.ended()
    assert (line["kind"], line["discard"]["reason"]) == ("DISCARDED", "SYSTEM")
    assert (code, out, "answered 403" in err) == (1, "", True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_each_change_is_a_line_and_a_stop_is_no_error(tmp_path: Path, number: signal.Signals) -> None:
    async with (
        stand_in(event("c0") + event("c1", 1, 2) + event("c2", 3)) as (service, address),
        watching(tmp_path, address, "roof") as watch,
    ):
        lines = [await watch.line() for _ in range(3)]
        assert await watch.ended(number) == (0, "", "")
    assert lines == [
        {"kind": "ACCEPTED", "point": {"value": 1}},
        {"kind": "ACCEPTED", "point": {"value": 2}, "cursor": "c1"},
        {"kind": "ACCEPTED", "point": {"value": 3}, "cursor": "c2"},
    ]
    assert service.asked == [("series=roof", None)]


async def test_a_lost_connection_is_made_again_behind_the_last_cursor_and_both_are_said_once(tmp_path: Path) -> None:
    unavailable = JSONResponse({}, 503)
    answers = (event("c1", 1), unavailable, unavailable, event("c2", 2) + event("c3"), error("LAGGING"), event("c4", 4))
    async with (
        stand_in(*answers) as (service, address),
        watching(tmp_path, address, "--discards", "--after", "c0", "--start", "2026-11-22T16:00:00Z") as watch,
    ):
        assert [(await watch.line())["cursor"] for _ in range(3)] == ["c1", "c2", "c4"]
        for word in ("ended the stream", "connected again", "ended the stream", "connected again"):
            await watch.said(word)
        assert await watch.ended(signal.SIGINT) == (0, "", "")
    assert [cursor for _, cursor in service.asked] == ["c0", "c1", "c1", "c1", "c3", "c3"]
    assert {query for query, _ in service.asked} == {"start=2026-11-22T16%3A00%3A00Z"}


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (error("UNAUTHENTICATED"), "no more (UNAUTHENTICATED); give a token that holds"),
        (error("CURSOR_EXPIRED"), "no more (CURSOR_EXPIRED)"),
        (JSONResponse({}, 401), "answered 401; give a token that holds"),
        (JSONResponse({}, 410), "answered 410"),
        (JSONResponse({}), "gives no text/event-stream here"),
        ("data: 1\n\n", "sent what is no change"),
    ],
)
async def test_what_would_only_come_again_ends_it_with_a_line_that_says_why(
    tmp_path: Path, end: Text | Response, says: str
) -> None:
    async with stand_in(event("c1", 1), end) as (_, address), watching(tmp_path, address) as watch:
        code, out, err = await watch.ended()
    assert (code, out.count("\n")) == (1, 1)
    assert says in err.splitlines()[-1]
    assert ("--after c1" in err) == (isinstance(end, str) and "error" in end)
    assert "Traceback" not in err


async def test_a_reader_who_goes_ends_it_without_a_word(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    async with (
        stand_in(event("c1", 1)) as (_, address),
        watching(tmp_path, address, out=theirs) as watch,
    ):
        os.close(theirs)
        assert await watch.ended() == (0, "", "")


async def test_it_can_be_stopped_while_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    much = event("c1", *range(10_000))
    async with stand_in(much) as (_, address), watching(tmp_path, address, out=theirs) as watch:
        os.close(theirs)
        assert await asyncio.to_thread(os.read, ours, 1)  # it prints, and waits with the rest
        assert await watch.ended(signal.SIGINT) == (0, "", "")
        os.close(ours)


async def test_a_service_that_was_never_there_is_not_waited_for(tmp_path: Path) -> None:
    async with watching(tmp_path, "http://127.0.0.1:1") as watch:
        code, out, err = await watch.ended()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("datacosmos: no service can be reached at http://127.0.0.1:1: ")


async def test_discards_are_those_of_all_series(tmp_path: Path) -> None:
    async with watching(tmp_path, "http://127.0.0.1:1", "roof", "--discards") as watch:
        code, _, err = await watch.ended()
    assert (code, "leave out SERIES" in err) == (2, True)
