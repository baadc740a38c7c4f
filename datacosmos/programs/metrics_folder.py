"""Where the processes beside one of ours keep their metrics together."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "datacosmos-shared-metrics-"
NEW = 60.0  # seconds for which a folder may be about to be locked


@contextmanager
def metrics_folder() -> Generator[str]:
    """A folder of the caller's own, locked while it lives; this user's that a kill left behind are removed first."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as descriptor:
            found = os.fstat(descriptor)
            # Another user's may be anything, as one of 1,000 levels, at which Python gives up.
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > NEW:
                shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as own, _locked(Path(own), fcntl.LOCK_EX):
        yield own


@contextmanager
def _locked(folder: Path, kind: int) -> Generator[int]:
    """Its descriptor, which ends with this process. Raises OSError where it can't be, as another has locked it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)
