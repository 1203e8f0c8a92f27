"""Writes that wait until something reads, or the commit, and then go out many at a time.

A round of the loop saves a hundred deployments one by one; collected here they cost a handful of
statements. Every part of a transaction that reads calls `flush` first, so nobody can tell.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, TypeVar

from sqlalchemy import (
    Select,
    Table,
    Update,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.domain.deployments import TERMINAL, TERMINAL_EXECUTIONS, Deployment, Execution, Task
from boreas.domain.ids import ApplicationId, DeploymentId, OrderId, TargetId
from boreas.domain.outbox import OutboxRow
from boreas.engine.admission import Place, is_queued, places_of
from boreas.kit.values import replace
from boreas.store import dialects, tables
from boreas.store.columns import UtcTime
from boreas.store.mapping import document_of
from boreas.store.plain_reads import write

Row = Mapping[str, Any]
V = TypeVar("V")
LivePlace = tuple[ApplicationId, TargetId]


def _update_where(table: Table, key: str, *columns: str) -> Update:
    return (
        update(table)
        .where(table.c[key] == bindparam("at_key"))
        .values({column: bindparam(column) for column in columns})
    )


_STATE_COLUMNS = ("state", "final", "queued", "revision", "due_at", "document")
_SAVE_DEPLOYMENT = _update_where(tables.deployments, "id", *_STATE_COLUMNS)
_SET_DUE = _update_where(tables.deployments, "id", "due_at")
_ADD_EVENTS = insert(tables.events)
_ADD_PROMISES = insert(tables.outbox)
_DELETE_TASK = delete(tables.tasks).where(
    tables.tasks.c.deployment_id == bindparam("at_deployment"),
    tables.tasks.c.id == bindparam("at_id"),
)
_DELETE_EXECUTION = delete(tables.executions).where(tables.executions.c.id == bindparam("at_id"))
_DELETE_ORDER = delete(tables.outbox).where(tables.outbox.c.order_id == bindparam("at_order"))
_DELETE_LIVE = delete(tables.live_records).where(
    tables.live_records.c.application_id == bindparam("at_application"),
    tables.live_records.c.target_id == bindparam("at_target"),
)


class PendingWrites:
    """What a transaction has decided to write and not yet sent to the database."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._forget()

    def _forget(self) -> None:
        self._deployments: dict[DeploymentId, Row] = {}
        self._due: dict[DeploymentId, datetime | None] = {}
        self._tasks: dict[tuple[str, str], Row | None] = {}
        self._executions: dict[str, Row | None] = {}
        self._live: dict[LivePlace, Row | None] = {}
        self._finished: dict[OrderId, None] = {}
        self._outbox: list[OutboxRow] = []
        self._events: list[Row] = []
        self._taken: list[Row] = []
        self._left: dict[DeploymentId, tuple[Place, ...]] = {}
        self._left_at: datetime | None = None
        self._queue_moved = False
        self._empty = True

    def due(self, deployment_id: DeploymentId, at: datetime | None) -> None:
        """Look at this deployment again then; nothing else of it changed."""
        self._due[deployment_id] = at
        self._empty = False

    def deployment(self, before: Deployment, after: Deployment, due_at: datetime | None) -> None:
        """What differs between the two, by identity of tasks and executions."""
        self._empty = False
        self._due.pop(after.id, None)
        self._queue_moved |= is_queued(before) is not is_queued(after)
        self._deployments[after.id] = {"due_at": due_at, **deployment_columns(after)}
        self._diff_tasks(before, after)
        self._diff_executions(before, after)

    def _diff_tasks(self, before: Deployment, after: Deployment) -> None:
        if before.tasks is after.tasks:
            return
        old = {task.id: place for place, task in _unlike(before.tasks, after.tasks)}
        for place, task in _unlike(after.tasks, before.tasks):
            old.pop(task.id, None)
            self._tasks[after.id, task.id] = task_row(after.id, place, task)
        for gone in old:
            self._tasks[after.id, gone] = None

    def _diff_executions(self, before: Deployment, after: Deployment) -> None:
        if before.executions is after.executions:
            return
        old = {it.id: it for _, it in _unlike(before.executions, after.executions)}
        for _, execution in _unlike(after.executions, before.executions):
            if old.pop(execution.id, None) is not execution:
                self._executions[execution.id] = execution_row(after.id, execution)
                if execution.state in TERMINAL_EXECUTIONS:
                    self._finished[execution.order_id] = None
        for gone in old.values():
            self._executions[gone.id] = None
            self._finished[gone.order_id] = None
        if self._finished:
            self._outbox = [row for row in self._outbox if row.order_id not in self._finished]

    def live(self, place: LivePlace, row: Row | None) -> None:
        """What is known to be live there; None: nothing."""
        self._live[place] = row
        self._empty = False

    def events(self, rows: Iterable[Row]) -> None:
        """Append to histories, in this order."""
        self._events.extend(rows)
        self._empty = False

    def outbox(self, rows: Sequence[OutboxRow]) -> None:
        """Promises, already numbered."""
        self._outbox.extend(rows)
        self._empty = False

    def taken(self, deployment: Deployment) -> None:
        """It holds its places from now on."""
        self._taken.extend(
            {"environment_id": environment, "application_id": app, "deployment_id": deployment.id}
            for environment, app in places_of(deployment)
        )
        self._queue_moved = True
        self._empty = False

    def left(self, deployment: Deployment, now: datetime) -> None:
        """It needs its places no more: its locks go, and those queued behind it become due."""
        self._left[deployment.id] = places_of(deployment)
        self._left_at = now
        self._queue_moved = True
        self._empty = False

    async def flush(self) -> None:
        """Send everything collected so far to the database."""
        if self._empty:
            return
        if self._taken:
            taking = dialects.insert(self._connection, tables.locks).on_conflict_do_nothing()
            await self._connection.execute(taking, self._taken)
        await self._flush_deployments()
        await self._flush_parts()
        await self._flush_live()
        await self._flush_promises()
        await self._flush_left()
        self._forget()

    async def flush_queue(self) -> None:
        """What the next question about locks and queue must see, if there is any of it."""
        if self._queue_moved:
            await self.flush()

    async def _flush_deployments(self) -> None:
        rows = [{"at_key": key, **row} for key, row in sorted(self._deployments.items())]
        await self._many(_SAVE_DEPLOYMENT, rows)
        due = [{"at_key": key, "due_at": at} for key, at in sorted(self._due.items())]
        await self._many(_SET_DUE, due)

    async def _flush_parts(self) -> None:
        gone = [
            {"at_deployment": deployment_id, "at_id": task_id}
            for (deployment_id, task_id), row in self._tasks.items()
            if row is None
        ]
        await self._many(_DELETE_TASK, gone)
        await self._overwrite(tables.tasks, self._tasks.values())
        dropped = [{"at_id": key} for key, row in self._executions.items() if row is None]
        await self._many(_DELETE_EXECUTION, dropped)
        await self._overwrite(tables.executions, self._executions.values())

    async def _flush_live(self) -> None:
        gone = [
            {"at_application": application_id, "at_target": target_id}
            for (application_id, target_id), row in self._live.items()
            if row is None
        ]
        await self._many(_DELETE_LIVE, gone)
        await self._overwrite(tables.live_records, self._live.values())

    async def _flush_promises(self) -> None:
        await self._many(_ADD_EVENTS, self._events)
        await self._many(_DELETE_ORDER, [{"at_order": order_id} for order_id in self._finished])
        await self._many(_ADD_PROMISES, [outbox_columns(row) for row in self._outbox])

    async def _flush_left(self) -> None:
        if not self._left:
            return
        await dialects.take_turn(self._connection, dialects.ADMISSION)
        locks = tables.locks
        await self._connection.execute(delete(locks).where(locks.c.deployment_id.in_(self._left)))
        places = {place for left in self._left.values() for place in left}
        await wake_found(self._connection, queued_for(places), self._left_at)

    async def _overwrite(self, table: Table, rows: Iterable[Row | None]) -> None:
        present = [row for row in rows if row is not None]
        await dialects.upsert_many(self._connection, table, present)

    async def _many(self, statement: Any, rows: Iterable[Row | None]) -> None:
        present = [row for row in rows if row is not None]
        if present:
            await write(self._connection, statement, present)


def _unlike(values: Sequence[V], others: Sequence[V]) -> list[tuple[int, V]]:
    """Those of the first, with their places, that are not the same object at that place."""
    both = zip_longest(values, others[: len(values)])
    return [(place, one) for place, (one, other) in enumerate(both) if one is not other]


def queued_for(wanted: Collection[Place]) -> Select[Any]:
    """Ids of the deployments that wait for one of these places."""
    table, places = tables.deployments, tables.deployment_applications
    here = tuple_(places.c.environment_id, places.c.application_id).in_(wanted)
    waiting = places.c.deployment_id == table.c.id
    return select(table.c.id).where(tables.IS_QUEUED, exists().where(waiting, here))


async def wake_found(connection: AsyncConnection, found: Select[Any], at: datetime | None) -> None:
    """Make these due: a row of its own each, so that nobody waits for who works on them."""
    chosen = found.subquery()
    wanted = select(chosen.c.id, literal(at, UtcTime))
    rows = insert(tables.wakes).from_select(["deployment_id", "at"], wanted)
    await connection.execute(rows)


def deployment_columns(deployment: Deployment) -> dict[str, Any]:
    """The columns that change while a deployment lives."""
    return {
        "state": deployment.state.value,
        "final": deployment.state in TERMINAL,
        "queued": is_queued(deployment),
        "revision": deployment.revision,
        "document": document_of(replace(deployment, tasks=(), executions=())),
    }


def task_row(deployment_id: DeploymentId, place: int, task: Task) -> Row:
    """A task as stored."""
    return {
        "deployment_id": deployment_id,
        "id": task.id,
        "position": place,
        "document": document_of(task),
    }


def execution_row(deployment_id: DeploymentId, execution: Execution) -> Row:
    """An execution as stored."""
    return {
        "id": execution.id,
        "deployment_id": deployment_id,
        "ordinal": execution.ordinal,
        "target_id": execution.target_id,
        "agent_id": execution.agent_id,
        "order_id": execution.order_id,
        "state": execution.state.value,
        "final": execution.state in TERMINAL_EXECUTIONS,
        "document": document_of(execution),
    }


def outbox_columns(row: OutboxRow) -> Row:
    """A promise as stored."""
    return {
        "id": row.id,
        "agent_id": row.agent_id,
        "kind": row.kind.value,
        "order_id": row.order_id,
        "deployment_id": row.deployment_id,
        "scope": row.scope,
        "fence": row.fence,
        "body": row.body,
    }
