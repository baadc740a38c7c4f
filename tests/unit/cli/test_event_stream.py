"""Server-sent events, however the network cuts them."""

from hypothesis import given
from hypothesis import strategies as st

from datacosmos.cli.event_stream import Event, read_events

CHANGE = '{"tags":["a\u2028b\x85c"]}'.encode()
STREAM = (
    b": a comment\r\nretry: 1000\r\n\r\n"
    b"id: one\r\ndata: " + CHANGE + b"\r\n\r\n"
    b"event: error\ndata:first\ndata: second\n\n"
    b"data\nid: two\n\n"
    b"data: never ended\n"
)
EVENTS = [
    Event("message", CHANGE, "one"),
    Event("error", b"first\nsecond", "one"),
    Event("message", b"", "two"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_events_are_read_whole_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    pieces = [STREAM[start:end] for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert list(read_events(pieces)) == EVENTS
