"""Query parameters as they were meant: a misspelt one would silently ask for something else."""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, get_origin
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from datacosmos.http.problems import InvalidParameters

MOST_FAULTS, SHOWN = 10, 40


class StrictRoute(APIRoute):
    """A route that answers 400 to query parameters which it does not know, that are empty, or that are repeated.

    Only one that takes a list may be repeated.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        fields = {field.alias: field for field in _query_fields(self.dependant)}
        lists = {name for name, field in fields.items() if get_origin(field.field_info.annotation) is list}

        async def handle_known(request: Request) -> Response:
            if request.scope["query_string"] and (faults := find_faults(request.scope, fields, lists)):
                raise InvalidParameters(faults)
            return await handle(request)

        return handle_known


def find_faults(
    scope: Scope, known: Collection[str], lists: Collection[str] = (), *, allow_empty: bool = False
) -> dict[str, str]:
    """What is wrong with the query parameters of a request, by their names."""
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    times = Counter(name for name, _ in given)
    faults: dict[str, str] = {}
    for name, value in given:
        if name[:SHOWN] in faults:
            continue  # a nearest name is looked for once, however often the wrong one is given
        if name not in known:
            faults[name[:SHOWN]] = _unknown(name, known)
        elif times[name] > 1 and name not in lists:
            faults[name] = f"is given {times[name]} times; once is allowed"
        elif not value and not allow_empty:
            faults[name] = "is empty: give it a value, or leave it out"
        if len(faults) == MOST_FAULTS:
            break
    return faults


def _unknown(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name[:SHOWN], known, n=1)
    if near:
        return f"is no parameter here; did you mean {near[0]}?"
    return f"is no parameter here; there {'are ' + ', '.join(known) if known else 'is none'}"


def _query_fields(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _query_fields(inner)
