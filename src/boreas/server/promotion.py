"""Ask the rules of promotion with what the store knows; used by plans, deployments, promotions."""

from collections.abc import Sequence

from boreas.domain.deployments import Deployment, Origin
from boreas.domain.errors import invalid
from boreas.domain.ids import ApplicationId, EnvironmentId
from boreas.domain.permissions import Permission
from boreas.domain.projects import Environment, Project, Version
from boreas.domain.promotion import (
    Refusal,
    RefusalCode,
    missing_before,
    next_after,
    refused_block,
    refused_promotion,
)
from boreas.server.auth.callers import Caller
from boreas.server.deployment_bodies import OverrideBody
from boreas.store import SqlTransaction as Transaction


async def order_of(tx: Transaction, project: Project) -> tuple[Environment, ...]:
    """The project's order of promotion; environments that were removed are passed over."""
    known = {it.id: it for it in await tx.environments.all(within=project.id)}
    return tuple(known[id_] for id_ in project.promotion_order if id_ in known)


async def refusals(
    tx: Transaction,
    version: Version,
    environment: Environment,
    applications: Sequence[ApplicationId],
) -> tuple[Refusal, ...]:
    """Why these applications may not go there in this version, at this moment."""
    found = [
        await _block(tx, version, environment, applications),
        await _promotion(tx, version, environment, applications),
    ]
    return tuple(it for it in found if it is not None)


async def _block(
    tx: Transaction,
    version: Version,
    environment: Environment,
    applications: Sequence[ApplicationId],
) -> Refusal | None:
    if version.blocked is None:
        return None
    live = await tx.environments.live(environment.id)
    bodies = await tx.releases.bodies({it.release_id for it in live if it.release_id})
    running = {it.application_id for it in bodies.values() if it.version_id == version.id}
    return refused_block(version, applications, running, environment.name)


async def _promotion(
    tx: Transaction,
    version: Version,
    environment: Environment,
    applications: Sequence[ApplicationId],
) -> Refusal | None:
    project = await tx.projects.get(version.project_id)
    if environment.id not in project.promotion_order:
        return None
    order = await order_of(tx, project)
    succeeded = await tx.releases.succeeded(version.id)
    missing = missing_before([it.id for it in order], environment.id, applications, succeeded)
    names = {it.id: it.name for it in order}
    return None if missing is None else refused_promotion(version, names[missing], environment.name)


async def enforce(
    tx: Transaction, caller: Caller, deployment: Deployment, override: OverrideBody | None
) -> None:
    """`Conflict` unless the rules allow it; an owner's reason lifts the order, never a block."""
    version = await tx.versions.get(deployment.version_id)
    environment = await tx.environments.get(deployment.environment_id)
    for refusal in await refusals(tx, version, environment, deployment.application_ids):
        if override is None or refusal.code is not RefusalCode.NOT_PROMOTED:
            raise refusal.as_error()
        await caller.must(tx, Permission.SKIP_ORDER, version.project_id)
        await tx.audit.note(
            caller,
            "deployment.skip_order",
            "deployment",
            deployment.id,
            project_id=version.project_id,
            after={"version": version.name, "environment": environment.name},
            why=override.reason,
        )


async def refuse_blocked(tx: Transaction, deployment: Deployment) -> None:
    """`Conflict` for a way forward to a blocked version; a way back is never kept from anybody."""
    if deployment.origin is Origin.ROLLBACK or deployment.rollback_of is not None:
        return
    version = await tx.versions.get(deployment.version_id)
    environment = await tx.environments.get(deployment.environment_id)
    refusal = await _block(tx, version, environment, deployment.application_ids)
    if refusal is not None:
        raise refusal.as_error()


async def next_environment(
    tx: Transaction, version: Version, applications: Sequence[ApplicationId]
) -> EnvironmentId:
    """Where the version goes next in its project's order."""
    project = await tx.projects.get(version.project_id)
    order = [it.id for it in await order_of(tx, project)]
    if not order:
        mend = "write environment_id, or give the project a promotion_order"
        raise invalid("environment_id", "is missing, and this project has no order", mend)
    wanted = next_after(order, applications, await tx.releases.succeeded(version.id))
    if wanted is None:
        mend = "write environment_id to deploy it once more"
        raise invalid("environment_id", f"{version.name} is in every environment already", mend)
    return wanted
