"""What happened to a deployment, in words that are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from boreas.domain.deployments import DeploymentState
from boreas.domain.ids import DeploymentId, ExecutionId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing worth telling: a stable code, its parameters, and the sentence."""

    code: str
    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    task_id: TaskId | None = None
    execution_id: ExecutionId | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A notice as stored: when it happened and where it stands in the deployment's history."""

    deployment_id: DeploymentId
    sequence: int
    at: datetime
    notice: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """An agent's news of one order, as the engine sees it.

    `kind` is `started`, `verb` or `finished`; the rest as in `transport.frames.Report`.
    `unknown`: the agent does not hold an order that the server believes it took.
    """

    order_id: str
    kind: str
    at: datetime
    sequence: int = 0
    verb: str | None = None
    outcome: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A deployment was saved: what servers tell each other, in one word each."""

    deployment_id: DeploymentId
    revision: int
    state: DeploymentState

    def payload(self) -> str:
        """As it is announced."""
        return f"{self.deployment_id} {self.revision} {self.state}"

    @classmethod
    def parse(cls, payload: str) -> "Changed":
        """As it was announced."""
        deployment_id, revision, state = payload.split(" ")
        return cls(
            deployment_id=DeploymentId(deployment_id),
            revision=int(revision),
            state=DeploymentState(state),
        )
