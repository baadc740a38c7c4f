from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from datacosmos.auth.issuers import Caller, Role, SharedSecret
from datacosmos.auth.permissions import AccessControl
from datacosmos.errors import Unauthenticated

OURS = SharedSecret("a secret of these tests, long enough")
NOW = datetime.now(UTC)


@dataclass
class Badges:
    """An issuer of another kind: a token is its subject's name, an expired one says so."""

    def verify(self, token: str) -> Caller | None:
        kind, _, name = token.partition(":")
        if kind == "expired-badge":
            raise Unauthenticated("the badge has expired")
        return Caller(name, Role.USER) if kind == "badge" else None


def ours(role: Role, lifetime: timedelta = timedelta(hours=1)) -> str:
    return OURS.issue(role=role, subject="ada", lifetime=lifetime, now=NOW)


ACCESS = AccessControl([Badges(), OURS], frozenset(), open_ingest=False)


@pytest.mark.parametrize(
    ("token", "caller"),
    [("badge:bob", Caller("bob", Role.USER)), (ours(Role.ADMIN), Caller("ada", Role.ADMIN))],
    ids=["another issuer's", "ours"],
)
def test_the_token_of_any_issuer_names_its_caller(token: str, caller: Caller) -> None:
    assert ACCESS.identify({"authorization": f"Bearer {token}"}).caller == caller
    assert ACCESS.identify({"authorization": f"  bearer   {token} "}).caller == caller


@pytest.mark.parametrize(
    ("authorization", "fault"),
    [
        ("Bearer expired-badge:bob", "the badge has expired"),
        (f"Bearer {ours(Role.ADMIN, -timedelta(seconds=1))}", "the token has expired"),
        ("Bearer nobody's", "none that this service gave out"),
        ("Bearer", "none that this service gave out"),
        ("Basic badge:bob", "holds no bearer token"),
        (f"Bearer {ours(Role.SERVICE)}", "between our services alone"),
    ],
)
def test_a_token_that_is_not_valid_is_refused_where_it_matters_and_else_opens_what_none_opens(
    authorization: str, fault: str
) -> None:
    headers = {"authorization": authorization}
    with pytest.raises(Unauthenticated, match=fault):
        ACCESS.identify(headers)
    permissions = ACCESS.admit(headers)
    assert permissions.caller is None
    with pytest.raises(Unauthenticated, match=fault):
        permissions.require_series("private")


def test_without_a_token_one_may_read_and_write_only_where_everybody_may() -> None:
    assert ACCESS.identify({}).owner is None
    with pytest.raises(Unauthenticated, match="writing needs a token"):
        ACCESS.identify_writer({})
    open_to_all = AccessControl([OURS], frozenset(), open_ingest=True)
    assert open_to_all.identify_writer({}).owner is None
