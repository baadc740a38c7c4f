"""What queries.py measures, as tables and as a plot."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from export import Export
from matplotlib.figure import Figure as Plot
from results import bars, machine, mongodb_version, node_versions, versions
from servers import OURS, PEERS, PROGRAMS
from shapes import TIME_VALUE, Case, Shape

PACKAGES = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "uvloop", "motor", "pymongo", "orjson")
AT_ONCE = 8
HEADS = ("req/s", "CPU ms")


class Figure(NamedTuple):
    """Of one round: requests a second, processor time of the server's process a request, and seconds of each."""

    rate: float
    cpu: float  # milliseconds
    took: list[float]


@dataclass(slots=True)
class Measured:
    sizes: dict[Case, int]  # bytes of an answer of ours
    rounds: dict[Case, dict[str, list[Figure]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    memory: dict[str, float] = field(default_factory=dict[str, float])
    memory_at_once: dict[str, float] = field(default_factory=dict[str, float])
    exports: list[Export] = field(default_factory=list[Export])
    health: list[float] = field(default_factory=list[float])  # seconds, of ours beside its largest queries
    short_alone: list[float] = field(default_factory=list[float])
    short_beside: list[float] = field(default_factory=list[float])
    clients_share: float = 0  # of one core, in the round in which it was largest

    def figure(self, case: Case, name: str) -> tuple[float, float] | None:
        """The median rate and processor time."""
        rounds = self.rounds[case].get(name)
        if not rounds:
            return None
        return statistics.median(each.rate for each in rounds), statistics.median(each.cpu for each in rounds)

    def p99(self, case: Case, name: str) -> float:
        """Milliseconds."""
        return 1000 * percentile([seconds for each in self.rounds[case][name] for seconds in each.took], 99)


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def report(measured: Measured, stored: int, rounds: int, seconds: float) -> str:
    shapes = dict.fromkeys(case.shape for case in measured.sizes)
    tables = "\n\n".join(f"## {shape.name}\n\n{_table(measured, shape)}" for shape in shapes)
    exports = "\n".join(map(str, measured.exports))
    memory = "\n".join(
        f"| {name} | {measured.memory[name]:,.0f} | {measured.memory_at_once[name]:,.0f} |" for name in measured.memory
    )
    eight = Case(TIME_VALUE, 10, "variables", AT_ONCE)
    tails = ", ".join(f"{name} {measured.p99(eight, name):.1f} ms" for name in measured.rounds[eight])
    median = statistics.median(measured.health)
    alone, beside = percentile(measured.short_alone, 95), percentile(measured.short_beside, 95)
    return f"""# Queries

Medians of {rounds} rounds of {seconds:g} s over {stored:,} points; the largest lists, one round. In parentheses: how
many times as many requests a second DataCosmos answers, and how many times as much processor time the other's process
uses for one. `ns/byte` is ours, by the bytes of the answer. The clients took {measured.clients_share:.0%} of one core
at the most. What is left out would have taken too long: others' longest lists, by
eight clients.

{tables}

## Beside others

p99 of ten points, asked for by {AT_ONCE} clients: {tails}.

While DataCosmos answered {AT_ONCE} of the largest at a time, ten points took {1000 * beside:,.1f} ms at p95, alone
{1000 * alone:,.1f} ms; `GET /health`, asked {len(measured.health)} times, {1000 * median:,.0f} ms in the median and
{1000 * percentile(measured.health, 95):,.0f} ms at p95.

| peak memory, MB | in all rounds | {AT_ONCE} times {TIME_VALUE.largest:,} at once |
|---|--:|--:|
{memory}

Export of DataCosmos, `GET /points`:

| points | time | points/s | peak memory |
|--:|--:|--:|--:|
{exports}

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}; {node_versions(PEERS)}.
"""


def _table(measured: Measured, shape: Shape) -> str:
    cases = [case for case in measured.sizes if case.shape is shape]
    names = [name for name in (OURS, *PROGRAMS) if any(name in measured.rounds[case] for case in cases)]
    titles = ["rows, clients, form", *(f"{name}, {head}" for name in names for head in HEADS), "ns/byte"]
    lines = [f"| {' | '.join(titles)} |", f"|---{'|--:' * (len(titles) - 1)}|"]
    for case in cases:
        cells = [cell for name in names for cell in _cells(measured, case, name)]
        ours = measured.figure(case, OURS)
        per_byte = f"{1e6 * ours[1] / measured.sizes[case]:.0f}" if ours else ""
        lines.append(f"| {case.size:,}, {case.clients}, {case.form} | {' | '.join(cells)} | {per_byte} |")
    return "\n".join(lines)


def _cells(measured: Measured, case: Case, name: str) -> tuple[str, str]:
    figure, ours = measured.figure(case, name), measured.figure(case, OURS)
    if figure is None or ours is None:
        return "", ""
    rate, cpu = figure
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"
    if name == OURS:
        return shown, f"{cpu:.2f}"
    return f"{shown} ({ours[0] / rate:.2f})", f"{cpu:.2f} ({cpu / ours[1]:.2f})"


def plot(measured: Measured) -> Plot:
    """Processor time a request, for each size of list."""
    figure = Plot(figsize=(14, 5), layout="constrained")
    panels = list(figure.subplots(1, 3, sharey=True))
    names = [name for name in (OURS, *PROGRAMS) if any(name in case for case in measured.rounds.values())]
    shapes = list(dict.fromkeys(case.shape for case in measured.sizes))
    for number, axes in enumerate(panels):
        axes.set_title(f"{('10', '1,000', 'the most')[number]} rows, CPU ms a request")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.xaxis.set_minor_formatter("")
        sets = {name: {shape.name: _cpu(measured, shape, number, name) for shape in shapes} for name in names}
        bars(axes, sets)
    panels[0].invert_yaxis()
    panels[0].legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4)
    return figure


def _cpu(measured: Measured, shape: Shape, number: int, name: str) -> float:
    figure = measured.figure(Case(shape, shape.sizes[number], "variables", 1), name)
    return figure[1] if figure else 0
