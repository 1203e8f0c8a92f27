"""Logs of tasks and deployments: pages, downloads and live streams.

Streams are server-sent events: one event per batch of lines, `id:` is the last line's number, so
`Last-Event-ID` (or `?after=`) resumes without loss; comments keep the connection; the event `end`
says that nothing more comes.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.responses import Response

from boreas.domain.deployments import Deployment
from boreas.domain.errors import invalid
from boreas.domain.ids import DeploymentId
from boreas.domain.permissions import Permission
from boreas.logs.lines import Level, level_named
from boreas.logs.merging import Cursor
from boreas.logs.pages import MOST, USUAL_LIMIT, Window
from boreas.logs.reading import Query as LogQuery
from boreas.server.auth.callers import Caller
from boreas.server.auth.origin import refuse_foreign
from boreas.server.auth.permits import LogReader, still_permitted
from boreas.server.bodies import V1View
from boreas.server.event_streams import EventStream, EventStreamType, Source
from boreas.server.log_sources import DeploymentLines, TaskLines, is_complete, positions_of
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import named_task

router = APIRouter(prefix="/api/v1/deployments/{deployment_id}", tags=["logs"])


class LogLineView(V1View):
    """One line; `seq` counts within its task."""

    timestamp: str
    level: str
    message: str
    seq: int
    stream: str
    target: str
    execution_id: str | None = None
    partial: bool = False
    task_id: str | None = None
    cursor: str | None = None


class TaskLogView(V1View):
    """Lines of a task, the oldest first. `complete`: the log has ended, no line will follow."""

    task_id: str
    logs: list[LogLineView]
    first_seq: int
    last_seq: int
    has_older: bool
    has_newer: bool
    complete: bool


class DeploymentLogView(V1View):
    """Lines of all tasks merged by time; `firstCursor` and `lastCursor` lead on either way."""

    deployment_id: str
    logs: list[LogLineView]
    first_cursor: str | None
    last_cursor: str | None
    complete: bool


def _wanted(
    level: Annotated[str | None, Query(description="This level and worse.")] = None,
    q: Annotated[str, Query(max_length=1000, description="Text, whatever its case.")] = "",
    target: Annotated[str | None, Query(max_length=200, description="A target's name.")] = None,
) -> LogQuery:
    least = level_named(level) if level else Level.DEBUG
    return LogQuery(level=least, text=q, target=target)


def _window(
    tail: Annotated[int | None, Query(ge=0, le=MOST)] = None,
    limit: Annotated[int | None, Query(ge=0, le=MOST)] = None,
    before: Annotated[int | None, Query(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> Window:
    return Window.asked(tail=tail, limit=limit, before=before, after=after)


Wanted = Annotated[LogQuery, Depends(_wanted)]
AskedWindow = Annotated[Window, Depends(_window)]
"""Which lines of one task: the newest, or those before or after a number."""
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=16_000)]
Lines = Annotated[int | None, Query(ge=0, le=MOST)]


async def _deployment(services: ServiceBundle, deployment_id: DeploymentId) -> Deployment:
    async with services.store.reading() as tx:
        return await tx.deployments.get(deployment_id)


async def _with_task(
    services: ServiceBundle, deployment_id: DeploymentId, task_id: str
) -> Deployment:
    deployment = await _deployment(services, deployment_id)
    named_task(deployment.tasks, task_id)
    return deployment


@router.get("/tasks/{task_id}/logs", response_model_exclude_unset=True)
async def show_task_log(
    deployment_id: DeploymentId,
    task_id: str,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    window: AskedWindow,
) -> TaskLogView:
    """The newest lines, or those before or after a number."""
    deployment = await _with_task(services, deployment_id, task_id)
    page = await services.logs.page(deployment_id, task_id, window, wanted)
    lines = page.lines
    return TaskLogView(
        task_id=task_id,
        logs=[LogLineView.model_validate(line.as_json()) for line in lines],
        first_seq=lines[0].seq if lines else 0,
        last_seq=lines[-1].seq if lines else page.last_seq,
        has_older=page.has_older,
        has_newer=page.has_newer,
        complete=is_complete(services, deployment, task_id),
    )


@router.get(
    "/tasks/{task_id}/logs/download",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {}}}},
)
async def download_task_log(
    deployment_id: DeploymentId,
    task_id: str,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    prefixed: bool = False,
) -> Response:
    """The whole log as text: as the commands wrote it, or with time, target, stream, level."""
    await _with_task(services, deployment_id, task_id)
    blocks: AsyncIterator[bytes] = services.logs.download(
        deployment_id, task_id, query=wanted, prefixed=prefixed
    )
    name = quote(f"{deployment_id}-{task_id}.log", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(blocks, media_type="text/plain; charset=utf-8", headers=headers)


async def _on_our_page(request: Request, services: Services) -> None:
    refuse_foreign(request, services.settings.public_url)


OUR_PAGE = [Depends(_on_our_page)]
"""A stream is for our own pages and for programs; asked before anything else."""


@router.get("/tasks/{task_id}/logs/stream", response_class=EventStreamType, dependencies=OUR_PAGE)
async def stream_task_log(
    deployment_id: DeploymentId,
    task_id: str,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """Lines as they come, from the beginning or after a number; `end` when the log is complete."""
    deployment = await _with_task(services, deployment_id, task_id)
    if last_event_id:
        after = _number(last_event_id)
    lines = TaskLines(services, deployment, task_id, after, wanted)
    return _stream(lines, caller, services, deployment_id)


@router.get("/logs", response_model_exclude_unset=True)
async def show_deployment_log(
    deployment_id: DeploymentId,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    tail: Lines = None,
    limit: Lines = None,
    before: Annotated[str | None, Query(max_length=500)] = None,
    after: Annotated[str | None, Query(max_length=500)] = None,
) -> DeploymentLogView:
    """Lines of all tasks merged by time: the newest, or those before or after a cursor."""
    if sum(value is not None for value in (tail, before, after)) > 1:
        raise invalid("tail", "only one of tail, before and after can be used")
    deployment = await _deployment(services, deployment_id)
    found = await services.logs.deployment_page(
        deployment_id,
        limit=next((n for n in (tail, limit) if n is not None), USUAL_LIMIT),
        before=Cursor.parsed(before) if before else None,
        after=Cursor.parsed(after) if after else None,
        query=wanted,
    )
    return DeploymentLogView(
        deployment_id=deployment_id,
        logs=[LogLineView.model_validate(line.as_json()) for line in found],
        first_cursor=str(found[0].cursor) if found else None,
        last_cursor=str(found[-1].cursor) if found else None,
        complete=all(is_complete(services, deployment, task.id) for task in deployment.tasks),
    )


@router.get("/logs/stream", response_class=EventStreamType, dependencies=OUR_PAGE)
async def stream_deployment_log(
    deployment_id: DeploymentId,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    after: Annotated[str, Query(max_length=16_000)] = "",
    last_event_id: LastEventId = None,
) -> Response:
    """Lines of all tasks as they come; send back the last event's id to resume."""
    deployment = await _deployment(services, deployment_id)
    positions = positions_of(last_event_id or after)
    lines = DeploymentLines(services, deployment, positions, wanted)
    return _stream(lines, caller, services, deployment_id)


def _stream(
    source: Source, caller: Caller, services: ServiceBundle, deployment_id: DeploymentId
) -> Response:
    allowed = partial(
        still_permitted, caller, services, Permission.SEE_LOGS, "deployment_id", deployment_id
    )
    return EventStream(source, still_allowed=allowed, clock=services.clock)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise invalid("Last-Event-ID", "is not one of ours", "send back the last event's id")
    return int(text)
