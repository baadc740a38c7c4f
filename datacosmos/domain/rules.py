"""Rules, each a predicate over a reading and the time of its receipt, and the judgement they add up to.

A rule never looks at the clock: the same reading and the same time of receipt give the same verdict for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from datacosmos.domain.points import Reading, Reason, Verdict

PRECEDENCE = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Rule:
    """The reason to discard each reading that `breaks` holds for."""

    reason: Reason
    breaks: Callable[[Reading, datetime], bool]


def malformed() -> Rule:
    """A reading that could not be parsed whole."""
    return Rule(Reason.MALFORMED, lambda reading, _received_at: bool(reading.faults))


def too_old(max_age: timedelta) -> Rule:
    """A reading timestamped more than `max_age` before its receipt; exactly `max_age` is kept."""

    def breaks(reading: Reading, received_at: datetime) -> bool:
        return reading.time is not None and received_at - reading.time > max_age

    return Rule(Reason.TOO_OLD, breaks)


def too_far_ahead(max_lead: timedelta) -> Rule:
    """A reading timestamped more than `max_lead` after its receipt: its clock can't be trusted, so it is suspect."""

    def breaks(reading: Reading, received_at: datetime) -> bool:
        return reading.time is not None and reading.time - received_at > max_lead

    return Rule(Reason.SUSPECT, breaks)


def tagged_system() -> Rule:
    return Rule(Reason.SYSTEM, lambda reading, _received_at: "system" in reading.tags)


def tagged_suspect() -> Rule:
    return Rule(Reason.SUSPECT, lambda reading, _received_at: "suspect" in reading.tags)


def judge(reading: Reading, received_at: datetime, rules: Sequence[Rule]) -> Verdict:
    """Every reason that some rule gives, once each, in order of precedence."""
    reasons = {rule.reason for rule in rules if rule.breaks(reading, received_at)}
    return Verdict(tuple(sorted(reasons, key=PRECEDENCE.index)))
