import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from datacosmos.calculation.forecast import Question, forecast
from datacosmos.calculation.pool import MOST_UNDER_WAY, Pool, pool_of
from datacosmos.errors import CalculationUnavailable, CannotForecast
from tests.made_series import seasonal
from tests.processes import Watched

HOLDER = """
import asyncio, os
from datacosmos.calculation.pool import pool_of

async def main() -> None:
    async with pool_of(2) as pool:
        print(await pool.run(os.getpid), os.getpid(), flush=True)
        await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def killed_once(mark: str) -> str:
    """Dies, unless it has done so before."""
    path = Path(mark)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "calculated"


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def held_up(mark: str) -> None:
    while not Path(mark).exists():
        time.sleep(0.01)


async def test_a_pool_is_there_at_once_and_answers_when_it_is_warm() -> None:
    async with pool_of(1) as pool:
        assert pool.check().startswith("warming up")
        answer = await pool.run(forecast, seasonal(100, 4), Question(3, (80,), 4))
        assert pool.check() == "ready"
        assert len(answer.points) == 3


async def test_what_a_calculation_raises_is_raised_here(pool: Pool) -> None:
    with pytest.raises(CannotForecast, match="there are 5"):
        await pool.run(forecast, seasonal(5, 4), Question(3, (80,)))


async def test_a_killed_process_is_replaced_and_its_calculation_done_again(pool: Pool, tmp_path: Path) -> None:
    assert await pool.run(killed_once, str(tmp_path / "mark")) == "calculated"
    one = await pool.run(os.getpid)
    os.kill(one, signal.SIGKILL)
    await Watched(one).ended()
    answers = await asyncio.gather(*(pool.run(os.getpid) for _ in range(10)))
    assert one not in answers


async def test_a_calculation_that_kills_its_process_again_is_given_up_and_others_go_on(pool: Pool) -> None:
    with pytest.raises(CalculationUnavailable, match="died, twice"):
        await pool.run(killed)
    assert await pool.run(os.getpid) != os.getpid()


async def test_more_than_can_be_answered_in_time_is_refused_at_once(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with pool_of(1) as pool:
        waiting = [asyncio.create_task(pool.run(held_up, str(mark))) for _ in range(MOST_UNDER_WAY)]
        await asyncio.sleep(0)
        with pytest.raises(CalculationUnavailable, match="too many"):
            await pool.run(os.getpid)
        mark.touch()
        await asyncio.gather(*waiting)
        assert await pool.run(os.getpid)


async def test_no_process_outlives_the_one_that_made_the_pool(tmp_path: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert holder.stdout is not None
    worker, _ = map(int, (await holder.stdout.readline()).split())
    watched = Watched(worker)
    holder.kill()
    await holder.wait()
    await watched.ended()
