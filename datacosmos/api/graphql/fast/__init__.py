"""The same answers as Strawberry's, sooner. All that is outside of this room can be understood without it.

`documents` keeps parsed queries, and `operations` the plans for each. `plans` calls the schema's resolvers, by `calls`,
and `listed` reads the lists they describe; `rows` encodes what is selected of them, a column at a time, by `values`;
`objects` completes lists that a resolver gives as objects; `api/lists` does the rest.
What one of them does not know how to do is left to Strawberry as a whole.
"""

from datacosmos.api.graphql.fast.schema import FastSchema
from datacosmos.api.lists.encoding import Encoded, dump

__all__ = ["Encoded", "FastSchema", "dump"]
