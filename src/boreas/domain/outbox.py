"""Promises to agents, as the store keeps them and the gateway sends them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from boreas.domain.delivery import CredentialUse
from boreas.domain.ids import AgentId, DeploymentId, ExecutionId, OrderId, TaskId
from boreas.domain.secrets import SecretRef


class OutboxKind(StrEnum):
    """What an outbox row asks the agent for."""

    ORDER = "order"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A promise to an agent, saved with the state that needs it; kept until the agent has it.

    `body` is msgpack: an `OrderBody`, or `{"grace_seconds", "reason"}` of a cancel. `id` is 0 until
    it is stored.
    """

    id: int = 0
    agent_id: AgentId
    kind: OutboxKind
    order_id: OrderId
    deployment_id: DeploymentId
    scope: str = ""
    fence: int = 0
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an execution belongs: whose log it writes, and which agent may speak of it."""

    execution_id: ExecutionId
    deployment_id: DeploymentId
    task_id: TaskId
    target: str
    """The target's name, or its id once the target is gone."""
    agent_id: AgentId
    secret_variables: Mapping[str, SecretRef] = field(default_factory=dict)
    credentials: Mapping[str, CredentialUse] = field(default_factory=dict)

    @property
    def has_secrets(self) -> bool:
        """Something of it must be opened for the agent, and masked in what the agent says."""
        return bool(self.secret_variables or self.credentials)
