"""`query`, `export` and `import` as a user types them, beside a running service."""

import asyncio
import fcntl
import json
import os
import struct
import termios
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datacosmos.cli.pushing import BATCH
from datacosmos.engines import running_engines
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import connect
from datacosmos.store.stores import Stores
from tests.programs import COMMAND, NO_CALCULATION, Program, environment, program, run
from tests.scripted_server import Act, scripted_server
from tests.some_points import named

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("remote")]
COLUMNS = ("--time", "when", "--value", "reading")
SECRET = "a-token-that-nobody-may-see"
CONTINUES = b"\xff" * 4  # before each message of Arrow's stream
NEWEST = "{ points { time value } }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Program]:
    """A demo that has points already."""
    folder = tmp_path_factory.mktemp("service")
    async with program(folder, "serve", "--demo", "--port", "0", **NO_CALCULATION) as started:
        async with asyncio.timeout(60):
            while not (await started.ask(NEWEST))["data"]["points"]:
                await asyncio.sleep(0.1)
        yield started


@pytest.fixture
def typed(service: Program, tmp_path: Path) -> Callable[..., Any]:
    """What a command prints whose user has set the service's address."""

    async def type_in(*arguments: str, **variables: str) -> tuple[int, str, str]:
        return await run(*arguments, folder=tmp_path, **{"DATACOSMOS_URL": service.address} | variables)

    return type_in


def csv_of(folder: Path, *rows: str, header: str = "when,reading,where") -> str:
    file = folder / "points.csv"
    file.write_bytes("\r\n".join([header, *rows, ""]).encode())
    return str(file)


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def token(service: Program, role: str = "user", subject: str = "ada") -> str:
    _, out, _ = await run("token", "--role", role, "--subject", subject, folder=service.folder)
    return out.strip()


async def stored(typed: Callable[..., Any], name: str, **variables: str) -> Any:
    text = f'{{ storedSeries(name: "{name}") {{ count sampled {{ points {{ time value }} }} }} }}'
    code, out, err = await typed("query", text, **variables)
    assert (code, err) == (0, "")
    return json.loads(out)["data"]["storedSeries"]


async def test_a_query_prints_its_answer(typed: Callable[..., Any]) -> None:
    code, out, err = await typed("query", "{ latest { time value } }")
    [latest] = json.loads(out)["data"]["latest"]
    assert (code, err) == (0, "")
    assert latest.keys() == {"time", "value"}


async def test_what_is_wrong_with_a_query_is_a_line_and_the_exit_code(typed: Callable[..., Any]) -> None:
    code, out, err = await typed("query", '{ latest { time } points(start: "soon") { time } }')
    assert code == 1
    assert "errors" in json.loads(out)
    assert err.startswith("datacosmos: ")
    assert "soon" in err
    assert err.count("\n") == 1


async def test_a_token_comes_from_the_environment_or_a_file_and_never_shows(
    typed: Callable[..., Any], service: Program, tmp_path: Path
) -> None:
    discards = "{ discards { reason } }"
    (tmp_path / "admin").write_text(await token(service, "admin") + "\n")
    (tmp_path / "wrong").write_text(SECRET)
    code, out, _ = await typed("query", discards)
    assert (code, "UNAUTHENTICATED" in out) == (1, True)
    for given in ([], ["--token-file", "wrong"]):
        code, out, err = await typed("export", "points", "--series", "a1", *given, DATACOSMOS_TOKEN=SECRET)
        assert (code, out) == (1, "")
        assert "answered 401" in err
        assert "DATACOSMOS_TOKEN or --token-file" in err
        assert SECRET not in err
    assert (await typed("query", discards, "--token-file", "admin", DATACOSMOS_TOKEN=SECRET))[0] == 0
    assert (await typed("query", discards, DATACOSMOS_TOKEN=(tmp_path / "admin").read_text().strip()))[0] == 0


@pytest.mark.parametrize("text", ["two words", "na\u00efve"])
async def test_what_can_be_no_token_is_refused_unseen(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    code, out, err = await run("query", "{ latest { time } }", "--token-file", "token", folder=tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "token" in err
    assert text not in err


@pytest.mark.parametrize("command", ["query", "export", "import"])
async def test_where_nobody_answers_the_address_is_named(tmp_path: Path, command: str) -> None:
    arguments = {
        "query": ("query", NEWEST),
        "export": ("export", "points", "--output", "points.json"),
        "import": ("import", csv_of(tmp_path, "0,1,a"), *COLUMNS, "--name", "where"),
    }[command]
    code, out, err = await run(*arguments, folder=tmp_path, DATACOSMOS_HOST="127.0.0.1", DATACOSMOS_PORT="1")
    assert (code, out) == (1, "")
    assert err.startswith("datacosmos: no service can be reached at http://127.0.0.1:1: ")
    assert err.count("\n") == 1
    assert set(names_in(tmp_path)) <= {"points.csv"}


async def test_an_address_may_be_given_and_its_password_never_shows(tmp_path: Path, service: Program) -> None:
    given = ("query", NEWEST, "--url", service.address)
    assert (await run(*given, folder=tmp_path, DATACOSMOS_URL="http://127.0.0.1:1"))[0] == 0
    code, _, err = await run("query", NEWEST, "--url", f"http://me:{SECRET}@127.0.0.1:1", folder=tmp_path)
    assert (code, SECRET in err) == (1, False)
    code, _, err = await run("query", NEWEST, "--url", "here", folder=tmp_path)
    assert (code, "--url" in err) == (2, True)


async def test_an_export_is_what_the_service_gives_of_the_range(
    typed: Callable[..., Any], service: Program, tmp_path: Path
) -> None:
    first, *_ = (await service.ask(NEWEST))["data"]["points"]
    time = first["time"]
    code, out, err = await typed("export", "points", "--start", time, "--end", time)
    assert (code, err) == (0, "")
    assert json.loads(out)[0] == first
    code, out, err = await typed("export", "points", "--end", time, "--output", "points.json")
    assert (code, out, err) == (0, "", "")
    assert json.loads((tmp_path / "points.json").read_text())[-1]["time"] == time
    assert names_in(tmp_path) == ["points.json"]


@pytest.mark.parametrize(
    ("kind", "row"), [("ndjson", '{{"time":"{time}","value":{value}}}\n'), ("csv", "{time},{value}\r\n")]
)
async def test_an_export_has_the_format_that_is_asked_for(
    typed: Callable[..., Any], service: Program, kind: str, row: str
) -> None:
    first, *_ = (await service.ask(NEWEST))["data"]["points"]
    code, out, _ = await typed("export", "points", "--end", first["time"], "--format", kind)
    assert code == 0
    assert row.format(**first).strip() in out.splitlines()


async def test_points_are_exported_as_arrow(typed: Callable[..., Any], service: Program, tmp_path: Path) -> None:
    first, *_ = (await service.ask(NEWEST))["data"]["points"]
    given = ("--end", first["time"], "--format", "arrow", "--output", "points.arrow")
    assert await typed("export", "points", *given) == (0, "", "")
    written = (tmp_path / "points.arrow").read_bytes()
    assert written.startswith(CONTINUES)
    assert written.endswith(CONTINUES + bytes(4))


async def test_administrators_export_discards(typed: Callable[..., Any], service: Program) -> None:
    query = "{ discards(reason: MALFORMED) { id source reason } }"
    variables = {"DATACOSMOS_TOKEN": await token(service, "admin")}
    async with asyncio.timeout(60):
        while not (found := (await service.ask(query, token=variables["DATACOSMOS_TOKEN"]))["data"]["discards"]):
            await asyncio.sleep(0.1)
    given = ("export", "discards", "--reason", "malformed", "--source", found[0]["source"])
    code, out, err = await typed(*given, **variables)
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows[0]["id"] == found[0]["id"]
    assert {row["reason"] for row in rows} == {"MALFORMED"}
    code, out, _ = await typed(*given, "--format", "csv", **variables)
    assert (code, out.startswith("id,")) == (0, True)
    code, out, err = await typed(*given, DATACOSMOS_TOKEN=await token(service))
    assert (code, out, "answered 403" in err) == (1, "", True)


async def test_an_export_that_is_refused_leaves_no_file_and_says_why(typed: Callable[..., Any], tmp_path: Path) -> None:
    code, out, err = await typed("export", "points", "--start", "soon", "--output", "points.json")
    assert (code, out) == (1, "")
    assert "answered 400: start: 'soon'" in err
    code, _, err = await typed("export", "points", "--output", "nowhere/points.json")
    assert (code, err.count("\n")) == (1, 1)
    assert "nowhere/points.json.part can't be written" in err
    assert names_in(tmp_path) == []


async def test_progress_is_shown_on_a_terminal_and_nowhere_else(service: Program, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    export = await asyncio.create_subprocess_exec(
        *(*COMMAND, "export", "points", "--url", service.address),
        cwd=tmp_path, env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    out, _ = await export.communicate()
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert json.loads(out)
    assert f"{len(out)}" in shown
    assert "bytes" in shown


def cut(head: str, body: bytes) -> Act:
    """An answer that ends before it is over."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return act


@pytest.mark.parametrize(
    ("head", "body"), [("Content-Length: 100\r\n", b"[1"), ("Transfer-Encoding: chunked\r\n", b"2\r\n[1\r\n")]
)
async def test_a_transfer_that_breaks_off_never_looks_whole(tmp_path: Path, head: str, body: bytes) -> None:
    (tmp_path / "points.json").write_text("[]")
    async with scripted_server() as server:
        server.play(cut(head, body), cut(head, body))
        given = ("export", "points", "--url", server.url)
        code, out, err = await run(*given, "--output", "points.json", folder=tmp_path)
        assert (code, out) == (1, "")
        assert "points.json.part is not whole" in err
        assert (await run(*given, folder=tmp_path))[0] == 1
    assert (tmp_path / "points.json.part").read_text() == "[1"
    assert (tmp_path / "points.json").read_text() == "[]"


async def test_an_answer_of_another_kind_or_without_a_known_end_is_no_export(tmp_path: Path) -> None:
    async with scripted_server() as server:
        server.play(cut("", b"[]"), cut("Content-Length: 2\r\n", b"[]"))
        code, out, err = await run("export", "points", "--url", server.url, folder=tmp_path)
        assert (code, out, "where an answer ends" in err) == (1, "", True)
        code, out, err = await run("export", "points", "--format", "csv", "--url", server.url, folder=tmp_path)
        assert (code, out, "does not give text/csv" in err) == (1, "", True)


async def test_a_long_answer_goes_through_a_pipe_as_a_whole_also_without_buffers(tmp_path: Path) -> None:
    """As in a container, where PYTHONUNBUFFERED is set: a write then may take no more than a pipe has room for."""
    long = b'{"data":{"a":"' + b"x" * (1 << 20) + b'"}}'

    async def answer(_: Request) -> Response:
        return Response(long, media_type="application/json")

    app = Starlette(routes=[Route("/graphql", answer, methods=["POST"]), Route("/points", answer)])
    async with serving(app, Settings(), host="127.0.0.1", port=0) as address:
        for command in (("query", NEWEST), ("export", "points")):
            assert (await through_a_full_pipe(*command, "--url", address, folder=tmp_path)).strip() == long


async def through_a_full_pipe(*arguments: str, folder: Path) -> bytes:
    """What a command writes into a pipe from which nobody reads until it is full."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as pipe:
        command = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, cwd=folder, env=environment({"PYTHONUNBUFFERED": "1"}), stdout=theirs
        )
        os.close(theirs)
        async with asyncio.timeout(60):
            while struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0] < 1 << 15:
                await asyncio.sleep(0.01)
            written = await asyncio.to_thread(pipe.read)
        assert await command.wait() == 0
    return written


async def test_points_are_imported_by_the_name_in_a_column_and_again_change_nothing(
    typed: Callable[..., Any], service: Program, tmp_path: Path
) -> None:
    file = csv_of(tmp_path, "0,1.5,mast", "2024-03-28T16:55:34.5Z,-2,mast", "0,3,roof/north", "0,9,mast")
    variables = {"DATACOSMOS_TOKEN": await token(service)}
    command = ("import", file, *COLUMNS, "--name", "where")
    assert await typed(*command, **variables) == (0, "stored 3, already there 1, faulty 0\n", "")
    assert await typed(*command, **variables) == (0, "stored 0, already there 4, faulty 0\n", "")
    mast = await stored(typed, "mast", **variables)
    assert mast["sampled"]["points"] == [
        {"time": "1970-01-01T00:00:00Z", "value": 1.5},
        {"time": "2024-03-28T16:55:34.500000Z", "value": -2.0},
    ]
    assert (await stored(typed, "roof/north", **variables))["count"] == 1
    assert await stored(typed, "mast") is None


async def test_good_rows_are_kept_and_faulty_ones_named_with_their_lines(
    typed: Callable[..., Any], tmp_path: Path
) -> None:
    file = csv_of(tmp_path, "0,1,x", "soon,1,x", '1,1,"a\r\nb"', "2,,x", "3,1,x")
    code, out, err = await typed("import", file, *COLUMNS, "--literal-name", "faulty")
    assert (code, out) == (3, "stored 3, already there 0, faulty 2\n")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["line 3", "line 6"]
    assert (await stored(typed, "faulty"))["count"] == 3


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        ("when,reading,where", "1,2", f"line {BATCH + 2}: it has 2 fields"),
        ("when,reading,where", '1,"2"3,a', f"line {BATCH + 2}: field 2"),
        ("when,reading,place", "1,2,a", "line 1: the header must name the columns; missing: where"),
    ],
)
async def test_a_file_without_the_columns_or_that_is_no_csv_is_taken_not_at_all(
    typed: Callable[..., Any], tmp_path: Path, header: str, row: str, says: str
) -> None:
    file = csv_of(tmp_path, *["0,1,untouched"] * BATCH, row, header=header)
    code, out, err = await typed("import", file, *COLUMNS, "--name", "where")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert says in err
    assert await stored(typed, "untouched") is None


@pytest.mark.parametrize(
    "given", [(), ("--name", "where", "--literal-name", "a"), ("--literal-name", ""), ("--literal-name", "a\nb")]
)
async def test_exactly_one_name_that_can_be_is_asked_for(tmp_path: Path, given: tuple[str, ...]) -> None:
    code, out, err = await run("import", csv_of(tmp_path, "0,1,a"), *COLUMNS, *given, folder=tmp_path)
    assert (code, out) == (2, "")
    assert "--literal-name" in err.splitlines()[-1]


async def test_an_import_waits_for_a_service_that_answered_before_and_says_where_it_broke_off(tmp_path: Path) -> None:
    file = csv_of(tmp_path, *(f"{n},1,a" for n in range(2 * BATCH + 9)))
    whole = JSONResponse({"stored": BATCH, "already": 0}, 201)
    answers = [whole, Response(status_code=503), whole, Response(status_code=401)]
    taken = list[list[dict[str, Any]]]()

    async def push(request: Request) -> Response:
        taken.append(await request.json())
        return answers[len(taken) - 1]

    app = Starlette(routes=[Route("/api", push, methods=["POST"])])
    async with serving(app, Settings(), host="127.0.0.1", port=0) as address:
        command = ("import", file, *COLUMNS, "--name", "where", "--url", address)
        code, out, err = await run(*command, folder=tmp_path)
    assert (code, out) == (1, "")
    assert taken[1] == taken[2]
    assert [(batch[0]["t"], batch[-1]["t"]) for batch in taken[1:]] == [(BATCH, 2 * BATCH - 1)] * 2 + [
        (2 * BATCH, 2 * BATCH + 8)
    ]
    assert "answered 401" in err.splitlines()[-1]
    assert f"up to line {2 * BATCH + 1} all is stored; import the file again" in err


async def test_an_import_killed_between_a_batch_and_its_answer_goes_on_where_it_was(
    typed: Callable[..., Any], service: Program, tmp_path: Path
) -> None:
    rows = [f"{n},1,killed" for n in range(2 * BATCH + 9)]
    rows[3] = rows[BATCH + 3] = "soon,1,killed"
    command = ("import", csv_of(tmp_path, *rows), *COLUMNS, "--name", "where")
    taken, stored_twice, over = list[int](), asyncio.Event(), asyncio.Event()

    async def push(request: Request) -> Response:
        answer = await client.post("/api", content=await request.body())
        taken.append(answer.json()["stored"])
        if len(taken) == 2:
            stored_twice.set()
            await over.wait()
        return JSONResponse(answer.json(), 201)

    app = Starlette(routes=[Route("/api", push, methods=["POST"])])
    headers = {"Content-Type": "application/json"}
    async with (
        httpx.AsyncClient(base_url=service.address, headers=headers, timeout=60) as client,
        serving(app, Settings(), host="127.0.0.1", port=0) as address,
    ):
        killed = await asyncio.create_subprocess_exec(
            *(*COMMAND, *command, "--url", address), cwd=tmp_path, env=environment({}), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            await stored_twice.wait()
        killed.kill()
        _, err = await killed.communicate()
        over.set()
    assert taken == [BATCH - 1, BATCH - 1]
    assert err.startswith(b"line 5: ")
    code, out, err = await typed(*command)
    assert (code, out) == (3, f"stored 9, already there {2 * BATCH - 2}, faulty 2\n")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["line 5", f"line {BATCH + 5}"]
    assert (await stored(typed, "killed"))["count"] == len(rows) - 2


async def test_a_running_service_sums_up_what_it_takes_in_and_what_differs_is_told_and_mended(service: Program) -> None:
    url = running_engines(service.folder / "data").mongodb_url
    assert url is not None
    async with connect(url, "datacosmos", Settings().mongodb_timeout) as database, asyncio.timeout(60):
        while not await database["summaries"].find_one({"_id.level": "day"}):
            await asyncio.sleep(0.1)
        await Stores.of(database).points.add([named("unknown to all summaries")])
    told = "datacosmos: the hour from 2024-03-28T12:00:00+00:00 on"
    for flag, code, is_told in (("--check", 1, True), ("--mend", 0, True), ("--check", 0, False)):
        found, out, err = await run("summarise", flag, folder=service.folder)
        assert (found, told in out.splitlines()) == (code, is_told), err
