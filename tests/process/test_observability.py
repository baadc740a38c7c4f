"""What the log of a program shows, and what it never shows."""

import subprocess
import sys

import pytest

FAILING = """
import sys
from datacosmos.observability import configure_logging
import structlog

configure_logging("info", sys.argv[1])
def fail():
    place = "40.701 north"
    raise RuntimeError("it failed")
try:
    fail()
except RuntimeError:
    structlog.stdlib.get_logger("test").exception("request failed")
"""


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_in_the_log_shows_no_variables(style: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FAILING, style], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "RuntimeError: it failed" in done.stderr
    assert "Logging error" not in done.stderr
    assert "40.701 north" not in done.stderr
