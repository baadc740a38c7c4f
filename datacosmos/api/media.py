"""Which of the media types that we can send a client would rather have (RFC 9110, section 12.5.1)."""

import re
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
VARY = {"Vary": "Accept"}
WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def choose(headers: Headers, offers: tuple[str, ...]) -> str:
    """The offer that the client would rather have. Raises HTTPException, 406, where it takes none of them."""
    chosen = negotiate(",".join(headers.getlist("accept")), offers)
    if chosen is None:
        raise HTTPException(406, f"This is served as {', '.join(offers)}; name one of them in Accept.", VARY)
    return chosen


@lru_cache(64)
def negotiate(accept: str, offers: tuple[str, ...]) -> str | None:
    """The offer of the highest weight, the first of equals; None when the client takes none of them."""
    weights = dict(_read_range(part) for part in accept.lower().split(",")) if accept.strip() else {"*/*": 1.0}

    def weight(offer: str) -> float:
        patterns = (offer, offer.partition("/")[0] + "/*", "*/*")
        return next((weights[pattern] for pattern in patterns if pattern in weights), 0.0)

    best = max(offers, key=weight)
    return best if weight(best) > 0 else None


def _read_range(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip() for piece in part.split(";"))
    weights = [float(match[1]) for parameter in parameters if (match := WEIGHT.fullmatch(parameter))]
    return media, weights[-1] if weights else 1.0
