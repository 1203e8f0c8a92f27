"""How this agent gets to its servers: with what it holds, and over what has worked before.

What was learnt of the path (a network that eats UDP) is kept in the data directory.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import structlog

from boreas import __version__
from boreas.agent.settings import AgentSettings
from boreas.kit.clock import Clock
from boreas.kit.ids import new_id
from boreas.transport.dial import Dialled, Dialler, TransportMode
from boreas.transport.frames import OBSERVES, PROTOCOL, Hello
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentIdentity, AgentVault
from boreas.transport.links import CloseKind
from boreas.transport.paths import PathMemory
from boreas.transport.refusals import Refusal, RefusalCode

logger = structlog.get_logger(__name__)


class Way(Protocol):
    """Opens sessions, and learns from how they end."""

    async def dial(self, server: str, identity: AgentIdentity | None) -> Dialled:
        """By the identity, or by the enrol token while there is none. Raises as `Dialler.dial`."""
        ...

    async def upgrade(
        self, server: str, identity: AgentIdentity | None, over: str
    ) -> Dialled | None:
        """A better session beside a working one over `over`; None if there is none to be had."""
        ...

    def ended(self, transport: str, kind: CloseKind) -> None:
        """A session has ended like this."""
        ...

    def proven(self) -> None:
        """QUIC carried full packets both ways, and several heartbeats."""
        ...


class DialledWay:
    """The real one."""

    def __init__(
        self, settings: AgentSettings, vault: AgentVault, memory_path: Path, clock: Clock
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._clock = clock
        self._memory_path = memory_path
        self._memory = _read_memory(memory_path)
        self._hello = Hello(
            protocol=PROTOCOL,
            agent_version=__version__,
            name=settings.name,
            labels=dict(settings.labels),
            instance=new_id("ins"),
            abilities=(OBSERVES,),
        )

    async def dial(self, server: str, identity: AgentIdentity | None) -> Dialled:
        """See `Way.dial`."""
        mode = self._memory.mode(self._settings.transport, self._now())
        return await self._dialler(identity).dial(server, mode=mode)

    async def upgrade(
        self, server: str, identity: AgentIdentity | None, over: str
    ) -> Dialled | None:
        """See `Way.upgrade`."""
        if not self._memory.should_upgrade(over, self._settings.transport, self._now()):
            return None
        return await self._dialler(identity).dial(server, mode=TransportMode.QUIC)

    def ended(self, transport: str, kind: CloseKind) -> None:
        """See `Way.ended`."""
        self._learn(self._memory.after_end(transport, kind, self._now()))

    def proven(self) -> None:
        """See `Way.proven`."""
        self._learn(self._memory.after_proof())

    def _dialler(self, identity: AgentIdentity | None) -> Dialler:
        credentials = identity or self._enrolling()
        return Dialler(hello=self._hello, credentials=credentials, clock=self._clock)

    def _enrolling(self) -> Enrolling:
        if self._settings.token is None:
            raise Refusal(
                RefusalCode.TOKEN_UNKNOWN,
                "this agent is not enrolled yet and was given no token",
                "make an enrol token on the server and pass it with --token or --token-file",
            )
        return Enrolling(token=self._settings.token, csr_pem=self._vault.csr())

    def _learn(self, memory: PathMemory) -> None:
        if memory == self._memory:
            return
        self._memory = memory
        try:
            self._memory_path.write_text(json.dumps(asdict(memory)))
        except OSError as error:
            logger.warning("path memory not kept", action="paths_not_kept", error=str(error))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _read_memory(path: Path) -> PathMemory:
    try:
        kept = json.loads(path.read_text())
        return PathMemory(**{**kept, "deaths": tuple(kept["deaths"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return PathMemory()
