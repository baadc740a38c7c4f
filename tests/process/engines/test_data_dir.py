import socket
from pathlib import Path

import pytest

from datacosmos.engines import embedded_engines
from datacosmos.engines.data_dir import free_port, write_private
from datacosmos.errors import EngineError


async def test_a_data_directory_that_can_not_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"file/data can't be used: Not a directory; .* another one by --data-dir"):
        async with embedded_engines(tmp_path / "file" / "data"):
            pass


async def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "engines.json.new").symlink_to("/dev/full")
    with pytest.raises(EngineError, match=r"No space left on device; free some space, or give another"):
        async with embedded_engines(tmp_path):
            pass


async def test_a_damaged_engines_json_is_named_with_the_remedy(tmp_path: Path) -> None:
    for damage in (b"", b"{", b'{"mongodb": {"port": "secret"}}', b"\xff"):
        (tmp_path / "engines.json").write_bytes(damage)
        with pytest.raises(EngineError, match=r"engines.json is damaged: remove it") as caught:
            async with embedded_engines(tmp_path):
                pass
        assert "secret" not in str(caught.value)


def test_a_file_that_could_not_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "engines.json"
    write_private(path, b"whole")
    (tmp_path / "engines.json.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_private(path, b"half")
    assert path.read_bytes() == b"whole"


def test_a_port_is_kept_unless_somebody_listens_there() -> None:
    port = free_port(0)
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port
