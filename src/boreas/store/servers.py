"""Who is alive, by the database's own clock: no two machines have to agree on the time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select, update

from boreas.domain.errors import Conflict
from boreas.domain.ids import AgentId, ServerId
from boreas.store import dialects, tables
from boreas.store.file_lock import FileLock, in_use
from boreas.store.unit import Unit

EPOCH_COUNTER: Final = "server_epoch"


class SqlServers:
    """Implements `boreas.runtime.ports.Servers`."""

    def __init__(self, unit: Unit, file_lock: FileLock | None) -> None:
        self._unit = unit
        self._file_lock = file_lock

    async def register(self, server_id: ServerId, *, address: str, lease_seconds: float) -> int:
        connection, servers = self._unit.connection, tables.servers
        if self._file_lock is not None:
            await self._be_the_only_one(self._file_lock, server_id, address)
        # Waits for transactions of the earlier life, which share-lock their row.
        mine = select(servers.c.id).where(servers.c.id == server_id).with_for_update()
        await connection.execute(mine)
        epoch = await dialects.count_up(connection, EPOCH_COUNTER)
        lease = dialects.clock(connection) + _microseconds(lease_seconds)
        await connection.execute(delete(servers).where(servers.c.id == server_id))
        await connection.execute(
            insert(servers).values(id=server_id, epoch=epoch, address=address, lease_until=lease)
        )
        return epoch

    async def _be_the_only_one(self, lock: FileLock, me: ServerId, address: str) -> None:
        servers, connection = tables.servers, self._unit.connection
        if lock.acquire(f"server {me} at {address}"):
            self._unit.after_rollback.append(lock.release)
            # Whoever else is written here did not hold the lock: it is dead, whatever its lease.
            await connection.execute(
                update(servers).where(servers.c.id != me).values(lease_until=0)
            )
            return
        now = dialects.clock(connection)
        others = select(servers.c.id, servers.c.address).where(
            servers.c.id != me, servers.c.lease_until > now
        )
        other = (await connection.execute(others)).first()
        if other is not None:
            raise in_use(f"server {other.id} at {other.address}", lock.path)

    async def renew(self, server_id: ServerId, epoch: int, *, lease_seconds: float) -> None:
        connection, servers = self._unit.connection, tables.servers
        now = dialects.clock(connection)
        mine = servers.c.id == server_id, servers.c.epoch == epoch
        renewed = await connection.execute(
            update(servers)
            .where(*mine, servers.c.lease_until > now)
            .values(lease_until=now + _microseconds(lease_seconds))
        )
        if renewed.rowcount == 0:
            raise lost_lease(server_id)

    async def check(self, server_id: ServerId, epoch: int) -> None:
        servers = tables.servers
        # A key-share lock lets our own renewals pass, but nobody buries us before our commit.
        query = (
            select(servers.c.id)
            .where(
                servers.c.id == server_id,
                servers.c.epoch == epoch,
                servers.c.lease_until > dialects.clock(self._unit.connection),
            )
            .with_for_update(read=True, key_share=True)
        )
        if (await self._unit.connection.execute(query)).first() is None:
            raise lost_lease(server_id)

    async def bury_dead(self, now: datetime) -> Sequence[AgentId]:
        connection, servers, agents = self._unit.connection, tables.servers, tables.agents
        query = (
            select(servers.c.id)
            .where(servers.c.lease_until <= dialects.clock(connection))
            .with_for_update(skip_locked=True)
        )
        dead = [id_ for (id_,) in await connection.execute(query)]
        if not dead:
            return []
        orphans = await connection.execute(
            update(agents)
            .where(agents.c.server_id.in_(dead))
            .values(server_id=None, disconnected_at=now)
            .returning(agents.c.id)
        )
        found = [id_ for (id_,) in orphans]
        await connection.execute(delete(servers).where(servers.c.id.in_(dead)))
        return found

    async def retire(self, server_id: ServerId, epoch: int) -> None:
        servers = tables.servers
        mine = update(servers).where(servers.c.id == server_id, servers.c.epoch == epoch)
        await self._unit.connection.execute(mine.values(lease_until=0))
        if self._file_lock is not None:
            self._unit.after_commit.append(self._file_lock.release)

    async def addresses(self) -> Sequence[str]:
        connection, servers = self._unit.connection, tables.servers
        alive = servers.c.lease_until > dialects.clock(connection)
        query = select(servers.c.address).where(alive).order_by(servers.c.id)
        return [address for (address,) in await connection.execute(query)]

    async def agents(self) -> Mapping[ServerId, int]:
        """How many agents hang on each server that lives, also where there are none."""
        servers, agents = tables.servers, tables.agents
        alive = servers.c.lease_until > dialects.clock(self._unit.connection)
        query = (
            select(servers.c.id, func.count(agents.c.id))
            .outerjoin(agents, agents.c.server_id == servers.c.id)
            .where(alive)
            .group_by(servers.c.id)
        )
        rows = await self._unit.connection.execute(query)
        return {ServerId(id_): count for id_, count in rows}


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def lost_lease(server_id: ServerId) -> Conflict:
    """Whoever gets this must not write any more."""
    return Conflict(
        f"Server {server_id} lost its lease on the database; another life of it, or another "
        "server, took its work over."
    )
