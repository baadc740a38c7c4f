"""What is sent to subscribers at once."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from datacosmos.api.feed.cursors import Cursors
from datacosmos.domain.changes import Change, Place, Topic


@dataclass(slots=False)
class Frame:
    """Changes of a topic up to a place; none: a heartbeat. All who are at the same place get the same frame."""

    cursors: Cursors
    topic: Topic
    place: Place
    changes: Sequence[Change] = ()
    _written: dict[Hashable, bytes] = field(default_factory=dict[Hashable, bytes])

    @cached_property
    def cursor(self) -> str:
        return self.cursors.write(self.topic, self.place)

    def written(self, form: Hashable, write: Callable[["Frame"], bytes]) -> bytes:
        """In some form, which is written once for all who want it."""
        if form not in self._written:
            self._written[form] = write(self)
        return self._written[form]
