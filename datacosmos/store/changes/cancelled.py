"""What PyMongo makes of a cancellation."""

import asyncio


def check_cancelled() -> None:
    """Raises CancelledError where the driver has swallowed it, as it does when its answer comes at the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
