"""The ear for other servers on the same PostgreSQL; imported only where there can be any."""

from typing import Any, Final

import psycopg
import structlog
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from boreas.kit.clock import Clock
from boreas.kit.ids import jittered
from boreas.store.announcements import PG_CHANNEL, Crier
from boreas.store.failures import AWAY

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_TRIES: Final = 1.0


async def hear_other_servers(engine: AsyncEngine, url: URL, crier: Crier, clock: Clock) -> None:
    """Pass on what PostgreSQL says, for ever."""
    _, given = engine.dialect.create_connect_args(url)
    arguments = dict(given)
    while True:
        try:
            await _hear(arguments, crier)
        except (psycopg.OperationalError, OSError):
            log.warning("cannot hear other servers", action="listen_failed", reason=AWAY)
        await clock.sleep(jittered(SECONDS_BETWEEN_TRIES, by=0.3))


async def _hear(arguments: dict[str, Any], crier: Crier) -> None:
    connection = await psycopg.AsyncConnection.connect(
        **{"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, **arguments},
        autocommit=True,
    )
    async with connection:
        await connection.execute(f"LISTEN {PG_CHANNEL}")
        async for notice in connection.notifies():
            crier.heard(notice.payload)
