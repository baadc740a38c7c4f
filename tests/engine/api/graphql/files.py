"""Files without a name, as the tests of long answers see them."""

import asyncio
import resource
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


def nameless_files() -> int:
    """How many of them this process has open in the temporary folder."""
    found: list[str] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return sum(name.startswith(tempfile.gettempdir()) and name.endswith("(deleted)") for name in found)


async def until_nameless_files_are(number: int) -> None:
    """A file whose list was given up is closed by the thread that is still writing to it."""
    async with asyncio.timeout(10):
        while nameless_files() != number:
            await asyncio.sleep(0.01)


@contextmanager
def longest_file(size: int) -> Generator[None]:
    """No file of this process may be longer, which is how a full disk looks to it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
