"""How the clients of several languages write one instant."""

from datetime import UTC, datetime, timedelta, timezone


def spellings(moment: datetime, offset: timezone, nanoseconds: int = 0) -> list[str]:
    """As text, each the same microsecond; `nanoseconds` are more digits, which are cut."""
    utc, there = moment.astimezone(UTC), moment.astimezone(offset)
    clock, place = f"{utc:%H:%M:%S}", there.isoformat()[-6:]
    day = utc.isoformat()[:10]
    nine = f"{utc.microsecond:06}{nanoseconds:03}"
    texts = [
        utc.isoformat(),
        str(utc),  # Python's, with a blank
        there.isoformat(),
        there.isoformat(" ", "microseconds"),
        there.isoformat("T", "microseconds").replace(place, place.replace(":", "")),  # its %z
        utc.isoformat(timespec="microseconds").replace("+00:00", "Z"),  # pydantic's
        f"{day}T{clock}.{nine}Z",  # Java's Instant
        f"{day}T{clock}.{nine}".rstrip("0").rstrip(".") + "Z",  # Go's RFC3339Nano
        f"{day}t{clock}.{nine[:7]}z",  # RFC 3339's small letters, C#'s seven digits
        f"{there.isoformat()[:19]}.{nine}{place}",  # Java's OffsetDateTime
        f"{there.isoformat()[:19]}.{nine}{place}[Europe/Paris]",  # Java's ZonedDateTime, JavaScript's Temporal
        f"{day}T{clock}.{nine}Z[Etc/GMT+1]",
        moment.astimezone(timezone(timedelta(minutes=53, seconds=28))).isoformat(),  # Python's and Java's before 1900
    ]
    if not utc.microsecond % 1000:
        texts.append(f"{day}T{clock}.{nine[:3]}Z")  # JavaScript's toISOString
    if not utc.microsecond:
        texts.append(f"{day}T{clock}Z")
    if not utc.microsecond and not utc.second:
        texts += [f"{day}T{clock[:5]}Z", f"{there.isoformat()[:16]}{place}"]  # Java leaves zeros out
    return texts
