"""What goes wrong with NATS, in our own errors."""

from collections.abc import Generator
from contextlib import contextmanager

import nats.errors
import nats.js.errors

from datacosmos.errors import DeliveryTooLarge, QueueFull, QueueUnavailable

STREAM_FULL, NO_STORAGE = 10077, 10047


@contextmanager
def queue_errors() -> Generator[None]:
    """Turns what the client raises while NATS can't serve into QueueUnavailable."""
    try:
        yield
    except nats.js.errors.APIError as error:
        if error.err_code == STREAM_FULL:
            raise QueueFull("the queue is full") from error
        if error.err_code == NO_STORAGE:
            raise QueueUnavailable(
                "NATS has not the space for the queue: free some on its disk, or lower DATACOSMOS_QUEUE_MAX_BYTES"
            ) from error
        raise QueueUnavailable(f"NATS can't serve: {error.description}") from error
    except nats.errors.MaxPayloadError:
        raise DeliveryTooLarge("the readings together are larger than a message of NATS; send fewer at once") from None
    except (nats.errors.Error, TimeoutError) as error:
        raise QueueUnavailable(f"NATS is away: {type(error).__name__}") from error
