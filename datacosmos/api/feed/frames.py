"""What is sent to subscribers at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from datacosmos.api.feed.cursors import Cursors
from datacosmos.domain.changes import Change, Place, Topic

MOST_FORMS, LONGEST = 16, 1 << 18
"""Forms of one frame that are kept, and bytes of each."""


@dataclass
class Frame:
    """Changes of a topic up to a place; none: a heartbeat. All who are at the same place get the same frame."""

    cursors: Cursors
    topic: Topic
    place: Place
    changes: Sequence[Change] = ()
    _written: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @cached_property
    def cursor(self) -> str:
        return self.cursors.write(self.topic, self.place)

    def found(self, form: str) -> bytes | None:
        """What was kept of it in some form: it is written once for all who want it."""
        return self._written.get(form)

    def keep(self, form: str, text: bytes) -> bytes:
        if len(self._written) < MOST_FORMS and len(text) <= LONGEST:
            self._written[form] = text
        return text
