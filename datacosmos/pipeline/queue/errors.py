"""What goes wrong with NATS, in our own errors."""

from collections.abc import Generator
from contextlib import contextmanager

import nats.errors
import nats.js.errors

from datacosmos.errors import DeliveryTooLarge, QueueFull, QueueUnavailable, SettingsError

STREAM_FULL, NO_STORAGE = 10077, 10047
NO_CLUSTER, TOO_FEW_SERVERS = 10074, 10005


@contextmanager
def queue_errors(replicas: int = 1) -> Generator[None]:
    """Turns what the client raises while NATS can't serve into QueueUnavailable.

    Raises SettingsError where a stream of so many replicas is asked of a server that is in no cluster.
    """
    try:
        yield
    except nats.js.errors.APIError as error:
        if error.err_code == STREAM_FULL:
            raise QueueFull("the queue is full") from error
        if error.err_code == NO_STORAGE:
            raise QueueUnavailable(
                "NATS has not the space for the queue: free some on its disk, or lower DATACOSMOS_QUEUE_MAX_BYTES"
            ) from error
        if error.err_code == NO_CLUSTER:
            raise SettingsError(
                f"DATACOSMOS_NATS_REPLICAS is {replicas}, but NATS is a single server: "
                "give DATACOSMOS_NATS_URL a cluster of that many, or leave it at 1"
            ) from error
        if error.err_code == TOO_FEW_SERVERS:
            raise QueueUnavailable(
                f"NATS has not the {replicas} servers with room that DATACOSMOS_NATS_REPLICAS asks for: "
                "start more of its cluster, or lower it"
            ) from error
        raise QueueUnavailable(f"NATS can't serve: {error.description}") from error
    except nats.errors.MaxPayloadError:
        raise DeliveryTooLarge("the readings together are larger than a message of NATS; send fewer at once") from None
    except (nats.errors.Error, TimeoutError) as error:
        raise QueueUnavailable(f"NATS is unavailable{_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return ": it did not answer in time"
        case nats.js.errors.NoStreamResponseError() | nats.errors.NoRespondersError():
            return ": its JetStream does not answer"
        case _:
            return ""
