"""Real engines for every test: one of each per session, a database and a stream of its own per test."""

import gc
import os
import secrets
import shutil
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import hypothesis
import psutil
import pytest
import pytest_asyncio
from pymongo import MongoClient
from starlette.types import ASGIApp

from datacosmos.calculation.pool import Pool, pool_of
from datacosmos.engines import Endpoints, embedded_engines
from datacosmos.engines.data_dir import is_held
from datacosmos.observability import configure_logging
from datacosmos.settings import PREFIX, Settings
from datacosmos.store.minutes.minutes import Minutes
from datacosmos.store.mongo.connection import Database, Document, connect
from datacosmos.store.points.points import Points
from datacosmos.store.stores import Stores
from tests.asking import app_of, client_of

# Without a database of what failed before, a seed tells everything.
hypothesis.settings.register_profile("datacosmos", deadline=None, max_examples=50, database=None)
hypothesis.settings.load_profile("datacosmos")

HERE = Path(__file__).parent

# As the service logs: the default of structlog may draw each variable of a traceback, which takes seconds.
configure_logging("info", "json")

# A shell's background job ignores Ctrl-C, as would every program that is started from it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What the developer's own environment says is no part of a test.
for name in [name for name in os.environ if name.startswith(PREFIX)]:
    del os.environ[name]


TIERS = ("process", "engine", "unit")
MEMORY, OURS, ROOM = Path("/dev/shm"), "datacosmos-tests-", 4 << 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed",
        default="0",
        help="what all random choices follow from: a number (0), or `random` for another",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the plugins are configured: hypothesis takes its seed from here, and the processes of xdist the number."""
    given: str = config.option.seed
    config.option.seed = config.option.hypothesis_seed = str(secrets.randbits(32) if given == "random" else int(given))


def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        reporter.write_line(f"--seed={session.config.option.seed}")


def pytest_collection_finish() -> None:
    """What is there by now stays: garbage is looked for in what the tests make."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, the slow ones go first: none is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: TIERS.index(item.path.relative_to(HERE).parts[0]))


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.option.seed)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Generator[None]:
    """A connection that a test forgets is told of in its own name, rather than in that of whichever test runs when the
    garbage is collected next."""
    before = count_descriptors()
    yield
    for _ in range(2):  # what one round frees may hold more
        if count_descriptors() > before:
            gc.collect()


def count_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(scope="session")
def engines_dir(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """In memory where there is plenty: a test of what a disk keeps starts engines of its own, and on a disk each write
    waits for it."""
    if MEMORY.is_dir() and min(psutil.disk_usage(str(MEMORY)).free, psutil.virtual_memory().available) > ROOM:
        for left in MEMORY.glob(f"{OURS}*"):  # by a run that was killed
            if (left / "lock").exists() and not is_held(left):
                shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(dir=MEMORY, prefix=OURS) as folder:
            yield Path(folder)
    else:
        yield tmp_path_factory.mktemp("engines")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def endpoints(engines_dir: Path) -> AsyncGenerator[Endpoints]:
    """The session's engines; a test that harms an engine starts its own instead."""
    async with embedded_engines(engines_dir) as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def drop(endpoints: Endpoints) -> Generator[Callable[[str], object]]:
    """Drops a database while the tests go on: MongoDB spends 0.1 s on it, most of it waiting."""
    with MongoClient[Document](endpoints.mongodb_url) as client, ThreadPoolExecutor(1) as thread:
        yield lambda name: thread.submit(client.drop_database, name)


@pytest.fixture
def settings(endpoints: Endpoints, tmp_path: Path) -> Settings:
    """Settings with a database and a stream that no other test has."""
    name = f"test_{secrets.token_hex(6)}"
    return Settings.model_validate(
        {
            "_env_file": None,
            "mongodb_url": endpoints.mongodb_url,
            "mongodb_database": name,
            "nats_url": endpoints.nats_url,
            "nats_stream": name,
            "queue_max_bytes": "16MiB",
            "jwt_secret": secrets.token_hex(32),
            "data_dir": tmp_path / "data",
        }
    )


@pytest.fixture
async def database(settings: Settings, drop: Callable[[str], object]) -> AsyncGenerator[Database]:
    """The database of `settings`, dropped after the test."""
    assert settings.mongodb_url
    url = settings.mongodb_url.get_secret_value()
    async with connect(url, settings.mongodb_database, settings.mongodb_timeout) as database:
        yield database
    drop(settings.mongodb_database)


@pytest.fixture
async def stores(database: Database) -> Stores:
    stores = Stores.of(database)
    await stores.prepare()
    return stores


@pytest.fixture
def points(stores: Stores) -> Points:
    return stores.points


@pytest.fixture
def minutes(stores: Stores) -> Minutes:
    return stores.minutes


@pytest.fixture
def app(settings: Settings, stores: Stores) -> ASGIApp:
    return app_of(settings, stores)


@pytest.fixture
async def client(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def pool() -> AsyncGenerator[Pool]:
    async with pool_of(2) as pool:
        yield pool
