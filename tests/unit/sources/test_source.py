from datetime import UTC, datetime

import pytest

from datacosmos.domain.points import Reason
from datacosmos.domain.rules import malformed
from datacosmos.sources.source import Parsed, Source

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
GOOD = Parsed(time=NOON, value=1.0, series="s")


def source(parsed: Parsed | Exception, *, point_is_receipt: bool = False) -> Source:
    def parse(_: bytes) -> Parsed:
        if isinstance(parsed, Exception):
            raise parsed
        return parsed

    return Source(name="made-up", about="", parse=parse, rules=(malformed(),), point_is_receipt=point_is_receipt)


@pytest.mark.parametrize(
    ("parsed", "fault"),
    [
        (ValueError("it is no number"), "it is no number"),
        (KeyError("time"), "it can't be read: KeyError"),
        (ValueError("\ud800"), "\\ud800"),
        (GOOD._replace(time=None), "it has no time with an offset"),
        (GOOD._replace(time=datetime(2026, 1, 2)), "it has no time with an offset"),  # noqa: DTZ001
        (GOOD._replace(value=None), "it has no finite value"),
        (GOOD._replace(value=float("nan")), "it has no finite value"),
        (GOOD._replace(series=None), "it has no series"),
        (GOOD._replace(value=None, faults=("it is odd",)), "it is odd"),
    ],
)
def test_whatever_a_parser_fails_at_or_leaves_out_the_payload_is_kept_as_malformed(
    parsed: Parsed | Exception, fault: str
) -> None:
    delivery = source(parsed).receive([b"x"], delivery_id="d", received_at=NOON)
    [point] = delivery.points
    assert (point.reading.faults, point.reading.raw, point.verdict.reason) == ((fault,), b"x", Reason.MALFORMED)


def test_a_source_that_would_accept_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="need `malformed`"):
        Source(name="made-up", about="", parse=lambda _: GOOD, rules=())


@pytest.mark.parametrize("count", [1, 2])
def test_a_source_leaves_a_receipt_for_each_delivery_or_for_none_whatever_their_sizes(count: int) -> None:
    payloads = [b"x"] * count
    assert source(GOOD).receive(payloads, delivery_id="d", received_at=NOON).needs_receipt
    alone = source(GOOD, point_is_receipt=True)
    if count == 1:
        assert not alone.receive(payloads, delivery_id="d", received_at=NOON).needs_receipt
    else:
        with pytest.raises(ValueError, match="is one reading, not 2"):
            alone.receive(payloads, delivery_id="d", received_at=NOON)
