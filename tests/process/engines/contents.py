"""A document and a message, by which a test tells whether the engines kept what they were given."""
# pyright: reportUnknownMemberType=false

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import nats

from datacosmos.engines import Endpoints
from datacosmos.store.mongo.connection import Database, connect

SUBJECT = "things"


def connect_to(endpoints: Endpoints) -> AbstractAsyncContextManager[Database]:
    assert endpoints.mongodb_url
    return connect(endpoints.mongodb_url, "test", timedelta(seconds=5))


async def fill(endpoints: Endpoints, word: str) -> None:
    async with connect_to(endpoints) as database:
        await database["things"].insert_one({"word": word})
    assert endpoints.nats_url
    client = await nats.connect(endpoints.nats_url)
    stream = client.jetstream()
    await stream.add_stream(name="things", subjects=[SUBJECT])
    await stream.publish(SUBJECT, word.encode())
    await client.close()


async def found(endpoints: Endpoints) -> tuple[str, str]:
    """The last word that MongoDB holds, and the last that NATS holds."""
    async with connect_to(endpoints) as database:
        document = await database["things"].find_one(sort=[("_id", -1)])
    assert document
    assert endpoints.nats_url
    client = await nats.connect(endpoints.nats_url)
    message = await client.jetstream().get_last_msg("things", SUBJECT)
    await client.close()
    return document["word"], (message.data or b"").decode()
