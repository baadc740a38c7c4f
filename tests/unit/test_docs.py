"""What the documentation says of the code's shape is so."""

import re
import tomllib
from pathlib import Path

import pytest

from datacosmos import __version__
from datacosmos.api.graphql.errors import CODES

TOP = Path(__file__).parents[2]
CODE = TOP / "datacosmos"
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md"))]
ROOMS = (TOP / "docs" / "architecture.md").read_text().partition("\n## Rooms\n")[2].partition("\n## ")[0]
PATH = re.compile(r"`([\w./-]+(?:\.py|/))`")


def exists(path: str) -> bool:
    """From the top, from the package, or, as bare modules are told in the row of their room, anywhere in it."""
    return any((folder / path).exists() for folder in (TOP, CODE)) or any(CODE.rglob(f"**/{path}"))


def test_the_picture_of_the_rooms_is_the_contract_that_is_checked() -> None:
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract.get("containers") == ["datacosmos"]]
    [picture] = re.findall(r"```text\n(.*?)\n```", ROOMS, re.DOTALL)
    assert picture.splitlines() == layers, "put the layers of pyproject.toml into the picture in docs/architecture.md"


def test_the_table_of_the_rooms_has_each_and_no_other() -> None:
    told = re.findall(r"^\| `(\w+)/` \|", ROOMS, re.MULTILINE)
    assert sorted(told) == sorted(room.parent.name for room in CODE.glob("*/__init__.py"))


def test_every_module_beside_the_rooms_is_told() -> None:
    modules = {module.name for module in CODE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert modules <= set(PATH.findall(ROOMS))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    assert [path for path in PATH.findall(page.read_text()) if not exists(path)] == []


def test_what_happens_when_something_fails_is_proven_where_it_says() -> None:
    table = (TOP / "docs" / "operator.md").read_text().partition("## What happens when")[2].partition("\n## ")[0]
    names = re.findall(r"\| `([\w/]+)` \|$", table, re.MULTILINE)
    tests = TOP / "tests" / "process"
    assert names
    assert [name for name in names if not any((tests / room / f"{name}.py").exists() for room in ("", "faults"))] == []


def test_each_code_of_an_error_stands_in_the_table_for_frontends() -> None:
    table = (TOP / "docs" / "frontend.md").read_text().partition("\n## Errors\n")[2].partition("\n## ")[0]
    told = {
        code for row in re.findall(r"^\| (`[A-Z`, _]+`) \|", table, re.MULTILINE) for code in re.findall(r"\w+", row)
    }
    assert set(CODES.values()) - told == set()


def test_the_changelog_has_the_release_that_this_is() -> None:
    releases = re.findall(r"^## (\d\S*) - \d{4}-\d\d-\d\d$", (TOP / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[:1] == [__version__]
