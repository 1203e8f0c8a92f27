"""What an environment says right now, and the lock that a person puts on it."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from boreas.domain.errors import Conflict
from boreas.domain.ids import EnvironmentId
from boreas.domain.permissions import Permission
from boreas.domain.projects import Environment, EnvironmentLock
from boreas.domain.windows import standing_at
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import Body, Moment, Text, View
from boreas.server.environment_views import LockView
from boreas.server.services import ServiceBundle, Services
from boreas.server.window_bodies import UtcMoment
from boreas.server.wishes import wake_environment

router = APIRouter(prefix="/api/release/environments/{environment_id}", tags=["environments"])


class LockBody(Body):
    """Why new deployments are kept out."""

    reason: Annotated[Text, Field(min_length=1)]


class StandingView(View):
    """Whether a deployment could begin, why not, and when that changes."""

    at: Moment
    open: bool
    text: str
    changes_at: Moment | None
    lock: LockView | None


@router.get("/standing")
async def show_standing(
    environment_id: EnvironmentId, caller: Seer, services: Services, at: UtcMoment | None = None
) -> StandingView:
    """What windows and lock say now, or at another moment."""
    moment = at or services.clock.now()
    async with services.store.reading() as tx:
        environment = await tx.environments.get(environment_id)
    standing = standing_at(environment.windows, moment)
    lock = environment.lock
    return StandingView(
        at=moment,
        open=standing.is_open and lock is None,
        text=standing.text,
        changes_at=standing.changes_at,
        lock=None if lock is None else LockView.model_validate(lock),
    )


@router.post("/lock")
async def lock_environment(
    environment_id: EnvironmentId, body: LockBody, caller: Configurer, services: Services
) -> LockView:
    """Keep new deployments out until it is unlocked; what is under way goes on."""
    lock = EnvironmentLock(by=caller.name, at=services.clock.now(), reason=body.reason)
    await _set_lock(services, caller, environment_id, lock)
    return LockView.model_validate(lock)


@router.post("/unlock", status_code=204)
async def unlock_environment(
    environment_id: EnvironmentId, caller: Configurer, services: Services
) -> None:
    """Let deployments begin again; those that waited begin in their order."""
    await _set_lock(services, caller, environment_id, None)


async def _set_lock(
    services: ServiceBundle,
    caller: Caller,
    environment_id: EnvironmentId,
    lock: EnvironmentLock | None,
) -> None:
    async with services.store.transaction() as tx:
        before = await tx.environments.get(environment_id)
        await caller.must(tx, Permission.CONFIGURE, before.project_id)
        _refuse_what_is_so(before, lock)
        after = replace(before, lock=lock)
        await tx.environments.change(after)
        await tx.audit.note(
            caller,
            "environment.lock" if lock else "environment.unlock",
            "environment",
            environment_id,
            project_id=before.project_id,
            before={"lock": before.lock},
            after={"lock": lock},
            why=lock.reason if lock else "",
        )
        await wake_environment(tx, environment_id, services.clock.now())
    services.wakes.due()


def _refuse_what_is_so(environment: Environment, wanted: EnvironmentLock | None) -> None:
    lock = environment.lock
    if wanted is not None and lock is not None:
        raise Conflict(f"It is locked already, by {lock.by}: {lock.reason}")
    if wanted is None and lock is None:
        raise Conflict("It is not locked.")
