"""The audit trail: read by filters, taken away as a file, and checked."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from boreas.domain.audit import Break
from boreas.domain.permissions import Permission
from boreas.server.auditing import as_csv, as_ndjson, line_of, verified, within_sight
from boreas.server.auth.callers import Admin, AnyUser, checks_itself
from boreas.server.bodies import Page, View
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store.audit import Sought

router = APIRouter(prefix="/api/release/audit", tags=["audit"])


class EntryView(View):
    """Who did what to what, from where, when and why; `before` and `after` hold what differs."""

    sequence: int
    at: str
    actor: str
    actor_id: str
    address: str
    via: str
    action: str
    subject_kind: str
    subject_id: str
    project_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    why: str
    request_id: str
    hash: str


class VerdictView(View):
    """Whether the chain holds: how many entries, where it ends, and the first that is broken."""

    holds: bool
    entries: int
    head: str | None
    broken_at: int | None
    problem: str


class Shape(StrEnum):
    """How an export is written."""

    NDJSON = "ndjson"
    CSV = "csv"


_Word = Annotated[str | None, Query(max_length=200)]


def _sought(
    actor: Annotated[str | None, Query(max_length=200, description="A user name.")] = None,
    action: Annotated[
        str | None, Query(max_length=200, description="Exact, or with a dot at its end all such.")
    ] = None,
    subject: Annotated[str | None, Query(max_length=200, description="An id.")] = None,
    subject_kind: _Word = None,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Not included.")] = None,
) -> Sought:
    return Sought(
        actor=actor,
        action=action,
        subject_id=subject,
        subject_kind=subject_kind,
        since=_utc(since),
        until=_utc(until),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


Filters = Annotated[Sought, Depends(_sought)]
Project = Annotated[str | None, Query(max_length=200, description="The id of a project.")]


@router.get("")
@checks_itself(Permission.SEE_AUDIT)
async def list_audit(
    caller: AnyUser,
    services: Services,
    sought: Filters,
    project: Project = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[EntryView]:
    """Entries, the newest first: of one project, or of all whose trail the caller may read."""
    async with services.store.reading() as tx:
        mine = await within_sight(tx, caller, project, sought)
        page = await tx.audit.page(mine, cursor=cursor, limit=limit)
    items = [EntryView.model_validate(line_of(entry)) for entry in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/export", response_class=StreamingResponse)
@checks_itself(Permission.SEE_AUDIT)
async def export_audit(
    caller: AnyUser,
    services: Services,
    sought: Filters,
    project: Project = None,
    shape: Annotated[Shape, Query(alias="format")] = Shape.NDJSON,
) -> StreamingResponse:
    """The same as a file, the oldest first."""
    async with services.store.reading() as tx:
        mine = await within_sight(tx, caller, project, sought)
    blocks = (as_csv if shape is Shape.CSV else as_ndjson)(services, mine)
    kind = "text/csv" if shape is Shape.CSV else "application/x-ndjson"
    headers = {"Content-Disposition": f'attachment; filename="audit.{shape.value}"'}
    return StreamingResponse(blocks, media_type=f"{kind}; charset=utf-8", headers=headers)


@router.get("/verify")
async def verify_audit(caller: Admin, services: Services) -> VerdictView:
    """Follow the chain from its first entry: `head` is worth writing down somewhere else."""
    found = await verified(services)
    if isinstance(found, Break):
        return VerdictView(
            holds=False,
            entries=found.sequence - 1,
            head=None,
            broken_at=found.sequence,
            problem=found.problem,
        )
    return VerdictView(
        holds=True, entries=found.sequence, head=found.hash, broken_at=None, problem=""
    )
