"""What one request may see, by the token it carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.security import HTTPBearer

from datacosmos.errors import Forbidden, TokenError, Unauthenticated
from datacosmos.tokens import GIVEN_OUT, Caller, Role, read_token

# For the documentation alone, and its button: Gate reads the header.
BEARER = HTTPBearer(auto_error=False, description="A token, for discards, locations, and series that are not public.")
HOW = "send `Authorization: Bearer <token>`"


@dataclass(frozen=True, slots=True)
class Access:
    """The caller, or why there is none; a wrong token opens just what no token opens."""

    public_series: frozenset[str]
    caller: Caller | None = None
    fault: str = f"this needs a token: {HOW}"

    def require_series(self, series: str) -> None:
        """Raises Unauthenticated for a series that is not public, whether it exists or not."""
        if series not in self.public_series:
            self.require_caller()

    def require_admin(self) -> None:
        """Raises Unauthenticated, or Forbidden for any other role."""
        if self.require_caller().role is not Role.ADMIN:
            raise Forbidden("this needs a token of the role admin")

    def require_owner(self, user_id: str) -> None:
        """Raises Unauthenticated, or Forbidden for all but that user and administrators."""
        if self.require_caller().role is not Role.ADMIN:
            self.require_subject(user_id)

    def require_subject(self, user_id: str) -> None:
        """Raises Unauthenticated, or Forbidden where the token is another's; neither tells whose."""
        if self.require_caller().subject != user_id:
            raise Forbidden("this needs a token whose subject is that user")

    def may_see_receipt_of(self, sender: str | None) -> bool:
        """What came without a token may be seen by whoever knows its id."""
        return sender is None or (
            self.caller is not None and (self.caller.role is Role.ADMIN or self.caller.subject == sender)
        )

    def require_caller(self) -> Caller:
        if self.caller is None:
            raise Unauthenticated(self.fault)
        return self.caller


@dataclass(frozen=True, slots=True)
class Gate:
    """Reads the token of each request."""

    secret: str = field(repr=False)
    public_series: frozenset[str]

    def identify(self, headers: Mapping[str, str]) -> Caller | None:
        """Who asks; None without a token. Raises Unauthenticated for a token that is not valid."""
        access = self.admit(headers)
        return access.require_caller() if headers.get("authorization", "").strip() else None

    def admit(self, headers: Mapping[str, str]) -> Access:
        authorization = headers.get("authorization", "").strip()
        if not authorization:
            return Access(self.public_series)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return Access(self.public_series, fault=f"the Authorization header holds no bearer token: {HOW}")
        try:
            caller = read_token(self.secret, token.strip())
        except TokenError as error:
            return Access(self.public_series, fault=str(error))
        if caller.role not in GIVEN_OUT:
            return Access(self.public_series, fault="this token is for calls between our services alone")
        return Access(self.public_series, caller)
