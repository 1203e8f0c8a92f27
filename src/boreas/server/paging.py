"""Lists in pages: `?limit=` and an opaque `?cursor=` that a client sends back unread."""

from typing import Annotated, Final

from fastapi import Query

from boreas.store.paging import MOST_PER_PAGE, USUAL_PER_PAGE

USUAL: Final = USUAL_PER_PAGE

Limit = Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="At most so many.")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="The `next_cursor` of the page before.")
]
