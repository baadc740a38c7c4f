# pyright: reportUnknownMemberType=false

import base64
import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from datacosmos.auth import issuers
from datacosmos.auth.bearer import authenticate
from datacosmos.auth.issuers import Caller, Role, SharedSecret
from datacosmos.auth.secret import load_secret
from datacosmos.errors import SettingsError, Unauthenticated
from datacosmos.settings import Settings

SECRET = "a secret of these tests, long enough"
OURS = SharedSecret(SECRET)
HOUR = timedelta(hours=1)


def token(**changes: Any) -> str:
    claims = {"sub": "ada", "role": "user", "exp": datetime.now(UTC) + HOUR} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, SECRET, algorithm="HS256")


def unsigned(header: bytes) -> str:
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, b"{}", b"x")).decode()


def read(token: str, issuer: SharedSecret = OURS) -> Caller:
    return authenticate(f"Bearer {token}", [issuer])


@pytest.mark.parametrize("role", Role)
def test_a_token_names_its_caller(role: Role) -> None:
    issued = OURS.issue(role=role, subject="ada", lifetime=HOUR, now=datetime.now(UTC))
    assert read(issued) == Caller("ada", role)


def test_a_token_is_good_until_it_expires_and_says_so_after() -> None:
    now = datetime.now(UTC)
    issued = OURS.issue(role=Role.USER, subject="ada", lifetime=HOUR, now=now - HOUR + timedelta(minutes=1))
    assert read(issued).subject == "ada"
    expired = OURS.issue(role=Role.USER, subject="ada", lifetime=HOUR, now=now - HOUR - timedelta(seconds=2))
    with pytest.raises(Unauthenticated, match="expired"):
        read(expired)


def test_a_token_that_was_good_before_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    issued = OURS.issue(role=Role.USER, subject="ada", lifetime=HOUR, now=datetime.now(UTC))
    assert read(issued).subject == "ada"
    monkeypatch.setattr(issuers, "time", SimpleNamespace(time=lambda: time.time() + 3601))
    with pytest.raises(Unauthenticated, match="expired"):
        read(issued)


def seconds_from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize("ahead", [2, 25, 86400])
def test_a_token_made_by_a_clock_that_is_ahead_is_good(ahead: int) -> None:
    assert read(token(iat=seconds_from_now(ahead))).subject == "ada"


def test_a_token_may_begin_half_a_minute_ahead_of_our_clock_and_no_more() -> None:
    assert read(token(nbf=seconds_from_now(25))).subject == "ada"
    with pytest.raises(Unauthenticated, match=r"not in force yet \(nbf\)"):
        read(token(nbf=seconds_from_now(60)))


def test_no_leeway_is_given_to_the_end_of_a_token() -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        read(token(exp=seconds_from_now(-1)))


def test_a_lifetime_beyond_the_calendar_is_cut_to_it() -> None:
    issued = OURS.issue(role=Role.USER, subject="ada", lifetime=timedelta.max, now=datetime.now(UTC))
    assert read(issued).subject == "ada"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "rubbish",
        "a.b.c",
        "ü.ü.ü",
        token(exp=None),
        token(role=None),
        token(sub=None),
        token(sub=5),
        token(role="root"),
        token(role=["admin"]),
        token() + "x",
        jwt.encode({"sub": "ada", "role": "admin", "exp": 1 << 33}, "x" * 40, algorithm="HS256"),
        jwt.encode({"sub": "ada", "role": "admin", "exp": 1 << 33}, SECRET * 2, algorithm="HS512"),
        jwt.encode({"sub": "ada", "role": "admin", "exp": 1 << 33}, None, algorithm="none"),
        unsigned(b"[" * 20_000),
        unsigned(json.dumps({"alg": "HS256", "crit": ["x"]}).encode()),
    ],
)
def test_anything_else_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        read(wrong)
    assert str(refused.value) == "the token is none that this service gave out"


def test_a_token_with_the_right_secret_but_another_algorithm_is_refused() -> None:
    secret = SECRET * 2
    other = jwt.encode({"sub": "ada", "role": "admin", "exp": 1 << 33}, secret, algorithm="HS512")
    with pytest.raises(Unauthenticated):
        read(other, SharedSecret(secret))


def embedded(folder: Path) -> Settings:
    return Settings(data_dir=folder, mongodb_url=None, jwt_secret=None)


def test_the_embedded_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    secret = load_secret(embedded(folder), make=True)
    assert load_secret(embedded(folder), make=True) == secret
    assert len(secret) >= 32
    assert [file.name for file in folder.iterdir()] == ["jwt_secret"]
    assert stat.S_IMODE((folder / "jwt_secret").stat().st_mode) == 0o600


def test_starts_at_the_same_time_agree_on_the_secret(tmp_path: Path) -> None:
    started = Barrier(8)

    def start(_: int) -> str:
        started.wait()
        return load_secret(embedded(tmp_path), make=True)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(start, range(8)))) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["jwt_secret"]


def test_a_given_secret_wins_over_the_file(tmp_path: Path) -> None:
    load_secret(embedded(tmp_path), make=True)
    assert load_secret(Settings(data_dir=tmp_path, jwt_secret=SecretStr(SECRET))) == SECRET


def test_with_a_given_mongodb_a_missing_secret_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path, mongodb_url=SecretStr("mongodb://localhost"), jwt_secret=None)
    with pytest.raises(SettingsError, match=r"DATACOSMOS_JWT_SECRET.*make one with"):
        load_secret(given)


def test_a_short_secret_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DATACOSMOS_JWT_SECRET.*32 bytes.*make one with") as refused:
        load_secret(Settings(jwt_secret=SecretStr("hunter2")))
    assert "hunter2" not in str(refused.value)
    (tmp_path / "jwt_secret").write_text("hunter2")
    with pytest.raises(SettingsError, match="jwt_secret: the secret must be 32 bytes"):
        load_secret(embedded(tmp_path))


def test_a_data_directory_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file/jwt_secret"):
        load_secret(embedded(tmp_path / "file"))
