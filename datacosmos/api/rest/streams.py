"""Series on their way out, encoded a chunk at a time, so that nobody waits for a long one."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from decimal import Decimal

import numpy as np
import orjson
from numpy.typing import NDArray

from datacosmos.api.rest.answers import Told
from datacosmos.domain.series import EXACT, Samples, to_seconds

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
    if not len(samples):
        return b""
    return b'{"t":' + b'},{"t":'.join(map(b',"v":'.join, _texts(samples))) + b"}"


def _csv_lines(samples: Samples) -> bytes:
    if not len(samples):
        return b""
    return b"\r\n".join(map(b",".join, _texts(samples))) + b"\r\n"


def _texts(samples: Samples) -> Iterator[tuple[bytes, bytes]]:
    """Each t and v as JSON has it: encoded column by column and then cut, which no object a point is as quick as."""
    v = orjson.dumps(samples.v, option=orjson.OPT_SERIALIZE_NUMPY)
    return zip(_seconds(samples.t), v[1:-1].split(b","), strict=True)


def _seconds(t: NDArray[np.int64]) -> list[bytes]:
    """Each microsecond told apart, also in years in which a float of seconds can't."""
    if np.abs(t).max() <= EXACT:
        return orjson.dumps(to_seconds(t))[1:-1].split(b",")
    return [f"{Decimal(each).scaleb(-6).normalize():f}".encode() for each in t.tolist()]
