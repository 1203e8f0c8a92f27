"""Whether an application's image has to be built for a version, how, and by whom.

A version that pins an image, or whose image was built before, needs no build: the same digest goes
everywhere. Otherwise the release is frozen with the plan of its build.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from boreas.domain.builds import (
    PUSH,
    BuildConfig,
    BuildPlan,
    BuiltImage,
    builder_name,
    builder_target,
    credential_ids,
    parse_build,
    plan_of,
)
from boreas.domain.credentials import Credential
from boreas.domain.delivery import GIT, REGISTRY, CredentialUse
from boreas.domain.errors import invalid
from boreas.domain.fleet import Agent, Target, serves
from boreas.domain.git_names import place_of
from boreas.domain.ids import ApplicationId, EnvironmentId
from boreas.domain.orders import ReleaseBody
from boreas.domain.projects import Application, Project, Version
from boreas.server.named_credentials import usable
from boreas.store import SqlTransaction as Transaction

BUILDER_LABEL: Final = "builder"

_FIELDS: Final = {GIT: "build.git_credential_id", PUSH: "build.registry_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSite:
    """What all builds of one deployment have in common."""

    project: Project
    version: Version
    images: Mapping[ApplicationId, BuiltImage]
    """What was built for this version before."""


async def build_site(tx: Transaction, project: Project, version: Version) -> BuildSite:
    """Read it; the newest image of an application counts."""
    made = await tx.images.of_version(version.id)
    images = {it.application_id: it.made for it in made}
    return BuildSite(project=project, version=version, images=images)


async def with_image_or_build(
    tx: Transaction,
    site: BuildSite,
    application: Application,
    release: ReleaseBody,
    *,
    anew: bool = False,
) -> ReleaseBody:
    """The release with the image that its version has, or with the plan to build it.

    `anew`: build it although there is one.
    """
    config = parse_build(application.build)
    if config is None or not config.enabled or release.artifact:
        return release
    image = site.images.get(application.id)
    if image is not None and not anew:
        return replace(release, artifact={"image": image.image, "digest": image.digest})
    _refuse_unknown_secrets(config, application, release)
    credentials = await credentials_of_build(tx, application, config)
    return replace(
        release,
        build=_plan(config, site, application, credentials),
        build_credentials={use: _used(config, use, it) for use, it in credentials.items()},
    )


def _refuse_unknown_secrets(
    config: BuildConfig, application: Application, release: ReleaseBody
) -> None:
    """Said now, and not by the builder when somebody has waited for it."""
    for name in config.secrets:
        if name not in release.variables.secret:
            problem = f"names {name}, which is no secret variable that {application.name} gets"
            mend = "set one in the project or the application, or take the name out"
            raise invalid("build.secrets", problem, mend)


def _plan(
    config: BuildConfig,
    site: BuildSite,
    application: Application,
    credentials: Mapping[str, Credential],
) -> BuildPlan:
    git = site.version.git
    if git is None or git.commit is None:
        problem = f"has no git commit, which the image of {application.name} is built from"
        raise invalid("versionId", problem, "create a version with `git`")
    registry = config.registry
    if not registry and PUSH in credentials:
        registry = str(credentials[PUSH].details.get("registry") or "")
    words = {
        "registry": registry,
        "project": site.project.name,
        "app": application.name,
        "application": application.name,
        "version": site.version.name,
    }
    return plan_of(config, repository=git.repository, commit=git.commit, words=words)


async def credentials_of_build(
    tx: Transaction, application: Application, config: BuildConfig
) -> dict[str, Credential]:
    """By use. `InvalidInput` names the field of the application and the mend."""
    return {
        use: await usable(
            tx, application.project_id, REGISTRY if use == PUSH else use, id_, _FIELDS[use]
        )
        for use, id_ in credential_ids(config).items()
    }


def _used(config: BuildConfig, use: str, credential: Credential) -> CredentialUse:
    place = place_of(config.repository).origin if use == GIT and config.repository else ""
    return CredentialUse(
        credential_id=credential.id,
        type=credential.type.value,
        ref=credential.secret,
        place=place,
    )


async def check_build(tx: Transaction, application: Application) -> None:
    """Refuse an application whose `build` names credentials that it may not use."""
    config = parse_build(application.build)
    if config is not None:
        await credentials_of_build(tx, application, config)


async def builders(
    tx: Transaction, project: Project, environment_id: EnvironmentId
) -> tuple[Target, ...]:
    """Agents that build, as targets of this environment, idle ones first.

    One that is away gets a build only when all are: it begins when one comes back.
    """
    found = [it for it in await tx.agents.all() if _builds_for(it, project)]
    found = [it for it in found if it.online] or found
    busy = await tx.agents.unfinished([it.id for it in found])
    found.sort(key=lambda it: (busy.get(it.id, 0), it.name))
    return tuple(
        Target(
            id=builder_target(it.id),
            environment_id=environment_id,
            name=builder_name(it.name),
            agent_id=it.id,
            position=place,
            created_at=it.enrolled_at,
        )
        for place, it in enumerate(found)
    )


def _builds_for(agent: Agent, project: Project) -> bool:
    wanted = agent.labels.get(BUILDER_LABEL, "")
    is_builder = agent.revoked_at is None and wanted not in ("", "no", "false", "0")
    return is_builder and serves(agent.labels, project.name, project.id)


def is_built(application: Application) -> bool:
    """Does Boreas make its image?"""
    config = parse_build(application.build)
    return config is not None and config.enabled


def shown_build(application: Application) -> dict[str, Any] | None:
    """The configuration as it was written."""
    return dict(application.build) if application.build else None
