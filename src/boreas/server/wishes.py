"""What people ask of a deployment, in the API's own transaction.

The deployment's row is locked, a pure function of the engine notes the wish or refuses it, the
result is saved with its events, and the loop is told to look. Of two wishes at the same moment the
second sees what the first left behind. Whether the caller may wish this is asked in the same
transaction, and what they did goes into the audit trail with it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from boreas.domain.deployments import Deployment
from boreas.domain.errors import NotFound
from boreas.domain.events import Changed
from boreas.domain.ids import DeploymentId, EnvironmentId, TaskId
from boreas.domain.permissions import Permission, Role
from boreas.engine import people
from boreas.engine.snapshot import Decision
from boreas.runtime.ports import CHANNEL_CHANGED, CHANNEL_DUE
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import DEPLOYING, check_thing
from boreas.server.deployment_bodies import CommentBody
from boreas.server.services import ServiceBundle
from boreas.store import SqlTransaction as Transaction

Wish = Callable[[Deployment, datetime], Decision]
"""What one of `engine.people`'s functions makes of the locked deployment."""
Answer = Callable[..., Decision]
"""`engine.people.confirm` or `reject`."""
WishWithGround = Callable[[Transaction, Deployment, datetime], Awaitable[Decision]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who wishes, what the audit trail calls it, and the permission it takes at that moment."""

    caller: Caller
    action: str
    permissions: tuple[Permission, ...] = DEPLOYING
    why: str = ""
    task_id: str | None = None
    target_id: str | None = None
    approves: bool = False
    """It is a yes to an approval: the environment may want it of certain people only."""

    async def check(self, tx: Transaction, deployment: Deployment) -> None:
        """The caller may do this now, whatever was true when the request came in."""
        await check_thing(tx, self.caller, self.permissions, "deployment_id", deployment.id)
        if self.approves:
            user = self.caller.user.id
            standing = await tx.members.standing(user, deployment.project_id)
            role = Role.OWNER if standing.is_admin else standing.role
            people.require_approver(deployment, self.caller.name, role)

    async def note(self, tx: Transaction, before: Deployment, after: Deployment) -> None:
        """Write down what was done."""
        about = {"task_id": self.task_id, "target_id": self.target_id}
        about = {name: value for name, value in about.items() if value is not None}
        left, right = _differing(before, after)
        await tx.audit.note(
            self.caller,
            self.action,
            "deployment",
            after.id,
            project_id=after.project_id,
            before=left,
            after={**right, **about},
            why=self.why,
        )


def _differing(
    before: Deployment, after: Deployment
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """State, and those tasks whose definition or state is not the same any more."""
    left: dict[str, Any] = {"state": before.state, "workflow_revision": before.workflow_revision}
    right: dict[str, Any] = {"state": after.state, "workflow_revision": after.workflow_revision}
    if before.workflow_revision != after.workflow_revision:
        known = {task.id: task for task in before.tasks}
        present = {task.id: task for task in after.tasks}
        changed = [id_ for id_, task in present.items() if known.get(id_) is not task]
        gone = [id_ for id_ in known if id_ not in present]
        left["tasks"] = {id_: known[id_] for id_ in [*changed, *gone] if id_ in known}
        right["tasks"] = {id_: present[id_] for id_ in changed}
    return left, right


def answering(
    answer: Answer, body: CommentBody | None, by: str, task_id: TaskId | None = None
) -> Wish:
    """A yes or no to an approval: the named one, a task's, or the only one that is open."""
    said = body or CommentBody()

    def wish(it: Deployment, now: datetime) -> Decision:
        return answer(it, by, now=now, gate_id=said.gate_id, task_id=task_id, comment=said.comment)

    return wish


async def grant(
    services: ServiceBundle, deployment_id: DeploymentId, act: Act, wish: Wish
) -> Decision:
    """Carry out a wish that needs nothing but the deployment; `NotFound`, `Conflict`, ..."""

    async def decide(_: Transaction, deployment: Deployment, now: datetime) -> Decision:
        return wish(deployment, now)

    return await grant_with_ground(services, deployment_id, act, decide)


async def grant_with_ground(
    services: ServiceBundle, deployment_id: DeploymentId, act: Act, wish: WishWithGround
) -> Decision:
    """Carry out a wish that first reads more in the same transaction."""
    announced = services.store.listen(CHANNEL_CHANGED)
    async with services.store.transaction() as tx:
        decision = await grant_in(tx, services.clock.now(), deployment_id, act, wish)
    services.wakes.due()
    await _taken_up(services, announced, decision.next)
    return decision


async def _taken_up(
    services: ServiceBundle, announced: AsyncIterator[tuple[str, str]], noted: Deployment
) -> None:
    """Give the loop a moment, so that the answer shows what follows and not only the wish.

    Without it a client that confirms and looks at the answer would still be asked to confirm.
    """
    try:
        async with asyncio.timeout(services.patience_seconds):
            async for _, payload in announced:
                heard = Changed.parse(payload)
                if heard.deployment_id == noted.id and heard.revision > noted.revision:
                    return
    except TimeoutError:
        return


async def grant_in(
    tx: Transaction, now: datetime, deployment_id: DeploymentId, act: Act, wish: WishWithGround
) -> Decision:
    """Carry out a wish in a transaction that does more; the caller wakes the loop after it."""
    before = await locked(tx, deployment_id)
    await act.check(tx, before)
    decision = await wish(tx, before, now)
    if decision.next is not before:
        await _save(tx, before, decision, now)
        await act.note(tx, before, decision.next)
    return decision


async def locked(tx: Transaction, deployment_id: DeploymentId) -> Deployment:
    """The deployment, held by this transaction."""
    if not await tx.work.claim([deployment_id]):
        raise NotFound(f"there is no deployment {deployment_id!r}")
    return await tx.deployments.get(deployment_id)


async def _save(tx: Transaction, before: Deployment, decision: Decision, now: datetime) -> None:
    after = decision.next
    await tx.work.save(before, after, wake_at=now, now=now)
    if decision.live:
        await tx.work.change_live(after, decision.live, now)
    if decision.notices:
        await tx.work.add_events(after.id, decision.notices, now)
    await announce(tx, after)


async def announce(tx: Transaction, deployment: Deployment) -> None:
    """Tell every server that this changed and is due."""
    changed = Changed(
        deployment_id=deployment.id, revision=deployment.revision, state=deployment.state
    )
    await tx.announce(CHANNEL_CHANGED, changed.payload())
    await tx.announce(CHANNEL_DUE, "")


async def wake_environment(tx: Transaction, environment_id: EnvironmentId, now: datetime) -> None:
    """Its rules were changed: every deployment that has not ended looks at them anew."""
    await tx.work.wake_in_environment(environment_id, now)
    await tx.announce(CHANNEL_DUE, "")
