"""What the points of a stored series add up to, span by span of an answer, told from the entries of its chunks.

Only chunks that an edge cuts are read, and those that hold what an entry does not tell: the first and the last point
of a span, and, where it is to be drawn, when its least and its greatest are.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from datacosmos.domain import summaries
from datacosmos.domain.metrics import exact_sums
from datacosmos.domain.series import EMPTY, Samples, between, in_order, joined
from datacosmos.domain.summaries import NO_PARTS, PART, SHIFT, Parts
from datacosmos.store.series.chunks import READ_AT_ONCE, Chunks, Entries, spread
from datacosmos.store.series.roots import Snapshot

Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
MANY = 64  # spans in one chunk, of which each costs some calls of NumPy


@dataclass(frozen=True, slots=True)
class Sampled:
    """Points that were chosen to be drawn, by time, of how many, and whether they are all."""

    samples: Samples
    count: int
    is_exact: bool


async def sampled(chunks: Chunks, snapshot: Snapshot, start: int | None, end: int | None, width: int) -> Sampled:
    """All points where there are no more than 4 a pixel, else the first, last, least and greatest of each of `width`
    equal spans."""
    first, last = (edge if given is None else given for given, edge in ((start, snapshot.start), (end, snapshot.end)))
    if first is None or last is None or first > last:
        return Sampled(EMPTY, 0, is_exact=True)
    [whole] = await gathered(chunks, snapshot, np.array([first, last + 1]), first, last)
    count = int(whole["n"])
    edges = summaries.spans(first, last, width)
    if count > 4 * width:
        parts = await gathered(chunks, snapshot, edges, first, last, drawn=True)
        return Sampled(Samples(*summaries.extremes(parts)), count, is_exact=False)
    found = [between(snapshot.fresh, first, last), *[part async for part in chunks.read(snapshot.pages, first, last)]]
    return Sampled(in_order(joined(found)), count, is_exact=True)


async def gathered(
    chunks: Chunks, snapshot: Snapshot, edges: Times, start: int, end: int, *, drawn: bool = False
) -> Parts:
    """What [start, end] adds up to between each two edges: shape (len(edges) - 1,), n 0 where it is empty.

    The edges ascend, the first at or before `start`, the last after `end`. Unless they are `drawn`, `min_at` and
    `max_at` say nothing.
    """
    pages = snapshot.pages[np.logical_or(*spread(snapshot.pages, start, end))]
    entries = await chunks.entries(pages)
    entries = entries[np.logical_or(*spread(entries, start, end))]
    read = _to_read(entries, edges, start, end, drawn=drawn)
    found = [_pieces(between(snapshot.fresh, start, end), edges)]
    for first in range(0, len(cut := entries[read]), READ_AT_ONCE):
        several = await chunks.samples(cut[first : first + READ_AT_ONCE])
        found += [_pieces(between(samples, start, end), edges) for samples in several]
    # Last, so that of equal extremes one that was read comes first: only of those it is known when they are.
    return summaries.into_buckets(np.concatenate([*found, _as_parts(entries[~read])]), edges)


def _to_read(entries: Entries, edges: Times, start: int, end: int, *, drawn: bool) -> Mask:
    """Which chunks must be read."""
    first, last = (np.searchsorted(edges, entries[name], "right") for name in ("from", "to"))
    begins, ends = first != np.append(-1, last[:-1]), last != np.append(first[1:], -1)
    read = begins | ends | (first != last) | spread(entries, start, end).edge
    return read | _extreme(entries, first, read) if drawn else read


def _extreme(entries: Entries, span: NDArray[np.intp], read: Mask) -> Mask:
    """Which hold the least and the greatest of all that need not be read of a span."""
    chosen = np.zeros(len(entries), bool)
    whole = np.flatnonzero(~read)
    for column in (entries["min"], -entries["max"]):
        order = whole[np.lexsort((column[whole], span[whole]))]
        chosen[order[np.diff(span[order], prepend=-1) != 0]] = True
    return chosen


def _pieces(samples: Samples, edges: Times) -> Parts:
    """A part for each span that some ordered points reach into."""
    cuts = np.unique(np.searchsorted(samples.t, edges)).tolist()
    if len(cuts) > MANY:
        return summaries.by_bucket(summaries.single(samples.t, samples.v), edges)
    return np.concatenate([NO_PARTS, *(_part(samples[begin:end]) for begin, end in pairwise(cuts))])


def _part(samples: Samples) -> Parts:
    t, v = samples.t, samples.v
    least, most = int(v.argmin()), int(v.argmax())
    with np.errstate(over="ignore", invalid="ignore"):
        total, rest = (float(each[0]) for each in exact_sums(v[np.newaxis]))
    if not np.isfinite(total + rest):
        return summaries.gathered(summaries.single(t, v), np.full(len(t), t[0]))
    return np.array([(t[0], len(t), total, rest, v[least], v[most], v[0], v[-1], t[0], t[-1], t[least], t[most])], PART)


def _as_parts(entries: Entries) -> Parts:
    """Of chunks that are not read: none of them holds the first or the last of its span."""
    parts = np.zeros(len(entries), PART)
    for name in ("n", "sum", "rest", "min", "max"):
        parts[name] = entries[name]
    for name in ("at", "first_at", "min_at", "max_at"):
        parts[name] = entries["from"]
    parts["last_at"] = entries["to"]
    far = ~np.isfinite(entries["sum"])
    parts["rest"][far] = np.ldexp(entries["mean"][far], -SHIFT) * entries["n"][far]
    return parts
