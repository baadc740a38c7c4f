"""The settings with the addresses of the engines that they don't name."""

from contextlib import AsyncExitStack

from pydantic import SecretStr

from datacosmos.auth.secret import load_secret
from datacosmos.engines import Endpoints, embedded_engines, running_engines
from datacosmos.errors import EngineError
from datacosmos.settings import Settings


def with_running_engines(settings: Settings, *, mongodb: bool = True, nats: bool = True) -> Settings:
    """The settings with the addresses of the engines that a `serve` runs in the data directory, where none is given.

    Raises EngineError where one that is wanted is neither given nor runs there.
    """
    if (settings.mongodb_url or not mongodb) and (settings.nats_url or not nats):
        return settings
    completed = _completed(settings, running_engines(settings.data_dir))
    for name, url, wanted in (
        ("MONGODB", completed.mongodb_url, mongodb),
        ("NATS", completed.nats_url, nats),
    ):
        if wanted and url is None:
            raise EngineError(
                f"the serve on {settings.data_dir} was given an engine of its own: give DATACOSMOS_{name}_URL here too"
            )
    return completed


async def with_embedded_engines(settings: Settings, parts: AsyncExitStack) -> Settings:
    # With the embedded MongoDB a secret is made; and what is wrong with one is said before anything starts.
    secret = SecretStr(load_secret(settings, make=True))
    mongodb, nats = settings.mongodb_url is None, settings.nats_url is None
    if not mongodb and not nats:
        return settings
    engines = embedded_engines(settings.data_dir, mongodb=mongodb, nats=nats, oplog_max_bytes=settings.oplog_max_bytes)
    endpoints = await parts.enter_async_context(engines)
    return _completed(settings.model_copy(update={"jwt_secret": secret}), endpoints)


def _completed(settings: Settings, endpoints: Endpoints) -> Settings:
    update = {
        "mongodb_url": settings.mongodb_url or (endpoints.mongodb_url and SecretStr(endpoints.mongodb_url)),
        "nats_url": settings.nats_url or (endpoints.nats_url and SecretStr(endpoints.nats_url)),
    }
    return settings.model_copy(update=update)
