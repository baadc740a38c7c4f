"""Replaying a file to a service that answers as each test wants."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datacosmos.errors import InvalidFile
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.simulators.replay import Tally, read_records, replay
from tests.programs import run

HEADER = "timestamp,lat,long,accuracy,speed,user_id"
ROW = "2017-01-01 13:05:12,40.701,-73.916,11.3000021,1.3999992,a1"
STORED = JSONResponse({"result": "stored"})
SOON = timedelta(seconds=0.3)

Answer = Callable[[dict[str, Any]], Response]


class Service:
    """Keeps what it was sent, and answers what it is told to."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.taken: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.address = ""

    async def put(self, request: Request) -> Response:
        self.taken.append(await request.json())
        self.tokens.add(request.headers.get("authorization"))
        return self._answer(self.taken[-1])


@asynccontextmanager
async def service(answer: Answer = lambda _: STORED) -> AsyncGenerator[Service]:
    started = Service(answer)
    app = Starlette(routes=[Route("/location", started.put, methods=["PUT"])])
    async with serving(app, Settings(), host="127.0.0.1", port=0) as started.address:
        yield started


def file_of(folder: Path, *rows: str, header: str = HEADER) -> Path:
    file = folder / "locations.csv"
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return file


def users(*names: str) -> list[dict[str, Any]]:
    return [{"user_id": name, "lat": number} for number, name in enumerate(names)]


def test_a_numbers_text_is_a_number_and_what_is_none_stays_text(tmp_path: Path) -> None:
    rows = [ROW, "2,+.5, 7e-1 ,1e999,-1,42", "t,1_0,nan,,0x1,"]
    first, *others = read_records(file_of(tmp_path, *rows))
    assert first == {
        "timestamp": "2017-01-01 13:05:12",
        "lat": 40.701,
        "long": -73.916,
        "accuracy": 11.3000021,
        "speed": 1.3999992,
        "user_id": "a1",
    }
    assert [list(other.values()) for other in others] == [
        ["2", 0.5, " 7e-1 ", "1e999", -1, "42"],
        ["t", "1_0", "nan", "", "0x1", ""],
    ]


def test_columns_may_stand_in_any_order_beside_others_after_a_byte_order_mark(tmp_path: Path) -> None:
    file = file_of(tmp_path, "x,a1,-1,1,2,3,now", header="\ufeffnote,user_id,speed,accuracy,long,lat,timestamp")
    (record,) = read_records(file)
    assert list(record.values()) == ["now", 3, 2, 1, -1, "a1"]


@pytest.mark.parametrize(("header", "says"), [("lat,long", "timestamp"), ("", "columns"), ("x" * 200_000, "line 1")])
def test_a_file_of_something_else_is_refused_before_anything_is_sent(tmp_path: Path, header: str, says: str) -> None:
    with pytest.raises(InvalidFile, match=says):
        list(read_records(file_of(tmp_path, ROW, header=header)))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2017-01-01 13:05:12,48,85,2,35,11,3,1,4,anna", "line 3: it has 10 fields, but the header names 6"),
        ('2017-01-01 13:05:12,48,85,2,3,"anna', "line 3: a quote is opened"),
        ("2017-01-01 13:05:12,48,85,2,3", "line 3: it has 5 fields"),
    ],
)
async def test_a_file_with_a_faulty_row_is_refused_whole(tmp_path: Path, row: str, says: str) -> None:
    async with service() as there:
        file = file_of(tmp_path, ROW, row, ROW)
        code, out, err = await run("replay", "locations", str(file), "--url", there.address, folder=tmp_path)
    assert (code, out, there.taken) == (1, "", [])
    assert says in err


async def test_a_pipe_is_refused_as_it_cannot_be_checked_before_it_is_sent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, out, err = await run("replay", "locations", "pipe", folder=tmp_path)
    assert (code, out) == (1, "")
    assert "must be a file" in err


async def test_a_token_comes_from_the_environment_or_a_file_and_never_as_an_argument(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-a-file\n")
    given = "replay", "locations", str(file_of(tmp_path, ROW)), "--url"
    async with service() as there:
        assert (await run(*given, there.address, folder=tmp_path, DATACOSMOS_TOKEN="of-the-environment"))[0] == 0
        assert (await run(*given, there.address, "--token-file", "token", folder=tmp_path))[0] == 0
        assert there.tokens == {"Bearer of-the-environment", "Bearer of-a-file"}
        assert (await run(*given, there.address, "--token", "of-an-argument", folder=tmp_path))[0] == 2
    assert len(there.taken) == 2


async def test_records_arrive_in_the_order_of_the_file() -> None:
    records = users(*"abcab")
    async with service() as there:
        tally = await replay(records, there.address)
    assert there.taken == records
    assert tally == Tally(stored=5)


async def test_with_many_under_way_those_of_a_user_stay_in_order() -> None:
    records = users(*"abcdefgh" * 40)
    async with service() as there:
        tally = await replay(records, there.address, concurrency=5)
    assert tally.stored == len(records)
    assert sorted(there.taken, key=lambda record: record["user_id"]) == sorted(
        records, key=lambda each: each["user_id"]
    )


async def test_each_answer_is_counted_as_what_it_is() -> None:
    answers = {
        "stored": STORED,
        "again": JSONResponse({"result": "duplicate"}),
        "bad": Response(status_code=400),
        "full": Response(status_code=429),
        "elsewhere": Response("<html>", 200),
    }
    async with service(lambda record: answers[record["user_id"]]) as there:
        tally = await replay(users("stored", "again", "again", "bad", "full", "elsewhere"), there.address)
    assert str(tally) == "stored 1, duplicates 2, refused as invalid (400) 1, failed (200) 1, failed (429) 1"
    assert not tally.delivered
    assert Tally(stored=1, duplicates=1, invalid=1).delivered


async def test_a_service_that_is_unavailable_is_waited_for_and_sent_the_same_again() -> None:
    unavailable = [Response(status_code=status) for status in (503, 502, 504)]
    async with service(lambda _: unavailable.pop() if unavailable else STORED) as there:
        tally = await replay(users("a", "b"), there.address)
    assert [record["user_id"] for record in there.taken] == ["a", "a", "a", "a", "b"]
    assert tally == Tally(stored=2)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_is_not_delivered_stops_the_replay_and_is_told(concurrency: int) -> None:
    async with service(lambda _: Response(status_code=503)) as there:
        tally = await replay(users(*"abc" * 200), there.address, concurrency=concurrency, patience=SOON)
    assert not tally.delivered
    assert f"{there.address} answered 503" in str(tally)
    assert "send the file again" in str(tally)
    gone = await replay(users("a"), there.address, patience=SOON)
    assert f"{there.address} can't be reached" in str(gone)


async def test_the_command_tells_what_became_of_the_records_and_by_its_exit_code(tmp_path: Path) -> None:
    file = file_of(tmp_path, ROW, ROW.replace("a1", "b1"))
    outcomes: dict[str, Response] = {"a1": STORED}

    def answer(record: dict[str, Any]) -> Response:
        return outcomes[record["user_id"]]

    for status, expected in ((400, 0), (500, 1)):
        outcomes["b1"] = Response(status_code=status)
        async with service(answer) as there:
            code, out, err = await run("replay", "locations", str(file), "--url", there.address, folder=tmp_path)
        assert (code, err) == (expected, "")
        assert out.startswith("stored 1, duplicates 0, ")
        assert f"({status}) 1" in out


async def test_the_command_finds_the_service_where_the_settings_say(tmp_path: Path) -> None:
    file = str(file_of(tmp_path, ROW))
    async with service() as there:
        (tmp_path / ".env").write_text(f"DATACOSMOS_HOST=0.0.0.0\nDATACOSMOS_PORT={urlsplit(there.address).port}\n")
        assert (await run("replay", "locations", file, folder=tmp_path))[0] == 0
        assert len(there.taken) == 1
    code, _, err = await run("replay", "locations", file, folder=tmp_path, DATACOSMOS_PORT="0")
    assert code == 2
    assert "--url" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no.csv"], "no.csv"),
        (["wrong.csv"], "columns"),
        *[
            (["wrong.csv", "--url", url], "--url")
            for url in ("here:8000", "http://[::1", "http://h:99999", "http://a b")
        ],
    ],
)
async def test_what_is_wrong_with_the_command_is_one_clear_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    code, out, err = await run("replay", "locations", *arguments, folder=tmp_path)
    assert code != 0
    assert out == ""
    assert says in err.splitlines()[-1]
