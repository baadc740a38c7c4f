"""A delivery as the bytes in which it lies on the queue, wherever it was parsed."""

from dataclasses import dataclass
from typing import Self

import msgspec

from datacosmos.domain.points import Delivery, Receipt

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Encoded:
    """What is told of it without looking into it again, by the verdicts at receipt, stands in its receipt."""

    receipt: Receipt
    payload: bytes

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls(Receipt.of(delivery), _encoder.encode(delivery))
