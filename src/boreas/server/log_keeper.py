"""Closes the logs of finished deployments, and removes those that are too old or too much.

A log is closed (compressed, its followers told that it ends) when its deployment is final and every
byte that the agents announced is stored, or when nothing came for a grace: an agent may be gone for
ever. Bytes that come still later open it again by themselves. Readers need not wait for that: when
a task has ended, `has_all_of` tells them that they have seen everything.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import structlog

from boreas.domain.deployments import TERMINAL
from boreas.domain.errors import NoSpace, Unavailable
from boreas.domain.events import Changed
from boreas.domain.ids import DeploymentId
from boreas.domain.outbox import Place
from boreas.kit.clock import Clock
from boreas.kit.until import Hint
from boreas.logs.store import LogStore
from boreas.runtime.ports import CHANNEL_CHANGED, Store

log = structlog.get_logger(__name__)

GRACE_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 1.0
_PRUNE_EVERY_SECONDS = 3600.0

FinishedAmong = Callable[[Collection[DeploymentId]], Awaitable[Collection[DeploymentId]]]
"""Which of these deployments are final, or exist no more."""


class LogKeeper:
    """Follows deployments to their end and their logs to their last byte."""

    def __init__(
        self, *, logs: LogStore, store: Store, finished_among: FinishedAmong, clock: Clock
    ) -> None:
        self._logs = logs
        self._store = store
        self._finished_among = finished_among
        self._clock = clock
        self._hint = Hint()
        self._closing: dict[DeploymentId, float] = {}
        self._expected: dict[str, tuple[Place, int]] = {}
        self._since = clock.monotonic()

    def expect(self, place: Place, order_id: str, log_bytes: int) -> None:
        """The agent says how long this order's log is."""
        self._expected[order_id] = place, log_bytes

    def has_all_of(self, order_ids: Collection[str]) -> bool:
        """Every byte that was announced for these is stored; not while one announced nothing yet.

        What was announced to an earlier process is not known here. Once this one has lived for so
        long that agents are back and have sent the rest, such an order has nothing more to say.
        """
        agents_are_back = self._clock.monotonic() - self._since > GRACE_SECONDS
        return all(
            self._is_stored(order_id) if order_id in self._expected else agents_are_back
            for order_id in order_ids
        )

    def misses_any_of(self, order_ids: Collection[str]) -> bool:
        """Bytes were announced for one of these that are not stored: they are on their way."""
        return any(
            order_id in self._expected and not self._is_stored(order_id) for order_id in order_ids
        )

    async def listen(self) -> None:
        """Hear of every deployment that comes to its end."""
        async for _, payload in self._store.listen(CHANNEL_CHANGED):
            changed = Changed.parse(payload)
            if changed.state in TERMINAL:
                self._finished(changed.deployment_id)

    async def close_finished(self) -> None:
        """Close what is complete, for ever; at the start, what an earlier process left open."""
        still_open = {DeploymentId(deployment) for deployment, _ in self._logs.open_logs()}
        for deployment_id in await self._finished_among(still_open) if still_open else ():
            self._finished(deployment_id)
        while True:
            await self._hint.wait(at_most=_LOOK_AGAIN_SECONDS if self._closing else None)
            try:
                await self._look()
            except (Unavailable, NoSpace) as outage:
                log.warning("logs not closed yet", action="close_failed", reason=outage.message)
                await self._clock.sleep(_LOOK_AGAIN_SECONDS)
                self._hint.raise_()

    async def prune(self, *, max_age: timedelta, max_bytes: int) -> None:
        """Remove closed logs beyond these limits, now and every hour."""
        while True:
            removed, size = await self._logs.prune(max_age=max_age, max_bytes=max_bytes)
            if removed:
                log.info("logs removed", action="logs_pruned", files=removed, bytes=size)
            await self._clock.sleep(_PRUNE_EVERY_SECONDS)

    def _finished(self, deployment_id: DeploymentId) -> None:
        self._closing.setdefault(deployment_id, self._clock.monotonic())
        self._hint.raise_()

    async def _look(self) -> None:
        now = self._clock.monotonic()
        due = [
            deployment_id
            for deployment_id, since in self._closing.items()
            if self._is_complete(deployment_id) or now - since > GRACE_SECONDS
        ]
        if due:
            # Asked once for all of them: it is a walk through the directories.
            tasks_of: dict[str, list[str]] = {}
            for deployment, task in self._logs.open_logs():
                tasks_of.setdefault(deployment, []).append(task)
            for deployment_id in due:
                await self._close(deployment_id, tasks_of.get(deployment_id, ()))

    def _is_complete(self, deployment_id: DeploymentId) -> bool:
        return all(
            self._is_stored(order_id)
            for order_id, (place, _) in self._expected.items()
            if place.deployment_id == deployment_id
        )

    def _is_stored(self, order_id: str) -> bool:
        place, log_bytes = self._expected[order_id]
        return self._logs.offset_of(place.deployment_id, place.task_id, order_id) >= log_bytes

    async def _close(self, deployment_id: DeploymentId, tasks: Collection[str]) -> None:
        for task in tasks:
            await self._logs.close(deployment_id, task)
        del self._closing[deployment_id]
        self._expected = {
            order_id: expected
            for order_id, expected in self._expected.items()
            if expected[0].deployment_id != deployment_id
        }
