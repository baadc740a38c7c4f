"""The secret that our own tokens are signed with: given, or kept in the data directory."""

import os
import secrets
from pathlib import Path

from datacosmos.auth.issuers import SharedSecret
from datacosmos.errors import SettingsError
from datacosmos.settings import Settings

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: no shorter than the hash
SECRET_FILE = "jwt_secret"  # noqa: S105 - the name of a file
HOW_TO_MAKE = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def load_issuer(settings: Settings) -> SharedSecret:
    """Raises SettingsError where there is no secret, or none that will do."""
    return SharedSecret(load_secret(settings))


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
            f"DATACOSMOS_JWT_SECRET is not set, and there is no {path.absolute()}, which `datacosmos serve` makes for "
            f"an embedded MongoDB: give --data-dir, where that keeps its data, or set a secret; {HOW_TO_MAKE}"
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
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"DATACOSMOS_DATA_DIR (or --data-dir): {path.parent} can't be made: {error.strerror}"
        ) from None
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
