"""The programs beside one another, as an operator runs them."""

import asyncio
import signal
import stat
from pathlib import Path

from datacosmos.engines import running_engines
from datacosmos.settings import Settings
from datacosmos.store.connection import connect
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


async def test_a_token_is_refused_where_there_is_no_secret_to_sign_it_with(tmp_path: Path) -> None:
    code, out, err = await run("token", "--role", "admin", folder=tmp_path)
    assert (code, out) == (2, "")
    assert "datacosmos serve" in err
    assert not (tmp_path / "data").exists()
