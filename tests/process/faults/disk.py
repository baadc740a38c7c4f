"""A disk of a test's own that can be filled and freed."""

import os
import resource
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tests.process.faults.group import ENGINES, Group

SIZE = "640m"
LONGEST = 1 << 16
"""Bytes: less than the data of either engine soon takes, more than what nats-server has to say about it."""


class Disk(Protocol):
    def fill(self, programs: Group, /) -> None: ...

    def free(self) -> None: ...

    def is_told(self, engine: str, log: str) -> bool:
        """Whether the log says why an engine is unavailable."""
        ...


class Mounted:
    """A small file system in memory, which is really full."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ballast = folder, folder / "ballast"

    def fill(self, _programs: Group, /) -> None:
        with self._ballast.open("wb", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while ballast.write(bytes(size)) == size:
                        pass

    def free(self) -> None:
        self._ballast.unlink()

    def is_told(self, engine: str, log: str) -> bool:
        return f"{engine} can't run: the disk is full; free some space for {self._folder}" in log


class Limited:
    """Where nothing may be mounted: the running engines may make no file longer, those started after them may."""

    def fill(self, programs: Group, /) -> None:
        for name in ENGINES:
            _, hard = resource.prlimit(programs.pid(name), resource.RLIMIT_FSIZE)
            resource.prlimit(programs.pid(name), resource.RLIMIT_FSIZE, (LONGEST, hard))

    def free(self) -> None:
        pass

    def is_told(self, engine: str, log: str) -> bool:
        return f'"engine": "{engine}", "event": "engine runs again"' in log


@contextmanager
def own_disk(folder: Path) -> Generator[Disk]:
    """A disk for all in a folder, which must be empty."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield Limited()
        return
    try:
        yield Mounted(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
