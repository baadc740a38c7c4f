"""The page that people look at: files for a browser, which asks the public API alone."""

from datacosmos.page.files import HEADERS, PREFIX, Files, front

__all__ = ["HEADERS", "PREFIX", "Files", "front"]
