"""Serves the page: its own files, and the two of uPlot that the wheel `youplot` carries."""

import importlib.util
import os
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PREFIX = "/page"
STATIC = Path(__file__).parent / "static"
UPLOT = ("uplot.iife.min.js", "uplot.min.css")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again, and answered with 304 where nothing has changed
}


def front() -> Response:
    """The page itself; other clients get something else at its address."""
    return FileResponse(STATIC / "index.html", headers=HEADERS | {"Vary": "Accept"})


class Files(StaticFiles):
    """What the page loads."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._vendor = _vendor()

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if path in UPLOT:
            full = self._vendor / path
            return str(full), full.stat()
        return super().lookup_path(path)

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path == "index.html":  # which is at / alone
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def _vendor() -> Path:
    """Where the wheel has uPlot; none of its Python is imported."""
    found = importlib.util.find_spec("youplot")
    assert found is not None and found.submodule_search_locations  # noqa: S101, PT018  a dependency of ours
    return Path(found.submodule_search_locations[0]) / "vendor"
