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


def load_secret(settings: Settings) -> str:
    """The secret of the settings; with the embedded MongoDB, one made on first use in the data directory."""
    if settings.jwt_secret is not None:
        return _long_enough(settings.jwt_secret.get_secret_value(), "DATACOSMOS_JWT_SECRET")
    if settings.mongodb_url is not None:
        raise SettingsError(
            f"DATACOSMOS_JWT_SECRET is not set, and with a MongoDB of your own tokens need it; {HOW_TO_MAKE}"
        )
    path = settings.data_dir / SECRET_FILE
    try:
        if not path.exists():
            _make_secret(path)
        return _long_enough(path.read_text("ascii").strip(), str(path))
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
    path.parent.mkdir(parents=True, exist_ok=True)
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
