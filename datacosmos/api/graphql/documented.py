"""How /graphql looks in the OpenAPI document."""

from typing import Any

from datacosmos.api.media import GRAPHQL, JSON

QUERY = "{ pointsConnection(first: 10) { edges { node { time value } } } }"
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {"type": ["object", "null"]},
        "errors": {"type": "array", "items": {"type": "object", "required": ["message"]}},
    },
}
AN_ANSWER = {"$ref": "#/components/schemas/GraphQLAnswer"}
ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {media: {"schema": AN_ANSWER} for media in (JSON, GRAPHQL)}}
    for status, description in (
        (200, "The answer, with the errors of single fields"),
        (400, f"No GraphQL request, or one that can't be executed (then 200 for who takes {JSON} only)"),
        (403, "A page of another site may not write"),
        (405, "Not a query, by GET"),
        (406, "Accept takes no type that is served"),
        (408, "The body came too slowly"),
        (413, "The body is too large"),
        (415, f"The body is not {JSON}"),
        (503, "As much is in hand as may be: try again after Retry-After"),
        ("default", "Any other error"),
    )
}
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "required": ["query"],
                "properties": {
                    "query": {"type": "string"},
                    "variables": {"type": ["object", "null"]},
                    "operationName": {"type": ["string", "null"]},
                },
            },
            "example": {"query": QUERY},
        }
    },
}
PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": name == "query", "schema": {"type": "string"}, "description": description}
    for name, description in (
        ("query", f"For example `{QUERY}`"),
        ("variables", "A JSON object"),
        ("operationName", "Which of several operations"),
        ("extensions", "A JSON object; nothing in it is used"),
    )
]
