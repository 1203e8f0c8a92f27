"""How many tasks a second the runtime and the store carry, with agents that answer at once."""

import tempfile
from pathlib import Path

from bench.installation import StubFleet, create_chain, found
from boreas.domain.ids import ServerId
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.runtime.loop import Loop
from boreas.runtime.membership import ALONE, Membership
from boreas.store import SqlStore


async def tasks_per_second(
    *, database_url: str | None, deployments: int = 200, tasks: int = 20
) -> dict[str, object]:
    """Chains of no-op tasks through the real loop; the clock runs from creation to the last end."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        async with SqlStore.open(database_url, Path(directory), clock=clock) as store:
            server_id = ServerId("srv")
            membership = Membership(
                store=store, server_id=server_id, address="bench:1", clock=clock, times=ALONE
            )
            await membership.join()
            await found(store, server_id, applications=deployments, now=clock.now())
            loop = Loop(store=store, membership=membership, clock=clock)
            fleet = StubFleet(loop, clock)
            for number in range(deployments):
                async with store.transaction() as tx:
                    await create_chain(tx, number, tasks=tasks, now=clock.now())
            started = clock.monotonic()
            async with TaskGroup("bench") as group:
                group.start(lambda: loop.run(fleet), name="loop")
                while fleet.finished < deployments * tasks:
                    await clock.sleep(0.005)
            seconds = clock.monotonic() - started
    return {
        "what": "tasks_per_second",
        "database": "postgresql" if database_url else "sqlite",
        "deployments": deployments,
        "tasks": deployments * tasks,
        "seconds": round(seconds, 3),
        "tasks_per_second": round(deployments * tasks / seconds),
    }
