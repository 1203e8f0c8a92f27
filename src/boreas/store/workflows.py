"""Workflow templates, all their versions, and the copies that deployments took."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, insert, select

from boreas.domain.deployments import WorkflowOrigin
from boreas.domain.errors import NotFound
from boreas.domain.ids import DeploymentId
from boreas.domain.workflows.templates import Workflow, WorkflowVersion
from boreas.store import shelves, usage
from boreas.store.nouns import SqlNoun
from boreas.store.release_tables import deployment_workflows
from boreas.store.unit import Unit

MOST_VERSIONS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCopy:
    """The template as a deployment took it."""

    workflow_id: str
    number: int
    text: str


class SqlWorkflows(SqlNoun[Workflow]):
    """Templates by name, in their project."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.WORKFLOWS)

    async def locked(self, workflow_id: str) -> Workflow:
        """The one with this id, held until the end: two who save at once get two numbers."""
        await usage.lock_row(self._connection, self._table, workflow_id)
        return await self.get(workflow_id)

    async def keep_copy(
        self, deployment_id: DeploymentId, origin: WorkflowOrigin, text: str
    ) -> None:
        """What the deployment was made of, whatever becomes of the template."""
        await self._unit.pending.flush()
        row = {"workflow_id": origin.id, "number": origin.version, "text": text}
        statement = insert(deployment_workflows).values(deployment_id=deployment_id, **row)
        await self._connection.execute(statement)

    async def copy_of(self, deployment_id: DeploymentId) -> KeptCopy | None:
        """What the deployment was made of, if it was made of a template."""
        table = deployment_workflows
        query = select(table).where(table.c.deployment_id == deployment_id)
        row = (await self._connection.execute(query)).first()
        if row is None:
            return None
        return KeptCopy(workflow_id=row.workflow_id, number=row.number, text=row.text)


class SqlWorkflowVersions(SqlNoun[WorkflowVersion]):
    """The versions of a template, the newest first."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.WORKFLOW_VERSIONS)

    async def numbered(self, workflow_id: str, number: int) -> WorkflowVersion:
        """This version of this template; `NotFound`."""
        columns = self._table.c
        query = self._once(
            "numbered",
            lambda: self._select().where(
                columns.workflow_id == bindparam("workflow"), columns.number == bindparam("number")
            ),
        )
        # A larger number is none that the column could hold.
        fits = 0 < number <= MOST_VERSIONS
        asked = {"workflow": workflow_id, "number": number}
        found = await self._first(query, asked) if fits else None
        if found is None:
            raise NotFound(f"There is no version {number} of this workflow.")
        return found
