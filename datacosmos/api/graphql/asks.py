"""What a client asks for, read from its request."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope

from datacosmos.api.media import EVENT_STREAM, GRAPHQL, JSON, negotiate
from datacosmos.errors import Unavailable
from datacosmos.http.bodies import BodyTooLarge, BodyTooSlow, BrokenBody, UnknownEncoding
from datacosmos.http.problems import RETRY_AFTER


class Ask(msgspec.Struct, rename="camel"):
    """What a client sends; unknown fields are ignored, as the specification wants."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


@dataclass
class Refused(Exception):
    """A request that holds no GraphQL to execute."""

    status: int
    message: str
    code: str = "BAD_REQUEST"
    headers: Mapping[str, str] | None = None


# In the words by which clients know to send the text, and with the status at which all of them look for words.
NO_HASHES = Refused(200, "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED", {"Cache-Control": "no-store"})


def refusal_of(error: Exception) -> Refused:
    """Of a body that can't be read. Raises what it is not for."""
    match error:
        case BodyTooLarge():
            return Refused(413, str(error), "REQUEST_TOO_LARGE")
        case UnknownEncoding():
            return Refused(415, str(error), headers={"Accept-Encoding": "gzip"})
        case BrokenBody():
            return Refused(400, str(error))
        case BodyTooSlow():
            return Refused(408, str(error), "REQUEST_TOO_SLOW")
        case Unavailable():
            return Refused(503, f"{error}; try again later", "UNAVAILABLE", RETRY_AFTER)
        case _:
            raise error


def read_url(request: Request) -> Ask:
    fields: dict[str, Any] = {name: text for name, text in request.query_params.items() if text}
    for name in ("variables", "extensions"):
        if name in fields:
            fields[name] = _decode_json(fields[name].encode())
    return _convert(fields)


def decode(body: bytes) -> Ask:
    ask = _decode_json(body)
    if isinstance(ask, list):
        raise Refused(400, "batches are not taken: send one query a request", "BATCH_REFUSED")
    return _convert(ask)


def _decode_json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"this is no JSON: {error}") from None


def _convert(fields: Any) -> Ask:
    try:
        ask = msgspec.convert(fields, Ask)
        if ask.query and not ask.query.isspace():
            return ask
        fault = "the query is empty"
    except msgspec.ValidationError as error:
        fault = str(error)
    raise NO_HASHES if _is_hash_alone(fields) else Refused(400, f"this is no GraphQL request: {fault}")


def _is_hash_alone(fields: Any) -> bool:
    """Whether a query is meant by its hash, without its text: an automatic persisted query."""
    match fields:
        case {"query": str(text)} if text:
            return False
        case {"extensions": {"persistedQuery": _}}:
            return True
        case _:
            return False


class Call(NamedTuple):
    """A request whose answer is to be of a type."""

    scope: Scope
    receive: Receive
    headers: Mapping[str, str]
    media_type: str

    @property
    def request_id(self) -> str:
        return self.scope["state"]["request_id"]


def usual_call(scope: Scope, receive: Receive, most: int) -> Call | None:
    """None unless plain JSON of a length up to `most` is to come, and JSON is wanted.

    Of its headers the call has only who asks.
    """
    named = dict(scope["headers"])
    is_plain = len(named) == len(scope["headers"]) and not scope["query_string"] and b"content-encoding" not in named
    if not is_plain or int(named.get(b"content-length", most + 1)) > most:
        return None
    media_type = _usual_type(named.get(b"content-type", b""), named.get(b"accept", b""))
    authorization = named.get(b"authorization", b"").decode("latin-1")
    return Call(scope, receive, {"authorization": authorization}, media_type) if media_type else None


@lru_cache(64)
def _usual_type(sent: bytes, accept: bytes) -> str | None:
    """Of the answer, by the type of the body and those that are accepted."""
    if sent.partition(b";")[0].strip().lower() != JSON.encode():
        return None
    media_type = _best_of(accept.decode("latin-1"), JSON, EVENT_STREAM)
    return None if media_type == EVENT_STREAM else media_type


def media_type_of(headers: Headers, *offers: str) -> str | None:
    """The best of the offers; the type that GraphQL has of its own is for those who name it."""
    return _best_of(",".join(headers.getlist("accept")), *offers)


def _best_of(accept: str, *offers: str) -> str | None:
    return negotiate(accept, (GRAPHQL, *offers) if GRAPHQL in accept.lower() else offers)
