"""Targets: the places of an environment, in the order in which canaries are counted."""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import APIRouter, Response

from boreas.domain.errors import invalid
from boreas.domain.fleet import Agent, Target, serves
from boreas.domain.ids import EnvironmentId, ProjectId, TargetId
from boreas.domain.permissions import Permission
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import Body, Moment, Name, Page, View
from boreas.server.creation import Creating
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["targets"])


class TargetBody(Body):
    """A target; `agent` is the name or the id of the agent that reaches it."""

    name: Name
    agent: str


class TargetPatch(Body):
    """The parts of a target to change."""

    name: Name | None = None
    agent: str | None = None


class OrderBody(Body):
    """All targets of the environment, in their new order."""

    target_ids: list[TargetId]


class TargetView(View):
    """A target; `position` counts from 0."""

    id: str
    environment_id: str
    name: str
    agent_id: str
    agent: str
    position: int
    created_at: Moment


def _view(target: Target, agent_name: str) -> TargetView:
    return TargetView(
        id=target.id,
        environment_id=target.environment_id,
        name=target.name,
        agent_id=target.agent_id,
        agent=agent_name,
        position=target.position,
        created_at=target.created_at,
    )


async def _views(tx: Transaction, targets: Sequence[Target]) -> list[TargetView]:
    found = await tx.agents.among({target.agent_id for target in targets})
    names = {agent_id: agent.name for agent_id, agent in found.items()}
    return [_view(target, names.get(target.agent_id, "")) for target in targets]


async def _agent(tx: Transaction, name_or_id: str, project_id: ProjectId) -> Agent:
    """The agent by id, else by name; one that is for other projects only is not there."""
    agent = await tx.agents.called(name_or_id)
    project = await tx.projects.get(project_id)
    if agent is None or not serves(agent.labels, project.name, project.id):
        mend = "write the name or the id of an enrolled agent"
        raise invalid("agent", f"there is no agent {name_or_id!r}", mend)
    if agent.revoked_at is not None:
        raise invalid("agent", f"agent {agent.name!r} is revoked", "choose another agent")
    return agent


async def _may_configure(
    tx: Transaction, caller: Caller, environment_id: EnvironmentId
) -> ProjectId:
    """The environment's project, where the caller may change the configuration."""
    environment = await tx.environments.get(environment_id)
    await caller.must(tx, Permission.CONFIGURE, environment.project_id)
    return environment.project_id


@router.post("/environments/{environment_id}/targets", status_code=201, response_model=TargetView)
async def create_target(
    environment_id: EnvironmentId,
    body: TargetBody,
    caller: Configurer,
    services: Services,
    creating: Creating,
) -> Response:
    """Add a target at the end of the environment's order."""

    async def make(tx: Transaction) -> TargetView:
        project_id = await _may_configure(tx, caller, environment_id)
        agent = await _agent(tx, body.agent, project_id)
        target = Target(
            id=TargetId(services.ids("tgt")),
            environment_id=environment_id,
            name=body.name,
            agent_id=agent.id,
            position=0,
            created_at=services.clock.now(),
        )
        added = await tx.targets.add(target)
        await tx.audit.note(
            caller, "target.create", "target", added.id, project_id=project_id, after=added
        )
        return _view(added, agent.name)

    return await creating.run(make)


@router.get("/environments/{environment_id}/targets")
async def list_targets(
    environment_id: EnvironmentId, caller: Seer, services: Services
) -> Page[TargetView]:
    """All targets of the environment in their stored order."""
    async with services.store.reading() as tx:
        await tx.environments.get(environment_id)
        return Page(items=await _views(tx, await tx.targets.all(within=environment_id)))


@router.put("/environments/{environment_id}/targets/order")
async def reorder_targets(
    environment_id: EnvironmentId, body: OrderBody, caller: Configurer, services: Services
) -> Page[TargetView]:
    """Put the targets into this order; deployments that exist keep theirs."""
    async with services.store.transaction() as tx:
        project_id = await _may_configure(tx, caller, environment_id)
        present = {target.id: target for target in await tx.targets.all(within=environment_id)}
        if len(body.target_ids) != len(present) or set(body.target_ids) != set(present):
            mend = "name every target of the environment exactly once"
            raise invalid("target_ids", "is not the list of the environment's targets", mend)
        await tx.targets.in_order(environment_id, body.target_ids)
        await tx.audit.note(
            caller,
            "environment.reorder_targets",
            "environment",
            environment_id,
            project_id=project_id,
            before={"target_ids": list(present)},
            after={"target_ids": body.target_ids},
        )
        return Page(items=await _views(tx, await tx.targets.all(within=environment_id)))


@router.get("/targets/{target_id}")
async def show_target(target_id: TargetId, caller: Seer, services: Services) -> TargetView:
    """One target."""
    async with services.store.reading() as tx:
        return (await _views(tx, [await tx.targets.get(target_id)]))[0]


@router.put("/targets/{target_id}")
async def replace_target(
    target_id: TargetId, body: TargetBody, caller: Configurer, services: Services
) -> TargetView:
    """Set everything that can be set."""
    patch = TargetPatch(name=body.name, agent=body.agent)
    return await change_target(target_id, patch, caller, services)


@router.patch("/targets/{target_id}")
async def change_target(
    target_id: TargetId, body: TargetPatch, caller: Configurer, services: Services
) -> TargetView:
    """Change what is given; deployments that exist keep the agent they were made with."""
    async with services.store.transaction() as tx:
        before = target = await tx.targets.get(target_id)
        project_id = await _may_configure(tx, caller, target.environment_id)
        if body.name is not None:
            target = replace(target, name=body.name)
        if body.agent is not None:
            target = replace(target, agent_id=(await _agent(tx, body.agent, project_id)).id)
        await tx.targets.change(target)
        await tx.audit.note(
            caller,
            "target.update",
            "target",
            target_id,
            project_id=project_id,
            before=before,
            after=target,
        )
        return (await _views(tx, [target]))[0]


@router.delete("/targets/{target_id}", status_code=204)
async def delete_target(target_id: TargetId, caller: Configurer, services: Services) -> None:
    """Remove it; refused while a deployment that is under way covers it."""
    async with services.store.transaction() as tx:
        target = await tx.targets.get(target_id)
        project_id = await _may_configure(tx, caller, target.environment_id)
        await tx.targets.remove(target_id)
        await tx.audit.note(
            caller, "target.delete", "target", target_id, project_id=project_id, before=target
        )
