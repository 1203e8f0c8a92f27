"""Looks from time to time at what is live on this node, and says it on the link.

The server says what to watch (`Watch`), anew on each link; what is seen goes back as `Seen`. A
scope is left alone while an order of it is under way, and looked at soon after. Without anything to
watch this sleeps; with something it wakes once per look.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from boreas.agent.layout import Layout
from boreas.agent.order_run import DriverFor
from boreas.agent.questions import asked, clean_environment
from boreas.agent.runner import Runner, decode_body
from boreas.domain.delivery import NO_SECRETS, OpenedSecrets
from boreas.domain.errors import Unavailable
from boreas.domain.orders import OrderBody, VerbOutcome, order_variables
from boreas.kit.bulkhead import Bulkhead
from boreas.kit.clock import Clock
from boreas.kit.ids import jittered
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint
from boreas.transport.frames import Frame, Seen, Watch

logger = structlog.get_logger(__name__)

AT_ONCE = 2
LOOK_SECONDS = 60.0
"""A look that takes longer says nothing this time."""
_SOON_SECONDS = 0.5
"""After an order: the next one of the same deployment mostly follows within this time."""

Send = Callable[[Frame], None]


@dataclass(slots=True, kw_only=True)
class _Watched:
    body: OrderBody
    every: float
    due: float
    task: asyncio.Task[None] | None = None


class Lookout:
    """Owns the looks. `run` it in a task; a link opens it and closes it again."""

    def __init__(
        self, runner: Runner, layout: Layout, driver_for: DriverFor, clock: Clock, tasks: TaskGroup
    ) -> None:
        self._runner = runner
        self._layout = layout
        self._driver_for = driver_for
        self._clock = clock
        self._tasks = tasks
        self._watched: dict[str, _Watched] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._look = Hint()
        self._send: Send | None = None
        runner.on_begin, runner.on_end = self._order_begins, self._order_ended

    def opened(self, send: Send) -> None:
        """A link is up: its server says what to watch."""
        self.closed()
        self._send = send

    def closed(self) -> None:
        """Nobody would hear of it."""
        self._send = None
        for scope in list(self._watched):
            self._forget(scope)

    def take(self, frame: Watch) -> None:
        """Watch this scope, or watch it no more."""
        self._forget(frame.scope)
        if not frame.body:
            return
        try:
            body = decode_body(frame.body)
        except (msgspec.DecodeError, ValueError) as error:
            log = logger.bind(scope=frame.scope, error=str(error))
            log.warning("watch not understood", action="watch_refused")
            return
        due = self._clock.monotonic() + jittered(_SOON_SECONDS, by=0.5)
        self._watched[frame.scope] = _Watched(body=body, every=frame.every_seconds, due=due)
        self._look.raise_()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._look.wait(at_most=self._begin_looks())

    def _begin_looks(self) -> float | None:
        """Begin what is due; the seconds until something else is."""
        now = self._clock.monotonic()
        for scope, watched in self._watched.items():
            if watched.due <= now:
                watched.due = now + jittered(watched.every, by=0.1)
                if watched.task is None and not self._runner.works_on(scope):
                    self._begin(scope, watched)
        dues = [watched.due for watched in self._watched.values()]
        return max(0.01, min(dues) - now) if dues else None

    def _begin(self, scope: str, watched: _Watched) -> None:
        async def look() -> None:
            try:
                async with self._slots:
                    await self._report(scope, watched)
            finally:
                watched.task = None

        watched.task = self._tasks.start(look, name=f"look at {scope}")

    async def _report(self, scope: str, watched: _Watched) -> None:
        outcome = await self._observed(scope, watched.body)
        release = watched.body.release
        if self._send is not None and release is not None:
            self._send(
                Seen(
                    scope=scope,
                    about=release.release_id,
                    ok=outcome.ok,
                    reason=outcome.reason,
                    result=dict(outcome.result),
                )
            )

    async def _observed(self, scope: str, body: OrderBody) -> VerbOutcome:
        assert body.release is not None
        with Bulkhead(logger, "look failed", action="look_failed", scope=scope) as hull:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    driver = self._driver_for(body.release.driver)
                    return await driver.observe(LookingBench(body, scope, self._layout))
            except TimeoutError:
                return VerbOutcome(ok=False, reason=f"looking took over {LOOK_SECONDS:g} s")
        return VerbOutcome(ok=False, reason=f"a fault in Boreas itself ({hull.fault!r})")

    def _order_begins(self, scope: str) -> None:
        watched = self._watched.get(scope)
        if watched is not None and watched.task is not None:
            watched.task.cancel()

    def _order_ended(self, scope: str) -> None:
        watched = self._watched.get(scope)
        if watched is not None:
            watched.due = self._clock.monotonic() + _SOON_SECONDS
            self._look.raise_()

    def _forget(self, scope: str) -> None:
        watched = self._watched.pop(scope, None)
        if watched is not None and watched.task is not None:
            watched.task.cancel()


class LookingBench:
    """A workbench that can ask and cannot change: no order, no log, no secrets."""

    secrets: OpenedSecrets = NO_SECRETS

    def __init__(self, order: OrderBody, scope: str, layout: Layout) -> None:
        assert order.release is not None
        self.order = order
        self.scope_dir = layout.scope_dir(scope)
        self.release_dir = layout.release_dir(scope, order.release.release_id)

    @property
    def private_dir(self) -> Path:
        """See `Workbench.private_dir`: a look has none."""
        raise Unavailable("a look keeps no private files")

    async def run(
        self,
        step: str,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        tell_secrets: bool = False,
    ) -> int:
        """See `Workbench.run`: a look changes nothing."""
        raise Unavailable(f"a look runs no step ({step})")

    async def probe(
        self,
        argv: tuple[str, ...],
        *,
        at_most: float,
        env: Mapping[str, str] | None = None,
        tell_secrets: bool = False,
    ) -> tuple[int, str]:
        """See `Workbench.probe`."""
        self.release_dir.mkdir(parents=True, exist_ok=True)
        own = order_variables(self.order, release_dir=str(self.release_dir))
        seen = {**clean_environment(), **own, **(env or {})}
        return await asked(argv, at_most=at_most, env=seen, cwd=self.release_dir)

    async def say(self, line: str) -> None:
        """See `Workbench.say`: there is no log to say it in."""
