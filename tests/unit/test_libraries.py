"""What pyproject.toml and docs/architecture.md say of other people's libraries is so."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pymongo import AsyncMongoClient
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from datacosmos.api.graphql.fast.documents import Documents
from datacosmos.api.graphql.schema import create_schema
from datacosmos.http import protocol
from datacosmos.http.protocol import protocol_of
from datacosmos.settings import Settings
from datacosmos.store.mongo import wire

ROOT = Path(__file__).parents[2]
CODE = ROOT / "datacosmos"
DECLARED = {
    canonicalize_name(each.name): each
    for each in map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
}
ROW = re.compile(r"^\| ([\w-]+) \| (<[\d.]+) \| .* \| `(.+)` \| `(tests/.+)` \|$", re.MULTILINE)
TABLE = ROW.findall((ROOT / "docs/architecture.md").read_text())
INSIDES = re.compile(
    r"uvicorn\.(protocols|server)|pymongo\.(asynchronous\.(pool|topology)|network_layer)|fastapi\.dependencies"
    r"|graphql\.execution\.|graphql\.pyutils|strawberry\.(schema\.schema|execution|utils)"
)


def parsed() -> dict[str, ast.Module]:
    return {path.relative_to(CODE).as_posix(): ast.parse(path.read_text()) for path in CODE.rglob("*.py")}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def named_by_us(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def private(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr):
            yield node.attr


def test_each_library_that_is_imported_is_declared() -> None:
    roots = {name.partition(".")[0] for tree in parsed().values() for name in imported(tree)}
    packages = metadata.packages_distributions()
    others = roots - sys.stdlib_module_names - {"compression", "datacosmos"}  # compression is of 3.14
    undeclared = {name for name in others if DECLARED.keys().isdisjoint(map(canonicalize_name, packages[name]))}
    assert len(others) > 10
    assert not undeclared


@pytest.mark.parametrize(("library", "cap", "module", "test"), TABLE, ids=[row[0] for row in TABLE])
def test_a_library_whose_insides_are_used_is_capped_and_tested(library: str, cap: str, module: str, test: str) -> None:
    assert cap in {str(each) for each in DECLARED[canonicalize_name(library)].specifier}
    assert (CODE / module).exists()
    assert (ROOT / test).is_file()


def test_insides_of_libraries_are_used_where_the_table_says_so() -> None:
    trees = parsed()
    ours = {name for tree in trees.values() for name in named_by_us(tree)} | {"_asdict", "_replace", "_exit"}
    used = {
        path
        for path, tree in trees.items()
        if any(map(INSIDES.match, imported(tree))) or any(name not in ours for name in private(tree))
    }
    assert len(used) > 3
    assert {path for path in used if not path.startswith(tuple(row[2] for row in TABLE))} == set()


def test_the_insides_are_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate({"_env_file": None})
    assert isinstance(protocol_of(settings), partial)
    client: AsyncMongoClient[Any] = AsyncMongoClient("mongodb://127.0.0.1:1", connect=False)
    assert wire.wire_of(client, 1) is not None
    monkeypatch.setattr(wire, "NEEDED", ((AsyncMongoClient, "no_such_name"),))
    with capture_logs() as logged:
        assert wire.wire_of(client, 1) is None
    assert [line["missing"] for line in logged] == [["AsyncMongoClient.no_such_name"]]


def test_a_changed_uvicorn_serves_by_its_own_protocol_and_the_log_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "KNOWN", "data_received no_such_name")
    with capture_logs() as logged:
        assert protocol_of(Settings.model_validate({"_env_file": None})) is HttpToolsProtocol
    assert [line["missing"] for line in logged] == [["HttpToolsProtocol.no_such_name"]]


def test_a_common_query_has_a_plan() -> None:
    settings = Settings.model_validate({"_env_file": None})
    schema: Any = create_schema(settings)
    documents: Documents = schema._documents
    prepared = documents.prepare('{ points(series: "a") { time value } }')
    assert prepared is not None
    operation: Any = prepared.operation
    plan = operation._plan(operation._coerce(prepared.inputs(None)))
    assert [field.key for field in plan._lists] == ["points"]
