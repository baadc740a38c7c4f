"""Answers of one operation as server-sent events, as clients of graphql-sse read them."""

from collections.abc import AsyncGenerator

from datacosmos.api.feed.feed import Feed
from datacosmos.api.graphql.streams import Answer

COMPLETE = b"event: complete\ndata: \n\n"


async def streamed(answers: AsyncGenerator[Answer], feed: Feed) -> AsyncGenerator[bytes]:
    """Ends without `complete` where the process stops, so that a client comes back."""
    yield b":\n\n"  # that it has begun
    async for answer in answers:
        body = b'{"errors":%b}' % answer.body if answer.ended else answer.body
        yield b"event: next\ndata: %b\n\n" % body
        if answer.ended:
            break
    else:
        if feed.is_stopping:
            return
    yield COMPLETE
