"""What queries.py measures, as a table and as a plot."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from export import Export
from matplotlib.figure import Figure
from results import bars, machine, mongodb_version, node_versions, versions
from servers import OURS, PEERS

PACKAGES = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "uvloop", "motor", "pymongo", "orjson")
FORMS = ("variables", "literals")
AT_ONCE = 8


class Shape(NamedTuple):
    """What is asked for: by how many clients at once, and how many requests a round, where not as long as others."""

    points: int
    clients: int
    requests: int | None = None

    @property
    def title(self) -> str:
        unit = "ms" if self.requests else f"req/s, {self.clients} clients"
        return f"{self.points:,} points, {unit}"


class Case(NamedTuple):
    shape: Shape
    form: str


@dataclass(slots=True)
class Measured:
    """By case and server one figure a round: requests a second, or the milliseconds of one that stands alone."""

    rounds: dict[Case, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    memory: dict[str, float] = field(default_factory=dict[str, float])
    memory_at_once: dict[str, float] = field(default_factory=dict[str, float])
    exports: list[Export] = field(default_factory=list[Export])
    health: list[float] = field(default_factory=list[float])  # seconds, of ours beside its largest queries
    clients_share: float = 0  # of one core, in the round in which it was largest

    def median(self, case: Case, name: str) -> float | None:
        rounds = self.rounds[case].get(name)
        return statistics.median(rounds) if rounds else None

    def ahead(self, case: Case, name: str) -> float:
        """How many times as fast ours is."""
        ours, other = self.median(case, OURS), self.median(case, name)
        if not ours or not other:
            raise ValueError(f"{name} was not measured beside {OURS}")
        return other / ours if case.shape.requests else ours / other


def table(measured: Measured) -> str:
    cases = list(measured.rounds)
    memory = ["memory, MB", f"memory, {AT_ONCE} times {cases[-1].shape.points:,} at once, MB"]
    titles = ["", *(f"{case.shape.title}, {case.form}" for case in cases), *memory]
    lines = [f"| {' | '.join(titles)} |", f"|---{'|--:' * (len(titles) - 1)}|"]
    for name in measured.memory:
        cells = [_cell(measured, case, name) for case in cases]
        cells += [f"{figures[name]:,.0f}" for figures in (measured.memory, measured.memory_at_once)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measured: Measured, case: Case, name: str) -> str:
    median = measured.median(case, name)
    if median is None:
        return ""
    return f"{median:,.0f}" + ("" if name == OURS else f" ({measured.ahead(case, name):.2f})")


def report(measured: Measured, stored: int, rounds: int, seconds: float) -> str:
    exports = "\n".join(map(str, measured.exports))
    health = statistics.quantiles(measured.health, n=20)
    return f"""# Queries

{table(measured)}

Medians of {rounds} rounds of {seconds:g} s over {stored:,} points. In parentheses: how many times as fast DataCosmos
is. Memory is the peak of the process. The clients took {measured.clients_share:.0%} of one core at the most.

While DataCosmos answered {AT_ONCE} of the largest at a time, `GET /health`, asked {len(measured.health)} times, took
{1000 * health[9]:,.0f} ms in the median, {1000 * health[18]:,.0f} ms at p95, and
{1000 * max(measured.health):,.0f} ms at the most.

Export of DataCosmos, `GET /points`:

| points | time | points/s | peak memory |
|--:|--:|--:|--:|
{exports}

{machine()}. MongoDB {mongodb_version()}; {versions(*PACKAGES)}; {node_versions(PEERS)}.
"""


def plot(measured: Measured) -> Figure:
    shapes = dict.fromkeys(case.shape for case in measured.rounds)
    figure = Figure(figsize=(14, 3.2), layout="constrained")
    panels = list(figure.subplots(1, len(shapes) + 1, sharey=True))
    for axes, shape in zip(panels, shapes, strict=False):
        axes.set_title(shape.title)
        bars(axes, {form: _medians(measured, Case(shape, form)) for form in FORMS})
    panels[-1].set_title("peak memory, MB")
    at_once = f"{AT_ONCE} of the largest at once"
    bars(panels[-1], {"one after another": measured.memory, at_once: measured.memory_at_once})
    panels[0].invert_yaxis()
    for axes in (panels[0], panels[-1]):
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    return figure


def _medians(measured: Measured, case: Case) -> dict[str, float]:
    return {name: measured.median(case, name) or 0 for name in measured.memory}
