"""`--with-agent`: an agent for this machine, as a process of its own, by the same code path.

It is enrolled with a token of its own, kept running while the server runs, and stopped with it; the
commands it runs live on and are adopted by the next one.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from boreas.domain.fleet import EnrolToken
from boreas.kit.clock import Clock
from boreas.kit.ids import new_id, new_secret
from boreas.server.settings import Address
from boreas.store import SqlStore
from boreas.transport.keys import write_private
from boreas.transport.tokens import secret_hash

log = structlog.get_logger(__name__)

NAME: Final = "local"
_REST_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 3.0


class LocalAgent:
    """The agent beside the server."""

    def __init__(
        self,
        *,
        store: SqlStore,
        data_dir: Path,
        server: Address,
        mint: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._data_dir = data_dir
        self._server = server
        self._mint = mint
        self._clock = clock

    async def keep_running(self) -> None:
        """Start it, and again whenever it ended."""
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        token_file = self._data_dir / "enrol-token"
        if not (self._data_dir / "identity" / "agent.crt").exists():
            write_private(token_file, (await self._new_token()).encode())
        while True:
            code = await self._run_once(token_file)
            log.warning("agent of this machine ended", action="local_agent_ended", code=code)
            await self._clock.sleep(_REST_SECONDS)

    async def _run_once(self, token_file: Path) -> int:
        argv = (
            *(sys.executable, "-m", "boreas", "agent"),
            *("--server", str(self._server)),
            *("--name", NAME),
            *("--data-dir", str(self._data_dir)),
            *(("--token-file", str(token_file)) if token_file.exists() else ()),
        )
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
        try:
            return await process.wait()
        finally:
            await _stopped(process)

    async def _new_token(self) -> str:
        secret, now = new_secret(16), self._clock.now()
        token = EnrolToken(
            id=new_id("etk"),
            secret_sha256=secret_hash(secret),
            created_by="--with-agent",
            created_at=now,
            expires_at=now + timedelta(hours=1),
        )
        async with self._store.transaction() as tx:
            await tx.enrol_tokens.add(token)
        return self._mint(secret)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
