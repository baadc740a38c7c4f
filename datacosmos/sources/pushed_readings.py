"""Pushes of readings, as whole bodies. A push is plain data, so that another process can read its body."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import uuid_utils

from datacosmos.sources.digests import digest
from datacosmos.sources.encoded import Encoded
from datacosmos.sources.json.records import split
from datacosmos.sources.source import Pushed, Source


@dataclass(frozen=True, slots=True)
class Push:
    """Who pushes readings of which source, and under which Idempotency-Key."""

    source: Source
    pushed: Pushed
    sender: str | None
    key: str | None

    def read(self, body: bytes) -> Encoded:
        """One delivery of all that the body holds. Raises InvalidUpload."""
        records = split(body, self.pushed.max_readings)
        delivery_id, received_at = self._delivery_id(records), datetime.now(UTC)
        return Encoded.of(
            self.source.receive(records, delivery_id=delivery_id, received_at=received_at, sender=self.sender)
        )

    def _delivery_id(self, records: Sequence[bytes]) -> str:
        """The same for the same sender, key and records, for ever; without a key, a new one.

        Were the records left out, others under a key used before would be taken for stored, and be lost.
        """
        if self.key is None:
            return str(uuid_utils.uuid7())
        told = orjson.dumps([self.sender, self.key, digest(*records).hex()]).decode()
        return str(uuid.uuid5(self.pushed.keys, told))
