"""From a data server's answers to a person's questions, as seen from outside."""

import asyncio
import random
import re
import time
from pathlib import Path
from typing import Any

from tests.programs import Program, program, run
from tests.scripted_server import ScriptedServer, answer, broken_off, point, scripted_server

VALUE = (218, 202, 115, 191)
POINTS = "{ points { series time value tags receivedAt } }"
DISCARDS = "query ($reason: Reason) { discards(reason: $reason) { source series reason reasons raw } }"
LEDGER = "{ ingestion { messages received accepted discarded inFlight deadLettered } }"
COUNTS = "{ points { value } discards { id } }"


async def admin_token(folder: Path) -> str:
    code, out, err = await run("token", "--role", "admin", folder=folder)
    assert (code, err) == (0, "")
    return out.strip()


def serve(folder: Path, server: ScriptedServer, **variables: str) -> Any:
    variables |= {"DATACOSMOS_DATA_SERVER_URL": server.url, "DATACOSMOS_POLL_INTERVAL": "50ms"}
    return program(folder, "serve", "--port", "0", **variables)


async def stored(service: Program, token: str, expected: int) -> tuple[int, int]:
    """Accepted and discarded points, once there are as many as expected."""
    async with asyncio.timeout(60):
        while True:
            data = (await service.ask(COUNTS, token=token))["data"]
            accepted, discarded = len(data["points"]), len(data["discards"])
            if accepted + discarded >= expected:
                return accepted, discarded
            await asyncio.sleep(0.05)


async def settled(service: Program, token: str) -> tuple[dict[str, int], int]:
    """The data server's ledger once nothing is in flight, and the messages ever put on the queue."""
    async with asyncio.timeout(60):
        while True:
            ledger = (await service.ask(LEDGER, token=token))["data"]["ingestion"][0]
            if ledger["inFlight"] == ledger["deadLettered"] == 0:
                break
            await asyncio.sleep(0.05)
    metrics = (await service.get("/metrics")).text
    [received] = re.findall(r"^datacosmos_queue_received (\S+)", metrics, re.MULTILINE)
    return ledger, int(float(received))


async def test_what_the_data_server_served_is_answered_and_each_discard_explained(tmp_path: Path) -> None:
    now = int(time.time())
    async with scripted_server() as server, serve(tmp_path, server) as service:
        server.play(
            point(now, VALUE), point(now, VALUE), point(now - 4000, VALUE), point(now, VALUE, ["system"]),
            point(now - 4000, VALUE, ["suspect", "system"]), answer(b"rubbish"), broken_off(b'{"time"', 99),
            answer(b"", "500 Oops"), point(now + 1, VALUE, ["a tag"]),
        )  # fmt: skip
        token = await admin_token(tmp_path)
        assert await stored(service, token, 8) == (3, 5)

        points = (await service.ask(POINTS))["data"]["points"]
        assert [(each["series"], each["tags"]) for each in points] == [
            ("datacosmos", []), ("datacosmos", []), ("datacosmos", ["a tag"]),
        ]  # fmt: skip
        assert {round(each["value"], 4) for each in points} == {-0.9523}
        assert all(each["time"].endswith("Z") for each in points)

        async def reasons(reason: str) -> list[list[str]]:
            found = await service.ask(DISCARDS, token=token, reason=reason)
            return [each["reasons"] for each in found["data"]["discards"]]

        assert await reasons("TOO_OLD") == [["TOO_OLD"], ["TOO_OLD", "SYSTEM", "SUSPECT"]]
        assert await reasons("SYSTEM") == [["SYSTEM"], ["TOO_OLD", "SYSTEM", "SUSPECT"]]
        assert await reasons("MALFORMED") == [["MALFORMED"], ["MALFORMED"]]
        refused = await service.ask(DISCARDS)
        assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await service.get("/health")).json()["status"] == "ok"
        assert await service.stop() == 0


async def test_killed_in_mid_flow_again_and_again_the_ledger_balances(tmp_path: Path) -> None:
    kills, served = 3, 1500
    now = int(time.time())
    async with scripted_server() as server:
        server.play(*[point(now + n, VALUE, ["system"] if n % 5 == 0 else []) for n in range(served)])
        async with serve(tmp_path, server, DATACOSMOS_MAX_POINTS="100000") as service:
            for _ in range(kills):
                enough = server.requests + random.randrange(50, 300)
                async with asyncio.timeout(60):
                    while server.requests < enough:
                        await asyncio.sleep(0.001)
                await service.kill()
                await service.start()
            async with asyncio.timeout(60):
                await server.ran_out.wait()
            token = await admin_token(tmp_path)
            ledger, on_the_queue = await settled(service, token)
            accepted, discarded = ledger["accepted"], ledger["discarded"]
            assert on_the_queue == ledger["messages"] == accepted + discarded
            assert served - kills <= ledger["received"] <= served
            assert discarded in range(served // 5 - kills, served // 5 + 1)
