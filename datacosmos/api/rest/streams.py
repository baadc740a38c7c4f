"""Series on their way out, encoded a chunk at a time, so that nobody waits for a long one."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import orjson

from datacosmos.api.rest.answers import Told
from datacosmos.domain.series import Samples, to_seconds

CSV = "text/csv"


def as_json(told: Told, chunks: AsyncGenerator[Samples], first: Samples) -> AsyncGenerator[bytes]:
    """The object that tells of the series, with its points as one more field, which comes last."""
    return _framed(orjson.dumps(told)[:-1] + b',"points":[', _json_points, b",", b"]}", chunks, first)


def as_csv(chunks: AsyncGenerator[Samples], first: Samples) -> AsyncGenerator[bytes]:
    """A line of names, then one for each point."""
    return _framed(b"t,v\r\n", _csv_lines, b"", b"", chunks, first)


async def _framed(
    head: bytes,
    encode: Callable[[Samples], bytes],
    between: bytes,
    tail: bytes,
    chunks: AsyncGenerator[Samples],
    first: Samples,
) -> AsyncGenerator[bytes]:
    """The tail comes only after the last chunk: a failure before that leaves it out."""
    async with aclosing(chunks):
        yield head + encode(first)
        async for samples in chunks:
            yield between + encode(samples)
        yield tail


def _json_points(samples: Samples) -> bytes:
    pairs = zip(to_seconds(samples.t), samples.v.tolist(), strict=True)
    return orjson.dumps([{"t": t, "v": v} for t, v in pairs])[1:-1]


def _csv_lines(samples: Samples) -> bytes:
    if not len(samples):
        return b""
    columns = (orjson.dumps(column)[1:-1].split(b",") for column in (to_seconds(samples.t), samples.v.tolist()))
    return b"\r\n".join(map(b",".join, zip(*columns, strict=True))) + b"\r\n"
