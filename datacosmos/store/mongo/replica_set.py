"""The replica set of one member that the embedded MongoDB is."""

import asyncio

from pymongo.errors import OperationFailure

from datacosmos.store.mongo.connection import Database, Document, store_errors

USER_NOT_FOUND, NOT_YET_INITIALIZED = 11, 94
NAME = "datacosmos"
LEAST_OPLOG = 990  # MiB


async def prepare(admin: Database, address: str, user: str, password: str) -> None:
    """Make the one member primary at its address (host:port), and a user who may do everything.

    Repeating it changes nothing. Raises StoreUnavailable when MongoDB is unavailable.
    """
    with store_errors():
        await _configure(admin, address)
        await _primary(admin)
        await _let_in(admin, user, password)


async def resize_oplog(admin: Database, size: int) -> None:
    """To so many MiB, also where it was made with another size; to less than LEAST_OPLOG MongoDB brings none."""
    if size >= LEAST_OPLOG:
        with store_errors():
            await admin.command("replSetResizeOplog", 1, size=float(size))


async def signs_times(admin: Database) -> None:
    """Wait until MongoDB tells its users the cluster's time, which it signs.

    Until it has read the keys for that, it refuses clients that know a time from before its start.
    """
    with store_errors():
        hello = await admin.command("hello")
        while "$clusterTime" not in hello:
            await asyncio.sleep(0.02)
            hello = await admin.command("hello")


async def _configure(admin: Database, address: str) -> None:
    if await admin.client["local"]["system.replset"].find_one() is None:
        await admin.command("replSetInitiate", {"_id": NAME, "members": [{"_id": 0, "host": address}]})
        return
    config = await _loaded_config(admin)
    if [member["host"] for member in config["members"]] != [address]:
        moved = config["members"][0] | {"host": address}
        # By force: at its former address no member is left that could agree.
        await admin.command(
            "replSetReconfig", config | {"members": [moved], "version": config["version"] + 1}, force=True
        )


async def _loaded_config(admin: Database) -> Document:
    """The stored one, once MongoDB has taken it in: it first looks for itself at the address it had."""
    while True:
        try:
            return (await admin.command("replSetGetConfig"))["config"]
        except OperationFailure as error:
            if error.code != NOT_YET_INITIALIZED:
                raise
        await asyncio.sleep(0.02)


async def _primary(admin: Database) -> None:
    hello = await admin.command("hello")
    while not hello["isWritablePrimary"]:  # the answer comes once the state changes
        hello = await admin.command("hello", topologyVersion=hello["topologyVersion"], maxAwaitTimeMS=1000)


async def _let_in(admin: Database, user: str, password: str) -> None:
    try:
        await admin.command("updateUser", user, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code != USER_NOT_FOUND:
            raise
        await admin.command("createUser", user, pwd=password, roles=["root"])
