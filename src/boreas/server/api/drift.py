"""Drift: whether what is live in an environment is what was deployed there."""

from collections import Counter
from datetime import datetime

from fastapi import APIRouter

from boreas.domain.drift import Aspect, DriftState
from boreas.domain.ids import EnvironmentId
from boreas.server.auth.permits import Seer
from boreas.server.bodies import Moment, View
from boreas.server.drifting import JudgedPlace, drift_of
from boreas.server.services import Services

router = APIRouter(prefix="/api/release", tags=["environments"])


class DepartureView(View):
    """One way in which a place is not as it was deployed."""

    aspect: Aspect
    wanted: str | None
    seen: str | None
    text: str


class DriftItem(View):
    """One application on one target."""

    application_id: str
    application: str
    target_id: str
    target: str
    agent_id: str
    state: DriftState
    reason: str
    since: Moment | None
    """Since when it is so, as far as known."""
    wanted: str | None
    """The version that was deployed there; None before the first deployment."""
    seen: str | None
    """The version that the agent saw last."""
    newer: str | None
    """A version that is wanted there instead."""
    departures: list[DepartureView]
    observed_at: Moment | None


class DriftSummary(View):
    """How many places are what."""

    in_sync: int
    behind: int
    drifted: int
    unknown: int


class DriftView(View):
    """An environment: what it is, and each place in it."""

    environment_id: str
    environment: str
    state: DriftState
    summary: DriftSummary
    items: list[DriftItem]
    at: Moment


@router.get("/environments/{environment_id}/drift")
async def show_drift(environment_id: EnvironmentId, caller: Seer, services: Services) -> DriftView:
    """Compare what agents saw with what was deployed; a repair is a deployment.

    `drifted` comes before `unknown`, `behind` and `in_sync`: the worst place names the whole.
    """
    now = services.clock.now()
    every = services.settings.observe_seconds
    async with services.store.reading() as tx:
        found = await drift_of(tx, environment_id, now=now, every_seconds=every)
    counts = Counter(it.verdict.state for it in found.places)
    return DriftView(
        environment_id=environment_id,
        environment=found.environment.name,
        state=found.state,
        summary=DriftSummary(**{it.value: counts[it] for it in DriftState}),
        items=[_item(it) for it in found.places],
        at=now,
    )


def _item(found: JudgedPlace) -> DriftItem:
    place, verdict = found.place, found.verdict
    observation = place.observation
    observed_at: datetime | None = observation.at if observation is not None else None
    return DriftItem(
        application_id=found.application.id,
        application=found.application.name,
        target_id=found.target.id,
        target=found.target.name,
        agent_id=found.target.agent_id,
        state=verdict.state,
        reason=verdict.reason,
        since=verdict.since,
        wanted=place.release.version if place.release is not None else None,
        seen=observation.result.get("version") if observation is not None else None,
        newer=place.newer.version if place.newer is not None else None,
        departures=[DepartureView.model_validate(it) for it in verdict.departures],
        observed_at=observed_at,
    )
