"""How a series comes to be: once, however often that is tried, by us, by the driver or by whoever asks for it."""

from dataclasses import replace
from typing import NamedTuple

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from datacosmos.domain.series import Samples
from datacosmos.errors import KeyReused, NameTaken
from datacosmos.store.mongo.connection import ASKED_FOR, Database, Document, bounded, store_errors
from datacosmos.store.mongo.transactions import Attempt, Session, retry_conflicts, transaction
from datacosmos.store.series.chunks import Chunks
from datacosmos.store.series.roots import FRESH, Snapshot, to_document
from datacosmos.store.series.stages import Stage

INDEX = IndexModel(
    {"owner": 1, "request.key": 1},
    name="request",
    unique=True,
    partialFilterExpression={"request.key": {"$exists": True}},
)


class Repeatable(NamedTuple):
    """What a request is known by when it is repeated: hashes of its Idempotency-Key and its body."""

    key: bytes
    body: bytes


class Creations:
    def __init__(self, database: Database, chunks: Chunks) -> None:
        self._database, self._roots, self._chunks = database, database["series"], chunks

    async def create(self, new: Snapshot, samples: Samples, request: Repeatable | None) -> str:
        """Store a new series of these samples: its id, or that which the same request made before.

        Raises NameTaken, and KeyReused where the key came with another body.
        """
        if made := await self._made_by(new.owner, request):
            return made
        if new.name is None or not await self._find({"owner": new.owner, "name": new.name}):
            root = to_document(new) | ({"request": request._asdict()} if request else {})
            try:
                await self._insert(root, new, samples)
            except DuplicateKeyError:
                if await self._find({"_id": new.id}):  # a try before had stored it after all
                    return new.id
            else:
                return new.id
        if made := await self._made_by(new.owner, request):  # meanwhile
            return made
        raise NameTaken(f"there is a series named {new.name!r} already: append to it, or choose another name")

    async def _insert(self, root: Document, new: Snapshot, samples: Samples) -> None:
        if len(samples) > FRESH:
            await retry_conflicts(lambda attempt: self._insert_staged(root, new, samples, attempt))
            return
        with store_errors(), bounded(self._database, ASKED_FOR):
            await self._roots.insert_one(root | to_document(replace(new, fresh=samples)))

    async def _insert_staged(self, root: Document, new: Snapshot, samples: Samples, attempt: Attempt) -> None:
        stage = Stage(self._database, self._chunks)
        pages = await stage.graft(new.id, new.pages, samples)
        await stage.flush()

        async def act(session: Session) -> None:
            await self._roots.insert_one(root | to_document(replace(new, pages=pages)), session=session)
            await stage.settle(session)

        await transaction(self._database, act, attempt.deadline)

    async def _made_by(self, owner: str | None, request: Repeatable | None) -> str | None:
        """The id of the series that the same request made before. Raises KeyReused."""
        if request is None:
            return None
        made = await self._find({"owner": owner, "request.key": request.key})
        if made and made["request"]["body"] != request.body:
            raise KeyReused("this Idempotency-Key came with another body before: take a new one for each new request")
        return made["_id"] if made else None

    async def _find(self, where: Document) -> Document | None:
        with store_errors():
            return await self._roots.find_one(where, {"request": 1})
