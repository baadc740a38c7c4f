"""What the page is made of, as a browser gets it."""

import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from datacosmos.page import PREFIX, Files, front
from datacosmos.page.files import STATIC

UPLOT = {
    "uplot.iife.min.js": "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2",
    "uplot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
CLIENTS = Path(__file__).parents[2] / "process" / "clients"
IMPORT = re.compile(r"""(?:src|href)="([^"]+)"|from "\./([^"]+)"|import "\./([^"]+)\"""")


async def get(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=[Mount(PREFIX, Files())]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(f"{PREFIX}/{path}")


@pytest.mark.parametrize("name", UPLOT)
async def test_uplot_is_the_release_that_was_looked_at(name: str) -> None:
    served = await get(name)
    assert hashlib.sha256(served.content).hexdigest() == UPLOT[name]


def test_npm_has_the_same_files_of_uplot() -> None:
    package = CLIENTS / "node_modules" / "uplot"
    if not (package.parent / ".installed").exists():
        pytest.skip("npm's uplot is not installed: make tests/process/clients/node_modules/.installed")
    assert json.loads((package / "package.json").read_text())["version"] == "1.6.31"
    names = {"uplot.iife.min.js": "uPlot.iife.min.js", "uplot.min.css": "uPlot.min.css"}
    for ours, theirs in names.items():
        assert hashlib.sha256((package / "dist" / theirs).read_bytes()).hexdigest() == UPLOT[ours]


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir() if path.name != "index.html"))
async def test_each_file_goes_with_the_policy_and_a_type_that_is_not_guessed_at(name: str) -> None:
    served = await get(name)
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert served.status_code == 200
    assert served.headers["content-type"].startswith(kinds[Path(name).suffix])
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in served.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["index.html", "__init__.py", "../files.py", "%2e%2e/files.py", "nothing.js"])
async def test_nothing_else_is_served(name: str) -> None:
    assert (await get(name)).status_code == 404


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    page = front()
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["vary"] == "Accept"


def test_whatever_the_page_loads_is_here_and_nothing_lies_around_unused() -> None:
    texts = [path.read_text() for path in STATIC.iterdir()]
    named = {name.removeprefix("/page/") for text in texts for found in IMPORT.findall(text) for name in found if name}
    named = {name for name in named if "." in name}
    assert named == {path.name for path in STATIC.iterdir()} - {"index.html"} | set(UPLOT)
