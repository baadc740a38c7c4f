from pathlib import Path
from typing import Any

import pytest

from datacosmos.domain.rules import malformed
from datacosmos.errors import SettingsError
from datacosmos.settings import Settings, to_environment
from datacosmos.sources.registry import configured, markdown
from datacosmos.sources.source import Parsed, Source

TOP = Path(__file__).parents[3]
ROOF = {"name": "roof", "url": "http://127.0.0.1:1"}
MAIN = {"name": "datacosmos", "url": "http://127.0.0.1:2"}


def served(**settings: Any) -> dict[str, str | None]:
    """The data servers' sources, and the series of each."""
    sources = configured(Settings.model_validate({"_env_file": None} | settings))
    return {source.name: source.series for source in sources if source.polled}


def test_the_single_address_is_the_data_server_datacosmos_and_stands_beside_a_list_where_it_is_given() -> None:
    assert served() == served(data_servers=[MAIN]) == {"data_server": "datacosmos"}
    assert served(data_servers=[ROOF]) == {"data_server/roof": "roof"}
    both = served(data_servers=[ROOF | {"series": "above"}], data_server_url="http://127.0.0.1:2")
    assert both == {"data_server": "datacosmos", "data_server/roof": "above"}


def test_another_process_of_the_same_settings_has_the_same_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in to_environment(Settings.model_validate({"_env_file": None, "data_servers": [MAIN]})).items():
        monkeypatch.setenv(name, value)
    assert served() == {"data_server": "datacosmos"}


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="2 sources are called 'data_server'"):
        served(data_servers=[MAIN], data_server_url="http://127.0.0.1:2")


def test_a_data_server_has_the_limits_of_all_but_for_those_that_it_gives() -> None:
    own: dict[str, Any] = {"timeout": "1s", "poll_interval": "2s", "poll_limit": 3, "poll_backoff_max": "4s"}
    given = {"data_servers": [ROOF | own | {"max_lead": None}, MAIN], "data_server_timeout": "9s", "max_lead": "1m"}
    roof, main, _ = configured(Settings.model_validate({"_env_file": None} | given))
    assert roof.polled
    assert main.polled
    seconds = [each.total_seconds() for each in (roof.polled.timeout, roof.polled.interval, roof.polled.backoff_max)]
    assert (seconds, roof.polled.limit) == ([1, 2, 4], 3)
    assert (main.polled.timeout.total_seconds(), main.polled.limit) == (9, 1000)
    assert [len(source.rules) for source in (roof, main)] == [4, 5]  # a lead of null is none


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", "a/b/c", "ä", "a>"])
def test_a_name_that_would_be_more_than_a_word_of_the_queues_subjects_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="is no name of a source"):
        Source(name=name, about="", parse=lambda _: Parsed(), rules=(malformed(),))


def test_the_sources_are_told_to_users_as_they_are() -> None:
    assert any(markdown() in page.read_text() for page in [TOP / "README.md", *TOP.glob("docs/*.md")])
