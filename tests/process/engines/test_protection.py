"""Who may come in, and who may read what is on disk."""

import asyncio
import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymongo.errors import OperationFailure

from datacosmos.engines import Endpoints, embedded_engines
from tests.process.engines.contents import connect_to, fill, found

SECRET_FILES = {"engines.json", "mongodb.key", "nats.conf"}


def with_password(url: str | None, password: str | None) -> str:
    assert url
    user, rest = url.split("@")
    scheme, name, _ = user.split(":")
    return f"{scheme}:{name}:{password}@{rest}" if password else f"{scheme}://{rest}"


def password(url: str | None) -> str:
    assert url
    return url.split("@")[0].rpartition(":")[2]


@pytest.mark.parametrize("guess", [None, "guess"])
async def test_mongodb_lets_nobody_in_without_the_password(endpoints: Endpoints, guess: str | None) -> None:
    async with connect_to(Endpoints(mongodb_url=with_password(endpoints.mongodb_url, guess))) as database:
        with pytest.raises(OperationFailure, match=r"requires authentication|Authentication failed"):
            await database["things"].find_one()


async def test_mongodb_lets_nobody_make_himself_a_user(endpoints: Endpoints) -> None:
    async with connect_to(Endpoints(mongodb_url=with_password(endpoints.mongodb_url, None))) as database:
        with pytest.raises(OperationFailure, match="requires authentication"):
            await database.client["admin"].command("createUser", "me", pwd="mine", roles=["root"])


@pytest.mark.parametrize("login", [{}, {"user": "datacosmos", "pass": "guess"}])
async def test_nats_lets_nobody_in_without_the_password(endpoints: Endpoints, login: dict[str, str]) -> None:
    parts = urlsplit(endpoints.nats_url or "")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    await reader.readline()
    writer.write(b"CONNECT %s\r\nPING\r\n" % json.dumps({"verbose": False} | login).encode())
    assert await reader.readline() == b"-ERR 'Authorization Violation'\r\n"
    writer.close()
    await writer.wait_closed()


async def test_only_the_owner_may_read_the_data_directory(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    async with embedded_engines(data_dir) as endpoints:
        files = [data_dir, *data_dir.iterdir()]
        assert {path.name for path in files} >= SECRET_FILES
        open_to_others = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
        assert open_to_others == []
    logs = "".join(path.read_text() for path in data_dir.glob("*.log"))
    for url in (endpoints.mongodb_url, endpoints.nats_url):
        assert password(url) not in logs
        assert password(url) not in repr(endpoints)


async def test_a_lost_engines_json_costs_the_passwords_but_no_data(tmp_path: Path) -> None:
    async with embedded_engines(tmp_path) as first:
        await fill(first, "kept")
    (tmp_path / "engines.json").unlink()
    async with embedded_engines(tmp_path) as second:
        assert password(second.mongodb_url) != password(first.mongodb_url)
        assert await found(second) == ("kept", "kept")
