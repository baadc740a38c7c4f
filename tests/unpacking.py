"""How answers are unpacked, piece by piece, by their Content-Encoding; `eof` tells whether they came to their end."""

import sys
import zlib
from collections.abc import Callable
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["UNPACKERS", "zstd"]


class Plain:
    eof = False

    def decompress(self, data: bytes) -> bytes:
        return data


UNPACKERS: dict[str, Callable[[], Any]] = {
    "identity": Plain,
    "gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "zstd": zstd.ZstdDecompressor,
}
