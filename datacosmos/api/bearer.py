"""How the documentation tells of tokens, and the button on its page: what reads the header is auth/bearer.py."""

from fastapi.security import HTTPBearer

BEARER = HTTPBearer(auto_error=False, description="A token, for discards, locations, and series that are not public.")
