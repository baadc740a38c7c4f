"""For how long a subscriber may listen."""

from math import inf

from datacosmos.auth.permissions import Permissions
from datacosmos.domain.changes import Accepted, Topic


def expiry_of(permissions: Permissions, topic: Topic) -> float:
    """When a stream of the topic ends, in seconds since the epoch: with its token, where it needs one."""
    is_public = isinstance(topic, Accepted) and topic.series in permissions.public_series
    return inf if is_public or permissions.caller is None else permissions.caller.expires
