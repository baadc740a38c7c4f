"""Which of the media types that we can send a client would rather have (RFC 9110, section 12.5.1)."""

import re
from functools import lru_cache

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"
WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


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
