"""From a file of phones' locations to each user's averages, as seen from outside."""

import asyncio
import csv
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from datacosmos.simulators.locations import CITIES
from tests.programs import COMMAND, Program, environment, program, run

RECORDS, AT_ONCE = 10_000, 32
NUMBER = re.compile(r"-?\d+(\.\d+)?(e-\d+)?")
MEASURES = ("lat", "long", "accuracy", "speed")
MINUTES = "query($user: String!) { locations(userId: $user) { minute lat long accuracy speed count duplicates } }"
Key = tuple[str, str]


@dataclass
class Model:
    """What the service does, in plain Python over the rows of a file: user and minute, to what counts in it."""

    winners: dict[tuple[str, datetime], Key] = field(default_factory=dict[tuple[str, datetime], Key])
    minutes: dict[Key, list[Mapping[str, Fraction]]] = field(default_factory=lambda: defaultdict(list))
    duplicates: Counter[Key] = field(default_factory=Counter[Key])
    invalid: int = 0

    def take(self, row: Mapping[str, str]) -> None:
        if not valid(row):
            self.invalid += 1
            return
        key = row["user_id"], datetime.fromisoformat(row["timestamp"])
        if key in self.winners:
            self.duplicates[self.winners[key]] += 1
            return
        self.winners[key] = row["user_id"], minute_of(row)
        self.minutes[self.winners[key]].append({name: Fraction(row[name]) for name in MEASURES})

    def averages(self) -> dict[Key, dict[str, Any]]:
        """Each average is exact, and rounded once."""
        return {
            key: {"minute": key[1], "count": len(kept), **{name: mean(name, kept) for name in MEASURES}}
            for key, kept in self.minutes.items()
        }


def valid(row: Mapping[str, str]) -> bool:
    try:
        datetime.fromisoformat(row["timestamp"])
    except ValueError:
        return False
    if not row["user_id"] or not all(NUMBER.fullmatch(row[name]) for name in MEASURES):
        return False
    lat, long, accuracy, speed = (float(row[name]) for name in MEASURES)
    return abs(lat) <= 90 and abs(long) <= 180 and accuracy >= 0 and (speed >= 0 or speed == -1)


def minute_of(row: Mapping[str, str]) -> str:
    """By the nearest of the cities that the rows were made for."""
    zone = min(CITIES, key=lambda city: abs(CITIES[city][1] - float(row["long"])))
    time = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return time.strftime("%Y-%m-%dT%H:%M:00Z")


def mean(name: str, kept: list[Mapping[str, Fraction]]) -> float | None:
    known = [row[name] for row in kept if name != "speed" or row[name] != -1]
    return float(sum(known) / len(known)) if known else None


async def generated(folder: Path) -> Path:
    code, out, _ = await run("simulate", "locations", "--count", str(RECORDS), "--seed", "7", folder=folder)
    assert code == 0
    file = folder / "locations.csv"
    file.write_text(out)
    return file


def replay_of(file: Path, service: Program) -> list[str]:
    return ["replay", "locations", str(file), "--url", service.address, "--concurrency", str(AT_ONCE)]


async def replayed(file: Path, service: Program) -> tuple[int, int, int]:
    """What the tally counts: stored, duplicates, invalid."""
    code, out, err = await run(*replay_of(file, service), folder=file.parent)
    assert (code, err) == (0, ""), out + err
    stored, duplicates, invalid = map(int, re.findall(r" (\d+)(?:,|$)", out.strip()))
    return stored, duplicates, invalid


async def killed_half_way(file: Path, service: Program) -> None:
    """The service and who sends, once half of the records are taken; the service comes back."""
    variables = environment({})
    sending = await asyncio.create_subprocess_exec(
        *COMMAND, *replay_of(file, service), cwd=file.parent, env=variables, stdout=asyncio.subprocess.DEVNULL
    )
    taken = 0
    async with asyncio.timeout(120):
        while taken < RECORDS / 2:
            await asyncio.sleep(0.2)
            metrics = (await service.get("/metrics")).text
            counts = re.findall(r'request_seconds_count\{method="PUT",route="/location".*\} (\S+)', metrics)
            taken = sum(map(float, counts))
    await service.kill()
    sending.kill()
    await sending.wait()
    await service.start()


@pytest.mark.timeout(300)  # on a busy machine; a quiet one takes a tenth
@pytest.mark.serial
async def test_a_file_sent_again_after_a_kill_gives_the_exact_averages(tmp_path: Path) -> None:
    file = await generated(tmp_path)
    model = Model()
    with file.open(newline="") as rows:
        for row in csv.DictReader(rows):
            model.take(row)
    distinct, repeated = len(model.winners), model.duplicates.total()
    assert repeated > RECORDS * 0.45
    assert model.invalid > RECORDS * 0.01

    settings = {"DATACOSMOS_DATA_SERVER_URL": "http://127.0.0.1:1"}
    async with program(tmp_path, "serve", "--port", "0", **settings) as service:
        await killed_half_way(file, service)
        stored, duplicates, invalid = await replayed(file, service)
        assert 0 < stored < distinct * 0.6
        assert (stored + duplicates, invalid) == (distinct + repeated, model.invalid)

        _, token, _ = await run("token", "--role", "admin", folder=tmp_path)
        found: dict[Key, dict[str, Any]] = {}
        for user in {user for user, _ in model.minutes}:
            answer = await service.ask(MINUTES, token=token.strip(), user=user)
            found |= {(user, minute["minute"]): minute for minute in answer["data"]["locations"]}
        counted = {key: minute.pop("duplicates") for key, minute in found.items()}
        assert found == model.averages()
        assert all(counted[key] >= model.duplicates[key] for key in counted)
        assert 0 < sum(counted.values()) - duplicates < repeated  # those before the kill
        assert not any(user in service.log for user, _ in model.minutes)
        assert await service.stop() == 0
