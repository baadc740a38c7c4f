"""What the soak must show, each as one line that says so."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soak_memory import Growth

LIMIT = 350  # milliseconds
ENOUGH = 0.95  # of the rate asked for
MARKS = {True: "ok  ", False: "FAIL", None: "    "}


@dataclass(frozen=True, slots=True)
class Finding:
    """`fine` is None where the run can't judge it, and only tells."""

    what: str
    fine: bool | None
    text: str

    def __str__(self) -> str:
        return f"  {MARKS[self.fine]}  {self.what:<18}{self.text}"


def failed(findings: Sequence[Finding]) -> bool:
    return any(finding.fine is False for finding in findings)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the senders counted; `poller_kills` may each have cost one reading."""

    served: int
    sent: int
    unanswered: int
    poller_kills: int


def balanced(ledger: Sequence[Mapping[str, Any]], ever_queued: int, outside: Outside) -> Iterator[Finding]:
    """The two steps of the ledger, and its agreement with the senders."""
    messages = sum(source["messages"] for source in ledger)
    yield Finding(
        "ledger, step 1",
        messages == ever_queued,
        f"messages ever put on the queue {ever_queued:,}; receipts, in the queue and dead-lettered {messages:,}",
    )
    for source in ledger:
        settled = source["received"] - source["inFlight"] - source["deadLettered"]
        judged = source["accepted"] + source["discarded"]
        yield Finding(
            "ledger, step 2",
            settled == judged,
            f"{source['source']}: readings in the receipts {settled:,}; accepted and discarded {judged:,}",
        )
    received = {source["source"]: source["received"] for source in ledger}
    lost = outside.served - received["data_server"]
    yield Finding(
        "nothing lost",
        0 <= lost <= outside.poller_kills,
        f"the data server served {outside.served:,}, received {received['data_server']:,}: "
        f"{lost:,} lost to {outside.poller_kills} kills of the poller",
    )
    yield Finding(
        "nothing lost",
        outside.unanswered == 0 and outside.sent == received["sensors"],
        f"the sensors were acknowledged {outside.sent:,}, received {received['sensors']:,}"
        + (f"; {outside.unanswered:,} were never answered" if outside.unanswered else ""),
    )


def quick(p95: float, count: int, touched: int, idle: Sequence[float], *, judged: bool) -> Finding:
    """`idle` is the processors' share, in percent, from row to row: times of a full machine tell little."""
    beside = f", beside {touched:,} that an outage touched" if touched else ""
    shares = f"; processors idle for {statistics.mean(idle):.0f} %, {min(idle):.0f} % at least" if idle else ""
    fine = p95 < LIMIT if judged else None
    return Finding("readers' p95", fine, f"{p95:.0f} ms of {count:,} queries{beside}; limit {LIMIT} ms{shares}")


def unfailing(what: str, faults: Sequence[str]) -> Finding:
    return Finding(what, not faults, f"{len(faults)} failed" + (f", the first: {faults[0]}" if faults else ""))


def flat(growths: Sequence[Growth]) -> Finding:
    grown = ", ".join(map(str, growths))
    return Finding("memory", all(growth.flat for growth in growths), f"MiB over the second half: {grown}")


def fast(received: float, stored: float, rate: float, *, judged: bool) -> Finding:
    fine = min(received, stored) >= ENOUGH * rate if judged else None
    return Finding("rate", fine, f"{received:,.0f} readings/s sent, {stored:,.0f} stored, of {rate:,.0f}")
