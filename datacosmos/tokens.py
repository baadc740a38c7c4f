"""Signed tokens (JWT, HS256) that say who asks and in which role, and the secret they are signed with."""

# pyright: reportUnknownMemberType=false

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import jwt

from datacosmos.errors import SettingsError, TokenError
from datacosmos.settings import Settings

ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: no shorter than the hash
SECRET_FILE = "jwt_secret"  # noqa: S105 - the name of a file
HOW_TO_MAKE = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"
    SERVICE = "service"  # of our own services, to each other: nobody is given one


GIVEN_OUT = (Role.ADMIN, Role.USER)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a valid token names."""

    subject: str
    role: Role


def issue_token(secret: str, *, role: Role, subject: str, lifetime: timedelta, now: datetime) -> str:
    try:
        expires = now + lifetime
    except OverflowError:
        expires = datetime.max.replace(tzinfo=UTC)
    claims = {"sub": subject, "role": role.value, "iat": int(now.timestamp()), "exp": int(expires.timestamp())}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def read_token(secret: str, token: str) -> Caller:
    """Raises TokenError unless the token is ours, unexpired, and names a subject and a role."""
    try:
        claims = jwt.decode(token, secret, algorithms=[ALGORITHM], options={"require": ["exp", "sub", "role"]})
        return Caller(claims["sub"], Role(claims["role"]))
    except jwt.ExpiredSignatureError:
        raise TokenError("the token has expired; ask for a new one (`datacosmos token` makes it)") from None
    # PyJWT reads the unsigned header first, and lets through what a nesting bomb in it raises.
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise TokenError("the token is none that this service gave out") from None


def load_secret(settings: Settings, *, make: bool = False) -> str:
    """The secret of the settings, or else that of the data directory, which `make` allows to make there.

    With a MongoDB of one's own none is made: what one process makes, the others would not have.
    """
    if settings.jwt_secret is not None:
        return _long_enough(settings.jwt_secret.get_secret_value(), "DATACOSMOS_JWT_SECRET")
    path = settings.data_dir / SECRET_FILE
    try:
        if make and settings.mongodb_url is None and not path.exists():
            _make_secret(path)
        return _long_enough(path.read_text("ascii").strip(), str(path))
    except FileNotFoundError:
        raise SettingsError(
            f"DATACOSMOS_JWT_SECRET is not set, and there is no {path}, which `datacosmos serve` makes for an embedded "
            f"MongoDB; {HOW_TO_MAKE}"
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is no secret of ours; delete it, and a new one is made") from None
    except OSError as error:
        raise SettingsError(f"{path}: the secret can't be kept there: {error.strerror}") from None


def _long_enough(secret: str, where: str) -> str:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"{where}: the secret must be {MIN_SECRET_BYTES} bytes or longer; {HOW_TO_MAKE}")
    return secret


def _make_secret(path: Path) -> None:
    """Written whole under another name and then linked, which fails where a second process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
