"""What somebody asks for, as the engine's request: read, frozen, and laid out.

Shared by creating a deployment, its dry run, and the preview of a workflow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from boreas.domain.deployments import Deployment
from boreas.domain.errors import InvalidInput, invalid
from boreas.domain.ids import ApplicationId, DeploymentId
from boreas.engine.plan import DeploymentRequest, lay_out
from boreas.server.auth.callers import Caller
from boreas.server.deployment_bodies import (
    DeploymentBody,
    application_named,
    new_task_requests,
)
from boreas.server.ground import Frozen, Site, freeze, read_site
from boreas.server.services import ServiceBundle
from boreas.server.strategy_bodies import strategy_of
from boreas.server.workflow_use import (
    UNSAVED,
    Used,
    Wanted,
    placed,
    use,
    used_in,
)
from boreas.store import SqlTransaction as Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The engine's request, the ground it stands on, and the template it was made of, if any."""

    request: DeploymentRequest
    frozen: Frozen
    used: Used | None = None

    def laid_out(self, now: datetime) -> Deployment:
        """The whole plan; what is wrong with a template's task is said with its line."""
        try:
            return lay_out(self.request, self.frozen.ground, now)
        except InvalidInput as error:
            raise placed(error, self.used) from error


async def asked_for(
    tx: Transaction,
    body: DeploymentBody,
    caller: Caller,
    services: ServiceBundle,
    *,
    text: str | None = None,
    within: str | None = None,
) -> Asked:
    """The engine's request, on ground that was read in this transaction.

    `text` is a template that is not saved, to be used in place of a saved one; `within` the project
    that all of it has to belong to.
    """
    site = await read_site(tx, caller, body.version_id, body.environment_id)
    if within is not None and site.project.id != within:
        mend = "write the id of a version of this project"
        raise invalid("version_id", f"there is no version {body.version_id!r}", mend)
    names = site.ids_by_name
    chosen = _chosen(body, site)
    in_order = tuple(
        application_named(names, given, f"mustInOrder[{index}]")
        for index, given in enumerate(body.must_in_order)
    )
    used = await _used(tx, body, site, chosen, in_order, text)
    tasks = None if body.tasks is None else new_task_requests(body.tasks, names)
    tasks = tasks if used is None else used.compiled.tasks
    deployment_id = DeploymentId(services.ids("dep"))
    frozen = await freeze(tx, site, chosen, deployment_id, tasks)
    request = DeploymentRequest(
        id=deployment_id,
        number=0,
        project_id=site.version.project_id,
        environment_id=site.environment.id,
        version_id=site.version.id,
        created_by=caller.name,
        strategy=strategy_of(body.strategy),
        must_in_order=in_order,
        manual_approval=body.manual_approval,
        approval_policy=site.environment.approval_policy,
        tasks=tasks,
        stages=() if used is None else used.compiled.stages,
        workflow=None if used is None else used.origin,
        variables=frozen.variables,
        started=body.auto_start,
        deploy_at=body.deploy_at,
        expire_at=body.expire_at,
    )
    return Asked(request=request, frozen=frozen, used=used)


async def _used(
    tx: Transaction,
    body: DeploymentBody,
    site: Site,
    chosen: Sequence[ApplicationId],
    in_order: Sequence[ApplicationId],
    text: str | None,
) -> Used | None:
    if text is not None:
        return use(text, UNSAVED, site.applications, body.variables, chosen, in_order)
    if body.workflow_id is None:
        return None
    wanted = Wanted(
        workflow=body.workflow_id, version=body.workflow_version, variables=body.variables
    )
    return await used_in(tx, site, wanted, chosen, in_order)


def _chosen(body: DeploymentBody, site: Site) -> Sequence[ApplicationId]:
    if body.application_ids is None:
        return [application.id for application in site.applications]
    return [
        application_named(site.ids_by_name, given, f"applicationIds[{index}]")
        for index, given in enumerate(body.application_ids)
    ]
