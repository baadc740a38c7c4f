"""Names of libraries that these don't promise to keep: whoever uses some asks for them at start."""

from collections.abc import Iterable
from typing import Any


def missing(needed: Iterable[tuple[Any, str]]) -> list[str]:
    """Those names that are gone, each of a module or a class, or of what this gives each object at first."""
    return [f"{owner.__name__}.{name}" for owner, name in needed if not _has(owner, name)]


def _has(owner: Any, name: str) -> bool:
    kinds = owner.__mro__[:-1] if isinstance(owner, type) else ()
    begins = [vars(each)["__init__"] for each in kinds if "__init__" in vars(each)]
    return hasattr(owner, name) or any(name in begin.__code__.co_names for begin in begins)
