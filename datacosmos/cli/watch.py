"""`watch` prints changes of a running service as they are stored, until it is stopped."""

import os
import signal
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
import orjson
import structlog

from datacosmos.cli.event_stream import Event, read_events
from datacosmos.cli.remote import HINTS, NotNow, Service, one_line, with_service
from datacosmos.errors import ServiceError
from datacosmos.retries import Backoff

if TYPE_CHECKING:
    import httpx

STREAM = "text/event-stream"
SILENCE = 45.0  # seconds: three heartbeats
HINTS_BY_CODE = {"UNAUTHENTICATED": HINTS[401], "FORBIDDEN": HINTS[403], "CURSOR_EXPIRED": "", "INVALID_CURSOR": ""}
"""Of errors that would only come again."""
RECONNECTING = Backoff(timedelta(milliseconds=100), timedelta(seconds=5))

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@click.command()
@click.argument("series", required=False)
@click.option("--discards", is_flag=True, help="The discards of all series instead, for administrators.")
@click.option("--after", metavar="CURSOR", help="Go on behind the `cursor` of a line.")
@click.option("--start", help="First what is stored from this time on, like 2026-11-22T16:00:00Z.")
@with_service
def watch(service: Service, *, series: str | None, discards: bool, after: str | None, start: str | None) -> None:
    """Print each point of SERIES (datacosmos) as it is stored, as a line of JSON, until stopped.

    A connection that is lost is made again and goes on where it was; standard error says so. Where a line has a
    `cursor`, all up to it has been printed: --after goes on there. The exit code is 0 once it is stopped, 1 where the
    service can't be reached at the start, or refuses, as it does once a token has expired.
    """
    if discards and series is not None:
        raise click.UsageError("--discards are those of all series: leave out SERIES")
    path, asked = ("/changes/discards", {}) if discards else ("/changes", {"series": series or "datacosmos"})
    following = Following(service, path, asked | ({} if start is None else {"start": start}), after)
    with _until_stopped(), closing(following.lines()) as lines:
        for text in lines:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()


@dataclass
class Following:
    """Changes behind a cursor, across lost connections."""

    service: Service
    path: str
    params: Mapping[str, str]
    cursor: str | None
    reached: bool = False
    failures: int = 0

    def lines(self) -> Generator[bytes]:
        """Some at a time. Raises ServiceError where the service refuses, or was never there."""
        import httpx

        headers = {"Accept": STREAM} | self.service.headers
        with httpx.Client(base_url=self.service.url, headers=headers, timeout=SILENCE) as client:
            while True:
                try:
                    yield from self._connected(client)
                except NotNow as error:
                    if not self.reached:
                        raise
                    self._pause(error)

    def _connected(self, client: "httpx.Client") -> Generator[bytes]:
        headers = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        with (
            self.service.answering(),
            client.stream("GET", self.path, params=self.params, headers=headers) as answer,
        ):
            self._require(answer)
            for event in read_events(answer.iter_bytes()):
                if event.type == "error":
                    raise self._ended(event)
                yield self._taken(event)
        raise NotNow(f"the service at {self.service.shown} ended the stream")

    def _require(self, answer: "httpx.Response") -> None:
        if answer.status_code != 200:
            answer.read()
            raise self.service.refusal(answer)
        if not answer.headers.get("content-type", "").startswith(STREAM):
            raise ServiceError(f"the service at {self.service.shown} gives no {STREAM} here")

    def _taken(self, event: Event) -> bytes:
        """The lines of an event, none for a heartbeat."""
        if self.failures:
            log.info("connected again")
        self.reached, self.failures, self.cursor = True, 0, event.id or self.cursor
        try:
            return to_lines(orjson.loads(event.data))
        except (ValueError, TypeError, LookupError, AttributeError):
            raise ServiceError(f"the service at {self.service.shown} sent what is no change") from None

    def _ended(self, event: Event) -> ServiceError:
        try:
            error = orjson.loads(event.data)
            code, message = one_line(error["extensions"]["code"]), one_line(error["message"])
        except (ValueError, TypeError, LookupError):
            return NotNow(f"the service at {self.service.shown} ended the stream")
        said = f"the service at {self.service.shown} ended the stream: {message} ({code})"
        if code not in HINTS_BY_CODE:
            return NotNow(said)
        behind = f"; all up to --after {self.cursor} was printed" if self.cursor else ""
        return ServiceError(said + HINTS_BY_CODE[code] + behind)

    def _pause(self, error: NotNow) -> None:
        if self.failures == 0:
            log.warning("connecting again", fault=str(error))
        time.sleep(RECONNECTING.seconds(self.failures))
        self.failures += 1


def to_lines(changes: dict[str, Any]) -> bytes:
    """A line a change; the last of those that came together has the cursor behind all of them."""
    events: list[dict[str, Any]] = [
        {name: value for name, value in event.items() if value is not None} for event in changes["events"]
    ]
    if events:
        events[-1]["cursor"] = changes["cursor"]
    return b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)


@contextmanager
def _until_stopped() -> Generator[None]:
    """Ctrl-C, SIGTERM and a reader who has gone are no errors."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        # What may be left in the buffer goes nowhere, or else Python would try again, and fail or wait.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
