"""Read the levels of a project's variables and configuration, and lay them over one another.

Asked when a deployment is frozen (`server.ground`) and when somebody wants to know why a value is
what it is (`server.api.variables`). Secrets stay references here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from boreas.domain.configuration import Config, ConfigOrigins, check_config, merged, resolved_config
from boreas.domain.errors import NotFound
from boreas.domain.ids import ApplicationId
from boreas.domain.projects import Application, Environment, Project, Version
from boreas.domain.variables import (
    Level,
    LevelKind,
    Origin,
    Resolution,
    Variable,
    VariableSnapshot,
    resolve,
    settings_of,
    snapshot_of,
)
from boreas.store import SqlTransaction as Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Everything that a project's levels give, read at one moment."""

    project: Project
    environment: Environment | None
    variables: Mapping[str, Sequence[Variable]]
    """By the id of the level that owns them."""

    def variable_levels(self, application: Application | None = None) -> tuple[Level, ...]:
        """From the project to the environment; without an application, what all share."""
        owners: list[tuple[LevelKind, str, str]] = [
            (LevelKind.PROJECT, self.project.id, self.project.name)
        ]
        if application is not None:
            owners.append((LevelKind.APPLICATION, application.id, application.name))
        if self.environment is not None:
            environment = self.environment
            owners.append((LevelKind.ENVIRONMENT, environment.id, environment.name))
        return tuple(
            Level(
                origin=Origin(kind=kind, name=name),
                settings=settings_of(self.variables.get(id_, ())),
            )
            for kind, id_, name in owners
        )

    def resolution(
        self, application: Application | None = None, task: Level | None = None
    ) -> Resolution:
        """Who gave each value, and what that overrode."""
        levels = self.variable_levels(application)
        return resolve(levels if task is None else (*levels, task))

    def snapshot(self, application: Application | None = None) -> VariableSnapshot:
        """What a release of this application keeps; without one, what other commands see."""
        return snapshot_of(self.resolution(application))

    def config(self, application: Application, version: Version) -> dict[str, object]:
        """What a release of this application and version is configured with."""
        documents = [config for _, config in self.config_levels(application, version)]
        whole = merged(documents)
        check_config(whole, at=f"config of {application.name}")
        return whole

    def merged_config(self, application: Application | None = None) -> dict[str, object]:
        """The configuration without a version's own."""
        return merged([config for _, config in self.config_levels(application)])

    def config_origins(
        self, application: Application | None = None, version: Version | None = None
    ) -> ConfigOrigins:
        """Who gave each value of the configuration, and what that overrode."""
        return resolved_config(self.config_levels(application, version))

    def config_levels(
        self, application: Application | None = None, version: Version | None = None
    ) -> list[tuple[Origin, Config]]:
        """From the project to the environment; the version's own lies below its application's."""
        levels: list[tuple[LevelKind, Project | Application | Version | Environment | None]] = [
            (LevelKind.PROJECT, self.project),
            (LevelKind.APPLICATION, application),
            (LevelKind.VERSION, version),
            (LevelKind.ENVIRONMENT, self.environment),
        ]
        return [
            (Origin(kind=kind, name=it.name), it.config) for kind, it in levels if it is not None
        ]


async def read_levels(
    tx: Transaction,
    project: Project,
    environment: Environment | None,
    applications: Iterable[ApplicationId] = (),
) -> Levels:
    """What the project, its environment and these applications give, in one query."""
    owners: list[str] = [project.id, *applications]
    if environment is not None:
        owners.append(environment.id)
    return Levels(
        project=project,
        environment=environment,
        variables=await tx.variables.of_levels(owners),
    )


async def named_environment(
    tx: Transaction, project_id: str, wanted: str | None
) -> Environment | None:
    """The project's environment of this name or id; `NotFound`."""
    if wanted is None:
        return None
    found = await tx.environments.find(wanted)
    if found is None or found.project_id != project_id:
        found = await tx.environments.named(wanted, within=project_id)
    if found is None:
        raise NotFound(f"There is no environment `{wanted}` in this project.")
    return found


async def named_application(
    tx: Transaction, project_id: str, wanted: str | None
) -> Application | None:
    """The project's application of this name or id; `NotFound`."""
    if wanted is None:
        return None
    found = await tx.applications.find(wanted)
    if found is None or found.project_id != project_id:
        found = await tx.applications.named(wanted, within=project_id)
    if found is None:
        raise NotFound(f"There is no application `{wanted}` in this project.")
    return found
