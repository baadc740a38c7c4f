from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacosmos.domain import rules
from datacosmos.domain.points import Reading, Reason, Status
from datacosmos.domain.rules import Rule, judge

RECEIVED = datetime(2024, 3, 28, 16, 55, 34, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
EVERY_RULE = (
    rules.tagged_suspect(),
    rules.tagged_system(),
    rules.too_far_ahead(HOUR),
    rules.too_old(HOUR),
    rules.malformed(),
)
TAGS = st.lists(st.sampled_from(["system", "suspect", "indoor", "System", "suspects", ""]), max_size=4)
MOMENTS = st.datetimes(timezones=st.just(UTC))


def reading(time: datetime | None = RECEIVED, tags: tuple[str, ...] = (), faults: tuple[str, ...] = ()) -> Reading:
    return Reading(source="data_server", series="datacosmos", time=time, value=0.5, tags=tags, faults=faults)


def reasons(subject: Reading, *some: Rule) -> tuple[Reason, ...]:
    return judge(subject, RECEIVED, some or EVERY_RULE).reasons


def test_a_reading_that_breaks_no_rule_is_accepted() -> None:
    verdict = judge(reading(), RECEIVED, EVERY_RULE)
    assert (verdict.status, verdict.reasons, verdict.reason) == (Status.ACCEPTED, (), None)


def test_exactly_the_greatest_age_is_kept_and_a_microsecond_more_is_too_old() -> None:
    assert reasons(reading(RECEIVED - HOUR)) == ()
    assert reasons(reading(RECEIVED - HOUR - MICROSECOND)) == (Reason.TOO_OLD,)


def test_exactly_the_greatest_lead_is_kept_and_a_microsecond_more_is_suspect() -> None:
    assert reasons(reading(RECEIVED + HOUR)) == ()
    assert reasons(reading(RECEIVED + HOUR + MICROSECOND)) == (Reason.SUSPECT,)


def test_without_a_rule_against_it_the_future_is_accepted() -> None:
    assert reasons(reading(datetime.max.replace(tzinfo=UTC)), rules.too_old(HOUR)) == ()


@given(MOMENTS, MOMENTS, st.timedeltas(min_value=timedelta(0)))
def test_age_is_compared_exactly_for_all_times(time: datetime, received_at: datetime, max_age: timedelta) -> None:
    verdict = judge(reading(time), received_at, [rules.too_old(max_age)])
    assert (Reason.TOO_OLD in verdict.reasons) == (received_at - time > max_age)


@pytest.mark.parametrize("offset", [-12, 0, 5.5, 14])
def test_the_offset_a_time_is_written_with_makes_no_difference(offset: float) -> None:
    elsewhere = timezone(timedelta(hours=offset))
    assert reasons(reading((RECEIVED - HOUR).astimezone(elsewhere))) == ()
    assert reasons(reading((RECEIVED - HOUR - MICROSECOND).astimezone(elsewhere))) == (Reason.TOO_OLD,)


@pytest.mark.parametrize(("tag", "reason"), [("system", Reason.SYSTEM), ("suspect", Reason.SUSPECT)])
def test_a_tag_discards_only_when_it_is_the_very_word(tag: str, reason: Reason) -> None:
    assert reasons(reading(tags=("indoor", tag))) == (reason,)
    assert reasons(reading(tags=(tag.upper(), f"{tag}s", f" {tag}", ""))) == ()


def test_a_reading_without_a_time_is_judged_by_what_is_left() -> None:
    assert reasons(reading(None, ("system",), ("time is missing",))) == (Reason.MALFORMED, Reason.SYSTEM)


@given(st.permutations(EVERY_RULE), st.booleans(), st.booleans(), TAGS)
def test_every_reason_is_recorded_once_in_order_of_precedence_whatever_the_order_of_the_rules(
    some: list[Rule], broken: bool, old: bool, tags: list[str]
) -> None:
    subject = reading(RECEIVED - 2 * HOUR if old else RECEIVED + 2 * HOUR, tuple(tags), ("a", "b") if broken else ())
    expected = [Reason.MALFORMED] if broken else []
    expected += [Reason.TOO_OLD] if old else []
    expected += [Reason.SYSTEM] if "system" in tags else []
    expected += [Reason.SUSPECT] if "suspect" in tags or not old else []
    verdict = judge(subject, RECEIVED, some)
    assert verdict.reasons == tuple(expected)
    assert verdict.reason == (expected[0] if expected else None)
    assert verdict.status is (Status.DISCARDED if expected else Status.ACCEPTED)


def test_precedence_is_malformed_then_too_old_then_system_then_suspect_then_duplicate() -> None:
    assert [reason.value for reason in rules.PRECEDENCE] == ["malformed", "too_old", "system", "suspect", "duplicate"]


@given(MOMENTS, st.timedeltas(min_value=-2 * HOUR, max_value=2 * HOUR), TAGS)
def test_a_verdict_depends_on_the_time_of_receipt_and_on_no_clock(
    received_at: datetime, age: timedelta, tags: list[str]
) -> None:
    """Judged in another century, the same age gives the same verdict."""
    try:
        there, here = reading(received_at - age, tuple(tags)), reading(RECEIVED - age, tuple(tags))
    except OverflowError:
        return
    assert judge(there, received_at, EVERY_RULE) == judge(here, RECEIVED, EVERY_RULE)
