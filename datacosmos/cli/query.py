"""`query` asks a running service a GraphQL query."""

import sys
from typing import Any

import click

from datacosmos.cli.remote import Service, is_problem, one_line, with_service
from datacosmos.cli.running import run, standard_output


@click.command()
@click.argument("query")
@with_service
def query(service: Service, *, query: str) -> None:
    """Ask a running service the GraphQL QUERY, or the one on standard input where it is -, and print the answer.

    The exit code is 1 where the answer has errors, each of which is a line on standard error too.
    """
    text = sys.stdin.read() if query == "-" else query
    content, errors = run(_ask(service, text))
    with standard_output() as stdout:
        stdout.write(content + b"\n")
    for error in errors:
        click.echo(f"datacosmos: {error}", err=True)
    sys.exit(1 if errors else 0)


async def _ask(service: Service, text: str) -> tuple[bytes, list[str]]:
    """The answer as it came, and its errors."""
    async with service.client() as client:
        answer = await client.post("/graphql", json={"query": text}, headers={"Accept": "application/json"})
    if is_problem(answer):
        raise service.refusal(answer)
    try:
        body: Any = answer.json()
        errors: list[Any] = body.get("errors") or []
        if "data" in body or errors:
            return answer.content, [_sentence(error) for error in errors]
    except (ValueError, TypeError, LookupError, AttributeError):
        pass  # another server's
    raise service.refusal(answer)


def _sentence(error: Any) -> str:
    extensions: dict[str, Any] = error.get("extensions") or {}
    code = extensions.get("code")
    return one_line(error["message"]) + (f" ({one_line(code)})" if code else "")
