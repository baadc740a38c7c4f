"""Who makes the tokens that we believe, and what such a token tells."""

# pyright: reportUnknownMemberType=false

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import inf
from typing import Protocol

import jwt
from jwt.types import Options

from datacosmos.errors import Unauthenticated

ALGORITHM = "HS256"
NBF_LEEWAY = timedelta(seconds=30)
"""By how much the clock of whoever made a token may run before ours."""
EXPIRED = "the token has expired; ask for a new one (`datacosmos token` makes it)"
# When a token was made is no reason to refuse it: that would only tell whose clock is ahead.
CLAIMS: Options = {"require": ["exp", "sub", "role"], "verify_iat": False}


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"
    SERVICE = "service"  # of our own services, to each other: nobody is given one


GIVEN_OUT = (Role.ADMIN, Role.USER)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a valid token names, and until when: in seconds since the epoch."""

    subject: str
    role: Role
    expires: float = field(default=inf, compare=False)


class Issuer(Protocol):
    """Whoever makes tokens that we believe."""

    def verify(self, token: str) -> Caller | None:
        """Whom the token names; None where it is none of this issuer's.

        Raises Unauthenticated where it is, but is not in force now. It waits for nothing: an issuer with public keys
        fetches them on the side.
        """
        ...


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """Ourselves: JSON Web Tokens, signed (HS256) with a secret that all of our services know."""

    secret: str = field(repr=False)

    def issue(self, *, role: Role, subject: str, lifetime: timedelta, now: datetime) -> str:
        """A lifetime beyond the calendar is cut to it."""
        try:
            expires = now + lifetime
        except OverflowError:
            expires = datetime.max.replace(tzinfo=UTC)
        claims = {"sub": subject, "role": role.value, "iat": int(now.timestamp()), "exp": int(expires.timestamp())}
        return jwt.encode(claims, self.secret, algorithm=ALGORITHM)

    def verify(self, token: str) -> Caller | None:
        try:
            caller = _read(token, self.secret)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(EXPIRED) from None
        except jwt.ImmatureSignatureError:
            raise Unauthenticated(
                "the token is not in force yet (nbf); is the clock of whoever made it right?"
            ) from None
        # PyJWT reads the unsigned header first, and lets through what a nesting bomb in it raises.
        except (jwt.InvalidTokenError, ValueError, OverflowError, RecursionError):
            return None
        if int(caller.expires) <= time.time():  # the leeway is not for this
            raise Unauthenticated(EXPIRED)
        return caller


@lru_cache(256)
def _read(token: str, secret: str) -> Caller:
    """Once for each that is valid: that costs as much as a short query. Raises what `verify` catches."""
    claims = jwt.decode(token, secret, algorithms=[ALGORITHM], options=CLAIMS, leeway=NBF_LEEWAY)
    return Caller(claims["sub"], Role(claims["role"]), float(claims["exp"]))
