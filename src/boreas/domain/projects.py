"""What a project owns: applications, environments, versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from boreas.domain.deployments import ApprovalPolicy
from boreas.domain.ids import ApplicationId, EnvironmentId, ProjectId, VersionId
from boreas.domain.orders import DriverKind, GitRef, HealthCheck
from boreas.domain.windows import Window


class EnvironmentKind(StrEnum):
    """How careful one must be."""

    DEV = "dev"
    TEST = "test"
    STAGING = "staging"
    PROD = "prod"


class QueuePolicy(StrEnum):
    """What happens to a deployment that finds its lock taken."""

    QUEUE = "queue"
    COALESCE = "coalesce"
    """Older waiting automatic ones are superseded by the newest."""
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Owns everything below it."""

    id: ProjectId
    name: str
    description: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The farthest level of configuration; see `domain.configuration`."""
    promotion_order: tuple[EnvironmentId, ...] = ()
    """A version goes into one of these only after it succeeded in those before it."""
    created_at: datetime
    created_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One deployable thing; `spec` is as the driver's schema says (domain.specs)."""

    id: ApplicationId
    project_id: ProjectId
    name: str
    driver: DriverKind
    spec: Mapping[str, Any]
    health_check: HealthCheck | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    """How its image is made, as `domain.builds.parse_build` reads it; empty: not by Boreas."""
    position: int = 0
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentLock:
    """Somebody keeps new deployments out of an environment, and says why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a project's applications run."""

    id: EnvironmentId
    project_id: ProjectId
    name: str
    kind: EnvironmentKind
    queue_policy: QueuePolicy = QueuePolicy.QUEUE
    approval_policy: ApprovalPolicy = field(default_factory=ApprovalPolicy)
    windows: tuple[Window, ...] = ()
    lock: EnvironmentLock | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Somebody's word that a version is bad: it goes nowhere where it does not run already."""

    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An immutable snapshot of what to release.

    `artifacts` maps an application's id or name to what is pinned for it (`image`, `digest`, ...);
    `config` is passed to every application, `sequence` grows with creation. Only `blocked` may
    change: it says what people think of the version, not what is in it.
    """

    id: VersionId
    project_id: ProjectId
    name: str
    sequence: int
    git: GitRef | None = None
    git_credential_id: str | None = None
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    source: str = "manual"
    blocked: Block | None = None
    created_at: datetime
    created_by: str = ""
