import httpx
import pytest

from datacosmos.store.points.points import Points
from tests.asking import NOON, ask, point

BY_VARIABLE = "query($start: DateTime) { points(start: $start) { time } }"


@pytest.mark.parametrize(
    "noon",
    [
        "2024-03-28T12:00:00Z",
        "2024-03-28T12:00Z",
        "2024-03-28T12:00:00.000Z",
        "2024-03-28T12:00:00,000000Z",
        "2024-03-28T13:00:00+01:00",
        "2024-03-28T06:30:00-05:30",
        "2024-03-28T13:00:00+01",
        "20240328T120000Z",
        "2024-W13-4T12:00:00Z",
        "2024-03-28t12:00:00.000999999z",
        "2024-03-28 12:00Z",
    ],
)
async def test_iso_8601_with_an_offset_is_read(client: httpx.AsyncClient, points: Points, noon: str) -> None:
    await points.add([point(NOON)])
    query = f'{{ points(start: "{noon}", end: "{noon}") {{ time }} }}'
    assert (await ask(client, query))["data"] == {"points": [{"time": "2024-03-28T12:00:00Z"}]}
    assert (await ask(client, BY_VARIABLE, start=noon))["data"] == {"points": [{"time": "2024-03-28T12:00:00Z"}]}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "noon",
        "2024-03-28",
        "2024-03-28T12:00:00",
        "2024-03-28T12:00:00.0000000000Z",
        "2024-03-28T12:00.5Z",
        "2024-03-28x12:00:00Z",
        "2024-03-28T12:00:00 Z",
        "2024-02-30T12:00:00Z",
        "2024-03-28T24:00:01Z",
        "2024-03-28T12:00:00+25:00",
        "2024-03-28T12:00:00+00:00:60",
        "0001-01-01T00:00:00+01:00",
        "+12024-03-28T12:00:00Z",
        "1711644934",
        1711644934,
        1.5,
        True,
        ["2024-03-28T12:00:00Z"],
        {},
        "x" * 10_000,
    ],
)
async def test_anything_else_is_refused_with_a_clear_error(client: httpx.AsyncClient, wrong: object) -> None:
    answer = await ask(client, BY_VARIABLE, start=wrong)
    assert "data" not in answer
    [error] = answer["errors"]
    assert "DateTime: " in error["message"]
    assert len(error["message"]) < 300


@pytest.mark.parametrize("wrong", ['"noon"', "1711644934", "1.5", "true", "NOON", "[]", "{}"])
async def test_a_wrong_literal_is_refused_too(client: httpx.AsyncClient, wrong: str) -> None:
    answer = await ask(client, f"{{ points(start: {wrong}) {{ time }} }}")
    assert "data" not in answer
    assert "DateTime" in answer["errors"][0]["message"]


RANGE = 'start: "2024-03-28T12:00:00Z", end: "2024-03-28T13:00:00Z"'


@pytest.mark.parametrize(
    ("query", "scalar"),
    [
        ("{ points(start: %s) { time } }", "DateTime"),
        ("query($start: DateTime = %s) { points(start: $start) { time } }", "DateTime"),
        (f"{{ buckets({RANGE},\n  interval: %s) {{ count }} }}", "Duration"),
    ],
)
async def test_the_error_of_a_wrong_literal_points_to_it(client: httpx.AsyncClient, query: str, scalar: str) -> None:
    before = query.partition("%s")[0].split("\n")
    place = {"line": len(before), "column": len(before[-1]) + 1}
    await ask(client, query % ('"PT5M"' if scalar == "Duration" else '"2024-03-28T12:00:00Z"'))
    for wrong in ('"noon"', "7", "[1]"):  # also where the service knows the query but for its literals
        [error] = (await ask(client, query % wrong))["errors"]
        assert error["message"].startswith(f"{scalar}: ")
        assert error["locations"] == [place]


async def test_the_ends_of_the_calendar_are_good_bounds(client: httpx.AsyncClient, points: Points) -> None:
    await points.add([point(NOON)])
    query = '{ points(start: "0001-01-01T00:00:00Z", end: "9999-12-31T23:59:59.999Z") { time } }'
    assert len((await ask(client, query))["data"]["points"]) == 1
