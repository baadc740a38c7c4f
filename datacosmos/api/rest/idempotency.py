"""Idempotency-Key: what a client gives a request by, so that it may send it again when it got no answer."""

from typing import Any

from fastapi import Header

MOST_KEY = 400  # characters


def key_header(description: str) -> Any:
    return Header(alias="Idempotency-Key", min_length=1, max_length=MOST_KEY, description=description)
