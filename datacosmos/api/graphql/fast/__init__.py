"""The same answers as Strawberry's, sooner. All that is outside of this room can be understood without it.

`documents` keeps parsed queries, `executor` completes the long lists, and `rows` encodes them, mostly from columns.
What one of them does not know how to do is left to Strawberry as a whole.
"""

from datacosmos.api.graphql.fast.encoded import Encoded, dump
from datacosmos.api.graphql.fast.schema import FastSchema

__all__ = ["Encoded", "FastSchema", "dump"]
