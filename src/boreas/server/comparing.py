"""Two versions side by side: images, configuration and variables, as far as the store knows them.

A version itself has images and configuration. What variables it runs with is known of the newest
deployment that brought it; of a version that was never deployed, what it would get now is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boreas.domain.builds import BuiltImage
from boreas.domain.comparison import Difference, compared, compared_variables
from boreas.domain.configuration import leaves
from boreas.domain.errors import InvalidInput
from boreas.domain.ids import ApplicationId
from boreas.domain.images import image_of
from boreas.domain.orders import DriverKind, ReleaseBody
from boreas.domain.projects import Application, Environment, Project, Version
from boreas.domain.variables import VariableSnapshot
from boreas.server.variables import Levels, read_levels
from boreas.store import SqlTransaction as Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class OfApplication:
    """What differs for one application."""

    application: Application
    images: tuple[Difference, ...]
    config: tuple[Difference, ...]
    """The whole of it, as all levels together resolve it."""
    variables: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions side by side, without their commits."""

    config: tuple[Difference, ...]
    """Of the versions' own configuration."""
    applications: tuple[OfApplication, ...]
    deployed_a: bool
    deployed_b: bool


async def compare(
    tx: Transaction, project: Project, a: Version, b: Version, environment: Environment | None
) -> Comparison:
    """In this environment, or wherever each was deployed last."""
    applications = await tx.applications.all(within=project.id)
    levels = await read_levels(tx, project, environment, [it.id for it in applications])
    where = None if environment is None else environment.id
    built_a, built_b = await _built(tx, a), await _built(tx, b)
    in_a = await tx.releases.newest_of(a.id, where)
    in_b = await tx.releases.newest_of(b.id, where)
    return Comparison(
        config=compared(leaves(a.config), leaves(b.config)),
        applications=tuple(
            _of_application(it, _Side(a, in_a, levels, built_a), _Side(b, in_b, levels, built_b))
            for it in applications
        ),
        deployed_a=bool(in_a),
        deployed_b=bool(in_b),
    )


async def _built(tx: Transaction, version: Version) -> Mapping[ApplicationId, BuiltImage]:
    """The newest image that was built for each application."""
    return {it.application_id: it.made for it in await tx.images.of_version(version.id)}


@dataclass(frozen=True, slots=True)
class _Side:
    """One version, its newest releases, and what it would get where there is none."""

    version: Version
    releases: Mapping[ApplicationId, ReleaseBody]
    levels: Levels
    built: Mapping[ApplicationId, BuiltImage]

    def variables(self, application: Application) -> VariableSnapshot:
        release = self.releases.get(application.id)
        if release is None:
            return self.levels.snapshot(application)
        return release.variables.under(release.task_variables)

    def config(self, application: Application) -> dict[str, object]:
        release = self.releases.get(application.id)
        whole = self.levels.config(application, self.version) if release is None else release.config
        return leaves(whole)

    def images(self, application: Application) -> dict[str, object]:
        artifact = self.version.artifacts.get(application.id)
        artifact = artifact or self.version.artifacts.get(application.name) or {}
        built = self.built.get(application.id)
        if built is not None and not artifact:
            artifact = {"image": built.image, "digest": built.digest}
        found = leaves(artifact)
        if application.driver is DriverKind.CONTAINER:
            # A template that this version cannot fill is no image, and no reason not to compare.
            try:
                found["image"] = str(
                    image_of(
                        str(application.spec.get("image") or ""),
                        version=self.version.name,
                        artifact=artifact,
                    )
                )
            except InvalidInput:
                found.pop("image", None)
        return found


def _of_application(application: Application, a: _Side, b: _Side) -> OfApplication:
    return OfApplication(
        application=application,
        images=compared(a.images(application), b.images(application)),
        config=compared(a.config(application), b.config(application)),
        variables=compared_variables(a.variables(application), b.variables(application)),
    )


def versions_named(found: Sequence[Version], wanted: str) -> Version | None:
    """The one with this id or name; an id wins."""
    by_id = next((it for it in found if it.id == wanted), None)
    return by_id or next((it for it in found if it.name == wanted), None)
