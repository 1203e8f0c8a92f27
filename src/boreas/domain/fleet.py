"""Agents, targets and what is live on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ReleaseId,
    ServerId,
    TargetId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The resident program on a node. `online` is a view: a live link to a server with a lease."""

    id: AgentId
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    key_sha256: str = ""
    """Hash of the public key that was enrolled; another key is another agent."""
    enrolled_at: datetime
    enrolled_by: str = ""
    """Id of the enrol token that let it in."""
    online: bool = False
    server_id: ServerId | None = None
    connected_at: datetime | None = None
    last_seen_at: datetime | None = None
    address: str = ""
    transport: str = ""
    revoked_at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


PROJECT_LABEL: Final = "project"
"""Names or ids of projects, with commas between: only they may use this agent, or see it."""


def serves(labels: Mapping[str, str], *names: str) -> bool:
    """May a project of this name (or id) use an agent with these labels? Without a word, any.

    >>> serves({"project": "shop, blog"}, "blog"), serves({"zone": "a"}, "blog")
    (True, True)
    >>> serves({"project": "shop"}, "blog", "prj_1")
    False
    """
    word = labels.get(PROJECT_LABEL)
    return word is None or not {each.strip() for each in word.split(",")}.isdisjoint(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolToken:
    """Lets agents in; only the hash of its secret is kept."""

    id: str
    secret_sha256: str
    labels: Mapping[str, str] = field(default_factory=dict)
    uses_left: int = 1
    created_by: str = ""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where applications of an environment are put; reached through exactly one agent."""

    id: TargetId
    environment_id: EnvironmentId
    name: str
    agent_id: AgentId
    position: int
    """The stored order of an environment's targets: canaries are counted from the first."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRecord:
    """What is live for one application on one target.

    `release_id` was proven healthy there. `uncertain_release_id` is set while a later release was
    begun there and neither proven nor taken back: the fleet is mixed.
    """

    application_id: ApplicationId
    target_id: TargetId
    release_id: ReleaseId | None
    deployment_id: DeploymentId
    since: datetime
    uncertain_release_id: ReleaseId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """What the engine may know of an agent."""

    id: AgentId
    name: str
    online: bool
    since: datetime | None = None
    """When it went on- or offline, as far as known."""
    revoked: bool = False
