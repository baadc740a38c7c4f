"""Requests made from what the services say of themselves: each answer is one that they say they give."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeArgument=false, reportAttributeAccessIssue=false
# Schemathesis is typed in part.

import asyncio
import re
from collections.abc import Callable
from typing import cast

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.graphql import nodes

from datacosmos.auth.issuers import Role
from tests.asking import ADMIN, bearer, token
from tests.engine.fuzz.conftest import bounded

load_all_checks()
NAMES = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
AS_DOCUMENTED = cast("list[schemathesis.CheckFunction]", CHECKS.get_by_names(NAMES))
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|now|")
schemathesis.graphql.scalar("DateTime", st.from_regex(DATE_TIME, fullmatch=True).map(nodes.String))
DURATION = re.compile(r"PT?[1-9][0-9]?[HMSDWY]|[1-9][smhd]|now|")
schemathesis.graphql.scalar("Duration", st.from_regex(DURATION, fullmatch=True).map(nodes.String))
TIMEOUT = 30
Check = Callable[[Case, schemathesis.Response], None]


def hammer(url: str, headers: dict[str, str], examples: int) -> None:
    """Each route, with what fits its description and with what does not; but for those whose answers have no end."""
    for found in schemathesis.openapi.from_url(url).exclude(path_regex="^/changes").get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            if mode is GenerationMode.POSITIVE or operation.body or operation.query:
                ask(operation.as_strategy(mode), headers, as_documented, examples)


def ask(cases: st.SearchStrategy[Case], headers: dict[str, str], check: Check, examples: int) -> None:
    @bounded(examples)
    @given(case=cases)
    def each(case: Case) -> None:
        answer = case.call(headers=headers, timeout=TIMEOUT)
        assert b"Traceback" not in answer.content
        check(case, answer)

    each()


def as_documented(case: Case, answer: schemathesis.Response) -> None:
    case.validate_response(answer, checks=AS_DOCUMENTED)


def without_failure(_: Case, answer: schemathesis.Response) -> None:
    """A client's mistake is a 200, too."""
    assert answer.status_code == 200, answer.content
    assert b'"INTERNAL"' not in answer.content


@pytest.mark.parametrize("who", [None, ADMIN], ids=["without a token", "as administrator"])
async def test_every_route_of_the_api_answers_as_documented(address: str, who: str | None) -> None:
    await asyncio.to_thread(hammer, f"{address}/openapi.json", bearer(who), 8)


async def test_every_route_of_the_calculation_service_answers_as_documented(calculation_address: str) -> None:
    service = bearer(token(Role.SERVICE))
    await asyncio.to_thread(hammer, f"{calculation_address}/openapi.json", service, 12)


async def test_any_query_that_the_graphql_schema_allows_is_answered(address: str) -> None:
    def hammer_graphql() -> None:
        for found in schemathesis.graphql.from_url(f"{address}/graphql").get_all_operations():
            ask(found.ok().as_strategy(), bearer(ADMIN), without_failure, 15)

    await asyncio.to_thread(hammer_graphql)
