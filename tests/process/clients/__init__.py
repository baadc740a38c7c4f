"""Other people's clients, run by Node: `make tests/process/clients/node_modules/.installed` installs them."""

import asyncio
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = Path(sysconfig.get_path("scripts")) / "node"


def installed_node() -> Path:
    """Skips the test where its clients aren't installed."""
    if not (HERE / "node_modules" / ".installed").exists():
        pytest.skip("the clients are not installed: make tests/process/clients/node_modules/.installed")
    return NODE


async def node(script: str, *arguments: str) -> str:
    """What a script here prints."""
    process = await asyncio.create_subprocess_exec(
        installed_node(), HERE / script, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()
