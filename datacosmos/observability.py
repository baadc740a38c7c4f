"""Structured logs and the Prometheus metrics of every stage.

Logs go to standard error, one event a line; what each line is about stands in its key-value pairs.
"""

import logging
import os
import sys
from functools import partial
from typing import Literal

import structlog
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from structlog.typing import Processor

disable_created_metrics()

# The library's own variable: a folder in which processes of one service keep their metrics together.
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"

State = partial(Gauge, multiprocess_mode="mostrecent")  # of several processes' values, the newest

RECEIVED = Counter("datacosmos_received", "Readings received and durably on the queue.", ["source"])
JUDGED = Counter("datacosmos_judged", "Readings judged at receipt, by status.", ["source", "status"])
POLLS = Counter("datacosmos_polls", "Requests to the data server, by outcome.", ["outcome"])
DATA_SERVER_UP = State("datacosmos_data_server_up", "1 while the data server answers, else 0.")
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

QUEUED = State("datacosmos_queued", "Messages on the queue.")
QUEUE_RECEIVED = State("datacosmos_queue_received", "Messages ever put on the queue, also before this process began.")
QUEUE_DEAD_LETTERED = State("datacosmos_queue_dead_lettered", "Messages put aside, also before this process began.")
QUEUED_BYTES = State("datacosmos_queued_bytes", "Bytes on the queue.")

REQUEST_SECONDS = Histogram(
    "datacosmos_request_seconds", "Time from a request to the end of its answer.", ["method", "route", "status"]
)


def exposition() -> bytes:
    """Every metric of this process and of those that share theirs with it, as Prometheus reads them."""
    if SHARED_METRICS not in os.environ:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return generate_latest(together)


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
    on_console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if on_console else structlog.processors.JSONRenderer()
    )
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
    for noisy in ("httpx", "httpcore", "apscheduler", "pymongo", "nats", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
