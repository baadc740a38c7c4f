"""The tables of README.md and docs/speed.md, written by a full run of queries.py between two marks."""

import re
from pathlib import Path

from figures import AT_ONCE, Measured, percentile
from servers import OURS
from shapes import OF_POINTS, SHAPES, TIME_VALUE, Case, Shape

ROOT = Path(__file__).parent.parent
NODE, PLAIN, BARE = "mercurius + jit", "plain Strawberry", "bare Starlette"
BLOCK = re.compile(r"(<!-- queries -->\n).*?(<!-- /queries -->)", re.DOTALL)


def refresh(measured: Measured) -> None:
    """Raises ValueError where a file has no marks."""
    _replace(ROOT / "README.md", f"{_ratios(measured)}\n\n{_others(measured)}")
    _replace(ROOT / "docs" / "speed.md", _figures(measured))


def _replace(file: Path, text: str) -> None:
    changed, count = BLOCK.subn(lambda marks: f"{marks[1]}\n{text}\n\n{marks[2]}", file.read_text())
    if count != 1:
        raise ValueError(f"{file} has not one place for a table")
    file.write_text(changed)


def _case(shape: Shape, size: int) -> Case:
    """With variables: by eight clients, or by one where the list is the longest."""
    return Case(shape, size, "variables", 1 if size == shape.largest else AT_ONCE)


def _cpu(measured: Measured, case: Case, name: str) -> float | None:
    figure = measured.figure(case, name)
    return figure and figure[1]


def _ratio(measured: Measured, case: Case, name: str) -> str:
    ours, other = _cpu(measured, case, OURS), _cpu(measured, case, name)
    return f"{other / ours:.2g}" if ours and other else ""


def _ratios(measured: Measured) -> str:
    """How many times as much processor time the others use for a request."""
    lines = [
        f"| | {NODE}, 10 rows | 1,000 | 100,000 | {PLAIN}, 10 rows | 1,000 | 100,000 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for shape in SHAPES:
        cells = [_ratio(measured, _case(shape, size), name) for name in (NODE, PLAIN) for size in shape.sizes]
        lines.append(f"| {_name(shape)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _others(measured: Measured) -> str:
    eight = Case(TIME_VALUE, 10, "variables", AT_ONCE)
    alone, beside = (1000 * percentile(took, 95) for took in (measured.short_alone, measured.short_beside))
    return (
        f"Ten points asked for by eight clients: p99 {measured.p99(eight, OURS):.1f} ms, {NODE} "
        f"{measured.p99(eight, NODE):.1f}. Ten points beside eight clients that ask for 100,000: p95 {beside:.1f} ms, "
        f"alone {alone:.1f}. Peak memory, with eight lists of 100,000 at once: {measured.memory_at_once[OURS]:,.0f} "
        f"MB, {NODE} {measured.memory_at_once[NODE]:,.0f}."
    )


def _figures(measured: Measured) -> str:
    lines = [f"| selected | rows | req/s | CPU ms | {NODE} | {PLAIN} | {BARE} |", "|---|--:|--:|--:|--:|--:|--:|"]
    for shape in SHAPES:
        for size in shape.sizes:
            case = _case(shape, size)
            figure = measured.figure(case, OURS)
            ours = [_shown(figure[0], 3), _shown(figure[1], 2)] if figure else ["", ""]
            others = [_other(measured, case, name) for name in (NODE, PLAIN, BARE)]
            name = _name(shape) if size == shape.sizes[0] else ""
            lines.append(f"| {name} | {size:,} | {' | '.join(ours + others)} |")
    return "\n".join(lines)


def _other(measured: Measured, case: Case, name: str) -> str:
    """Its rate and processor time, and in parentheses how many times as good ours are."""
    figure, ours = measured.figure(case, name), measured.figure(case, OURS)
    if figure is None or ours is None:
        return ""
    return f"{_shown(figure[0], 3)} ({ours[0] / figure[0]:.2g}), {_shown(figure[1], 2)} ({figure[1] / ours[1]:.2g})"


def _name(shape: Shape) -> str:
    if shape.largest != TIME_VALUE.largest:
        return f"{shape.name} ({shape.largest:,} at most)"
    return f"`{shape.name}`" if shape in OF_POINTS[:2] else shape.name


def _shown(figure: float, digits: int) -> str:
    """With so many digits that mean something, and no exponent."""
    rounded = float(f"{figure:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"
