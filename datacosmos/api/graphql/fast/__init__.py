"""The same answers as Strawberry's, sooner. All that is outside of this room can be understood without it.

`documents` keeps parsed queries, and `operations` the plans for each, and coerces variables. `plans` calls the schema's
resolvers, by `calls`, and has `listed` read the lists they describe: part by part, it fills a template, which `rows`
made of what is selected, with the JSON that `values` makes of each column. `objects` completes lists that a resolver
gives as objects; `api/lists` does the rest. What one of them does not know how to do is left to Strawberry as a whole;
an executor is made for that alone.
"""

from datacosmos.api.graphql.fast.schema import FastSchema
from datacosmos.api.lists.encoding import Encoded, dump

__all__ = ["Encoded", "FastSchema", "dump"]
