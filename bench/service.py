"""A whole service of one's own, with embedded engines and nothing stored yet, in a process beside the measuring one."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from datacosmos.engines import Endpoints, running_engines

HEALTH, ANY = r"(http://\S+)/health\s", r"(http://\S+)"


@dataclass(frozen=True, slots=True)
class Service:
    address: str
    folder: Path = Path()
    process_id: int = 0

    @property
    def engines(self) -> Endpoints:
        return running_engines(self.folder / "data")

    @property
    def mongodb_url(self) -> str:
        return self.engines.mongodb_url or ""


@contextmanager
def service(*arguments: str, kept_in: Path | None = None, **variables: str) -> Iterator[Service]:
    """Ready when it is given; nothing of it is left afterwards, but for what is kept in a folder."""
    with tempfile.TemporaryDirectory() if kept_in is None else nullcontext(kept_in) as folder:
        command = (sys.executable, "-m", "datacosmos", "serve", "--port", "0", *arguments)
        with started(command, Path(folder), variables) as (address, process_id):
            yield Service(address, Path(folder), process_id)


@contextmanager
def api_beside(whole: Service, **variables: str) -> Iterator[Service]:
    """`datacosmos api` on the engines of a whole service."""
    command = (sys.executable, "-m", "datacosmos", "api", "--port", "0")
    with started(command, whole.folder, variables) as (address, process_id):
        yield Service(address, whole.folder, process_id)


@contextmanager
def started(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], prints: str = HEALTH
) -> Iterator[tuple[str, int]]:
    """The address that a program prints once it listens, found by a pattern, and its process id."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATACOSMOS_")}
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=inherited | variables, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield _address(process, prints, folder / "log"), process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _address(process: subprocess.Popen[str], prints: str, log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(prints, line):
            return found[1]
    raise SystemExit(f"{' '.join(process.args)} did not start:\n{log.read_text()}")
