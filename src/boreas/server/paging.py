"""Lists in pages: `?limit=` and an opaque `?cursor=` that a client sends back unread."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

from fastapi import Query

from boreas.domain.errors import invalid

T = TypeVar("T")

USUAL: Final = 50
MOST: Final = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many.")]
Cursor = Annotated[str | None, Query(description="The `next_cursor` of the page before.")]


def encoded(place: str) -> str:
    """A place in a list as clients carry it."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def decoded(cursor: str | None) -> str | None:
    """The place behind a cursor; `InvalidInput` if it was not made by `encoded`."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("cursor", "is not one of ours", "use next_cursor of the last page") from None


def cut(
    found: Sequence[T], limit: int, place: Callable[[T], str]
) -> tuple[Sequence[T], str | None]:
    """Of `limit + 1` rows: the page, and the cursor of the next one if there is more."""
    page = found[:limit]
    return page, encoded(place(page[-1])) if len(found) > limit else None
