"""A whole service of one's own, with embedded engines and nothing stored yet, in a process beside the measuring one."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datacosmos.engines import running_engines


@dataclass(frozen=True, slots=True)
class Service:
    address: str
    folder: Path = Path()

    @property
    def mongodb_url(self) -> str:
        return running_engines(self.folder / "data").mongodb_url or ""


@contextmanager
def service(*arguments: str, **variables: str) -> Iterator[Service]:
    """Ready when it is given; nothing of it is left afterwards."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATACOSMOS_")}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "datacosmos", "serve", "--port", "0", *arguments],
            cwd=folder,
            env=inherited | variables,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield Service(_address(process), Path(folder))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"(http://\S+?)/health\s", line):
            return found[1]
    raise SystemExit("the service did not start")
