"""Rules, each a predicate over a reading and the time of its receipt, and the judgement they add up to.

A rule never looks at the clock: the same reading and the same time of receipt give the same verdict for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from datacosmos.domain.points import Reading, Reason, Verdict

PRECEDENCE = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Rule:
    """The reason to discard each reading that `breaks` holds for, a function that another process can be given."""

    reason: Reason
    breaks: Callable[[Reading, datetime], bool]


def malformed() -> Rule:
    """A reading that could not be parsed whole."""
    return Rule(Reason.MALFORMED, _has_faults)


def too_old(max_age: timedelta) -> Rule:
    """A reading timestamped more than `max_age` before its receipt; exactly `max_age` is kept."""
    return Rule(Reason.TOO_OLD, partial(_is_older, max_age))


def too_far_ahead(max_lead: timedelta) -> Rule:
    """A reading timestamped more than `max_lead` after its receipt: its clock can't be trusted, so it is suspect."""
    return Rule(Reason.SUSPECT, partial(_is_ahead, max_lead))


def tagged_system() -> Rule:
    return Rule(Reason.SYSTEM, partial(_is_tagged, "system"))


def tagged_suspect() -> Rule:
    return Rule(Reason.SUSPECT, partial(_is_tagged, "suspect"))


def _has_faults(reading: Reading, _received_at: datetime) -> bool:
    return bool(reading.faults)


def _is_older(max_age: timedelta, reading: Reading, received_at: datetime) -> bool:
    return reading.time is not None and received_at - reading.time > max_age


def _is_ahead(max_lead: timedelta, reading: Reading, received_at: datetime) -> bool:
    return reading.time is not None and reading.time - received_at > max_lead


def _is_tagged(tag: str, reading: Reading, _received_at: datetime) -> bool:
    return tag in reading.tags


def judge(reading: Reading, received_at: datetime, rules: Sequence[Rule]) -> Verdict:
    """Every reason that some rule gives, once each, in order of precedence."""
    reasons = {rule.reason for rule in rules if rule.breaks(reading, received_at)}
    return Verdict(tuple(sorted(reasons, key=PRECEDENCE.index)))
