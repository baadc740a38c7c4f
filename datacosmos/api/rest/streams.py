"""Series on their way out."""

import orjson

from datacosmos.api.lists.columns import fill_rows, second_texts, value_texts
from datacosmos.api.lists.formats import Format
from datacosmos.api.rest.answers import SeriesDescription
from datacosmos.domain.series import Samples


def as_json(described: SeriesDescription) -> Format[Samples]:
    """The object that tells of the series, with its points as one more field, which comes last."""
    return Format(_json_points, orjson.dumps(described)[:-1] + b',"points":[', b",", b"]}")


def as_csv() -> Format[Samples]:
    """A line of names, then one for each point."""
    return Format(_csv_lines, b"t,v\r\n")


def _json_points(samples: Samples) -> bytes:
    return fill_rows(b'{"t":%b,"v":%b}', _texts(samples), len(samples))


def _csv_lines(samples: Samples) -> bytes:
    return fill_rows(b"%b,%b\r\n", _texts(samples), len(samples), between=b"")


def _texts(samples: Samples) -> list[list[bytes]]:
    """Each t, and each v, as JSON has it."""
    return [second_texts(samples.t), value_texts(samples.v)]
