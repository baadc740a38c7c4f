"""Which series there are to append to, and whose: looked up once, as neither ever changes."""

from collections import OrderedDict

from motor.motor_asyncio import AsyncIOMotorCollection

from datacosmos.store.mongo.connection import Document, store_errors
from datacosmos.store.series.commits import Target

MOST = 10_000
IDENTITY = {"owner": 1, "name": 1}


class Targets:
    """Those used last. One that is deleted meanwhile is told by the append, and forgotten."""

    def __init__(self, roots: AsyncIOMotorCollection[Document]) -> None:
        self._roots = roots
        self._known: OrderedDict[str, Target] = OrderedDict()

    async def find(self, identifier: str) -> Target | None:
        """With other writes, so that it does not wait for readers. Raises StoreUnavailable."""
        target = self._known.get(identifier) or await self._look_up(identifier)
        if target is not None:
            self._known[identifier] = target
            self._known.move_to_end(identifier)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return target

    def forget(self, identifier: str) -> None:
        self._known.pop(identifier, None)

    async def _look_up(self, identifier: str) -> Target | None:
        with store_errors():
            found = await self._roots.find_one({"_id": identifier}, IDENTITY)
        return None if found is None else Target(found["owner"], found.get("name"), identifier)
