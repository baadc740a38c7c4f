"""The same answers as Strawberry's, sooner. All that is outside of this room can be understood without it.

`documents` keeps parsed queries, and `plans` what they select. `executor` completes lists, `reading` reads them part by
part, `rows` encodes each, mostly from columns, and `encoded` keeps them until they are sent.
What one of them does not know how to do is left to Strawberry as a whole.
"""

from datacosmos.api.graphql.fast.encoded import Encoded, dump
from datacosmos.api.graphql.fast.schema import FastSchema

__all__ = ["Encoded", "FastSchema", "dump"]
