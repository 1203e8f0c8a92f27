"""What the gateway needs: the registry of agents, the places of executions, unsent promises."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from boreas.domain.delivery import OpenedSecrets
from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId, ExecutionId, OrderId, ServerId
from boreas.domain.outbox import OutboxRow, Place
from boreas.domain.secrets import SecretRef


class Registry(Protocol):
    """Reads and writes about agents, each in a transaction of its own."""

    async def enrol(self, *, secret_sha256: str, agent: Agent, now: datetime) -> Agent:
        """Spend one use of the token and add the agent; the token's labels join the agent's.

        The same key with the same token gets the same agent again. Raises
        `Unauthenticated` (no such token, or spent, or too old) or `Conflict` (the name is taken).
        """
        ...

    async def agent(self, agent_id: AgentId) -> Agent | None:
        """The agent as it stands, revoked or not."""
        ...

    async def places(self, ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Place]:
        """The places of these executions; unknown ones are left out."""
        ...

    async def promises(self, agent_id: AgentId) -> Sequence[OutboxRow]:
        """Everything the agent has not acknowledged, oldest first."""
        ...

    async def promised(self) -> Collection[AgentId]:
        """Agents that have not acknowledged something."""
        ...

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        """Orders the agent acknowledged and has not finished."""
        ...

    async def agents_of_servers(self) -> Mapping[ServerId, int]:
        """How many agents hang on each server that lives."""
        ...

    async def revoked_at(self, server_id: ServerId) -> Sequence[AgentId]:
        """Agents that hang there although they were revoked."""
        ...

    async def server_addresses(self) -> Sequence[str]:
        """Where agents can reach the servers that live."""
        ...


class Secrets(Protocol):
    """The secrets of an order, in plain for as long as it takes to send or to mask them."""

    async def opened_for(self, place: Place) -> OpenedSecrets:
        """All that the order needs, and that it got them is noted.

        Raises `SecretsUnavailable`, `SecretDamaged` or `NotFound` with words for people.
        """
        ...

    async def revisions(self, place: Place) -> Sequence[SecretRef]:
        """The order's own, and the newest that are kept of the same secrets, in order."""
        ...

    async def values(self, place: Place, revisions: Sequence[SecretRef]) -> Sequence[str]:
        """What must be masked of these; those that are gone meanwhile are left out."""
        ...
