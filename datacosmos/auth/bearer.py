"""The bearer token of a request."""

from collections.abc import Sequence

from datacosmos.auth.issuers import Caller, Issuer
from datacosmos.errors import Unauthenticated

HOW = "send `Authorization: Bearer <token>`"
NO_TOKEN = f"this needs a token: {HOW}"


def authenticate(authorization: str, issuers: Sequence[Issuer]) -> Caller:
    """Whom the header's token names, by the first issuer whose it is.

    Raises Unauthenticated where there is no header, no bearer token in it, or none that is valid; never repeats it.
    """
    scheme, _, token = authorization.strip().partition(" ")
    if not scheme:
        raise Unauthenticated(NO_TOKEN)
    if scheme.lower() != "bearer":
        raise Unauthenticated(f"the Authorization header holds no bearer token: {HOW}")
    for issuer in issuers:
        if caller := issuer.verify(token.strip()):
            return caller
    raise Unauthenticated("the token is none that this service gave out")
