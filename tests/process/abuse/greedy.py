"""Readers that ask for all they may, again and again: `python -m tests.process.abuse.greedy ADDRESS CLIENTS`.

Each answer is counted as a line on standard output: `whole`, `refused` (UNAVAILABLE, with Retry-After), or what it was
instead. It goes on until it is killed, with less of the processor than whoever else wants it, as from another machine.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

LISTS, POINTS = 15, 100_000
QUERY = "{ " + " ".join(f"list{n}: points {{ time value }}" for n in range(LISTS)) + " }"


async def outcome(client: httpx.AsyncClient) -> str:
    objects, last = 0, b""
    headers = {"Accept-Encoding": "identity"}
    async with client.stream("POST", "/graphql", json={"query": QUERY}, headers=headers) as answer:
        async for piece in answer.aiter_raw():
            objects += piece.count(b"{")
            last = piece
    if objects == 2 + LISTS * POINTS and last.endswith(b"}]}}"):
        return "whole"
    refused = b'"UNAVAILABLE"' in last and "Retry-After" in answer.headers
    return "refused" if refused else f"{answer.status_code} with {objects} objects: {last[-100:]!r}"


async def greedy(address: str) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=300) as client:
        while True:
            print(await outcome(client), flush=True)  # noqa: T201


async def greedily(address: str, clients: int) -> None:
    await asyncio.gather(*(greedy(address) for _ in range(clients)))


@asynccontextmanager
async def greedy_clients(address: str, clients: int) -> AsyncGenerator[Counter[str]]:
    """At work in a process of their own, until the block ends: how they were answered so far, counted by outcome."""
    command = (sys.executable, "-m", "tests.process.abuse.greedy", address, str(clients))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    outcomes: Counter[str] = Counter()
    counting = asyncio.create_task(_count(process, outcomes))
    try:
        yield outcomes
    finally:
        process.kill()
        await process.wait()
        await counting


async def _count(process: asyncio.subprocess.Process, outcomes: Counter[str]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        outcomes[line.decode().strip()] += 1


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(greedily(sys.argv[1], int(sys.argv[2])))
