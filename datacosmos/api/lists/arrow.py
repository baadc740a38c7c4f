"""Points as a stream of Arrow. Its library takes 30 MB, so import this late."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

import pyarrow as pa

from datacosmos.api.lists.formats import Format
from datacosmos.domain.columns import Columns

TIME = pa.timestamp("ms", "UTC")
SCHEMA = pa.schema([pa.field("time", TIME, nullable=False), pa.field("value", pa.float64(), nullable=False)])
END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream: a message without metadata


def _message(rows: Columns) -> bytes:
    batch = pa.record_batch([pa.array(rows.time.view("M8[ms]"), TIME), pa.array(rows.value)], schema=SCHEMA)
    return batch.serialize().to_pybytes()


POINTS = Format(_message, SCHEMA.serialize().to_pybytes(), tail=END)
