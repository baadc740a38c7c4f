from datetime import UTC, datetime

from datacosmos.domain.points import Reason, Receipt
from datacosmos.store.points.receipts import Total
from datacosmos.store.stores import Stores

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def receipt(sequence: int, delivery_id: str = "a") -> Receipt:
    return Receipt(
        delivery_id=delivery_id,
        source="sensors",
        sender="ada",
        received_at=NOON,
        accepted=3,
        discarded={Reason.MALFORMED: 2},
        sequence=sequence,
    )


async def test_a_receipt_comes_back_as_it_was_left(stores: Stores) -> None:
    await stores.receipts.leave([receipt(7), receipt(8, "b")])
    assert await stores.receipts.get("a") == receipt(7)
    assert await stores.receipts.get("c") is None


async def test_a_message_that_is_delivered_again_counts_once(stores: Stores) -> None:
    for _ in range(3):
        await stores.receipts.leave([receipt(7)])
    assert await stores.receipts.total("sensors") == Total(deliveries=1, readings=5)


async def test_another_message_with_the_same_delivery_counts_as_a_message_without_readings(stores: Stores) -> None:
    await stores.receipts.leave([receipt(7)])
    for _ in range(2):
        await stores.receipts.leave([receipt(9), receipt(8, "b")])
    assert await stores.receipts.get("a") == receipt(7)
    assert await stores.receipts.total("sensors") == Total(deliveries=3, readings=10)


async def test_two_messages_with_the_same_delivery_may_be_written_at_once(stores: Stores) -> None:
    await stores.receipts.leave([receipt(7), receipt(9)])
    assert await stores.receipts.total("sensors") == Total(deliveries=2, readings=5)
