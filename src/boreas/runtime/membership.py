"""Being one of the servers: a lease by the database's clock, and burying those that lost theirs.

Every transaction of the loop checks the lease first, so that a server that was away (a stopped
machine, a long swap) cannot write after another took its agents and work over.
"""

from dataclasses import dataclass

import structlog

from boreas.domain.errors import Conflict, NoSpace, Unavailable
from boreas.domain.ids import ServerId
from boreas.kit.clock import Clock
from boreas.runtime.ports import CHANNEL_AGENTS, CHANNEL_DUE, Store, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """How long a lease lasts, and how often it is renewed and dead servers are looked for."""

    seconds: float
    renew_every: float


# A killed server's deployments must go on elsewhere within 10 s: the lease ends after at most 6,
# others notice within 2 more.
AMONG_MANY = LeaseTimes(seconds=6.0, renew_every=2.0)
# Alone on a SQLite file nobody waits for the lease (a file lock guards it): write seldom when idle.
ALONE = LeaseTimes(seconds=60.0, renew_every=20.0)

_REST_AFTER_OUTAGE_SECONDS = 1.0


class Membership:
    """This server's place among the servers of one database."""

    def __init__(
        self, *, store: Store, server_id: ServerId, address: str, clock: Clock, times: LeaseTimes
    ) -> None:
        self.server_id = server_id
        self._store = store
        self._address = address
        self._clock = clock
        self._times = times
        self._epoch = 0

    async def join(self) -> None:
        """Register; from now on the lease is ours.

        While it was nobody's, deployments may have been told that our agents are away: they look
        again.
        """
        now = self._clock.now()
        async with self._store.transaction() as tx:
            self._epoch = await tx.servers.register(
                self.server_id, address=self._address, lease_seconds=self._times.seconds
            )
            agents = await tx.links.on_server(self.server_id)
            if agents:
                await tx.work.wake_for_agents(agents, now)
                await tx.announce(CHANNEL_DUE, "")

    async def check(self, tx: Transaction) -> None:
        """`Conflict` unless the lease still stands."""
        await tx.servers.check(self.server_id, self._epoch)

    async def ensure(self) -> None:
        """Register again if the lease was lost; agents re-dial and the work is reloaded anyway.

        An outage in between is waited out for a moment: who needs the lease asks again.
        """
        try:
            if not await self._stands():
                log.warning("lease was lost, joining again", action="lease_lost")
                await self.join()
        except (Unavailable, NoSpace) as outage:
            log.warning("not joined yet", action="join_failed", reason=outage.message)
            await self._clock.sleep(_REST_AFTER_OUTAGE_SECONDS)

    async def _stands(self) -> bool:
        try:
            async with self._store.transaction() as tx:
                await tx.servers.check(self.server_id, self._epoch)
        except Conflict:
            return False
        return True

    async def keep(self) -> None:
        """Renew the lease and bury dead servers, for ever."""
        pause = self._times.renew_every
        while True:
            await self._clock.sleep(pause)
            pause = self._times.renew_every
            try:
                await self._renew_and_bury()
            except Conflict:
                await self.ensure()
            except (Unavailable, NoSpace) as outage:
                # An outage that comes and goes must not be met each time by chance.
                pause = min(pause, _REST_AFTER_OUTAGE_SECONDS)
                log.warning("lease not renewed", action="renew_failed", reason=outage.message)

    async def leave(self) -> None:
        """Give the lease back, so that others need not wait for its end."""
        async with self._store.transaction() as tx:
            await tx.servers.retire(self.server_id, self._epoch)

    async def _renew_and_bury(self) -> None:
        now = self._clock.now()
        async with self._store.transaction() as tx:
            await tx.servers.renew(self.server_id, self._epoch, lease_seconds=self._times.seconds)
            orphans = await tx.servers.bury_dead(now)
            if orphans:
                await tx.work.wake_for_agents(orphans, now)
                await tx.announce(CHANNEL_DUE, "")
            for agent_id in orphans:
                await tx.announce(CHANNEL_AGENTS, agent_id)
