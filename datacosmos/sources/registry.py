"""Every source there is. A new one is a module of this room, and its line in KINDS."""

from collections import Counter
from collections.abc import Callable, Iterable

from datacosmos.errors import SettingsError
from datacosmos.settings import Settings
from datacosmos.sources import data_server, sensors
from datacosmos.sources.source import Source

KINDS: tuple[Callable[[Settings], Iterable[Source]], ...] = (data_server.configured, sensors.configured)


def configured(settings: Settings) -> tuple[Source, ...]:
    """The sources that the settings ask for. Raises SettingsError where two have one name."""
    sources = tuple(source for kind in KINDS for source in kind(settings))
    for name, count in Counter(source.name for source in sources).items():
        if count > 1:
            raise SettingsError(f"{count} sources are called {name!r}: give each a name of its own")
    return sources


def markdown() -> str:
    """The table of the README: the sources that there are by default."""
    lines = ["| source | series | readings are | discarded for |", "|---|---|---|---|"]
    for source in configured(Settings.model_construct()):
        reasons = ", ".join(dict.fromkeys(f"`{rule.reason}`" for rule in source.rules))
        lines.append(
            f"| `{source.name}` | {source.series or 'each reading names its own'} | {source.about} | {reasons} |"
        )
    return "\n".join(lines)
