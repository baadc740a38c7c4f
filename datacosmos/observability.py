"""Structured logs and the Prometheus metrics of every stage.

Logs go to standard error, one event a line; what each line is about stands in its key-value pairs.
"""

import logging
import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, cast

import structlog
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from structlog.typing import Processor

disable_created_metrics()

LOGGED = "logged"  # the note of an exception that has its line in the log

# The library's own variable: a folder in which processes of one service keep their metrics together.
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"

State = partial(Gauge, multiprocess_mode="mostrecent")  # of several processes' values, the newest

RECEIVED = Counter("datacosmos_received", "Readings received and durably on the queue.", ["source"])
JUDGED = Counter("datacosmos_judged", "Readings judged at receipt, by status.", ["source", "status"])
POLLS = Counter("datacosmos_polls", "Requests to a data server, by outcome.", ["source", "outcome"])
DATA_SERVER_UP = State("datacosmos_data_server_up", "1 while a data server answers, else 0.", ["source"])
PUBLISH_RETRIES = Counter("datacosmos_publish_retries", "Publishes to the queue that had to be tried again.")

ACCEPTED = Counter("datacosmos_accepted", "Readings stored as accepted points.", ["source"])
DISCARDED = Counter(
    "datacosmos_discarded", "Readings stored as discards, by their primary reason.", ["source", "reason"]
)
DUPLICATES = Counter("datacosmos_duplicates", "Readings stored as duplicates of an earlier one.", ["source"])
REDELIVERED = Counter("datacosmos_redelivered", "Readings the queue delivered again after they were stored.")
WRITTEN = Counter("datacosmos_written", "Messages written to the store and acknowledged to the queue.")
DEAD_LETTERED = Counter("datacosmos_dead_lettered", "Messages that can never be written, put aside with their error.")
WRITE_RETRIES = Counter("datacosmos_write_retries", "Batches that had to be written again.")
WRITE_SECONDS = Histogram("datacosmos_write_seconds", "Time from taking a batch to its acknowledgement.")

SUMMARISED = Counter("datacosmos_marks_summarised", "Batches of points that the summaries were brought up to.")

QUEUED = State("datacosmos_queued", "Messages on the queue.")
QUEUE_RECEIVED = State("datacosmos_queue_received", "Messages ever put on the queue, also before this process began.")
QUEUE_DEAD_LETTERED = State("datacosmos_queue_dead_lettered", "Messages put aside, also before this process began.")
UNWRITTEN_OLDEST = State(
    "datacosmos_unwritten_oldest_seconds", "How long the oldest message on the queue has waited to be written."
)
QUEUED_BYTES = State("datacosmos_queued_bytes", "Bytes on the queue.")

CHANGES_WINDOW = State(
    "datacosmos_changes_window_seconds",
    "How far back the changes reach: MongoDB's oplog. NaN where MongoDB does not let us see it.",
)

HELD = Gauge("datacosmos_held", "What is held at once of each bounded kind.", ["bound"], multiprocess_mode="livesum")
REFUSED = Counter("datacosmos_refused", "What was refused as a bound was reached.", ["bound"])

REQUEST_SECONDS = Histogram(
    "datacosmos_request_seconds", "Time from a request to the end of its answer.", ["method", "route", "status"]
)


def exposition() -> bytes:
    """Every metric of this process and of those that share theirs with it, as Prometheus reads them."""
    if SHARED_METRICS not in os.environ:
        return generate_latest(_Together() if _folders else REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return generate_latest(together)


_folders: list[str] = []


@contextmanager
def telling_of(folder: str) -> Generator[None]:
    """Until the block ends, what other processes count in their folder is added to what this one has counted."""
    _folders.append(folder)
    try:
        yield
    finally:
        _folders.remove(folder)


class _Together(Collector):
    """The gauges are this process's own: what others hold now is not known from their files."""

    def collect(self) -> Iterable[Metric]:
        families = {family.name: family for family in REGISTRY.collect()}
        for folder in _folders:
            for counted in cast("Iterable[Metric]", MultiProcessCollector(None, folder).collect()):
                if counted.type != "gauge":
                    _add(families[counted.name], counted.samples)
        return families.values()


def _add(family: Metric, samples: Iterable[Sample]) -> None:
    values: dict[tuple[Any, ...], Sample] = {}
    for sample in [*family.samples, *samples]:
        key = sample.name, *sorted(sample.labels.items())
        before = values[key].value if key in values else 0
        values[key] = sample._replace(value=before + sample.value)
    family.samples = list(values.values())


def _is_new(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return LOGGED not in getattr(error, "__notes__", ())


# What uvicorn takes for errors of ours, though any client can cause it: a WebSocket that we refuse, and a broken text.
UVICORN_SAYS = frozenset({
    "ASGI callable returned without completing handshake.",
    "Invalid UTF-8 sequence received from client.",
})  # fmt: skip


def _is_error(record: logging.LogRecord) -> bool:
    return record.msg not in UVICORN_SAYS


def configure_logging(level: str, style: Literal["auto", "console", "json"]) -> None:
    """Send our logs and the libraries' through one formatter to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    colors = sys.stderr.isatty()
    on_console = style == "console" or (style == "auto" and colors)
    # Tracebacks are plain: with `rich` or `better_exceptions` about, the default draws variables, secrets among them.
    console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    renderer: Processor = console if on_console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared[:3], *shared[4:], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for noisy in ("httpx", "httpcore", "apscheduler", "pymongo", "nats"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_new)
    logging.getLogger("uvicorn.error").addFilter(_is_error)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns at each odd request, with advice that isn't ours
