"""The service over HTTP, on a real MongoDB."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# SciPy leaves its results untyped.

import asyncio
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
from scipy import stats

from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.auth.secret import load_issuer
from datacosmos.calculation.app import create_calculation_app
from datacosmos.calculation.calculator import Calculator
from datacosmos.calculation.client import ById, ByName, Calculation
from datacosmos.calculation.client import connect as connect_to
from datacosmos.calculation.pool import Pool
from datacosmos.domain.series import CHUNK, SECOND, Samples, between
from datacosmos.errors import CannotForecast, QueryError, UnknownSeries
from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import connect
from datacosmos.store.series.series import SeriesStore
from tests.made_series import START, each_second, noisy, seasonal

LENGTH = 3 * CHUNK + 5
RANGES = [
    (None, None),
    (START + 100 * SECOND, None),
    (None, START + 5000 * SECOND),
    (START + 4095 * SECOND, START + 4096 * SECOND),
    (START + 7 * SECOND, START + 12_000 * SECOND + 1),
]


async def stored(store: SeriesStore, samples: Samples, name: str | None = None, owner: str | None = None) -> ById:
    return ById((await store.create(owner, name, None, samples)).id)


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_average_and_sum_are_those_of_exact_arithmetic(
    store: SeriesStore, calculation: Calculation, start: int | None, end: int | None
) -> None:
    whole = noisy(LENGTH)
    answer = await calculation.average(await stored(store, whole), start, end)
    v = between(whole, start, end).v
    assert answer.count == len(v)
    assert answer.sum == math.fsum(v)
    assert answer.avg == pytest.approx(math.fsum(v) / len(v), rel=1e-15)


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_metrics_are_those_of_numpy_and_scipy(
    store: SeriesStore, calculation: Calculation, start: int | None, end: int | None
) -> None:
    whole = noisy(LENGTH)
    answer = await calculation.metrics(await stored(store, whole), start, end)
    v = between(whole, start, end).v
    exact = v - 1e9  # so that SciPy loses nothing to cancellation
    described = stats.describe(exact, ddof=0)
    assert (answer.count, answer.min, answer.max) == (len(v), v.min(), v.max())
    assert answer.mean == pytest.approx(1e9 + float(described.mean), rel=1e-15)
    assert answer.std == pytest.approx(math.sqrt(described.variance), rel=1e-9)
    assert answer.sum == pytest.approx(math.fsum(v), rel=1e-15)
    assert [answer.p05, answer.median, answer.p95] == np.quantile(v, [0.05, 0.5, 0.95]).tolist()
    assert answer.rms == pytest.approx(np.sqrt(np.mean(np.square(v))), rel=1e-14)
    assert answer.peak_to_peak == np.ptp(v)
    assert answer.crest_factor == pytest.approx(np.abs(v).max() / np.sqrt(np.mean(np.square(v))), rel=1e-14)


async def test_a_range_without_points_has_the_sum_zero_and_nothing_else(
    store: SeriesStore, calculation: Calculation
) -> None:
    for series in (await stored(store, noisy(10)), await stored(store, noisy(0))):
        average = await calculation.average(series, start=START + SECOND * 100)
        assert (average.count, average.avg, average.sum) == (0, None, 0)
        metrics = await calculation.metrics(series, start=START + SECOND * 100)
        assert (metrics.count, metrics.sum, metrics.median, metrics.std) == (0, 0, None, None)


async def test_a_name_means_its_owners_series(store: SeriesStore, calculation: Calculation) -> None:
    for owner, v in (("ada", 1.0), ("bob", 2.0), (None, 3.0)):
        await stored(store, each_second(np.full(4, v)), "mast", owner)
        assert (await calculation.average(ByName(owner, "mast"))).avg == v
    await stored(store, noisy(3), "only ada's", "ada")
    for missing in (ByName("bob", "only ada's"), ByName(None, "only ada's"), ByName("eve", "mast"), ById("none")):
        for asked in (calculation.average(missing), calculation.metrics(missing)):
            with pytest.raises(UnknownSeries, match="no such series"):
                await asked


async def test_a_range_that_ends_before_it_starts_is_refused(store: SeriesStore, calculation: Calculation) -> None:
    series = await stored(store, noisy(3))
    for asked in (calculation.average(series, 5, 4), calculation.metrics(series, 5, 4)):
        with pytest.raises(QueryError, match="after end"):
            await asked
    with pytest.raises(QueryError, match="start"):
        await calculation.average(series, start=1 << 70)


async def test_a_forecast_foretells_the_season_and_says_of_what(
    settings: Settings, store: SeriesStore, calculation: Calculation
) -> None:
    whole = seasonal(1000, 12)
    series = await stored(store, whole[:900])
    answer = await calculation.forecast(series, horizon=24, levels=[95, 80, 80], season_length=12)
    assert (answer.points_used, answer.season_length, answer.interval) == (settings.forecast_max_points, 12, 1)
    assert [point.t for point in answer.points] == (whole.t[900:924] // SECOND).tolist()
    assert np.abs(np.array([point.v for point in answer.points]) - whole.v[900:924]).mean() < 0.5
    assert [[interval.level for interval in point.intervals] for point in answer.points] == [[80, 95]] * 24


@pytest.mark.parametrize(
    ("samples", "season", "says"),
    [
        (noisy(9), 1, "needs 10 points"),
        (noisy(0), 1, "needs 10 points"),
        (noisy(100), 60, "needs 120 points"),
        (noisy(600), 251, "too long"),
        (noisy(100)[np.delete(np.arange(100), 50)], 1, "not evenly sampled"),
    ],
)
async def test_what_can_not_be_foretold_is_refused_with_the_reason(
    store: SeriesStore, calculation: Calculation, samples: Samples, season: int, says: str
) -> None:
    with pytest.raises(CannotForecast, match=says):
        await calculation.forecast(await stored(store, samples), horizon=3, levels=[80], season_length=season)


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"horizon": 1001}, {"levels": [0]}, {"levels": [100]}, {"season_length": 0}]
)
async def test_a_question_out_of_bounds_is_refused_by_the_parameters_name(
    store: SeriesStore, calculation: Calculation, wrong: dict[str, Any]
) -> None:
    series = await stored(store, noisy(100))
    asked: dict[str, Any] = {"horizon": 3, "levels": [80]} | wrong
    with pytest.raises(QueryError, match=next(iter(wrong)).removesuffix("s")):
        await calculation.forecast(series, **asked)


class Counted(Pool):
    """Tells how often something was calculated."""

    calculations = 0

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        self.calculations += 1
        return await super().run(*args, **kwargs)


async def test_a_forecast_is_calculated_once_for_each_version_of_the_series(
    settings: Settings, store: SeriesStore
) -> None:
    pool = Counted(1)
    app = create_calculation_app(Calculator(store, pool, 500), issuers=[load_issuer(settings)], health={})
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
    calculation = Calculation(client, load_issuer(settings))
    whole = seasonal(120, 12)
    series = await stored(store, whole[:100])
    first, *same = await asyncio.gather(
        *(calculation.forecast(series, horizon=5, levels=[80], season_length=12) for _ in range(5))
    )
    assert same == [first] * 4
    assert pool.calculations == 1
    await calculation.forecast(series, horizon=6, levels=[80], season_length=12)
    assert pool.calculations == 2
    snapshot = await store.get(series.id)
    assert snapshot is not None
    await store.append(snapshot, whole[100:])
    later = await calculation.forecast(series, horizon=5, levels=[80], season_length=12)
    assert (pool.calculations, later.points_used) == (3, 120)
    await pool.close()


def token(settings: Settings, role: Role, age: timedelta = timedelta(0)) -> str:
    now = datetime.now(UTC) - age
    return load_issuer(settings).issue(role=role, subject="x", lifetime=timedelta(seconds=60), now=now)


async def test_only_a_fresh_token_of_the_role_service_opens_a_calculation(
    settings: Settings, store: SeriesStore, address: str
) -> None:
    series = await stored(store, noisy(100))
    other = SharedSecret("x" * 40).issue(role=Role.SERVICE, subject="x", lifetime=timedelta(60), now=datetime.now(UTC))
    expected = {
        None: 401,
        "Basic eDp5": 401,
        "Bearer rubbish": 401,
        f"Bearer {other}": 401,
        f"Bearer {token(settings, Role.SERVICE, timedelta(seconds=62))}": 401,
        f"Bearer {token(settings, Role.USER)}": 403,
        f"Bearer {token(settings, Role.ADMIN)}": 403,
        f"Bearer {token(settings, Role.SERVICE)}": 200,
        f"Bearer {token(settings, Role.SERVICE, -timedelta(seconds=20))}": 200,  # made by a clock that is ahead
    }
    async with httpx.AsyncClient(base_url=address) as client:
        for path in ("average", "metrics", "forecast"):
            for authorization, status in expected.items():
                headers = {"Authorization": authorization} if authorization else {}
                asked = {"id": series.id} | ({"horizon": "3", "level": "80"} if path == "forecast" else {})
                answer = await client.get(f"/calculations/{path}", params=asked, headers=headers)
                assert answer.status_code == status
                assert status == 200 or answer.headers["content-type"] == "application/problem+json"


async def test_a_series_is_asked_for_by_id_or_by_name(settings: Settings, address: str) -> None:
    headers = {"Authorization": f"Bearer {token(settings, Role.SERVICE)}"}
    async with httpx.AsyncClient(base_url=address, headers=headers) as client:
        for asked in ({}, {"owner": "ada"}, {"id": "x", "name": "y"}):
            answer = await client.get("/calculations/average", params=asked)
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["parameter"] == "id"


@pytest.mark.parametrize("what", ["metrics", "forecast"])
async def test_the_service_answers_others_while_a_long_calculation_runs(
    store: SeriesStore, calculation: Calculation, address: str, what: str
) -> None:
    series = await stored(store, noisy(3_000_000))
    long = asyncio.create_task(
        calculation.metrics(series)
        if what == "metrics"
        else calculation.forecast(series, horizon=1000, levels=[80], season_length=24)
    )
    answers = 0
    async with httpx.AsyncClient(base_url=address) as client:
        while not long.done():
            assert (await client.get("/health/live")).status_code == 200
            answers += 1
    await long
    assert answers >= 5


async def test_a_store_that_is_unavailable_is_a_503(settings: Settings, pool: Pool) -> None:
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true"
    async with connect(nowhere, "unavailable", timedelta(milliseconds=100)) as database:
        calculator = Calculator(SeriesStore(database), pool, 500)
        app = create_calculation_app(calculator, issuers=[load_issuer(settings)], health={})
        headers = {"Authorization": f"Bearer {token(settings, Role.SERVICE)}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answer = await client.get("/calculations/average", params={"id": "x"}, headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("route", ["average", "metrics", "forecast"])
async def test_nothing_waits_for_a_calculation_once_its_client_has_left(settings: Settings, route: str) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def calculate(*_: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    issuer = load_issuer(settings)
    app = create_calculation_app(Mock(**{route: calculate}), issuers=[issuer], health={})
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        connect_to(address, issuer=issuer, timeout=timedelta(minutes=1)) as calculation,
        asyncio.timeout(10),
    ):
        questions = {
            "average": calculation.average,
            "metrics": calculation.metrics,
            "forecast": partial(calculation.forecast, horizon=1, levels=[95]),
        }
        asking = asyncio.create_task(questions[route](ById("any")))
        await asked.wait()
        asking.cancel()
        await left.wait()


async def test_its_documentation_lists_every_route_and_comes_from_us(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert {f"/calculations/{what}" for what in ("average", "metrics", "forecast")} <= paths.keys()
        assert {"/health", "/health/live", "/metrics"} <= paths.keys()
        page = (await client.get("/docs")).text
        assert "cdn" not in page
        assert (await client.get("/nothing")).headers["content-type"] == "application/problem+json"
