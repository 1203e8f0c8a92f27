"""Is something still needed by a deployment that is under way?

What is to go is locked first: on PostgreSQL a deployment that is just being created share-locks
what it uses, so one of the two waits for the other and then sees it.
"""

from typing import Any

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.domain.errors import Conflict
from boreas.store import tables


async def lock_row(connection: AsyncConnection, table: Table, key: str) -> None:
    """Hold it for removal."""
    await connection.execute(select(table.c.id).where(table.c.id == key).with_for_update())


async def refuse_if_active(
    connection: AsyncConnection, what: str, condition: ColumnElement[bool]
) -> None:
    """`Conflict` naming an active deployment that fulfils the condition."""
    deployments = tables.deployments
    query = (
        select(deployments.c.id, deployments.c.number)
        .where(~deployments.c.final, condition)
        .order_by(deployments.c.number)
        .limit(1)
    )
    user = (await connection.execute(query)).first()
    if user is not None:
        raise in_use(what, str(user.id), int(user.number))


def in_use(what: str, deployment_id: str, number: int) -> Conflict:
    """An active deployment still needs it."""
    return Conflict(
        f"This {what} is used by deployment #{number}, which is not finished; "
        "wait for its end or cancel it first.",
        parameters={"deployment_id": deployment_id, "number": number},
    )


def of_application(application_id: str) -> ColumnElement[bool]:
    """Deployments that bring this application."""
    places = tables.deployment_applications
    ids = select(places.c.deployment_id).where(places.c.application_id == application_id)
    return tables.deployments.c.id.in_(ids)


def with_execution(**fields: Any) -> ColumnElement[bool]:
    """Deployments that have an execution with these columns."""
    executions = tables.executions
    ids = select(executions.c.deployment_id)
    for name, value in fields.items():
        ids = ids.where(executions.c[name] == value)
    return tables.deployments.c.id.in_(ids)
