"""What one request may do, by the token it carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

import structlog

from datacosmos.auth.bearer import HOW, NO_TOKEN, authenticate
from datacosmos.auth.issuers import GIVEN_OUT, Caller, Issuer, Role
from datacosmos.errors import Forbidden, Unauthenticated, UnknownSeries
from datacosmos.settings import Settings


@dataclass(frozen=True, slots=True)
class Permissions:
    """Of the caller, or of those without a token, whom nothing tells apart; `fault` says why there is no caller.

    `is_refused`: there was a token, but no valid one.
    """

    public_series: frozenset[str]
    caller: Caller | None = None
    fault: str = ""
    is_refused: bool = False

    @property
    def owner(self) -> str | None:
        """Whose stored series a name means, and to whom a new one belongs."""
        return None if self.caller is None else self.caller.subject

    @property
    def is_admin(self) -> bool:
        return self.caller is not None and self.caller.role is Role.ADMIN

    def require_caller(self) -> Caller:
        """Raises Unauthenticated."""
        if self.caller is None:
            raise Unauthenticated(self.fault)
        return self.caller

    def require_no_wrong_token(self) -> None:
        """Raises Unauthenticated, where without a token something else would be told than its sender expects."""
        if self.is_refused:
            raise Unauthenticated(self.fault)

    def require_admin(self) -> None:
        """Raises Unauthenticated, or Forbidden for any other role."""
        self.require_caller()
        if not self.is_admin:
            raise Forbidden("this needs a token of the role admin")

    def require_series(self, series: str) -> None:
        """Raises Unauthenticated for a series of readings that is not public, whether it exists or not."""
        if series not in self.public_series:
            self.require_caller()

    def require_subject(self, user_id: str) -> None:
        """Raises Unauthenticated, or Forbidden where the token is another's; neither tells whose."""
        if self.require_caller().subject != user_id:
            raise Forbidden("this needs a token whose subject is that user")

    def require_subject_or_admin(self, user_id: str) -> None:
        """Raises Unauthenticated, or Forbidden for all but that user and administrators."""
        if not self.is_admin:
            self.require_subject(user_id)

    def may_see(self, owner: str | None) -> bool:
        """A stored series, by its owner."""
        return owner in (None, self.owner) or self.is_admin

    def require_sight_of(self, owner: str | None) -> None:
        """Raises UnknownSeries for another's stored series: whether there is one is not told."""
        if not self.may_see(owner):
            raise unknown_series()

    def require_ownership(self, owner: str | None) -> None:
        """Raises UnknownSeries, or Forbidden where a stored series may be read but not changed."""
        self.require_sight_of(owner)
        if owner != self.owner and not self.is_admin:
            raise Forbidden("this series belongs to those without a token: leave the token out")

    def may_see_receipt_of(self, sender: str | None) -> bool:
        """What came without a token may be seen by whoever knows its id."""
        return sender in (None, self.owner) or self.is_admin


@dataclass(frozen=True, slots=True)
class AccessControl:
    """Tells what a request may do, by its headers."""

    issuers: Sequence[Issuer]
    public_series: frozenset[str]
    open_ingest: bool

    @classmethod
    def of(cls, settings: Settings, issuers: Sequence[Issuer]) -> Self:
        return cls(issuers, frozenset(settings.public_series), settings.open_ingest)

    def admit(self, headers: Mapping[str, str]) -> Permissions:
        """A wrong token opens just what no token opens."""
        authorization = headers.get("authorization", "").strip()
        if not authorization:
            return _nobody(self.public_series)
        try:
            caller = authenticate(authorization, self.issuers)
        except Unauthenticated as error:
            return Permissions(self.public_series, fault=str(error), is_refused=True)
        if caller.role not in GIVEN_OUT:
            fault = "this token is for calls between our services alone"
            return Permissions(self.public_series, fault=fault, is_refused=True)
        structlog.contextvars.bind_contextvars(subject=caller.subject)  # for the log
        return Permissions(self.public_series, caller)

    def identify(self, headers: Mapping[str, str]) -> Permissions:
        """Raises Unauthenticated for a token that is not valid; no token is fine."""
        permissions = self.admit(headers)
        permissions.require_no_wrong_token()
        return permissions

    def identify_writer(self, headers: Mapping[str, str]) -> Permissions:
        """Raises Unauthenticated also without a token, unless the settings let everybody write."""
        permissions = self.identify(headers)
        if permissions.caller is None and not self.open_ingest:
            raise Unauthenticated(f"writing needs a token: {HOW}")
        return permissions


@cache
def _nobody(public_series: frozenset[str]) -> Permissions:
    return Permissions(public_series, fault=NO_TOKEN)


def unknown_series() -> UnknownSeries:
    return UnknownSeries("there is no such series, or it is another's")
