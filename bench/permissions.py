"""What it costs to ask whether somebody may do something."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.line import line
from boreas.domain.access import User
from boreas.domain.permissions import WHOLE, Member, Permission, Role, Standing, Verdict, judge
from boreas.domain.projects import Environment, EnvironmentKind, Project
from boreas.store import SqlStore

TIMES = 20_000


def permission_check() -> Iterator[dict[str, Any]]:
    """The table alone; with the caller's standing as it was lately seen; and from the database."""
    figures = asyncio.run(_measured())
    yield line(
        "permission_check",
        "<= 20 us",
        reached=figures["check_us"] <= 20 and figures["seen_lately_us"] <= 20,
        **figures,
    )


async def _measured() -> dict[str, float]:
    standing = Standing(role=Role.DEVELOPER)
    began = time.perf_counter()
    for _ in range(TIMES):
        judge(Permission.DEPLOY_GUARDED, standing, WHOLE, "prj")
    check = (time.perf_counter() - began) / TIMES
    with tempfile.TemporaryDirectory() as directory:
        async with SqlStore.open(None, Path(directory)) as store:
            await _filled(store)
            async with store.reading() as tx:
                seen = await _each(lambda: _may(tx), TIMES)
            async with store.transaction() as tx:
                asked = await _each(lambda: _may(tx), 1000)
    return {"check_us": check * 1e6, "seen_lately_us": seen, "from_database_us": asked}


async def _may(tx: Any) -> Verdict:
    look = await tx.places.look("environment_id", "env", "usr")
    verdict = judge(look.deploying, look.standing, WHOLE, look.project_id)
    assert verdict is Verdict.ROLE_TOO_LOW
    return verdict


async def _each(ask: Callable[[], Awaitable[object]], times: int) -> float:
    await ask()
    began = time.perf_counter()
    for _ in range(times):
        await ask()
    return (time.perf_counter() - began) / times * 1e6


async def _filled(store: SqlStore) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - nothing here depends on it
    project = Project(id="prj", name="p", created_at=now)
    kind = EnvironmentKind.PROD
    async with store.transaction() as tx:
        await tx.users.add(User(id="usr", username="u", created_at=now))
        await tx.projects.add(project)
        await tx.environments.add(
            Environment(id="env", project_id=project.id, name="e", kind=kind, created_at=now)
        )
        await tx.members.add(
            Member(id="m", project_id=project.id, user_id="usr", role=Role.DEVELOPER, added_at=now)
        )
