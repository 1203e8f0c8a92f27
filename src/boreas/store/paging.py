"""Pages of lists: a cursor names the last value seen, so that new rows shift nothing."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from boreas.domain.errors import invalid

V = TypeVar("V")
Key = tuple[Any, ...]

MOST_PER_PAGE: Final = 500
USUAL_PER_PAGE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[V]):
    """Some values in order; `next_cursor` is None on the last page."""

    items: tuple[V, ...]
    next_cursor: str | None = None


def page_of(values: Sequence[V], keys: Sequence[Key], limit: int) -> Page[V]:
    """From up to `limit` + 1 values: the one too many says that there is a next page."""
    if len(values) <= limit:
        return Page(items=tuple(values))
    return Page(items=tuple(values[:limit]), next_cursor=cursor_of(keys[limit - 1]))


def cursor_of(key: Key) -> str:
    """What a client sends back to get the next page; opaque to it."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def key_of(cursor: str | None, shape: tuple[type, ...]) -> Key | None:
    """The key in a cursor; `InvalidInput` if it was not made by `cursor_of` for this list."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        key = tuple(msgspec.json.decode(decoded, type=list[int | str]))
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise _bad_cursor() from error
    if tuple(type(part) for part in key) != shape:
        raise _bad_cursor()
    return key


def _bad_cursor() -> Exception:
    return invalid("cursor", "is not one that this list gave", "leave it out to start again")


def at_most(limit: int) -> int:
    """A page size that the database can bear."""
    return max(1, min(limit, MOST_PER_PAGE))
