"""What the log shows, and what it never shows."""

import pytest
import structlog


def fail() -> None:
    place = "40.701 north"
    raise RuntimeError(f"it failed after {len(place)}")


def test_a_traceback_in_the_log_of_the_tests_shows_no_variables(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        fail()
    except RuntimeError:
        structlog.stdlib.get_logger("test").exception("request failed")
    shown = caplog.text + "".join(capfd.readouterr())
    assert "RuntimeError: it failed after 12" in shown
    assert "40.701 north" not in shown
