"""Who may do what in a project: roles, permissions, and the one table that joins them.

Pure: everything that judges a caller (routes, live streams, acts at the moment of commit) asks
`judge` with what the store knows of the caller. An installation's admin may do everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from boreas.domain.ids import ProjectId, UserId
from boreas.domain.projects import EnvironmentKind


class Role(StrEnum):
    """What a member is in a project; from the least to the most."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class Permission(StrEnum):
    """What can be allowed in a project."""

    SEE = "see"
    """The project and what it holds, never a secret's value."""
    SEE_LOGS = "see_logs"
    DEPLOY_FREE = "deploy_free"
    """Deploy into dev and test environments, and answer what such a deployment asks."""
    DEPLOY_GUARDED = "deploy_guarded"
    """The same for staging and prod."""
    BUILD = "build"
    """Trigger builds and make versions."""
    CONFIGURE = "configure"
    """Change the project and its applications, environments, targets, variables, credentials."""
    OVERRIDE = "override"
    """Skip a task, ignore a target, block a version, jump over a rule."""
    SKIP_ORDER = "skip_order"
    """Deploy a version where it was not yet promoted to."""
    SEE_AUDIT = "see_audit"
    MANAGE_MEMBERS = "manage_members"
    REMOVE_PROJECT = "remove_project"


_ALL: Final = frozenset(Role)
_DEVELOPERS: Final = _ALL - {Role.VIEWER}
_MAINTAINERS: Final = frozenset({Role.OWNER, Role.MAINTAINER})
_OWNERS: Final = frozenset({Role.OWNER})

MATRIX: Final[Mapping[Permission, frozenset[Role]]] = {
    Permission.SEE: _ALL,
    Permission.SEE_LOGS: _ALL,
    Permission.DEPLOY_FREE: _DEVELOPERS,
    Permission.DEPLOY_GUARDED: _MAINTAINERS,
    Permission.BUILD: _DEVELOPERS,
    Permission.CONFIGURE: _MAINTAINERS,
    Permission.OVERRIDE: _MAINTAINERS,
    Permission.SKIP_ORDER: _OWNERS,
    Permission.SEE_AUDIT: _MAINTAINERS,
    Permission.MANAGE_MEMBERS: _OWNERS,
    Permission.REMOVE_PROJECT: _OWNERS,
}
"""Which roles have a permission."""

GUARDED: Final = frozenset({EnvironmentKind.STAGING, EnvironmentKind.PROD})
"""Kinds of environments where a developer does not deploy."""

RANK: Final[Mapping[Role, int]] = {role: rank for rank, role in enumerate(Role)}


def deploying_to(kind: EnvironmentKind) -> Permission:
    """What one needs to deploy there."""
    return Permission.DEPLOY_GUARDED if kind in GUARDED else Permission.DEPLOY_FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user's role in a project."""

    id: str
    project_id: ProjectId
    user_id: UserId
    role: Role
    added_by: str = ""
    added_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a token is for; None leaves it as wide as its user's own rights."""

    permissions: frozenset[Permission] | None = None
    project_ids: frozenset[ProjectId] | None = None

    @property
    def is_whole(self) -> bool:
        """May it do everything its user may?"""
        return self.permissions is None and self.project_ids is None

    def covers(self, permission: Permission) -> bool:
        """May it be used for this at all?"""
        return self.permissions is None or permission in self.permissions

    def reaches(self, project_id: str) -> bool:
        """May it be used in this project?"""
        return self.project_ids is None or project_id in self.project_ids


WHOLE: Final = Scope()
READ: Final = frozenset({Permission.SEE, Permission.SEE_LOGS})
DEPLOY: Final = READ | {Permission.DEPLOY_FREE, Permission.DEPLOY_GUARDED, Permission.BUILD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Which projects somebody's lists show: those they are a member of and their token reaches."""

    user_id: UserId | None = None
    """None for an admin, who sees all."""
    project_ids: frozenset[ProjectId] | None = None


EVERYTHING: Final = Sight()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store knows of a caller in a project; `role` is None for who is no member."""

    role: Role | None = None
    is_admin: bool = False
    is_active: bool = True
    """The account is not disabled."""


class Verdict(StrEnum):
    """What a look at somebody's standing says."""

    ALLOWED = "allowed"
    UNSEEN = "unseen"
    """To this caller there is no such project."""
    ROLE_TOO_LOW = "role_too_low"
    TOKEN_TOO_NARROW = "token_too_narrow"
    """Their role would do, but the token is not for this."""


def judge(permission: Permission, standing: Standing, scope: Scope, project_id: str) -> Verdict:
    """May somebody of this standing do this in this project, with a token of this scope?"""
    is_member = standing.is_admin or standing.role is not None
    if not (is_member and standing.is_active and scope.reaches(project_id)):
        return Verdict.UNSEEN
    if not standing.is_admin and standing.role not in MATRIX[permission]:
        return Verdict.ROLE_TOO_LOW
    if not scope.covers(permission):
        return Verdict.TOKEN_TOO_NARROW
    return Verdict.ALLOWED


def may_grant(granting: Standing, role: Role) -> bool:
    """Nobody gives more than they have."""
    if granting.is_admin:
        return True
    return granting.role is not None and RANK[role] <= RANK[granting.role]
