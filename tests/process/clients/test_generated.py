"""Clients that are generated from what we publish of ourselves."""

# pyright: reportUnknownMemberType=false

import asyncio
import importlib
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from datacosmos.programs.server import serving
from datacosmos.settings import Settings
from datacosmos.sources.encoded import Encoded
from datacosmos.store.stores import Stores
from tests.asking import LOCATION, NO_QUEUE, NOON, app_of, point
from tests.process.clients import node

ROOT = Path(__file__).parents[3]
PACKAGE = "generated_datacosmos"
SENSOR = {"id": "a", "type": "Sensor", "content": {"temperature_f": 1, "time_of_measurement": "2019-06-24T15:00:00"}}
CONFIG = "post_hooks: []\n"  # nobody reads what it makes


async def generate(document: bytes, folder: Path) -> str:
    """Makes the package, and tells what the generator said."""
    (folder / "openapi.json").write_bytes(document)
    (folder / "config.yml").write_text(CONFIG)
    options = ["--path", "openapi.json", "--config", "config.yml", "--output-path", PACKAGE, "--meta", "none"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openapi_python_client", "generate", *options),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_a_client_generated_from_the_openapi_document_works(
    settings: Settings, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Encoded] = []

    async def publish(delivery: Encoded) -> None:
        published.append(delivery)

    await stores.points.add([point(NOON, value=0.5)])
    app = app_of(settings, stores, intake=replace(NO_QUEUE, publish=publish))
    async with (
        serving(app, settings, host="127.0.0.1", port=0) as address,
        httpx.AsyncClient() as plain,
        AsyncExitStack() as resources,
    ):
        said = await generate((await plain.get(f"{address}/openapi.json")).content, tmp_path)
        # Of all that we take, it knows no JSON line by line, and leaves out that body alone.
        assert "will not be generated" not in said
        assert said.count("WARNING") == said.count("Unsupported content type application/x-ndjson"), said
        monkeypatch.syspath_prepend(str(tmp_path))

        def part(name: str) -> Any:
            return importlib.import_module(f"{PACKAGE}.{name}")

        async def call(route: str, **arguments: Any) -> Any:
            return await part(f"api.{route}").asyncio(client=client, **arguments)

        models = part("models")
        client = await resources.enter_async_context(part("client").Client(base_url=address))
        record = models.SensorRecord.from_dict(SENSOR)
        for body in (record, [record, record]):
            assert (await call("sensors.push_sensors", body=body)).accepted > 0
        assert [delivery.receipt.readings for delivery in published] == [1, 2]
        named = [models.PushNamedPointsBodyItem(name="mast", t=t, v=2.0) for t in (1, 2)]
        assert (await call("named_points.push_named_points", body=named)).stored == 2
        assert (await call("named_points.average_named_points", name="mast", from_="1")).sum_ == 4
        even = models.CreateSeriesBodyType1(start=0, interval=1, values=[1.0, 2.0])
        made = await call("series.create_series", body=even)
        assert [p.v for p in (await call("series.read_series", id=made.id)).points] == [1, 2]
        assert (await call("series.list_series", limit=5)).series[1].id == made.id
        location = models.PutLocationsBody.from_dict(LOCATION)
        assert (await call("locations.put_locations", body=location)).result == "stored"
        [exported] = await call("points.export_points", start=NOON.isoformat())
        assert (exported.time, exported.value) == (NOON, 0.5)
        asked = models.PostGraphqlBody(query="{ points { value } }")
        assert (await call("graphql.post_graphql", body=asked)).data.to_dict() == {"points": [{"value": 0.5}]}
        refused = await call("series.read_series", id="x", from_="noon")
        assert (type(refused).__name__, refused.status) == ("Problem", 400)


async def test_types_generated_from_the_graphql_schema_hold(tmp_path: Path) -> None:
    await node("codegen.mjs", str(ROOT / "schema.graphql"), str(tmp_path))
