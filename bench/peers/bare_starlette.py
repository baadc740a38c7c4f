"""The points of a range as fast as Starlette, the same driver and orjson give them: nothing of GraphQL.

Times and values come as two columns out of the bytes of the driver's reply.
"""

import asyncio
import os
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import orjson
import uvloop
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datacosmos.programs.server import serving
from datacosmos.settings import Settings

RAW = CodecOptions[RawBSONDocument](document_class=RawBSONDocument)
SHAPE = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
BATCH = b"\x04firstBatch\x00"


def columns(reply: bytes) -> Iterator[np.ndarray]:
    """Times in milliseconds and values, part by part: items of {time, value} whose keys have as many digits each."""
    at = reply.index(BATCH) + len(BATCH)
    end = at + int.from_bytes(reply[at : at + 4], "little") - 1
    at += 4
    digits = 1
    while at < end:
        key = 1 + digits + 1  # type, digits and NUL; the document behind it takes 34 bytes
        item = np.dtype(
            {
                "names": ["time", "value"],
                "formats": ["<i8", "<f8"],
                "offsets": [key + 4 + 6, key + 4 + 6 + 8 + 7],
                "itemsize": key + 34,
            }
        )
        count = min((end - at) // item.itemsize, 10 if digits == 1 else 9 * 10 ** (digits - 1))
        yield np.frombuffer(reply, item, count, at)
        at += count * item.itemsize
        digits += 1


def encode(reply: bytes) -> bytes:
    points = [
        {"time": time, "value": value}
        for part in columns(reply)
        for time, value in zip(part["time"].astype("M8[ms]").tolist(), part["value"].tolist(), strict=True)
    ]
    return orjson.dumps({"data": {"points": points}}, option=SHAPE)


async def main() -> None:
    database = AsyncIOMotorClient(os.environ["MONGODB_URL"])["datacosmos"]

    async def answer(request: Request) -> Response:
        variables = orjson.loads(await request.body())["variables"]
        between = {"$gte": datetime.fromisoformat(variables["start"]), "$lte": datetime.fromisoformat(variables["end"])}
        command = {
            "find": "points",
            "filter": {"series": "datacosmos", "status": "accepted", "time": between},
            "projection": {"_id": 0, "time": 1, "value": 1},
            "sort": {"time": 1, "_id": 1},
            "batchSize": 200_000,
            "singleBatch": True,
        }
        reply = await database.command(command, codec_options=RAW)
        return Response(encode(reply.raw), media_type="application/json")

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    async with serving(app, Settings(), host="127.0.0.1", port=0) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


uvloop.run(main())
