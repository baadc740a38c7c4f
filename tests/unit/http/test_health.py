import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client import Gauge
from prometheus_client.parser import text_string_to_metric_families

from datacosmos.errors import QueueUnavailable, StoreUnavailable
from datacosmos.http import health
from datacosmos.http.health import Degraded, HealthCheck
from datacosmos.http.health_routes import create_health_app
from tests.asking import client_of

Ask = Callable[[], Awaitable[str]]
SCRAPED = Gauge("test_scraped", "Set before each scrape.")


async def well() -> str:
    return "up"


async def down() -> str:
    raise StoreUnavailable("MongoDB has no primary")


async def hanging() -> str:
    await asyncio.Event().wait()
    return "never"


async def late() -> str:
    raise Degraded("it is late by 40 s")


async def broken() -> str:
    raise ZeroDivisionError("at 10.0.0.7")


async def ask(path: str = "/health", **parts: HealthCheck) -> httpx.Response:
    async with client_of(create_health_app(health=parts)) as client:
        return await client.get(path)


async def test_all_parts_well_is_200() -> None:
    answer = await ask(store=HealthCheck(well), queue=HealthCheck(well))
    assert answer.status_code == 200
    up = {"status": "ok", "detail": "up"}
    assert answer.json() == {"status": "ok", "parts": {"store": up, "queue": up}}


async def test_one_critical_part_down_is_503_and_says_which() -> None:
    answer = await ask(store=HealthCheck(down), queue=HealthCheck(well))
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["parts"]["store"] == {"status": "unavailable", "detail": "MongoDB has no primary"}
    assert answer.json()["parts"]["queue"]["status"] == "ok"


async def test_a_part_that_is_not_critical_is_reported_but_no_reason_for_503() -> None:
    answer = await ask(store=HealthCheck(well), data_server=HealthCheck(down, critical=False))
    assert answer.status_code == 200
    assert answer.json()["parts"]["data_server"]["status"] == "unavailable"


async def test_a_part_that_works_but_not_as_it_should_is_degraded_and_no_reason_for_503() -> None:
    answer = await ask(store=HealthCheck(well), writer=HealthCheck(late, critical=False))
    assert answer.status_code == 200
    assert answer.json()["parts"]["writer"] == {
        "status": "degraded",
        "detail": "it is late by 40 s",
    }


@pytest.mark.parametrize(("store", "queue"), [(well, down), (down, well)])
async def test_it_is_ready_while_it_can_serve_anything_and_says_what_it_can_not(store: Ask, queue: Ask) -> None:
    parts = {"store": HealthCheck(store), "queue": HealthCheck(queue), "calculation": HealthCheck(down, critical=False)}
    ready, health = await ask("/health/ready", **parts), await ask("/health", **parts)
    assert (ready.status_code, health.status_code) == (200, 503)
    assert ready.json() == health.json()


async def test_it_is_not_ready_while_it_can_serve_nothing() -> None:
    one = {"store": HealthCheck(down), "forecasts": HealthCheck(well, critical=False)}
    for parts in (one, {"store": HealthCheck(down), "queue": HealthCheck(broken)}):
        ready = await ask("/health/ready", **parts)
        assert ready.status_code == 503
        assert ready.json()["status"] == "unavailable"
    assert (await ask("/health/ready", data_server=HealthCheck(down, critical=False))).status_code == 200


async def test_a_check_that_hangs_or_breaks_counts_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    answer = await ask(store=HealthCheck(hanging), queue=HealthCheck(broken))
    assert answer.status_code == 503
    assert "no answer" in answer.json()["parts"]["store"]["detail"]
    assert "see the log" in answer.json()["parts"]["queue"]["detail"]
    assert "10.0.0.7" not in answer.text


async def test_the_process_lives_whatever_its_parts_do() -> None:
    async with client_of(create_health_app(health={"store": HealthCheck(down)})) as client:
        assert (await client.get("/health/live")).status_code == 200


def sample(text: str, name: str, **labels: str) -> float | None:
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found[0] if found else None


async def test_gauges_are_brought_up_to_date_before_each_scrape() -> None:
    async def refresh() -> None:
        SCRAPED.inc()

    async def fail() -> None:
        raise QueueUnavailable("NATS is unavailable")

    async with client_of(create_health_app(health={}, refresh=[refresh, fail])) as client:
        first = sample((await client.get("/metrics")).text, "test_scraped")
        second = sample((await client.get("/metrics")).text, "test_scraped")
    assert first is not None
    assert second == first + 1


async def test_requests_are_measured_by_route_and_never_by_path() -> None:
    async with client_of(create_health_app(health={})) as client:
        for path in ("/health", "/secret-path-7", "/health?token=secret-path-7"):
            await client.get(path)
        await client.request("BREW", "/health")
        metrics = (await client.get("/metrics")).text
    count = "datacosmos_request_seconds_count"
    assert (sample(metrics, count, method="GET", route="/health", status="200") or 0) >= 2
    assert sample(metrics, count, method="GET", route="other", status="404")
    assert sample(metrics, count, method="other", route="/health", status="405")
    assert "secret-path-7" not in metrics
