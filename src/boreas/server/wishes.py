"""What people ask of a deployment, in the API's own transaction.

The deployment's row is locked, a pure function of the engine notes the wish or refuses it, the
result is saved with its events, and the loop is told to look. Of two wishes at the same moment the
second sees what the first left behind.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from boreas.domain.deployments import Deployment
from boreas.domain.errors import NotFound
from boreas.domain.events import Changed
from boreas.domain.ids import DeploymentId, EnvironmentId, TaskId
from boreas.engine.snapshot import Decision
from boreas.runtime.ports import CHANNEL_CHANGED, CHANNEL_DUE
from boreas.server.deployment_bodies import CommentBody
from boreas.server.services import ServiceBundle
from boreas.store import SqlTransaction as Transaction

Wish = Callable[[Deployment, datetime], Decision]
"""What one of `engine.people`'s functions makes of the locked deployment."""
Answer = Callable[..., Decision]
"""`engine.people.confirm` or `reject`."""
WishWithGround = Callable[[Transaction, Deployment, datetime], Awaitable[Decision]]


def answering(
    answer: Answer, body: CommentBody | None, by: str, task_id: TaskId | None = None
) -> Wish:
    """A yes or no to an approval: the named one, a task's, or the only one that is open."""
    said = body or CommentBody()

    def wish(it: Deployment, now: datetime) -> Decision:
        return answer(it, by, now=now, gate_id=said.gate_id, task_id=task_id, comment=said.comment)

    return wish


async def grant(services: ServiceBundle, deployment_id: DeploymentId, wish: Wish) -> Decision:
    """Carry out a wish that needs nothing but the deployment; `NotFound`, `Conflict`, ..."""

    async def decide(_: Transaction, deployment: Deployment, now: datetime) -> Decision:
        return wish(deployment, now)

    return await grant_with_ground(services, deployment_id, decide)


async def grant_with_ground(
    services: ServiceBundle, deployment_id: DeploymentId, wish: WishWithGround
) -> Decision:
    """Carry out a wish that first reads more in the same transaction."""
    announced = services.store.listen(CHANNEL_CHANGED)
    async with services.store.transaction() as tx:
        decision = await grant_in(tx, services.clock.now(), deployment_id, wish)
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
    tx: Transaction, now: datetime, deployment_id: DeploymentId, wish: WishWithGround
) -> Decision:
    """Carry out a wish in a transaction that does more; the caller wakes the loop after it."""
    before = await locked(tx, deployment_id)
    decision = await wish(tx, before, now)
    if decision.next is not before:
        await _save(tx, before, decision, now)
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
