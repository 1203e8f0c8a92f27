"""What agents shall look at, and what they saw: from the store to the gateway and back.

Looks are written together, a moment after the first of them came: thousands of agents that look
every few minutes cost one small transaction now and then.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec
import structlog

from boreas.domain.drift import Observation, departures_of
from boreas.domain.errors import BoreasError
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import (
    AgentId,
    DeploymentId,
    ExecutionId,
    OrderId,
    ReleaseId,
    TaskId,
)
from boreas.domain.orders import OrderBody, ReleaseBody, Verb
from boreas.domain.variables import NO_VARIABLES
from boreas.kit.clock import Clock
from boreas.kit.until import Hint
from boreas.kit.values import replace
from boreas.store import SqlStore, SqlTransaction
from boreas.store.observations import WatchedPlace
from boreas.transport.frames import Seen

log = structlog.get_logger(__name__)

_GATHER_SECONDS: Final = 0.1
_REST_AFTER_OUTAGE_SECONDS: Final = 5.0
_MOST_BYTES: Final = 64 * 1024

Heard = tuple[Seen, Callable[[], None]]


class StoredObserving:
    """Fits `server.gateway.watches.Observing`. `keep_writing` runs in a task of the server."""

    def __init__(self, store: SqlStore, clock: Clock, *, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._store = store
        self._clock = clock
        self._hint = Hint()
        self._heard: dict[tuple[AgentId, str], Heard] = {}

    async def watches(self, agent_id: AgentId) -> Mapping[str, bytes]:
        """See `Observing.watches`."""
        async with self._store.reading() as tx:
            places = (await tx.observations.watched([agent_id]))[agent_id]
            bodies = await tx.releases.bodies({_release_of(it.live) for it in places})
        return {
            scope_of(it.live): msgspec.msgpack.encode(_body(it, bodies[it.live.release_id]))
            for it in places
            if it.live.release_id is not None and it.live.release_id in bodies
        }

    def seen(self, agent_id: AgentId, seen: Seen, again: Callable[[], None]) -> None:
        """See `Observing.seen`."""
        self._heard[agent_id, seen.scope] = (seen, again)
        self._hint.raise_()

    async def keep_writing(self) -> None:
        """For ever; an outage only puts it off."""
        while True:
            await self._hint.wait()
            await self._clock.sleep(_GATHER_SECONDS)
            heard, self._heard = self._heard, {}
            try:
                async with self._store.transaction() as tx:
                    stale = await self._write(tx, heard)
            except BoreasError as error:
                log.warning("looks not kept", action="looks_failed", reason=error.message)
                self._heard = {**heard, **self._heard}
                await self._clock.sleep(_REST_AFTER_OUTAGE_SECONDS)
                self._hint.raise_()
                continue
            for again in stale:
                again()

    async def _write(
        self, tx: SqlTransaction, heard: Mapping[tuple[AgentId, str], Heard]
    ) -> list[Callable[[], None]]:
        """Those whose agents looked at something that is not live there any more."""
        watched = await tx.observations.watched({agent_id for agent_id, _ in heard})
        places = {
            (agent_id, scope_of(it.live)): it for agent_id, own in watched.items() for it in own
        }
        known = {key: place for key, place in places.items() if key in heard}
        bodies = await tx.releases.bodies({_release_of(it.live) for it in known.values()})
        keys = [(it.live.application_id, it.live.target_id) for it in known.values()]
        before = await tx.observations.at(keys) if keys else {}
        now, kept, stale = self._clock.now(), [], []
        for key, (seen, again) in heard.items():
            place = known.get(key)
            if place is None or place.live.release_id != seen.about:
                stale.append(again)
            if place is not None and place.live.release_id in bodies:
                live = place.live
                looked = _looked(seen, place, now)
                earlier = before.get((live.application_id, live.target_id))
                kept.append(_dated(looked, earlier, place, bodies[_release_of(live)]))
        await tx.observations.put(kept)
        return stale


def scope_of(live: LiveRecord) -> str:
    """As orders for this application on this target have it."""
    return f"{live.target_id}/{live.application_id}"


def _release_of(live: LiveRecord) -> ReleaseId:
    assert live.release_id is not None
    return live.release_id


def _looked(seen: Seen, place: WatchedPlace, now: datetime) -> Observation:
    too_long = len(msgspec.msgpack.encode(seen.result)) > _MOST_BYTES
    return Observation(
        application_id=place.live.application_id,
        target_id=place.live.target_id,
        environment_id=place.environment_id,
        at=now,
        about=ReleaseId(seen.about),
        ok=seen.ok and not too_long,
        reason="the agent's answer is too long" if too_long else seen.reason,
        result={} if too_long else seen.result,
    )


def _dated(
    looked: Observation, earlier: Observation | None, place: WatchedPlace, release: ReleaseBody
) -> Observation:
    """With the moment since which something is different there."""
    was = earlier.drifted_since if earlier is not None else None
    if not looked.ok:
        return replace(looked, drifted_since=was)
    departures = departures_of(place.live, release, looked)
    if bool(departures) != (was is not None):
        word = "drift begins" if departures else "drift ends"
        log.info(
            word,
            action="drift",
            environment=place.environment,
            target=place.target,
            application=release.application,
            why="; ".join(it.text for it in departures) or None,
        )
    return replace(looked, drifted_since=(was or looked.at) if departures else None)


def _body(place: WatchedPlace, release: ReleaseBody) -> OrderBody:
    """What a driver needs to look; an order that is none."""
    variables = release.variables.under(release.task_variables)
    bare = replace(
        release,
        variables=NO_VARIABLES,
        task_variables={},
        credentials={},
        build=None,
        build_credentials={},
    )
    return OrderBody(
        order_id=OrderId("look"),
        execution_id=ExecutionId("look"),
        attempt=1,
        deployment_id=DeploymentId(place.live.deployment_id),
        task_id=TaskId("look"),
        task_name="look",
        project_id=place.project_id,
        project=place.project,
        environment_id=place.environment_id,
        environment=place.environment,
        target_id=place.live.target_id,
        target=place.target,
        agent_id=AgentId(""),
        agent=place.agent,
        verbs=(Verb.OBSERVE,),
        release=bare,
        variables=variables.plain,
        secret_variables=variables.secret,
    )
