"""To which project a thing belongs, and what a user is there: one query per look.

`PLACES` names every kind of id that a path can have. Whoever adds a noun with routes of its own
adds it here, or its routes do not start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    null,
    select,
)

from boreas.domain.permissions import Permission, Standing, deploying_to
from boreas.domain.projects import EnvironmentKind
from boreas.store import release_tables, tables
from boreas.store.members import standing_of
from boreas.store.plain_reads import rows
from boreas.store.release_tables import members
from boreas.store.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a kind of thing is found, and by which columns it is tied to a project."""

    noun: str
    source: FromClause
    key: Column[Any]
    project: ColumnElement[Any]
    environment: Column[Any] | None = None
    """The document of its environment, for things that are in one."""


def _in_project(noun: str, table: Any) -> Place:
    return Place(noun=noun, source=table, key=table.c.id, project=table.c.project_id)


_PROJECTS: Final = tables.projects
_ENVIRONMENTS: Final = tables.environments
_TARGETS: Final = tables.targets
_DEPLOYMENTS: Final = tables.deployments

PLACES: Final[Mapping[str, Place]] = {
    "project_id": Place(
        noun="project", source=_PROJECTS, key=_PROJECTS.c.id, project=_PROJECTS.c.id
    ),
    "application_id": _in_project("application", tables.applications),
    "environment_id": Place(
        noun="environment",
        source=_ENVIRONMENTS,
        key=_ENVIRONMENTS.c.id,
        project=_ENVIRONMENTS.c.project_id,
        environment=_ENVIRONMENTS.c.document,
    ),
    "target_id": Place(
        noun="target",
        source=_TARGETS.join(_ENVIRONMENTS, _TARGETS.c.environment_id == _ENVIRONMENTS.c.id),
        key=_TARGETS.c.id,
        project=_ENVIRONMENTS.c.project_id,
        environment=_ENVIRONMENTS.c.document,
    ),
    "version_id": _in_project("version", tables.versions),
    "deployment_id": Place(
        noun="deployment",
        source=_DEPLOYMENTS.outerjoin(
            _ENVIRONMENTS, _DEPLOYMENTS.c.environment_id == _ENVIRONMENTS.c.id
        ),
        key=_DEPLOYMENTS.c.id,
        project=_DEPLOYMENTS.c.project_id,
        environment=_ENVIRONMENTS.c.document,
    ),
    "member_id": _in_project("member", members),
    "credential_id": _in_project("credential", release_tables.credentials),
    "workflow_id": _in_project("workflow", release_tables.workflows),
    "build_id": Place(
        noun="build",
        source=tables.executions.join(_DEPLOYMENTS),
        key=tables.executions.c.id,
        project=_DEPLOYMENTS.c.project_id,
    ),
}
"""By the name of the path parameter."""


class _Environment(msgspec.Struct):
    kind: EnvironmentKind


_ENVIRONMENT = msgspec.json.Decoder(_Environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A thing's project (None: it belongs to none), and what the user is there."""

    project_id: str | None
    standing: Standing
    deploying: Permission
    """What one needs to deploy there; of a thing outside of all environments: to build."""


class SqlPlaces:
    """Looks at things only to say whose they are."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def look(self, parameter: str, key: str, user_id: str) -> Look | None:
        """Where the thing with this id is; None if there is none."""
        return await self._unit.seen(
            (parameter, key, user_id), lambda: self._asked(parameter, key, user_id)
        )

    async def _asked(self, parameter: str, key: str, user_id: str) -> Look | None:
        asked = {"key": key, "user": user_id}
        found = await rows(self._unit.connection, _statement(parameter), asked)
        if not found:
            return None
        row = found[0]
        deploying = Permission.BUILD
        if row.environment is not None:
            deploying = deploying_to(_ENVIRONMENT.decode(row.environment).kind)
        return Look(
            project_id=row.project,
            standing=standing_of(row.account, row.role),
            deploying=deploying,
        )


@cache
def _statement(parameter: str) -> Select[Any]:
    place, users = PLACES[parameter], tables.users
    user: BindParameter[str] = bindparam("user")
    environment = null() if place.environment is None else place.environment
    # Aliased: the thing that is looked at may be a member itself.
    mine = members.alias("mine")
    here = and_(mine.c.user_id == user, mine.c.project_id == place.project)
    return (
        select(
            place.project.label("project"),
            environment.label("environment"),
            users.c.document.label("account"),
            mine.c.role.label("role"),
        )
        .select_from(place.source.outerjoin(users, users.c.id == user).outerjoin(mine, here))
        .where(place.key == bindparam("key"))
    )
