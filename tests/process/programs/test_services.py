"""The programs beside one another, as an operator runs them."""

import asyncio
import json
import signal
import stat
from pathlib import Path

import httpx

from datacosmos.engines import running_engines
from datacosmos.settings import Settings
from datacosmos.store.mongo.connection import connect
from tests.programs import COMMAND, environment, program, run
from tests.queues import jetstream


async def test_an_api_beside_a_running_serve_changes_nothing_of_what_that_set(tmp_path: Path) -> None:
    set_by_serve = {"DATACOSMOS_DISCARD_RETENTION": "7d", "DATACOSMOS_QUEUE_MAX_BYTES": "64MiB"}
    async with (
        program(tmp_path, "serve", "--port", "0", **set_by_serve),
        program(tmp_path, "api", "--port", "0") as api,
    ):
        assert (await api.get("/health")).json()["status"] == "ok"
        endpoints = running_engines(tmp_path / "data")
        assert endpoints.mongodb_url is not None
        settings = Settings.model_validate({"nats_url": endpoints.nats_url})
        async with connect(endpoints.mongodb_url, "datacosmos", settings.mongodb_timeout) as database:
            indexes = await database["points"].index_information()
        assert indexes["retention"]["expireAfterSeconds"] == 7 * 86400
        async with jetstream(settings) as beneath:
            assert (await beneath.stream_info("readings")).config.max_bytes == 64 << 20
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def test_a_stop_is_heard_while_the_engines_are_still_waited_for(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "ingest",
        cwd=tmp_path,
        env=environment({"DATACOSMOS_NATS_URL": "nats://127.0.0.1:1"}),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"waiting" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_with_json_logs_all_that_is_said_is_json_and_says_where_it_is(tmp_path: Path) -> None:
    logs_as_json = {"DATACOSMOS_LOG_FORMAT": "json"}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("simulate", "data-server", "--port", "0"),
        cwd=tmp_path,
        env=environment(logs_as_json),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while (line := json.loads(await process.stderr.readline()))["event"] != "ready":
            pass
        async with httpx.AsyncClient() as client:
            assert (await client.get(line["url"])).status_code in {200, 404}
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    assert out == b""
    assert [json.loads(line) for line in err.splitlines()]

    code, out, err = await run("write", folder=tmp_path, **logs_as_json)
    assert (code, out) == (1, "")
    assert "datacosmos serve" in json.loads(err)["error"]


async def test_with_json_logs_wrong_settings_are_told_as_json(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('log_format = "json"\n')
    for arguments, variables in (
        (("api",), {"DATACOSMOS_LOG_FORMAT": "json"}),
        (("settings",), {"DATACOSMOS_LOG_FORMAT": "json"}),
        (("write", "--config", "my.toml"), {}),
    ):
        code, out, err = await run(*arguments, folder=tmp_path, DATACOSMOS_PORT="abc", **variables)
        assert (code, out) == (2, "")
        assert json.loads(err)["error"].startswith("DATACOSMOS_PORT (or port in --config): ")


async def test_a_stop_is_logged_once_and_last_of_all_that_it_is_over(tmp_path: Path) -> None:
    offer = {"Connection": "Upgrade", "Upgrade": "websocket", "X-Request-ID": "trace-7"}
    async with program(tmp_path, "serve", "--port", "0") as service:
        async with httpx.AsyncClient(base_url=service.address) as client:
            await client.put("/location", json={}, headers=offer)
        assert await service.stop() == 0
        lines = [json.loads(line) for line in service.log.splitlines()]
    events = [line["event"] for line in lines]
    assert events.count("stopping") == 1
    assert events[-1] == "stopped"
    assert not any("pip install" in event for event in events)
    [request] = [line for line in lines if line.get("request_id") == "trace-7"]
    assert (request["method"], request["route"], request["status"]) == ("PUT", "/location", 400)


async def test_a_token_is_refused_where_there_is_no_secret_to_sign_it_with(tmp_path: Path) -> None:
    code, out, err = await run("token", "--role", "admin", folder=tmp_path)
    assert (code, out) == (2, "")
    assert "datacosmos serve" in err
    assert not (tmp_path / "data").exists()
